"""How right are step labels, and what do they cost? Game of 24 with a tabular model of known values, served over HTTP;
chains with one known error, where the search for it can be told from luck; GSM8K, whose arithmetic programs check.

Every source labels the same solutions. `steps`: share of the judged steps whose label is the truth (can 24 still be
reached after it?). `first error`: share of the solutions whose first wrong step it names exactly, "none" where there is
none. Both stand beside labels that looked at nothing. Judges are simulated: the truth with an error rate. Calls are
completions, questions and scores; a known outcome and a program cost none.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from stepcredit.bench.suite import Cell, Result, Table
from stepcredit.bench.suites import _label_claims as claims
from stepcredit.bench.suites import _label_gsm8k as gsm8k
from stepcredit.bench.suites import _label_report as report
from stepcredit.bench.suites import _label_sources as sources
from stepcredit.bench.suites._chains import Chains
from stepcredit.bench.suites._label_counts import SCORES, confusion, count, scores
from stepcredit.bench.suites._label_shelf import CANNOT, SOURCES, Source, chosen
from stepcredit.label import Labels, label

QUICK: dict[str, Any] = {"puzzles": 20, "rollouts": 4, "chains": 40, "k": (4, 16), "some": (8,), "gsm8k": 10}
CHAIN_K = 8
LENGTHS = (8, 16, 32)
KINDS: Mapping[str, Mapping[str, float]] = {
    "skill .97": {"skill": 0.97},
    "skill .9": {"skill": 0.9},
    "skill .97, repair .05": {"skill": 0.97, "repair": 0.05},
}
FINDERS = ("math_shepherd", "math_shepherd@first-zero", "omegaprm", "omegaprm@careful")


@dataclass(frozen=True)
class Settings:
    """data: folder with game24/, whose lines the model is fitted to, and gsm8k/; None: the default policy. puzzles,
    rollouts: of Game of 24. k: completions a prefix, of Monte Carlo and searches; some: of the others. chains:
    solutions of each length. methods: only these label systems. http: sampler and judge are asked over HTTP. gsm8k:
    every how manieth problem; 0 = none."""

    data: str | None = None
    puzzles: int = 150
    rollouts: int = 8
    k: tuple[int, ...] = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64)
    some: tuple[int, ...] = (8, 32)
    chains: int = 600
    methods: tuple[str, ...] = ()
    http: bool = True
    gsm8k: int = 1
    seed: int = 0


def cells(settings: Settings) -> list[Cell]:
    """One cell a world, source and number of completions; one a kind and length of chain and way to search it."""
    told = Settings(**{**vars(settings), "k": (), "some": ()})
    out = []
    for world in sources.WORLDS:
        for s in chosen(settings.methods):
            for k in _numbers(settings, s):
                make = partial(game24_cell, told, world, s.name, k)
                out.append(Cell(f"game24/{world}/{s.name}/{k}", make))
    names = {name.partition("@")[0] for name in settings.methods}
    for kind in KINDS:
        for t in LENGTHS:
            for f in FINDERS:
                if not names or f.partition("@")[0] in names:
                    make = partial(chain_cell, kind, t, f, settings.chains, settings.seed)
                    out.append(Cell(f"chains/{kind}/{t}/{f}", make))
    if settings.gsm8k and gsm8k.file(settings.data) and (not names or "tool_checks" in names):
        out.append(Cell("gsm8k", partial(gsm8k.gsm8k_cell, str(settings.data), settings.gsm8k)))
    return out


def _numbers(settings: Settings, source: Source) -> tuple[int, ...]:
    if not source.samples:
        return (0,)
    return tuple(sorted({*settings.k, *settings.some})) if source.at == "curve" else settings.some


def game24_cell(settings: Settings, world: str, name: str, k: int) -> dict[str, Any]:
    """What one source says of all solutions: sums per puzzle, and by the true first error what it names."""
    rollouts = sources.solutions(settings.data, world, settings.puzzles, settings.rollouts, settings.seed)
    made = labels_of(settings, world, next(s for s in SOURCES if s.name == name), k)
    told = count(made, rollouts)
    return {"sums": {n: v.tolist() for n, v in told._asdict().items()}, "noise": confusion(made, rollouts)}


def labels_of(settings: Settings, world: str, source: Source, k: int) -> list[Labels]:
    """All labels that a source makes of a world's solutions, and of those that it drew itself."""
    rollouts = sources.solutions(settings.data, world, settings.puzzles, settings.rollouts, settings.seed)
    given = map(sources.sums_alone, rollouts) if source.sums else rollouts
    options = {**source.options, **({source.samples: k} if source.samples else {})}
    with ExitStack() as stack:
        tabular = sources.model(settings.data, world, settings.seed)
        models = sources.models(tabular, settings.seed, stack if settings.http else None, source.slip)
        units = label(
            given,
            source.system,
            models,
            reference=sources.reference(source),
            setting=sources.SETTING,
            **options,
        )
        return [one for _, unit in units for one in unit]


def chain_cell(kind: str, length: int, finder: str, count: int, seed: int, k: int = CHAIN_K) -> dict[str, Any]:
    """Whether the error of each chain was found, missed to which side, and with how many completions."""
    chains = Chains(length, count=count, seed=seed, **KINDS[kind])
    models = {"sampler": chains.sampler, "verifier": chains.verifier}
    found = {int(one.rollout): one for _, unit in label(chains.rollouts(), finder, models, n=k) for one in unit}
    out: dict[str, Any] = {name: [] for name in ("hit", "under", "over", "unknown", "calls")}
    for i, e in enumerate(chains.first_error.tolist()):
        said = found[i].first_error
        out["hit"].append(float(said == e))
        out["under"].append(float(said is not None and 0 <= said < e))
        out["over"].append(float(said is not None and (said > e or said < 0)))
        out["unknown"].append(float(said is None))
        out["calls"].append(found[i].spent.get("sample", 0))
    return out


def result(settings: Settings, values: Mapping[str, Any]) -> Result:
    """Rows, tables, plots of accuracy against calls."""
    game24, chained = ({key: v for key, v in values.items() if key.startswith(part)} for part in ("game24/", "chains/"))
    drawn = report.drawn(game24, settings.seed)
    rows = report.rows(drawn) + (_constants(settings) if game24 else [])
    beside = report.equal_cost(drawn)
    chains = report.chain_rows(chained, CHAIN_K, settings.seed)
    checks = gsm8k.rows(values["gsm8k"], report.DRAWS, settings.seed) if "gsm8k" in values else []
    said = claims.rows(drawn, beside, chains, checks)
    tables = [report.table(rows, world, _note(settings, world)) for world in sources.WORLDS] if game24 else []
    tables += [report.equal_cost_table(beside)] if beside else []
    tables += [report.noise_table(game24)] if game24 else []
    tables += [report.chain_table(chains, settings.chains)] if chains else []
    tables += [gsm8k.table(checks)] if checks else []
    tables += [claims.table(said), _cannot()]
    noise = report.noise_rows(game24)
    plots = [p for world in sources.WORLDS for p in report.plots(rows, world)]
    return Result(rows + beside + noise + chains + checks + said, tables, plots, {"cannot": dict(CANNOT)})


def _constants(settings: Settings) -> list[dict[str, Any]]:
    """Labels that looked at nothing, or at the outcome alone."""
    out = []
    for world in sources.WORLDS:
        rollouts = sources.solutions(settings.data, world, settings.puzzles, settings.rollouts, settings.seed)
        for name, say in sources.CONSTANTS.items():
            told = count([say(r) for r in rollouts], rollouts)
            found = scores(told, np.ones((1, settings.puzzles)))
            row: dict[str, Any] = {"part": "game24", "world": world, "source": name, "k": None}
            out.append(row | {s: None if np.isnan(found[s][0]) else float(found[s][0]) for s in SCORES})
    return out


def _note(settings: Settings, world: str) -> str:
    rollouts = sources.solutions(settings.data, world, settings.puzzles, settings.rollouts, settings.seed)
    solved = np.mean([r.outcome or 0.0 for r in rollouts])
    fitted = "fitted to GPT-4's lines" if settings.data else "that is our default"
    who = f"a tabular policy {fitted}" + ("" if world == "twin" else ", made more able")
    return (
        f"{settings.puzzles} puzzles, {settings.rollouts} solutions each by {who}, which solves {solved:.0%} and "
        f"completes prefixes itself. {report.DRAWS} bootstrap draws over puzzles. calls: completions, questions and "
        "scores per solution. first error: named exactly, of the solutions kept. named: of the solutions kept in which "
        "an error is named, those where that step is wrong, is the first wrong one. Judges are simulated: 10% of "
        "verdicts wrong at random (a poor judge: 40%), 5% always. Sources in (brackets) looked at nothing, or at the "
        "outcome alone."
    )


def _cannot() -> Table:
    return Table("Label systems that are not measured here", ("system", "why"), list(CANNOT.items()))
