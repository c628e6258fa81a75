"""Credit against people's labels of steps (AgentProcessBench): does it rank steps as people do, and does it find the
first wrong one? And what evidence that never saw the outcomes is worth when one of a question's rollouts is chosen.

Methods are given rollouts, states and outcomes, never the labels. Those that ask for verdicts on steps are given the
recorded judges' as well ("+ judges"), whose mean stands beside them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from stepcredit.bench.entries import judge
from stepcredit.bench.metrics import per_depth
from stepcredit.bench.paired import Paired, interval, pooled, same, weights
from stepcredit.bench.suite import Cell, Result, Table
from stepcredit.bench.suites import _best_of
from stepcredit.bench.suites._agentprocessbench import DRAWS, POOLED, between, files, home
from stepcredit.bench.suites._judged import MARK, VERDICTS, asking, judged, unaided
from stepcredit.data.batch import Batch
from stepcredit.data.layout import Bools, Floats, Ints
from stepcredit.data.reading import Reading
from stepcredit.errors import DataError, StepCreditError
from stepcredit.ops import state_cells

BROADCAST = "outcome broadcast"
BY_POSITION = "constant per position"
ON_LAST = "outcome on last step"
FIRST, LAST = "first step", "last step"
BASELINES = (BROADCAST, ON_LAST, BY_POSITION, FIRST, LAST, "random")
QUICK: dict[str, Any] = {}

_WHERE = {
    "auroc": "in all",
    "within_question": "inside questions",
    "within_rollout": "inside rollouts",
    "before_last": "without last steps",
}
_GUESSES = ("hit", "mrr", "below_median", "below_zero")


@dataclass(frozen=True)
class Settings:
    """data: folder that holds agentprocessbench/. methods: all that can run if empty. seed: of the bootstrap."""

    data: str | None = None
    methods: tuple[str, ...] = ()
    seed: int = 0


class Truth(NamedTuple):
    """People's labels of the steps of one or more subsets.

    question, rollout, turn: [S] ids, position in the rollout. label: [S] -1, 0, 1, NaN unknown. last: [S] bool.
    outcome, owner: [R], owner is the rollout's question. questions: Q.
    """

    question: Ints
    rollout: Ints
    turn: Ints
    label: Floats
    last: Bools
    outcome: Floats
    owner: Ints
    questions: int


class Guess(NamedTuple):
    """How well credit points to one step: chance to hit it first, expected 1 / rank, and two rules without ties."""

    hit: float
    mrr: float
    below_median: float
    below_zero: float


def cells(settings: Settings) -> list[Cell]:
    """One cell per method and subset, and one for the choice among rollouts.

    Raises:
        StepCreditError, DataError: no data folder, no rollouts in it, a method that cannot run on them.
    """
    folder = home(settings.data)
    found = {name: str(path) for name, path in files(folder).items() if not name.endswith("_labels")}
    if not found:
        raise DataError("no rollouts here", file=folder, expected="SUBSET.jsonl.gz")
    full = {path: _equipped(path, str(folder / "judges" / name)) for name, path in found.items()}
    own = {name: unaided(_blind(path), full[path], settings.methods) for name, path in found.items()}
    able = {name: (*one, *BASELINES) for name, one in own.items()}
    scopes: dict[str, tuple[str, ...]] = {name: (path,) for name, path in found.items()}
    if len(found) > 1:
        scopes[POOLED] = tuple(found.values())
        able[POOLED] = tuple(m for m in next(iter(able.values())) if all(m in one for one in able.values()))
    out = []
    for name, paths in scopes.items():
        judges = tuple(str(folder / "judges" / n) for n, path in found.items() if path in paths)
        names = (*able[name], *asking([full[path] for path in paths], able[name], settings.methods))
        out += [Cell(f"{name}/{m}", partial(against_people, paths, m, settings.seed, judges)) for m in names]
        out.append(Cell(f"{name}/", partial(best_of, paths, judges, settings.seed)))
    return out


def against_people(paths: Sequence[str], method: str, seed: int, judges: Sequence[str] = ()) -> list[dict[str, Any]]:
    """The rows of a method: how it ranks the steps, and how it finds the first error."""
    truth = _truth(paths)
    try:
        given = _credit(paths, method, truth, judges)
    except StepCreditError as error:  # its failure is a row, the others go on
        return [{"part": "failed", "error": error.message}]
    weight = weights(truth.questions, DRAWS, seed)
    judged = ~np.isnan(given)
    ranking: dict[str, Any] = {"part": "ranking", "unjudged": int(np.sum(~judged & ~np.isnan(truth.label)))}
    ranking |= {"shared_states": _shared(paths)}
    broadcast = rankings(truth, np.where(judged, truth.outcome[truth.rollout], np.nan))
    for name, mine in rankings(truth, given).items():
        at = mine.at(weight)
        gap = at - broadcast[name].at(weight)
        ranking |= {name: float(at[0]), f"{name}_interval": interval(at[1:]), f"{name}_pairs": int(mine.n)}
        ranking |= {f"{name}_minus_broadcast": float(gap[0]), f"{name}_minus_broadcast_interval": interval(gap[1:])}
    return [ranking, _first_errors(truth, given, weight)]


def rankings(truth: Truth, given: Floats) -> dict[str, Paired]:
    """How often a better step has more credit, ties half; credit [S], NaN where not judged.

    auroc: over all pairs of a step with label +1 and one with -1. auroc_rest: of +1 and any other label.
    within_question, within_rollout: +1 against -1, pairs of one question or rollout only, mean over questions.
    before_last: within_question without last steps, whose label nearly is the outcome.
    """
    known = ~np.isnan(truth.label)
    sure = known & (truth.label != 0)
    early = sure & ~truth.last
    good, question, size = truth.label > 0, truth.question, truth.questions
    return {
        "auroc": pooled(given[sure], good[sure], question[sure], size),
        "auroc_rest": pooled(given[known], good[known], question[known], size),
        "within_question": same(given[sure], good[sure], np.zeros_like(question[sure]), question[sure], size),
        "within_rollout": same(given[sure], good[sure], truth.rollout[sure], question[sure], size),
        "before_last": same(given[early], good[early], np.zeros_like(question[early]), question[early], size),
    }


def guess(given: Floats, target: int) -> Guess:
    """How well the credit [n] of a rollout's steps points to step `target`.

    hit: the chance that the step of least credit, ties drawn evenly, is the target. mrr: expected 1 / rank of the
    target from least to most credit, ties in random order; steps not judged come last, and a target not judged has 0.
    below_median, below_zero: is the target the first step whose credit is below the rollout's median, below 0? 0 where
    no step is.

    >>> guess(np.array([1.0, -1.0, -1.0, 1.0]), 1)
    Guess(hit=0.5, mrr=0.75, below_median=1.0, below_zero=1.0)
    """
    if np.isnan(given[target]):
        return Guess(0.0, 0.0, 0.0, 0.0)
    less, ties = int(np.sum(given < given[target])), int(np.sum(given == given[target]))
    ranked = (1 / np.arange(less + 1, less + ties + 1)).mean()
    rules = [given < np.nanmedian(given), given < 0]
    found = [float(bool(rule.any()) and int(rule.argmax()) == target) for rule in rules]
    return Guess(float(less == 0) / ties, float(ranked), *found)


def guesses(truth: Truth, given: Floats) -> tuple[Floats, Floats]:
    """[Q, 4] sums of `Guess` over a question's failed rollouts in which people found a wrong step, [Q] their number.

    The target is the first step that people labeled -1.
    """
    sums, count = np.zeros((truth.questions, 4)), np.zeros(truth.questions)
    wrong = truth.label == -1
    for r in np.flatnonzero(truth.outcome == 0).tolist():
        rows = np.flatnonzero(truth.rollout == r)
        if wrong[rows].any():
            sums[truth.owner[r]] += guess(given[rows], int(wrong[rows].argmax()))
            count[truth.owner[r]] += 1
    return sums, count


def _first_errors(truth: Truth, given: Floats, weight: Floats) -> dict[str, Any]:
    mine, count = guesses(truth, given)
    lengths = np.bincount(truth.rollout, minlength=truth.outcome.size)
    one_step = int(np.sum((truth.label == -1) & ((truth.outcome == 0) & (lengths == 1))[truth.rollout]))
    row: dict[str, Any] = {"part": "first_error", "rollouts": int(count.sum()), "one_step": one_step}
    at = (weight @ mine) / np.maximum(weight @ count, 1)[:, None]
    ends = [guesses(truth, baseline(name, truth))[0] for name in (FIRST, LAST)]
    position = max(ends, key=lambda x: float(x[:, 0].sum()))
    gap = at - (weight @ position) / np.maximum(weight @ count, 1)[:, None]
    some = weight @ count > 0
    for i, name in enumerate(_GUESSES):
        x, less = np.where(some, at[:, i], np.nan), np.where(some, gap[:, i], np.nan)
        row |= {name: float(x[0]), f"{name}_interval": interval(x[1:])}
        if name in ("hit", "mrr"):
            row |= {f"{name}_minus_position": float(less[0]), f"{name}_minus_position_interval": interval(less[1:])}
    return row


def best_of(paths: Sequence[str], judges: Sequence[str], seed: int) -> list[dict[str, Any]]:
    """The rows of each kind of evidence: success of the rollout chosen by it, beside random and oracle, which sees
    the outcomes. In a subset where evidence is not at hand it chooses at random."""
    truth = _truth(paths)
    sizes = [_read(path).layout.R for path in paths]
    parts = [_best_of.evidence(_read(path), Path(folder)) for path, folder in zip(paths, judges, strict=True)]
    found = {
        key: np.concatenate([part.get(key, np.full(n, np.nan)) for part, n in zip(parts, sizes, strict=True)])
        for key in dict.fromkeys(key for part in parts for key in part)
    }
    found = {("random", ""): np.zeros(truth.owner.size), **found, ("oracle", ""): truth.outcome}
    weight = weights(truth.questions, DRAWS, seed)
    won = {key: _best_of.chosen(x, truth.outcome, truth.owner, truth.questions) for key, x in found.items()}
    rows = []
    for (source, how), success in won.items():
        at, gap = (weight @ x / weight.sum(1) for x in (success, success - won["random", ""]))
        row = {"part": "best_of", "evidence": source, "aggregate": how, "questions": truth.questions}
        row |= {"success": float(at[0]), "success_interval": interval(at[1:])}
        rows.append(row | {"minus_random": float(gap[0]), "minus_random_interval": interval(gap[1:])})
    return rows


def result(settings: Settings, values: Mapping[str, Any]) -> Result:
    """Three tables a subset, and pooled where there are several."""
    rows = []
    for key, found in values.items():
        scope, _, method = key.partition("/")
        rows += [{**({"method": method} if method else {}), "subset": scope, **row} for row in found]
    tables = []
    for scope in dict.fromkeys(row["subset"] for row in rows):
        here = [row for row in rows if row["subset"] == scope]
        parts = {name: [row for row in here if row["part"] == name] for name in ("ranking", "first_error", "best_of")}
        tables += [
            _ranking_table(scope, parts["ranking"]),
            _error_table(scope, parts["first_error"]),
            _best_table(scope, parts["best_of"]),
        ]
        failed = [[row["method"], row["error"]] for row in here if row["part"] == "failed"]
        if failed:
            tables.append(Table(f"failed: {scope}", ["method", "error"], failed))
    return Result(rows, tables)


def _ranking_table(scope: str, rows: list[dict[str, Any]]) -> Table:
    gap = "minus broadcast"
    columns = ["method", "+1 v -1", "90%", gap, "90%", "+1 v rest", "in question", "90%", gap, "90%"]
    shown = [
        [
            r["method"],
            *(_pair(r, "auroc") + _pair(r, "auroc_minus_broadcast")),
            f"{r['auroc_rest']:.3f}",
            *(_pair(r, "within_question") + _pair(r, "within_question_minus_broadcast")),
            *(_pair(r, "within_rollout") + _pair(r, "before_last")),
            r["unjudged"],
        ]
        for r in sorted(rows, key=lambda r: -r["within_question"])
    ]
    one = rows[0]
    pairs = ", ".join(f"{one[f'{name}_pairs']:,} {where}" for name, where in _WHERE.items())
    note = (
        "How often a step that people call right has more credit than one they call wrong, ties half; 0.5 is chance, "
        f"and what {BROADCAST!r} gets inside a rollout. Pairs: {pairs}. People's label of a last step nearly is the "
        f"outcome: see {ON_LAST!r}, and 'not last' (in question, last steps left out). {BY_POSITION!r} saw the "
        f"labels. Of the steps after the first {one['shared_states']:.0%} are in a state that another rollout of the "
        "question reached; elsewhere states tell nothing. Intervals: bootstrap over questions; differences are paired."
    )
    more = ["in rollout", "90%", "not last", "90%", "not judged"]
    return Table(f"credit against people's labels: {scope}", [*columns, *more], shown, note)


def _error_table(scope: str, rows: list[dict[str, Any]]) -> Table:
    gap = "minus first/last"
    columns = ["method", "hit", "90%", gap, "90%", "1/rank", "90%", gap, "90%", "below median", "below 0"]
    shown = [
        [
            r["method"],
            *(_pair(r, "hit") + _pair(r, "hit_minus_position") + _pair(r, "mrr") + _pair(r, "mrr_minus_position")),
            f"{r['below_median']:.3f}",
            f"{r['below_zero']:.3f}",
        ]
        for r in sorted(rows, key=lambda r: -r["mrr"])
    ]
    note = (
        f"{rows[0]['rollouts']} failed rollouts; the target is the first step that people call wrong, "
        f"{rows[0]['one_step']} times the only step. hit: the step of least credit is it, ties at random; 1/rank: "
        "from least to most credit; below median, below 0: the first step below the rollout's median or 0 is it. "
        f"{FIRST!r} and {LAST!r} always blame that one; the difference is to the better of the two."
    )
    return Table(f"the first wrong step: {scope}", columns, shown, note)


def _best_table(scope: str, rows: list[dict[str, Any]]) -> Table:
    columns = ["evidence", "success", "90%", "minus random", "90%", "by min", "by product", "by verdict"]
    by = {(r["evidence"], r["aggregate"]): r for r in rows}
    main = sorted((r for r in rows if r["aggregate"] in ("", "mean")), key=lambda r: -r["success"])
    shown = []
    for r in main:
        others = [by.get((r["evidence"], how), {}).get("success") for how in ("min", "product", "verdict")]
        shown.append([r["evidence"], *_pair(r, "success"), *_pair(r, "minus_random"), *others])
    note = (
        f"{rows[0]['questions']} questions; success of one rollout of each, chosen by evidence that never saw the "
        "outcomes. random: any of them; oracle: the best. people and judges: mean label of a rollout's steps, else its "
        "smallest, its product, or the judge's own verdict on the rollout; those not judged are left out. people: the "
        "ceiling of step labels, which no one has beforehand. Methods of credit saw the outcomes and may not choose."
    )
    return Table(f"best of a question's rollouts: {scope}", columns, shown, note)


def _pair(row: Mapping[str, Any], name: str) -> list[str]:
    return [f"{row[name]:.3f}", between(row[f"{name}_interval"])]


@lru_cache(maxsize=8)
def _read(path: str) -> Batch:
    """The rollouts of a subset whose outcome is known."""
    batch = Reading(path, format="agentprocessbench").read()
    return batch.take(np.flatnonzero(~np.isnan(batch["outcome"])))


@lru_cache(maxsize=8)
def _blind(path: str) -> Batch:
    """The same without the labels."""
    batch = _read(path)
    return replace(batch, columns={name: x for name, x in batch.columns.items() if name != "label"})


@lru_cache(maxsize=8)
def _equipped(path: str, judges: str) -> Batch | None:
    """The same with what recorded judges said of the steps."""
    return judged(_blind(path), Path(judges))


def _truth(paths: Sequence[str]) -> Truth:
    batches = [_read(path) for path in paths]
    rollouts = np.cumsum([0, *(b.layout.R for b in batches)])
    questions = np.cumsum([0, *(b.layout.G for b in batches)])
    columns = [
        (
            b.layout.step_group + q,
            b.layout.rollout + r,
            b.layout.turn,
            b["label"],
            b.layout.paths.left == 0,
        )
        for b, q, r in zip(batches, questions, rollouts, strict=False)
    ]
    question, rollout, turn, label, last = (np.concatenate(x) for x in zip(*columns, strict=True))
    outcome = np.concatenate([b["outcome"] for b in batches])
    owner = np.concatenate([b.layout.group + q for b, q in zip(batches, questions, strict=False)])
    return Truth(question, rollout, turn, label, last, outcome, owner, int(questions[-1]))


def _shared(paths: Sequence[str]) -> float:
    """Share of the steps after a rollout's first that are in a state where another rollout of the question was."""
    met, later = 0, 0
    for batch in map(_blind, paths):
        lay = batch.layout
        state = state_cells(lay, batch["state"])
        visits = np.unique(np.stack((state, lay.rollout)), axis=1)[0]
        met += int(np.sum(np.bincount(visits)[state][lay.turn > 0] > 1))
        later += int(np.sum(lay.turn > 0))
    return met / later if later else float("nan")


def baseline(name: str, truth: Truth) -> Floats:
    """[S] credit that never looked at a step: random is one number for all, as ties are drawn evenly."""
    outcome = truth.outcome[truth.rollout]
    if name == BY_POSITION:
        known = ~np.isnan(truth.label)
        out = np.full(truth.label.size, np.nan)
        out[known] = per_depth(truth.label[known] > 0, truth.turn[known])
        return out
    turn = truth.turn.astype(float)
    return {
        BROADCAST: outcome,
        ON_LAST: (2 * outcome - 1) * truth.last,
        FIRST: turn,
        LAST: -turn,
        "random": np.zeros(turn.size),
    }[name]


def _credit(paths: Sequence[str], method: str, truth: Truth, judges: Sequence[str] = ()) -> Floats:
    """[S] credit, or a baseline's, without differences that are but rounding: they would break ties."""
    if method in BASELINES:
        given = baseline(method, truth)
    elif method == VERDICTS or method.endswith(MARK):
        full = [b for b in map(_equipped, paths, judges) if b is not None]
        name = method.removesuffix(MARK)
        given = np.concatenate([b["score"] if method == VERDICTS else judge(name, b).credit for b in full])
    else:
        given = np.concatenate([judge(method, _blind(path)).credit for path in paths])
    size = float(np.nanmax(np.abs(given), initial=0))
    return np.round(given / size, 12) if size > 0 else given
