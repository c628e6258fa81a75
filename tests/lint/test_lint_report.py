"""What `check` takes, what it refuses, and what it says."""

import json
import time

import numpy as np
import pytest
from lint_batches import padded

from stepcredit import credit, lint
from stepcredit.data.batch import Batch
from stepcredit.data.layout import Layout
from stepcredit.errors import LayoutError, MissingColumn, StepCreditError, UnknownName
from stepcredit.lint import derive
from stepcredit.lint.registry import get


def names_of(report):
    return {f.name for f in report.findings}


def test_every_rule_is_found_ok_or_not_checked():
    report = lint.check([[1.0, np.nan], [0.0, 1.0]])
    assert sorted([*names_of(report), *report.ok, *report.not_checked]) == lint.names()


def test_a_rule_without_its_arrays_says_what_it_needs():
    report = lint.check(np.ones((2, 3)))
    assert report.not_checked["off_mask"] == "needs response_mask"
    assert report.not_checked["wrong_rollout"] in ("needs group", "needs outcome", "needs response_mask")
    assert any("no group" in n for n in report.notes)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"advantages": np.ones((2, 3)), "response_mask": np.ones((2, 4))}, r"row 0 has 4 and 3 entries"),
        ({"advantages": [[1, 2], [3]], "response_mask": [[1, 1], [1, 1]]}, r"row 1 has 2 and 1 entries .*\n.*trl#5144"),
        ({"advantages": np.ones((2, 3)), "response_mask": np.ones((3, 3))}, "3 rows, the advantages have 2"),
        ({"advantages": np.ones((2, 3)), "group": [1, 2, 3]}, r"one key per row \(2\); got 3"),
        ({"advantages": np.ones((2, 3)), "outcome": np.ones((2, 3))}, r"one number per row \(2\); got shape \(2, 3\)"),
        ({"advantages": np.ones((2, 3, 4))}, r"got shape \(2, 3, 4\)"),
        ({"advantages": np.ones(3), "response_mask": np.ones((2, 3))}, "advantages have 3 rows, response_mask has 2"),
        ({"advantages": np.ones((2, 3)), "response_mask": np.ones(2)}, "two axes"),
        ({"advantages": [[1.0], 2.0]}, "mixes rows and numbers"),
        ({"advantages": [[1.0]], "token_rewards": [[1.0, 2.0]]}, "token_rewards and advantages differ in length"),
        ({"advantages": 3.0}, "got float"),
        ({"advantages": [["a"]]}, "must hold numbers"),
        ({"advantages": np.ones((1, 1)), "step_index": [0.5]}, "step_index must hold integers"),
    ],
)
def test_shapes_that_do_not_fit_are_named(arguments, text):
    with pytest.raises(LayoutError, match=text):
        lint.check(**arguments)


@pytest.mark.parametrize("empty", [[], np.zeros((0, 5)), np.zeros((3, 0)), [[], []], np.zeros(0)])
def test_nothing_is_sane(empty):
    n = len(empty)
    report = lint.check(empty, group=list(range(n)), outcome=[1.0] * n)
    assert report.exit_code() == 0 and report.worst in (None, "info")


def test_all_masked_and_all_nan():
    p = padded()
    none = lint.check(np.zeros(p.mask.shape), np.zeros_like(p.mask), p.group, outcome=p.outcome)
    assert names_of(none) == {"dead_rows"}
    bad = lint.check(np.full(p.mask.shape, np.nan), p.mask, p.group, outcome=p.outcome)
    assert "non_finite" in names_of(bad) and bad.worst == "error"


def test_none_is_not_judged_and_nan_is_a_fault():
    report = lint.check([[0.5, None], [-0.5, -0.5]])
    assert [(f.name, f.severity, f.count) for f in report.findings] == [("non_finite", "info", 1)]
    assert lint.check([[0.5, float("nan")], [-0.5, -0.5]]).worst == "error"


def test_infinite_credit_is_a_fault_in_a_credit_of_ours():
    batch = Batch(Layout(np.array([0, 0]), np.array([0, 1])), {"credit.mine": np.array([np.inf, 1.0])})
    report = lint.check_batch(batch, "mine")
    assert names_of(report) == {"non_finite"}
    assert "no method named 'mine'" in report.notes[0]


def test_a_name_in_data_runs_no_file(tmp_path):
    path, marked = tmp_path / "own.py", tmp_path / "grpo@own.py"
    for file in (path, marked):
        file.write_text("raise SystemExit('run')")
    for name in (str(path), f"{path}@preset", str(marked), "gone.py"):
        batch = Batch(Layout(np.array([0, 0]), np.array([0, 1])), {f"credit.{name}": np.array([0.5, -0.5])})
        assert "checked without a card" in lint.check_batch(batch, name).notes[0]


def test_one_number_per_row_is_spread_by_the_mask():
    p = padded(2)
    row = credit.assign(p.batch, "grpo").steps[np.cumsum(p.batch.layout.steps) - 1]
    report = lint.check(row, p.mask, p.group, outcome=p.outcome)
    assert report.exit_code() == 0 and "each of its sampled tokens" in report.notes[0]


def test_padding_on_either_side_is_the_same():
    found = []
    for left in (True, False):
        p = padded(8, left=left)
        found.append(lint.check(-p.credit("grpo"), p.mask, p.group, outcome=p.outcome).findings)
    assert [f.message for f in found[0]] == [f.message for f in found[1]]


@pytest.mark.parametrize("left", [True, False])
def test_values_on_padding_are_told_but_tolerated(left):
    p = padded(9, left=left)
    adv = p.credit("grpo")
    adv[:, -1] = np.where(p.mask[:, -1] == 0, 0.1, adv[:, -1])
    adv[:, 0] = np.where(p.mask[:, 0] == 0, 0.1, adv[:, 0])
    report = lint.check(adv, p.mask, p.group, outcome=p.outcome)
    assert names_of(report) == {"off_mask"} and report.worst == "info"


def test_torch_tensors_of_any_kind(torch):
    p = padded(10)
    want = lint.check(-p.credit("grpo"), p.mask, p.group, outcome=p.outcome)
    for dtype in (torch.float32, torch.bfloat16):
        adv = torch.tensor(-p.credit("grpo"), dtype=dtype, requires_grad=True)
        got = lint.check(
            adv, torch.tensor(p.mask, dtype=torch.bool), torch.tensor(p.group), outcome=torch.tensor(p.outcome)
        )
        assert names_of(got) == names_of(want)
    rows = [torch.tensor(r[m == 1]) for r, m in zip(-p.credit("grpo"), p.mask, strict=True)]
    ids = [torch.tensor(g) for g in p.group]  # as a loop over a data loader leaves them
    assert "wrong_rollout" in names_of(lint.check(rows, group=ids, outcome=p.outcome))


def test_a_credit_brings_everything_along():
    p = padded(11)
    report = lint.check(credit.assign(p.batch, "gigpo", reward="outcome"))
    rows, groups = len(p.outcome), int(p.group.max()) + 1
    assert report.sizes == {"rows": rows, "rollouts": rows, "groups": groups, "sampled tokens": p.mask.sum()}
    assert {"only_last_turn", "outcome_ignored"} <= set(report.ok)


def test_credit_of_unknown_outcomes_is_left_out():
    p = padded(12)
    outcome = p.outcome.copy()
    outcome[3] = np.nan
    batch = p.batch.with_columns(outcome=outcome)
    report = lint.check(credit.assign(batch, "grpo"))
    told = {f.name: f.severity for f in report.findings}
    assert told == {"non_finite": "info", "dead_rows": "info"}


def test_a_column_of_a_batch_is_checked_like_the_credit():
    p = padded(13, lone=2)
    c = credit.assign(p.batch, "grpo@verl")
    batch = p.batch.with_columns(**{"credit.grpo@verl": c.steps})
    assert str(lint.check_batch(batch, "grpo@verl")) == str(lint.check(c))
    with pytest.raises(MissingColumn):
        lint.check_batch(batch, "gigpo")


def test_rows_of_the_trainer_are_the_rows_of_the_report():
    p = padded(14, turns=(2, 3))
    lay = p.batch.layout
    tokens = lay.tokens
    batch = p.batch.with_columns(token_row=tokens, token_position=np.arange(lay.K))
    report = lint.check(credit.assign(batch, "grpo"))
    assert report.sizes["rows"] == lay.S and report.sizes["rollouts"] == lay.R and report.exit_code() == 0


def test_a_tree_is_checked_path_by_path():
    from stepcredit.data.flat import from_columns

    batch, _ = from_columns({"parent": [-1, 0, 0, -1, 3, 3], "outcome": [0, 1, 0, 0, 1, 0]})
    report = lint.check(credit.assign(batch, "grpo"))
    assert report.sizes["sampled tokens"] == 8 and report.exit_code() == 0
    assert report.not_checked["batch_as_one_group"] == "needs credit that is one number per rollout"


def test_names_of_groups_and_rollouts_are_the_callers():
    p = padded(15)
    report = lint.check(
        -p.credit("grpo"),
        p.mask,
        p.group_ids(),
        outcome=p.outcome,
        rollout=[f"r{i}" for i in p.group * 0 + range(len(p.group))],
    )
    finding = next(f for f in report.findings if f.name == "wrong_rollout")
    assert finding.where["group"][0].startswith("task ") and finding.where["rollout"][0].startswith("r")


def test_report_reads_and_travels():
    p = padded(16)
    report = lint.check(-p.credit("grpo"), p.mask, p.group, outcome=p.outcome)
    assert (report.worst, report.exit_code(), report.exit_code("error"), report.exit_code("never")) == (
        "error",
        1,
        1,
        0,
    )
    text = str(report)
    for part in ("error   wrong_rollout", "why:", "mend:", "verl#7956", "ok      ", "not checked: needs token_rewards"):
        assert part in text
    assert json.loads(json.dumps(report.to_dict()))["findings"][0]["rule"] == "wrong_rollout"
    with pytest.raises(UnknownName):
        report.exit_code("fatal")  # type: ignore[arg-type]


def test_only_and_ignore_and_typos():
    assert lint.check([[np.nan]], only=["off_mask"]).ok == ("off_mask",)
    assert "non_finite" not in names_of(lint.check([[np.nan]], ignore=["non_finite"]))
    for bad in ({"only": ["of_mask"]}, {"ignore": ["of_mask"]}, {"method": "grop"}, {"claims": ["centred"]}):
        with pytest.raises(UnknownName):
            lint.check([[1.0]], **bad)


def test_a_card_alone_declares_too():
    p = padded(17)
    adv = p.rollout_credit((p.outcome - p.outcome.mean()) / p.outcome.std())
    card = credit.Card("t", "p", "@misc{x}", "derived", "n", "b", "d", waives={"other_prompts": "batch mean"})
    plain = lint.check(adv, p.mask, p.group, outcome=p.outcome)
    declared = lint.check(adv, p.mask, p.group, outcome=p.outcome, card=card)
    assert plain.worst == "warning" and declared.worst == "info"


def test_step_rows_in_any_order_are_ordered_by_their_index():
    p = padded(20, turns=(2, 4))
    steps = p.batch.layout.steps
    rollout = np.repeat(np.arange(steps.size), steps)
    index = np.arange(rollout.size) - np.repeat(np.cumsum(steps) - steps, steps)
    last = index == steps[rollout] - 1
    adv = np.where(last, 1.0 - 2 * p.outcome[rollout], 0.0)
    order = np.random.default_rng(0).permutation(rollout.size)
    given = {"rollout": rollout[order], "step_index": index[order], "only": ["only_last_turn"]}
    assert names_of(lint.check(adv[order], **given)) == {"only_last_turn"}


def test_one_infinite_number_does_not_blind_the_other_rules():
    p = padded(21)
    adv = -p.credit("grpo")
    adv[0, np.flatnonzero(p.mask[0])[0]] = np.inf
    assert {"non_finite", "wrong_rollout"} == names_of(lint.check(adv, p.mask, p.group, outcome=p.outcome))


@pytest.mark.parametrize(("gap_reward", "decay", "text"), [(0.0, 0.9**2, "fade by 0.9"), (-1.0, 1.0, "take up")])
def test_returns_over_a_gap_are_told_apart(gap_reward, decay, text):
    """Turns of three tokens, two tool tokens between; gamma 0.9; the tool tokens' rewards are discounted by place."""
    mask = np.tile([1, 1, 1, 0, 0, 1, 1, 1], (8, 1))
    reward = np.zeros(mask.shape)
    reward[:, -1], reward[:, 4] = 1.0, gap_reward
    later = 0.9 ** np.array([2, 1, 0])
    first = 0.9 * later[0] * decay + 0.9**2 * gap_reward
    returns = np.tile([first * 0.81, first * 0.9, first, 0, 0, *later], (8, 1))
    only = ["return_through_gap", "return_cut_at_gap"]
    report = lint.check(returns, mask, returns=returns, token_rewards=reward, only=only)
    assert [f.name for f in report.findings] == ["return_through_gap"] and text in report.findings[0].message


def test_an_ignore_index_in_the_mask_is_not_sampled():
    mask = [[1, -100, 1]]
    assert lint.check(np.ones((1, 3)), mask).sizes["sampled tokens"] == 2


def test_a_mask_as_long_as_its_row_is_right():
    p = padded(22)
    assert lint.check(p.credit("grpo"), p.mask, length=p.mask.sum(1), only=["mask_beyond_tokens"]).ok


def test_a_card_that_holds_centered_promises_it():
    p = padded(17)
    adv = p.rollout_credit((p.outcome - p.outcome.mean()) / p.outcome.std())
    card = credit.Card("t", "p", "@misc{x}", "derived", "n", "b", "d", holds=frozenset({"centered"}))
    report = lint.check(adv, p.mask, p.group, card=card, only=["mean_drift"])
    assert [(f.name, f.severity) for f in report.findings] == [("mean_drift", "warning")]
    assert lint.check(adv, p.mask, p.group, only=["mean_drift"]).ok == ()


def test_a_drift_that_nobody_promised_against_is_told_only():
    p = padded(19, groups=30)
    adv = p.rollout_credit(np.linspace(0.2, 0.4, len(p.outcome)))
    report = lint.check(adv, p.mask, p.group, only=["mean_drift"])
    assert [(f.name, f.severity) for f in report.findings] == [("mean_drift", "info")]


def test_inputs_are_untouched():
    p = padded(18)
    adv = p.credit("grpo")
    for a in (adv, p.mask, p.group, p.outcome):
        a.flags.writeable = False
    lint.check(adv, p.mask, p.group, outcome=p.outcome, returns=adv, token_rewards=adv)


def test_every_array_of_the_table_is_given_or_derived_once():
    made = {
        n for n in vars(derive) if callable(getattr(derive, n)) and getattr(derive, n).__module__ == derive.__name__
    }
    made = {n for n in made if not n.startswith("_")}
    assert made == {a.name for a in lint.TABLE if a.give is None}
    assert len({a.name for a in lint.TABLE}) == len(lint.TABLE)
    known = {a.name for a in lint.TABLE}
    for name in lint.names():
        rule = get(name)
        assert {*rule.needs, *rule.uses} <= known, name


@pytest.mark.parametrize("name", lint.names())
def test_cards_of_rules_name_a_public_bug(name):
    rule = lint.get(name).rule
    assert "#" in rule.bug and ":" in rule.bug
    for text in (rule.title, rule.why, rule.mend):
        assert text.strip() and not text.endswith(".")


def test_a_plug_in_that_is_no_rule_is_refused(monkeypatch):
    class Entry:
        name = "odd"

        def load(self):
            return test_inputs_are_untouched

    monkeypatch.setattr("stepcredit.plugins.entry_points", lambda **_: [Entry()])
    with pytest.raises(StepCreditError, match="must define RULE"):
        lint.get("odd")


def test_a_million_tokens_take_less_than_two_seconds():
    rng = np.random.default_rng(0)
    mask = np.ones((512, 2400), bool)
    mask[:, 100::400] = False
    mask &= np.arange(2400) < rng.integers(1800, 2400, 512)[:, None]
    group, outcome = rng.permutation(np.repeat(np.arange(64), 8)), rng.integers(0, 2, 512).astype(float)
    adv = outcome[:, None] * mask
    start = time.process_time()
    report = lint.check(adv, mask, group, outcome=outcome, token_rewards=adv, returns=adv, attention_mask=mask)
    assert time.process_time() - start < 2
    assert report.sizes["sampled tokens"] > 1_000_000
