"""What a world is like, measured: whether its states repeat, how much can be done, how far its expert gets.

>>> from stepcredit.envs import text
>>> lake = survey(text.get("frozen_lake"), seeds=range(5))
>>> lake.expert, lake.actions, lake.elsewhere > 0.5
(1.0, 4.0, True)
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from stepcredit.data.records import Rollout
from stepcredit.envs.play import play
from stepcredit.errors import StepCreditError
from stepcredit.ops import wilson
from stepcredit.protocols import Environment


class Playable(Protocol):
    """A world: it names itself, says the most steps of an episode, and makes episodes."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    @property
    def horizon(self) -> int:
        """Most steps of an episode."""
        ...

    def episode(self) -> Environment:
        """A new episode."""
        ...


@dataclass(frozen=True)
class Survey:
    """Figures of one world; None is not known.

    Args:
        tasks: how many were played. horizon: most steps of an episode.
        expert: mean outcome of the expert, one rollout per task; its success where outcomes are 0 or 1.
        interval: 95 % of it. steps: the expert takes on average.
        actions: listed in the states that a noisy expert meets, on average. None: free text, nothing is listed.
        elsewhere: share of the noisy expert's steps whose state id is also met in another rollout of the task.
        again: share of them whose state id was met before in the same rollout. Both None where nothing is listed, as
            then there is no noise.
        failures: rollouts that broke.
    """

    name: str
    tasks: int
    horizon: int
    expert: float | None
    interval: tuple[float, float] | None
    steps: float | None
    actions: float | None
    elsewhere: float | None
    again: float | None
    failures: int


def survey(
    make: Callable[[], Playable], seeds: Sequence[int], *, n: int = 4, epsilon: float = 0.3, seed: int = 0
) -> Survey:
    """Play the tasks with the expert, and n times each with an expert that takes any listed action by chance.

    Args:
        n: noisy rollouts of each task. epsilon: chance of a listed action in place of the expert's; where there is no
            expert, every action is drawn. seed: of these draws.

    Raises:
        StepCreditError: no task, or n below 2.
    """
    if not len(seeds) or n < 2:
        raise StepCreditError(f"survey: got {len(seeds)} tasks and {n=}, expected 1 or more tasks and n of 2 or more")
    world = make()
    guided = _Guided(0.0, seed)
    best = play(world.episode, guided, seeds)
    known = guided.known and any(run.steps for run in best)
    wander = _Guided(epsilon if guided.known else 1.0, seed)
    runs = play(world.episode, wander, seeds, n) if guided.listed else []
    won = [run.outcome for run in best if run.outcome is not None]
    elsewhere, again = _repeats(runs)
    return Survey(
        world.name,
        len(seeds),
        world.horizon,
        float(np.mean(won)) if known and won else None,
        _interval(won) if known and won else None,
        float(np.mean([len(run.steps) for run in best])) if known else None,
        float(np.mean(wander.listed)) if wander.listed else None,
        elsewhere,
        again,
        sum("failure" in run.extra for run in [*best, *runs]),
    )


class _Guided:
    """The expert, by chance another listed action; where there is no expert, any. It notes how much was listed."""

    def __init__(self, epsilon: float, seed: int) -> None:
        self.epsilon, self.random = epsilon, np.random.default_rng(seed)
        self.known = True
        self.listed: list[int] = []

    def __call__(self, episodes: Sequence[Environment], read: Sequence[str]) -> list[str]:
        return [self._one(episode) for episode in episodes]

    def _one(self, episode: Environment) -> str:
        chosen, listed = episode.expert(), episode.actions()
        if listed:
            self.listed.append(len(listed))
        if chosen is None:
            self.known = False
        if listed and (chosen is None or self.random.random() < self.epsilon):
            return listed[int(self.random.integers(len(listed)))]
        return chosen or ""


def _repeats(runs: Sequence[Rollout]) -> tuple[float | None, float | None]:
    """Share of steps whose state is met in another rollout of the task; and before in the same."""
    met = Counter((run.group, state) for run in runs for state in {step.state for step in run.steps})
    elsewhere = [met[run.group, step.state] > 1 for run in runs for step in run.steps]
    again = [t for run in runs for t in _met_before(run)]
    return (float(np.mean(elsewhere)), float(np.mean(again))) if elsewhere else (None, None)


def _met_before(run: Rollout) -> list[bool]:
    states = [step.state for step in run.steps]
    return [state in states[:t] for t, state in enumerate(states)]


def _interval(outcomes: Sequence[float]) -> tuple[float, float]:
    """95 %: Wilson's where outcomes are 0 or 1, else by their spread."""
    n, mean = len(outcomes), float(np.mean(outcomes))
    if set(outcomes) <= {0.0, 1.0}:
        low, high = wilson(sum(outcomes), n)
        return float(low), float(high)
    half = 1.96 * float(np.std(outcomes, ddof=1)) / n**0.5 if n > 1 else float("inf")
    return mean - half, mean + half
