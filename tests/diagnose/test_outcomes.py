"""What outcomes say of a rule: the probability of causation by hand. Under 1 s."""

import numpy as np
import pytest
from made_runs import cases, run

from stepcredit.app._diagnose_words import Told, worst_first
from stepcredit.diagnose.case import Verdict
from stepcredit.diagnose.outcomes import Exposure, exposure


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ((2, 2, 3, 1), 1 - (1.5 / 4) / (2.5 / 3)),
        ((4, 4, 0, 0), 1 - (0.5 / 1) / (4.5 / 5)),
        ((1, 1, 9, 0), 1 - (0.5 / 10) / (1.5 / 2)),
        ((2, 0.5, 3, 2.5), 0.0),
        ((0, 0, 9, 1), None),
    ],
)
def test_the_probability_of_causation_by_hand(counts, expected):
    assert Exposure(*counts).blame == (expected if expected is None else pytest.approx(expected))


def test_the_run_itself_and_runs_of_unknown_outcome_are_not_counted():
    told = cases(run("a", "x", 0.0), run("b", "x", 0.0), run("c", "y", 1.0), run("d", "x", None), run("e", "y", 0.25))
    seen = exposure(told[0], "did x", lambda case: case.steps[0].action == "x")
    assert seen == Exposure(1, 1.0, 2, 0.75)


def told(name, outcome, status="found", confidence=None):
    verdict = Verdict(status, np.zeros(1), step=0 if status == "found" else None, confidence=confidence)
    return Told("g", name, None, outcome, None, 1, {"m": verdict}, (), None, None, ())


def test_the_worst_come_first():
    runs = [
        told("clean", 0.0, "clean"),
        told("later", 0.5, confidence=0.9),
        told("no outcome", None, confidence=1.0),
        told("unsure", 0.25, confidence=0.1),
        told("sure", 0.25, confidence=0.8),
        told("says nothing", 0.25),
        told("unknown", 0.0, "unknown"),
    ]
    assert [one.rollout for one in worst_first(runs)] == [
        "sure", "unsure", "says nothing", "later", "no outcome", "unknown", "clean"
    ]  # fmt: skip
