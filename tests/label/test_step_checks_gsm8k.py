"""Calculator and SymPy read the plain text of GSM8K's solutions and say what the calculator marks beside it say."""

import gzip
import json
import re
from collections import Counter
from importlib.util import find_spec

import pytest

from conftest import skip_or_fail
from stepcredit.data.records import Rollout, Step
from stepcredit.label.checks import Known
from stepcredit.label.checks._claims import marks, unmarked
from stepcredit.label.checks.calculator import calculator, judged
from stepcredit.label.checks.symbolic import symbolic
from stepcredit.label.run import label

PLAIN = re.compile(r"[\d.+\-*/() ]+")


@pytest.fixture(scope="module")
def rows(data):
    if find_spec("sympy") is None:
        skip_or_fail("sympy", "sympy is not installed")
    with gzip.open(data / "gsm8k/model_solutions.jsonl.gz", "rt", encoding="utf-8") as lines:
        found = [json.loads(line) for line in lines]
    return found[::4]


@pytest.fixture(scope="module")
def steps(rows):
    return [s for r in rows for m in r.values() if isinstance(m, dict) for s in m["solution"].splitlines()]


def holds(mark):
    """Whether a mark's own arithmetic holds, by floats and none of our code; None where it is no plain arithmetic."""
    left, _, right = mark.replace(",", "").rpartition("=")
    if not PLAIN.fullmatch(left) or not re.fullmatch(r"-?\d*\.?\d+", right) or re.search(r"\b0\d", left):
        return None
    try:
        gap = abs(eval(left) - float(right))  # digits and signs alone
    except (SyntaxError, ZeroDivisionError):
        return None
    decimals = len(right.partition(".")[2])
    return gap <= 1e-9 * max(abs(float(right)), 1) or (decimals > 0 and gap <= 0.5000001 * 10**-decimals)


def both(verdicts):
    return False if False in verdicts else True if True in verdicts else None


def test_marks_are_judged_as_floats_judge_them(steps):
    told = [(holds(m), both([v.right for v in judged(m)])) for s in steps for m in marks(s)]
    known = [(a, b) for a, b in told if a is not None]
    assert len(known) > 1500 and Counter(known)[False, False] > 0
    assert all(a == b for a, b in known)


@pytest.mark.parametrize("check", [calculator, symbolic])
def test_plain_text_agrees_with_the_marks_but_where_the_text_says_something_else(steps, check):
    pairs = Counter()
    for step in steps:
        by_marks = both([holds(m) for m in marks(step)])
        if by_marks is not None:
            pairs[by_marks, check(unmarked(step), Known()).right] += 1
    known = sum(n for (_, said), n in pairs.items() if said is not None)
    same = sum(n for (truth, said), n in pairs.items() if said is truth)
    assert known > 0.9 * sum(pairs.values())
    assert same > 0.98 * known
    assert pairs[False, True] <= 1


def test_the_two_agree_with_one_another(steps):
    told = [(calculator(unmarked(s), Known()).right, symbolic(unmarked(s), Known()).right) for s in steps]
    known = [(a, b) for a, b in told if a is not None and b is not None]
    assert len(known) > 1500 and sum(a == b for a, b in known) >= 0.999 * len(known)


def test_rollouts_of_gsm8k_are_labelled(rows):
    given = [
        Rollout(
            group=row["index"],
            rollout=name,
            task=row["question"],
            outcome=float(one["is_correct"]),
            steps=[Step(text=s) for s in one["solution"].splitlines()],
        )
        for row in rows[:25]
        for name, one in row.items()
        if isinstance(one, dict)
    ]
    found = [one for _, unit in label(given, "tool_checks", {}, checks=("calculator", "symbolic")) for one in unit]
    judged_ = sum(int((one.label == one.label).sum()) for one in found)
    assert len(found) == 100 and judged_ > 150
    assert all(r for one in found for r, x in zip(one.reasons, one.label, strict=True) if x != x)
