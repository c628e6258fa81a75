"""Many episodes side by side; one that raises or hangs ends, the others go on.

>>> from stepcredit.envs import text
>>> lake = text.get("frozen_lake")(size=3)
>>> many = Vector(lake.episode, 2)
>>> _ = many.reset([0, 0], luck=[0, 1])
>>> out = many.step(["go east", None])
>>> out.observations, out.ended.tolist()
(['You are at row 1, column 2.', None], [False, False])
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from stepcredit.data.layout import Bools, Floats
from stepcredit.errors import StepCreditError
from stepcredit.protocols import Environment


@dataclass(frozen=True, eq=False)
class Steps:
    """What a step of all episodes gave, [n] each; an episode that was not stepped has None and reward 0.

    observations, infos: of each. rewards, terminated, truncated: numbers. failed: episodes that broke in this step.
    """

    observations: list[str | None]
    rewards: Floats
    terminated: Bools
    truncated: Bools
    infos: list[dict[str, Any] | None]
    failed: Bools

    @property
    def ended(self) -> Bools:
        """[n] episodes that ended in this step."""
        return self.terminated | self.truncated | self.failed


class Vector:
    """n episodes side by side. `episodes[i].outcome` is what episode i has earned where a world says so.

    Args:
        make: makes one episode, such as `world.episode`.
        seconds: longest time that all episodes together may take for one step; None: no limit. With a limit they run
            in threads; one that hangs is given up, its thread is left behind and a fresh episode takes its place at
            the next reset.

    failures: [n] why an episode broke, None = it did not: its outcome is unknown, which is not 0.
    """

    def __init__(self, make: Callable[[], Environment], n: int, *, seconds: float | None = None) -> None:
        if n < 1:
            raise StepCreditError(f"got n={n} episodes, expected 1 or more")
        self.make, self.seconds = make, seconds
        self.episodes = [make() for _ in range(n)]
        self.failures: list[str | None] = [None] * n
        self._pool = None if seconds is None else ThreadPoolExecutor(n, thread_name_prefix="episode")

    def __len__(self) -> int:
        return len(self.episodes)

    def reset(self, seeds: Sequence[int], *, luck: Sequence[int] | None = None) -> list[str | None]:
        """Begin the tasks of these numbers, one per episode: what each agent reads first; None where it broke."""
        if len(seeds) != len(self):
            raise StepCreditError(f"got {len(seeds)} seeds for {len(self)} episodes, expected one each")
        for i, failure in enumerate(self.failures):
            if failure is not None:
                self.episodes[i] = self.make()
        self.failures = [None] * len(self)
        lucks = luck if luck is not None else [0] * len(self)
        calls = [
            (lambda e=e, s=s, k=k: e.reset(seed=s, options={"luck": k}))
            for e, s, k in zip(self.episodes, seeds, lucks, strict=True)
        ]
        return [None if out is None else out[0] for out in self._run(calls)]

    def step(self, actions: Sequence[str | None]) -> Steps:
        """Act in every episode that has an action; None leaves one as it is."""
        if len(actions) != len(self):
            raise StepCreditError(f"got {len(actions)} actions for {len(self)} episodes, expected one each")
        calls = [
            None if a is None or f is not None else (lambda e=e, a=a: e.step(a))
            for e, a, f in zip(self.episodes, actions, self.failures, strict=True)
        ]
        before = np.array([f is not None for f in self.failures])
        outs = self._run(calls)
        some = [out if out is not None else (None, 0.0, False, False, None) for out in outs]
        observations, rewards, terminated, truncated, infos = map(list, zip(*some, strict=True))
        failed = np.array([f is not None for f in self.failures]) & ~before
        return Steps(
            observations,
            np.array(rewards, float),
            np.array(terminated, bool),
            np.array(truncated, bool),
            infos,
            failed,
        )

    def close(self) -> None:
        """Close every episode."""
        for episode in self.episodes:
            episode.close()
        if self._pool:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _run(self, calls: Sequence[Callable[[], Any] | None]) -> list[Any]:
        if self._pool is None:
            return [None if call is None else self._one(i, call) for i, call in enumerate(calls)]
        jobs: list[Future[Any] | None] = [None if call is None else self._pool.submit(call) for call in calls]
        until = time.monotonic() + (self.seconds or 0.0)
        return [None if job is None else self._waited(i, job, until) for i, job in enumerate(jobs)]

    def _waited(self, i: int, job: "Future[Any]", until: float) -> Any:
        def result() -> Any:
            try:
                return job.result(max(until - time.monotonic(), 0.0))
            except TimeoutError:
                if job.done():
                    raise
                raise TimeoutError(f"no answer within {self.seconds:g} s") from None

        out = self._one(i, result)
        if not job.done():
            # A thread that hangs holds its place in the pool for ever: the pool is left to it.
            self._pool = ThreadPoolExecutor(len(self), thread_name_prefix="episode")
        return out

    def _one(self, i: int, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except Exception as error:
            self.failures[i] = f"{type(error).__name__}: {error}"
            return None
