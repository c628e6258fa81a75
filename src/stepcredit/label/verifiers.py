"""Verifiers by name, for the command: programs that check answers, and the exact truth of Game of 24.

check = get("number:missing=unknown")
check.verifier(["so 3/6"], ["0.5"])
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stepcredit.credit.registry import convert_options
from stepcredit.data.layout import Floats
from stepcredit.data.records import Rollout
from stepcredit.envs import game24
from stepcredit.errors import StepCreditError, UnknownName
from stepcredit.evidence import outcome_check
from stepcredit.label.labels import Labels, first_wrong, unjudged
from stepcredit.plugins import load_function
from stepcredit.protocols import Verifier

_ANSWER = ("boxed", "tag", "marker")
_OPTIONS: Mapping[str, dict[str, Any]] = {
    "exact": {"how": "exact", "extract": (*_ANSWER, "last_line"), "extract_reference": ("marker", "whole")},
    "math": {"how": "math", "extract": (*_ANSWER, "last_line"), "extract_reference": ("boxed", "marker", "whole")},
    "number": {"how": "number", "extract": (*_ANSWER, "last_number"), "extract_reference": ("marker", "whole")},
}
_PUZZLE = re.compile(r"(?<![\d./-])-?\d+(?:[./]\d+)?(?:[\s,]+(?:and\s+)?-?\d+(?:[./]\d+)?)+(?![\d/])")


@dataclass(frozen=True)
class Named:
    """A verifier and where its references come from. reference: of a rollout; None: a field of the records. compares:
    it is of no use without a reference that it can read."""

    verifier: Verifier
    reference: Callable[[Rollout], str | None] | None = None
    compares: bool = False

    def reads(self, reference: str | None) -> bool:
        """Whether a reference is one: compared with itself it is right."""
        return reference is not None and float(self.verifier([reference], [reference])[0]) >= 0.5


def names() -> list[str]:
    """The verifiers that have a name."""
    return sorted([*_OPTIONS, "game24"])


def get(name: str) -> Named:
    """ "number", "math:missing=unknown", "game24", or FILE.py:FUNCTION. An answer that is not found is wrong, unless
    missing=unknown.

    number: the last number, or what is boxed, tagged or marked, is the reference's. math: expressions, by math-verify.
    exact: equal texts. game24: the answer line makes 24 of the puzzle's numbers; the reference is the puzzle.

    Raises:
        UnknownName: no such verifier or option. StepCreditError: no such file; an option that is not one.
    """
    if ".py:" in name:
        return Named(load_function(name, "--verifier"))
    base, *given = name.split(":")
    if base == "game24" and not given:
        return Named(solved, _puzzle_of)
    if base not in _OPTIONS:
        raise UnknownName("verifier", name, [*names(), "FILE.py:FUNCTION"])
    parts = [one.partition("=") for one in given]
    if not all(option and equals for option, equals, _ in parts):
        raise StepCreditError(f"--verifier {name!r}: expected NAME:OPTION=VALUE", hint=f"{base}:missing=unknown")
    known = {**(outcome_check.verifier.__kwdefaults__ or {}), **_OPTIONS[base], "missing": "wrong"}
    del known["how"]
    chosen = convert_options(base, outcome_check.verifier, known, {option: value for option, _, value in parts})
    return Named(outcome_check.verifier(**{"missing": "wrong", **_OPTIONS[base], **chosen}), compares=True)


def solved(answers: Sequence[str], references: Sequence[str]) -> Floats:
    """Game of 24: 1 where the last answer line of a text makes 24 of the puzzle's numbers, each used once; 0 where it
    does not, or there is none; NaN where the reference is no puzzle.

    >>> solved(["10 - 4 = 6 (left: 5 6 6)\\nAnswer: (10 - 4) * 5 - 6 = 24", "Answer: no solution"], ["4 5 6 10"] * 2)
    array([1., 0.])
    """
    return np.array([_solves(a, r) for a, r in zip(answers, references, strict=True)], np.float64)


def truth24(labels: Labels) -> Labels:
    """The exact labels of a solution of Game of 24: a step is right where 24 can still be made after it.

    Where 24 could not be made in the first place no step is judged. A line that is neither a step nor an answer (prose)
    changes nothing: it is as right as what stands before it.

    Raises:
        StepCreditError: neither the prompt nor the group names a puzzle.
    """
    puzzle = puzzle_in(labels.prompt) or puzzle_in(str(labels.group))
    if puzzle is None:
        raise StepCreditError(
            f"rollout {labels.rollout!r}: no puzzle of Game of 24 in its prompt", hint='"... 4 5 6 10 ..."'
        )
    known = unjudged(labels.steps)
    if not game24.solvable(puzzle):
        why = ("24 cannot be made of these numbers",) * len(labels)
        return _replaced(labels, {**known, "reasons": why, "first_error": None})
    state: Any = puzzle
    right: list[float] = []
    for text in labels.steps:
        alive, state = _after(state, text, puzzle)
        right.append(float(alive))
    label = np.array(right)
    return _replaced(labels, {**known, "label": label, "first_error": first_wrong(label)})


def puzzle_in(text: str) -> str | None:
    """The numbers behind the last "24 from", else the first run of two or more, as a key; None if there are none.

    >>> puzzle_in("Make 24 from 10 4, 5 and 6, each number once."), puzzle_in("Make 24.")
    ('4 5 6 10', None)
    """
    asked = text.rfind("24 from")
    found = _PUZZLE.search(text, asked + len("24 from") if asked >= 0 else 0)
    return game24.key(re.sub(r"[\s,]+(?:and\s+)?", " ", found[0])) if found else None


def _puzzle_of(record: Rollout) -> str | None:
    return puzzle_in(record.task or "") or puzzle_in(str(record.group))


def _solves(text: str, puzzle: str) -> float:
    try:
        game24.numbers(puzzle)
    except StepCreditError:
        return float("nan")
    told = [found for line in text.splitlines() if (found := game24.answer(line)) is not None]
    return float(bool(told) and game24.solves(puzzle, told[-1]))


def _after(state: Any, text: str, puzzle: str) -> tuple[bool, Any]:
    """Whether 24 can be made after a step, and the numbers then left (None: it was lost)."""
    for line in text.splitlines():
        told = game24.answer(line)
        if told is not None:
            return game24.solves(puzzle, told), None
        step = None if state is None else game24.parse(line, state)
        if step is not None:
            state = step.after if step.after is not None and game24.solvable(step.after) else None
    return state is not None, state


def _replaced(labels: Labels, known: Mapping[str, Any]) -> Labels:
    outcome = labels.outcome
    return Labels(labels.group, labels.rollout, labels.prompt, labels.steps, outcome=outcome, **known)
