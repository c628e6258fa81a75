"""Labels against the truth about their steps, in sums per task, so that a bootstrap over tasks costs nothing."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from stepcredit.bench.paired import interval
from stepcredit.bench.suites._label_sources import truth
from stepcredit.data.layout import Floats
from stepcredit.data.records import Rollout
from stepcredit.label import Labels
from stepcredit.label.audit import UNKNOWN, noise

CALLS = ("sample", "judge", "score")


class Told(NamedTuple):
    """Sums per task.

    all_steps; steps: judged; steps_right: of those; distance: of label and truth, over them. solutions; kept by a
    filter; known: their first error was told; first_right: rightly; named: an error was; named_wrong: at a step that is
    wrong; named_exact: at the first wrong one. called_wrong: steps up to the first error named that are called wrong;
    rightly_wrong: those that are. calls: completions, questions and scores. others: solutions labelled besides.
    """

    all_steps: Floats
    steps: Floats
    steps_right: Floats
    distance: Floats
    solutions: Floats
    kept: Floats
    known: Floats
    first_right: Floats
    named: Floats
    named_wrong: Floats
    named_exact: Floats
    called_wrong: Floats
    rightly_wrong: Floats
    calls: Floats
    others: Floats


SCORES = {
    "steps": ("steps_right", "steps"),
    "judged": ("steps", "all_steps"),
    "distance": ("distance", "steps"),
    "first_error": ("first_right", "kept"),
    "named_wrong": ("named_wrong", "named"),
    "named_exact": ("named_exact", "named"),
    "precision_wrong": ("rightly_wrong", "called_wrong"),
    "kept": ("kept", "solutions"),
    "calls": ("calls", "solutions"),
    "others": ("others", "solutions"),
}


def count(labels: Sequence[Labels], rollouts: Sequence[Rollout]) -> Told:
    """Sums per task of labels; those of other solutions than these are counted and no more."""
    groups = {g: i for i, g in enumerate(dict.fromkeys(r.group for r in rollouts))}
    known = {(r.group, r.rollout): truth(r) for r in rollouts}
    sums = np.zeros((len(Told._fields), len(groups)))
    for one in labels:
        calls = sum(n for kind, n in one.spent.items() if kind in CALLS)
        found = known.get((one.group, one.rollout))
        row = {"calls": calls, "others": found is None, **({} if found is None else _told(one, *found))}
        sums[:, groups[one.group]] += [row.get(name, 0) for name in Told._fields]
    return Told(*sums)


def _told(one: Labels, right: Any, first: int) -> dict[str, Any]:
    kept = one.facts.get("kept", True) is not False
    said = one.first_error if kept else None
    label = np.full(right.size, np.nan)
    label[: len(one)] = one.label
    judged = ~np.isnan(label) & kept
    wrong = judged & (label < 0.5)
    if said is not None and said >= 0:
        wrong[said + 1 :] = False  # what follows a wrong step is wrong here: no merit of a label
    named = said is not None and said >= 0
    return {
        "all_steps": right.size,
        "steps": judged.sum(),
        "steps_right": (judged & ((label >= 0.5) == right)).sum(),
        "distance": np.abs(label - right)[judged].sum(),
        "solutions": 1,
        "kept": kept,
        "known": said is not None,
        "first_right": said is not None and said == first,
        "named": named,
        "named_wrong": named and not right[said],
        "named_exact": named and said == first,
        "called_wrong": wrong.sum(),
        "rightly_wrong": (wrong & ~right).sum(),
    }


def confusion(labels: Sequence[Labels], rollouts: Sequence[Rollout]) -> dict[str, dict[str, int]]:
    """By the true first error, what was named: `audit.noise`. A solution that a filter left out has nothing named."""
    known = {(r.group, r.rollout): truth(r)[1] for r in rollouts}
    mine = [one for one in labels if (one.group, one.rollout) in known]
    said = [
        UNKNOWN if e is None or one.facts.get("kept", True) is False else e for one in mine for e in [one.first_error]
    ]
    return noise(np.array(said), np.array([known[one.group, one.rollout] for one in mine]))


def scores(told: Told, weight: Floats) -> dict[str, Floats]:
    """Each score at each of the weights [B, tasks]; NaN where there is nothing that it is a share of. `tasks_named`: of
    how many tasks an error is named."""
    out = {name: ratio(weight @ getattr(told, a), weight @ getattr(told, b)) for name, (a, b) in SCORES.items()}
    out["tasks_named"] = np.full(weight.shape[0], (told.named > 0).sum(), float)
    if not told.known.sum():
        out["first_error"] = np.full(weight.shape[0], np.nan)
    return out


def with_interval(name: str, at: Floats) -> dict[str, Any]:
    """A score of all tasks, and its interval; None where it is not defined."""
    low, high = interval(at[1:])
    value = float(at[0])
    return {name: None if np.isnan(value) else value, f"{name}_interval": None if np.isnan(low) else [low, high]}


def ratio(x: Floats, of: Floats) -> Floats:
    """x / of, NaN where `of` is 0."""
    out: Floats = np.divide(x, of, out=np.full(np.shape(x), np.nan), where=of > 0)
    return out
