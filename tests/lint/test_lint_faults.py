"""Each public bug, rebuilt as a fault in a clean batch, is caught by its rule and by none that has no part in it."""

import numpy as np
import pytest
from lint_batches import padded

from stepcredit import lint
from stepcredit.ops import cells, center

FAULTS = {}


def fault(rule, *implied):
    """A function that returns arguments of `check`; its parameter `broken` False gives the clean twin."""

    def register(function):
        FAULTS[function.__name__] = (rule, set(implied), function)
        return function

    return register


def grave(report):
    return {f.name for f in report.findings if f.severity != "info"}


def told(p, **more):
    return {"response_mask": p.mask, "group": p.group_ids(), "outcome": p.outcome, **more}


def last_sampled(p):
    return p.mask.shape[1] - 1 - np.argmax(p.mask[:, ::-1], axis=1)


def at_last(p):
    reward = np.zeros(p.mask.shape)
    reward[np.arange(len(reward)), last_sampled(p)] = p.outcome
    return reward


def returns(p, reward, gamma=1.0, *, over_gaps="carry"):
    out, run = np.zeros(reward.shape), np.zeros(len(reward))
    for t in reversed(range(reward.shape[1])):
        on = p.mask[:, t] == 1
        here = reward[:, t] + gamma * run
        out[:, t] = np.where(on, here, 0)
        off = {"carry": run, "cut": 0 * run, "decay": gamma * run, "leak": here}[over_gaps]
        run = np.where(on, here, off)
    return out


@fault("off_mask")
def unsloth_5673_tool_tokens_get_the_rollouts_number(broken):
    p = padded()
    inside = (np.cumsum(p.mask, 1) > 0) & (np.cumsum(p.mask[:, ::-1], 1)[:, ::-1] > 0)
    clean = p.credit("grpo")
    row = center(p.outcome, p.group)
    return {"advantages": np.where(inside, row[:, None], 0) if broken else clean, **told(p)}


@fault("off_mask")
def tool_tokens_get_numbers_of_their_own(broken):
    p = padded(1)
    inside = (np.cumsum(p.mask, 1) > 0) & (p.mask == 0) & (p.attention == 1)
    adv = p.credit("gigpo")
    return {"advantages": adv + broken * inside * 0.3, **told(p, attention_mask=p.attention, method="gigpo")}


@fault("off_mask", "only_last_turn", "zero_tail", "mean_drift")
def skyrl_1492_last_steps_mask_on_every_step(broken):
    """Rows are steps; the last step's masked credit is copied to all of its rollout's rows."""
    rng = np.random.default_rng(4)
    p = padded(4, groups=10, turns=(2, 4))
    steps, width = p.batch.layout.steps, 24
    rollout = np.repeat(np.arange(steps.size), steps)
    index = np.arange(rollout.size) - np.repeat(np.cumsum(steps) - steps, steps)
    begin = rng.integers(0, 12, rollout.size)
    begin[np.cumsum(steps) - 1] = 16
    mask = (np.arange(width) >= begin[:, None]) & (np.arange(width) < begin[:, None] + 4)
    adv = center(p.outcome, p.group)[rollout][:, None] * mask
    if broken:
        adv = adv[(np.cumsum(steps) - 1)[rollout]]
    return {
        "advantages": adv,
        "response_mask": mask,
        "group": p.group[rollout],
        "outcome": p.outcome[rollout],
        "rollout": rollout,
        "step_index": index,
    }


@fault("only_last_turn")
def only_the_last_step_has_credit(broken):
    p = padded(5, turns=(2, 5))
    adv = p.credit("grpo")
    final = p.turn == p.turn.max(1, keepdims=True)
    return {"advantages": adv * final if broken else adv, **told(p)}


@fault("only_last_turn")
def verl_7278_seen_in_whitened_advantages_alone(broken):
    p = padded(6, turns=(2, 5))
    g = returns(p, at_last(p), over_gaps="cut" if broken else "carry")
    on = p.mask == 1
    return {"advantages": np.where(on, (g - g[on].mean()) / g[on].std(), 0), **told(p)}


@fault("return_cut_at_gap")
def verl_7278_returns_end_at_tool_tokens(broken):
    p = padded(7)
    g = returns(p, at_last(p), 0.9, over_gaps="cut" if broken else "carry")
    return {"advantages": p.credit("grpo"), **told(p, token_rewards=at_last(p), returns=g)}


@fault("return_through_gap")
def miles_1827_returns_decay_in_tool_tokens(broken):
    p = padded(8)
    g = returns(p, at_last(p), 0.9, over_gaps="decay" if broken else "carry")
    return {"advantages": p.credit("grpo"), **told(p, token_rewards=at_last(p), returns=g)}


@fault("return_through_gap", "reward_off_mask")
def slime_1370_kl_of_tool_tokens_in_returns(broken):
    p = padded(9)
    kl = np.random.default_rng(9).exponential(0.05, p.mask.shape) * p.attention
    reward = at_last(p) - (kl if broken else kl * p.mask)
    g = returns(p, reward, 1.0, over_gaps="leak" if broken else "carry")
    return {"advantages": p.credit("grpo"), **told(p, token_rewards=reward, returns=g)}


@fault("reward_off_mask")
def verl_6310_reward_of_an_empty_response_on_padding(broken):
    p = padded(10, left=False)
    p.mask[0] = 0
    reward = at_last(p) * p.mask
    reward[0, -1] = 10.0 * broken
    live = np.where(p.mask.any(1), p.outcome, np.nan)
    return {"advantages": p.rollout_credit(np.nan_to_num(center(live, p.group))), **told(p, token_rewards=reward)}


@fault("rejected_in_baseline")
def verl_6452_rejected_rollout_in_its_peers_baseline(broken):
    p = padded(11, size=(5, 7), binary=False)
    rejected = [int(np.flatnonzero(p.group == g)[0]) for g in (0, 3)]
    p.mask[rejected] = 0
    known = np.where(p.mask.any(1), p.outcome, np.nan)
    adv = center(p.outcome if broken else known, p.group, spread="none")
    return {"advantages": p.rollout_credit(np.nan_to_num(adv)), **told(p)}


@fault("position_groups", "wrong_rollout")
def prime_rl_600_groups_by_position(broken):
    p = padded(12, size=(4, 4), groups=12, binary=False, interleaved=False)
    order = np.argsort(np.tile(np.arange(4), 12), kind="stable")  # p1 p2 ... p1 p2 ...
    p.mask, p.group, p.outcome = p.mask[order], p.group[order], p.outcome[order]
    by = np.arange(p.group.size) // 4 if broken else p.group
    return {"advantages": p.rollout_credit(center(p.outcome, by)), **told(p)}


@fault("position_groups", "wrong_rollout")
def areal_1419_fixed_stride_over_partial_groups(broken):
    p = padded(13, size=(4, 4), groups=12, binary=False, interleaved=False)
    keep = np.delete(np.arange(48), [1])
    p.mask, p.group, p.outcome = p.mask[keep], p.group[keep], p.outcome[keep]
    by = np.arange(47) // 4 if broken else p.group
    return {"advantages": p.rollout_credit(center(p.outcome, by)), **told(p)}


@fault("batch_as_one_group")
def slime_1414_uneven_groups_become_one(broken):
    p = padded(14)
    adv = center(p.outcome, None if broken else p.group)
    return {"advantages": p.rollout_credit(adv), **told(p)}


@fault("batch_as_one_group")
def slime_1414_without_outcomes(broken):
    p = padded(15)
    adv = center(p.outcome, None if broken else p.group)
    return {"advantages": p.rollout_credit(adv), "response_mask": p.mask, "group": p.group}


@fault("lone_rollout")
def verl_lone_rollout_keeps_its_reward(broken):
    p = padded(16, lone=3)
    p.outcome[np.bincount(p.group)[p.group] == 1] = 1.0
    return {"advantages": p.rollout_credit(center(p.outcome, p.group, lone="raw" if broken else "zero")), **told(p)}


@fault("lone_rollout", "one_sign")
def rllm_605_every_rollout_is_its_own_group(broken):
    p = padded(17, size=(4, 4))
    ids = np.arange(p.group.size) if broken else p.group
    adv = p.rollout_credit(center(p.outcome, ids, lone="raw"))
    return {"advantages": adv, "response_mask": p.mask, "group": ids, "outcome": p.outcome}


@fault("wrong_rollout", "outcome_ignored")
def verl_7956_advantages_of_other_rollouts(broken):
    p = padded(18)
    row = center(p.outcome, p.group)
    if broken:
        row = np.roll(row, 1)
    return {"advantages": p.rollout_credit(row), **told(p)}


@fault("zero_tail", "wrong_rollout")
def verl_7956_resampled_rows_cut_to_another_length(broken):
    p = padded(19, turns=(1, 1), tokens=(8, 30), left=False)
    adv = p.credit("grpo")
    if broken:
        adv = np.roll(adv, 1, axis=0) * p.mask
    return {"advantages": adv, **told(p)}


@fault("wrong_rollout")
def reversed_credit_of_a_token_level_method(broken):
    p = padded(20, groups=60, size=(4, 6))
    noise = np.random.default_rng(0).normal(0, 0.1, p.mask.shape)
    row = center(p.outcome, p.group) * (-1 if broken else 1)
    return {"advantages": (row[:, None] + noise) * p.mask, **told(p)}


@fault("mean_drift")
def verl_agent_264_the_mean_drifts(broken):
    p = padded(21, groups=30)
    row = center(p.outcome, p.group) + 0.3 * broken
    return {"advantages": p.rollout_credit(row), **told(p, claims=["centered"], ignore=["std_dust"])}


@fault("length_bias")
def pure_2_average_step_baseline_favors_short_answers(broken):
    p = padded(22, groups=30, size=(6, 8))
    mean_step = p.outcome / p.mask.sum(1) if broken else p.outcome
    return {"advantages": p.rollout_credit(center(mean_step, p.group, spread="none")), **told(p)}


@fault("turn_index_baseline")
def verl_7244_baseline_per_turn_index(broken):
    p = padded(23, groups=12, size=(4, 6))
    lay = p.batch.layout
    score = np.random.default_rng(0).normal(size=lay.S)
    by = cells(lay.step_group, lay.turn) if broken else lay.step_group
    return {"advantages": p.spread(center(score, by, spread="none")), **told(p)}


@fault("not_judged_as_zero")
def trl_6427_unscored_rollouts_get_zero(broken):
    p = padded(24)
    p.outcome[[0, 5, 9]] = np.nan
    adv = p.rollout_credit(np.nan_to_num(center(p.outcome, p.group)))
    if not broken:
        p.mask[np.isnan(p.outcome)] = 0
    return {"advantages": adv, **told(p)}


@fault("unjudged_pays")
def a_step_that_escapes_judgement_costs_nothing(broken):
    """Failed rollouts of several turns: their last step was not judged; the clean twin judges all."""
    p = padded(31, groups=30, turns=(2, 5))
    lay = p.batch.layout
    credit = center(np.random.default_rng(0).normal(size=lay.S), lay.step_group, spread="none")
    credit[lay.last[(p.outcome == 0) & broken]] = np.nan
    rows = [[None if v != v else v for v in credit[lay.rollout == r]] for r in range(lay.R)]
    return {"advantages": rows, "group": p.group_ids(), "outcome": p.outcome}


@fault("outcome_ignored")
def skyrl_201_the_reward_never_arrived(broken):
    p = padded(25)
    return {"advantages": p.credit("grpo") * (not broken), **told(p)}


@fault("outcome_ignored")
def one_task_lost_its_signal(broken):
    p = padded(26)
    row = center(p.outcome, p.group)
    return {"advantages": p.rollout_credit(row * ~(broken & (p.group == 2))), **told(p)}


@fault("one_sign")
def lightrft_53_all_returns_are_positive(broken):
    p = padded(27)
    lay = p.batch.layout
    score = np.random.default_rng(0).uniform(0.6, 0.95, lay.S)
    return {"advantages": p.spread(score if broken else center(score, lay.step_group)), **told(p)}


@fault("std_dust")
def verl_4597_equal_rewards_of_0_81(broken):
    p = padded(28)
    same = p.group == 1
    p.outcome[same] = 0.81
    row = center(p.outcome, p.group)
    row[same] = -0.0559 * broken
    return {"advantages": p.rollout_credit(row), **told(p)}


@fault("std_dust")
def verl_6348_rewards_a_hair_apart(broken):
    p = padded(29)
    same = np.flatnonzero(p.group == 1)
    p.outcome[same] = 1.0 + (1e-5 if broken else 0) * np.arange(same.size)
    return {"advantages": p.rollout_credit(center(p.outcome, p.group)), **told(p)}


@fault("std_dust")
def nemo_rl_4161_a_spread_of_dust(broken):
    p = padded(30, size=(8, 8))
    row = center(p.outcome, p.group)
    row[0] = -4000.0 if broken and p.outcome[0] == 0 else (4000.0 if broken else row[0])
    return {"advantages": p.rollout_credit(row), **told(p)}


@fault("rows_counted_as_rollouts")
def verl_agent_mean_over_step_rows(broken):
    p = padded(31, turns=(1, 6), binary=False)
    weight = p.batch.layout.steps if broken else None
    return {"advantages": p.rollout_credit(center(p.outcome, p.group, weight=weight)), **told(p)}


@fault("shifted_by_one", "off_mask")
def prime_rl_1525_shifted_by_one(broken):
    p = padded(32)
    adv = p.credit("grpo")
    return {"advantages": np.roll(adv, -1, axis=1) if broken else adv, **told(p)}


@fault("non_finite")
def ms_swift_8123_nan(broken):
    p = padded(33)
    adv = p.credit("grpo")
    adv[2, np.flatnonzero(p.mask[2])[0]] = np.nan if broken else 0.0
    return {"advantages": adv, **told(p)}


@fault("ignore_index", "off_mask", "one_sign", "wrong_rollout", "lone_rollout")
def trl_2127_the_ignore_index_as_an_advantage(broken):
    p = padded(34)
    return {"advantages": np.where(p.mask == 1, p.credit("grpo"), -100.0 * broken), **told(p)}


@fault("ignore_index")
def trl_2127_the_ignore_index_as_a_mask(broken):
    p = padded(35)
    mask = np.where(p.mask == 1, 1, -100 * broken)
    return {"advantages": p.credit("grpo"), **told(p, response_mask=mask)}


@fault("mask_beyond_tokens")
def trl_5144_tool_mask_longer_than_completion(broken):
    p = padded(36)
    length = p.mask.sum(1) + 2
    length[3] -= 5 * broken
    return {"advantages": p.credit("grpo"), **told(p, length=length)}


@fault("mask_beyond_tokens")
def trl_4976_sampled_but_padding(broken):
    p = padded(37)
    if broken:
        p.attention[1] = 0
    return {"advantages": p.credit("grpo"), **told(p, attention_mask=p.attention)}


def by_steps(p):
    steps = p.batch.layout.steps
    rollout = np.repeat(np.arange(steps.size), steps)
    index = np.arange(rollout.size) - np.repeat(np.cumsum(steps) - steps, steps)
    return rollout, index


@fault("duplicate_rows")
def verl_omni_602_rows_copied_to_fill_the_batch(broken):
    p = padded(38)
    rollout, index = by_steps(p)
    pick = np.concatenate((np.arange(rollout.size), np.arange(3 * broken)))
    adv = center(p.outcome, p.group)[rollout][pick]
    rows = {"group": p.group[rollout][pick], "rollout": rollout[pick], "step_index": index[pick]}
    return {"advantages": adv, **rows, "outcome": p.outcome[rollout][pick]}


@fault("split_rollout")
def skyrl_1432_rows_of_a_rollout_in_two_groups(broken):
    p = padded(39, turns=(2, 4))
    rollout, index = by_steps(p)
    group = p.group[rollout]
    group[1] += broken
    adv = center(p.outcome, p.group)[rollout]
    return {"advantages": adv, "group": group, "rollout": rollout, "step_index": index, "outcome": p.outcome[rollout]}


@fault("split_rollout", "outcome_ignored")
def only_the_last_row_has_the_outcome(broken):
    p = padded(40, turns=(2, 4))
    rollout, index = by_steps(p)
    outcome = p.outcome[rollout]
    if broken:
        outcome[np.append(np.diff(rollout) == 0, False)] = 0
    adv = center(p.outcome, p.group)[rollout]
    return {"advantages": adv, "group": p.group[rollout], "rollout": rollout, "step_index": index, "outcome": outcome}


@pytest.mark.parametrize("name", FAULTS)
def test_the_fault_is_caught_and_the_clean_twin_is_not(name):
    rule, implied, build = FAULTS[name]
    report = lint.check(**build(True))
    found = grave(report)
    assert rule in found, f"{name}: {report}"
    assert found <= {rule} | implied, f"{name}: {report}"
    twin = lint.check(**build(False))
    assert not grave(twin), f"clean twin of {name}: {twin}"


def test_every_rule_but_the_informing_ones_has_a_fault():
    caught = {rule for rule, *_ in FAULTS.values()}
    assert set(lint.names()) - caught == {"dead_rows"}


@pytest.mark.parametrize("name", FAULTS)
def test_every_finding_is_placed_and_explained(name):
    rule, *_, build = FAULTS[name]
    finding = next(f for f in lint.check(**build(True)).findings if f.name == rule)
    assert any(c.isdigit() for c in finding.message)
    assert finding.count >= 1
    assert all(len(v) == len(next(iter(finding.where.values()))) for v in finding.where.values())


def test_groups_of_one_size_normalized_over_the_batch_are_found_where_outcomes_are_known():
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(16), 8)
    outcome = (rng.random(128) < rng.random(16)[group]).astype(float)
    over_batch, over_group = center(outcome), center(outcome, group)
    assert "batch_as_one_group" in grave(lint.check(over_batch, group=group, outcome=outcome))
    assert "batch_as_one_group" not in grave(lint.check(over_group, group=group, outcome=outcome))
    assert "needs outcome" in lint.check(over_batch, group=group).not_checked["batch_as_one_group"]
