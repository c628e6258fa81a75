"""Attribution: exact on linear worlds, cross-fitted, the official losses, hidden states of a real model."""

import numpy as np
import pytest
from model_standins import Table, batch

from stepcredit.data.batch import Batch
from stepcredit.data.records import Rollout, Step
from stepcredit.errors import DataError, MissingColumn, StepCreditError
from stepcredit.evidence import get
from stepcredit.evidence._regress import rd_loss, rrd_loss, sum_loss
from stepcredit.evidence.attribution import attribution, cost
from stepcredit.evidence.implicit_reward import implicit_reward
from stepcredit.llm import tiny

NAN = np.nan


def world(prompts=6, rollouts=4, seed=0, noise=0.0):
    """Rollouts whose outcome is the sum over steps of 2 a - b + 0.5, a and b columns."""
    random = np.random.default_rng(seed)
    records = [
        Rollout(group=g, rollout=f"{g}/{i}", task="Q", steps=[Step(text="s")] * int(random.integers(1, 5)))
        for g in range(prompts)
        for i in range(rollouts)
    ]
    b = Batch.from_records(records)
    ab = random.normal(size=(b.layout.S, 2))
    true = 2 * ab[:, 0] - ab[:, 1] + 0.5
    outcome = b.layout.total(true) + noise * random.normal(size=b.layout.R)
    return b.with_columns(a=ab[:, 0], b=ab[:, 1], true=true, outcome=outcome)


@pytest.mark.parametrize("folds", [1, 3])
@pytest.mark.parametrize("loss", ["sum", "rd"])
def test_a_linear_world_is_recovered(folds, loss):
    b = attribution(world(), None, columns=("a", "b"), folds=folds, loss=loss, penalty=1e-9)
    np.testing.assert_allclose(b["contribution"], b["true"], atol=1e-5)
    assert f"{folds} folds" in b.notes[-1]


def test_ridge_by_hand():
    # One feature 0 or 2 (mean 1, spread 1, so -1 or 1), two rollouts of one step, R = 0, 4; the mean is kept whole.
    two = batch(["x"], ["y"], outcomes=[0.0, 4.0]).with_columns(f=[0.0, 2.0])
    b = attribution(two, None, columns="f", folds=1, penalty=2.0)
    # (2 + 2) w = 4 - 0, so w = 1 in place of 2 without a penalty.
    np.testing.assert_allclose(b["contribution"], [2 - 1, 2 + 1])


def test_a_step_is_read_by_a_regressor_that_saw_no_outcome_of_its_prompt():
    base = world()
    plain = attribution(base, None, columns=("a", "b"), folds=6)["contribution"]
    other = np.where(base.layout.group == 2, 100.0, base["outcome"])
    moved = attribution(base.with_columns(outcome=other), None, columns=("a", "b"), folds=6)["contribution"]
    mine = base.layout.step_group == 2
    np.testing.assert_allclose(moved[mine], plain[mine], atol=1e-9)
    assert np.abs(moved[~mine] - plain[~mine]).max() > 1
    with pytest.raises(StepCreditError, match="needs two prompts"):
        attribution(batch(["x"], ["y"], outcomes=[0, 1]).with_columns(f=[0.0, 1.0]), None, columns="f")


def test_what_the_sum_misses_is_shared_by_the_steps():
    b = attribution(world(noise=1.0), None, columns=("a", "b"), residual="spread")
    np.testing.assert_allclose(b.layout.total(b["contribution"]), b["outcome"], atol=1e-9)
    left = attribution(world(noise=1.0), None, columns=("a", "b"))
    missed = left["outcome"] - left.layout.total(left["contribution"])
    want = left["contribution"] + (missed / left.layout.steps)[left.layout.rollout]
    np.testing.assert_allclose(b["contribution"], want)


def test_shared_steps_count_in_every_rollout_that_passes_them():
    steps = [Step(id="s", text="s"), Step(text="a")]
    tree = Batch.from_records(
        [
            Rollout(group=0, rollout=0, outcome=3.0, steps=steps),
            Rollout(group=0, rollout=1, outcome=1.0, prefix=["s"], steps=[Step(text="b")]),
            Rollout(group=0, rollout=2, outcome=0.0, steps=[Step(text="c")]),
        ]
    )
    tree = tree.with_columns(f=[[1, 0], [0, 1], [0, 0], [0, 0]], axis="S")
    b = attribution(tree, None, columns="f", folds=1, penalty=0.0)
    np.testing.assert_allclose(b.layout.total(b["contribution"]), [3, 1, 0], atol=1e-9)
    np.testing.assert_allclose(b["contribution"], [1, 2, 0, 0], atol=1e-9)


def test_unknown_outcomes_are_read_and_not_learned_from_and_unknown_features_not_judged():
    base = world()
    outcome = base["outcome"].copy()
    outcome[3] = NAN
    a = base["a"].copy()
    a[0] = NAN
    b = attribution(base.with_columns(outcome=outcome, a=a), None, columns=("a", "b"), penalty=1e-9)
    np.testing.assert_array_equal(np.isnan(b["contribution"]), np.arange(b.layout.S) == 0)
    np.testing.assert_allclose(b["contribution"][1:], base["true"][1:], atol=1e-5)
    spread = attribution(base.with_columns(outcome=outcome), None, columns=("a", "b"), residual="spread")
    np.testing.assert_array_equal(np.isnan(spread["contribution"]), base.layout.rollout == 3)


def test_features_by_a_function_of_the_step():
    right = tiny.data(60, seed=1, wrong=0.3)
    b = attribution(Batch.from_records(tiny.records(right)), None, features=lambda step: [calculates(step.text)])
    links = np.array([not s.text.startswith("#") for r in b.records for s in r.steps])
    good = np.array([calculates(s.text) for r in b.records for s in r.steps])
    assert b["contribution"][links & (good == 1)].mean() > b["contribution"][links & (good == 0)].mean() + 0.3
    with pytest.raises(DataError, match="as many for every step"):
        attribution(Batch.from_records(tiny.records(right)), None, features=lambda s: [0.0] * len(s.text))


def calculates(text):
    """1 unless the line is a wrong link."""
    if text.startswith("#"):
        return 1.0
    x, op, y, z = int(text[0]), text[1], int(text[2]), int(text[4])
    return float((x + y if op == "+" else x * y) % 10 == z)


# Executed: LaRe @332cbe9 mujoco/reward_model/rrd.py and RD.py update(), the draw replaced by steps 0 and 2.
R = np.array([[0.1, 0.2, 0.3], [0.4, 0.0, 0.2]])
OUT = np.array([3.0, 1.5])


def test_the_losses_are_those_of_the_official_code(torch):
    three, two = np.array([3.0, 3.0]), np.array([2.0, 3.0])
    as_they_are, as_tensors = (lambda x: x), torch.tensor
    for kind in (as_they_are, as_tensors):
        r, out, t = kind(R), kind(OUT), kind(three)
        assert float(rd_loss(r.sum(1), out, t)) == pytest.approx(0.365, abs=1e-12)
        assert float(rrd_loss(r[:, [0, 2]], out, t)) == pytest.approx(0.34, abs=1e-12)
        assert float(rrd_loss(r[:, [0, 2]], out, t, unbiased=True)) == pytest.approx(0.3366666665673257, abs=1e-8)
    assert float(rd_loss(np.array([0.3, 0.6]), OUT, two)) == pytest.approx(0.95625, abs=1e-12)
    assert sum_loss(np.array([0.9]), np.array([1.0])) == pytest.approx(0.01)  # SPA-RL's worked example


def test_the_unbiased_loss_averages_to_return_decomposition():
    from itertools import combinations

    random = np.random.default_rng(0)
    r, out, t = random.normal(size=(1, 5)), np.array([2.0]), np.array([5.0])
    for k in (2, 3, 4):
        draws = [rrd_loss(r[:, list(c)], out, t, unbiased=True) for c in combinations(range(5), k)]
        assert np.mean(draws) == pytest.approx(rd_loss(r.sum(1), out, t), abs=1e-12)
        plain = [rrd_loss(r[:, list(c)], out, t) for c in combinations(range(5), k)]
        assert np.mean(plain) > rd_loss(r.sum(1), out, t) + 1e-3


@pytest.mark.parametrize("loss", ["sum", "rd", "rrd", "rrd-unbiased"])
def test_a_network_learns_a_linear_world(torch, loss):
    b = world(prompts=10, rollouts=6)
    options = {"model": "mlp", "loss": loss, "sampled": 2, "epochs": 60, "lr": 0.02, "batch_size": 30, "folds": 2}
    made = attribution(b, None, columns=("a", "b"), **options)
    assert np.corrcoef(made["contribution"], b["true"])[0, 1] > 0.95
    again = attribution(b, None, columns=("a", "b"), **options)
    np.testing.assert_array_equal(made["contribution"], again["contribution"])
    other = attribution(b, None, columns=("a", "b"), **options, seed=1)
    assert not np.array_equal(made["contribution"], other["contribution"])


def test_draws_take_distinct_steps_where_there_are_enough(torch):
    from stepcredit.evidence._regress import _drawn

    drawn = _drawn(torch, torch.tensor([5.0, 3.0, 2.0]), 3).tolist()
    assert len(set(drawn[0])) == 3 and sorted(drawn[1]) == [0, 1, 2] and set(drawn[2]) <= {0, 1}
    many = _drawn(torch, torch.tensor([4.0] * 4000), 1)[:, 0]
    assert np.bincount(many.numpy(), minlength=4).min() > 850


def test_hidden_states_are_read_at_the_last_token():
    states = {"ab": np.array([[9.0], [0.0]]), "cd": np.array([[9.0], [1.0]]), "ef": None}
    table = Table(lambda p, c: states[c])
    two = Batch.from_records(
        [
            Rollout(group=g, rollout=g, task="Q", outcome=float(g), steps=[Step(text=t), Step(text="")])
            for g, t in enumerate(("ab", "cd", "ef"))
        ]
    )
    b = attribution(two, table, folds=1, penalty=0.0, columns=())
    assert np.isnan(b["contribution"]).all()  # a step without text is in every rollout
    one = Batch.from_records(
        [Rollout(group=g, rollout=g, task="Q", outcome=float(g), steps=[Step(text=t)]) for g, t in enumerate(states)]
    )
    b = attribution(one, table, folds=1, penalty=0.0)
    np.testing.assert_allclose(b["contribution"], [0, 1, NAN], atol=1e-9)
    assert cost(two).calls == {"hidden states": 3}


def test_what_is_missing_or_wrong_is_named():
    b = world()
    with pytest.raises(StepCreditError, match="needs features"):
        attribution(b, None)
    with pytest.raises(MissingColumn, match="'c'"):
        attribution(b, None, columns="c")
    with pytest.raises(StepCreditError, match="stands on"):
        attribution(b, None, columns="outcome")
    with pytest.raises(MissingColumn, match="outcome"):
        attribution(batch(["x"]).with_columns(f=[1.0]), None, columns="f")
    with pytest.raises(StepCreditError, match="loss='rd'"):
        attribution(b, None, columns="a", loss="rrd")
    with pytest.raises(StepCreditError, match="at least 2 steps"):
        attribution(b, None, columns="a", model="mlp", loss="rrd-unbiased", sampled=1)
    with pytest.raises(StepCreditError, match="folds"):
        attribution(b, None, columns="a", folds=0)


def test_no_known_outcome_teaches_nothing():
    b = attribution(world().with_columns(outcome=np.full(24, NAN)), None, columns="a")
    assert np.isnan(b["contribution"]).all()


def test_the_preset_reads_what_it_learned_from():
    assert get("attribution@spa-rl").options["folds"] == 1


def test_the_states_of_a_real_model_are_features_like_any_others(engine):
    base = Batch.from_records(tiny.records(tiny.data(12, seed=11, links=(2, 2), wrong=0.5)))
    before = [
        "\n".join((r.task, *(x.text for x in r.steps[:t]), "")) for r in base.records for t in range(len(r.steps))
    ]
    states = [z[-1] for z in engine.hidden_states(before, [s.text for r in base.records for s in r.steps])]
    want = attribution(base.with_columns(z=states, axis="S"), None, columns="z")["contribution"]
    np.testing.assert_allclose(attribution(base, engine.hidden_states)["contribution"], want, atol=1e-3)


def test_what_surprises_a_real_model_tells_where_chains_went_wrong(engine):
    chains = tiny.data(150, seed=11, links=(2, 2), wrong=0.25)
    b = implicit_reward(Batch.from_records(tiny.records(chains)), engine.forcer, None, against="uniform")
    b = attribution(b, None, columns="logratio")
    good = np.array([calculates(s.text) for r in b.records for s in r.steps])
    links = b.layout.paths.left > 0
    right, wrong = (b["contribution"][links & (good == g)].mean() for g in (1, 0))
    assert right > wrong + 0.2
