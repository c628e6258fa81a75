"""A step's rollouts: of each task as often as asked, or first attempts and retries of those that failed."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from stepcredit.data import Batch
from stepcredit.evidence.reflect import reflect
from stepcredit.plugins import load_function
from stepcredit.protocols import Judge
from stepcredit.train.config import Retry
from stepcredit.train.rollouts import Again, Played, Player
from stepcredit.train.sampling import generator

Pivots = Callable[[Sequence[Sequence[Played]]], list[list[int]]]
"""Groups of first attempts -> for each the turn to try again from, -1 = it is not tried again."""


def pivots_of(given: Retry) -> Pivots:
    """The way to choose pivots.

    Raises:
        StepCreditError: no such file or function.
    """
    if given.pivot == "sibling":
        return by_sibling
    judge = load_function(given.pivot, "retry.pivot")
    return lambda groups: by_judge(groups, judge, **given.options)


def by_sibling(groups: Sequence[Sequence[Played]]) -> list[list[int]]:
    """The first turn that differs from a rollout of the task that succeeded; of several, from the one that it follows
    longest. Where none succeeded nothing is tried again."""
    out = []
    for group in groups:
        good = [one for one in group if _won(one)]
        out.append([-1 if _won(one) or not one.turns else _parted(one, good) for one in group])
    return out


def by_judge(groups: Sequence[Sequence[Played]], judge: Judge, **options: Any) -> list[list[int]]:
    """What a judge says of the attempts that failed, as evidence `reflect` asks it; what it suggests is not told to the
    policy."""
    failed = [(g, i) for g, group in enumerate(groups) for i, one in enumerate(group) if not _won(one) and one.turns]
    out = [[-1] * len(group) for group in groups]
    if failed:
        batch = Batch.from_records([groups[g][i].record(n) for n, (g, i) in enumerate(failed)])
        for (g, i), pivot in zip(failed, reflect(batch, judge, **options)["pivot"].tolist(), strict=True):
            out[g][i] = min(int(pivot), len(groups[g][i].turns) - 1)
    return out


def _won(one: Played) -> bool:
    return one.outcome is None or one.outcome >= 1 - 1e-9


def _parted(one: Played, good: Sequence[Played]) -> int:
    mine = [(t.state, t.action) for t in one.turns]
    shared = [
        next((i for i, (a, t) in enumerate(zip(mine, other.turns, strict=False)) if a != (t.state, t.action)), -1)
        for other in good
        if other.outcome is not None
    ]
    return max(shared, default=-1)


def attempts(
    player: Player,
    model: Any,
    tasks: Sequence[int],
    n: int,
    *,
    seed: Sequence[int],
    temperature: float,
    pivots: Pivots | None = None,
) -> list[Played]:
    """n rollouts of each task, those of a task side by side.

    Args:
        seed: of all that is drawn: tokens and the luck of the worlds.
        pivots: None: n times anew. Else n/2 first attempts, and as many second ones: a retry from its pivot of each
            that has one, a rollout anew for each that has not. An attempt that was tried again has the pivot too.
    """
    lucks = np.random.SeedSequence([*seed, 0]).generate_state(len(tasks) * n).reshape(len(tasks), n)

    def anew(which: Sequence[tuple[int, int]], part: int) -> list[Played]:
        if not which:
            return []
        starts = [(tasks[g], int(lucks[g, k])) for g, k in which]
        return player.play(model, starts, temperature=temperature, generator=_draws(model, [*seed, part]))

    if pivots is None:
        return anew([(g, k) for g in range(len(tasks)) for k in range(n)], 1)
    half = n // 2
    played = anew([(g, k) for g in range(len(tasks)) for k in range(half)], 1)
    groups = [played[g * half : (g + 1) * half] for g in range(len(tasks))]
    chosen = pivots(groups)
    places = [(g, i) for g in range(len(tasks)) for i in range(half)]
    retried = [(g, i) for g, i in places if chosen[g][i] >= 0]
    fresh = [(g, i) for g, i in places if chosen[g][i] < 0]
    again = player.again(
        model,
        [Again(groups[g][i], chosen[g][i]) for g, i in retried],
        temperature=temperature,
        generator=_draws(model, [*seed, 2]),
    )
    second = dict(zip(retried, again, strict=True))
    second |= dict(zip(fresh, anew([(g, half + i) for g, i in fresh], 3), strict=True))
    for g, i in retried:
        groups[g][i].pivot = chosen[g][i]
    return [one for g in range(len(tasks)) for one in [*groups[g], *(second[g, i] for i in range(half))]]


def _draws(model: Any, seed: Sequence[int]) -> Any:
    return generator(seed, next(model.parameters()).device)
