"""Safe: four states of a step, by a server of Lean that is a small function."""

import numpy as np
import pytest
from judged_work import Says, rollout, told

from stepcredit.errors import StepCreditError
from stepcredit.label.checks import lean
from stepcredit.label.systems.safe_lean import FAILURE, NO_NEED, NOT_FORMAL, SUCCESS

STATED = "```lean\ntheorem s : 1 + 1 = 2 := by sorry\n```"
PROVED = "```lean\ntheorem s : 1 + 1 = 2 := by\n  norm_num\n```"


def server(codes, references):
    """Accepts what has no mistake in it."""
    return np.array([float("bad" not in c) for c in codes])


def run(*replies, steps=("a",), checker=server, **options):
    judge = Says(*replies)
    (one,) = told("safe_lean", rollout(*steps), judge=judge, checker=checker, options={"tool": "checker", **options})
    return one, judge


def test_a_statement_with_a_proof_is_right():
    one, judge = run(STATED, PROVED)
    assert one.label.tolist() == [1] and one.facts["states"] == [SUCCESS] and one.spent == {"judge": 2, "tool": 2}
    assert "sorry" in judge.asked[1]


@pytest.mark.parametrize(
    "replies, state",
    [
        (("False.",), NO_NEED),
        (("no code",), NOT_FORMAL),
        ((STATED.replace("sorry", "bad sorry"),), NOT_FORMAL),
        ((STATED.replace("sorry", "simp"),), NOT_FORMAL),
        ((STATED, "I cannot"), FAILURE),
        ((STATED, PROVED.replace("norm_num", "bad")), FAILURE),
        ((STATED, PROVED.replace("1 + 1 = 2", "1 = 1")), FAILURE),
        ((None,), None),
        ((STATED, None), None),
    ],
)
def test_other_states_are_not_judged(replies, state):
    one, _ = run(*replies)
    assert one.facts["states"] == [state] and np.isnan(one.label).all() and one.reasons[0]


def test_a_statement_is_tried_again_and_a_proof_too():
    one, judge = run("no code", STATED, "no proof", PROVED, proofs=2)
    assert one.facts["states"] == [SUCCESS] and len(judge.asked) == 4
    one, judge = run("no code")
    assert len(judge.asked) == 3


def test_a_failed_proof_may_count_as_wrong():
    one, _ = run(STATED, "I cannot", failed="wrong")
    assert one.label.tolist() == [0] and one.first_error == 0


def test_another_model_may_prove():
    prover = Says(PROVED)
    options = {"tool": "checker", "prover": "prover"}
    (one,) = told("safe_lean", rollout("a"), judge=Says(STATED), prover=prover, checker=server, options=options)
    assert one.label.tolist() == [1] and len(prover.asked) == 1


def test_without_lean_nothing_is_known_of_what_needs_it(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    lean._command.cache_clear()
    (one,) = told("safe_lean", rollout("a", "b"), judge=Says(STATED, "false"))
    lean._command.cache_clear()
    assert one.facts["states"] == [None, NO_NEED] and one.reasons[0] == "Lean is not installed"


def test_there_is_at_least_one_try():
    with pytest.raises(StepCreditError, match="at least 1"):
        run(STATED, tries=0)
