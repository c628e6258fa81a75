import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepcredit.envs import worlds
from stepcredit.envs.tabular import evaluate, noisy_optimal, sample
from stepcredit.envs.worlds._chain import right_actions
from stepcredit.errors import StepCreditError, UnknownName

each = pytest.mark.parametrize("name", worlds.names())


def value(world):
    return float(evaluate(world).value[0, world.start])


def credits(world, bits):
    """Exact credit along the path that is right where a bit is 1; and its outcome. Two actions, deterministic."""
    right, advantage = right_actions(0, len(bits), 2), evaluate(world).advantage
    s, credit, total = world.start, [], 0.0
    for t, bit in enumerate(bits):
        a = right[t] if bit else 1 - right[t]
        credit.append(float(advantage[t, s, a]))
        total += world.reward[s, a, 0]
        s = world.next_state[s, a, 0]
    return credit, total


@pytest.mark.parametrize(
    ("name", "options", "start", "bits", "wanted", "outcome"),
    [
        ("threshold", {"weights": (2, 1, -1, 1)}, 0.5, (1, 1, 1, 1), [0.375, 0.125, 0, 0], 1),
        ("threshold", {"weights": (2, 1, -1, 1)}, 0.5, (0, 1, 0, 1), [-0.375, 0.125, 0.25, 0.5], 1),
        ("threshold", {"weights": (2, 1, -1, 1)}, 0.5, (0, 1, 1, 1), [-0.375, 0.125, -0.25, 0], 0),
        ("threshold", {"weights": (1, 1)}, 0.75, (1, 0), [0.25, 0], 1),
        ("threshold", {"weights": (1, 1), "level": 1}, 0.25, (1, 0), [0.25, -0.5], 0),
        ("all_of", {"horizon": 3, "at": (1,)}, 0.5, (0, 1, 0), [0, 0.5, 0], 1),
        ("all_of", {"horizon": 3, "at": (1,)}, 0.5, (1, 0, 1), [0, -0.5, 0], 0),
        ("all_of", {"horizon": 3}, 0.125, (1, 1, 1), [0.125, 0.25, 0.5], 1),
        ("all_of", {"horizon": 3}, 0.125, (1, 0, 1), [0.125, -0.25, 0], 0),
        ("any_of", {"horizon": 3, "at": (0, 1, 2)}, 0.875, (0, 0, 0), [-0.125, -0.25, -0.5], 0),
        ("any_of", {"horizon": 3, "at": (0, 1, 2)}, 0.875, (0, 1, 0), [-0.125, 0.25, 0], 1),
        ("all_of", {"horizon": 3, "at": (0, 2)}, 0.25, (0, 1, 1), [-0.25, 0, 0], 0),  # an early trap
        ("all_of", {"horizon": 3, "at": (0, 2)}, 0.25, (1, 0, 1), [0.25, 0, 0.5], 1),
        ("any_of", {"horizon": 3, "at": (0, 1)}, 0.75, (0, 1, 0), [-0.25, 0.5, 0], 1),  # a recovered error
    ],
)
def test_bifurcations_have_the_credit_computed_by_hand(name, options, start, bits, wanted, outcome):
    world = worlds.get(name)(**options)
    assert value(world) == pytest.approx(start)
    credit, total = credits(world, bits)
    assert (credit, total) == (pytest.approx(wanted), outcome)


@each
def test_worlds_come_from_their_seed_and_are_worth_sampling(name):
    family = worlds.get(name)
    world, again, other = family(seed=3), family(seed=3), family(seed=4)
    for table in ("chance", "next_state", "reward", "policy"):
        np.testing.assert_array_equal(getattr(world, table), getattr(again, table))
    assert world.name == f"{name}/3" != other.name
    assert family().name == f"{name}/0"
    batch = sample([family(seed=i) for i in range(6)], 30, seed=0)
    assert len(set(batch["outcome"].tolist())) > 1
    assert (np.abs(batch["truth.advantage"]) > 1e-9).mean() > 0.05
    np.testing.assert_allclose(world.policy[~world.ends].sum(-1), 1)


@each
@settings(deadline=None, max_examples=8)
@given(seed=st.integers(0, 10**6))
def test_worlds_hold_the_credit_identity(name, seed):
    world = worlds.get(name)(seed=seed)
    batch = sample([world], 5, seed=seed)
    total = batch.layout.total(batch["truth.advantage"] + batch["truth.luck"])
    np.testing.assert_allclose(total, batch["outcome"] - value(world), atol=1e-10)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("all_of", {"at": (5,)}),
        ("all_of", {"at": ()}),
        ("any_of", {"actions": 1}),
        ("threshold", {"weights": (0.5,)}),
        ("aliased", {"shown": 5}),
        ("bandit", {"arms": 1}),
        ("bandit", {"horizon": 0}),
        ("dead_end", {"dead": 1.5}),
        ("layered", {"wins": 1.0}),
        ("layered", {"width": 1}),
        ("key_door", {"size": 1}),
        ("ring", {"length": 2}),
        ("search", {"at": 5}),
        ("search", {"horizon": 1}),
        ("handoff", {"agents": ("one",)}),
        ("stop", {"horizon": 0}),
    ],
)
def test_options_that_make_no_world_are_refused(name, options):
    with pytest.raises(StepCreditError):
        worlds.get(name)(**options)


def test_unknown_families_name_the_nearest():
    with pytest.raises(UnknownName, match="layered"):
        worlds.get("layred")


def test_aliased_states_look_alike_and_differ_in_value():
    world = worlds.get("aliased")(horizon=6, shown=2)
    values = evaluate(world).value
    for t in range(1, 6):
        here = np.flatnonzero(~np.isnan(values[t]))
        assert sorted(values[t, here]) == [0, 0.5]
        assert len({world.labels[s] for s in here}) == (2 if t <= 2 else 1)
    batch = sample([world], 40, seed=0)
    late = batch.layout.turn == 4
    assert len(set(batch["state"][late])) == 1 and len(set(batch["truth.value"][late])) == 2


def test_a_bandit_credits_its_first_step_alone():
    world = worlds.get("bandit")(seed=1, horizon=4)
    batch = sample([world], 200, seed=0)
    lay, credit = batch.layout, batch["truth.advantage"]
    assert np.abs(credit[lay.turn > 0]).max() < 1e-12
    arm = np.array([batch.keys["action"][i] for i in batch["action"][lay.turn == 0]])
    chances = np.random.default_rng(1).random(3)
    for i, p in enumerate(chances):
        np.testing.assert_allclose(credit[lay.turn == 0][arm == f"arm {i}"], p - chances.mean(), atol=1e-12)
    assert not batch["truth.luck"][lay.turn < 3].round(12).any()


def test_dead_rooms_have_no_way_out_and_other_rooms_one():
    world = worlds.get("dead_end")(seed=2, dead=0.6)
    best = evaluate(world, best=True).value
    dead = np.array(["dead" in label for label in world.labels])
    for t, s in np.argwhere(~np.isnan(best)):
        assert best[t, s] == (0 if dead[s] else 1)


def test_only_looking_where_the_answer_is_earns_credit_before_the_answer():
    world = worlds.get("search")(at=2, horizon=5, answers=4, epsilon=0.2)
    advantage = evaluate(world).advantage
    look = world.actions.index("look")
    for t in range(4):
        unknown = world.labels.index(f"step {t}, nothing known")
        # pi(right) = .8 + .2 / 4 once known, 1/4 else; both before the last step are best with chance .5 or more
        p = world.policy[unknown, look]
        wanted = (1 - p) * (0.85 - 0.25) if t == 2 else 0
        assert advantage[t, unknown, look] == pytest.approx(wanted, abs=1e-12)


def test_a_handoff_names_its_agents_and_the_reviewer_mends():
    world = worlds.get("handoff")(seed=0, agents=("a", "b", "c"), turns=2)
    batch = sample([world], 4, seed=0)
    who = [batch.keys["agent"][i] for i in batch["agent"]]
    assert who == ["a", "a", "b", "b", "c", "c"] * 4
    advantage, careful = evaluate(world).advantage, world.actions.index("careful")
    faulty, clean = world.labels.index("step 5, 1 faults"), world.labels.index("step 5, 0 faults")
    assert advantage[5, faulty, careful] == pytest.approx(0.5) and advantage[5, clean, careful] == 0


def test_a_ring_comes_back_to_places_whose_value_falls_with_the_steps_left():
    world = worlds.get("ring")(seed=0, length=6, horizon=9)
    values = evaluate(world).value
    assert np.all(np.diff(values[::2, world.start]) < 0)
    batch = sample([world], 20, seed=0)
    again = [len(set(batch["state"][batch.layout.rollout == r])) < batch.layout.steps[r] for r in range(20)]
    assert any(again)


def test_the_key_opens_the_door():
    world = worlds.get("key_door")(seed=0, key=0.25, temperature=0.02)
    batch = sample([world], 20, seed=0)
    lay = batch.layout
    assert np.median(batch["outcome"]) == 1.25
    key = np.array(["key" in str(k) for k in batch.keys["state"]])
    taken = ~key[batch["state"]] & key[batch["next_state"]]
    np.testing.assert_array_equal(batch["reward"] >= 0.25, taken | (batch["reward"] >= 1))
    won = batch["outcome"] > 1
    assert key[batch["final_state"][won]].all() and (lay.steps[~won] == world.horizon).all()


@pytest.mark.parametrize("options", [{}, {"noise": 0.3}, {"noise": 0.3, "reach": None}, {"width": 50, "dense": 1.0}])
def test_layered_worlds_lead_one_layer_on(options):
    world = worlds.get("layered")(seed=1, horizon=6, **options)
    layer = np.array([int(label.split(":")[0]) for label in world.labels])
    place = np.array([int(label.split(":")[1]) for label in world.labels])
    s, a, b = np.nonzero(world.chance)
    ahead = world.next_state[s, a, b]
    np.testing.assert_array_equal(layer[ahead], layer[s] + 1)
    assert world.ends.sum() == (layer == 6).sum()
    if options.get("reach", 1) == 1:
        assert np.abs(place[ahead] - place[s]).max() == 1
    assert world.chance.shape[2] == (3 if "noise" in options else 1)
    assert world.dense == ("dense" in options)


def test_sampling_many_worlds_is_fast():
    many = [noisy_optimal(worlds.get("layered")(seed=i, noise=0.2)) for i in range(300)]
    start = time.perf_counter()
    batch = sample(many, 32, seed=0)
    assert batch.layout.S == 300 * 32 * 20
    assert time.perf_counter() - start < 2
