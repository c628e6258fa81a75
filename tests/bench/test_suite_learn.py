"""One loop, many credits: what the figures rest on."""

import numpy as np
import pytest

from stepcredit.bench.learning import TablePolicy, Tasks, columns, compact, credit_of, learn, play, warm
from stepcredit.bench.suites import learn as suite
from stepcredit.bench.suites._collapse import collapse
from stepcredit.bench.suites._learned import learned
from stepcredit.envs import tabular, text


def tasks(count=3, told=True, **options):
    world = text.get("key_door_rooms")(size=2, horizon=10, **options)
    return Tasks("rooms", [compact(world.table(i)) for i in range(count)], told)


def softmax_policy(some, seed=0):
    return TablePolicy(some, 1.0, warm(some, 0.2, seed))


def test_the_start_has_the_success_that_was_asked_for():
    some = tasks()
    value, _, success = some.exact(softmax_policy(some).table())
    np.testing.assert_allclose(value[0, some.table.start], 0.2, atol=1e-4)
    assert success == pytest.approx(0.2, abs=1e-4)


def test_fewer_actions_are_the_same_world():
    world = text.get("chain_arithmetic")().table(0)
    small = compact(world)
    assert small.chance.shape[1] == 10 < world.chance.shape[1]
    for best in (False, True):
        assert tabular.evaluate(small, best=best).value[0, 0] == pytest.approx(
            tabular.evaluate(world, best=best).value[0, 0]
        )


def test_rollouts_have_the_exact_mean_and_are_sorted():
    some, n = tasks(), 2000
    policy = softmax_policy(some)
    walk = play(some, policy, n, np.random.default_rng(0))
    batch = columns(some, walk, n)
    mean = batch["outcome"].reshape(3, n).mean(1)
    np.testing.assert_allclose(mean, 0.2, atol=5 * np.sqrt(0.16 / n))
    assert (np.diff(walk.rollout) >= 0).all()
    inside = np.diff(walk.rollout) == 0
    assert (walk.next_state[:-1][inside] == walk.state[1:][inside]).all()


def test_the_update_is_the_gradient_of_the_expected_outcome():
    """With the exact advantage as credit the mean update is the gradient of V, by finite differences."""
    some = tasks(1)
    policy = TablePolicy(some, 1.0, warm(some, 0.3, 1))
    start, n, random = policy.logit.copy(), 20_000, np.random.default_rng(2)
    walk = play(some, policy, n, random)
    batch = columns(some, walk, n)
    credit = credit_of("oracle", some, batch, walk, policy, None, random)
    scale = np.sqrt(np.mean(credit**2))
    policy.improve(walk, credit, n)
    update = np.where(some.can, policy.logit - np.where(some.can, start, 0.0), 0.0) * scale
    states = np.argsort(-np.bincount(walk.state, minlength=start.shape[0]))[:4]
    for s in states.tolist():
        for a in np.flatnonzero(some.can[s]).tolist():
            values = []
            for step in (1e-4, -1e-4):
                policy.logit = start.copy()
                policy.logit[s, a] += step
                values.append(some.exact(policy.table())[2])
            assert update[s, a] == pytest.approx((values[0] - values[1]) / 2e-4, abs=0.01)


def test_states_not_told_are_met_once_but_for_the_prompt():
    some = tasks(2, told=False)
    walk = play(some, softmax_policy(some), 8, np.random.default_rng(0))
    batch = columns(some, walk, 8)
    later = walk.time > 0
    assert np.unique(batch["state"][later]).size == later.sum()
    assert np.unique(batch["state"][~later]).size == 2
    lay = batch.layout
    inside = lay.previous >= 0
    assert (batch["state"][inside] == batch["next_state"][lay.previous[inside]]).all()


@pytest.mark.parametrize("method", suite.METHODS)
def test_every_credit_learns(method):
    some = tasks()
    curve = learn(some, softmax_policy(some), method, n=8, seed=0, rollouts=1200)
    assert curve.success[0] == pytest.approx(0.2, abs=1e-4)
    assert curve.success[-1] > 0.4
    assert len(curve.success) == len(curve.rollouts) == len(curve.seconds)
    assert curve.rollouts[-1] == 1200


def test_equal_seeds_give_equal_runs():
    some = tasks()
    one, two = (learn(some, softmax_policy(some), "gigpo", n=4, seed=3, rollouts=240).success for _ in range(2))
    assert one == two


def test_the_known_collapse_is_one_and_the_linter_sees_it():
    found = collapse(0)
    ignored = found["steps, missing = left out"]
    assert ignored["end"] < 0.1 * ignored["start"]
    assert "unjudged_pays" in ignored["linter"]
    for name, one in found.items():
        if "left out" not in name:
            assert one["end"] > 2 * one["start"], name
            assert "unjudged_pays" not in one["linter"]


def run(success):
    points = len(success)
    return {
        "success": success,
        "rollouts": [10 * i for i in range(points)],
        "seconds": [float(i) for i in range(points)],
        "credit_seconds": 0.1 * (points - 1),
    }


def test_figures_of_made_up_curves():
    slow, fast = [run([0.0, 0.1, 0.2, 0.3, 0.4])] * 3, [run([0.0, 0.4, 0.5, 0.5, 0.5])] * 3
    found = learned({"grpo": slow, "salt": fast}, smooth=1, oracle="oracle")
    assert found["salt"].share.value == 0.25  # grpo's end, .4, at 10 of 40 rollouts
    assert found["grpo"].share.value == 1
    assert found["salt"].to_most.value == 10  # 80% of .5
    assert found["salt"].seconds.value == 1
    assert found["grpo"].to_most.value == 40
    assert found["grpo"].credit == pytest.approx(0.1)


def test_what_is_not_reached_is_infinite_and_none_for_machines():
    found = learned({"grpo": [run([0.0, 1.0])] * 2, "rloo": [run([0.0, 0.5])] * 2}, smooth=1, oracle="oracle")
    assert found["rloo"].share.value == np.inf
    assert found["rloo"].row()["share"] is None


def test_the_oracle_is_not_the_best():
    runs = {"grpo": [run([0.0, 0.5])] * 2, "oracle": [run([0.0, 1.0])] * 2}
    assert learned(runs, smooth=1, oracle="oracle")["grpo"].to_most.value == 10


def test_a_transformer_learns_and_its_replies_are_actions(transformers):
    """Imitation, then the update raises the chance of what had credit."""
    from stepcredit.bench.learning_model import ModelPolicy, Texts

    world = text.get("key_door_rooms")(size=2, horizon=10)
    texts = Texts(world, range(2))
    some = Tasks("rooms", texts.tables)
    policy = ModelPolicy(some, texts, seed=0, width=32, layers=1, rate=3e-3)
    policy.imitate(60, 0, wrong=0.0, batch=32)
    walk = play(some, policy, 8, np.random.default_rng(0))
    assert (walk.action >= 0).mean() > 0.5
    assert len(policy.replies) == walk.state.size
    wrong = walk.action < 0
    for i in np.flatnonzero(~wrong)[:20].tolist():
        names = texts.names[walk.state[i]]
        assert names[policy.replies[walk.place[i]]] == walk.action[i]
    row = [(int(walk.state[0]), policy.replies[walk.place[0]], 1.0)]
    before = policy.logp(row).item()
    credit = np.zeros(walk.state.size)
    credit[0] = 1.0
    policy.improve(walk, credit, 16)
    assert policy.logp(row).item() > before
    assert policy.replies == []


def test_sampled_chances_are_those_of_the_update(transformers):
    """Log-probabilities with a cache over shared prompts are those of the training pass."""
    import torch

    from stepcredit.bench.learning_model import END, ModelPolicy, Texts

    texts = Texts(text.get("frozen_lake")(size=2, holes=0.0), range(3))
    some = Tasks("lake", texts.tables)
    policy = ModelPolicy(some, texts, seed=1, width=32, layers=1)
    state = np.repeat(some.table.start, 400)
    policy.act(state, np.random.default_rng(0))
    counts: dict = {}
    for s, reply in zip(state.tolist(), policy.replies, strict=True):
        if reply[-1] == END:
            counts[s, reply] = counts.get((s, reply), 0) + 1
    rows = [(s, reply, 1.0) for s, reply in counts]
    with torch.no_grad():
        chance = policy.logp(rows).exp().numpy()
    seen = np.array(list(counts.values())) / 400
    assert np.abs(seen - chance).max() < 5 * np.sqrt(0.25 / 400)
    assert np.corrcoef(seen, chance)[0, 1] > 0.5
