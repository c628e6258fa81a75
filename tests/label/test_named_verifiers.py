"""Verifiers by name, and the exact labels of Game of 24."""

import numpy as np
import pytest

from stepcredit.data.records import Rollout
from stepcredit.envs import game24
from stepcredit.errors import StepCreditError, UnknownName
from stepcredit.label.labels import Labels, unjudged
from stepcredit.label.verifiers import get, names, puzzle_in, solved, truth24


@pytest.mark.parametrize(
    "name, answer, reference, told",
    [
        ("number", "3 + 4 = 7\nso \\boxed{7}", "so it is #### 7.0", 1),
        ("number", "about 8", "7", 0),
        ("number", "no idea", "7", 0),
        ("number:missing=unknown", "no idea", "7", np.nan),
        ("number:tolerance=0.2", "8.1", "7.9", 1),
        ("exact", "I say\nAnswer\nblue", "blue", 1),
        ("exact", "<answer>blue</answer>", "red", 0),
    ],
)
def test_an_answer_is_found_and_compared(name, answer, reference, told):
    assert np.array_equal(get(name).verifier([answer], [reference]), [told], equal_nan=True)


def test_mathematics_is_compared():
    pytest.importorskip("math_verify")
    assert get("math").verifier([r"\boxed{\frac{x}{2}}", r"\boxed{x}"], ["x/2"] * 2).tolist() == [1, 0]


def test_a_verifier_of_yours(tmp_path):
    (tmp_path / "mine.py").write_text("def check(answers, references):\n    return [0.5 for _ in answers]\n")
    assert get(f"{tmp_path}/mine.py:check").verifier(["a"], ["b"]) == [0.5]


def test_names_and_options_that_are_not_there():
    assert names() == ["exact", "game24", "math", "number"]
    with pytest.raises(UnknownName, match="did you mean 'number'"):
        get("numbers")
    with pytest.raises(UnknownName, match="option of number"):
        get("number:how=exact")
    with pytest.raises(StepCreditError, match="NAME:OPTION=VALUE"):
        get("number:missing")


def test_game24_reads_the_last_answer_line():
    right = "10 - 4 = 6 (left: 5 6 6)\nAnswer: 5 + 6\nAnswer: (10 - 4) * 5 - 6 = 24"
    texts = [right, right + "\nAnswer: no solution", "10 - 4 = 6", "Answer: (6 - 4) * (10 + 2)"]
    assert solved(texts, ["4 5 6 10"] * 4).tolist() == [1, 0, 0, 0]
    assert np.isnan(solved([right], ["words"])[0])


def test_the_puzzle_is_found_in_the_task_or_the_group():
    assert puzzle_in("Make 24 from 10 4, 5 and 6, each number once.") == "4 5 6 10"
    assert puzzle_in("Use 8/3 1 6.") == game24.key("8/3 1 6")
    assert puzzle_in("Make 24 from 1 2 3 4. 1 + 2 = 3\n\nMake 24 from 2 3 3 8.") == "2 3 3 8"
    find = get("game24").reference
    assert find(Rollout(group="4 5 6 10", rollout=0)) == "4 5 6 10"
    assert find(Rollout(group="p", rollout=0)) is None


def labels(record):
    steps = tuple(s.text for s in record.steps)
    return Labels(record.group, record.rollout, record.task, steps, first_error=None, **unjudged(steps))


def test_exact_labels_are_those_of_the_world():
    checked = 0
    for record in game24.batch(game24.puzzles()[:40], 6, game24.Policy(skill=4.0, slip=0.2), 3).records:
        found = truth24(labels(record))
        if game24.solvable(record.group):
            good = [step.evidence["truth.good"] for step in record.steps]
            assert found.label.tolist() == good
            assert found.first_error == (good.index(0) if 0 in good else -1)
            checked += 1
        else:
            assert np.isnan(found.label).all() and found.first_error is None
    assert checked > 100


def test_prose_is_as_right_as_what_stands_before_it_and_no_puzzle_is_an_error():
    one = Labels("g", 0, "Make 24 from 4 5 6 10.", ("I think.", "10 - 4 = 6"), first_error=None, **unjudged("ab"))
    assert truth24(one).label.tolist() == [1, 1]
    with pytest.raises(StepCreditError, match="no puzzle"):
        truth24(Labels("g", 0, "What?", ("a",), first_error=None, **unjudged("a")))
