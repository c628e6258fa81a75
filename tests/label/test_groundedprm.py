"""GroundedPRM: steps checked by a tool, and what a simulation backs up."""

import numpy as np
import pytest
from given import Writer, labelled, rollout, solves
from test_omegaprm import GAME, game24

from stepcredit.errors import StepCreditError
from stepcredit.evidence._prompts import Unreadable
from stepcredit.label._grow import Grown, back_up
from stepcredit.label.labels import first_wrong
from stepcredit.label.run import label
from stepcredit.label.systems.groundedprm import check_prompt, read_verdict, reward
from stepcredit.label.work import Setting, Work
from stepcredit.llm.scripted import Scripted


def checker(steps, before):
    return [float("bad" not in s) if "?" not in s else float("nan") for s in steps]


def test_verdicts_count_more_the_earlier_and_the_outcome_as_one_of_them():
    """Worked example of the notes; 0.9 per level above."""
    assert reward([1, 1, -1], 1) == pytest.approx(0.777778, abs=1e-6)
    assert reward([1, float("nan"), -1], 1) == pytest.approx(0.555556, abs=1e-6)
    tree = Grown([Work(rollout("z"), "24", ())])
    leaf = tree.walk(("a", "b"), 1.0)
    back_up(leaf, reward([1, 1, -1], 1), 0.9)
    assert [s.total for s in (leaf, leaf.parent, tree.root)] == pytest.approx([0.777778, 0.7, 0.63])


def test_given_rollouts_are_checked_step_by_step_and_end_by_their_outcome():
    models = {"sampler": Writer({}).sampler, "checker": checker}
    one = labelled("groundedprm@given", rollout("a", "bad b", "c", "d"), models)
    assert one.label.tolist() == [1, 0, 1, 0] and one.first_error == 1 and one.spent == {"tool": 3}
    # M = 2 verdicts between the first and the last step: (-1 * 1 + 1 * 1/2 - 1) / 2
    np.testing.assert_array_equal(one.value, [-0.75, np.nan, np.nan, np.nan])
    by_value = labelled("groundedprm@given", rollout("a", "b", "c", "d"), models, kind="value")
    np.testing.assert_array_equal(by_value.label, [1, np.nan, np.nan, np.nan])
    open_ = labelled("groundedprm@given", rollout("a", "b", outcome=None), models)
    assert open_.label.tolist() == [1, 1] and np.isnan(open_.value).all()


def test_a_step_that_cannot_be_checked_is_not_judged():
    models = {"sampler": Writer({}).sampler, "checker": checker}
    one = labelled("groundedprm@given", rollout("a", "b?", "c", outcome=1.0), models)
    np.testing.assert_array_equal(one.label, [1, np.nan, 1])
    assert one.first_error is None and one.reasons == (None, "the checker gave no number", None)


def test_a_judge_may_check_and_says_why():
    right, wrong = "Fine. <verdict>right</verdict>", "It is 5. <verdict>WRONG</verdict>"
    judge = Scripted([right, "?", wrong])
    models = {"sampler": Writer({}).sampler, "judge": judge.judge}
    one = labelled("groundedprm@given", rollout("a", "b", "c"), models, tool="judge", retries=1)
    assert one.label.tolist() == [1, 0, 0] and one.reasons == (right, wrong, None) and one.spent == {"judge": 3}
    assert "[[0 step 1]]\na" in judge.asked[1] and len(judge.asked) == 3
    silent = labelled("groundedprm@given", rollout("a", "b"), {**models, "judge": Scripted([None]).judge}, tool="judge")
    assert np.isnan(silent.label[0]) and silent.reasons[0] == "the judge did not answer"
    with pytest.raises(Unreadable):
        read_verdict(check_prompt("t", [], "s"))


TREE = Writer({"": ["a", "b", "so 24"]}, {"a\n": ["x\nso 24"], "b\n": ["1\n2\n3\n4\nso 24"]})


def test_each_round_simulates_a_child_that_has_none():
    models = {"sampler": TREE.sampler, "checker": checker}
    rows = labelled("groundedprm", rollout("z"), models, iterations=3)
    assert {r.steps for r in rows[1:]} == {("a", "x", "so 24"), ("b", "1", "2", "3", "4", "so 24"), ("so 24",)}
    assert all(r.label.tolist() == [1] * len(r) and r.outcome == 1.0 for r in rows[1:])
    assert rows[0].spent == {"sample": 5, "verify": 3, "tool": 7}
    few = labelled("groundedprm", rollout("z"), models, iterations=9, enough=1)
    assert few[0].spent["sample"] < 5  # one right and one wrong solution are there


def test_a_simulation_that_is_too_long_has_failed_and_is_no_solution():
    only = Writer({"": ["b"]}, TREE.rests)
    one = labelled("groundedprm", rollout("z"), {"sampler": only.sampler, "checker": checker}, iterations=1, depth=3)
    assert one.rollout == 0 and one.spent["tool"] == 4


@pytest.mark.parametrize("system", ["groundedprm", "groundedprm@code"])
def test_with_an_exact_checker_labels_are_the_truth(system):
    given, truth = game24()

    def exact(steps, before):
        return [float(GAME.step_is_right(b, s)) for s, b in zip(steps, before, strict=True)]

    models = {"sampler": GAME, "verifier": GAME, "checker": exact}
    ((_, rows),) = label(given, system, models, setting=Setting(max_tokens=128))
    assert len(rows) > len(given)
    for one in rows[: len(given)]:
        assert one.label.tolist() == truth[one.steps].tolist() and one.first_error == first_wrong(one.label)


def test_what_fails_ends_its_branch_alone():
    broken = Writer({"": ["a", "b"]}, {"a\n": ["x\nso 24"]})
    rows = labelled("groundedprm", rollout("z"), {"sampler": broken.sampler, "checker": checker}, iterations=5)
    assert [r.steps for r in rows] == [("z",), ("a", "x", "so 24")] and rows[0].spent["failed"] >= 1
    with pytest.raises(StepCreditError):
        labelled("groundedprm", rollout("z"), {"sampler": broken.sampler, "verifier": solves}, expand=0)
