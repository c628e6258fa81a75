"""The suite `mdp`: its exact figures, its estimates of bias, and that it goes on where it stopped."""

import math
from dataclasses import replace

import numpy as np
import pytest

from stepcredit.bench.entries import judge
from stepcredit.bench.metrics import pooled
from stepcredit.bench.suite import Store, measure
from stepcredit.bench.suites import _exact, _figures, _mdp_report, mdp
from stepcredit.bench.suites._references import REFERENCES, Judged, jeffreys, monte_carlo
from stepcredit.bench.suites._worlds import SETTINGS
from stepcredit.credit import assign
from stepcredit.envs import worlds
from stepcredit.envs.tabular import evaluate, noisy_optimal, sample, tabulate

NAN = float("nan")


def figures(made, draws, credit, sd=None):
    squares, gradients = np.array([_exact.square(w) for w in made]), [_exact.gradient(w) for w in made]
    return mdp.figures(made, draws, Judged(credit, sd, 1.0), squares, gradients)


def credit(draws, of):
    return np.concatenate([of(batch) for batch in draws.batches])


def overall(found, name):
    return float(np.nanmean(found[name]))


@pytest.mark.parametrize(
    "world",
    [
        noisy_optimal(worlds.get("layered")(seed=1, horizon=4, noise=0.3, dense=0.2)),
        worlds.get("key_door")(seed=0, size=2, horizon=5, slip=0.2),
        worlds.get("ring")(seed=2, length=4, horizon=5),
        worlds.get("aliased")(seed=0, horizon=4),
        worlds.get("stop")(seed=0),
    ],
    ids=lambda world: world.name,
)
def test_the_exact_gradient_is_that_of_finite_differences(world):
    label, step = _exact.observed(world), 1e-5

    def value(logits):
        weight = world.policy * np.exp(logits[label])
        policy = weight / np.maximum(weight.sum(-1, keepdims=True), 1e-300)
        return evaluate(replace(world, policy=policy)).value[0, world.start]

    exact = _exact.gradient(world)
    nudge = step * np.eye(exact.size).reshape(exact.size, *exact.shape)
    found = np.array([(value(d) - value(-d)) / (2 * step) for d in nudge]).reshape(exact.shape)
    np.testing.assert_allclose(exact, found, atol=1e-8)
    assert np.abs(exact).max() > 0.01


def test_visits_and_squares_are_what_rollouts_show():
    world = worlds.get("ring")(seed=0, length=4, horizon=6)
    batch = sample([world], 20_000, seed=0)
    lay, by_state = batch.layout, _exact.visits(world)
    for t in range(6):
        seen = np.bincount(batch["state"][lay.turn == t], minlength=len(batch.keys["state"])) / lay.R
        exact = [by_state[t, world.labels.index(key)] for key in batch.keys["state"]]
        np.testing.assert_allclose(seen, exact, atol=0.02)
    assert lay.total(batch["truth.advantage"] ** 2).mean() == pytest.approx(_exact.square(world), rel=0.03)


def test_the_true_state_is_known_where_labels_hide_it():
    world = worlds.get("aliased")(seed=0)
    draws = _exact.draw([world], 50, [0])
    exact, turn = evaluate(world), draws.batches[0].layout.turn
    np.testing.assert_allclose(exact.advantage[turn, draws.state, draws.action], draws.truth, atol=1e-12)
    assert len(set(draws.state.tolist())) > len(set(draws.batches[0]["state"].tolist()))


def test_the_gradient_of_credit_by_hand():
    """Two states that look alike, a taken in one with chance 3/4, b in the other."""
    ways = {
        "s": {"a": [(1.0, "t", 0.0)], "b": [(1.0, "t", 0.0)]},
        "t": {"a": [(1.0, "u", 1.0)], "b": [(1.0, "u", 0.0)]},
    }
    world = tabulate("two", "s", lambda s: ways.get(s, {}), 2, label=lambda s: "end" if s == "u" else "open")
    world = replace(world, policy=np.array([[0.75, 0.25], [0.75, 0.25], [0, 0]]))
    draws = _exact.draw([world], 1, [0])._replace(action=np.array([0, 1]))
    ((found,),) = _exact.estimated([world], draws, np.array([8.0, 4.0]))
    np.testing.assert_allclose(found[_exact.observed(world)[0]], [8 * 0.25 - 4 * 0.75, -8 * 0.25 + 4 * 0.75])
    np.testing.assert_allclose(_exact.gradient(world)[_exact.observed(world)[0]], [3 / 16, -3 / 16])


def test_intervals_are_counted_over_all_steps_and_over_those_that_matter():
    made = [worlds.get("any_of")(seed=i, horizon=2) for i in range(2)]
    draws = _exact.draw(made, 50, [0])
    nothing = np.zeros(draws.truth.size)
    found = _figures.coverage(draws, nothing, nothing, 2)
    for w in range(2):
        here = draws.world == w
        assert found["coverage"][w] == pytest.approx(np.mean(draws.truth[here] == 0)) and 0 < found["coverage"][w] < 1
        assert found["coverage_nonzero"][w] == found["width"][w] == 0
    wide = _figures.coverage(draws, nothing, np.where(np.abs(draws.truth) > 0, 1.0, 0.5), 2)
    assert wide["coverage_nonzero"].tolist() == [1, 1] and 1.645 < wide["width"].min() < 2 * 1.645


def test_exact_credit_has_no_error_and_the_full_gradient():
    made = [worlds.get("layered")(seed=i, horizon=4) for i in range(3)]
    draws = _exact.draw(made, 400, [0, 1])
    found = figures(made, draws, draws.truth, np.zeros(draws.truth.size))
    for name, want in (
        *(("pearson", 1), ("spearman", 1), ("sign", 1), ("mse", 0), ("nmse", 0), ("bias", 0), ("variance", 0)),
        *(("coverage", 1), ("coverage_nonzero", 1), ("width", 0)),
    ):
        np.testing.assert_allclose(found[name], want, atol=1e-12, err_msg=name)
    assert min(found["cosine"]) > 0.97


def test_a_return_less_the_exact_value_is_unbiased_at_any_size():
    """Its bias is estimated without bias: from two rollouts a draw, where its square would be drowned by variance."""
    made = [worlds.get("layered")(seed=i, horizon=4, noise=0.2) for i in range(12)]
    draws = _exact.draw(made, 2, range(60))
    found = figures(made, draws, credit(draws, lambda b: b["outcome"][b.layout.rollout] - b["truth.value"]))
    bias = _figures.mean(found["bias"])
    assert abs(bias.value) < 0.05 and overall(found, "variance") > 2
    np.testing.assert_allclose(found["nmse"], found["bias"] + found["variance"])


def test_a_group_baseline_that_holds_the_own_outcome_shrinks_credit_by_one_in_n():
    """One step, E[c|s, a] = (n - 1) / n A: the bias is 1 / n^2 of the truth's square."""
    made = [worlds.get("bandit")(seed=i, horizon=1) for i in range(60)]
    squares = np.array([_exact.square(w) for w in made])
    for n in (2, 4):
        draws = _exact.draw(made, n, range(100))
        whole = _figures.errors(draws, credit(draws, lambda b: assign(b, "grpo", spread="none").values), squares)
        others = _figures.errors(draws, credit(draws, lambda b: assign(b, "rloo").values), squares)
        assert overall(whole, "bias") == pytest.approx(1 / n**2, abs=0.04)
        assert overall(others, "bias") == pytest.approx(0, abs=0.04)


def test_the_bias_of_discounted_state_groups_is_the_one_that_follows_from_the_formula():
    """Many rollouts: E[c|s, a] = (Q - V(root)) + gamma^(steps left) (Q - V)."""
    world, gamma = worlds.get("all_of")(horizon=3), 0.8
    exact, often = evaluate(world), _exact.visits(world)
    want = 0.0
    for t, s, a in np.argwhere(np.nan_to_num(exact.q) * 0 + (often[..., None] * world.policy > 0)):
        advantage = exact.q[t, s, a] - exact.value[t, s]
        expected = exact.q[t, s, a] - exact.value[0, world.start] + gamma ** (2 - t) * advantage
        want += often[t, s] * world.policy[s, a] * (expected - advantage) ** 2 / _exact.square(world)
    draws = _exact.draw([world], 3000, range(6))
    found = figures([world], draws, credit(draws, lambda b: assign(b, "gigpo", gamma=gamma, spread="none").values))
    assert want > 0.5 and found["bias"][0] == pytest.approx(want, rel=0.05)


def test_mean_credit_of_equal_steps_converges_in_a_markov_world_and_not_where_states_alias():
    def found(world, n):
        draws = _exact.draw([world], n, range(4))
        return figures([world], draws, credit(draws, lambda batch: judge("q_minus_v", batch).credit))

    markov = worlds.get("layered")(seed=3, horizon=5)
    few, many = found(markov, 8), found(markov, 3000)
    assert few["nmse"][0] > 0.3 > 0.02 > many["nmse"][0] and abs(many["bias"][0]) < 0.01
    assert few["cosine"][0] < many["cosine"][0] and many["cosine"][0] > 0.99
    assert found(worlds.get("aliased")(), 3000)["bias"][0] > 0.1


def test_monte_carlo_values_are_unbiased_and_better_with_more_calls():
    made = [worlds.get("layered")(seed=i, horizon=5, noise=0.3) for i in range(10)]
    draws = _exact.draw(made, 8, range(40))
    random = np.random.default_rng(0)
    spent, error = [], []
    for k in (4, 64):
        judged = [monte_carlo(batch, random, k=k) for batch in draws.batches]
        found = figures(made, draws, np.concatenate([one.credit for one in judged]))
        assert overall(found, "bias") == pytest.approx(0, abs=0.03)
        spent.append(judged[0].calls)
        error.append(overall(found, "nmse"))
    assert spent == [8 + 4 * 40, 8 + 64 * 40]
    assert error[0] > 2 and error[1] < error[0] / 2


def test_jeffreys_intervals_by_hand():
    """Two rollouts take a, one wins: Beta(1.5, 1.5) and, with b lost, Beta(1.5, 2.5) in the state."""
    world = tabulate("one", "s", lambda s: {a: [(1.0, "end", 1.0)] for a in "ab"} if s == "s" else {}, 1)
    batch = sample([world], 3, seed=0).with_columns(outcome=np.array([1.0, 0, 0]), action=np.array([0, 0, 1]))
    judged = jeffreys(batch, None)
    np.testing.assert_allclose(judged.credit, [1 / 2 - 3 / 8, 1 / 2 - 3 / 8, 1 / 4 - 3 / 8])
    v, q, lone = 1.5 * 2.5 / (16 * 5), 1 / 16, 0.5 * 1.5 / (4 * 3)
    np.testing.assert_allclose(judged.sd, np.sqrt([q + v, q + v, lone + v]))


def test_pooled_is_the_auroc_of_all_worlds_and_its_spread_the_jackknife():
    made = [worlds.get("layered")(seed=i, horizon=4) for i in range(5)]
    draws = _exact.draw(made, 6, [0])
    c = np.round(np.random.default_rng(0).normal(size=draws.truth.size) + draws.good, 1)
    rows = draws.decision
    (by_world,) = _figures.pooled(draws, c, 5)
    assert by_world.mean() == pytest.approx(pooled(c[rows], draws.good[rows]).value)
    without = np.array([pooled(c[rows & (k := draws.world != w)], draws.good[rows & k]).value for w in range(5)])
    np.testing.assert_allclose(by_world - by_world.mean(), 4 * (without.mean() - without), atol=1e-12)


def test_scale_is_forgiven_by_mse_alone_and_unjudged_steps_are_not_zero():
    made = [worlds.get("layered")(seed=i, horizon=3) for i in range(3)]
    draws = _exact.draw(made, 20, [0, 1])
    found = figures(made, draws, 5 * draws.truth)
    np.testing.assert_allclose(found["mse"], 0, atol=1e-12)
    assert overall(found, "nmse") == pytest.approx(16, rel=0.2)
    opposite = figures(made, draws, -draws.truth)
    assert overall(opposite, "mse") == pytest.approx(1, rel=0.2) and overall(opposite, "cosine") < -0.7
    hole = np.where(np.arange(draws.truth.size) == 0, NAN, draws.truth)
    found = figures(made, draws, hole)
    assert np.isnan(found["nmse"]).tolist() == [True, False, False] and found["pearson"][0] == pytest.approx(1)


def test_a_mean_of_worlds_has_students_interval():
    t = {4: 2.353, 9: 1.860, 41: 1.684}  # 90%, of n - 1 degrees of freedom, from tables
    for n, want in t.items():
        x = np.arange(n, dtype=float)
        m = _figures.mean([*x, NAN])
        assert (m.value, m.n, m.undefined) == (x.mean(), n, 1)
        assert (m.high - m.value) / (x.std(ddof=1) / math.sqrt(n)) == pytest.approx(want, rel=0.02)
    assert math.isnan(_figures.mean([NAN]).value) and math.isnan(_figures.mean([1.0]).low)
    whole = _figures.mean_of_means([_figures.mean([0.0, 1, 2]), _figures.mean([2.0, 3, 4]), _figures.mean([NAN])])
    assert whole.value == 2 and whole.variance == pytest.approx(2 * (1 / 3) / 4)


def test_the_interval_of_a_method_against_itself_is_zero():
    one = {"calls": 4.0, "unjudged": 0.0, "pearson": [0.5, 0.1, NAN], "mse": [1.0, 2.0, 3.0]}
    found = {("a", 4): {"stepcredit_x": one, "salt": one}, ("b", 4): {"stepcredit_x": one, "salt": one}}
    pairs = [r for r in _mdp_report.paired(found) if r["figure"] in one]
    assert {(r["figure"], r["setting"]) for r in pairs} == {
        (f, s) for f in ("pearson", "mse") for s in ("a", "b", "all")
    }
    assert all(r["difference"] == 0 and r["difference_interval"] == [0, 0] for r in pairs)


def test_every_policy_is_the_same_where_states_look_alike():
    """The gradient is then that of a policy which sees labels only."""
    for name, make in SETTINGS.items():
        world = make(0)
        first = np.unique(_exact.observed(world), return_index=True)[1]
        np.testing.assert_allclose(world.policy, world.policy[first][_exact.observed(world)], err_msg=name)


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    path = tmp_path_factory.mktemp("method") / "stepcredit_broken.py"
    path.write_text(
        "from stepcredit.credit.card import Card\n"
        "CARD = Card('b', 'p', 'b', 'derived', 'n', 'b', 'd')\n"
        "def stepcredit_broken(layout, outcome):\n"
        "    if layout.R > 4: raise RuntimeError('no')\n"
        "    return outcome[layout.rollout] * 0\n"
    )
    return str(path)


def test_a_method_that_fails_is_a_row_and_a_run_goes_on_where_it_stopped(tmp_path, broken):
    settings = mdp.Settings(n=(2, 3), worlds=2, methods=("grpo", broken), draws=2)
    cells = mdp.cells(settings)
    assert len({cell.key for cell in cells}) == len(cells) == 2 * len(SETTINGS)
    head = {"suite": "mdp"}
    file = tmp_path / "store"
    measure(cells[:5], Store(file, head))
    again = []
    values = measure(cells, Store(file, head), advance=lambda: again.append(1))
    assert len(again) == len(cells) and values.keys() == {cell.key for cell in cells}
    for cell in cells[3:7]:
        np.testing.assert_equal(values[cell.key], cell.make())

    result = mdp.result(settings, values)
    rows = {(r["setting"], r["n"], r["method"]): r for r in result.rows}
    assert rows["5 det", 3, broken]["error"] == "RuntimeError: no" and "error" not in rows["5 det", 2, broken]
    assert rows["5 det", 2, broken]["pearson"] == rows["5 det", 2, broken]["pearson_undefined"] == 0
    assert all(-1 <= r["pearson"] <= 1 for r in result.rows if r["method"] == "random")
    assert rows["5 det", 3, "Monte Carlo, K=4"]["calls"] == 3 + 4 * 15
    missing = {name for name in REFERENCES if ("stop", 2, name) not in rows}
    assert missing == {"Monte Carlo, K=4", "Monte Carlo, K=16", "Jeffreys"}
    assert result.tables[-1].title == "Failed" and len(result.plots) == 2
    assert {r["against"] for r in result.more["paired"]} >= {"grpo", "random"}
    assert {r["method"] for r in result.more["paired"]} == {broken}
