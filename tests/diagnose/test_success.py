"""One meaning of success in all that speaks of it."""

import inspect

import numpy as np
import pytest
from made_runs import case, run

from stepcredit.diagnose import Case, Group, diagnose
from stepcredit.diagnose._log import Log
from stepcredit.diagnose.case import Verdict
from stepcredit.diagnose.run import METHODS, failed
from stepcredit.errors import StepCreditError


def four():
    for name, outcome in (("a", 10.0), ("b", 30.0), ("c", 70.0), ("d", 90.0)):
        yield run(name, ["go", name], outcome)


@pytest.mark.parametrize("success", [0.5, 20, 80.0, 100])
def test_what_a_run_is_taken_for_is_the_same_everywhere(success):
    group = Group(list(four()), success)
    for i, one in enumerate(group.rollouts):
        lost = failed(one, success)
        assert group.succeeded[i] == (not lost)
        assert Log(Case(group, i)).outcome() == (" The run failed." if lost else " The run succeeded.")
        for name in ("combined", "contrast", "spectrum", "other_answer", "decisive_search", "counterfactual_replay"):
            made = METHODS.get(name).function(Case(group, i))
            verdict = next(made, None) if inspect.isgenerator(made) else made
            if inspect.isgenerator(made) and verdict is not None:  # asks for samples: it took the run for failed
                assert lost
                made.close()
            elif not inspect.isgenerator(made):
                assert (verdict.status == "clean") == (not lost), name


def test_the_bound_given_decides_which_runs_are_diagnosed_and_how():
    told = {d.rollout.rollout: d.verdicts["combined"] for d in diagnose(list(four()), success=80.0)}
    assert set(told) == {"a", "b", "c"} and "clean" not in {v.status for v in told.values()}


def test_an_unknown_outcome_is_no_success():
    assert not case(run("a", ["x"], None)).group.succeeded[0]


@pytest.mark.parametrize("confidence", [float("nan"), -0.1, 1.5, float("inf")])
def test_a_confidence_that_is_none_is_refused_where_it_arises(confidence):
    def odd(case):
        return Verdict("found", np.zeros(1), step=0, confidence=confidence)

    with pytest.raises(StepCreditError, match=r"odd.*confidence is"):
        list(diagnose([run("a", ["x"], 0.0)], [odd]))


def test_a_status_that_is_none_is_refused():
    with pytest.raises(StepCreditError, match="status is 'Found'"):
        list(diagnose([run("a", ["x"], 0.0)], [lambda case: Verdict("Found", np.zeros(1), step=0)]))
