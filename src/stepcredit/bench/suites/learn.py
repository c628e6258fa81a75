"""Does step credit make an agent learn from fewer rollouts? Credit methods in one training loop, from equal starts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np

from stepcredit.bench.entries import ours
from stepcredit.bench.learning import Curve, TablePolicy, Tasks, compact, learn, result_of, warm
from stepcredit.bench.suite import Cell, Line, Plot, Result, Table
from stepcredit.bench.suites._collapse import collapse, collapse_table
from stepcredit.bench.suites._learned import Learned, learned, told
from stepcredit.envs import text
from stepcredit.errors import UnknownName

QUICK: dict[str, Any] = {"seeds": 2, "rollouts": 1600, "rates": (10.0,)}
METHODS = ("grpo", "rloo", "ppo", "gigpo", "hgpo", "salt", "stepcredit_graph", "capo", "oracle")
MODEL_METHODS = ("grpo", "gigpo", "stepcredit_graph", "capo")
PLAIN = ("grpo", "rloo", "ppo")  # they see the outcome alone
TASKS, N, START = 8, 8, 0.1
MODEL_TASKS, MODEL_RATE = 16, 3e-4


class Place(NamedTuple):
    """A world and its options. told: methods see which steps were taken in the same state."""

    world: str
    options: Mapping[str, Any]
    about: str
    told: bool = True


TABLES = {
    "rooms": Place("key_door_rooms", {"size": 3}, "two rooms, a key, a door; states repeat"),
    "lake": Place(
        "frozen_lake", {"size": 5, "slip": 0.2, "horizon": 30, "holes": 0.25}, "slippery ice; states repeat, luck"
    ),
    "household": Place("mini_household", {"places": 3, "things": 1}, "find, heat or clean, put; states repeat"),
    "chain": Place("chain_arithmetic", {}, "four calculations, each of which can spoil the result"),
    "rooms, states not told": Place("key_door_rooms", {"size": 3}, "the same rooms, no two states comparable", False),
}
# imitate: steps of the warm start; wrong: share of wrong demonstrations.
MODELS = {
    "rooms": (TABLES["rooms"], {"imitate": 350, "wrong": 0.3}),
    "lake": (TABLES["lake"], {"imitate": 100, "wrong": 0.6}),
}


@dataclass(frozen=True)
class Settings:
    """model: the small transformer instead of tables. seeds: runs of each method. rollouts: a run of a table spends so
    many; seconds: a run of the transformer takes so many of the processor. rates: learning rates to choose from, each
    method the one with which it does best on `tuning` other seeds. worlds: only these."""

    model: bool = False
    seeds: int = 5
    rollouts: int = 3200
    seconds: float = 150.0
    rates: tuple[float, ...] = (3.0, 10.0, 30.0)
    tuning: int = 2
    methods: tuple[str, ...] = ()
    worlds: tuple[str, ...] = ()
    seed: int = 0


def cells(settings: Settings) -> list[Cell]:
    """Tables: one cell per world and method. Transformer: one per world, seed and method, those of a seed together."""
    names = settings.methods or (MODEL_METHODS if settings.model else METHODS)
    places = settings.worlds or tuple(MODELS if settings.model else TABLES)
    for place in places:
        if place not in (MODELS if settings.model else TABLES):
            raise UnknownName("world of this suite", place, MODELS if settings.model else TABLES)
    if settings.model:
        return [
            Cell(f"{place} | {name} | {seed}", partial(run_model, place, name, seed, settings.seconds))
            for place in places
            for seed in range(settings.seed, settings.seed + settings.seeds)
            for name in names
        ]
    more = (settings.seeds, settings.rollouts, settings.rates, settings.tuning, settings.seed)
    made = [Cell(f"{p} | {name}", partial(run_tables, p, name, *more)) for p in places for name in names]
    return [*made, Cell("collapse", partial(collapse, settings.seed))]


def run_tables(
    place: str, method: str, seeds: int, rollouts: int, rates: Sequence[float], tuning: int, seed: int
) -> dict[str, Any]:
    """The curves of one method in one world, at the rate with the most success per rollout on other seeds."""
    where = TABLES[place]
    world = text.get(where.world)(**where.options)
    tasks = Tasks(place, [compact(world.table(i)) for i in range(TASKS)], where.told)

    def run(rate: float, number: int) -> Curve:
        policy = TablePolicy(tasks, rate, warm(tasks, START, number))
        return learn(tasks, policy, method, n=N, seed=number, rollouts=rollouts)

    mean = {
        rate: float(np.mean([np.mean(run(rate, 10_000 + seed + k).success) for k in range(tuning)])) for rate in rates
    }
    rate = max(rates, key=lambda r: mean[r])
    return {"rate": rate, "runs": [result_of(run(rate, seed + k)) for k in range(seeds)]}


def run_model(place: str, method: str, seed: int, seconds: float) -> dict[str, Any]:
    """One run of the transformer."""
    tasks, _ = _read(place)
    policy = _policy(place, seed, MODEL_RATE)
    policy.model.load_state_dict(_imitated(place, seed))
    curve = learn(tasks, policy, method, n=N, seed=seed, rollouts=10**9, seconds=seconds)
    return {"rate": MODEL_RATE, "parameters": policy.model.num_parameters(), "runs": [result_of(curve)]}


@lru_cache(maxsize=1)
def _read(place: str) -> tuple[Tasks, Any]:
    from stepcredit.bench.learning_model import Texts

    where = MODELS[place][0]
    texts = Texts(text.get(where.world)(**where.options), range(MODEL_TASKS))
    return Tasks(place, texts.tables, where.told), texts


def _policy(place: str, seed: int, rate: float) -> Any:
    from stepcredit.bench.learning_model import ModelPolicy

    tasks, texts = _read(place)
    return ModelPolicy(tasks, texts, seed=seed, rate=rate)


@lru_cache(maxsize=1)
def _imitated(place: str, seed: int) -> Any:
    """Weights after the warm start, from which every method begins."""
    plan = MODELS[place][1]
    policy = _policy(place, seed, 1e-3)
    policy.imitate(int(plan["imitate"]), seed, wrong=plan["wrong"])
    return {name: value.clone() for name, value in policy.model.state_dict().items()}


def result(settings: Settings, values: dict[str, Any]) -> Result:
    """A row per world and method, tables per world, curves."""
    values = dict(values)
    fallen = values.pop("collapse", None)
    found: dict[str, dict[str, list[Any]]] = {}
    rates: dict[tuple[str, str], float] = {}
    for key, one in values.items():
        place, method = key.split(" | ")[:2]
        found.setdefault(place, {}).setdefault(method, []).extend(one["runs"])
        rates[place, method] = one["rate"]
    rows, tables, plots = [], [], []
    kind = "model" if settings.model else "tables"
    for place, runs in found.items():
        told_of = learned(runs, smooth=5 if settings.model else 1, oracle="oracle")
        rows += [
            {"policy": kind, "world": place, "method": m, "rate": rates[place, m], **one.row()}
            for m, one in told_of.items()
        ]
        tables.append(_table(place, told_of, {m: rates[place, m] for m in told_of}, settings.model))
        plots.append(_plot(place, told_of, kind))
    more: dict[str, Any] = {}
    if fallen is not None:
        tables.append(collapse_table(fallen))
        more["collapse"] = fallen
    return Result(rows, tables, plots, more)


def _table(place: str, found: Mapping[str, Learned], rates: Mapping[str, float], model: bool) -> Table:
    where = (MODELS[place][0] if model else TABLES[place]).about
    columns = [
        "method",
        "rate",
        "success at the start",
        "in the middle",
        "at the end",
        "rollouts to 80% of the best",
        "share of grpo's rollouts to its end",
        *(("seconds to 80% of the best", "share of time in credit") if model else ()),
    ]
    lines = []
    for name, one in found.items():
        line = [name, f"{rates[name]:g}", told(one.start), told(one.middle), told(one.end)]
        line += [told(one.to_most, digits=0), told(one.share)]
        lines.append([*line, *((told(one.seconds, digits=0), f"{one.credit:.2%}") if model else ())])
    policy = "a small transformer" if model else "a table per state"
    note = (
        "Means with 90% intervals over seeds (bootstrap of whole runs, the same seeds for every method). best: the "
        "highest end of a method that is not given the truth. –: not reached. oracle: the exact advantage, an upper "
        "bound. capo: with a stand-in for a judge that is wrong once in five times."
    )
    return Table(f"{place} ({where}); policy: {policy}", columns, lines, note)


def _plot(place: str, found: Mapping[str, Learned], kind: str) -> Plot:
    lines = []
    for name, one in found.items():
        band = (one.low, one.high) if ours(name) or name in ("grpo", "oracle") else (None, None)
        lines.append(Line(name, one.x, one.mean, *band))
    name = f"learn_{kind}_{place.split(',')[0]}{'_untold' if ',' in place else ''}"
    return Plot(name, f"{place}: success by rollouts", "rollouts", "success", lines, log_x=False)
