"""Recorded LLM judges against people on the same steps (AgentProcessBench), beside what constants score.

The benchmark's own two scores are step accuracy and first-error accuracy. Both give a lot for nothing: most steps are
right, and whoever labels nothing agrees about every rollout without an error. So each stands beside constants, and
beside scores that a constant cannot raise: balanced accuracy, Cohen's kappa, AUROC.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from stepcredit.bench.paired import interval, weights
from stepcredit.bench.suite import Cell, Result, Table
from stepcredit.bench.suites._agentprocessbench import DRAWS, POOLED, Key, Said, between, files, home, said
from stepcredit.data.layout import Bools, Floats, Ints
from stepcredit.errors import DataError

CONSTANTS = ("always +1", "always 0", "always -1", "empty file")
EXPECTED = "random labels"
BY_POSITION = "majority per position"
QUICK: dict[str, Any] = {}

_LABELS = (-1.0, 0.0, 1.0)
_NONE = 3  # column of `Tally.confusion` for steps that were not judged


@dataclass(frozen=True)
class Settings:
    """data: folder that holds agentprocessbench/. seed: of the bootstrap."""

    data: str | None = None
    seed: int = 0


class People(NamedTuple):
    """People's labels, rows by question, sample, message.

    keys: [R] names. question: [R] 0..Q - 1. first: [R] message of the first -1; -1 = no error.
    rollout, message, turn, label: [S].
    """

    keys: list[Key]
    question: Ints
    first: Ints
    rollout: Ints
    message: Ints
    turn: Ints
    label: Floats


class Tally(NamedTuple):
    """A judge beside people, summed per question (the random judge: expected counts).

    confusion: [Q, 3, 4] steps by people's label (-1, 0, 1) and the judge's (-1, 0, 1, not judged).
    first: [Q] rollouts whose first error is the same. rollouts: [Q].
    """

    confusion: Floats
    first: Floats
    rollouts: Floats


def cells(settings: Settings) -> list[Cell]:
    """One cell a subset that has judges and people's labels.

    Raises:
        StepCreditError, DataError: no data folder, no subset in it.
    """
    folder = home(settings.data)
    labels = files(folder)
    found = sorted(p.name for p in (folder / "judges").glob("*") if files(p))
    subsets = {s: labels.get(f"{s}_labels", labels.get(s)) for s in found}
    if not any(subsets.values()):
        raise DataError(
            "no subset has both people's labels and judges",
            file=folder,
            got=f"labels of {', '.join(labels) or 'none'}; judges of {', '.join(found) or 'none'}",
            expected="SUBSET_labels.jsonl.gz (or SUBSET.jsonl.gz) and judges/SUBSET/JUDGE.jsonl.gz",
        )
    return [Cell(s, partial(subset, str(path), str(folder / "judges" / s))) for s, path in subsets.items() if path]


def subset(labels: str, judges: str) -> dict[str, Any]:
    """The tallies of all judges in a folder, and of the constants."""
    people = arrange(said(Path(labels)))
    tallies = constants(people)
    for name, path in files(Path(judges)).items():
        tallies[name] = tally(people, *aligned(people, said(path)))
    return {name: {k: v.tolist() for k, v in one._asdict().items()} for name, one in tallies.items()}


def arrange(given: Mapping[Key, Said]) -> People:
    """People's labels as flat rows; steps without a label are left out."""
    keys = sorted(given)
    steps = [(r, m, x) for r, key in enumerate(keys) for m, x in sorted(given[key].labels.items()) if x == x]
    rollout, message = (np.array([step[i] for step in steps], np.int64) for i in (0, 1))
    question = np.unique([q for q, _ in keys], return_inverse=True)[1].astype(np.int64)
    start = np.searchsorted(rollout, np.arange(len(keys)))
    turn = np.arange(rollout.size) - start[rollout]
    label = np.array([x for _, _, x in steps], float)
    bare = People(keys, question, np.zeros(0, np.int64), rollout, message, turn, label)
    return bare._replace(first=first_error(bare, bare.label))


def first_error(people: People, label: Floats) -> Ints:
    """[R] the first message that has label -1; -1 where none has."""
    first = np.full(len(people.keys), np.iinfo(np.int64).max)
    wrong = label == -1
    np.minimum.at(first, people.rollout[wrong], people.message[wrong])
    first[first == np.iinfo(np.int64).max] = -1
    return first


def aligned(people: People, judge: Mapping[Key, Said]) -> tuple[Floats, Ints]:
    """[S] a judge's labels of the steps that people labeled, NaN where it has none; [R] its first error.

    Its first error is looked for among all messages that it labeled, also those that people did not. A rollout that
    it did not judge has no error. Rollouts that people did not label are left out.
    """
    empty = Said({}, np.nan)
    found = [judge.get(key, empty).labels for key in people.keys]
    steps = zip(people.rollout.tolist(), people.message.tolist(), strict=True)
    label = np.array([found[r].get(m, np.nan) for r, m in steps])
    first = np.array([min((m for m, x in one.items() if x == -1), default=-1) for one in found], np.int64)
    return label, first


def tally(people: People, label: Floats, first: Ints) -> Tally:
    """Labels [S] and first errors [R] of a judge, counted beside people's."""
    size = int(people.question.max(initial=-1)) + 1
    column = np.where(np.isnan(label), _NONE, label + 1).astype(np.int64)
    at = (people.question[people.rollout] * 3 + (people.label + 1).astype(np.int64)) * 4 + column
    confusion = np.bincount(at, minlength=size * 12).reshape(size, 3, 4).astype(float)
    same = np.bincount(people.question, first == people.first, minlength=size).astype(float)
    return Tally(confusion, same, np.bincount(people.question, minlength=size).astype(float))


def constants(people: People) -> dict[str, Tally]:
    """Judges that never looked: one label for all, none at all, people's most frequent label at the step's position,
    and the expected counts of labels drawn with people's frequencies."""
    size = people.label.size
    given = {name: np.full(size, x) for name, x in zip(CONSTANTS, (1.0, 0.0, -1.0, np.nan), strict=True)}
    counts = np.stack([np.bincount(people.turn, people.label == x) for x in reversed(_LABELS)])
    given[BY_POSITION] = 1.0 - counts.argmax(0)[people.turn]
    tallies = {name: tally(people, label, first_error(people, label)) for name, label in given.items()}
    return {**tallies, EXPECTED: _expected(people, tallies["empty file"])}


def _expected(people: People, empty: Tally) -> Tally:
    """Labels drawn with people's frequencies, one by one. A rollout of n steps has no error with chance (1 - p)^n, and
    its first at step k = 0, 1, ... with chance (1 - p)^k p, p the share of -1."""
    by_label = empty.confusion.sum(2)
    share = by_label.sum(0) / max(by_label.sum(), 1)
    confusion = np.concatenate((by_label[..., None] * share, np.zeros((*by_label.shape, 1))), axis=2)
    before = np.bincount(people.rollout, minlength=len(people.keys))
    hit = people.message == people.first[people.rollout]
    before[people.rollout[hit]] = people.turn[hit]
    chance = (1 - share[0]) ** before * np.where(people.first >= 0, share[0], 1.0)
    first = np.bincount(people.question, chance, minlength=len(by_label))
    return Tally(confusion, first.astype(float), empty.rollouts)


def scores(tally: Tally, weight: Floats) -> dict[str, Floats]:
    """Each score at weights [B, Q] of the questions, as [B]; NaN where it is undefined.

    step_accuracy         steps with people's label / steps; not judged is not right (the benchmark's, micro)
    first_error_accuracy  rollouts with the same first -1, none included / rollouts (the benchmark's)
    recall_wrong, _neutral, _right   steps with people's label / steps to which people gave this label
    balanced              mean of the three, of those that occur; a constant gets 1/3
    kappa                 (p - e) / (1 - e): p step accuracy, e what the two label frequencies give by chance;
                          "not judged" is a label of the judge's own; a constant gets 0
    auroc                 how often a step of people's +1 has a higher label than one of -1, ties half, among the
                          steps that were judged; a constant gets 0.5
    """
    counts = np.tensordot(weight, tally.confusion, 1)
    by_people, by_judge = counts.sum(2), counts.sum(1)[:, :3]
    right = counts[:, range(3), range(3)]
    steps = by_people.sum(1)
    recall = _ratio(right, by_people)
    some = ~np.isnan(recall)
    accuracy = _ratio(right.sum(1), steps)
    chance = _ratio((by_people * by_judge).sum(1), steps**2)
    good, bad = counts[:, 2, :3], counts[:, 0, :3]
    won = (good * (bad.cumsum(1) - bad / 2)).sum(1)
    return {
        "step_accuracy": accuracy,
        "first_error_accuracy": _ratio(weight @ tally.first, weight @ tally.rollouts),
        "balanced": _ratio(np.where(some, recall, 0).sum(1), some.sum(1)),
        "kappa": _ratio(accuracy - chance, 1 - chance),
        "auroc": _ratio(won, good.sum(1) * bad.sum(1)),
        **{f"recall_{name}": recall[:, i] for i, name in enumerate(("wrong", "neutral", "right"))},
    }


def result(settings: Settings, values: Mapping[str, Any]) -> Result:
    """Rows and tables per subset, and pooled (all steps of all subsets alike) where there are several."""
    tallies = {
        name: {judge: Tally(**{k: np.array(v) for k, v in one.items()}) for judge, one in judges.items()}
        for name, judges in values.items()
    }
    if len(tallies) > 1:
        everywhere = set.intersection(*map(set, tallies.values()))
        tallies[POOLED] = {
            judge: Tally(*(np.concatenate(parts) for parts in zip(*(t[judge] for t in tallies.values()), strict=True)))
            for judge in next(iter(tallies.values()))
            if judge in everywhere
        }
    rows, tables = [], []
    for name, judges in tallies.items():
        found = _rows(name, judges, settings.seed)
        rows += found
        tables.append(_table(name, found))
    return Result(rows, tables)


def _rows(subset: str, tallies: Mapping[str, Tally], seed: int) -> list[dict[str, Any]]:
    some = next(iter(tallies.values()))
    weight = weights(some.rollouts.size, DRAWS, seed)
    found = {judge: scores(one, weight) for judge, one in tallies.items()}
    best = {
        score: max(reversed(CONSTANTS), key=lambda c: float(found[c][score][0]))
        for score in ("step_accuracy", "first_error_accuracy")
    }
    rows = []
    for judge, at in found.items():
        constant = judge in (*CONSTANTS, EXPECTED, BY_POSITION)
        row: dict[str, Any] = {"judge": judge, "kind": "constant" if constant else "judge", "subset": subset}
        row |= {"steps": int(some.confusion.sum()), "rollouts": int(some.rollouts.sum())}
        for score, x in at.items():
            row |= {score: float(x[0]), f"{score}_interval": interval(x[1:])}
        row["missing"] = int(tallies[judge].confusion[..., _NONE].sum())
        for key, score in (("minus_constant", "step_accuracy"), ("first_error_minus_constant", "first_error_accuracy")):
            gap = at[score] - found[best[score]][score]
            row |= {key: float(gap[0]), f"{key}_interval": interval(gap[1:]), f"{key}_which": best[score]}
        rows.append(row)
    return sorted(rows, key=lambda r: (r["kind"], -r["step_accuracy"]))


def _table(name: str, rows: list[dict[str, Any]]) -> Table:
    columns = ("judge", "step acc.", "90%", "minus constant", "90%", "first error", "90%", "minus constant", "90%")
    more = ("balanced", "kappa", "AUROC", "recall -1", "recall 0", "recall +1", "missing")
    shown = []
    for r in rows:
        of = ("step_accuracy", "minus_constant", "first_error_accuracy", "first_error_minus_constant")
        figures = [text for key in of for text in (f"{r[key]:.3f}", between(r[f"{key}_interval"]))]
        rest = ("balanced", "kappa", "auroc", "recall_wrong", "recall_neutral", "recall_right", "missing")
        shown.append([r["judge"], *figures, *(r[key] for key in rest)])
    return Table(f"LLM judges against people: {name}", (*columns, *more), shown, _note(rows))


def _note(rows: list[dict[str, Any]]) -> str:
    judges = [r for r in rows if r["kind"] == "judge"]
    step, first = rows[0]["minus_constant_which"], rows[0]["first_error_minus_constant_which"]
    low = sum(r["minus_constant"] < 0 for r in judges)
    no_better = sum(r["first_error_minus_constant"] <= 0 for r in judges)
    return (
        f"{rows[0]['steps']} steps, {rows[0]['rollouts']} rollouts. The constants looked at nothing: in step accuracy "
        f"{low} of {len(judges)} judges are below {step!r}, in first error {no_better} do not beat {first!r}. A "
        "constant gets 0.333 balanced, 0 kappa, 0.5 AUROC, whatever it says. missing: steps not judged; they are "
        f"wrong in accuracy and recall, a label apart in kappa, left out of AUROC. {BY_POSITION!r} and {EXPECTED!r} "
        "(its expectation) saw the labels of this table. Intervals: bootstrap over questions; differences are paired."
    )


def _ratio(x: Floats, of: Floats | Ints | Bools) -> Floats:
    out: Floats = np.divide(x, of, out=np.full(np.shape(x), np.nan), where=np.abs(of) > 1e-12)
    return out
