"""`stepcredit bench leaderboard`: every suite on one page."""

import json
import math
import os
import platform
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from datetime import date
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from stepcredit import __version__
from stepcredit.app.console import line, note, progress, show
from stepcredit.bench.entries import PLAIN, credit
from stepcredit.bench.plot import draw
from stepcredit.bench.profile import profile
from stepcredit.bench.suite import Result, Store, Table, measure
from stepcredit.bench.suites import speed
from stepcredit.bench.suites._game24_scores import BASELINES
from stepcredit.bench.suites._worlds import SETTINGS
from stepcredit.credit import get
from stepcredit.credit.run import applicable
from stepcredit.data import read
from stepcredit.data.batch import Batch
from stepcredit.data.writing import write_text
from stepcredit.envs import game24, tabular


class Done(NamedTuple):
    """A suite that was measured: its settings, what it found, how long its cells took, one after another."""

    settings: dict[str, Any]
    result: Result
    seconds: float


class Section(NamedTuple):
    """A section of the page: anchor, title, suite, what is given beside its default settings, what it is."""

    name: str
    title: str
    suite: str
    given: Mapping[str, Any]
    about: str


def run_suite(
    name: str,
    given: Mapping[str, Any],
    *,
    quick: bool = False,
    store: Path | None = None,
    jobs: int = 1,
    label: str = "cells",
) -> tuple[dict[str, Any], Done]:
    """Measure a suite. Returns what identifies the run (suite, version, settings), and what was found.

    Args:
        given: fields of the suite's Settings; None and () keep the default.
        quick: start from the suite's QUICK settings.
        store: file that keeps finished cells.
    """
    suite = import_module(f"stepcredit.bench.suites.{name}")
    chosen = {**(suite.QUICK if quick else {}), **{n: v for n, v in given.items() if v not in (None, ())}}
    settings = replace(suite.Settings(), **chosen)
    head = {"suite": name, "version": __version__, "settings": asdict(settings)}
    cells, kept = suite.cells(settings), Store(store, head)
    with progress(label, len(cells)) as advance:
        result = suite.result(settings, measure(cells, kept, jobs=jobs, advance=advance))
    return head, Done(asdict(settings), result, sum(kept.seconds[cell.key] for cell in cells))


def sections(data: str | None) -> list[Section]:
    """What the page holds; without data only what needs none."""
    twin = "a policy fitted to them" if data else "the shipped policy"
    out = [
        Section(
            "game24",
            "Game of 24, GPT-4's own steps",
            "game24",
            {"data": data},
            "Rollouts that GPT-4 wrote; an exact solver says of every step whether 24 could still be reached after it.",
        ),
        Section(
            "simulated",
            "Game of 24, simulated",
            "game24",
            {"data": data, "simulated": True},
            f"Fresh rollouts of {twin}, whose exact advantages are known: enough puzzles to tell methods apart.",
        ),
        Section(
            "mdp", "Worlds that can be enumerated", "mdp", {}, "The advantage of every step by dynamic programming."
        ),
        Section("drift", "What happens when it gets hard", "drift", {}, "One thing at a time gets worse."),
        Section(
            "people",
            "People's labels",
            "people",
            {"data": data},
            "AgentProcessBench: people judged every step. Methods saw rollouts and outcomes, never the labels.",
        ),
        Section(
            "judges",
            "LLM judges against people",
            "judges",
            {"data": data},
            "Recorded verdicts of LLM judges on the same steps: what evidence from a judge is worth.",
        ),
    ]
    needs_data = {"game24", "people", "judges"}
    return [one for one in out if data or one.name not in needs_data]


def write_leaderboard(
    page: Path, data: str | None, *, quick: bool, store: Path | None, jobs: int, given: Mapping[str, Any]
) -> dict[str, Done]:
    """Run every suite and write the page, with its plots in a folder `leaderboard` beside it."""
    if store is not None:
        store.mkdir(parents=True, exist_ok=True)
    found = {}
    for section in sections(data):
        note(f"{section.title} ...", "")
        fields = {n: v for n, v in given.items() if n != "methods" or section.suite != "judges"}
        keep = None if store is None else store / f"{section.name}.jsonl"
        found[section.name] = run_suite(
            section.suite, {**section.given, **fields}, quick=quick, store=keep, jobs=jobs, label=section.name
        )[1]
    folder = page.parent / page.stem
    draw((plot for done in found.values() for plot in done.result.plots), folder)
    write_text("\n".join(_page(found, data, quick, folder.name)) + "\n", page)
    return found


def write_measured(path: Path, found: Mapping[str, Done], data: str | None) -> None:
    """The figures that `stepcredit advise` compares with, as JSON."""
    settings = []
    for row in _by_setting(found["mdp"].result.rows, "setting", "spearman", "same"):
        setting, n, reached = row
        batch = tabular.sample([SETTINGS[setting](i) for i in range(12)], n, 0)
        settings.append((f"{setting}, {n} rollouts", profile(batch)._asdict(), reached))
    for name, title in (("simulated", "simulated Game of 24"), ("game24", "GPT-4 on Game of 24")):
        if name not in found:
            continue
        for _, n, reached in _by_setting(found[name].result.rows, "data", "rho_mixed", "same_mixed"):
            settings.append((f"{title}, {n} rollouts", _game24_profile(name, n, data), reached))
    text = {
        "date": date.today().isoformat(),
        "version": __version__,
        "settings": [{"name": name, "profile": look, "reached": reached} for name, look, reached in settings],
    }
    write_text(json.dumps(_plain(text), indent=1) + "\n", path)


def _game24_profile(name: str, n: int, data: str | None) -> dict[str, Any]:
    if name == "simulated" or data is None:
        return profile(game24.batch(game24.puzzles()[:60], n, game24.Policy(), 0))._asdict()
    batch = read(Path(data) / "game24" / "gpt4_cot_rollouts.jsonl.gz")
    rank = np.arange(batch.layout.R) - np.searchsorted(batch.layout.group, batch.layout.group)
    return profile(batch.take(np.flatnonzero(rank < n)))._asdict()


def _by_setting(
    rows: list[dict[str, Any]], key: str, rho: str, same: str
) -> Iterator[tuple[str, int, dict[str, list[float]]]]:
    grouped: dict[tuple[str, int], dict[str, list[float]]] = {}
    for row in rows:
        if rho in row and row.get("given", row["n"]) == row["n"]:
            numbers = [row[rho], *row[f"{rho}_interval"], row[same]]
            grouped.setdefault((row[key], row["n"]), {})[row["method"]] = [float(f"{x:.3g}") for x in numbers]
    for (setting, n), reached in grouped.items():
        yield setting, n, reached


def _page(found: Mapping[str, Done], data: str | None, quick: bool, folder: str) -> Iterator[str]:
    command = "stepcredit bench leaderboard" + (" --data DIR" if data else "") + (" --quick" if quick else "")
    minutes = sum(done.seconds for done in found.values()) / 60
    yield "# Leaderboard"
    yield ""
    yield (
        f"Written by `{command}` on {date.today().isoformat()}, stepcredit {__version__}, from "
        f"{minutes:.0f} minutes of measuring; "
        f"Python {platform.python_version()}, NumPy {np.__version__}, {os.cpu_count()} cores. Intervals are 90%, "
        "over puzzles, worlds or questions. `same edge` and `Q - V` "
        "are plain estimators of two lines that any method should beat; constants and random numbers say what is "
        "nothing. Never compare across numbers of rollouts: which prompts have both outcomes changes with them."
    )
    yield ""
    yield from _table(_summary(found))
    for section in sections(data):
        done = found[section.name]
        told = {n: v for n, v in done.settings.items() if v not in (None, ()) and n != "data"}
        yield f"## {section.title}"
        yield ""
        yield section.about
        yield ""
        yield f"Settings: `{json.dumps(told)}`; {done.seconds:.0f} s."
        yield ""
        for plot in done.result.plots:
            yield f"![{plot.title}]({folder}/{plot.name}.svg)"
            yield ""
        tables = done.result.tables
        first = next((t for t in tables if re.search(r"\bN ?= ?8\b", t.title)), tables[0])
        yield from _table(first)
        others = [t for t in tables if t is not first]
        if others:
            yield f'??? note "All tables ({len(others)} more)"'
            yield ""
            for one in others:
                yield from ("    " + text if text else text for text in _table(one, heading="**"))


def _summary(found: Mapping[str, Done]) -> Table:
    """One row per method: a figure or two of each suite."""
    at = {
        "game24": ("real", ("same_mixed", "pooled_all", "rho_mixed")),
        "simulated": ("simulated", ("same_mixed", "rho_mixed", "mse_mixed")),
    }
    heads = {"same_mixed": "same", "pooled_all": "pooled, all", "rho_mixed": "rho", "mse_mixed": "error"}
    columns: dict[str, dict[str, float]] = {}
    for section, (title, figures) in at.items():
        if section not in found:
            continue
        rows = [r for r in found[section].result.rows if r["n"] == 8 and r.get("given", 8) == 8]
        for figure in figures:
            columns[f"{title}: {heads[figure]}"] = {r["method"]: r[figure] for r in rows if figure in r}
    means = found["mdp"].result.more["means"]
    for n in (8, 32):
        columns[f"worlds: r, N = {n}"] = {r["method"]: r["pearson"] for r in means if r["n"] == n and "pearson" in r}
    least: dict[str, float] = {}
    for r in found["drift"].result.rows:
        if "minus_grpo" in r:
            least[r["method"]] = min(least.get(r["method"], math.inf), r["minus_grpo"])
    columns["drift: worst, minus grpo"] = least
    if "people" in found:
        rows = [r for r in found["people"].result.rows if r.get("part") == "ranking"]
        columns["people: in question"] = {r["method"]: r["within_question"] for r in rows}
    names = [r["method"] for r in found["simulated"].result.rows if r["n"] == 8 and r.get("given", 8) == 8]
    columns["time / salt"] = _times(names)
    body = [[name, *(_rounded(column.get(name)) for column in columns.values())] for name in dict.fromkeys(names)]
    note_ = (
        "real, simulated: Game of 24 at N = 8 rollouts per puzzle; same, pooled over all puzzles, rank correlation "
        "with the advantage, squared error after best scaling. worlds: mean correlation with the exact advantage over "
        "all families. drift: the worst place of any sweep, less plain group advantage there. people: how often the "
        "step that people call right has more credit than one they call wrong, inside a question. time: on 100,000 "
        "steps, in times of `salt`. The intervals are in the sections."
    )
    return Table("Summary", ["credit", *columns], body, note_)


def _times(names: Iterable[str]) -> dict[str, float]:
    batch = speed.world(100_000)
    able = [name for name in dict.fromkeys(names) if _can(name, batch)]
    took = dict.fromkeys(able, math.inf)
    for name in able * 5:  # in turns: what else the machine does then slows all alike
        took[name] = min(took[name], speed.best(partial(credit, name, batch), 1))
    return {name: seconds / took["salt"] for name, seconds in took.items()} if "salt" in took else {}


def _can(name: str, batch: Batch) -> bool:
    return name in PLAIN or (name not in BASELINES and applicable(get(name), batch) is None)


def _rounded(x: float | None) -> str | None:
    return None if x is None or x != x else f"{x:.2f}"


def _table(table: Table, heading: str = "### ") -> Iterator[str]:
    title = f"{table.title[:1].upper()}{table.title[1:]}"
    yield f"{heading}{title}{heading if heading == '**' else ''}"
    yield ""
    yield "| " + " | ".join(map(_cell, table.columns)) + " |"
    yield "|" + "---|" * len(table.columns)
    for row in table.rows:
        yield "| " + " | ".join(map(_cell, row)) + " |"
    yield ""
    if table.note:
        yield table.note
        yield ""


def _cell(value: Any) -> str:
    return line(show(value)).replace("|", "\\|").replace("<", "&lt;")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {n: _plain(v) for n, v in value.items()}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    if isinstance(value, float):
        return None if value != value else float(f"{value:.4g}")
    return value
