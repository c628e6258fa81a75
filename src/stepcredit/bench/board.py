"""All suites together: one row per method, and the figures that advice is taken from."""

import math
from collections.abc import Iterable, Mapping
from datetime import date
from functools import partial
from typing import Any

import numpy as np

from stepcredit.bench.entries import judge
from stepcredit.bench.profile import profile
from stepcredit.bench.suite import Result, Table
from stepcredit.bench.suites import speed
from stepcredit.bench.suites._game24_scores import BASELINES
from stepcredit.bench.suites._worlds import SETTINGS
from stepcredit.envs import tabular
from stepcredit.ops import ranks

N = 8
NOTE = (
    f"real, simulated: Game of 24 at N = {N} rollouts per puzzle; same, pooled over all puzzles, rank correlation with "
    "the advantage, squared error after best scaling. worlds: means over all kinds of r (linear correlation with the "
    "exact advantage), rho (rank correlation), same, and the cosine with the exact policy gradient. drift: r less that "
    "of plain group advantage, where it is least. people: how often the step that people call right has more credit "
    "than one that they call wrong, inside a question; the outcome broadcast to every step gets {broadcast}. time: on "
    "100,000 steps, in times of `salt`. @quality ranks steps, it is no advantage. Methods that compare immediate "
    "rewards (vpr, f_grpo, step_grpo, virl, step_grpo_a, hi_agent, gui_libra) see one reward here, the outcome at the "
    "last step: they have nothing to say of other steps. "
    "Methods on trees (spo_tree, treeps_rag, propa, portool, branchgrpo) are given the rollouts that began alike as a "
    "tree. Methods that ask for evidence have a section of their own. Intervals: see the sections."
)
FIGURES = {
    "game24": {"real: same": "same_mixed", "real: pooled, all": "pooled_all", "real: rho": "rho_mixed"},
    "simulated": {"simulated: same": "same_mixed", "simulated: rho": "rho_mixed", "simulated: error": "mse_mixed"},
}
MEANS = {"worlds: r": "pearson", "rho": "spearman", "same": "same", "cosine": "cosine"}


def summary(found: Mapping[str, Result]) -> Table:
    """One row per method, some figures of each suite that was run; `found` is by the names of the board's sections."""
    columns: dict[str, dict[str, float]] = {}
    for section, figures in FIGURES.items():
        rows = _own(found[section].rows) if section in found else []
        for title, figure in figures.items() if rows else ():
            columns[title] = {r["method"]: r[figure] for r in rows if figure in r}
    means = [r for r in found["mdp"].more["means"] if r["n"] == N]
    for title, figure in MEANS.items():
        columns[title] = {r["method"]: r[figure] for r in means if figure in r}
    least: dict[str, float] = {}
    for r in (r for r in found["drift"].rows if "minus_grpo" in r):
        least[r["method"]] = min(least.get(r["method"], math.inf), r["minus_grpo"])
    columns["drift"] = least
    people = {
        r["method"]: r["within_question"] for r in (found["people"].rows if "people" in found else []) if _ranks(r)
    }
    if people:
        columns["people"] = people
    names = list(dict.fromkeys(r["method"] for r in (*_own(found["simulated"].rows), *means)))
    columns["time"] = times(name for name in names if name in least)
    body = [[name, *(_cell(column.get(name)) for column in columns.values())] for name in names]
    broadcast = _cell(people.get("outcome broadcast")) or "the same for all"
    return Table(f"Summary, N = {N}", ["credit", *columns], body, NOTE.format(broadcast=broadcast))


def times(names: Iterable[str], rounds: int = 5) -> dict[str, float]:
    """How long each method takes on 100,000 steps, in times of `salt`; in turns, so that what else the machine does
    slows all alike."""
    batch = speed.world(100_000)
    took = dict.fromkeys([*names, "salt"], math.inf)
    for name in list(took) * rounds:
        took[name] = min(took[name], speed.best(partial(judge, name, batch), 1))
    return {name: seconds / took["salt"] for name, seconds in took.items()}


def measured(mdp: Result, settings: Mapping[str, Any], version: str) -> dict[str, Any]:
    """What `bench.advice` compares with: per kind of world and number of rollouts its profile, and what each method
    reached there, (rho, same)."""
    reached: dict[tuple[str, int], dict[str, list[float | None]]] = {}
    for row in (row for row in mdp.rows if "spearman" in row and row["method"] not in BASELINES):
        numbers = [row["spearman"], row["same"]]
        reached.setdefault((row["setting"], row["n"]), {})[row["method"]] = [_short(x) for x in numbers]
    out = []
    for (setting, n), methods in reached.items():
        look = profile(tabular.sample([SETTINGS[setting](i) for i in range(40)], n, 0))
        short = {name: _short(x) for name, x in look._asdict().items()}
        out.append({"name": f"{setting}, {n} rollouts", "profile": short, "reached": methods})
    return {"date": date.today().isoformat(), "version": version, "mdp": dict(settings), "settings": out}


def scores(found: Mapping[str, Result]) -> dict[str, dict[str, float]]:
    """method -> figures for its card: same on Game of 24 (real if it was measured, simulated), r in the worlds, and
    `rank`, the median over the kinds of worlds of its place by r (1 = best; equals share a place) among `of` credits.
    `given`: 1 where it was given evidence there, and its place is among those that were."""
    out: dict[str, dict[str, float]] = {}
    for section, title in (("game24", "real same"), ("simulated", "simulated same")):
        for row in _own(found[section].rows) if section in found else ():
            out.setdefault(row["method"], {})[title] = row["same_mixed"]
    for name, one in _places(found["mdp"].rows).items():
        out.setdefault(name, {}).update(one)
    if "evidence" in found:
        game = {r["method"]: r["same_mixed"] for r in found["evidence"].rows if r.get("suite") == "game24"}
        for name, one in _places(found["evidence"].rows).items():
            if name not in out:
                out[name] = {"simulated same": game.get(name, math.nan), **one, "given": 1.0}
    return {name: {k: float(f"{x:.3g}") for k, x in one.items() if x == x} for name, one in out.items()}


def _places(rows: Iterable[dict[str, Any]]) -> dict[str, dict[str, float]]:
    by_setting: dict[str, dict[str, float]] = {}
    for row in rows:
        if row["n"] == N and row["method"] not in BASELINES and not math.isnan(row.get("pearson", math.nan)):
            by_setting.setdefault(row["setting"], {})[row["method"]] = row["pearson"]
    places: dict[str, list[float]] = {}
    for reached in by_setting.values():
        at = ranks(-np.array([round(x, 6) for x in reached.values()])) + 1
        for name, place in zip(reached, at.tolist(), strict=True):
            places.setdefault(name, []).append(place)
    return {
        name: {
            "worlds r": float(np.mean([one[name] for one in by_setting.values() if name in one])),
            "worlds rank": float(np.median(mine)),
            "of": float(len(places)),
        }
        for name, mine in places.items()
    }


def _own(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [r for r in rows if r["n"] == N and r.get("given", N) == N and "same_mixed" in r]


def _ranks(row: Mapping[str, Any]) -> bool:
    return row.get("part") == "ranking" and "within_question" in row


def _cell(x: float | None) -> str | None:
    return None if x is None or math.isnan(x) else f"{x:.2f}"


def _short(x: float) -> float | None:
    return None if math.isnan(x) else float(f"{x:.3g}")
