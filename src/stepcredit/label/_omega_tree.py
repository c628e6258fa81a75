"""The tree of OmegaPRM: partial solutions worth a look, halved one after the other."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any, Literal

import numpy as np

from stepcredit.errors import StepCreditError
from stepcredit.label._first_error import between, told
from stepcredit.label._grow import NAN, Attempt, Grown, State, Steps, counts
from stepcredit.label.work import Work
from stepcredit.llm.requests import BudgetSpent, Plan


@dataclass(frozen=True)
class Shape:
    """How candidates (state s, rollout r) are chosen: the largest of

        Q + U,   Q(s, r) = alpha^(1 - MC(s)) * beta^(len(r) / length),   U(s) = c sqrt(sum N) / (1 + N(s))

    unit: of len. pool: "wrong" rollouts alone, or "all". stop_at_one: a state of MC 1 ends a search. searches: most
    rollouts that are halved. budget: completions after which none is begun.
    """

    n: int
    alpha: float = 0.5
    beta: float = 0.9
    length: float = 500.0
    c: float = 0.125
    unit: Literal["words", "steps"] = "words"
    pool: Literal["wrong", "all"] = "wrong"
    stop_at_one: bool = False
    searches: int = 100
    budget: int = 1000

    def __post_init__(self) -> None:
        if self.n < 1 or self.searches < 0 or self.length <= 0:
            raise StepCreditError(
                "n must be at least 1, searches at least 0, length above 0; "
                f"got {self.n}, {self.searches}, {self.length}"
            )

    def score(self, share: float, size: float, visits: int, total: int) -> float:
        """Q + U of a candidate.

        >>> round(Shape(8).score(0.25, 100, 1, 4), 6), round(Shape(8).score(0.75, 100, 3, 4), 6)
        (0.707205, 0.885862)
        """
        q = self.alpha ** (1 - share) * self.beta ** (size / self.length)
        return float(q + self.c * sqrt(total) / (1 + visits))


class OmegaTree(Grown):
    """The tree of a task; `searched` and `right` are the solutions that it found, with what it knows of their outcome.

    Given rollouts whose outcome is known are the first completions of the task. stronger: where no completion of the
    task is right, it is completed again, and the tree grown, by the model "stronger".
    """

    def __init__(self, works: Sequence[Work], shape: Shape, *, stronger: bool = False) -> None:
        super().__init__(works)
        self.shape, self.stronger = shape, stronger
        self.searched: dict[Steps, float] = {}
        self.right: dict[Steps, float] = {}
        self.spent_by: str | None = None
        self._pool: list[tuple[State, Attempt]] = []
        self._seen: set[Steps] = set()

    def solutions(self) -> Iterator[tuple[Steps, float]]:
        yield from super().solutions()
        yield from ((a.steps, a.right) for _, a in self._pool)
        yield from {**self.searched, **self.right}.items()

    def grow(self) -> Plan[None]:
        """Until the pool is empty, or the searches or the budget are spent."""
        try:
            yield from self._begin()
            for _ in range(self.shape.searches):
                if not self._pool or self.works[0].spent.get("sample", 0) >= self.shape.budget:
                    break
                yield from self._halve(*self._select())
        except BudgetSpent as error:
            self.spent_by = error.message

    def _begin(self) -> Plan[None]:
        given = [Attempt(steps, right) for steps, right in self.given() if right == right]
        self.root.won, self.root.drawn = sum(a.right >= 0.5 for a in given), len(given)
        made = yield from self._first(len(given))
        if self.stronger and not self.root.won:
            self.to = "stronger"
            made += yield from self._first(0)
        self._enter(self.root, [*given, *made])

    def _first(self, there: int) -> Plan[list[Attempt]]:
        if there >= self.shape.n:
            return []
        (made,) = yield from self.complete([self.root], self.shape.n - there)
        return made

    def _enter(self, state: State, attempts: Sequence[Attempt]) -> None:
        """The rollouts of a state that some and not all of solve join the pool, each text once. Of one that is a single
        step longer than the state all is known."""
        share = _share(state)
        self.right.update((a.steps, a.right) for a in attempts if a.right >= 0.5)
        wanted = [a for a in attempts if a.right < 0.5 or (self.shape.pool == "all" and a.right == a.right)]
        for a in wanted if 0 < share < 1 else ():
            if len(a.steps) <= len(state.steps) + 1:
                self.searched.setdefault(a.steps, a.right)
            elif a.steps not in self._seen:
                self._seen.add(a.steps)
                self._pool.append((state, a))

    def _select(self) -> tuple[State, Attempt]:
        total = sum(s.visits for s in self.states.values())

        def worth(one: tuple[State, Attempt]) -> float:
            state, attempt = one
            rest = attempt.steps[len(state.steps) :]
            size = len(rest) if self.shape.unit == "steps" else sum(len(s.split()) for s in rest)
            return self.shape.score(_share(state), size, state.visits, total)

        best = max(range(len(self._pool)), key=lambda i: (worth(self._pool[i]), -i))
        state, attempt = self._pool.pop(best)
        state.visits += 1
        return state, attempt

    def _halve(self, state: State, attempt: Attempt) -> Plan[None]:
        """The whole rollout is not completed: its outcome is known."""
        low, high = len(state.steps), len(attempt.steps) - 1
        self.searched[attempt.steps] = attempt.right
        while low < high:
            middle = (low + high - 1) // 2
            at = self.state(attempt.steps[: middle + 1])
            if not at.drawn:
                (made,) = yield from self.complete([at], self.shape.n)
                self._enter(at, made)
            share = _share(at)
            if share != share or (self.shape.stop_at_one and share == 1):
                return
            low, high = (middle + 1, high) if share > 0 else (low, middle)


def said(
    tree: OmegaTree, kind: str, threshold: float, kept: bool, path: list[State | None], outcome: float | None
) -> dict[str, Any]:
    """Labels of a solution by the states it passes."""
    won, drawn = counts(path)
    value = np.divide(won, drawn, out=np.full(won.size, np.nan), where=drawn > 0)
    if outcome is not None:
        value[-1] = outcome
    facts: dict[str, Any] = {} if kept else {"kept": False, "reason": "the task is always or never solved"}
    if tree.spent_by:
        facts["budget"] = tree.spent_by
    if tree.to != "sampler":
        facts["sampler"] = tree.to
    return {**told(between(won, drawn, outcome), value, kind, threshold), "facts": facts}


def _share(state: State) -> float:
    return state.won / state.drawn if state.drawn else NAN
