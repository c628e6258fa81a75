"""Rollouts as judges are shown them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from stepcredit.data.batch import Batch
from stepcredit.data.layout import Bools
from stepcredit.evidence._prompts import Part, call_text, shown
from stepcredit.evidence._texts import records, steps


@dataclass(frozen=True, eq=False)
class Told:
    """The texts of a batch. who: the kind of evidence that reads them."""

    batch: Batch
    who: str

    @cached_property
    def tasks(self) -> list[str]:
        """[R] what was to be done."""
        return [r.task or "" for r in records(self.batch, self.who)]

    @cached_property
    def steps(self) -> list[str]:
        """[S] each step: its text and tool calls."""
        return [shown(s) for s in steps(self.batch, self.who)]

    @cached_property
    def calls(self) -> list[list[str]]:
        """[S] the tool calls of each step."""
        return [[call_text(call) for call in s.tool_calls] for s in steps(self.batch, self.who)]

    @cached_property
    def results(self) -> list[str | None]:
        """[S] what the environment answered to each step; None: nothing."""
        return [None if s.observation is None else str(s.observation) for s in steps(self.batch, self.who)]

    @cached_property
    def paths(self) -> list[list[int]]:
        """[R] rows of each rollout, in order."""
        paths = self.batch.layout.paths
        return [paths.rows[a:b].tolist() for a, b in zip(paths.start[:-1], paths.start[1:], strict=True)]

    @cached_property
    def owned(self) -> list[int]:
        """Rollouts that store a step: a step that rollouts share is judged in the one that stores it."""
        return sorted(set(self.batch.layout.rollout.tolist()))

    def own(self, r: int) -> Bools:
        """[steps of the path] whether the rollout stores the step."""
        return np.asarray(self.batch.layout.rollout[self.paths[r]] == r)

    def task(self, row: int) -> str:
        """The task that a step belongs to."""
        return self.tasks[int(self.batch.layout.rollout[row])]

    def before(self, row: int) -> list[int]:
        """Rows of the steps before a step, in order."""
        rows, at = [], int(self.batch.layout.previous[row])
        while at >= 0:
            rows.append(at)
            at = int(self.batch.layout.previous[at])
        return rows[::-1]

    def story(self, rows: list[int], *, results: bool = True, first: int = 1) -> list[Part]:
        """Steps numbered from `first`, each with what the environment answered to it, as parts of a prompt."""
        told: list[Part] = []
        for i, row in enumerate(rows, first):
            told.append((f"step {i}", self.steps[row]))
            answer = self.results[row]
            if results and answer is not None:
                told.append((f"result of step {i}", answer))
        return told
