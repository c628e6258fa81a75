"""Credit methods on worlds whose truth is known: what is unbiased, and what only looks so."""

import math

import numpy as np
import pytest

from stepcredit import ops
from stepcredit.credit import assign
from stepcredit.envs import worlds
from stepcredit.envs.tabular import evaluate, noisy_optimal, sample


@pytest.fixture(scope="module")
def noisy():
    family = worlds.get("layered")
    many = [noisy_optimal(family(seed=i, horizon=10, noise=0.3, dense=0.3)) for i in range(40)]
    batch = sample(many, 200, seed=1)
    return batch.with_columns(value=batch["truth.value"])


def test_returns_minus_exact_values_have_no_bias(noisy):
    lay = noisy.layout
    error = assign(noisy, "gae", lam=1.0, reward="reward").values - noisy["truth.advantage"]
    for t in range(10):
        here = error[lay.turn == t]
        assert abs(here.mean()) < 4 * here.std() / math.sqrt(here.size)
        assert here.std() > 0.1
    for keep in (noisy["truth.advantage"] > 0.05, noisy["truth.advantage"] < -0.05):
        total = lay.total(error * keep)  # steps of one rollout share its luck: rollouts are what is independent
        assert abs(total.mean()) < 4 * total.std() / math.sqrt(total.size)


def test_one_step_of_exact_values_is_credit_plus_luck(noisy):
    credit = assign(noisy, "gae", lam=0.0, reward="reward").values
    np.testing.assert_allclose(credit, noisy["truth.advantage"] + noisy["truth.luck"], atol=1e-12)


def test_the_group_baseline_is_biased_where_the_truth_says_so():
    batch = sample([worlds.get("bandit")(seed=0)], 4000, seed=0)
    lay, credit = batch.layout, assign(batch, "grpo", spread="none").values
    exact = batch["truth.advantage"]
    first = credit[lay.turn == 0] - exact[lay.turn == 0]
    assert abs(first.mean()) < 4 * first.std() / math.sqrt(first.size)
    arms, last = batch["action"][lay.turn == 0], credit[lay.turn == 5]
    assert np.abs(exact[lay.turn == 5]).max() < 1e-12
    assert max(abs(last[arms == a].mean()) for a in set(arms)) > 0.1


def gaps(world, batch, credit):
    """Per turn that has a choice: mean credit of "more" minus that of "stop", and its standard error."""
    lay, more = batch.layout, np.array([key == "more" for key in batch.keys["action"]])[batch["action"]]
    for t in range(world.horizon - 1):
        a, b = credit[(lay.turn == t) & more], credit[(lay.turn == t) & ~more]
        yield a.mean() - b.mean(), math.sqrt(a.var() / a.size + b.var() / b.size)


def at(values, world, t, action):
    return float(values.q[t, world.labels.index(f"turn {t}"), world.actions.index(action)])


@pytest.mark.parametrize("seed", range(4))
def test_a_baseline_per_turn_index_punishes_going_on_by_the_rewards_on_the_way(seed):
    """Rewards on the way centered per turn index and the end by the group, as multi-turn trainers do."""
    family = worlds.get("stop")
    world, way = family(seed=seed), evaluate(family(seed=seed, final=0.0))
    batch = sample([world], 60_000, seed=0)
    lay, exact = batch.layout, evaluate(world)
    more = np.array([key == "more" for key in batch.keys["action"]])[batch["action"]]
    centered = np.where(more, batch["reward"], np.nan)
    centered = np.nan_to_num(ops.center(centered, lay.turn, spread="none"))
    end = lay.total(np.where(more, 0.0, batch["reward"]))
    credit = ops.returns(lay, centered) + (end - end.mean())[lay.rollout]
    right = ops.returns(lay, batch["reward"]) - batch["truth.value"]

    assert abs(centered.mean()) < 1e-12  # it looks centered
    biased, unbiased = list(gaps(world, batch, credit)), list(gaps(world, batch, right))
    for t in range(world.horizon - 1):
        true = at(exact, world, t, "more") - at(exact, world, t, "stop")
        bonus = at(way, world, t, "more")
        assert bonus == pytest.approx(on_the_way(world, t), abs=1e-12) and bonus > 0
        assert abs(unbiased[t][0] - true) < 5 * unbiased[t][1]
        assert abs(biased[t][0] - (true - bonus)) < 8 * biased[t][1]
        assert bonus > 16 * biased[t][1]  # the sample is large enough to see it


def on_the_way(world, t):
    """Expected rewards of going on from taking "more" at turn t, without the end's, by hand."""
    more, total, reach = world.actions.index("more"), 0.0, 1.0
    for k in range(t, world.horizon - 1):
        s = world.labels.index(f"turn {k}")
        total += reach * float(world.chance[s, more] @ world.reward[s, more])
        reach *= 0.5
    return total


def test_the_turn_index_baseline_can_turn_the_sign():
    family = worlds.get("stop")
    world = family(seed=0)
    exact, way = evaluate(world), evaluate(family(seed=0, final=0.0))
    true = at(exact, world, 0, "more") - at(exact, world, 0, "stop")
    assert true > 1 and true - at(way, world, 0, "more") < -0.2
