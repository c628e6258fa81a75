"""The cells of the search suite: what each measures, task by task."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from stepcredit.bench.suites import _gym_tasks as gym
from stepcredit.bench.suites import _search_policies as chosen
from stepcredit.bench.suites._search_models import models, pair
from stepcredit.bench.suites._search_tasks import WRITING, right, solved, tasks
from stepcredit.ops import highest, weighted_vote
from stepcredit.search import Found, Task, Writing, solve

CURVE = "best_of_n"
KINDS = ("best", "weighted majority", "majority")
SPENT = ("calls", "prefill", "tokens", "decode", "draft", "score", "judge", "discarded")
SKILL: Mapping[str, float] = {"countdown": 0.3, "shortest_path": 0.5, "mini_sudoku": 0.5}
QUARTER = "bavt@checked"
Value = dict[str, list[float]]


@dataclasses.dataclass(frozen=True)
class Play:
    """What all cells on Game of 24 have in common. data: folder with game24/; None: the default policy."""

    data: str | None
    puzzles: int
    seed: int

    def tasks(self) -> list[Task]:
        return tasks(self.puzzles, self.seed)


def curve_cell(play: Play, world: str, noise: float, n: Sequence[int]) -> dict[str, Any]:
    """Best-of-N, weighted majority and majority by the first N of one set of solutions."""
    given = play.tasks()
    asked = models(play.data, world, noise, play.seed)
    found = dict(solve(given, CURVE, asked, writing=WRITING, seed=play.seed, n=max(n)))
    return curve(found, given, n, WRITING, right)


def policy_cell(play: Play, world: str, noise: float, name: str) -> Value:
    """What one policy solves and spends, task by task."""
    one = next(c for c in chosen.CHOICES if c.name == name)
    asked = pair(play.data, noise, play.seed) if one.asks == "small" else models(play.data, world, noise, play.seed)
    if name == chosen.SMALL:
        asked = {**asked, "sampler": asked["draft"]}
    heat = WRITING.temperature if one.temperature is None else one.temperature
    writing = dataclasses.replace(WRITING, temperature=heat)
    return _played(play, one.policy, asked, writing, None, one.options)


def quarter_cell(play: Play, world: str, noise: float, tokens: int) -> Value:
    """BAVT within a quarter of so many tokens; the plan, which is worth nothing to the model, is left out."""
    asked = models(play.data, world, noise, play.seed)
    writing = dataclasses.replace(WRITING, max_tokens=24)
    return _played(play, QUARTER, asked, writing, {"tokens": tokens / 4}, {"plan": False, "most": 1000})


def reject_cell(play: Play, world: str, noise: float, tau: int, n: int) -> Value:
    """Beam search that rejects after tau tokens of a step; with as many as a step may have it rejects whole steps."""
    asked = models(play.data, world, noise, play.seed)
    return _played(play, "early_rejection", asked, WRITING, None, {"n": n, "width": 4, "tau": tau})


def _played(
    play: Play,
    policy: str,
    asked: Mapping[str, Any],
    writing: Writing,
    limits: Mapping[str, float] | None,
    options: Mapping[str, Any],
) -> Value:
    given = play.tasks()
    found = dict(solve(given, policy, asked, writing=writing, seed=play.seed, limits=limits, **options))
    return {"solved": solved(found, given), **spent(found)}


def spent(found: Mapping[int, Found]) -> Value:
    """Costs by kind, task by task."""
    out = {}
    for kind in SPENT:
        each = (found[i] if kind == "discarded" else found[i].ledger for i in range(len(found)))
        out[kind] = [float(getattr(x, kind)) for x in each]
    return out


def gym_cell(family: str, noise: float, name: str, count: int, n: Sequence[int], seed: int) -> dict[str, Any]:
    """What a policy solves of a family of reasoning-gym, or (no name) the curve."""
    given = gym.tasks(family, count, seed)
    player = gym.Player(SKILL[family], seed)
    asked: dict[str, Any] = {"sampler": player, "scorer": player.scorer(noise)}

    def correct(task: Task, said: str | None) -> float:
        return float(gym.right(task.prompt, said))

    if not name:
        found = dict(solve(given, CURVE, asked, writing=gym.WRITING, seed=seed, n=max(n)))
        return curve(found, given, n, gym.WRITING, correct)
    one = next(c for c in chosen.CHOICES if c.name == name)
    found = dict(solve(given, one.policy, asked, writing=gym.WRITING, seed=seed, **one.options))
    return {"solved": [correct(t, found[i].answer) for i, t in enumerate(given)], **spent(found)}


def curve(
    found: Mapping[int, Found],
    given: Sequence[Task],
    n: Sequence[int],
    writing: Writing,
    correct: Callable[[Task, str | None], float],
) -> dict[str, Any]:
    """Best-of-N, weighted majority and plain majority by the first N solutions of each search."""
    out: dict[str, Any] = {kind: {} for kind in KINDS}
    marks: dict[tuple[int, str | None], float] = {}
    for k in n:
        picks: dict[str, list[float]] = {kind: [] for kind in KINDS}
        tokens, scores = [], []
        for i, task in enumerate(given):
            leaves = found[i].tree.leaves()[:k]
            last = np.array([leaf.score for leaf in leaves], float)
            said = [writing.answer(leaf.text) for leaf in leaves]
            for kind, place in zip(KINDS, (highest(last), weighted_vote(said, last), weighted_vote(said)), strict=True):
                text = None if place is None else said[place]
                if (i, text) not in marks:
                    marks[i, text] = correct(task, text)
                picks[kind].append(marks[i, text])
            tokens.append(float(sum(n.tokens or 0 for leaf in leaves for n in leaf.path)))
            scores.append(float(sum(len(leaf.path) for leaf in leaves)))
        for kind, values in picks.items():
            asked = scores if kind != "majority" else [0.0] * len(scores)
            out[kind][str(k)] = {"solved": values, "tokens": tokens, "calls": [float(k)] * len(tokens), "score": asked}
    return out
