"""What does search buy? Accuracy against calls and tokens for every policy, beside best-of-N at equal tokens.

The model is tabular (Game of 24, fitted to GPT-4's lines where the data is at hand), so that the scorer can be the
truth with as much noise as we like: score = sigmoid(logit(value) + noise * N); at infinity it knows nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from stepcredit.bench.paired import interval, weights
from stepcredit.bench.suite import Cell, Line, Plot, Result, Table
from stepcredit.bench.suites import _search_policies as chosen
from stepcredit.bench.suites._search_tasks import WRITING, solved, tasks
from stepcredit.data.layout import Floats
from stepcredit.search import solve

QUICK: dict[str, Any] = {"puzzles": 40, "noise": (0.0, 5.0), "n": (1, 4, 16, 64)}
DRAWS = 1000
CURVE = "best_of_n"
SPENT = ("calls", "prefill", "tokens", "draft", "tool", "score", "judge", "discarded")


@dataclass(frozen=True)
class Settings:
    """data: folder with game24/; None: the default policy. puzzles: how many. noise: of the scorer, each a table. n: of
    the best-of-N curve. methods: only these policies."""

    data: str | None = None
    puzzles: int = 200
    noise: tuple[float, ...] = (0.0, 2.0, 5.0, float("inf"))
    n: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 128)
    methods: tuple[str, ...] = ()
    seed: int = 0


def cells(settings: Settings) -> list[Cell]:
    """One cell a policy and noise; the best-of-N curve is one cell a noise."""
    told = Settings(data=settings.data, puzzles=settings.puzzles, seed=settings.seed)
    wanted = [p for p in chosen.POLICIES if not settings.methods or p.policy.partition("@")[0] in settings.methods]
    out = []
    for noise in settings.noise:
        out.append(Cell(f"curve/{noise:g}", partial(curve_cell, told, noise, settings.n)))
        out += [Cell(f"policy/{noise:g}/{p.name}", partial(policy_cell, told, noise, p.name)) for p in wanted]
    return out


def curve_cell(settings: Settings, noise: float, n: Sequence[int]) -> dict[str, Any]:
    """Best-of-N, weighted majority and majority by the first N of one set of solutions."""
    given = tasks(settings.puzzles, settings.seed)
    models = chosen.models(settings.data, noise, settings.seed)
    found = dict(solve(given, CURVE, models, writing=WRITING, seed=settings.seed, n=max(n)))
    return chosen.curve([found[i] for i in range(len(given))], given, n)


def policy_cell(settings: Settings, noise: float, name: str) -> dict[str, list[float]]:
    """What one policy solves and spends, task by task."""
    one = next(p for p in chosen.POLICIES if p.name == name)
    given = tasks(settings.puzzles, settings.seed)
    models = chosen.models(settings.data, noise, settings.seed)
    found = dict(
        solve(given, one.policy, models, writing=WRITING, seed=settings.seed, limits=one.limits, **one.options)
    )
    out = {"solved": solved(found, given)}
    for kind in SPENT:
        each = (found[i] if kind == "discarded" else found[i].ledger for i in range(len(given)))
        out[kind] = [float(getattr(x, kind)) for x in each]
    return out


def result(settings: Settings, values: Mapping[str, Any]) -> Result:
    """A table a noise: each policy, and the best-of-N curve read at its tokens."""
    rows: list[dict[str, Any]] = []
    weight = weights(settings.puzzles, DRAWS, settings.seed)
    for noise in settings.noise:
        curve = values[f"curve/{noise:g}"]
        rows += _curve_rows(noise, curve, weight)
        head = f"policy/{noise:g}/"
        rows += [
            _row(noise, key.removeprefix(head), value, curve["best"], weight)
            for key, value in values.items()
            if key.startswith(head)
        ]
    return Result(rows, [_table(settings, rows, noise) for noise in settings.noise], _plots(rows))


def _curve_rows(noise: float, curve: Mapping[str, Any], weight: Floats) -> list[dict[str, Any]]:
    rows = []
    for kind, points in curve.items():
        for n, value in points.items():
            row = {"noise": _level(noise), "policy": f"({kind} of {n})", "curve": kind, "n": int(n)}
            rows.append(row | _accuracy(value, weight) | _spent(value))
    return rows


def _row(noise: float, name: str, value: Mapping[str, Any], curve: Mapping[str, Any], weight: Floats) -> dict[str, Any]:
    row: dict[str, Any] = {"noise": _level(noise), "policy": name, "curve": None, "n": None}
    row |= _accuracy(value, weight) | _spent(value)
    mine, total = weight @ np.array(value["solved"]), weight.sum(1)
    tokens = np.array([np.mean(curve[n]["tokens"]) for n in curve])
    at = np.array([weight @ np.array(curve[n]["solved"]) for n in curve]) / total
    spent = row["tokens"]
    row["beyond_curve"] = bool(spent > tokens[-1])
    same = np.array([np.interp(np.log(max(spent, 1.0)), np.log(tokens), at[:, b]) for b in range(at.shape[1])])
    gap = mine / total - same
    return row | {"best_of_n": float(same[0]), "minus": float(gap[0]), "minus_interval": interval(gap[1:])}


def _accuracy(value: Mapping[str, Any], weight: Floats) -> dict[str, Any]:
    share = (weight @ np.array(value["solved"])) / weight.sum(1)
    return {"accuracy": float(share[0]), "accuracy_interval": interval(share[1:])}


def _spent(value: Mapping[str, Any]) -> dict[str, float]:
    return {kind: float(np.mean(value[kind])) for kind in SPENT if kind in value}


def _table(settings: Settings, rows: Sequence[Mapping[str, Any]], noise: float) -> Table:
    columns = ("policy", "solved", "90%", "calls", "tokens", "scores", "judge", "best-of-N there", "minus it", "90%")
    mine = [r for r in rows if r["noise"] == _level(noise)]
    shown = [
        [
            r["policy"] + "*" * bool(r.get("beyond_curve")),
            r["accuracy"],
            _between(r["accuracy_interval"]),
            r["calls"],
            r["tokens"],
            r["score"],
            r.get("judge"),
            r.get("best_of_n"),
            r.get("minus"),
            _between(r.get("minus_interval")),
        ]
        for r in mine
    ]
    knows = "the exact value" if noise == 0 else "nothing" if noise == float("inf") else f"noise {noise:g}"
    note = (
        f"{settings.puzzles} puzzles; costs are means per task. best-of-N there: its curve (linear in log tokens) at "
        "as many tokens written; * = beyond its last point, which then stands. Differences are paired, bootstrap over "
        "puzzles. In (brackets): the curves."
    )
    return Table(f"Search on Game of 24, scorer: {knows}", columns, shown, note)


def _plots(rows: Sequence[Mapping[str, Any]]) -> list[Plot]:
    plots = []
    for noise in dict.fromkeys(r["noise"] for r in rows):
        lines = []
        for kind in dict.fromkeys(r["curve"] for r in rows if r["noise"] == noise and r["curve"]):
            mine = [r for r in rows if r["noise"] == noise and r["curve"] == kind]
            low, high = zip(*(r["accuracy_interval"] for r in mine), strict=True)
            lines.append(Line(f"{kind} of N", [r["tokens"] for r in mine], [r["accuracy"] for r in mine], low, high))
        dots = (r for r in rows if r["noise"] == noise and not r["curve"])
        lines += [Line(r["policy"], [r["tokens"]], [r["accuracy"]]) for r in dots]
        plots.append(Plot(f"search-noise-{noise}", f"Scorer noise {noise}", "tokens written", "solved", lines))
    return plots


def _level(noise: float) -> float | str:
    """JSON has no word for infinity."""
    return "inf" if noise == float("inf") else noise


def _between(at: Sequence[float] | None) -> str:
    return "–" if at is None or at[0] != at[0] else f"[{at[0]:.2f}, {at[1]:.2f}]"
