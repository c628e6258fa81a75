"""The settings of the suite `mdp`: families of worlds with their options and policies."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any
from zlib import crc32

import numpy as np

from stepcredit.envs import worlds
from stepcredit.envs.tabular import World, mistakes, noisy_optimal


def _world(family: str, *then: Callable[[World], World], **options: Any) -> Callable[[int], World]:
    return partial(_make, family, then, options)


def _make(family: str, then: tuple[Callable[[World], World], ...], options: dict[str, Any], seed: int) -> World:
    world = worlds.get(family)(seed=seed, **options)
    for change in then:
        world = change(world)
    return world


def chancy(world: World) -> World:
    """The world won by chance: a last step that would win wins with chance (1 + u) / 2, one that would lose with u / 2,
    u even in 0..1 and drawn once per end. The end's label does not tell who won."""
    u = np.random.default_rng(crc32(world.name.encode())).random(len(world.labels))[world.next_state] / 2
    last = (world.chance > 0) & world.ends[world.next_state]
    wins = np.where(last, u + (world.reward > 0) / 2, 1.0)
    return replace(
        world,
        chance=np.concatenate((world.chance * wins, world.chance * (1 - wins)), -1),
        next_state=np.concatenate((world.next_state,) * 2, -1),
        reward=np.concatenate((np.where(last, 1.0, world.reward), np.zeros_like(world.reward)), -1),
    )


LAYERED: dict[str, Callable[[int], World]] = {
    "5 det": _world("layered", horizon=5),
    "10 sto": _world("layered", horizon=10, noise=0.3),
    "20 sto": _world("layered", horizon=20, noise=0.3),
    "30 det": _world("layered", horizon=30),
    "100 det": _world("layered", horizon=100),
    "100 sto": _world("layered", horizon=100, noise=0.1),
    "8 wide": _world("layered", horizon=8, width=100, reach=None),
    "8 wide sto": _world("layered", horizon=8, width=100, reach=None, noise=0.3),
    "10 bernoulli": _world("layered", chancy, horizon=10),
    "10 rare": _world("layered", horizon=10, width=8, wins=0.1),
    "10 noisy": _world("layered", partial(noisy_optimal, temperature=0.4), horizon=10, noise=0.3),
    "10 mistakes": _world("layered", partial(mistakes, epsilon=0.4), horizon=10, wins=0.2),
}

FAMILIES: dict[str, Callable[[int], World]] = {
    "key_door": _world("key_door"),
    "key_door slip": _world("key_door", slip=0.2),
    "all_of": _world("all_of", horizon=6, at=(1, 3, 5)),
    "any_of": _world("any_of"),
    "threshold": _world("threshold"),
    "aliased": _world("aliased"),
    "bandit": _world("bandit"),
    "dead_end": _world("dead_end"),
    "dead_end mistakes": _world("dead_end", partial(mistakes, epsilon=0.3)),
    "search": _world("search"),
    "handoff": _world("handoff"),
    "ring": _world("ring"),
    "stop": _world("stop"),
}

GOOD: dict[str, Callable[[int], World]] = {
    "5 det, good": _world("layered", partial(mistakes, epsilon=0.1), horizon=5),
    "20 det, good": _world("layered", partial(mistakes, epsilon=0.1), horizon=20),
    "10 sto, good": _world("layered", partial(mistakes, epsilon=0.1), horizon=10, noise=0.3),
    "dead_end, good": _world("dead_end", partial(mistakes, epsilon=0.1)),
    "all_of 10, good": _world("all_of", partial(mistakes, epsilon=0.1), horizon=10, at=(1, 3, 5, 7, 9)),
    "threshold, good": _world("threshold", partial(mistakes, epsilon=0.1)),
}

DENSE: dict[str, Callable[[int], World]] = {
    "10 dense": _world("layered", horizon=10, dense=0.3),
    "20 sto dense": _world("layered", horizon=20, noise=0.3, dense=0.3),
}

GROUPS = {"layered": LAYERED, "other families": FAMILIES, "good policies": GOOD, "dense rewards": DENSE}
SETTINGS = {name: make for group in GROUPS.values() for name, make in group.items()}
