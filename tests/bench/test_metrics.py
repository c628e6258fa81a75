import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepcredit.bench.metrics import auroc, bootstrap, pearson, per_depth, pooled, rho, same, sign_agreement, strat
from stepcredit.errors import LayoutError, StepCreditError

NAN = float("nan")
few = st.sampled_from([-1.0, -0.5, 0.0, 0.0, 0.5, 2.0, NAN])
row = st.tuples(few, st.booleans(), st.integers(0, 3), st.integers(0, 2), few, st.integers(0, 3))
tables = st.lists(row, max_size=14)


def columns(table):
    kinds = (float, bool, int, int, float, float)
    return [np.array([r[i] for r in table], kind) for i, kind in enumerate(kinds)]


def by_pairs(credit, good, comparable):
    """Won, all: over every pair of rows, one at a time."""
    won = pairs = 0
    for i in np.flatnonzero(good):
        for j in np.flatnonzero(~good):
            if comparable(i, j) and not np.isnan(credit[i]) and not np.isnan(credit[j]):
                pairs += 1
                won += 1.0 if credit[i] > credit[j] else 0.5 if credit[i] == credit[j] else 0.0
    return won, pairs


def check(score, value, n, credit):
    np.testing.assert_allclose([score.value, score.n], [value, n], rtol=1e-12)
    assert score.unjudged == np.isnan(credit).sum()


@given(tables)
def test_pooled_and_strat_count_every_pair(table):
    credit, good, depth, *_ = columns(table)
    for score, comparable in (
        (auroc(credit, good), lambda i, j: True),
        (pooled(credit, good), lambda i, j: True),
        (strat(credit, good, depth), lambda i, j: depth[i] == depth[j]),
    ):
        won, pairs = by_pairs(credit, good, comparable)
        check(score, won / pairs if pairs else NAN, pairs, credit)


@given(tables)
def test_same_counts_every_pair_of_siblings_and_averages_prompts(table):
    credit, good, state, prompt, *_ = columns(table)
    means, total = [], 0
    for p in set(prompt):
        won, pairs = by_pairs(credit, good, lambda i, j, p=p: prompt[i] == prompt[j] == p and state[i] == state[j])
        means += [won / pairs] if pairs else []
        total += pairs
    check(same(credit, good, state, prompt), np.mean(means) if means else NAN, total, credit)


@given(tables)
def test_rho_is_the_correlation_of_mean_ranks(table):
    credit, _, _, _, truth, _ = columns(table)
    kept = ~np.isnan(credit) & ~np.isnan(truth)
    x, y = credit[kept], truth[kept]

    def ranks(z):
        return np.array([np.sum(z < v) + (np.sum(z == v) + 1) / 2 for v in z])

    varied = len(set(x)) > 1 and len(set(y)) > 1
    for score, a, b in ((rho(credit, truth), ranks(x), ranks(y)), (pearson(credit, truth), x, y)):
        value = np.corrcoef(a, b)[0, 1] if varied else NAN
        np.testing.assert_allclose(score.value, value, atol=1e-12)
        assert score.n == kept.sum() and score.unjudged == np.sum(np.isnan(credit) & ~np.isnan(truth))


@given(tables)
def test_sign_agreement_counts_rows_of_nonzero_advantage(table):
    credit, _, _, _, truth, _ = columns(table)
    told = [(c, t) for c, t in zip(credit, truth, strict=True) if not np.isnan(c) and not np.isnan(t) and t]
    right = [0.5 if c == 0 else float((c > 0) == (t > 0)) for c, t in told]
    score = sign_agreement(credit, truth)
    np.testing.assert_allclose([score.value, score.n], [np.mean(right) if right else NAN, len(right)])


@given(tables)
def test_a_weight_counts_a_row_that_often(table):
    """Weights that are constant in a prompt equal copies of its rows; copies for `same` are prompts of their own."""
    credit, good, state, prompt, truth, _ = columns(table)
    times = np.array([2, 0, 3])[prompt].astype(int) if len(prompt) else prompt
    again = np.repeat(np.arange(len(times)), times)
    copy = np.concatenate([np.arange(t) for t in times]) if len(times) else times
    w = times.astype(float)
    for weighted, copied in (
        (pooled(credit, good, weight=w), pooled(credit[again], good[again])),
        (strat(credit, good, state, weight=w), strat(credit[again], good[again], state[again])),
        (
            same(credit, good, state, prompt, weight=w),
            same(credit[again], good[again], state[again], prompt[again] * 10 + copy),
        ),
        (rho(credit, truth, weight=w), rho(credit[again], truth[again])),
        (pearson(credit, truth, weight=w), pearson(credit[again], truth[again])),
        (sign_agreement(credit, truth, weight=w), sign_agreement(credit[again], truth[again])),
    ):
        np.testing.assert_allclose(weighted[:2], copied[:2], atol=1e-12)


def test_by_hand():
    credit = [0.9, 0.1, 0.5, 0.5, 0.2]
    good = [True, False, True, False, True]
    state = ["a", "a", "b", "b", "a"]
    assert same(credit, good, state, [0] * 5) == (2.5 / 3, 3, 0)
    assert same(credit, good, state, [0, 0, 1, 1, 0]) == (0.75, 3, 0)
    assert strat(credit, good, [0, 0, 1, 1, 1]) == (1.5 / 3, 3, 0)
    assert rho([1, 2, 3], [3, 2, 1]).value == -1
    np.testing.assert_array_equal(per_depth(good, [0, 0, 1, 1, 1]), [0.5, 0.5, 2 / 3, 2 / 3, 2 / 3])


def test_constant_credit_says_nothing():
    good = np.array([True, False, True])
    assert pooled([3.0, 3.0, 3.0], good).value == 0.5
    assert np.isnan(rho([3.0, 3.0, 3.0], [1.0, 2.0, 3.0]).value)
    assert np.isnan(pooled([1.0, 2.0, 3.0], [True, True, True]).value)


def test_bootstrap_covers_the_mean_of_prompts():
    """Prompt means are the unit: rows of a prompt repeat, and the interval must not shrink for it."""
    rng = np.random.default_rng(0)
    hits, widths = 0, []
    for _ in range(60):
        x = rng.normal(1.0, 1.0, 40)
        prompt, rows = np.repeat(np.arange(40), 5), np.repeat(x, 5)
        at = bootstrap(lambda w, rows=rows: w @ rows / w.sum(), prompt, draws=200, seed=1)
        assert at.value == pytest.approx(x.mean()) and at.low < at.value < at.high
        hits += at.low < 1.0 < at.high
        widths.append(at.high - at.low)
    assert 50 <= hits <= 60
    assert np.mean(widths) == pytest.approx(2 * 1.96 / np.sqrt(40), rel=0.15)


def test_bootstrap_pairs_draws_counts_undefined_and_follows_its_seed():
    rng = np.random.default_rng(0)
    prompt = np.repeat(np.arange(12), 6)
    good = rng.random(72) < 0.5
    credit = rng.normal(size=72)

    def shifted(w):
        return pooled(credit, good, weight=w).value - pooled(2 * credit + 1, good, weight=w).value

    assert bootstrap(shifted, prompt, draws=50)[:3] == (0, 0, 0)

    def level(w):
        return pooled(credit, good, weight=w).value

    assert bootstrap(level, prompt, draws=50) == bootstrap(level, prompt, draws=50)
    assert bootstrap(level, prompt, draws=50) != bootstrap(level, prompt, draws=50, seed=1)
    wide, narrow = (bootstrap(level, prompt, draws=200, level=x) for x in (0.9, 0.5))
    assert wide.low < narrow.low < narrow.high < wide.high

    only = np.array([True, False, False])
    lone = bootstrap(lambda w: pooled([1.0, 0.0, 0.0], only, weight=w).value, [0, 1, 2], draws=300)
    assert lone[:3] == (1, 1, 1) and 0 < lone.undefined < 300


def test_what_does_not_fit_is_refused():
    good = np.array([True, False])
    with pytest.raises(LayoutError, match="good: got shape"):
        pooled([1.0], good)
    with pytest.raises(LayoutError, match="expected bool"):
        pooled([1.0, 2.0], [1, 0])
    with pytest.raises(StepCreditError, match="infinite"):
        pooled([1.0, np.inf], good)
    with pytest.raises(StepCreditError, match="truth is infinite"):
        rho([1.0, 2.0], [1.0, np.inf])
    with pytest.raises(StepCreditError, match="weight"):
        pooled([1.0, 2.0], good, weight=[1.0, -1.0])
    with pytest.raises(LayoutError, match="inside a prompt"):
        same([1.0, 2.0], good, [0, 0], [0, 0], weight=[1.0, 2.0])
    for options in ({"draws": 0}, {"level": 1.0}, {"level": 0.0}):
        with pytest.raises(StepCreditError, match="bootstrap"):
            bootstrap(lambda w: 0.0, [0], **options)
    with pytest.raises(StepCreditError, match="no prompts"):
        bootstrap(lambda w: 0.0, [])
