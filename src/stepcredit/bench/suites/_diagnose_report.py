"""Rows and tables of diagnosis against people."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stepcredit.bench.paired import Paired, interval, pooled, same, weights
from stepcredit.bench.suite import Table
from stepcredit.bench.suites._agentprocessbench import between
from stepcredit.bench.suites._diagnose_planted import told_silent
from stepcredit.bench.suites._diagnose_real import Answers, drawn, first_wrong, fixed, left_out, scored
from stepcredit.data.layout import Bools, Floats, Ints
from stepcredit.diagnose import metrics
from stepcredit.diagnose.metrics import NONE, UNKNOWN

RANDOM, LAST = "random step (expected)", "last step"
HINDSIGHT, OTHERS = "best constant, in hindsight", "constant of the other logs"
LEGACY = "150, for the legacy scorer"
NOTHING, NEVER = "no step is wrong (empty file)", "every step is wrong"
BY_OUTCOME = ("failed: last step; else none", "failed: first step; else none")
ALIKE = "equal blame"


def log_rows(cell: Mapping[str, Any], draws: int, seed: int) -> list[dict[str, Any]]:
    """A row a method and baseline on logs with one blamed step each; "minus": beside the best constant."""
    truth = np.array(cell["step"], np.int64)
    speakers: list[list[str | None]] = cell["speakers"]
    agents: list[str | None] = cell["agent"]
    sizes = [len(one) for one in speakers]
    told: dict[str, Answers] = {}
    for name, one in cell["methods"].items():
        if "error" not in one:
            step = np.array(one["said"], np.int64)
            told[name] = fixed(step, truth, _blamed(step, one["agent"], speakers), agents)
    methods = list(told)
    constants = {f"always step {k}": np.full_like(truth, k) for k in range(min(max(sizes), 10))}
    best = max(constants, key=lambda name: int((constants[name] == truth).sum()))
    constants |= {HINDSIGHT: constants[best], OTHERS: left_out(truth), LAST: np.array(sizes) - 1}
    for name, step in constants.items():
        told[name] = fixed(step, truth, _blamed(step, [None] * step.size, speakers), agents)
    told[RANDOM] = drawn(sizes, truth, speakers, agents)
    every = fixed(np.full_like(truth, 150), truth, [None] * truth.size, agents)
    told[LEGACY] = every
    found = scored(told, HINDSIGHT, np.arange(truth.size), draws, seed)
    rows = [{**row, "kind": "method" if row["method"] in methods else "baseline", "best": best} for row in found]
    return sorted(rows, key=lambda row: (row["kind"] != "method", -row["exact"]))


def _blamed(step: Ints, said: Sequence[str | None], speakers: Sequence[Sequence[str | None]]) -> list[str | None]:
    """The agent named, else who took the step named."""
    return [
        name if name is not None else who[t] if 0 <= t < len(who) else None
        for t, name, who in zip(step.tolist(), said, speakers, strict=True)
    ]


def log_table(name: str, rows: Sequence[Mapping[str, Any]], cell: Mapping[str, Any]) -> Table:
    """`log_rows` for people."""
    columns = ("method", "exact", "90%", "minus constant", "90%", "within 1", "within 3", "agent", "90%", "legacy")
    shown = []
    for row in (row for row in rows if row["named"] > 0):
        cells: list[Any] = [row["method"]]
        for score in ("exact", "minus"):
            cells += [_share(row[score]), between(row[f"{score}_interval"])]
        cells += [*(_share(row[name]) for name in ("near", "far", "agent")), between(row["agent_interval"])]
        shown.append([*cells, _share(row["legacy"]), _share(row["named"]), _share(row["precision"])])
    sizes = [len(one) for one in cell["speakers"]]
    note = (
        f"{rows[0]['runs']} failed logs of {min(sizes)} to {max(sizes)} steps, each its own task: there are no "
        f"siblings to compare with. {HINDSIGHT!r} is {rows[0]['best']!r}, chosen by these very logs: nobody could have "
        f"known it; {OTHERS!r} is the step that people blame most in all logs but this one. legacy: the substring "
        f"scorer of the benchmark's repository, for which '1' is a part of '150'. agent: names compared without case "
        "and what stands in parentheses; a method that names none is given the speaker of its step. named: share of "
        "the logs of which a step is named (else none, or it cannot tell, which is wrong); of these: exact among them."
    )
    title = f"Who&When, {name}: the step and the agent that people blame"
    return Table(title, (*columns, "named", "of these"), shown, note + told_silent(rows))


def _share(x: float) -> str:
    return "–" if x != x else f"{x:.3f}"


def people_rows(cell: Mapping[str, Any], draws: int, seed: int) -> list[dict[str, Any]]:
    """A row a method, recorded judge and baseline on runs whose steps people labeled."""
    labels: list[list[float | None]] = cell["labels"]
    truth, sizes = first_wrong(labels), [len(one) for one in labels]
    question, outcome = np.array(cell["question"], np.int64), np.array(cell["outcome"], float)
    size = np.array(sizes, np.int64)
    said: dict[str, Ints] = {}
    blame: dict[str, Floats] = {}
    kinds: dict[str, str] = {}
    for name, one in cell["methods"].items():
        if "error" not in one:
            said[name], blame[name], kinds[name] = np.array(one["said"], np.int64), _flat(one["scores"]), "method"
    for name, judge in cell["judges"].items():
        said[name], blame[name], kinds[name] = first_wrong(judge), -_flat(judge), "judge"
    lost = outcome <= 0
    zeros, last = np.zeros_like(truth), size - 1
    for name, step in (
        (NOTHING, np.full_like(truth, NONE)),
        (NEVER, zeros),
        (LAST, last),
        (BY_OUTCOME[0], np.where(lost, last, NONE)),
        (BY_OUTCOME[1], np.where(lost, zeros, NONE)),
    ):
        said[name], kinds[name] = step, "baseline"
    place = np.concatenate([np.arange(n) for n in sizes])
    guesses = {LAST: place, NEVER: -place, NOTHING: np.zeros(place.size), BY_OUTCOME[0]: np.repeat(lost, size)}
    blame |= {name: np.asarray(guess, np.float64) for name, guess in guesses.items()}
    weight = weights(int(question.max()) + 1, draws, seed)
    wrong, known = _wrong(labels)
    rollout = np.repeat(np.arange(size.size), size)
    rows = []
    for name, step in said.items():
        row: dict[str, Any] = {"method": name, "kind": kinds[name], "runs": int(size.size), "steps": int(known.sum())}
        row |= _first(step, truth, lost, question, weight)
        row |= _areas(blame.get(name), wrong, known, rollout, question, weight)
        rows.append(row)
    return sorted(rows, key=lambda row: (_ORDER[row["kind"]], -row["first"]))


_ORDER = {"method": 0, "judge": 1, "baseline": 2}


def _first(step: Ints, truth: Ints, lost: Bools, question: Ints, weight: Floats) -> dict[str, Any]:
    """First-error accuracy, of all runs; of those with an error, without, and of those that failed with one; NaN where
    there are none."""
    exact = metrics.within(step, truth)
    parts = {
        "first": np.ones(truth.size, bool),
        "with_error": truth >= 0,
        "without_error": truth == NONE,
        "failed": lost & (truth >= 0),
    }
    out: dict[str, Any] = {"unknown": float(np.mean(step == UNKNOWN))}
    for name, here in parts.items():
        drawn_runs = weight[:, question[here]]
        runs = drawn_runs.sum(1)
        values = np.divide(drawn_runs @ exact[here], runs, out=np.full(runs.shape, np.nan), where=runs > 0)
        out |= {name: float(values[0]), f"{name}_interval": interval(values[1:]), f"{name}_n": int(here.sum())}
    return out


def _areas(
    blame: Floats | None, wrong: Bools, known: Bools, rollout: Ints, question: Ints, weight: Floats
) -> dict[str, Any]:
    """Step AUROC of -1 against the rest: over all steps, and inside runs."""
    if blame is None:
        return {"auroc": None, "auroc_inside": None, "judged": None}
    rows = known & ~np.isnan(blame)
    of, size = question[rollout][rows], int(question.max()) + 1
    credit = np.round(blame[rows], 12)
    found: dict[str, Paired] = {
        "auroc": pooled(credit, wrong[rows], of, size),
        "auroc_inside": same(credit, wrong[rows], rollout[rows], of, size),
    }
    out: dict[str, Any] = {"judged": float(rows.sum() / known.sum())}
    for name, one in found.items():
        values = one.at(weight)
        out |= {name: float(values[0]), f"{name}_interval": interval(values[1:]), f"{name}_pairs": int(one.n)}
    return out


def _wrong(labels: Sequence[Sequence[float | None]]) -> tuple[Bools, Bools]:
    flat = _flat(labels)
    return flat == -1, ~np.isnan(flat)


def _flat(rows: Sequence[Sequence[float | None]]) -> Floats:
    return np.array([np.nan if x is None else x for one in rows for x in one], float)


def people_table(name: str, rows: Sequence[Mapping[str, Any]], cell: Mapping[str, Any]) -> Table:
    """`people_rows` for people."""
    columns = ("who", "kind", "first error", "90%", "with error", "90%", "without", "failed", "90%")
    more = ("AUROC", "90%", "inside runs", "90%", "judged", "unknown")
    shown = []
    for row in rows:
        cells: list[Any] = [row["method"], row["kind"]]
        cells += [_share(row["first"]), between(row["first_interval"])]
        cells += [_share(row["with_error"]), between(row["with_error_interval"]), _share(row["without_error"])]
        cells += [_share(row["failed"]), between(row["failed_interval"])]
        for area in ("auroc", "auroc_inside"):
            cells += ["–", "–"] if row[area] is None else [_share(row[area]), between(row[f"{area}_interval"])]
        shown.append([*cells, row["judged"], f"{row['unknown']:.3f}"])
    one = rows[0]
    note = (
        f"{one['runs']} runs, 5 of each question; methods see the other four and the outcomes (people's own verdict "
        f"on the run, so {BY_OUTCOME[0]!r} stands beside them), judges saw neither. first error: the first step that "
        f"people call wrong, none where there is none; with error: {one['with_error_n']} runs; without: "
        f"{one['without_error_n']}; failed: {one['failed_n']} that failed and have one. AUROC: how often a step that "
        "people call wrong is blamed more than another, ties half, 0.5 is chance; over all steps, and inside runs. "
        "judged: share of the steps with a score. unknown: it cannot tell, which is wrong. Intervals: bootstrap over "
        "questions."
    )
    return Table(f"AgentProcessBench, {name}: the first wrong step", (*columns, *more), shown, note)
