"""What there is to tell of steps, one number and its words at a time: credit, blame, rewards, evidence."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from stepcredit.data.records import Blame, Rollout
from stepcredit.errors import UnknownName

KINDS = ("credit", "blame", "reward", "evidence")
WORDS = {-1.0: "wrong", 0.0: "neutral", 1.0: "right"}


class Score(NamedTuple):
    """step: its place; None: of the whole rollout. more: what else is told, by name."""

    kind: str
    name: str
    step: int | None
    value: float | None
    label: str | None = None
    comment: str | None = None
    more: dict[str, Any] = {}


def kinds(told: str) -> tuple[str, ...]:
    """The kinds named in an option, with commas between.

    Raises:
        UnknownName
    """
    found = tuple(k.strip() for k in told.split(",") if k.strip())
    for one in found:
        if one not in KINDS:
            raise UnknownName("kind of score", one, KINDS)
    return found


def scores(rollout: Rollout, wanted: tuple[str, ...]) -> Iterator[Score]:
    """The scores of a rollout, step by step. What is not judged (None) is left out; lists of votes are left out."""
    by_step: dict[int | None, list[Blame]] = {}
    for blame in rollout.blame if "blame" in wanted else ():
        by_step.setdefault(blame.step, []).append(blame)
    for place, step in enumerate(rollout.steps):
        if "credit" in wanted:
            for name, value in step.credit.items():
                if value is not None:
                    yield Score("credit", name, place, float(value))
        for blame in by_step.get(place, ()):
            yield _blame(blame)
        if "reward" in wanted and step.reward is not None:
            yield Score("reward", "reward", place, float(step.reward))
        if "evidence" in wanted:
            for name, number in step.evidence.items():
                if number is not None and not isinstance(number, list):
                    yield Score("evidence", name, place, float(number))
    for step_number, told in by_step.items():
        if step_number is None or not 0 <= step_number < len(rollout.steps):
            yield from map(_blame, told)


def _blame(blame: Blame) -> Score:
    more = {"by": blame.by, "error": blame.error, "confidence": blame.confidence}
    value = None if blame.label is None else float(blame.label)
    label = None if value is None else WORDS.get(value, "wrong" if value < 0 else "right")
    kept = {k: v for k, v in more.items() if v is not None}
    return Score("blame", "blame", blame.step, value, label, blame.reason, kept)
