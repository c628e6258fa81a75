"""No alarm on clean batches: of every method of the house, of GRPO and GiGPO at random, of every convention."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lint_batches import padded

from stepcredit import credit, lint
from stepcredit.data.batch import Batch
from stepcredit.data.columns import TABLE
from stepcredit.ops import center
from stepcredit.testing import random_batch

EVERYTHING = credit.names(presets=True)
TIED = ("group", "batch", "rollout", "parent", "token_step", "token_row", "token_position", "weight", "reward")


def grave(report):
    return [str(f) for f in report.findings if f.severity != "info"]


def large(seed):
    """100 rollouts of 22 tasks with every column of the table."""
    batch = padded(seed, groups=20, size=(2, 8), lone=2).batch
    rng, columns = np.random.default_rng(seed), dict(batch.columns)
    for c in TABLE:
        if c.name not in TIED and c.name not in columns:
            n = getattr(batch.layout, c.axis)
            columns[c.name] = rng.integers(0, 5, n) / 4 if c.kind == "float" else rng.integers(0, 3, n)
    columns["token_logratio"] = rng.normal(size=batch.layout.K)
    return Batch(batch.layout, columns)


LARGE = [large(seed) for seed in range(3)]
SMALL = [random_batch(seed) for seed in range(25)]


@pytest.mark.parametrize("name", EVERYTHING)
def test_no_method_of_the_house_raises_an_alarm(name):
    for batch in [*LARGE, *SMALL]:
        report = lint.check(credit.assign(batch, name, reward="outcome"))
        assert not grave(report), f"{name}: {report}"


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    groups=st.integers(1, 30),
    lone=st.integers(0, 3),
    binary=st.booleans(),
    interleaved=st.booleans(),
    left=st.booleans(),
    method=st.sampled_from(["grpo", "dr_grpo", "rloo", "grpo@trl"]),
)
def test_grpo_tensors_raise_no_alarm_without_any_declaration(seed, groups, lone, binary, interleaved, left, method):
    p = padded(seed, groups=groups, lone=lone, binary=binary, interleaved=interleaved, left=left)
    report = lint.check(p.credit(method), p.mask, p.group_ids(), outcome=p.outcome, attention_mask=p.attention)
    assert not grave(report), report


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), groups=st.integers(1, 30), turns=st.integers(1, 8), declare=st.booleans())
def test_gigpo_tensors_raise_no_alarm(seed, groups, turns, declare):
    p = padded(seed, groups=groups, turns=(1 if declare else 2, turns + 1), lone=2 * declare)
    method = "gigpo" if declare else None
    ignore = () if declare else ("length_bias",)
    report = lint.check(
        p.credit("gigpo"), p.mask, p.group, outcome=p.outcome, turn_ids=p.turn, method=method, ignore=ignore
    )
    assert not grave(report), report


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_low_precision_is_no_fault(dtype):
    p = padded(3, groups=20, size=(8, 8), binary=False)
    adv = p.credit("grpo").astype(dtype)
    assert not grave(lint.check(adv, p.mask.astype(bool), p.group, outcome=p.outcome.astype(dtype)))


def test_step_rows_are_read_as_parts_of_rollouts():
    p = padded(4, turns=(1, 5))
    steps = p.batch.layout.steps
    rollout = np.repeat(np.arange(steps.size), steps)
    adv = center(p.outcome, p.group)[rollout]
    report = lint.check(adv, group=p.group[rollout], rollout=rollout, outcome=p.outcome[rollout], claims=["centered"])
    assert not grave(report)
    assert report.sizes["rollouts"] == steps.size
    assert {"mean_drift", "rows_counted_as_rollouts", "split_rollout"} <= set(report.ok)


def test_what_a_preset_declares_is_told_but_is_no_fault():
    p = padded(5, lone=3)
    report = lint.check(credit.assign(p.batch, "grpo@verl"))
    assert [f.severity for f in report.findings if f.name == "lone_rollout"] == ["info"]


def test_whitening_over_tokens_is_not_taken_for_a_lost_group():
    p = padded(6)
    on = p.mask == 1
    raw = p.rollout_credit(p.outcome)
    adv = np.where(on, (raw - raw[on].mean()) / raw[on].std(), 0)
    assert not grave(lint.check(adv, p.mask, p.group, outcome=p.outcome))


def test_bootstrapped_returns_are_not_checked_as_sums():
    p = padded(7)
    returns = np.random.default_rng(0).normal(size=p.mask.shape) * p.mask
    report = lint.check(p.credit("grpo"), p.mask, returns=returns, token_rewards=np.zeros(p.mask.shape))
    assert "discounted sums" in report.not_checked["return_cut_at_gap"]


def test_a_mean_over_equal_groups_of_a_batch_is_not_taken_for_groups_by_position():
    p = padded(8, size=(4, 4), binary=False)
    adv = p.rollout_credit(center(p.outcome))
    assert "position_groups" in lint.check(adv, p.mask, p.group, outcome=p.outcome).ok


def test_a_weak_trend_with_length_is_not_told():
    p = padded(9, groups=10, size=(5, 6))
    rng = np.random.default_rng(0)
    length = p.mask.sum(1)
    row = rng.normal(size=length.size) - 0.15 * (length - length.mean())
    assert "length_bias" in lint.check(p.rollout_credit(row), p.mask, p.group, outcome=p.outcome).ok


def test_a_baseline_per_turn_is_fair_where_all_rollouts_take_all_turns():
    p = padded(10, turns=(3, 3))
    lay = p.batch.layout
    score = np.random.default_rng(0).normal(size=lay.S)
    adv = p.spread(center(score, lay.step_group * 3 + lay.turn))
    report = lint.check(adv, p.mask, p.group, outcome=p.outcome)
    assert not grave(report) and "not all" in report.not_checked["turn_index_baseline"]
