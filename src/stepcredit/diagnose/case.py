"""What a diagnosis looks at, and what it says."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from stepcredit.data.batch import Batch
from stepcredit.data.layout import Bools, Floats
from stepcredit.data.records import Blame, Rollout, Step, reference_of

if TYPE_CHECKING:
    from stepcredit.diagnose.graph import Graph

Status = Literal["found", "clean", "unknown"]
SUCCESS = 0.5


class Group:
    """The rollouts of one task, and what is made of all of them once.

    Args:
        success: a run succeeded from this outcome on.
    """

    def __init__(self, rollouts: Sequence[Rollout], success: float = SUCCESS) -> None:
        self.rollouts, self.success = tuple(rollouts), success

    @cached_property
    def succeeded(self) -> Bools:
        """[R] whether a rollout is known to have succeeded."""
        return np.array([r.outcome is not None and r.outcome >= self.success for r in self.rollouts], bool)

    @cached_property
    def batch(self) -> Batch:
        """The rollouts as columns."""
        return Batch.from_records(self.rollouts)

    @cached_property
    def graph(self) -> "Graph":
        """The rollouts as paths through states."""
        from stepcredit.diagnose.graph import state_graph

        return state_graph(self.rollouts)


@dataclass(frozen=True, eq=False)
class Case:
    """One rollout of a group, to be diagnosed. index: its place in the group."""

    group: Group
    index: int

    @property
    def rollout(self) -> Rollout:
        return self.group.rollouts[self.index]

    @property
    def steps(self) -> list[Step]:
        return self.rollout.steps

    @property
    def siblings(self) -> tuple[Rollout, ...]:
        """The other rollouts of the task."""
        return self.group.rollouts[: self.index] + self.group.rollouts[self.index + 1 :]

    @property
    def task(self) -> str | None:
        return self.rollout.task

    @property
    def truth(self) -> str | None:
        """The right answer, where the file has one."""
        return reference_of(self.rollout)

    def unknown(self, reason: str, **evidence: Any) -> "Verdict":
        """A verdict that nothing can be told."""
        return Verdict("unknown", np.full(len(self.steps), np.nan), reason=reason, evidence=evidence)


@dataclass(frozen=True, eq=False)
class Verdict:
    """What a method says of a rollout.

    Args:
        status: "found": `step` is to blame. "clean": looked at, and no step is wrong. "unknown": it cannot be told, and
            `reason` says why.
        scores: [S] how much each step is to blame, higher = more; NaN = not judged. Comparable within a rollout.
        step: the step to blame, from 0. agent: who took it. error: a name of `diagnose.errors`.
        reason: for people, with the numbers.
        confidence: between 0 and 1, as the method's docstring defines it; None = it has none.
        remarks: a word on single steps.
        evidence: the numbers behind it, as JSON holds them.
    """

    status: Status
    scores: Floats
    step: int | None = None
    agent: str | None = None
    error: str | None = None
    reason: str | None = None
    confidence: float | None = None
    remarks: dict[int, str] = field(default_factory=dict)
    evidence: dict[str, Any] = field(default_factory=dict)

    def blame(self, by: str) -> Blame | None:
        """The verdict as a record; None where nothing can be told."""
        if self.status == "unknown":
            return None
        return Blame(
            by=by,
            step=self.step if self.status == "found" else None,
            agent=self.agent,
            label=-1 if self.status == "found" else 1,
            error=self.error,
            reason=self.reason,
            confidence=self.confidence,
            evidence=self.evidence,
        )
