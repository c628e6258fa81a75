"""`stepcredit bench leaderboard`: every suite on one page."""

import hashlib
import json
import os
import platform
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from datetime import date
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np

from stepcredit import __version__
from stepcredit.app.console import line, note, progress, show
from stepcredit.bench import board
from stepcredit.bench.plot import draw
from stepcredit.bench.suite import Result, Store, Table, measure
from stepcredit.data.writing import write_text
from stepcredit.errors import StepCreditError


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
    told: dict[str, Any] = asdict(settings)
    head = {"suite": name, "version": __version__, "settings": told}
    cells = suite.cells(settings)
    kept = Store(store, {**head, "settings": {**told, "data": None}, "made of": _made_of(told)})
    with progress(label, len(cells)) as advance:
        result = suite.result(settings, measure(cells, kept, jobs=jobs, advance=advance))
    return head, Done(told, result, sum(kept.seconds[cell.key] for cell in cells))


def sections(data: str | None) -> list[Section]:
    """What the page holds; without data only what needs none."""
    lines = data if data and (Path(data) / "game24").is_dir() else None
    twin = "a policy fitted to them" if lines else "the shipped policy"
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
            {"data": lines, "simulated": True},
            f"Fresh rollouts of {twin}, whose exact advantages are known: enough puzzles to tell methods apart.",
        ),
        Section(
            "mdp", "Worlds that can be enumerated", "mdp", {}, "The advantage of every step by dynamic programming."
        ),
        Section(
            "evidence",
            "Methods that ask for evidence",
            "evidence",
            {},
            "All are given the same evidence of known quality, made from the truth in place of a model; it stands "
            "beside them by itself.",
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
    has = {"game24": "game24", "people": "agentprocessbench", "judges": "agentprocessbench"}
    return [one for one in out if one.name not in has or (data and (Path(data) / has[one.name]).is_dir())]


def write_leaderboard(
    page: Path, data: str | None, *, quick: bool, store: Path | None, jobs: int, given: Mapping[str, Any]
) -> dict[str, Done]:
    """Run every suite and write the page, with its plots in a folder of its name beside it."""
    if page.is_dir():
        raise StepCreditError(f"--output {page}: is a folder", hint="name the page: -o FOLDER/leaderboard.md")
    draw([], page.parent / page.stem)  # what would fail at the end fails now
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
    write_text("\n".join(_page(found, data, quick, folder.name, given)) + "\n", page)
    return found


def _page(
    found: Mapping[str, Done], data: str | None, quick: bool, folder: str, given: Mapping[str, Any]
) -> Iterator[str]:
    mine = "".join(f" -M {name}" for name in given.get("methods", ()))
    seed = f" --seed {given['seed']}" if given.get("seed") else ""
    command = f"stepcredit bench leaderboard{' --data DIR' * bool(data)}{' --quick' * quick}{mine}{seed}"
    minutes = sum(done.seconds for done in found.values()) / 60
    yield "# Leaderboard"
    yield ""
    yield (
        f"Written by `{command}` on {date.today().isoformat()}, stepcredit {__version__}, from "
        f"{minutes:.0f} minutes of measuring; "
        f"Python {platform.python_version()}, NumPy {np.__version__}, {os.cpu_count()} cores. Intervals are 90%, "
        "over puzzles, worlds or questions. `same edge` (the mean group advantage of identical steps) and `q_minus_v` "
        "model nothing; constants and random numbers say what is nothing. Never compare across numbers of rollouts: "
        "which prompts have both outcomes changes with them."
    )
    yield ""
    yield from _table(board.summary({name: done.result for name, done in found.items()}))
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
            yield f"![{plot.title}]({quote(folder)}/{plot.name}.svg)"
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


def write_measured(path: Path, found: Mapping[str, Done]) -> None:
    """The figures that `stepcredit advise` compares with, and those on the methods' cards, as JSON."""
    told = board.measured(found["mdp"].result, found["mdp"].settings, __version__)
    told["scores"] = board.scores({name: done.result for name, done in found.items()})
    rows = ",\n".join(json.dumps(one) for one in told.pop("settings"))
    write_text(f'{json.dumps(told)[:-1]}, "settings": [\n{rows}\n]}}\n', path)


def _made_of(settings: Mapping[str, Any]) -> str:
    """A fingerprint of the package's code, of method files and of the data: other ones' figures are others."""
    package = Path(__file__).parents[1]
    files = [*package.rglob("*.py"), *(Path(name) for name in settings.get("methods", ()) if name.endswith(".py"))]
    data = settings.get("data")
    files += [file for file in (Path(data), *Path(data).rglob("*")) if file.is_file()] if data else []
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(file.name.encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16]
