"""What curves of several seeds say, with intervals: whole runs are drawn again, the same seeds for every method."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from stepcredit.data.layout import Floats

DRAWS, LEVEL, MOST, END = 1000, 0.9, 0.8, 0.1
BASE = "grpo"


class Figure(NamedTuple):
    """A number with its interval; infinite where it was not reached."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Learned:
    """One method in one world.

    start, middle, end: success at the first update, half-way, over the last tenth. to_most: rollouts until success is
    80% of the best end. seconds: of the processor until then. share: rollouts until success is `grpo`'s end, over all
    that grpo spent. credit: share of the time. x, mean, low, high: the curve.
    """

    start: Figure
    middle: Figure
    end: Figure
    to_most: Figure
    seconds: Figure
    share: Figure
    credit: float
    x: Sequence[float]
    mean: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]

    def row(self) -> dict[str, Any]:
        """For machines; None: not reached."""
        out: dict[str, Any] = {"time_in_credit": self.credit}
        for name in ("start", "middle", "end", "to_most", "seconds", "share"):
            figure: Figure = getattr(self, name)
            numbers = [x if np.isfinite(x) else None for x in figure]
            out |= {name: numbers[0], f"{name}_interval": numbers[1:]}
        return out


def learned(runs: Mapping[str, Sequence[Mapping[str, Any]]], *, smooth: int, oracle: str) -> dict[str, Learned]:
    """What the runs of each method say; run k of every method began alike.

    Args:
        smooth: updates that a point of a curve is the mean of.
    """
    seeds = min(map(len, runs.values()))
    drawn = np.random.default_rng(0).integers(0, seeds, (DRAWS, seeds))
    drawn[0] = np.arange(seeds)
    curves = {name: _curves(some[:seeds], smooth) for name, some in runs.items()}
    means = {name: success[drawn].mean(1) for name, (_, success, _) in curves.items()}  # [DRAWS, points]
    ends = {name: _end(mean) for name, mean in means.items()}
    best = np.max([end for name, end in ends.items() if name != oracle] or list(ends.values()), axis=0)
    out = {}
    for name, (x, _, seconds) in curves.items():
        mean = means[name]
        clock = seconds[drawn].mean(1)
        share = np.full(DRAWS, np.nan)
        if BASE in ends:
            share = _first(x, mean, ends[BASE]) / curves[BASE][0][-1]
        reached = _first(np.arange(x.size, dtype=float), mean, MOST * best)
        at = np.where(np.isfinite(reached), reached, 0).astype(int)
        spent = np.where(np.isfinite(reached), clock[np.arange(DRAWS), at], np.inf)
        band = np.quantile(mean, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
        out[name] = Learned(
            start=_figure(mean[:, 0]),
            middle=_figure(mean[:, mean.shape[1] // 2]),
            end=_figure(ends[name]),
            to_most=_figure(_first(x, mean, MOST * best)),
            seconds=_figure(spent),
            share=_figure(share),
            credit=float(
                np.mean([one["credit_seconds"] / max(one["seconds"][-1], 1e-9) for one in runs[name][:seeds]])
            ),
            x=x.tolist(),
            mean=mean[0].tolist(),
            low=band[0].tolist(),
            high=band[1].tolist(),
        )
    return out


def told(figure: Figure, digits: int = 2) -> str:
    """`value [low, high]`; – where it was not reached."""

    def one(x: float) -> str:
        return "–" if not np.isfinite(x) else f"{x:,.{digits}f}"

    return f"{one(figure.value)} [{one(figure.low)}, {one(figure.high)}]"


def _curves(runs: Sequence[Mapping[str, Any]], smooth: int) -> tuple[Floats, Floats, Floats]:
    """[points] rollouts; [seeds, points] success and seconds, cut to the shortest run."""
    points = min(len(one["success"]) for one in runs)
    success = np.array([one["success"][:points] for one in runs])
    kernel = np.cumsum(success, 1)
    width = np.minimum(np.arange(1, points + 1), smooth)
    before = np.where(np.arange(points) >= smooth, np.roll(kernel, smooth, axis=1), 0.0)
    x = np.array(runs[0]["rollouts"][:points], float)
    return x, (kernel - before) / width, np.array([one["seconds"][:points] for one in runs])


def _end(mean: Floats) -> Floats:
    last = max(int(mean.shape[1] * END), 1)
    end: Floats = mean[:, -last:].mean(1)
    return end


def _first(x: Floats, mean: Floats, level: Floats) -> Floats:
    """[draws] the first x at which the curve is at the level; infinite: never."""
    there = mean >= level[:, None] - 1e-12
    return np.where(there.any(1), x[there.argmax(1)], np.inf)


def _figure(values: Floats) -> Figure:
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], method="nearest")
    return Figure(float(values[0]), float(low), float(high))
