"""Credit in worlds that can be enumerated: bias, variance, correlation, gradient and intervals against exact truth."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from zlib import crc32

import numpy as np

from stepcredit.bench.entries import QUALITY, entries, judge
from stepcredit.bench.suite import Cell, Result
from stepcredit.bench.suites import _exact, _figures, _mdp_report
from stepcredit.bench.suites._exact import Draws
from stepcredit.bench.suites._references import REFERENCES, Judged, references
from stepcredit.bench.suites._worlds import GROUPS, SETTINGS
from stepcredit.data.batch import Batch
from stepcredit.data.layout import Floats
from stepcredit.envs.tabular import World, sample
from stepcredit.errors import StepCreditError

QUICK: dict[str, Any] = {"n": (8, 32), "worlds": 16, "draws": 3}
TOLD = (8, 32)


@dataclass(frozen=True)
class Settings:
    """n: rollouts per world. worlds: of each setting; a batch holds them all, each is a prompt. draws: batches, over
    which bias and variance are taken. methods: names; none: all that can run."""

    n: tuple[int, ...] = (2, 4, 8, 16, 32, 64)
    worlds: int = 40
    seed: int = 0
    methods: tuple[str, ...] = ()
    draws: int = 10


def cells(settings: Settings) -> list[Cell]:
    """One cell per setting and number of rollouts."""
    out = []
    for name in SETTINGS:
        probe = sample(_worlds(name, 2, settings.seed), 2, settings.seed)
        names = (*entries(probe, settings.methods), *references(probe))
        more = (settings.worlds, settings.draws, settings.seed)
        out += [Cell(f"{name}, n={n}", partial(measure_one, name, n, names, *more)) for n in settings.n]
    return out


def measure_one(setting: str, n: int, names: Sequence[str], worlds: int, draws: int, seed: int) -> dict[str, Any]:
    """Figures of each name per world, `{name: {"calls": per prompt, figure: [worlds]}}`; where a method failed
    `{name: {"error": text}}`."""
    made = _worlds(setting, worlds, seed)
    drawn = _exact.draw(made, n, [1000 * seed + k for k in range(draws)])
    squares, gradients = np.array([_exact.square(w) for w in made]), [_exact.gradient(w) for w in made]
    out: dict[str, Any] = {}
    for name in names:
        try:
            judged = _judge(name, drawn, crc32(f"{setting} {n} {seed} {name}".encode()))
        except StepCreditError as error:  # its failure is a row, the others go on
            out[name] = {"error": error.message}
            continue
        found = figures(made, drawn, judged, squares, gradients)
        out[name] = {
            "calls": judged.calls,
            "unjudged": float(np.mean(np.isnan(judged.credit))),
            **{figure: [float(f"{x:.7g}") for x in values.tolist()] for figure, values in found.items()},
        }
    return out


def figures(
    worlds: Sequence[World], draws: Draws, judged: Judged, squares: Floats, gradients: Sequence[Floats]
) -> dict[str, Floats]:
    """Every figure, [W]: means over the draws in which it is defined; NaN where it never is."""
    credit, size = judged.credit, len(worlds)
    by_draw = {
        **_figures.correlations(draws, credit, size),
        "pooled": _figures.pooled(draws, credit, size),
        "cosine": _figures.cosine(worlds, draws, credit, gradients),
    }
    sure = {} if judged.sd is None else _figures.coverage(draws, credit, judged.sd, size)
    means = {name: _figures.over_draws(x) for name, x in by_draw.items()}
    return {**means, **_figures.errors(draws, credit, squares), **sure}


def _worlds(setting: str, count: int, seed: int) -> list[World]:
    return [SETTINGS[setting](1000 * seed + i) for i in range(count)]


def _judge(name: str, draws: Draws, seed: int) -> Judged:
    """Credit on all draws, one batch after another."""
    one = [_judge_batch(name, batch, np.random.default_rng([seed, k])) for k, batch in enumerate(draws.batches)]
    sd = None if any(j.sd is None for j in one) else np.concatenate([j.sd for j in one if j.sd is not None])
    return Judged(np.concatenate([j.credit for j in one]), sd, float(np.mean([j.calls for j in one])))


def _judge_batch(name: str, batch: Batch, random: np.random.Generator) -> Judged:
    if name in REFERENCES:
        return REFERENCES[name](batch, random)
    given = judge(name, batch)
    return Judged(given.credit, None if name.endswith(QUALITY) else given.sd, batch.layout.R / batch.layout.G)


def result(settings: Settings, values: dict[str, Any]) -> Result:
    """Rows per setting, number of rollouts and method; means over settings; our own methods against every other."""
    found = _mdp_report.told({(name, n): values[f"{name}, n={n}"] for n in settings.n for name in SETTINGS})
    told = [n for n in TOLD if n in settings.n] or [settings.n[-1]]
    groups = {title: tuple(group) for title, group in GROUPS.items()}
    more = {"means": _mdp_report.means(found), "paired": _mdp_report.paired(found)}
    return Result(_mdp_report.rows(found), _mdp_report.tables(found, told, groups), _mdp_report.plots(found), more)
