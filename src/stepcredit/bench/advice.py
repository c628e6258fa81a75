"""Which method fits such rollouts: the most similar settings measured, and what each method reached there."""

import json
import math
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

from stepcredit.bench.profile import Profile
from stepcredit.errors import StepCreditError

NEAREST = 3
FAR = 1.0  # a difference from which on no setting can be called similar
FILE = "measured.json"  # beside this module; written by `stepcredit bench leaderboard --measured`


class Setting(NamedTuple):
    """A setting that was measured: what its rollouts look like, and method -> (rho, same)."""

    name: str
    profile: Profile
    reached: Mapping[str, tuple[float, float]]


class Expected(NamedTuple):
    """What a method reached in the nearest settings: rank correlation with the exact advantage inside a prompt, mean,
    least and most over them; and the mean of `same`."""

    method: str
    rho: float
    least: float
    most: float
    same: float


@cache
def measured() -> tuple[Setting, ...]:
    """The settings shipped with the package."""
    rows = json.loads(resources.files("stepcredit.bench").joinpath(FILE).read_text("utf-8"))["settings"]
    return tuple(
        Setting(
            one["name"],
            Profile(**{name: _number(x) for name, x in one["profile"].items()}),
            {method: tuple(map(_number, x)) for method, x in one["reached"].items()},
        )
        for one in rows
    )


def scores(method: str) -> dict[str, str]:
    """What a method reached where the truth is known (8 rollouts a task), in words by title; {} if never measured."""
    told = json.loads(resources.files("stepcredit.bench").joinpath(FILE).read_text("utf-8")).get("scores", {})
    one = told.get(method, {})
    out = {
        title: f"{one[name]:.2f} (0.5 is chance)"
        for name, title in (
            ("real same", "Ranks the better of two steps in one state first, GPT-4's Game of 24"),
            ("simulated same", "The same, simulated Game of 24"),
        )
        if name in one
    }
    if "worlds r" in one:
        among = "given the same evidence" if "given" in one else "without evidence"
        place = f"median place {one['worlds rank']:g} of {one['of']:g} credits {among}"
        out["Correlation with the exact advantage, mean of the worlds"] = f"{one['worlds r']:.2f}, {place}"
    return out


def nearest(mine: Profile, settings: Iterable[Setting], count: int = NEAREST) -> list[tuple[float, Setting]]:
    """The settings that differ least, with the differences.

        |log2 of rollouts| / 2 + |log2 of steps| / 2 + 3 |met| + 3 |chosen| + |back| + |success|

    Shares are differences of shares; a share that is not known counts as 0 (no state comes back), success as 0.5.
    """
    with_distance = [(_distance(mine, one.profile), one) for one in settings]
    if not with_distance:
        raise StepCreditError("no measured settings to compare with")
    return sorted(with_distance, key=lambda pair: pair[0])[:count]


def expected(settings: Iterable[Setting], methods: Iterable[str]) -> list[Expected]:
    """What the methods reached on average over the settings, best first, without those that were not measured."""
    some = list(settings)
    out = []
    for method in methods:
        if all(method in one.reached for one in some):
            rho, same = zip(*(one.reached[method] for one in some), strict=True)
            out.append(Expected(method, _mean(rho), min(rho), max(rho), _mean(same)))
    return sorted(out, key=lambda one: -one.rho if one.rho == one.rho else math.inf)


def _distance(a: Profile, b: Profile) -> float:
    logs = abs(_log(a.rollouts) - _log(b.rollouts)) + abs(_log(a.steps) - _log(b.steps))
    shares = 3 * abs(_share(a.met) - _share(b.met)) + 3 * abs(_share(a.chosen) - _share(b.chosen))
    return (
        logs / 2 + shares + abs(_share(a.back) - _share(b.back)) + abs(_share(a.success, 0.5) - _share(b.success, 0.5))
    )


def _log(x: float) -> float:
    return math.log2(x) if x > 0 else 0.0


def _share(x: float, missing: float = 0.0) -> float:
    return missing if math.isnan(x) else x


def _mean(column: Iterable[float]) -> float:
    known = [x for x in column if not math.isnan(x)]
    return sum(known) / len(known) if known else math.nan


def _number(x: Any) -> Any:
    return math.nan if x is None else x
