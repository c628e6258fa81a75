"""The first step that no completion saves, found by halving instead of step by step."""

from dataclasses import dataclass
from math import exp
from typing import Any

import numpy as np

from stepcredit.data.layout import Floats, Ints
from stepcredit.errors import StepCreditError
from stepcredit.label.labels import NONE, first_wrong
from stepcredit.label.work import Work
from stepcredit.llm.requests import Plan
from stepcredit.ops import log_beta


@dataclass(frozen=True)
class Between:
    """The first error is behind step `saved` (-1: the task), at the latest at step `lost` (T: there may be none).

    A completion that was right behind step t proves all steps up to t: saved is the last such step, lost the first one
    behind it of which no completion was right.
    """

    saved: int
    lost: int
    size: int

    @property
    def first(self) -> int | None:
        """The first error, -1 = none; None where the two do not meet."""
        if self.lost - self.saved > 1:
            return None
        return NONE if self.lost == self.size else self.lost

    def label(self) -> Floats:
        """[T] 1 up to `saved`, 0 from `lost` on, NaN between them."""
        label = np.full(self.size, np.nan)
        label[: self.saved + 1], label[self.lost :] = 1.0, 0.0
        return label


def between(won: Ints, drawn: Ints, outcome: float | None) -> Between:
    """What counts of completions say of the first error.

    Args:
        won, drawn: [T] behind each step. outcome: of the solution, 0.5 or more = right; it stands for the last step.

    >>> between(np.array([2, 0, 0]), np.array([4, 0, 4]), None).label()
    array([ 1., nan,  0.])
    """
    alive, dead = won > 0, (won == 0) & (drawn > 0)
    if outcome is not None:
        alive[-1:], dead[-1:] = outcome >= 0.5, outcome < 0.5
    saved = int(np.flatnonzero(alive)[-1]) if alive.any() else -1
    zero = np.flatnonzero(dead[saved + 1 :])
    return Between(saved, saved + 1 + int(zero[0]) if zero.size else won.size, won.size)


def told(found: Between, value: Floats, kind: str, threshold: float) -> dict[str, Any]:
    """`label`, `value` and `first_error` of a solution.

    label_t = [value_t > threshold], or value_t ("soft"). With threshold 0 a step that was passed over is right as one
    behind it is, wrong as one before it is; else it is not judged, unless one before it is lost.
    """
    implied = found.label()
    known = ~np.isnan(value)
    if kind == "soft":
        label = np.where(known, value, np.where(implied == 0, 0.0, np.nan))
    elif threshold == 0:
        label = implied
    else:
        label = np.where(known, (value > threshold).astype(float), np.where(implied == 0, 0.0, np.nan))
    first = found.first if kind == "soft" or threshold == 0 else first_wrong(label)
    return {"label": label, "value": value, "first_error": first}


def known(work: Work) -> Between:
    """What the completions bought so far say."""
    return between(work.won[1:], work.drawn[1:], work.outcome)


def halve(work: Work, n: int, *, doubt: float = 0.0, most: int = 4, retries: int = 0) -> Plan[Between]:
    """Find the first step that no completion saves, with n completions of about ceil(log2 T) prefixes.

        low = 0, high = T (T - 1 where the outcome is known to be wrong)
        while low < high:  m = (low + high - 1) // 2;  a right completion behind m: low = m + 1;  none: high = m

    A right completion is proof, none is not: one unlucky prefix sends the search to the wrong half. With `doubt` the
    step that was found is completed again until

        P(0 of N right) = B(w + 1, d - w + N + 1) / B(w + 1, d - w + 1) <= doubt,

    w of d completions behind the last saved step (or of the task, with its other solutions) being right. If one is
    right after all, the search goes on behind it. A zero says nothing where the task is never solved: where its n
    completions are wrong too, nothing is known of the first error.

    Args:
        doubt: 0 trusts every zero. most: at most n * most completions of a step. retries: how often a prefix whose
            completions failed is tried again; where that does not help the search ends, and what it knew stands.

    Raises:
        StepCreditError: n < 1, most < 1, retries < 0, doubt outside [0, 1).
    """
    if n < 1 or most < 1 or retries < 0 or not 0 <= doubt < 1:
        raise StepCreditError(
            f"n and most are at least 1, retries at least 0, doubt in [0, 1); got {n}, {most}, {retries}, {doubt}"
        )
    now = known(work)
    while True:
        while now.saved + 1 < now.lost:
            middle = (now.saved + now.lost) // 2
            share = yield from _drawn_to(work, middle, n, retries)
            if np.isnan(share):
                return now
            now = known(work)
        at = now.lost
        if not doubt or at == now.size or (at == now.size - 1 and work.outcome is not None):
            return now
        won, drawn = int(work.won[at]), int(work.drawn[at])
        if at == 0:
            won, drawn = yield from _of_the_task(work, n, retries)
            if not won:
                return Between(-1, now.size, now.size)
        yield from _drawn_to(work, at, max(_enough(won, drawn, doubt, n * most), n), retries)
        now = known(work)
        if now.lost == at:
            return now


def _drawn_to(work: Work, after: int, n: int, retries: int) -> Plan[float]:
    """The share once n completions behind a step could be told, or the tries are used up."""
    for _ in range(retries + 1):
        missing = n - int(work.drawn[after + 1])
        if missing <= 0:
            break
        yield from work.probe(after, missing)
    return work.share(after)


def _of_the_task(work: Work, n: int, retries: int) -> Plan[tuple[int, int]]:
    """How many solutions of the task are right, of how many: completions of it, and the siblings' outcomes."""
    known = [o for o in work.siblings if o is not None]
    right = sum(o >= 0.5 for o in known)
    if not right:
        yield from _drawn_to(work, -1, n, retries)
    return right + int(work.won[0]), len(known) + int(work.drawn[0])


def _enough(won: int, drawn: int, doubt: float, most: int) -> int:
    """How many completions without a right one leave no more than this doubt."""
    a, b = won + 1.0, drawn - won + 1.0
    whole = float(log_beta(a, b))
    for n in range(1, most):
        if exp(float(log_beta(a, b + n)) - whole) <= doubt:
            return n
    return most
