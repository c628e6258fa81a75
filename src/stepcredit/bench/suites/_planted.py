"""Runs with one known wrong step: a good policy's run in an enumerable world, one action of it replaced by one that
makes success impossible or at most half as likely; the policy goes on from there and fails.

The planted step is the largest loss of its run: no other action of it loses more than half as much chance of success,
by exact values. So whoever names another step is wrong, not of another opinion.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np

from stepcredit.data.layout import Floats
from stepcredit.data.records import Rollout, Step
from stepcredit.envs import text, worlds
from stepcredit.envs.tabular import World, evaluate, even, mistakes, slippery
from stepcredit.envs.text_world import TextWorld

SLIP = 0.1
"""Chance that the policy takes any action in place of the best one."""
TRIES = 400
_SYLLABLES = [c + v for c in "bdfgklmnprst" for v in "aeiou"]
LUCK = ("none", "chance", "steps run out")
LIKELY = 0.5
"""Least chance of success before the planted step."""
_SLIPS = ("key_door", "ring")  # families that have a slip of their own
VIEWS = ("states", "texts", "free texts")
"""What a method may see. states: ids of states. texts: actions and observations, equal where they are equal, no states.
free texts: the same in words that no two runs share."""


class Walk(NamedTuple):
    """A run in numbers: states [T + 1], actions, chances lost by them (V - Q) [T], sum of rewards."""

    state: list[int]
    action: list[int]
    lost: list[float]
    won: float


@dataclass(frozen=True)
class Plant:
    """A failed run with its planted step, and runs of the same policy on the same task.

    world, seed. step: the planted one.
    """

    world: World
    seed: int
    failed: Walk
    siblings: tuple[Walk, ...]
    step: int

    def rollouts(self, siblings: int, view: str) -> list[Rollout]:
        """The failed run first, as records without any truth."""
        walks = (self.failed, *self.siblings[:siblings])
        name = f"{self.world.name}/{self.seed}"
        return [_record(self.world, name, i, walk, view) for i, walk in enumerate(walks)]

    def covered(self, siblings: int) -> bool:
        """Whether a sibling that succeeded did something else in the state of the planted step."""
        s, a = self.failed.state[self.step], self.failed.action[self.step]
        return any(
            w.won > 0 and any(x == s and y != a for x, y in zip(w.state, w.action, strict=False))
            for w in self.siblings[:siblings]
        )


class Kind(NamedTuple):
    """A family of worlds: how one is made from a seed, and what is in it.

    luck: "none"; "chance": an action can lead here or there; "steps run out": besides what the ids of states tell, the
    steps that are left count, so that a detour can be the fault.
    """

    make: Callable[[int], World]
    luck: str


def _family(name: str, **options: Any) -> Callable[[int], World]:
    return partial(_tabular, name, options)


def _tabular(name: str, options: dict[str, Any], seed: int) -> World:
    return _played(worlds.get(name)(seed=seed, **_own(name, options)), name, options)


def _text(name: str, **options: Any) -> Callable[[int], World]:
    return partial(_textual, name, options)


def _textual(name: str, options: dict[str, Any], seed: int) -> World:
    world = text.get(name)(**_own(name, options))
    table = _played(world.table(seed), name, options)
    return table if table.agents is None else _as_experts(world, table, seed)


def _as_experts(world: TextWorld[Any], table: World, seed: int) -> World:
    """With agents that do as the world's experts do, each by what it may know, but for the slips."""
    state = world.start(seed)
    known, frontier = {world.key(state): world.expert(state)}, [state]
    while frontier:
        ahead = []
        for here in frontier:
            for action in () if world.done(here) else map(world.read, world.actions(here)):
                for branch in () if action is None else world.act(here, action):
                    if world.key(branch.state) not in known:
                        known[world.key(branch.state)] = world.expert(branch.state)
                        ahead.append(branch.state)
        frontier = ahead
    same = [[bool(action == known[label]) for action in table.actions] for label in table.labels]
    right = np.array(same, bool) & table.can
    some = np.any(table.can, axis=1, keepdims=True)
    return replace(table, policy=np.where(some, (1 - SLIP) * right + SLIP * even(table.chance), 0))


def _own(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """Without a slip that the family does not know."""
    return options if name in _SLIPS else {n: x for n, x in options.items() if n != "slip"}


def _played(world: World, name: str, options: dict[str, Any]) -> World:
    slip = 0.0 if name in _SLIPS else options.get("slip", 0.0)
    return mistakes(slippery(world, slip) if slip else world, SLIP)


KINDS: dict[str, Kind] = {
    "layered": Kind(_family("layered", horizon=10), "none"),
    "dead_end": Kind(_family("dead_end", horizon=8), "none"),
    "all_of": Kind(_family("all_of", horizon=8, at=(1, 3, 5, 7)), "none"),
    "threshold": Kind(_family("threshold", horizon=8), "none"),
    "key_door": Kind(_family("key_door", horizon=12), "steps run out"),
    "hand_off": Kind(_text("hand_off", horizon=8), "none"),
    "mini_household": Kind(_text("mini_household", places=4, things=1, horizon=7), "steps run out"),
    "layered, chance": Kind(_family("layered", horizon=10, noise=0.2), "chance"),
    "dead_end, chance": Kind(_family("dead_end", slip=0.05, horizon=8), "chance"),
    "key_door, chance": Kind(_family("key_door", horizon=16, slip=0.1), "steps run out"),
    "ring, chance": Kind(_family("ring", horizon=8, slip=0.1), "steps run out"),
    "search, chance": Kind(_family("search", horizon=6), "chance"),
    "hand_off, chance": Kind(_text("hand_off", slip=0.05, horizon=8), "chance"),
}


class Made(NamedTuple):
    """A world with its good policy: V [T, N], Q [T, N, A], sums of the policy and of the chances up to each entry."""

    world: World
    value: Floats
    q: Floats
    policy: Floats
    chance: Floats


@lru_cache(maxsize=256)
def made(kind: str, seed: int) -> Made:
    """The world of a kind and seed."""
    world = replace(KINDS[kind].make(seed), name=f"{kind}/{seed}")
    exact = evaluate(world)
    return Made(world, exact.value, exact.q, np.cumsum(world.policy, -1), np.cumsum(world.chance, -1))


@lru_cache(maxsize=4096)
def plant(kind: str, seed: int, siblings: int) -> Plant | None:
    """A plant in the world of this seed; None where no run could be spoiled so that the planted step stands out."""
    here = made(kind, seed)
    rng = np.random.default_rng([crc32(kind.encode()), seed])
    for _ in range(TRIES):
        run = walk(here, rng)
        places = [(t, bad) for t in range(len(run.action)) if (bad := _spoiling(here, run, t))]
        if not places:
            continue
        t, bad = places[int(rng.integers(len(places)))]
        spoiled = walk(here, rng, before=run, at=t, action=bad[int(rng.integers(len(bad)))])
        worst = max((x for i, x in enumerate(spoiled.lost) if i != t), default=0.0)
        if spoiled.won <= 0 and worst <= spoiled.lost[t] / 2:
            return Plant(here.world, seed, spoiled, tuple(walk(here, rng) for _ in range(siblings)), t)
    return None


def _spoiling(here: Made, run: Walk, t: int) -> list[int]:
    """Actions at step t after which success is at most half as likely."""
    s = run.state[t]
    before = here.value[t, s]
    if before < LIKELY:
        return []
    return [int(a) for a in np.flatnonzero(here.world.can[s] & (here.q[t, s] <= before / 2))]


def walk(
    here: Made, rng: np.random.Generator, *, before: Walk | None = None, at: int = 0, action: int | None = None
) -> Walk:
    """A run of the policy; with `before` its first `at` steps are those, and then `action` is taken."""
    world, ends = here.world, here.world.ends
    state, taken, lost, won = [world.start], list[int](), list[float](), 0.0
    if before is not None:
        state, taken, lost = before.state[: at + 1], before.action[:at], before.lost[:at]
    while len(taken) < world.horizon and not ends[state[-1]]:
        s, t = state[-1], len(taken)
        u, v = rng.random(2).tolist()
        a = action if action is not None and t == at else int((here.policy[s] <= u * here.policy[s, -1]).sum())
        b = int((here.chance[s, a] <= v * here.chance[s, a, -1]).sum())
        lost.append(float(here.value[t, s] - here.q[t, s, a]))
        won += float(world.reward[s, a, b])
        taken.append(a)
        state.append(int(world.next_state[s, a, b]))
    return Walk(state, taken, lost, won)


def _record(world: World, name: str, i: int, walk: Walk, view: str) -> Rollout:
    rng = np.random.default_rng([crc32(name.encode()), i])
    steps = [_step(world, walk, t, view, rng) for t in range(len(walk.action))]
    cut = len(walk.action) == world.horizon and not world.ends[walk.state[-1]]
    return Rollout(
        group=name,
        rollout=str(i),
        task=f"Succeed in {world.name}.",
        outcome=float(walk.won > 0),
        evidence={"truncated": bool(cut)},
        steps=steps,
    )


def _step(world: World, walk: Walk, t: int, view: str, rng: np.random.Generator) -> Step:
    s, after = walk.state[t], walk.state[t + 1]
    action, seen = world.actions[walk.action[t]], world.labels[after]
    agent = None if world.agents is None else world.agents[s]
    if view == "states":
        return Step(state=world.labels[s], text=action, action=action, observation=seen, agent=agent)
    if view == "texts":
        return Step(text=action, action=action, observation=seen, agent=agent)
    one, other = (_words(rng) for _ in range(2))
    return Step(text=f"{one} I choose: {action}", observation=f"{seen} ({other})", agent=agent)


def _words(rng: np.random.Generator) -> str:
    """Three words that nobody says twice."""
    at = rng.integers(0, 60, (3, 3)).tolist()
    return " ".join("".join(_SYLLABLES[i] for i in word) for word in at)


def plants(kind: str, seeds: Sequence[int], siblings: int) -> list[Plant]:
    """The plants of these seeds, those left out where there can be none."""
    found = (plant(kind, seed, siblings) for seed in seeds)
    return [one for one in found if one is not None]
