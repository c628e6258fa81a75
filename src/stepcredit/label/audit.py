"""How good are labels? Label sets against the truth, beside baselines that never looked, and against one another.

    report = audit({"mc": found, "judge": other}, truth=gold)
    report["scores"]["mc"]["f1"]["value"]

Numbers are shares between 0 and 1. What a set did not judge is never right: it is counted, and where a number is of the
judged alone its line says so. Intervals: 90%, bootstrap over tasks; all sets see the same draws.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np

from stepcredit.data.layout import Floats, Ints
from stepcredit.errors import LayoutError, StepCreditError
from stepcredit.label.combine import together
from stepcredit.label.labels import NONE, Labels
from stepcredit.ops import kappa

LEVEL = 0.9
DRAWS = 400
UNKNOWN = -2
LAST = 5  # first errors from here on share a row of the noise matrix

Scores = dict[str, float]


@dataclass(frozen=True, eq=False)
class _Facts:
    """A label set in arrays. first: [R], UNKNOWN where not known. size, task: [R]. row, label, score: [S]."""

    first: Ints
    size: Ints
    task: Ints
    row: Ints
    label: Floats
    score: Floats


def audit(
    sets: Mapping[str, Sequence[Labels]],
    truth: Sequence[Labels] | None = None,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> dict[str, Any]:
    """What can be said of label sets of the same rollouts; plain data.

    Args:
        sets: by name. truth: labels that are right; None: the sets are compared with one another alone.
        draws: of the bootstrap.

    Returns:
        rows, tasks, not_in_every_set: what was compared. sets: name -> `described`. scores: name -> score -> value,
        low, high (`first_error_scores`, `step_scores`), of baselines too. noise: name -> `noise`. differences: "A - B"
        -> score -> value, low, high. agreement: "A, B" -> first_error, first_error_kappa, step, step_kappa.

    Raises:
        StepCreditError: one set and no truth. LayoutError: see `together`; no row is in every set.
    """
    if len(sets) + (truth is not None) < 2:
        raise StepCreditError("nothing to compare these labels with", hint="give another label set, or the truth")
    rows, alone = together([*sets.values(), *([] if truth is None else [truth])])
    if not rows:
        raise LayoutError("no rollout is in every label set", hint="their fields `group` and `rollout` name rollouts")
    columns = [list(column) for column in zip(*rows, strict=True)]
    named = dict(zip(sets, map(_facts, columns), strict=False))
    first = next(iter(named.values()))
    weights = _weights(int(first.task.max()) + 1, draws, seed)
    out: dict[str, Any] = {
        "rows": len(rows),
        "tasks": int(first.task.max()) + 1,
        "not_in_every_set": sum(alone.values()),
        "sets": {n: described(c) for n, c in zip(sets, columns, strict=False)},
        "agreement": {f"{a}, {b}": _told(_agreed(named[a], named[b]), weights) for a, b in combinations(named, 2)},
    }
    if truth is not None:
        gold = _facts(columns[-1])
        drawn = {n: _drawn(_against(one, gold), weights) for n, one in {**named, **_baselines(gold)}.items()}
        drawn["random"] = _drawn(_random(gold), weights)
        out["scores"] = {n: {k: _interval(v) for k, v in d.items()} for n, d in drawn.items()}
        out["noise"] = {n: noise(one.first, gold.first) for n, one in named.items()}
        out["differences"] = {
            f"{a} - {b}": {k: _interval(drawn[a][k] - drawn[b][k]) for k in drawn[a]} for a, b in combinations(named, 2)
        }
    return out


def described(labels: Sequence[Labels]) -> dict[str, Any]:
    """What a label set looks like by itself: rows, steps, judged (share of the steps), right (share of the judged
    steps), first_error_known, without_error (share of those known), lowest_last (see `lowest_last`)."""
    label = np.concatenate([one.label for one in labels])
    known = [one.first_error for one in labels if one.first_error is not None]
    judged = label[~np.isnan(label)]
    return {
        "rows": len(labels),
        "steps": label.size,
        "judged": judged.size / max(label.size, 1),
        "right": float((judged >= 0.5).mean()) if judged.size else float("nan"),
        "first_error_known": len(known) / max(len(labels), 1),
        "without_error": known.count(NONE) / len(known) if known else float("nan"),
        "lowest_last": lowest_last([_score(one) for one in labels]),
    }


def lowest_last(scores: Sequence[Floats]) -> float:
    """Share of solutions whose lowest score is that of the last step, of those with two scores or more; of equal ones
    the first counts. High where scores tell the outcome, not the process (The Lessons of Developing PRMs).

    >>> round(lowest_last([np.array(x) for x in ((.9, .8, .3), (.2, .8, .9), (.9, .7, .6))]), 3)
    0.667
    """
    told = [(s, np.flatnonzero(~np.isnan(s))) for s in scores]
    last = [bool(s[at].argmin() == at.size - 1) for s, at in told if at.size > 1]
    return float(np.mean(last)) if last else float("nan")


def noise(said: Ints, true: Ints) -> dict[str, dict[str, int]]:
    """Rows by the true first error ("none", "0", "1", ..., "5+") and what was said: exact, under (an earlier step),
    over (a later one), none (no error), unknown. Rows whose truth is not known are left out.

    >>> noise(np.array([1, -1, -1]), np.array([2, -1, 0]))["2"]
    {'exact': 0, 'under': 1, 'over': 0, 'none': 0, 'unknown': 0}
    """
    kinds = {
        "exact": said == true,
        "under": (said >= 0) & ((said < true) | (true == NONE)),
        "over": (said > true) & (true != NONE),
        "none": (said == NONE) & (true != NONE),
        "unknown": said == UNKNOWN,
    }
    names = {NONE: "none", **{t: str(t) for t in range(LAST)}, LAST: f"{LAST}+"}
    at = np.minimum(true, LAST)
    return {
        name: {kind: int(np.sum(here & (at == t))) for kind, here in kinds.items()}
        for t, name in names.items()
        if (at == t).any()
    }


def first_error_scores(said: Ints, true: Ints, weight: Floats | None = None) -> Scores:
    """first_error: share of rows whose first error was found, -1 for none; wrong, right: the same of rows with an error
    and without (ProcessBench); f1: their harmonic mean, 0 where both are 0. What is not known is never right.

    Args:
        said, true: [R] index, -1 none, -2 not known. weight: [R] how often each row counts.

    >>> made = first_error_scores(np.array([2, -1, 1, 2, 3, -2]), np.array([2, -1, 0, -1, 3, 1]))
    >>> made["wrong"], made["right"], made["f1"]
    (0.5, 0.5, 0.5)
    """
    weight = np.ones(true.size) if weight is None else weight
    hit, wrong, known = (said == true).astype(float), true >= 0, true != UNKNOWN
    shares = {
        n: _share(hit, weight * k) for n, k in (("first_error", known), ("wrong", wrong), ("right", true == NONE))
    }
    both = shares["wrong"] + shares["right"]
    f1 = 2 * shares["wrong"] * shares["right"] / both if both else 0.0 * both
    return {**shares, "f1": f1}


def step_scores(label: Floats, score: Floats, true: Floats, weight: Floats | None = None) -> Scores:
    """Of steps that were judged and whose truth is known: step, share told right; wrong_precision, wrong_recall, of
    wrong steps; auroc, the chance that a right step has the higher score than a wrong one. Soft labels count by 0.5."""
    return _step_scores(label, score, true)(np.ones(true.size) if weight is None else weight)


def auroc(score: Floats, right: Any, weight: Floats | None = None) -> float:
    """Area under the ROC curve, ties half; NaN where there is one kind alone.

    >>> auroc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True]))
    0.75
    """
    return _auroc(score, right)(np.ones(score.size) if weight is None else weight)


def _kappa(a: Ints, b: Ints) -> Callable[[Floats], float]:
    """Cohen's kappa of two sets of labels as a function of the weights."""
    kinds, at = np.unique(np.concatenate([a, b]), return_inverse=True)
    size = max(kinds.size, 1)
    pair = at[: a.size] * size + at[a.size :]

    def of(weight: Floats) -> float:
        table = np.bincount(pair, weight, size * size).reshape(1, size, size).astype(float)
        return float(kappa(table)[0])

    return of


def _score(one: Labels) -> Floats:
    """The value where there is one, else the label."""
    return np.where(np.isnan(one.value), one.label, one.value)


def _facts(labels: Sequence[Labels]) -> _Facts:
    size = np.array([len(one) for one in labels])
    task = {group: i for i, group in enumerate(dict.fromkeys(one.group for one in labels))}
    return _Facts(
        np.array([UNKNOWN if one.first_error is None else one.first_error for one in labels]),
        size,
        np.array([task[one.group] for one in labels]),
        np.repeat(np.arange(size.size), size),
        np.concatenate([one.label for one in labels]),
        np.concatenate([_score(one) for one in labels]),
    )


def _step_scores(label: Floats, score: Floats, true: Floats) -> Callable[[Floats], Scores]:
    """`step_scores` as a function of the weights: what does not depend on them is done once."""
    known = ~np.isnan(true)
    here, ranked = known & ~np.isnan(label), known & ~np.isnan(score)
    said, gold = (label[here] < 0.5).astype(float), (true[here] < 0.5).astype(float)
    same, area = (said == gold).astype(float), _auroc(score[ranked], true[ranked] >= 0.5)

    def at(weight: Floats) -> Scores:
        w = weight[here]
        return {
            "step": _share(same, w),
            "wrong_precision": _share(gold, w * said),
            "wrong_recall": _share(said, w * gold),
            "auroc": area(weight[ranked]),
        }

    return at


def _auroc(score: Floats, right: Any) -> Callable[[Floats], float]:
    kinds, place = np.unique(score, return_inverse=True)

    def at(weight: Floats) -> float:
        yes, no = (np.bincount(place[side], weight[side], kinds.size) for side in (right, ~right))
        pairs = float(yes.sum() * no.sum())
        return float(yes @ (np.cumsum(no) - no / 2)) / pairs if pairs else float("nan")

    return at


def _against(said: _Facts, gold: _Facts) -> Callable[[Floats], Scores]:
    """Scores as a function of how often each task counts."""

    steps = _step_scores(said.label, said.score, gold.label)

    def at(weight: Floats) -> Scores:
        row = weight[gold.task]
        return {**first_error_scores(said.first, gold.first, row), **steps(row[gold.row])}

    return at


def _agreed(a: _Facts, b: _Facts) -> Callable[[Floats], Scores]:
    known = (a.first != UNKNOWN) & (b.first != UNKNOWN)
    judged = ~np.isnan(a.label) & ~np.isnan(b.label)
    x, y = ((one.label[judged] >= 0.5).astype(int) for one in (a, b))
    first_kappa, step_kappa = _kappa(a.first[known], b.first[known]), _kappa(x, y)

    def at(weight: Floats) -> Scores:
        row = weight[a.task]
        w, s = row[known], row[a.row][judged]
        return {
            "first_error": _share((a.first == b.first)[known].astype(float), w),
            "first_error_kappa": first_kappa(w),
            "step": _share((x == y).astype(float), s),
            "step_kappa": step_kappa(s),
        }

    return at


def _baselines(gold: _Facts) -> dict[str, _Facts]:
    """They know how often what is true, and look at no step."""
    known = gold.first[gold.first != UNKNOWN]
    values, counts = np.unique(known, return_counts=True)
    common = int(values[counts.argmax()]) if known.size else NONE
    wrong = values >= 0
    where = int(values[wrong][counts[wrong].argmax()]) if wrong.any() else 0
    mostly = float(np.nanmean(gold.label) >= 0.5) if (~np.isnan(gold.label)).any() else 1.0
    alike = np.full(gold.label.size, mostly)
    majority = replace(gold, first=_inside(common, gold.size), label=alike, score=alike)
    return {
        "always right": _told_first(gold, NONE),
        "majority": majority,
        "constant position": _told_first(gold, where),
    }


def _told_first(gold: _Facts, first: int) -> _Facts:
    """The same first error in every row: right before it, wrong from it on."""
    place = np.concatenate([np.arange(n) for n in gold.size])
    at = _inside(first, gold.size)
    label = np.where((at[gold.row] == NONE) | (place < at[gold.row]), 1.0, 0.0)
    return replace(gold, first=at, label=label, score=label)


def _inside(first: int, size: Ints) -> Ints:
    """In shorter rows the last step."""
    out: Ints = np.minimum(first, size - 1)
    return out


def _random(gold: _Facts, times: int = 5) -> Callable[[Floats], Scores]:
    """Mean of guesses: any step or none is the first error, each as likely."""
    rng = np.random.default_rng(0)
    place = np.concatenate([np.arange(n) for n in gold.size])
    made = []
    for _ in range(times):
        first = rng.integers(NONE, gold.size)
        label = np.where((first[gold.row] == NONE) | (place < first[gold.row]), 1.0, 0.0)
        made.append(_against(replace(gold, first=first, label=label, score=label), gold))

    def at(weight: Floats) -> Scores:
        several = [one(weight) for one in made]
        return {name: float(np.mean([s[name] for s in several])) for name in several[0]}

    return at


def _weights(tasks: int, draws: int, seed: int) -> Floats:
    """[1 + draws, tasks] how often each task counts: once, then as drawn with replacement."""
    drawn = np.random.default_rng(seed).multinomial(tasks, np.full(tasks, 1 / tasks), size=draws)
    return np.concatenate((np.ones((1, tasks)), drawn.astype(np.float64)))


def _drawn(statistic: Callable[[Floats], Scores], weights: Floats) -> dict[str, Floats]:
    told = [statistic(w) for w in weights]
    return {name: np.array([t[name] for t in told]) for name in told[0]}


def _told(statistic: Callable[[Floats], Scores], weights: Floats) -> dict[str, dict[str, float]]:
    return {name: _interval(values) for name, values in _drawn(statistic, weights).items()}


def _interval(values: Floats) -> dict[str, float]:
    """Of all rows, and between which 90% of the draws lie; draws where it is not defined are left out."""
    known = values[1:][~np.isnan(values[1:])]
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) if known.size else (np.nan, np.nan)
    return {"value": float(values[0]), "low": float(low), "high": float(high)}


def _share(hit: Floats, weight: Floats) -> float:
    total = float(weight.sum())
    return float(hit @ weight) / total if total else float("nan")
