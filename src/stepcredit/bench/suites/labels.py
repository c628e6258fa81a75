"""How right are step labels, and what do they cost? Game of 24 with a tabular model of known values, served over HTTP;
and chains with one known error, where the search for it can be told from luck.

Every source labels the same solutions. `steps`: share of the judged steps whose label is the truth (can 24 still be
reached after it?). `first error`: share of the solutions whose first wrong step it names exactly, "none" where there is
none. Both stand beside labels that looked at nothing. Calls are completions and questions; a known outcome costs none.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from stepcredit.bench.paired import interval, weights
from stepcredit.bench.suite import Cell, Line, Plot, Result, Table
from stepcredit.bench.suites import _label_sources as sources
from stepcredit.bench.suites._chains import Chains
from stepcredit.data.layout import Floats
from stepcredit.data.records import Rollout
from stepcredit.label import Labels, label

QUICK: dict[str, Any] = {"puzzles": 30, "chains": 60, "k": (4, 16)}
DRAWS = 1000
CHAIN_K, SKILL = 8, 0.97
LENGTHS = (8, 16, 32)
FINDERS = ("math_shepherd", "math_shepherd@first-zero", "omegaprm", "omegaprm@careful")


@dataclass(frozen=True)
class Settings:
    """data: folder with game24/, whose lines the model is fitted to; None: the default policy. puzzles, rollouts: of
    Game of 24. k: completions a prefix. chains: solutions of each length. methods: only these label systems. http: the
    model is asked over HTTP (the same answers, and the client's part of the time)."""

    data: str | None = None
    puzzles: int = 150
    rollouts: int = 4
    k: tuple[int, ...] = (2, 4, 8, 16, 32, 64)
    chains: int = 300
    methods: tuple[str, ...] = ()
    http: bool = True
    seed: int = 0


def cells(settings: Settings) -> list[Cell]:
    """One cell a source and number of completions, and one a length of chain and way to search it."""
    wanted = [s for s in sources.SOURCES if not settings.methods or s.system in settings.methods]
    grid = [(s, k) for s in wanted for k in (settings.k if s.samples else (0,))]
    told = Settings(**{**vars(settings), "k": ()})
    out = [Cell(f"game24/{s.name}/{k}", partial(game24_cell, told, s.name, k)) for s, k in grid]
    finders = [f for f in FINDERS if not settings.methods or f.partition("@")[0] in settings.methods]
    return out + [
        Cell(f"chains/{t}/{f}", partial(chain_cell, t, f, settings.chains, settings.seed))
        for t in LENGTHS
        for f in finders
    ]


class Told(NamedTuple):
    """Sums per task: of judged steps, of those that are right, of solutions, of those whose first error is, of calls,
    of solutions kept by a filter; of steps called wrong, rightly so; of wrong steps."""

    steps: Floats
    steps_right: Floats
    solutions: Floats
    first_right: Floats
    calls: Floats
    kept: Floats
    called_wrong: Floats
    rightly_wrong: Floats
    wrong: Floats


def game24_cell(settings: Settings, name: str, k: int) -> dict[str, Any]:
    """What one source says of all solutions, in sums per puzzle."""
    source = next(s for s in sources.SOURCES if s.name == name)
    rollouts = sources.solutions(settings.data, settings.puzzles, settings.rollouts, settings.seed)
    with ExitStack() as stack:
        models = sources.models(settings.data, settings.seed, stack if settings.http else None)
        given = {**source.options, **({source.samples: k} if source.samples else {})}
        setting = sources.SETTING
        made = [one for _, unit in label(rollouts, source.system, models, setting=setting, **given) for one in unit]
    own = {(r.group, r.rollout) for r in rollouts}
    told = count([one for one in made if (one.group, one.rollout) in own], rollouts)
    return {key: value.tolist() for key, value in told._asdict().items()}


def count(labels: list[Labels], rollouts: list[Rollout]) -> Told:
    """Sums per task of labels against the truth about their steps."""
    groups = {g: i for i, g in enumerate(dict.fromkeys(r.group for r in rollouts))}
    truth = {(r.group, r.rollout): sources.truth(r) for r in rollouts}
    sums = np.zeros((len(Told._fields), len(groups)))
    for one in labels:
        right, first = truth[one.group, one.rollout]
        g = groups[one.group]
        kept = one.facts.get("kept", True) is not False
        said = one.label[: len(right)] >= 0.5
        judged = ~np.isnan(one.label[: len(right)]) & kept
        actual = right[: said.size]
        hit = kept and one.first_error is not None and one.first_error == first
        calls = sum(n for kind, n in one.spent.items() if kind in ("sample", "judge", "tool"))
        wrong = judged & ~said
        sums[:, g] += (
            judged.sum(),
            (judged & (said == actual)).sum(),
            1,
            hit,
            calls,
            kept,
            wrong.sum(),
            (wrong & ~actual).sum(),
            (~actual).sum(),
        )
    return Told(*sums)


def chain_cell(length: int, finder: str, count: int, seed: int) -> dict[str, Any]:
    """Whether the error of each chain was found, and with how many completions."""
    chains = Chains(length, SKILL, count, seed)
    models = {"sampler": chains.sampler, "verifier": chains.verifier}
    name, options = sources.finder(finder, CHAIN_K)
    made = [one for _, unit in label(chains.rollouts(), name, models, **options) for one in unit]
    found = {int(one.rollout): one for one in made}
    hit = [found[i].first_error == e for i, e in enumerate(chains.first_error.tolist())]
    return {"hit": [float(h) for h in hit], "calls": [found[i].spent["sample"] for i in range(count)]}


def result(settings: Settings, values: Mapping[str, Any]) -> Result:
    """Rows, tables, a plot of accuracy against calls."""
    rows = _game24_rows(settings, {k: v for k, v in values.items() if k.startswith("game24/")})
    chains = _chain_rows(settings, {k: v for k, v in values.items() if k.startswith("chains/")})
    return Result(rows + chains, [_game24_table(settings, rows), _chain_table(settings, chains)], _plots(rows))


def _game24_rows(settings: Settings, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    weight: Floats | None = None
    for key, value in values.items():
        _, name, k = key.split("/")
        told = Told(**{n: np.array(v, float) for n, v in value.items()})
        weight = weights(told.steps.size, DRAWS, settings.seed) if weight is None else weight
        row: dict[str, Any] = {"part": "game24", "source": name, "k": int(k) or None}
        for score, over, under in (
            ("steps", told.steps_right, told.steps),
            ("first_error", told.first_right, told.kept),
            ("precision_wrong", told.rightly_wrong, told.called_wrong),
            ("kept", told.kept, told.solutions),
            ("calls", told.calls, told.solutions),
        ):
            at = _ratio(weight @ over, weight @ under)
            row |= {score: float(at[0]), f"{score}_interval": interval(at[1:])}
        rows.append(row)
    if values:
        rows += _constants(settings)
    return rows


def _constants(settings: Settings) -> list[dict[str, Any]]:
    """Labels that looked at nothing, or at the outcome alone."""
    rollouts = sources.solutions(settings.data, settings.puzzles, settings.rollouts, settings.seed)
    rows = []
    for name, say in sources.CONSTANTS.items():
        told = count([say(r) for r in rollouts], rollouts)
        row = {"part": "game24", "source": name, "k": None, "kept": 1.0, "calls": 0.0, "precision_wrong": None}
        row |= {"steps": float(told.steps_right.sum() / told.steps.sum())}
        row |= {"first_error": float(told.first_right.sum() / told.solutions.sum())}
        if told.called_wrong.sum():
            row["precision_wrong"] = float(told.rightly_wrong.sum() / told.called_wrong.sum())
        rows.append(row)
    return rows


def _chain_rows(settings: Settings, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for key, value in values.items():
        _, length, finder = key.split("/")
        hit, calls = np.array(value["hit"]), np.array(value["calls"], float)
        weight = weights(hit.size, DRAWS, settings.seed)
        n = weight.sum(1)
        plain = values.get(f"chains/{length}/math_shepherd")
        found, spent = weight @ hit / n, weight @ calls / n
        row = {"part": "chains", "source": finder, "length": int(length), "k": CHAIN_K, "first_error": float(found[0])}
        row |= {
            "first_error_interval": interval(found[1:]),
            "calls": float(spent[0]),
            "calls_interval": interval(spent[1:]),
        }
        if plain is not None:
            share = spent / (weight @ np.array(plain["calls"], float) / n)
            row |= {"of_every_step": float(share[0]), "of_every_step_interval": interval(share[1:])}
        rows.append(row)
    return rows


def _game24_table(settings: Settings, rows: list[dict[str, Any]]) -> Table:
    columns = ("source", "k", "calls", "steps", "90%", "first error", "90%", "wrong: precision", "90%", "kept")
    shown = [
        [
            r["source"],
            r["k"],
            r["calls"],
            r["steps"],
            _between(r, "steps"),
            r["first_error"],
            _between(r, "first_error"),
            r["precision_wrong"],
            _between(r, "precision_wrong"),
            r["kept"],
        ]
        for r in rows
    ]
    note = (
        f"{settings.puzzles} puzzles, {settings.rollouts} solutions each, by a tabular policy "
        f"{'fitted to the lines of the data' if settings.data else 'that is our default'}; {DRAWS} bootstrap draws "
        "over puzzles. calls: per solution. first error: among the solutions kept. wrong: precision, of the steps "
        "called wrong those that are. Sources in (brackets) looked at nothing, or at the outcome alone."
    )
    return Table("Labels of steps, Game of 24", columns, shown, note)


def _chain_table(settings: Settings, rows: list[dict[str, Any]]) -> Table:
    columns = ("steps", "source", "k", "first error", "90%", "calls", "of every-step", "90%")
    shown = [
        [
            r["length"],
            r["source"],
            r["k"],
            r["first_error"],
            _between(r, "first_error"),
            r["calls"],
            r.get("of_every_step"),
            _between(r, "of_every_step"),
        ]
        for r in rows
    ]
    note = (
        f"{settings.chains} chains of each length with one wrong step; each step still to be written succeeds with "
        f"chance {SKILL}. of every-step: calls as a share of those that complete every prefix."
    )
    return Table("Finding the first error of a chain", columns, shown, note)


def _plots(rows: list[dict[str, Any]]) -> list[Plot]:
    lines = []
    for name in dict.fromkeys(r["source"] for r in rows if r["k"]):
        mine = [r for r in rows if r["source"] == name]
        low, high = zip(*(r["first_error_interval"] for r in mine), strict=True)
        lines.append(Line(name, [r["calls"] for r in mine], [r["first_error"] for r in mine], low, high))
    title = "Which step is the first error? Game of 24"
    return [Plot("labels-game24", title, "calls per solution", "share named exactly", lines)] if lines else []


def _between(row: Mapping[str, Any], score: str) -> str:
    at = row.get(f"{score}_interval")
    return "–" if at is None or at[0] != at[0] else f"[{at[0]:.2f}, {at[1]:.2f}]"


def _ratio(x: Floats, of: Floats) -> Floats:
    out: Floats = np.divide(x, of, out=np.full(np.shape(x), np.nan), where=of > 0)
    return out
