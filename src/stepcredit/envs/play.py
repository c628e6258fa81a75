"""Rollouts of a policy in a world, as records that every command reads.

>>> from stepcredit.envs import text
>>> runs = play(text.get("frozen_lake")(size=3).episode, noisy(expert, 0.3, seed=0), seeds=[0, 1], n=2)
>>> [(r.group, r.rollout, r.outcome) for r in runs][:2], runs[0].steps[0].action
([('0', '0/0', 1.0), ('0', '0/1', 0.0)], 'go east')
"""

from collections.abc import Callable, Sequence

import numpy as np

from stepcredit.data.records import Rollout, Step
from stepcredit.envs.vector import Vector
from stepcredit.errors import StepCreditError
from stepcredit.protocols import Environment

Policy = Callable[[Sequence[Environment], Sequence[str]], Sequence[str]]


def play(
    make: Callable[[], Environment],
    policy: Policy,
    seeds: Sequence[int],
    n: int = 1,
    *,
    seconds: float | None = None,
) -> list[Rollout]:
    """n rollouts of each task, all side by side, as records that every command reads.

    Args:
        policy: (episodes still running, what each agent read last) -> one action each.
        seeds: of the tasks. n: rollouts of each, with luck 0, 1, ..., n - 1.
        seconds: as in `Vector`.

    Returns:
        In order of seeds, then of luck. Steps hold state, action, observation, reward, who acted where the world names
        agents, and the further fields of info["fields"]; the outcome is the sum of rewards, and unknown (None) where
        the episode broke: `extra["failure"]` says why.
    """
    tasks = [(seed, k) for seed in seeds for k in range(n)]
    many = Vector(make, len(tasks), seconds=seconds)
    read = many.reset([s for s, _ in tasks], luck=[k for _, k in tasks])
    first = list(read)
    steps: list[list[Step]] = [[] for _ in tasks]
    live = [i for i, f in enumerate(many.failures) if f is None and not many.episodes[i].ended]
    while live:
        states = [many.episodes[i].state for i in live]
        agents = [getattr(many.episodes[i], "agent", None) for i in live]
        chosen = policy([many.episodes[i] for i in live], [read[i] or "" for i in live])
        actions: list[str | None] = [None] * len(tasks)
        for i, action in zip(live, chosen, strict=True):
            actions[i] = action
        out = many.step(actions)
        for i, state, agent in zip(live, states, agents, strict=True):
            read[i] = out.observations[i]
            step = Step(state=state, agent=agent, action=actions[i], observation=read[i], reward=float(out.rewards[i]))
            step.extra = (out.infos[i] or {}).get("fields", {})
            steps[i].append(step)
        live = [i for i in live if not out.ended[i]]
    runs = [
        Rollout(
            group=str(seed),
            rollout=f"{seed}/{k}",
            task=first[i],
            outcome=None if many.failures[i] else sum(step.reward or 0.0 for step in steps[i]),
            steps=steps[i],
            final_state=None if many.failures[i] else many.episodes[i].state,
            extra={"failure": many.failures[i]} if many.failures[i] else {},
        )
        for i, (seed, k) in enumerate(tasks)
    ]
    many.close()
    return runs


def expert(episodes: Sequence[Environment], read: Sequence[str]) -> list[str]:
    """The policy that does what the world's expert does.

    Raises:
        StepCreditError: nobody knows what to do.
    """
    actions = [episode.expert() for episode in episodes]
    if None in actions:
        raise StepCreditError("this world has no expert here", hint="a policy of your own")
    return [a for a in actions if a is not None]


def noisy(policy: Policy, epsilon: float, seed: int) -> Policy:
    """The policy, but any listed action by chance with probability epsilon."""
    random = np.random.default_rng(seed)

    def act(episodes: Sequence[Environment], read: Sequence[str]) -> list[str]:
        chosen = list(policy(episodes, read))
        for i in np.flatnonzero(random.random(len(chosen)) < epsilon).tolist():
            listed = episodes[i].actions()
            if listed:
                chosen[i] = listed[int(random.integers(len(listed)))]
        return chosen

    return act
