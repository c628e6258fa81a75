"""What failed runs did and successful ones did not."""

import numpy as np
import pytest

from stepcredit.data import Rollout, Step, ToolCall
from stepcredit.diagnose import METHODS, Case, Group, diagnose
from stepcredit.diagnose.methods.spectrum import spectrum, suspicion
from stepcredit.errors import UnknownName


def call(name, **arguments):
    return Step(tool_calls=[ToolCall(name=name, arguments=arguments)])


def group(*runs):
    """Runs as (outcome, steps)."""
    return Group([Rollout(group="p", rollout=i, outcome=o, steps=s) for i, (o, s) in enumerate(runs)])


LOOK, BOOK = call("look", id=1), call("book", cabin="economy")
WRONG = call("book", cabin="business")


@pytest.mark.parametrize(
    ("formula", "expected"),
    [  # by hand: F = 3 failed, S = 2 succeeded; f = 2, s = 1
        ("ochiai", 2 / np.sqrt(3 * 3)),
        ("tarantula", (2 / 3) / (2 / 3 + 1 / 2)),
        ("dstar", 4 / (1 + 3 - 2)),
    ],
)
def test_formulas_by_hand(formula, expected):
    assert suspicion(np.array([2.0]), np.array([1.0]), 3.0, 2.0, formula)[0] == pytest.approx(expected)


def test_nothing_that_no_failed_run_did_is_suspicious():
    assert suspicion(np.zeros(1), np.ones(1), 2.0, 2.0).tolist() == [0.0]


def test_the_argument_that_only_failed_runs_give_is_blamed_wherever_it_stands():
    good = (1.0, [LOOK, BOOK])
    bad = (0.0, [LOOK, LOOK, call("talk"), WRONG, call("talk")])
    verdict = spectrum(Case(group(good, good, bad, (0.0, [WRONG])), 2))
    assert (verdict.status, verdict.step) == ("found", 3)
    assert verdict.evidence["with"] == {"runs": 2.0, "failed": 2.0}
    assert verdict.evidence["without"] == {"runs": 2.0, "failed": 0.0}
    assert "of the 2 runs with it 2 failed, of the 2 without 0" in verdict.reason
    assert verdict.scores[3] == verdict.scores.max() > verdict.scores[0] > 0


def test_a_single_argument_is_named_where_whole_calls_differ_in_every_run():
    runs = [(float(i < 2), [call("book", cabin="economy" if i < 2 else "business", seat=i)]) for i in range(4)]
    verdict = spectrum(Case(group(*runs), 2))
    assert (verdict.error, verdict.evidence["kind"]) == ("wrong_arguments", "argument")
    assert "cabin = business" in verdict.reason


def test_a_missing_call_is_placed_after_what_came_before_it():
    good = (1.0, [LOOK, call("check"), BOOK])
    bad = (0.0, [LOOK, BOOK, call("bye")])
    verdict = spectrum(Case(group(good, good, bad, bad), 2), missing=True)
    assert verdict.evidence["kind"] in ("call", "missing call")
    only = spectrum(Case(group(good, good, (0.0, [LOOK, BOOK]), (0.0, [LOOK, BOOK])), 2))
    assert (only.step, only.evidence["kind"], only.error) == (1, "missing call", "stopped_early")


def test_confidence_is_the_posterior_by_hand():
    """Three failed with it, one succeeded without: B(4, 1) B(1, 2) / B(4, 2) = 2.5 for each of two units of one step,
    and 1/2 for nothing beforehand: 5 / (5 + 2)."""
    bad, good = (0.0, [call("x", a=1)]), (1.0, [call("y", b=2)])
    verdict = spectrum(Case(group(bad, bad, bad, good), 0), missing=False)
    assert np.exp(verdict.evidence["log_odds"]) == pytest.approx(2.5)
    assert verdict.confidence == pytest.approx(5 / 7)


def test_what_else_the_run_did_takes_from_the_confidence():
    few = (0.0, [call("x", a=1)])
    many = (0.0, [call("x", a=1), *(call("other", n=n) for n in range(9))])
    good = (1.0, [call("y")])
    alone = spectrum(Case(group(few, few, few, good), 0), missing=False)
    lost = spectrum(Case(group(many, many, many, good), 0), missing=False)
    assert lost.step == 0 and lost.confidence < alone.confidence / 3


def test_the_order_of_siblings_does_not_matter():
    good, bad, odd = (1.0, [LOOK, BOOK]), (0.0, [LOOK, WRONG]), (0.0, [WRONG])
    first = spectrum(Case(group(good, odd, good, bad), 3))
    second = spectrum(Case(group(bad, good, good, odd), 0))
    assert (first.step, first.reason, first.confidence) == (second.step, second.reason, second.confidence)


@pytest.mark.parametrize(
    ("runs", "index", "status"),
    [
        ([(0.0, [LOOK])], 0, "unknown"),
        ([(0.0, []), (1.0, [LOOK])], 0, "unknown"),
        ([(0.0, [LOOK]), (0.0, [BOOK])], 0, "unknown"),
        ([(1.0, [LOOK]), (0.0, [BOOK])], 0, "clean"),
        ([(0.0, [LOOK]), (1.0, [LOOK])], 0, "unknown"),
        ([(0.0, [Step()]), (1.0, [Step()])], 0, "unknown"),
    ],
)
def test_what_cannot_be_told_is_not_guessed(runs, index, status):
    verdict = spectrum(Case(group(*runs), index))
    assert verdict.status == status and verdict.scores.shape == (len(runs[index][1]),)


def test_presets_are_other_formulas_and_an_unknown_one_is_refused():
    assert {METHODS.get(f"spectrum@{n}").options["formula"] for n in ("tarantula", "dstar")} == {"tarantula", "dstar"}
    with pytest.raises(UnknownName, match="formula"):
        spectrum(Case(group((0.0, [LOOK])), 0), formula="luck")


def test_what_no_other_run_did_says_nothing():
    """That this run failed is no news: a call of its own would always go together with failure."""
    odd = (0.0, [call("only", n=1)])
    verdict = spectrum(Case(group(odd, (1.0, [LOOK]), (1.0, [LOOK])), 0), missing=False)
    assert (verdict.status, verdict.reason) == ("unknown", "nothing that the run did was done by others")


def test_runs_of_a_task_need_not_stand_together():
    good, bad = [LOOK, BOOK], [LOOK, WRONG]
    runs = [
        Rollout(group=task, rollout=i, outcome=o, steps=s)
        for i, (o, s) in enumerate([(0.0, bad), (1.0, good), (1.0, good), (0.0, bad)])
        for task in ("p", "q")
    ]
    told = list(diagnose(runs, ["spectrum"]))
    assert [(d.rollout.group, d.verdicts["spectrum"].step) for d in told] == [("p", 1), ("p", 1), ("q", 1), ("q", 1)]


def test_a_thousand_runs_that_split_cleanly_leave_no_doubt():
    """The odds are beyond what a float holds; their logarithm is not."""
    bad, good = (0.0, [call("x", a=1)]), (1.0, [call("y", b=2)])
    verdict = spectrum(Case(group(*[bad] * 1100, *[good] * 1100), 0), missing=False)
    assert verdict.status == "found" and verdict.step == 0 and verdict.confidence == pytest.approx(1.0)
    assert verdict.evidence["log_odds"] > np.log(np.finfo(float).max)


def test_what_goes_together_with_success_speaks_for_no_failure():
    """Two units of the step: "x" in 3 of 3 failed runs, "y" in 1 of 3 failed and both that succeeded. Only "x" takes
    part: B(4, 1) B(1, 3) / B(4, 3) = (1/4) (1/3) / (1/60) = 5 for the one, and for the other nothing."""
    x, y = Step(text="do x"), Step(text="do y")
    runs = [(0.0, [x, y]), (0.0, [x]), (0.0, [x]), (1.0, [y]), (1.0, [y])]
    verdict = spectrum(Case(group(*runs), 0), missing=False)
    assert verdict.step == 0 and np.exp(verdict.evidence["log_odds"]) == pytest.approx(5)
    assert verdict.confidence == pytest.approx(5 / (5 + 2))
    both = spectrum(Case(group(*runs), 0), missing=False, formula="tarantula")
    assert both.confidence == pytest.approx(5 / 7)


def test_where_outcomes_lie_between_it_tells_means():
    bad, good = [call("x", a=1)], [call("y", b=2)]
    said = spectrum(Case(group((0.1, bad), (0.2, bad), (0.9, good), (0.8, good)), 0), missing=False)
    assert said.reason == (
        "x(a: 1): mean outcome 0.15 over the 2 runs with it, 0.85 over the 2 without (outcomes from 0 to 1)"
    )
    lacks = [(0.1, [LOOK, BOOK]), (0.2, [LOOK, BOOK]), *[(1.0, [LOOK, call("check"), BOOK])] * 2]
    told = spectrum(Case(group(*lacks), 0))
    if told.evidence["kind"] == "missing call":
        assert "without it" in told.reason and "mean outcome" in told.reason


def test_a_call_that_one_single_run_made_is_missing_nowhere():
    """One success makes each of its own calls one "that every successful run makes": it says nothing of the others."""
    own = [LOOK, call("calculate", expression="17 + 4"), BOOK]
    lost = [(0.0, [LOOK, call("calculate", expression=f"{n} + 1"), call("bye", n=n)]) for n in range(4)]
    verdict = spectrum(Case(group((1.0, own), *lost), 1))
    assert verdict.status == "unknown" and "calculate" not in verdict.reason
    twice = spectrum(Case(group((1.0, own), (1.0, own), *lost), 2))
    assert (twice.status, twice.evidence["kind"]) == ("found", "missing call")


def test_a_call_of_the_one_success_is_missing_where_a_failed_run_made_it_too():
    check = call("check", id=7)
    lost = [(0.0, [LOOK, call("bye", n=n)]) for n in range(4)]
    verdict = spectrum(Case(group((1.0, [LOOK, check]), (0.0, [check]), *lost), 2))
    assert verdict.evidence["kind"] == "missing call" and "no check(id: 7) here" in verdict.reason
    assert verdict.evidence["with"] == {"runs": 2.0, "failed": 1.0}
