import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepcredit import ops
from stepcredit.data import Batch
from stepcredit.envs import worlds
from stepcredit.envs.tabular import World, evaluate, even, mistakes, noisy_optimal, sample, slippery, tabulate, uniform
from stepcredit.errors import LayoutError, StepCreditError

TRUTH = ("value", "q", "advantage", "luck", "decision", "good")
seeds = st.integers(0, 2**32 - 1)
some = settings(deadline=None, max_examples=40)


def random_world(seed, name="random"):
    """Any shape: cycles, ends, missing actions and branches, a policy that never takes some actions."""
    rng = np.random.default_rng(seed)
    n, a, b = rng.integers(2, 5), rng.integers(1, 4), rng.integers(1, 3)
    chance = rng.dirichlet(np.ones(b), (n, a))
    can = rng.random((n, a)) < 0.7
    can[0, 0] = True
    chance[~can] = 0
    weight = can * rng.integers(0, 4, (n, a)) + 1e-3 * can * (rng.random((n, a)) < 0.5)
    weight[weight.sum(-1) == 0] = can[weight.sum(-1) == 0]
    policy = weight / np.maximum(weight.sum(-1, keepdims=True), 1e-300)
    to, reward = rng.integers(0, n, chance.shape), rng.normal(size=chance.shape)
    return World(name, chance, to, reward, policy, int(rng.integers(1, 5)))


def trajectories(world, state, left):
    """Every way to the end with a chance above 0: (chance, return, states passed)."""
    actions = np.flatnonzero(world.policy[state]) if left else []
    if not len(actions):
        yield 1.0, 0.0, (state,)
        return
    for a in actions:
        for b in np.flatnonzero(world.chance[state, a]):
            p = world.policy[state, a] * world.chance[state, a, b]
            for chance, total, states in trajectories(world, world.next_state[state, a, b], left - 1):
                yield p * chance, world.reward[state, a, b] + total, (state, *states)


def best_value(world, state, left):
    """The value of the best actions, by plain recursion."""
    can = np.flatnonzero(world.chance[state].sum(-1)) if left else []
    return max(
        (
            math.fsum(
                world.chance[state, a, b]
                * (world.reward[state, a, b] + best_value(world, world.next_state[state, a, b], left - 1))
                for b in np.flatnonzero(world.chance[state, a])
            )
            for a in can
        ),
        default=0.0,
    )


def extreme(world, state, left, pick):
    """The greatest (max) or least (min) return that some actions and some luck can bring."""
    ways = np.argwhere(world.chance[state] > 0) if left else []
    return pick(
        (world.reward[state, a, b] + extreme(world, world.next_state[state, a, b], left - 1, pick) for a, b in ways),
        default=0.0,
    )


@some
@given(seeds)
def test_values_are_those_of_all_trajectories(seed):
    world = random_world(seed)
    values = evaluate(world)
    ways = list(trajectories(world, world.start, world.horizon))
    assert math.fsum(p for p, _, _ in ways) == pytest.approx(1)
    for _, _, states in ways:
        for t, s in enumerate(states[: world.horizon]):
            if not world.ends[s]:
                assert not np.isnan(values.value[t, s])
    for t, s in np.argwhere(~np.isnan(values.value)):
        returns = math.fsum(p * total for p, total, _ in trajectories(world, s, world.horizon - t))
        assert values.value[t, s] == pytest.approx(returns, abs=1e-12)
        for a in np.flatnonzero(world.can[s]):
            always = replace(world, policy=np.where(world.can, even(world.chance), 0))
            always.policy[s] = np.eye(len(world.actions))[a]
            follow = math.fsum(
                world.chance[s, a, b] * (world.reward[s, a, b] + math.fsum(p * r for p, r, _ in ahead))
                for b in np.flatnonzero(world.chance[s, a])
                for ahead in [list(trajectories(world, world.next_state[s, a, b], world.horizon - t - 1))]
            )
            assert values.q[t, s, a] == pytest.approx(follow, abs=1e-12)
        assert np.isnan(values.q[t, s][~world.can[s]]).all()


@some
@given(seeds)
def test_best_values_are_those_of_the_best_actions(seed):
    world = random_world(seed)
    best = evaluate(world, best=True).value
    for t, s in np.argwhere(~np.isnan(best)):
        assert best[t, s] == pytest.approx(best_value(world, s, world.horizon - t), abs=1e-12)


@some
@given(seeds)
def test_advantages_are_zero_on_average_under_the_policy(seed):
    world = random_world(seed)
    advantage = evaluate(world).advantage
    np.testing.assert_allclose(np.nansum(advantage * world.policy, -1), 0, atol=1e-12)


@some
@given(st.lists(seeds, min_size=1, max_size=4, unique=True), st.integers(1, 5), st.integers(-2, 2))
def test_credit_and_luck_sum_to_the_outcome_minus_the_value_of_the_start(made, n, seed):
    many = [random_world(s, name=str(s)) for s in made]
    batch = sample(many, n, seed)
    lay = batch.layout
    start = np.repeat([evaluate(w).value[0, w.start] for w in many], n)
    total = lay.total(batch["truth.advantage"] + batch["truth.luck"])
    np.testing.assert_allclose(total, batch["outcome"] - start, atol=1e-12)
    if "reward" in batch:
        np.testing.assert_allclose(lay.total(batch["reward"]), batch["outcome"], atol=1e-12)
    for r, g in enumerate(lay.group.tolist()):
        assert 1 <= lay.steps[r] <= many[g].horizon


@some
@given(seeds)
def test_every_step_follows_the_tables(seed):
    world = random_world(seed)
    batch, values = sample([world], 6, seed), evaluate(world)
    lay = batch.layout
    label = [int(key) for key in batch.keys["state"]]
    action = [world.actions.index(key) for key in batch.keys["action"]]
    for i in range(lay.S):
        t, s, a = lay.turn[i], label[batch["state"][i]], action[batch["action"][i]]
        ahead = label[batch["next_state"][i]]
        assert world.policy[s, a] > 0
        assert ahead in world.next_state[s, a][world.chance[s, a] > 0]
        assert (batch["truth.value"][i], batch["truth.q"][i]) == (values.value[t, s], values.q[t, s, a])
        last = i in lay.last
        assert last == bool(world.ends[ahead] or t + 1 == world.horizon)
        assert ahead == label[batch["final_state"][lay.rollout[i]] if last else batch["state"][i + 1]]
    assert [label[s] for s in batch["root_state"]] == [world.start]


def test_values_agree_with_a_large_sample():
    n = 30_000
    family = worlds.get("layered")
    many = [noisy_optimal(family(seed=i, horizon=8, width=4, noise=0.3, dense=0.2)) for i in range(3)]
    batch = sample(many, n, seed=4)
    lay = batch.layout
    after = ops.returns(lay, batch["reward"])
    checked = 0
    for g, world in enumerate(many):
        value = evaluate(world).value[0, world.start]
        won = batch["outcome"][lay.group == g]
        assert abs(won.mean() - value) < 4.5 * won.std() / math.sqrt(n)
    cell = np.unique(
        np.stack([lay.step_group, lay.turn, batch["state"], batch["action"]]), axis=1, return_inverse=True
    )[1].ravel()
    count = np.bincount(cell)
    mean, q = (np.bincount(cell, x) / count for x in (after, batch["truth.q"]))
    sd = np.sqrt(np.bincount(cell, (after - mean[cell]) ** 2) / count)
    for c in np.flatnonzero((count >= 500) & (sd > 1e-6)):
        checked += 1
        assert abs(mean[c] - q[c]) < 5 * sd[c] / math.sqrt(count[c])
    assert checked > 100


def test_actions_and_branches_are_drawn_with_their_chance():
    policy, chance = np.array([0.5, 0.0, 0.3, 0.2]), np.array([0.1, 0.0, 0.9])
    tables = np.zeros((4, 4, 3))
    tables[0] = chance
    world = World(
        "one", tables, np.broadcast_to([1, 2, 3], tables.shape), 0 * tables, np.eye(4)[:, :1] * policy, horizon=1
    )
    n = 40_000
    batch = sample([world], n, seed=0)
    for column, wanted in (("action", policy), ("next_state", np.array([0, *chance]))):
        names = [int(key) for key in batch.keys[column]]
        share = np.bincount(np.array(names)[batch[column]], minlength=wanted.size) / n
        assert (share[wanted == 0] == 0).all()
        assert (np.abs(share - wanted) <= 4.5 * np.sqrt(wanted * (1 - wanted) / n)).all()


def rows(batch, g, n=None):
    """Truth of the first n rollouts of a task, and the keys of what was done."""
    mine = np.flatnonzero(batch.layout.group == g)[:n]
    steps = np.isin(batch.layout.rollout, mine)
    keyed = [[batch.keys[c][i] for i in batch[c][steps]] for c in ("state", "action", "next_state")]
    return keyed, [batch[f"truth.{name}"][steps].tolist() for name in TRUTH], batch["outcome"][mine].tolist()


def test_draws_depend_on_seed_and_world_alone_and_more_rollouts_append():
    family, other = worlds.get("layered"), worlds.get("ring")
    a, b = family(seed=0, horizon=7, noise=0.3), other(seed=1)
    both = sample([a, b], 5, seed=3)
    assert rows(both, 0) == rows(sample([a], 5, seed=3), 0)
    assert rows(both, 1) == rows(sample([b, a], 5, seed=3), 0)
    assert rows(both, 1) == rows(sample([a, b], 9, seed=3), 1, 5)
    assert rows(both, 0) != rows(sample([a, b], 5, seed=4), 0)
    assert rows(both, 0) != rows(sample([replace(a, name="other")], 5, seed=3), 0)


def test_batches_survive_records():
    many = [worlds.get(name)(seed=5) for name in ("handoff", "stop", "key_door")]
    batch = sample(many, 3, seed=0)
    again = Batch.from_records(batch.to_records())
    assert again.layout.group.tolist() == batch.layout.group.tolist()
    assert {c for c in batch.columns if c != "root_state"} <= set(again.columns)
    for g in range(3):
        assert rows(again, g) == rows(batch, g)
    np.testing.assert_array_equal(again["reward"], batch["reward"])


def test_a_world_whose_reward_comes_last_has_no_reward_column():
    last, way = worlds.get("all_of")(), worlds.get("stop")()
    assert "reward" not in sample([last], 2, seed=0)
    assert "reward" in sample([way], 2, seed=0) and "reward" in sample([last, way], 2, seed=0)


def test_good_steps_keep_the_best_return_and_decisions_can_lose_it():
    batch = sample([worlds.get("all_of")(horizon=4, at=(0, 2))], 50, seed=0)
    lay, credit = batch.layout, batch["truth.advantage"]
    lost = np.array(["lost" in key for key in batch.keys["state"]])[batch["state"]]
    np.testing.assert_array_equal(batch["truth.decision"] > 0, (lay.turn < 3) & ~lost)
    matters = np.isin(lay.turn, (0, 2)) & ~lost
    np.testing.assert_array_equal(batch["truth.good"][matters] > 0, credit[matters] > 0)
    assert batch["truth.good"][~matters].all()


@some
@given(seeds)
def test_decisions_and_good_steps_are_those_of_the_extreme_returns(seed):
    world = random_world(seed)
    world = replace(world, reward=np.round(world.reward))
    batch = sample([world], 4, seed)
    lay, label = batch.layout, [int(key) for key in batch.keys["state"]]
    reward = batch["reward"] if "reward" in batch else ops.at_last(lay, batch["outcome"])
    for i in range(lay.S):
        left, s, ahead = world.horizon - lay.turn[i], label[batch["state"][i]], label[batch["next_state"][i]]
        top, bottom = (extreme(world, s, left, pick) for pick in (max, min))
        assert batch["truth.decision"][i] == (top > bottom)
        assert batch["truth.good"][i] == (reward[i] + extreme(world, ahead, left - 1, max) == top)


def test_noisy_optimal_is_a_softmax_over_the_best_values():
    world = worlds.get("layered")(seed=2, horizon=5, noise=0.2, dense=0.5)
    best = evaluate(world, best=True).q
    warm = noisy_optimal(world, 0.3, discount=1.0)
    for t, s in np.argwhere(~np.isnan(best[..., 0])):
        weight = np.exp(best[t, s] / 0.3)
        np.testing.assert_allclose(warm.policy[s], weight / weight.sum(), rtol=1e-9)
    np.testing.assert_array_equal(warm.policy[world.ends], 0)


def test_mistakes_go_from_the_best_policy_to_the_uniform_one():
    world = worlds.get("layered")(seed=2, horizon=5, noise=0.2)
    best, s = evaluate(world, best=True).value[0, world.start], world.start
    assert evaluate(mistakes(world, 0, discount=1)).value[0, s] == pytest.approx(best, abs=1e-12)
    np.testing.assert_allclose(mistakes(world, 1).policy, uniform(world).policy)
    half = 0.5 * mistakes(world, 0).policy + 0.5 * even(world.chance)
    np.testing.assert_allclose(mistakes(world, 0.5).policy, half)
    one = tabulate(
        "one", 0, lambda s: {a: [(1.0, 1, r)] for a, r in (("x", 1), ("y", 1), ("z", 0))} if s == 0 else {}, 1
    )
    np.testing.assert_allclose(mistakes(one, 0.3).policy[0], [0.45, 0.45, 0.1])


def test_the_discount_makes_policies_hurry():
    ring = worlds.get("ring")(seed=0, slip=0.0, length=8)
    at = ring.labels.index("place 1")
    fast = noisy_optimal(ring, 0.01, discount=0.9).policy[at]
    assert sorted(np.round(fast, 3)) == [0, 1]
    np.testing.assert_allclose(noisy_optimal(ring, 0.01, discount=1.0).policy[at], 0.5)


@some
@given(seeds, st.floats(0, 1))
def test_slips_mix_what_the_actions_do(seed, slip):
    world = random_world(seed)
    slid = slippery(world, slip)

    def to(w, s, a):
        return np.bincount(w.next_state[s, a], w.chance[s, a], minlength=len(w.labels))

    for s, a in np.argwhere(world.can):
        others = [to(world, s, o) for o in np.flatnonzero(world.can[s]) if o != a]
        wanted = (1 - slip) * to(world, s, a) + slip * np.mean(others, 0) if others else to(world, s, a)
        np.testing.assert_allclose(to(slid, s, a), wanted, atol=1e-12)
    np.testing.assert_array_equal(slid.can, world.can)


def two_states(**changed):
    tables = {
        "chance": [[[1.0], [1.0]], [[0.0], [0.0]]],
        "next_state": [[[1], [1]], [[0], [0]]],
        "reward": [[[1.0], [0.0]], [[0.0], [0.0]]],
        "policy": [[0.5, 0.5], [0.0, 0.0]],
        "horizon": 1,
        "labels": ("here", "end"),
        "actions": ("win", "lose"),
    }
    return World("two", **{**tables, **changed})


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"chance": [[[0.9], [1.0]], [[0.0], [0.0]]]}, "chance of action 'win' in state 'here'.*0.9.*sum of 1"),
        ({"chance": [[[1.0], [np.nan]], [[0.0], [0.0]]]}, "chance of action 'lose'.*nan"),
        ({"chance": [[1.0, 1.0]]}, r"\[states, actions, branches\]"),
        ({"next_state": [[[1], [2]], [[0], [0]]]}, r"next_state of action 'lose'.*states in 0\.\.1"),
        ({"next_state": [[[1.0], [1.0]], [[0.0], [0.0]]]}, "must hold integers"),
        ({"reward": [[[np.inf], [0.0]], [[0.0], [0.0]]]}, "reward of action 'win'.*finite"),
        ({"reward": [[[1.0]], [[0.0]]]}, r"reward must have shape \(2, 2, 1\)"),
        ({"policy": [[0.5, 0.4], [0.0, 0.0]]}, "policy in state 'here' sums to 0.9, expected 1"),
        ({"policy": [[1.5, -0.5], [0.0, 0.0]]}, "policy of action 'lose' in state 'here': got -0.5"),
        ({"policy": [[0.5, 0.5], [1.0, 0.0]]}, "policy of action 'win' in state 'end'.*cannot be taken"),
        ({"policy": [[np.nan, 0.5], [0.0, 0.0]]}, "policy of action 'win'.*nan"),
        ({"horizon": 0}, "horizon=0"),
        ({"start": 1}, "start=1"),
        ({"start": 2}, "start=2"),
        ({"labels": ("here",)}, "labels must hold 2 names; got 1"),
        ({"actions": ("x", "x")}, "two actions have one name"),
        ({"agents": ("a",)}, "agents must hold 2 names; got 1"),
    ],
)
def test_tables_that_are_no_world_are_refused(changed, says):
    assert evaluate(two_states()).value[0, 0] == 0.5
    with pytest.raises(StepCreditError, match=f"(?s)two: .*{says}"):
        two_states(**changed)


def test_options_out_of_range_are_refused():
    world = two_states()
    for wrong in (lambda: sample([], 1, 0), lambda: sample([world], 0, 0), lambda: slippery(world, 1.5)):
        with pytest.raises(StepCreditError):
            wrong()
    for wrong in (lambda: mistakes(world, -0.1), lambda: noisy_optimal(world, 0), lambda: mistakes(world, discount=0)):
        with pytest.raises(StepCreditError):
            wrong()
    with pytest.raises(StepCreditError, match="two worlds are named 'two'"):
        sample([world, world], 1, 0)
    with pytest.raises(LayoutError):
        two_states(actions=("win",))
