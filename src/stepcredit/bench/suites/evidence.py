"""Methods that ask for evidence, where the truth is known: all are given the same evidence of known quality.

The worlds of `mdp` and the simulated Game of 24, with columns of `_evidence.equip`. The evidence by itself stands
beside them: Monte Carlo differences, the judges' share; and methods that ask for none.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from zlib import crc32

import numpy as np

from stepcredit.bench import entries as who
from stepcredit.bench import paired
from stepcredit.bench.entries import applicable_here, entries, judge
from stepcredit.bench.suite import Cell, Result, Table
from stepcredit.bench.suites import _evidence, _exact, _game24_worlds, _mdp_report
from stepcredit.bench.suites import _game24_scores as score
from stepcredit.bench.suites._references import Judged
from stepcredit.bench.suites._worlds import SETTINGS
from stepcredit.bench.suites.mdp import figures
from stepcredit.credit import get, names
from stepcredit.data.batch import Batch
from stepcredit.envs.game24 import Policy
from stepcredit.envs.tabular import sample
from stepcredit.errors import StepCreditError

QUICK: dict[str, Any] = {"worlds": 16, "draws": 3, "puzzles": 100, "samplings": 2}
BESIDE = ("grpo", "q_minus_v")
DIFFERENCE, SHARE = f"evidence: Monte Carlo, K={_evidence.K}", f"evidence: {_evidence.CRITICS} judges"
OWN = (DIFFERENCE, SHARE)


@dataclass(frozen=True)
class Settings:
    """n: rollouts per task. worlds, draws: as in `mdp`. puzzles, samplings: of the simulated Game of 24. methods:
    names; none: all that ask for evidence."""

    n: int = 8
    worlds: int = 40
    draws: int = 5
    puzzles: int = 300
    samplings: int = 5
    seed: int = 0
    methods: tuple[str, ...] = ()


def cells(settings: Settings) -> list[Cell]:
    """One per kind of world, one per sampling of the game."""
    bare = sample([SETTINGS["5 det"](0), SETTINGS["5 det"](1)], 2, 0)
    full = _evidence.equip(bare, np.random.default_rng(0))
    chosen = entries(full, settings.methods) if settings.methods else _asking(bare, full)
    all_ = (*chosen, *(b for b in BESIDE if b not in chosen))
    more = (settings.n, settings.worlds, settings.draws, settings.seed)
    out = [Cell(f"world {name}", partial(measure_world, name, all_, *more)) for name in SETTINGS]
    game = partial(measure_game, all_, settings.n, settings.puzzles, seed=settings.seed)
    return [*out, *(Cell(f"game24 {k}", partial(game, number=k)) for k in range(settings.samplings))]


def _asking(bare: Batch, full: Batch) -> list[str]:
    """Methods that run with the evidence and not without it."""
    able = [n for n in names() if applicable_here(get(n), full) is None]
    return [n for n in able if applicable_here(get(n), bare) is not None]


def measure_world(setting: str, chosen: tuple[str, ...], n: int, worlds: int, draws: int, seed: int) -> dict[str, Any]:
    """Figures of each name per world, as in `mdp`."""
    made = [SETTINGS[setting](1000 * seed + i) for i in range(worlds)]
    drawn = _exact.draw(made, n, [1000 * seed + k for k in range(draws)])
    batches = [
        _evidence.equip(b, np.random.default_rng([seed, k, crc32(setting.encode())]))
        for k, b in enumerate(drawn.batches)
    ]
    squares, gradients = np.array([_exact.square(w) for w in made]), [_exact.gradient(w) for w in made]
    out: dict[str, Any] = {}
    for name in (*chosen, *OWN):
        try:
            credit = np.concatenate([_credit(name, batch) for batch in batches])
        except StepCreditError as error:  # its failure is a row, the others go on
            out[name] = {"error": error.message}
            continue
        found = figures(made, drawn, Judged(credit, None, float(n)), squares, gradients)
        out[name] = {
            "calls": float(n),
            "unjudged": float(np.mean(np.isnan(credit))),
            **{figure: [float(f"{x:.7g}") for x in values.tolist()] for figure, values in found.items()},
        }
    return out


def measure_game(chosen: tuple[str, ...], n: int, puzzles: int, *, number: int, seed: int) -> dict[str, Any]:
    """Sums of each name's figures over the puzzles, as in `game24`."""
    policy = Policy(seed=1000 * seed + number)
    batch = _game24_worlds.simulated(_game24_worlds.fresh_puzzles(puzzles, seed), n, policy, policy.seed)
    batch = _evidence.equip(batch, np.random.default_rng([seed, number, n]))
    decision, good = batch["truth.decision"] > 0, batch["truth.good"] > 0
    one = score.Sample(batch, decision, good, batch["state"], batch["truth.advantage"], exact=True)
    weight = paired.weights(batch.layout.G, 200, seed)
    made, failed = {}, {}
    for name in (*chosen, *OWN):
        try:
            made[name] = who.Judged(_credit(name, batch))
        except StepCreditError as error:
            failed[name] = error.message
    values = {**score.scores(one, made, weight), **score.baselines(one, weight, [seed, n, number])}
    return {"tally": score.tally([values]), "failed": failed}


def _credit(name: str, batch: Batch) -> Any:
    if name == DIFFERENCE:
        return batch["next_value"] - batch["value"]
    if name == SHARE:
        return batch["score"]
    return judge(name, batch).credit


def result(settings: Settings, values: Mapping[str, Any]) -> Result:
    """A row per kind of world and method, one per method of the game; a table of both."""
    found = _mdp_report.told({(name, settings.n): values[f"world {name}"] for name in SETTINGS})
    rows, means = _mdp_report.rows(found), _mdp_report.means(found)
    games = [values[f"game24 {k}"] for k in range(settings.samplings)]
    game = score.means(g["tally"] for g in games)
    told = [{"suite": "game24", "method": name, "n": settings.n, **_game_row(one)} for name, one in game.items()]
    by_name = {row["method"]: row for row in told}
    lines = []
    for row in sorted(means, key=lambda r: -_finite(r.get("pearson"))):
        own = by_name.get(row["method"], {})
        first = [_cell(row.get(f)) for f in ("pearson", "spearman", "same", "mse", "cosine")]
        second = [_cell(own.get(f)) for f in ("same_mixed", "rho_mixed", "mse_mixed")]
        lines.append([row["method"], *first, *second, _share(row.get("unjudged"))])
    for name in score.BASELINES:
        own = by_name.get(name, {})
        beside = [_cell(own.get(f)) for f in ("same_mixed", "rho_mixed", "mse_mixed")]
        lines.append([name, *["–"] * 5, *beside, "–"])
    failed = {(n, text) for g in games for n, text in g["failed"].items()}
    failed |= {(n, one["error"]) for cell in found.values() for n, one in cell.items() if "error" in one}
    columns = ("credit", "worlds: r", "rho", "same", "error", "cosine", "game24: same", "rho", "error", "not judged")
    tables = [Table(f"Methods given the same evidence, N={settings.n}", columns, lines, _evidence.ABOUT)]
    if failed:
        tables.append(Table("Failed", ("method", "error"), [list(pair) for pair in sorted(failed)]))
    return Result([*rows, *told], tables, more={"means": means})


def _game_row(one: Mapping[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for figure in ("same_mixed", "rho_mixed", "mse_mixed"):
        if figure in one:
            x = one[figure]
            low, high = np.nanquantile(x[1:], (0.05, 0.95)) if x.size > 1 and not np.isnan(x).all() else (np.nan,) * 2
            out |= {figure: float(x[0]), f"{figure}_interval": [float(low), float(high)]}
    return out


def _finite(x: float | None) -> float:
    return -2.0 if x is None or x != x else x


def _cell(x: float | None) -> str:
    return "–" if x is None or x != x else f"{x:.2f}"


def _share(x: float | None) -> str:
    return "–" if x is None else f"{x:.0%}"
