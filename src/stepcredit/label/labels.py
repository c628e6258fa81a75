"""Labels of one solution: values and verdicts per step, where the first error is, and who says so."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

import numpy as np

from stepcredit.data.layout import Floats, Ints
from stepcredit.errors import LayoutError, StepCreditError, UnknownName

After = Literal["local", "cut", "mask", "negative"]
AFTER = ("local", "cut", "mask", "negative")
NONE = -1


@dataclass(frozen=True)
class Labels:
    """What a system says of the T steps of a solution.

    label: [T] 1 right, 0 wrong, between them a soft label, NaN not judged. value: [T] chance of success after each
    step, or another score by which the label was told; NaN = not known. won, drawn: [T] of how many completions it is
    the share (drawn 0 = none were drawn). first_error: index of the first wrong step, -1 = none is wrong, None = not
    known. reasons: [T] why a step was not judged, or what the judge says of it. outcome: of the solution. facts: what
    else is known of the solution, plain data, kept in the rows. spent: calls by kind.
    """

    group: str | int
    rollout: str | int
    prompt: str
    steps: tuple[str, ...]
    label: Floats
    value: Floats
    won: Ints
    drawn: Ints
    first_error: int | None
    reasons: tuple[str | None, ...]
    outcome: float | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    spent: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        sizes = {len(self.steps), len(self.reasons), *(a.size for a in (self.label, self.value, self.won, self.drawn))}
        if len(sizes) > 1:
            raise LayoutError(f"labels of rollout {self.rollout!r} disagree on the number of steps: {sorted(sizes)}")
        if self.first_error is not None and not NONE <= self.first_error < len(self.steps):
            raise LayoutError(f"first error {self.first_error} of rollout {self.rollout!r}, {len(self.steps)} steps")

    def __len__(self) -> int:
        return len(self.steps)

    def first(self, n: int) -> Self:
        """The first n steps alone."""
        kept = None if self.first_error is None else self.first_error if self.first_error < n else NONE
        parts = {name: getattr(self, name)[:n] for name in ("steps", "label", "value", "won", "drawn", "reasons")}
        return replace(self, **parts, first_error=kept)


def first_wrong(label: Floats, threshold: float = 0.5) -> int | None:
    """Index of the first label below the threshold (a soft label counts by it), -1 = none is; None where a step before
    it, or where none is wrong any step, was not judged.

    >>> first_wrong(np.array([1, 0.2, 1])), first_wrong(np.array([1, np.nan, 0])), first_wrong(np.ones(2))
    (1, None, -1)
    """
    wrong = np.flatnonzero(label < threshold)
    end = int(wrong[0]) if wrong.size else label.size
    if np.isnan(label[:end]).any():
        return None
    return end if wrong.size else NONE


def after_error(labels: Labels, policy: After) -> Labels:
    """What becomes of steps behind the first error.

    Args:
        policy: "local", every step keeps its own label; "cut", they are left out; "mask", they are not judged;
            "negative", they are wrong. Where the first error is not known nothing changes.

    Raises:
        UnknownName: no such policy.
    """
    if policy not in AFTER:
        raise UnknownName("policy for steps after the first error", policy, AFTER)
    at = labels.first_error
    if policy == "local" or at is None or at == NONE:
        return labels
    if policy == "cut":
        return labels.first(at + 1)
    label = labels.label.copy()
    label[at + 1 :] = np.nan if policy == "mask" else 0.0
    return replace(labels, label=label)


def soft_window(labels: Labels, *, width: int = 2, ability: float = 1.0) -> Labels:
    """Soft labels in front of the detected error, which tends to lie behind the true one (SCAN).

        y_t = 1 for t < e - width;   y_e = 0;   y_{e-j} = min(1, value_{e-j} / ability), j = 1..width

    The steps behind e are cut. Where there is no error, or it is not known, nothing changes.

    Args:
        ability: how often the completer solves the task; its own failures are divided out.

    Raises:
        StepCreditError: ability not in (0, 1], or width < 0.
    """
    if not 0 < ability <= 1 or width < 0:
        raise StepCreditError(f"ability must be in (0, 1] and width at least 0; got {ability}, {width}")
    at = labels.first_error
    if at is None or at == NONE:
        return labels
    cut = labels.first(at + 1)
    label = np.ones(at + 1)
    begin = max(at - width, 0)
    label[begin:at] = np.minimum(1.0, cut.value[begin:at] / ability)
    label[at] = 0.0
    return replace(cut, label=label)


def until(value: Floats, low: Any) -> Floats:
    """[T] the values up to the first of `low` ([T] bool); what stands behind it was not looked at: NaN.

    >>> until(np.array([0.5, 0.0, 1.0]), np.array([False, True, False])).tolist()
    [0.5, 0.0, nan]
    """
    out, first = value.copy(), np.flatnonzero(low)
    if first.size:
        out[first[0] + 1 :] = np.nan
    return out


def unjudged(steps: Sequence[str]) -> dict[str, Any]:
    """Columns of T steps of which nothing is known yet."""
    n = len(steps)
    return {
        "label": np.full(n, np.nan),
        "value": np.full(n, np.nan),
        "won": np.zeros(n, np.int64),
        "drawn": np.zeros(n, np.int64),
        "reasons": (None,) * n,
    }
