"""Label sets made into one, and rows chosen of it: agreement, votes, balance, filters. What is left out is counted.

Every function takes lists of Labels and returns `Kept`: the labels, in the order in which they came, and how many rows
were dropped for which reason.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import numpy as np

from stepcredit.data.layout import Floats
from stepcredit.errors import LayoutError, StepCreditError, UnknownName
from stepcredit.label.labels import NONE, Labels, first_wrong, unjudged

How = Literal["consensus", "intersection", "majority", "union", "mean"]
HOW: tuple[str, ...] = get_args(How)
By = Literal["binary", "value"]

_VALUES = 10  # buckets of equal width


@dataclass(frozen=True)
class Kept:
    """Labels that are left, and rows that are not: reason -> number."""

    labels: list[Labels]
    dropped: Mapping[str, int] = field(default_factory=dict)


def together(sets: Sequence[Sequence[Labels]]) -> tuple[list[tuple[Labels, ...]], dict[str, int]]:
    """Rows of one (group, rollout) in every set, in the order of the first set; and rows that are not in all, counted.

    Where one set is cut behind its first error its missing steps are not judged.

    Raises:
        LayoutError: fewer than two sets; a set with one rollout twice; a rollout with other steps in another set.
    """
    if len(sets) < 2:
        raise LayoutError(f"label sets are compared or combined: give at least two, got {len(sets)}")
    named = [_by_name(one) for one in sets]
    rows = [tuple(n[name] for n in named) for name in named[0] if all(name in n for n in named)]
    alone = len(set().union(*named)) - len(rows)
    return [_even(row) for row in rows], {"not in every set": alone} if alone else {}


def combine(sets: Sequence[Sequence[Labels]], how: How, *, agree: int | None = None) -> Kept:
    """One set of several.

    Args:
        how: "consensus", see `consensus`; else a `vote`.
        agree: of "consensus".

    Raises:
        UnknownName: no such way. LayoutError: as `together`.
    """
    if how not in HOW:
        raise UnknownName("way to combine labels", how, HOW)
    rows, dropped = together(sets)
    if how != "consensus":
        return Kept([vote(row, how) for row in rows], dropped)
    found = [consensus(row, agree=agree) for row in rows]
    reasons = Counter(dropped) + Counter(one for one in found if isinstance(one, str))
    return Kept([one for one in found if isinstance(one, Labels)], dict(reasons))


def consensus(annotations: Sequence[Labels], *, agree: int | None = None) -> Labels | str:
    """Labels by the first error e that at least `agree` annotators name: y_t = 1 for t < e, y_e = 0; or why there are
    none.

    Steps behind e are not judged. An annotator whose first error is not known agrees with nobody.

    Args:
        agree: None: all of them (the filter of Qwen2.5-Math-PRM).

    Raises:
        StepCreditError: agree is not in 1..annotators.
    """
    needed = len(annotations) if agree is None else agree
    if not 1 <= needed <= len(annotations):
        raise StepCreditError(f"agree must be 1 to {len(annotations)}, the number of annotators; got {needed}")
    votes = [a.first_error for a in annotations]
    first = majority_first_error(votes)
    number = votes.count(first)
    if first is None or number < needed:
        return "first error not known" if None in votes else "annotators disagree on the first error"
    steps = annotations[0].steps
    label = np.full(len(steps), np.nan)
    label[: len(steps) if first == NONE else first] = 1.0
    label[first : first + 1 if first != NONE else 0] = 0.0
    return _made(annotations, label, first, {"annotators": len(annotations), "agreed": number})


def majority_first_error(votes: Sequence[int | None]) -> int | None:
    """The first error that is named most often; of equals the one that was named first; None where nobody knows.

    >>> majority_first_error([3, -1, -1, None]), majority_first_error([4, 2]), majority_first_error([None])
    (-1, 4, None)
    """
    known = Counter(v for v in votes if v is not None)
    return known.most_common(1)[0][0] if known else None


def vote(annotations: Sequence[Labels], how: How) -> Labels:
    """Step by step, of the annotators that judged it.

    Args:
        how: "intersection", right where all annotators say so, wrong where any says wrong; "union", right where any
            says so, wrong where all annotators say wrong; "majority" of those that judged, a tie is not judged; "mean"
            of their labels, a soft label. Except for "mean" a label of at least 0.5 says right.

    The votes stand in `facts`: votes_right and votes, one number per step.
    """
    said = np.array([a.label for a in annotations])
    right, judged = (said >= 0.5).sum(0), (~np.isnan(said)).sum(0)
    wrong, n = judged - right, len(annotations)
    label = np.full(said.shape[1], np.nan)
    match how:
        case "intersection":
            label[right == n], label[wrong > 0] = 1.0, 0.0
        case "union":
            label[wrong == n], label[right > 0] = 0.0, 1.0
        case "majority":
            label[right > wrong], label[wrong > right] = 1.0, 0.0
        case "mean":
            label = _mean(said)
        case _:
            raise UnknownName("vote", how, HOW[1:])
    facts = {"votes_right": right.tolist(), "votes": judged.tolist()}
    return _made(annotations, label, first_wrong(label), facts)


def balance(labels: Sequence[Labels], by: By = "binary", *, seed: int = 0) -> Kept:
    """Equal numbers of rows of each kind, drawn at random; the others are dropped.

    Args:
        by: "binary", rows without an error and rows with one; "value", by the mean of the row's known values, in ten
            buckets of equal width between 0 and 1 (of those that are not empty).

    Raises:
        UnknownName: no such kind.
    """
    if by not in get_args(By):
        raise UnknownName("kind of balance", by, get_args(By))
    kinds = [_outcome_of(one) if by == "binary" else _bucket(one) for one in labels]
    counts = Counter(k for k in kinds if k is not None)
    least = min(counts.values(), default=0) if by == "value" or len(counts) == 2 else 0
    rng = np.random.default_rng(seed)
    chosen: set[int] = set()
    for kind in sorted(counts):
        chosen.update(rng.permutation([i for i, k in enumerate(kinds) if k == kind])[:least].tolist())
    unknown = sum(k is None for k in kinds)
    what = "first error" if by == "binary" else "value"
    dropped = {f"{what} not known": unknown, "balanced away": len(labels) - unknown - len(chosen)}
    return Kept([one for i, one in enumerate(labels) if i in chosen], _some(dropped))


def accuracy_band(labels: Sequence[Labels], low: float, high: float) -> Kept:
    """Rows of tasks whose share of successes, of the rows whose outcome is known, is in [low, high].

    Raises:
        StepCreditError: not 0 <= low <= high <= 1.
    """
    if not 0 <= low <= high <= 1:
        raise StepCreditError(f"a band of accuracy is 0 <= low <= high <= 1; got {low}, {high}")
    share = {g: float(np.mean(o)) if o else None for g, o in _outcomes(labels).items()}
    reasons = [_beside(share[one.group], low, high) for one in labels]
    return _filtered(labels, reasons)


def varied(labels: Sequence[Labels], least: float = 0.0) -> Kept:
    """Rows of tasks whose outcomes vary by more than this: p (1 - p) of the outcomes that are known."""
    spread = {g: float(np.var(o)) if o else None for g, o in _outcomes(labels).items()}
    why = {None: "no outcome of the task known", False: "outcomes of the task do not vary enough", True: None}
    return _filtered(labels, [why[None if (s := spread[one.group]) is None else s > least] for one in labels])


def consistent(labels: Sequence[Labels]) -> Kept:
    """Rows whose first error is known and which do not fail without one (SCAN drops these: the labels are wrong)."""
    return _filtered(
        labels,
        [
            "first error not known"
            if one.first_error is None
            else "failed without a wrong step"
            if one.first_error == NONE and one.outcome == 0
            else None
            for one in labels
        ],
    )


def distinct(labels: Sequence[Labels]) -> Kept:
    """Each sequence of steps of a task once."""
    seen: set[tuple[str | int, tuple[str, ...]]] = set()
    reasons: list[str | None] = []
    for one in labels:
        name = (one.group, one.steps)
        reasons.append("the same steps again" if name in seen else None)
        seen.add(name)
    return _filtered(labels, reasons)


def _filtered(labels: Sequence[Labels], reasons: Sequence[str | None]) -> Kept:
    kept = [one for one, reason in zip(labels, reasons, strict=True) if reason is None]
    return Kept(kept, dict(Counter(r for r in reasons if r is not None)))


def _beside(share: float | None, low: float, high: float) -> str | None:
    if share is None:
        return "no outcome of the task known"
    return "task too hard" if share < low else "task too easy" if share > high else None


def _outcomes(labels: Sequence[Labels]) -> dict[str | int, list[float]]:
    out: dict[str | int, list[float]] = {}
    for one in labels:
        known = out.setdefault(one.group, [])
        if one.outcome is not None:
            known.append(one.outcome)
    return out


def _outcome_of(one: Labels) -> int | None:
    return None if one.first_error is None else int(one.first_error == NONE)


def _bucket(one: Labels) -> int | None:
    known = one.value[~np.isnan(one.value)]
    return int(np.clip(known.mean() * _VALUES, 0, _VALUES - 1)) if known.size else None


def _some(counts: Mapping[str, int]) -> dict[str, int]:
    return {reason: n for reason, n in counts.items() if n}


def _by_name(labels: Sequence[Labels]) -> dict[tuple[str | int, str | int], Labels]:
    out = {(one.group, one.rollout): one for one in labels}
    if len(out) < len(labels):
        twice = Counter((one.group, one.rollout) for one in labels).most_common(1)[0][0]
        raise LayoutError(f"a label set holds rollout {twice[1]!r} of group {twice[0]!r} twice")
    return out


def _even(row: tuple[Labels, ...]) -> tuple[Labels, ...]:
    """The same steps in each; those that were cut off are not judged."""
    longest = max(row, key=len)
    for one in row:
        if one.steps != longest.steps[: len(one)]:
            raise LayoutError(
                f"rollout {one.rollout!r} of group {one.group!r} has other steps in another label set",
                hint="label sets that are compared or combined label the same rollouts, cut the same way",
            )
    return tuple(one if len(one) == len(longest) else _longer(one, longest.steps) for one in row)


def _longer(one: Labels, steps: tuple[str, ...]) -> Labels:
    parts = unjudged(steps)
    for name in ("label", "value", "won", "drawn"):
        parts[name][: len(one)] = getattr(one, name)
    parts["reasons"] = (*one.reasons, *(None,) * (len(steps) - len(one)))
    return replace(one, steps=steps, **parts)


def _made(annotations: Sequence[Labels], label: Floats, first: int | None, facts: Mapping[str, object]) -> Labels:
    """Completions are not added up: sets that share a store share them too."""
    outcome = next((a.outcome for a in annotations if a.outcome is not None), None)
    known = {**unjudged(label.tolist()), "label": label, "value": _mean(np.array([a.value for a in annotations]))}
    return replace(annotations[0], **known, first_error=first, outcome=outcome, facts=dict(facts), spent={})


def _mean(columns: Floats) -> Floats:
    known = ~np.isnan(columns)
    number = known.sum(0)
    total = np.where(known, columns, 0.0).sum(0)
    out: Floats = np.divide(total, number, out=np.full(number.size, np.nan), where=number > 0)
    return out
