import numpy as np
import pytest

import stepcredit as sc
from conftest import skip_or_fail
from stepcredit.errors import StepCreditError
from stepcredit.search.bank import Hit, Likeness, Solved, StepBank

TEXTS = (
    "Factor the quadratic equation.",
    "Add the fractions, then simplify.",
    "Simplify the quadratic by factoring.",
    "",
)


def test_likeness_is_that_of_scikit_learn():
    try:
        from sklearn.feature_extraction.text import TfidfVectorizer
    except ImportError:
        skip_or_fail("sklearn", "scikit-learn is not installed")
    vectorizer = TfidfVectorizer()
    rows = vectorizer.fit_transform(TEXTS)
    mine = Likeness(TEXTS)
    for text in ("factor the quadratic", "Simplify, simplify the sum", "nothing known here"):
        theirs = (rows @ vectorizer.transform([text]).T).toarray().ravel()
        np.testing.assert_allclose(mine.to(text), theirs, atol=1e-12)


def test_ties_go_to_the_first_and_the_problem_itself_is_left_out():
    bank = StepBank([Solved("p", ("add the numbers", "halve it")), Solved("q", ("add the numbers",))])
    assert bank.steps_like("add the numbers", 2) == [Hit(0, 0, pytest.approx(1.0)), Hit(1, 0, pytest.approx(1.0))]
    assert [h.solved for h in bank.steps_like("add the numbers", 3, 0.5, but=" p\n")] == [1]
    assert bank.steps_like("unrelated words", 1, 0.1) == []


def test_an_encoder_takes_the_place_of_words():
    points = {"a": [1.0, 0.0], "b": [0.0, 1.0], "ask": [0.6, 0.8]}
    bank = StepBank([Solved("p", ("a", "b"))], lambda texts: np.array([points[t] for t in texts]))
    assert bank.steps_like("ask") == [Hit(0, 1, 0.8)]


def test_a_bank_is_made_of_rollouts_that_succeeded(tmp_path):
    step = sc.Step(text="add", observation="5", extra={"thought": "the sum is asked"})
    rollouts = [
        sc.Rollout(group="g", rollout="r", outcome=1.0, task="2 + 3?", steps=[step]),
        sc.Rollout(group="g", rollout="s", outcome=0.0, task="2 + 3?", steps=[step]),
    ]
    bank = StepBank.from_rollouts(rollouts)
    assert bank.solved == (Solved("2 + 3?", ("add",), ("5",), ("the sum is asked",)),)
    file = tmp_path / "solved.jsonl"
    sc.write(rollouts, file)
    assert StepBank.of(str(file), "x").solved == bank.solved
    sc.write(rollouts[1:], file)
    with pytest.raises(StepCreditError, match="there is nothing to show"):
        StepBank.of(file, "x")


def test_what_is_missing_is_named():
    with pytest.raises(StepCreditError, match="no bank"):
        StepBank.of(None, "booststep")
    with pytest.raises(StepCreditError, match="thoughts"):
        StepBank([Solved("p", ("a",))]).steps_like("a", by="thoughts")
    with pytest.raises(StepCreditError, match="template"):
        StepBank([Solved("p", ("a",))]).problems_like("a", by="template")
    with pytest.raises(StepCreditError, match="2 thoughts for 1 steps"):
        Solved("p", ("a",), thoughts=("x", "y"))
