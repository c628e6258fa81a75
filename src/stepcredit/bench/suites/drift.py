"""What happens to credit as the world gets harder: one knob at a time, from easy to hard."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np

from stepcredit.bench import metrics
from stepcredit.bench.entries import entries, judge, ours
from stepcredit.bench.suite import Cell, Line, Plot, Result, Table
from stepcredit.bench.suites._figures import mean, over_draws
from stepcredit.data.batch import Batch
from stepcredit.data.layout import Floats
from stepcredit.envs import worlds
from stepcredit.envs.tabular import World, sample
from stepcredit.errors import StepCreditError

QUICK: dict[str, Any] = {"worlds": 16, "draws": 4}
N, HORIZON, PLAIN_GROUP = 8, 10, "grpo"
FIGURES = ("pearson", "same", "minus_grpo")


@dataclass(frozen=True)
class Settings:
    """worlds: at each position of each knob; one batch holds them all, each a prompt. draws: batches, averaged."""

    worlds: int = 24
    seed: int = 0
    methods: tuple[str, ...] = ()
    draws: int = 16


class Sweep(NamedTuple):
    """A knob: where it is set, what its axis is called, (position, worlds, seed of the draw) -> what methods see;
    horizon: the position is the worlds' number of steps."""

    positions: Sequence[float]
    axis: str
    make: Callable[[float, Sequence[World], int], Batch]
    horizon: bool = False


def unique_states(batch: Batch, share: float, random: np.random.Generator) -> Batch:
    """The batch in which a share of the arrivals in a state is at a state met only there: `next_state` of the step that
    leads there and `state` of the one that follows (or `final_state`) are one new id. The prompt itself, the first
    state, is always the same."""
    lay = batch.layout
    new = random.random(lay.S) < share
    known = list(batch.keys["state"])
    arrived = np.where(new, len(known) + np.cumsum(new) - 1, batch["next_state"])
    state = np.where(lay.previous < 0, batch["state"], arrived[lay.previous])
    keys = [*known, *(f"met once, {i}" for i in range(int(new.sum())))]
    columns = {"state": state, "next_state": arrived, "final_state": arrived[lay.last]}
    named = {**batch.keys, **dict.fromkeys((*columns, "root_state"), keys)}
    return replace(batch, columns={**batch.columns, **columns}, keys=named)


def flipped(batch: Batch, chance: float, random: np.random.Generator) -> Batch:
    """The batch with a verifier that errs: each outcome, 0 or 1, is the other one with this chance."""
    wrong = random.random(batch.layout.R) < chance
    return batch.with_columns(outcome=np.where(wrong, 1 - batch["outcome"], batch["outcome"]))


def merged(world: World, share: float, random: np.random.Generator) -> World:
    """The world in which a share of the states, but for the start, look like every such state of their layer."""
    hide = random.random(len(world.labels)) < share
    hide[world.start] = False
    labels = [f"{label.split(':')[0]}:?" if h else label for label, h in zip(world.labels, hide, strict=True)]
    return replace(world, labels=labels)


def _unique(x: float, made: Sequence[World], seed: int) -> Batch:
    return unique_states(sample(made, N, seed), x, _random("unique", seed))


def _grouped(x: float, made: Sequence[World], seed: int) -> Batch:
    return sample(made, int(x), seed)


def _flipped(x: float, made: Sequence[World], seed: int) -> Batch:
    return flipped(sample(made, N, seed), x, _random("flipped", seed))


def _longer(x: float, made: Sequence[World], seed: int) -> Batch:
    return sample(made, N, seed)


def _merged(x: float, made: Sequence[World], seed: int) -> Batch:
    return sample([merged(world, x, _random(world.name, 0)) for world in made], N, seed)


SWEEPS = {
    "unique": Sweep((0.0, 0.25, 0.5, 0.75, 1.0), "share of states met only once", _unique),
    "group": Sweep((32, 16, 8, 4, 2), "rollouts per prompt", _grouped),
    "noise": Sweep((0.0, 0.05, 0.1, 0.2, 0.4), "share of outcomes flipped", _flipped),
    "horizon": Sweep((5, 10, 20, 50, 100), "steps", _longer, horizon=True),
    "alias": Sweep((0.0, 0.25, 0.5, 0.75, 1.0), "share of states that look alike", _merged),
}


def cells(settings: Settings) -> list[Cell]:
    """One cell per position of each knob."""
    probe = sample(_worlds(HORIZON, 2, settings.seed), 2, settings.seed)
    more = (tuple(entries(probe, settings.methods)), settings.worlds, settings.draws, settings.seed)
    return [
        Cell(f"{name} {x:g}", partial(measure_one, name, x, *more))
        for name, sweep in SWEEPS.items()
        for x in sweep.positions
    ]


def measure_one(sweep: str, x: float, names: Sequence[str], count: int, draws: int, seed: int) -> dict[str, Any]:
    """Per name, `{figure: [worlds]}`, or `{"error": text}` where a method failed on a batch.

    Truth and the states of `same` are the world's own, whatever the methods see. minus_grpo: pearson less that of plain
    group advantage, over the draws of a world where both are defined.
    """
    knob = SWEEPS[sweep]
    made = _worlds(int(x) if knob.horizon else HORIZON, count, seed)
    seen = [knob.make(x, made, 1000 * seed + k) for k in range(draws)]
    true = [sample(made, batch.layout.R // count, 1000 * seed + k) for k, batch in enumerate(seen)]
    plain = _by_world(PLAIN_GROUP, seen, true)
    out: dict[str, Any] = {}
    for name in names:
        try:
            found = _by_world(name, seen, true)
        except StepCreditError as error:  # its failure is a row, the others go on
            out[name] = {"error": error.message}
            continue
        told = dict(zip(FIGURES, (*found, found[0] - plain[0]), strict=True))
        out[name] = {f: [float(f"{v:.7g}") for v in over_draws(values).tolist()] for f, values in told.items()}
    return out


def _by_world(name: str, seen: Sequence[Batch], true: Sequence[Batch]) -> Floats:
    """[2, D, W] pearson with the exact advantage, and same."""
    out = np.full((2, len(seen), true[0].layout.G), np.nan)
    for k, (batch, exact) in enumerate(zip(seen, true, strict=True)):
        given = judge(name, batch).credit
        decision, good = exact["truth.decision"] > 0, exact["truth.good"] > 0
        for w in range(exact.layout.G):
            rows = np.flatnonzero(exact.layout.step_group == w)
            out[0, k, w] = metrics.pearson(given[rows], exact["truth.advantage"][rows]).value
            rows = rows[decision[rows]]
            out[1, k, w] = metrics.same(given[rows], good[rows], exact["state"][rows], np.zeros(rows.size)).value
    return out


def _worlds(horizon: int, count: int, seed: int) -> list[World]:
    return [worlds.get("layered")(seed=1000 * seed + i, horizon=horizon) for i in range(count)]


def _random(name: str, seed: int) -> np.random.Generator:
    return np.random.default_rng([crc32(name.encode()), seed])


def result(settings: Settings, values: dict[str, Any]) -> Result:
    """A row per knob, position and method: pearson, same, and the paired difference from plain group advantage."""
    rows: list[dict[str, Any]] = []
    for name, sweep in SWEEPS.items():
        for x in sweep.positions:
            for method, one in values[f"{name} {x:g}"].items():
                row: dict[str, Any] = {"sweep": name, "x": x, "method": method}
                if "error" in one:
                    rows.append({**row, "error": one["error"]})
                    continue
                for figure in FIGURES:
                    m = mean(one[figure])
                    row |= {figure: m.value, f"{figure}_interval": m.interval}
                rows.append({**row, "undefined": mean(one["pearson"]).undefined})
    tables = [_table(rows, name, figure) for name in SWEEPS for figure in ("pearson", "minus_grpo")]
    return Result(rows, [*tables, *_failed(rows)], [_plot(rows, name) for name in SWEEPS])


def _table(rows: Sequence[dict[str, Any]], name: str, figure: str) -> Table:
    sweep = SWEEPS[name]
    here = {(row["method"], row["x"]): row for row in rows if row["sweep"] == name}
    lines = [
        [method, *(_told(here[method, x], figure) for x in sweep.positions)]
        for method in dict.fromkeys(method for method, _ in here)
    ]
    title = (
        "Pearson r" if figure == "pearson" else "Pearson r less that of plain group advantage, paired by world [90%]"
    )
    note = "Worlds where all credit is equal are left out (–: every world)."
    return Table(f"{title}, {sweep.axis}", ("method", *(f"{x:g}" for x in sweep.positions)), lines, note)


def _told(row: dict[str, Any], figure: str) -> str:
    if "error" in row:
        return "error"
    if np.isnan(row[figure]):
        return "–"
    low, high = row[f"{figure}_interval"]
    return f"{row[figure]:.2f}" if figure == "pearson" else f"{row[figure]:+.2f} [{low:+.2f}, {high:+.2f}]"


def _failed(rows: Sequence[dict[str, Any]]) -> list[Table]:
    failed = {(row["method"], row["error"]): row for row in rows if "error" in row}
    lines = [[method, f"{row['sweep']} {row['x']:g}", text] for (method, text), row in failed.items()]
    return [Table("Failed", ("method", "for example", "error"), lines)] if lines else []


def _plot(rows: Sequence[dict[str, Any]], name: str) -> Plot:
    sweep = SWEEPS[name]
    lines = []
    here = [row for row in rows if row["sweep"] == name and not np.isnan(row.get("pearson", np.nan))]
    for method in dict.fromkeys(row["method"] for row in here):
        some = sorted((row for row in here if row["method"] == method), key=lambda row: float(row["x"]))
        low, high = zip(*(row["pearson_interval"] for row in some), strict=True)
        band = (low, high) if ours(method) or method == PLAIN_GROUP else (None, None)
        lines.append(Line(method, [row["x"] for row in some], [row["pearson"] for row in some], *band))
    log = min(sweep.positions) > 0
    return Plot(f"drift_{name}", f"Credit against exact advantage: {sweep.axis}", sweep.axis, "Pearson r", lines, log)
