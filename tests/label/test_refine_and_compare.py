"""Critiques are kept for what comes of them."""

import numpy as np
import pytest
from judged_work import Says, rollout, told

from stepcredit.errors import StepCreditError
from stepcredit.label.systems.refine_and_compare import bound
from stepcredit.protocols import Sample

CRITIQUE = "Step 2 forgets the tax. <labels>1:+1, 2:-1</labels>"
GOLD = "1 2 3 4 5 6 7 8 9"
STEPS = ("1 2 3 4", "5 6 7")


def refines(*texts):
    def sampler(prompts, *, n=1, max_tokens=256, temperature=1.0, stop=()):
        assert all("forgets the tax" in p for p in prompts)
        return [[Sample(texts[i % len(texts)]) for i in range(n)] for _ in prompts]

    return sampler


def verifier(answers, references):
    return np.array([np.nan if "?" in a else float("right" in a) for a in answers])


def run(*texts, judge=None, **options):
    judge = judge or Says(CRITIQUE)
    models = {"judge": judge, "sampler": refines(*texts), "verifier": verifier}
    (one,) = told("refine_and_compare", rollout(*STEPS, outcome=0.0, gold=GOLD), options=options, **models)
    return one


def test_a_critique_stands_if_enough_refinements_by_it_are_accepted():
    one = run("1 2 3 4 5 right", "no", "no")
    assert one.label.tolist() == [1, 0] and one.first_error == 1
    assert (one.facts["accepted"], one.facts["tries"], one.facts["kept"]) == (4, 10, True)
    assert one.facts["critique"] == "Step 2 forgets the tax." and one.spent == {"judge": 1, "sample": 10, "verify": 10}
    one = run("1 2 3 4 5 right", *["no"] * 4)
    assert np.isnan(one.label).all() and one.reasons[0] == "2 of 10 refinements by the critique are accepted"


@pytest.mark.parametrize("text, kept", [("1 2 3 4 right", False), ("1 2 3 4 5 right", True)])
def test_a_refinement_that_jumps_to_the_answer_is_not_accepted(text, kept):
    """methods/critique-in-the-loop, worked example: min(9, 7) - 2 = 5."""
    assert bound(GOLD, "\n".join(STEPS), 2) == 5
    assert run(text).facts["kept"] is kept and run(text, slack=None).facts["kept"] is True


def test_verdicts_that_cannot_be_told_are_left_out_of_the_share():
    one = run("1 2 3 4 5 right", "?", "?", "?")
    assert one.facts["tries"] == 3 and one.facts["kept"] is True
    assert "no refinement" in run("?").reasons[0]


def test_a_critique_that_cannot_be_read_is_not_judged_and_nothing_is_refined():
    one = run("right", judge=Says("<labels>1:+1</labels>"))
    assert np.isnan(one.label).all() and one.reasons == ("leaves steps out",) * 2 and one.spent == {"judge": 1}


def test_by_scores_a_step_is_wrong_if_the_scorer_prefers_it_rewritten():
    def scorer(prefixes, steps):
        return np.array([{"better": 0.9, "worse": 0.1}.get(s, np.nan if s == "?" else 0.5) for s in steps])

    judge = Says(*(f"Weak. <step>{s}</step>" for s in ("better", "worse", "c", "?")), "none")
    given = rollout("a", "b", "c", "d", "e")
    (one,) = told("refine_and_compare@rearter", given, judge=judge, scorer=scorer)
    assert np.array_equal(one.label, [0, 1, 1, np.nan, np.nan], equal_nan=True)
    assert one.facts["scores"][0] == [0.5, 0.9] and one.facts["rewritten"][4] is None
    assert one.reasons[3] == "the scorer gave no number" and one.reasons[4] == "no <step>"


def test_numbers_out_of_range_are_refused():
    with pytest.raises(StepCreditError, match="threshold"):
        run("x", threshold=2)
