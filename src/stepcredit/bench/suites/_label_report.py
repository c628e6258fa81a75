"""Rows and tables of the label suite, Game of 24 and chains."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stepcredit.bench.paired import interval, weights
from stepcredit.bench.suite import Line, Plot, Table
from stepcredit.bench.suites._label_counts import SCORES, Told, scores, with_interval
from stepcredit.bench.suites._label_shelf import FIRST_ZERO, PLAIN, SOURCES
from stepcredit.data.layout import Floats

DRAWS = 1000
Cells = Mapping[str, Any]
Drawn = dict[str, Floats]
KINDS = ("exact", "under", "over", "none", "unknown")
NOISE_K = (0, 8, 64)
NOISE_OF = (PLAIN, "binary search", "binary search, careful", "consensus", "self-denoising", "judge once")
FILTERS = tuple(s.name for s in SOURCES if s.kind == "filter")
FEW = 10  # puzzles with an error that is named: fewer say nothing, whatever their bootstrap says
GAINS = ("named_wrong", "named_exact", "precision_wrong", "first_error")


def drawn(values: Cells, seed: int) -> dict[tuple[str, str, int], Drawn]:
    """(world, source, k) -> each score at all weights; every source sees the same draws over puzzles."""
    out: dict[tuple[str, str, int], Drawn] = {}
    weight: Floats | None = None
    for cell, value in values.items():
        _, world, name, k = cell.split("/")
        told = Told(**{n: np.array(v, float) for n, v in value["sums"].items()})
        weight = weights(told.calls.size, DRAWS, seed) if weight is None else weight
        out[world, name, int(k)] = scores(told, weight)
    return out


def rows(found: Mapping[tuple[str, str, int], Drawn]) -> list[dict[str, Any]]:
    """A row per world, source and number of completions."""
    out = []
    for (world, name, k), at in found.items():
        row: dict[str, Any] = {"part": "game24", "world": world, "source": name, "k": k or None}
        for score in SCORES:
            row |= with_interval(score, at[score])
        out.append(row)
    return out


def table(found: Sequence[Mapping[str, Any]], world: str, note: str) -> Table:
    """The sources of a world, for people."""
    columns = ("source", "k", "calls", "steps", "90%", "judged", "first error", "90%", "named: wrong", "exact", "kept")
    shown = [
        [
            *(r[name] for name in ("source", "k", "calls", "steps")),
            between(r, "steps"),
            *(r[name] for name in ("judged", "first_error")),
            between(r, "first_error"),
            *(r[name] for name in ("named_wrong", "named_exact", "kept")),
        ]
        for r in found
        if r["world"] == world
    ]
    return Table(f"Labels of steps, Game of 24, {world}", columns, shown, note)


def equal_cost(found: Mapping[tuple[str, str, int], Drawn]) -> list[dict[str, Any]]:
    """Filters against plain Monte Carlo that spends at least as many calls: paired differences.

    Plain Monte Carlo gets the smallest k that we measured whose calls are no fewer; where none is so costly, the
    largest, and the row says so (`cheaper`).
    """
    out = []
    for (world, name, k), ours in found.items():
        if name not in FILTERS:
            continue
        for plain in (PLAIN, FIRST_ZERO):
            curve = {n: at for (w, s, n), at in found.items() if w == world and s == plain}
            if not curve:
                continue
            cost = float(ours["calls"][0])
            enough = [n for n in sorted(curve) if curve[n]["calls"][0] >= cost]
            n = enough[0] if enough else max(curve)
            row: dict[str, Any] = {
                "part": "equal cost",
                "world": world,
                "source": name,
                "k": k or None,
                "against": plain,
            }
            row |= {"against_k": n, "calls": cost, "against_calls": float(curve[n]["calls"][0]), "cheaper": not enough}
            row["kept"], row["puzzles"] = float(ours["kept"][0]), int(ours["tasks_named"][0])
            for score in GAINS:
                row |= with_interval(score, ours[score]) | with_interval(f"{score}_gain", ours[score] - curve[n][score])
                row[f"{score}_says"] = says(row[f"{score}_gain_interval"], row["puzzles"])
            out.append(row)
    return out


def says(between: Sequence[float] | None, puzzles: int) -> str:
    """Whether an interval of a gain lies above 0, below it, or around it; of how many puzzles errors are named."""
    if between is None or puzzles < FEW:
        return "too few"
    return "raises" if between[0] > 0 else "lowers" if between[1] < 0 else "cannot be told"


def equal_cost_table(found: Sequence[Mapping[str, Any]]) -> Table:
    """For people."""
    columns: tuple[str, ...] = (
        "world",
        "filter",
        "k",
        "calls",
        "kept",
        "against",
        "k",
        "calls",
        "named is wrong",
        "gain, 90%",
        "",
    )
    columns += ("named is exact", "gain, 90%", "", "steps called wrong are", "gain, 90%", "")
    shown = []
    for r in found:
        row = [r["world"], r["source"], r["k"], r["calls"], r["kept"], r["against"], r["against_k"], r["against_calls"]]
        for score in ("named_wrong", "named_exact", "precision_wrong"):
            row += [r[score], between(r, f"{score}_gain"), r[f"{score}_says"]]
        shown.append(row)
    note = (
        "Cost is calls: completions drawn and questions to the judge count one each, programs and known outcomes "
        "nothing; solutions that a filter leaves out are paid for. Plain Monte Carlo gets the smallest k of at least "
        "as many calls. Precision is of the solutions (steps) in which the source names (calls) something wrong, among "
        "those kept: a filter chooses easier ones, and that is its claim; on those, consensus and self-denoising name "
        "the very step that Monte Carlo of their own k names. The outcomes of a task's other solutions, which tell "
        "self-denoising the ability, are known. Gain: filter minus plain, paired; too few: it names errors of fewer "
        f"than {FEW} puzzles."
    )
    return Table("At equal cost: do filters raise precision over plain Monte Carlo?", columns, shown, note)


def noise_table(values: Cells) -> Table:
    """Where the first error is named too early, too late, not at all; by where it is."""
    columns = ("world", "source", "k", "true first error", "solutions", *KINDS)
    shown = []
    for cell, value in values.items():
        _, world, name, k = cell.split("/")
        if name in NOISE_OF and int(k) in NOISE_K:
            for true, kinds in value["noise"].items():
                n = sum(kinds[kind] for kind in KINDS)
                shown.append([world, name, int(k) or None, true, n, *(kinds[kind] / n for kind in KINDS)])
    note = (
        "Shares of the solutions with that first error. under: named too early (or where there is none); over: too "
        "late; none: no error named; unknown: left out, or not judged. The tabular model never repairs a dead end, so "
        "completions cannot err to the late side; chains with repair show that side."
    )
    return Table("Where the first error is missed", columns, shown, note)


def noise_rows(values: Cells) -> list[dict[str, Any]]:
    """For machines, of every source."""
    out = []
    for cell, value in values.items():
        _, world, name, k = cell.split("/")
        out.append({"part": "noise", "world": world, "source": name, "k": int(k) or None, "by_first": value["noise"]})
    return out


def chain_rows(values: Cells, k: int, seed: int) -> list[dict[str, Any]]:
    """A row per kind of chain, length and way to search it, beside the completion of every prefix."""
    out = []
    for cell, value in values.items():
        _, kind, length, finder = cell.split("/")
        at = _chain(value, seed)
        row: dict[str, Any] = {"part": "chains", "kind": kind, "length": int(length), "source": finder, "k": k}
        for score in ("first_error", "under", "over", "unknown", "calls"):
            row |= with_interval(score, at[score])
        for name, other in (("every_step", "math_shepherd"), ("first_zero", "math_shepherd@first-zero")):
            plain = values.get(f"chains/{kind}/{length}/{other}")
            if plain is not None:
                beside = _chain(plain, seed)
                row |= with_interval(f"of_{name}", at["calls"] / beside["calls"])
                row |= with_interval(f"gain_on_{name}", at["first_error"] - beside["first_error"])
        out.append(row)
    return out


def _chain(value: Mapping[str, Any], seed: int) -> Drawn:
    parts = {name: np.array(v, float) for name, v in value.items()}
    weight = weights(parts["hit"].size, DRAWS, seed)
    n = weight.sum(1)
    return {"first_error" if name == "hit" else name: weight @ v / n for name, v in parts.items()}


def chain_table(found: Sequence[Mapping[str, Any]], chains: int) -> Table:
    """For people."""
    columns: tuple[str, ...] = (
        "chains",
        "steps",
        "source",
        "first error",
        "90%",
        "early",
        "late",
        "calls",
        "of every step",
        "90%",
    )
    columns += ("of first zero", "90%", "gain on every step", "90%")
    shown = [
        [
            *(r[name] for name in ("kind", "length", "source", "first_error")),
            between(r, "first_error"),
            *(r[name] for name in ("under", "over", "calls")),
            *(
                x
                for name in ("of_every_step", "of_first_zero", "gain_on_every_step")
                for x in (r.get(name), between(r, name))
            ),
        ]
        for r in found
    ]
    note = (
        f"{chains} chains of each length with one wrong step, k = 8 completions a prefix. skill: chance that each step "
        "still to be written is right; repair: chance that a completion mends the error. of every step, of first zero: "
        "calls as a share of Monte Carlo that completes every prefix, that stops at the first zero."
    )
    return Table("Finding the first error of a chain", columns, shown, note)


def plots(found: Sequence[Mapping[str, Any]], world: str) -> list[Plot]:
    """Accuracy against calls."""
    lines = []
    mine = [r for r in found if r["world"] == world and r["k"] and r["first_error_interval"]]
    for name in dict.fromkeys(r["source"] for r in mine):
        at = [r for r in mine if r["source"] == name]
        low, high = zip(*(r["first_error_interval"] for r in at), strict=True)
        lines.append(Line(name, [r["calls"] for r in at], [r["first_error"] for r in at], low, high))
    title = f"Which step is the first error? Game of 24, {world}"
    return [Plot(f"labels-game24-{world}", title, "calls per solution", "share named exactly", lines)] if lines else []


def between(row: Mapping[str, Any], score: str) -> str:
    """An interval, to be read."""
    at = row.get(f"{score}_interval")
    return "–" if at is None else f"[{at[0]:.2f}, {at[1]:.2f}]"


def difference(a: Floats, b: Floats) -> tuple[float, list[float]]:
    """a - b of all tasks, and its interval."""
    return float(a[0] - b[0]), interval((a - b)[1:])
