"""Asking models: each distinct question once, answers checked, failed ones told apart."""

from collections.abc import Hashable, Sequence
from typing import Any, TypeVar

import numpy as np

from stepcredit.data.batch import Batch
from stepcredit.data.encode import encode
from stepcredit.data.layout import Floats, Ints
from stepcredit.errors import DataError, StepCreditError
from stepcredit.evidence import _texts
from stepcredit.evidence._texts import Reference
from stepcredit.protocols import Forcer, Verifier

T = TypeVar("T")


def once(questions: Sequence[Hashable]) -> tuple[list[Any], Ints]:
    """(the distinct questions in order of appearance, [n] which of them each one is).

    >>> once(["a", "b", "a"])
    (['a', 'b'], array([0, 1, 0]))
    """
    which, distinct = encode(questions)
    return list(distinct), which


def answered(replies: Sequence[T], n: int, who: str) -> Sequence[T]:
    """The replies, one to each of n questions.

    Raises:
        StepCreditError: more or fewer.
    """
    if len(replies) != n:
        raise StepCreditError(
            f"{who} answered {len(replies)} times to {n} questions",
            hint="one reply per question, in their order; None or NaN where there is none",
        )
    return replies


def forced(forcer: Forcer, pairs: Sequence[tuple[str, str]], who: str) -> list[Floats]:
    """Log-probabilities of each (prefix, continuation), every distinct pair asked once; [NaN] where it failed.

    Raises:
        StepCreditError: the forcer answers too often or too seldom, or with a log-probability above 0.
    """
    distinct, which = once(pairs)
    replies = answered(forcer([p for p, _ in distinct], [c for _, c in distinct]), len(distinct), who) if pairs else []
    read = [np.array([np.nan]) if r is None else np.asarray(r, float) for r in replies]
    for (_, continuation), logp in zip(distinct, read, strict=True):
        if logp.ndim != 1 or np.any(logp > 1e-6):
            raise StepCreditError(
                f"{who} asks a forcer for log-probabilities, a list of numbers that are at most 0; got {logp!r} for "
                f"{continuation!r}"
            )
    return [read[i] for i in which.tolist()]


def verified(verifier: Verifier, answers: Sequence[str], references: Sequence[str], who: str) -> Floats:
    """[n] what a verifier says of each answer, 0..1; NaN = cannot tell.

    Raises:
        StepCreditError: it answers too often or too seldom, or outside 0..1.
    """
    right = np.asarray(verifier(answers, references) if answers else (), float)
    answered(right.tolist(), len(answers), f"the verifier of {who}")
    if np.any((right < 0) | (right > 1)):
        raise StepCreditError(f"the verifier of {who} must say 0 (wrong) to 1 (right) or NaN; got {right}")
    return right


def mean(values: Sequence[Floats]) -> Floats:
    """[n] the mean of each list; NaN of an empty one."""
    return np.array([v.mean() if v.size else np.nan for v in values], float)


def golds(batch: Batch, reference: Reference, who: str) -> list[list[str]]:
    """[R] the right answers as texts.

    Raises:
        DataError: a rollout without one, or one that is no text.
    """
    found = []
    for record, one in zip(_texts.records(batch, who), _texts.references(batch, reference, who), strict=True):
        listed = list(one) if isinstance(one, list | tuple) else [one]
        if not listed or not all(isinstance(x, str | int | float) for x in listed):
            raise DataError(
                f"{who} needs an answer as text", rollout=record.rollout, got=one, hint="reference=a function of it"
            )
        found.append([str(x) for x in listed])
    return found


def gold(batch: Batch, reference: Reference, who: str) -> list[str]:
    """[R] the right answer as text: of several that are right, the first."""
    return [one[0] for one in golds(batch, reference, who)]
