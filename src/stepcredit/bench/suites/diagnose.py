"""Does a diagnosis name the right step? Against people on real runs, against planted faults in worlds whose values are
known; every method that asks no model, beside constants, a random step and the last one.

Who&When: 126 failed logs of several agents, one step and agent blamed by people each. AgentProcessBench: people's label
of every step of 250 runs, beside the labels of 20 recorded judges. Planted faults: one action of a good policy's run is
replaced by one that spoils it, with 1 to 16 runs of the same task beside it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from stepcredit.bench.suite import Cell, Result, Table
from stepcredit.bench.suites import _diagnose_judge as judge
from stepcredit.bench.suites import _diagnose_planted as planted
from stepcredit.bench.suites import _diagnose_real as real
from stepcredit.bench.suites import _diagnose_replay as replay
from stepcredit.bench.suites import _diagnose_report as report
from stepcredit.bench.suites._agentprocessbench import files
from stepcredit.bench.suites._planted import KINDS, VIEWS

QUICK: dict[str, Any] = {"seeds": 6, "siblings": (1, 8), "errors": (0.0, 0.2), "draws": 200}


@dataclass(frozen=True)
class Settings:
    """data: folder with who_and_when/ and agentprocessbench/; None: planted faults alone. seeds: worlds of each kind.
    siblings: runs of the same task beside the spoiled one. errors: of the simulated judge's answers. methods: only
    these; none: all. draws, seed: of the bootstrap."""

    data: str | None = None
    seeds: int = 60
    siblings: tuple[int, ...] = (1, 2, 4, 8, 16)
    errors: tuple[float, ...] = (0.0, 0.1, 0.2, 0.3, 0.4)
    methods: tuple[str, ...] = ()
    draws: int = 1000
    seed: int = 0


def cells(settings: Settings) -> list[Cell]:
    """One cell a data set, a kind of world and view, an error rate of the judge, a kind of world to replay in.

    Raises:
        UnknownName: no such method. StepCreditError: a method that is not measured.
    """
    names = tuple(real.methods(settings.methods))
    asked = tuple(name for name, (method, _) in judge.ASKED.items() if _wanted(settings, method))
    out = []
    for name, path in _logs(settings.data).items():
        out.append(Cell(f"who_and_when/{name}", partial(real.who_and_when, str(path), names)))
    for name, (path, judges) in _subsets(settings.data).items():
        out.append(Cell(f"people/{name}", partial(real.people, str(path), str(judges), names)))
    for kind in KINDS:
        for view in VIEWS:
            run = partial(planted.cell, kind, settings.seeds, settings.siblings, view, names)
            out.append(Cell(f"planted/{kind}/{view}", run))
    errors = settings.errors if asked else ()
    ladder = {e: partial(judge.cell, e, settings.seeds, asked, settings.seed) for e in errors}
    out += [Cell(f"judge/{error:g}", run) for error, run in ladder.items()]
    tried = tuple(name for name, (method, _) in replay.ASKED.items() if _wanted(settings, method))
    for kind in KINDS if tried else ():
        out.append(Cell(f"replay/{kind}", partial(replay.cell, kind, settings.seeds, tried, settings.seed)))
    if _wanted(settings, "cdc_mas") or _wanted(settings, "agents"):
        out.append(Cell("agents/", partial(replay.agent_cell, settings.seeds, names, settings.seed)))
    return out


def _wanted(settings: Settings, method: str) -> bool:
    return not settings.methods or method in settings.methods or method.partition("@")[0] in settings.methods


def _logs(data: str | None) -> dict[str, Path]:
    return {} if data is None else files(Path(data) / "who_and_when")


def _subsets(data: str | None) -> dict[str, tuple[Path, Path]]:
    """Subset -> its rollouts, and the folder of its judges."""
    if data is None:
        return {}
    home = Path(data) / "agentprocessbench"
    found = {name: path for name, path in files(home).items() if not name.endswith("_labels")}
    return {name: (path, home / "judges" / name) for name, path in found.items()}


def result(settings: Settings, values: Mapping[str, Any]) -> Result:
    """Rows, tables and plots of each part."""
    rows: list[dict[str, Any]] = []
    tables: list[Table] = []
    for key in (k for k in values if k.startswith("who_and_when/")):
        name = key.partition("/")[2]
        found = report.log_rows(values[key], settings.draws, settings.seed)
        rows += [{"part": "who_and_when", "data": name, **row} for row in found]
        tables.append(report.log_table(name, found, values[key]))
    for key in (k for k in values if k.startswith("people/")):
        name = key.partition("/")[2]
        found = report.people_rows(values[key], settings.draws, settings.seed)
        rows += [{"part": "people", "data": name, **row} for row in found]
        tables.append(report.people_table(name, found, values[key]))
    cells = {k.partition("/")[2]: v for k, v in values.items() if k.startswith("planted/")}
    faults = planted.rows(cells, settings.siblings, settings.draws, settings.seed)
    rows += faults
    tables += planted.tables(faults, settings.siblings)
    ladder = {k.partition("/")[2]: v for k, v in values.items() if k.startswith("judge/")}
    if ladder:
        found = judge.rows(ladder, settings.draws, settings.seed)
        rows += found
        tables.append(judge.table(found))
    tried = {k.partition("/")[2]: v for k, v in values.items() if k.startswith("replay/")}
    if tried:
        found = replay.rows(tried, settings.draws, settings.seed)
        rows += found
        tables.append(replay.table(found))
    if "agents/" in values:
        found = replay.agent_rows(values["agents/"], settings.draws, settings.seed)
        rows += found
        tables.append(replay.agent_table(found))
    failed = {
        (name, told["error"])
        for cell in values.values()
        for name, told in (cell.get("methods") or cell.get("said") or {}).items()
        if "error" in told
    }
    if failed:
        tables.append(Table("failed", ["method", "error"], sorted(failed)))
    return Result(rows, tables, planted.plots(faults, settings.siblings))
