"""Metrics as functions of the weights of prompts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepcredit.bench import metrics, paired
from stepcredit.errors import StepCreditError

NAN = float("nan")
few = st.sampled_from([-1.0, -0.5, 0.0, 0.0, 0.5, 2.0, NAN])
row = st.tuples(few, st.booleans(), st.integers(0, 3), st.integers(0, 4), few)
tables = st.lists(row, max_size=25)
PROMPTS = 5
ONCE = np.ones((1, PROMPTS))


def columns(table):
    return [np.array([r[i] for r in table], kind) for i, kind in enumerate((float, bool, int, int, float))]


def both(credit, good, state, prompt):
    """The metrics of weights, and those of bench.metrics with a weight per row."""
    return (
        (
            paired.same(credit, good, state, prompt, PROMPTS),
            lambda w: metrics.same(credit, good, state, prompt, weight=w),
        ),
        (paired.pooled(credit, good, prompt, PROMPTS), lambda w: metrics.pooled(credit, good, weight=w)),
        (paired.strat(credit, good, state, prompt, PROMPTS), lambda w: metrics.strat(credit, good, state, weight=w)),
    )


@given(tables, st.lists(st.integers(0, 3), min_size=PROMPTS, max_size=PROMPTS))
def test_pairs_equal_the_metrics_at_any_weights(table, times):
    credit, good, state, prompt, _ = columns(table)
    weight = np.array(times, float)
    for mine, reference in both(credit, good, state, prompt):
        whole = reference(np.ones(prompt.size))
        np.testing.assert_allclose(mine.at(ONCE), [whole.value], rtol=1e-12)
        assert (mine.n, mine.unjudged) == whole[1:]
        np.testing.assert_allclose(mine.at(np.stack([weight, ONCE[0]]))[0], reference(weight[prompt]).value, rtol=1e-12)


@given(tables)
def test_rho_equals_the_metric_where_each_prompt_counts_once(table):
    credit, _, _, prompt, truth = columns(table)
    mine, whole = paired.rho(credit, truth, prompt, PROMPTS), metrics.rho(credit, truth)
    np.testing.assert_allclose(mine.at(ONCE), [whole.value], atol=1e-12)
    assert (mine.n, mine.unjudged) == whole[1:]


@given(tables, st.lists(st.integers(0, 3), min_size=PROMPTS, max_size=PROMPTS))
def test_rho_at_other_weights_correlates_the_ranks_of_the_sample(table, times):
    credit, _, _, prompt, truth = columns(table)
    kept = ~np.isnan(credit) & ~np.isnan(truth)
    weight = np.array(times, float)
    x, y = (metrics.ranks(z[kept]) for z in (credit, truth))
    again = np.repeat(np.arange(x.size), weight[prompt[kept]].astype(int))
    varied = len(set(x[again])) > 1 and len(set(y[again])) > 1
    want = np.corrcoef(x[again], y[again])[0, 1] if varied else NAN
    np.testing.assert_allclose(paired.rho(credit, truth, prompt, PROMPTS).at(weight[None]), [want], atol=1e-9)


@given(tables, st.lists(st.integers(0, 3), min_size=PROMPTS, max_size=PROMPTS))
def test_scaled_error_is_that_of_the_best_scale(table, times):
    credit, _, _, prompt, truth = columns(table)
    weight = np.array(times, float)
    rows = ~np.isnan(credit) & ~np.isnan(truth)
    c, t, w = credit[rows], truth[rows], weight[prompt[rows]]
    scales = np.append(np.linspace(0, 8, 4001), max((w * c) @ t, 0) / ((w * c) @ c or 1))
    errors = [(w * (t - b * c) ** 2).sum() for b in scales]
    want = min(errors) / ((w * t) @ t) if (w * t) @ t else NAN
    made = paired.scaled_error(credit, truth, prompt, PROMPTS)
    np.testing.assert_allclose(made.at(weight[None]), [want], atol=1e-12)
    np.testing.assert_allclose(paired.scaled_error(1e-9 * credit, truth, prompt, PROMPTS).at(weight[None]), [want])


def test_the_bootstrap_draws_whole_prompts_and_pairs_methods():
    rng = np.random.default_rng(0)
    prompt = np.repeat(np.arange(40), 8)
    truth = rng.normal(size=320) + rng.normal(size=40)[prompt]
    weight = paired.weights(40, 300, seed=1)
    assert weight.shape == (301, 40) and (weight[0] == 1).all() and (weight.sum(1) == 40).all()
    noise, more = rng.normal(size=(2, 320))
    near, far = (paired.rho(truth + x, truth, prompt, 40).at(weight) for x in (noise, noise + 0.3 * more))
    alone, apart = np.diff(paired.interval(near[1:])), np.diff(paired.interval((near - far)[1:]))
    assert 0 < apart < alone
    low, high = paired.interval(near[1:])
    assert low < near[0] < high
    assert np.isnan(paired.interval(np.array([NAN]))).all()


def test_intervals_cover():
    """90% intervals of `same` hold the value of very many prompts about 9 times in 10."""
    rng = np.random.default_rng(3)

    def sample(prompts):
        prompt = np.repeat(np.arange(prompts), 6)
        good = rng.random(prompt.size) < 0.5
        credit = good * rng.exponential(1.0, prompts)[prompt] + rng.normal(size=prompt.size)
        return paired.same(credit, good, np.zeros(prompt.size, int), prompt, prompts)

    truth = sample(20_000).at(np.ones((1, 20_000)))[0]
    found = [paired.interval(sample(40).at(paired.weights(40, 200, seed=i))[1:]) for i in range(150)]
    assert 0.82 < np.mean([low < truth < high for low, high in found]) < 0.96


def test_infinite_credit_is_refused():
    with pytest.raises(StepCreditError, match="infinite"):
        paired.pooled(np.array([np.inf, 0.0]), np.array([True, False]), np.array([0, 0]), 1)
