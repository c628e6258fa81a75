"""Run a policy over tasks: `solve` for plain code, `asolve` within an event loop."""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from stepcredit.errors import StepCreditError
from stepcredit.llm.drive import AT_ONCE, Models, adrive, drive
from stepcredit.llm.requests import BudgetSpent, Plan
from stepcredit.search.engine import Search, Task, Writing
from stepcredit.search.ledger import Ledger
from stepcredit.search.tree import Node, Tree
from stepcredit.shelf import Planner, PlannerShelf

POLICIES = PlannerShelf("search policy", "stepcredit.search.policies", "stepcredit.search")
Policy = Callable[..., Plan[Node | None]]


@dataclass(frozen=True)
class Found:
    """What a search found.

    answer: None where no solution was complete or had one. text: the solution. node: its last step in `tree`.
    outcome: of the environment, NaN where there is none. stopped: "done", or "budget" where the budget ended it.
    """

    task: Task
    answer: str | None
    text: str | None
    node: Node | None
    tree: Tree
    ledger: Ledger
    stopped: str
    notes: list[str] = field(default_factory=list)

    @property
    def discarded(self) -> int:
        """Tokens written that are not in the solution."""
        return self.ledger.tokens - (sum(n.tokens or 0 for n in self.node.path) if self.node else 0)

    def trace(self) -> dict[str, Any]:
        """All of it as plain data."""
        return {
            "task": self.task.name,
            "prompt": self.task.prompt,
            "answer": self.answer,
            "text": self.text,
            "chosen": None if self.node is None else self.node.place,
            "stopped": self.stopped,
            "spent": self.ledger.spent(),
            "discarded": self.discarded,
            "notes": self.notes,
            "nodes": list(self.tree.rows()),
        }


def plan(planner: Planner | Policy, search: Search, options: Mapping[str, Any]) -> Plan[Found]:
    """The plan of one search, whatever ends it."""
    function = planner.function if isinstance(planner, Planner) else planner
    stopped, node = "done", None
    try:
        node = yield from function(search, **options)
    except BudgetSpent as error:
        stopped = "budget"
        search.notes.append(error.message)
    if node is None:
        node = search.choose()
    answer = None if node is None else search.answer(node)
    text = None if node is None else search.text(node)
    return Found(search.task, answer, text, node, search.tree, search.ledger, stopped, search.notes)


def solve(
    tasks: Iterable[Task],
    policy: str | Policy,
    models: Models,
    *,
    writing: Writing = Writing(),  # noqa: B008
    limits: Mapping[str, float] | None = None,
    seed: int = 0,
    at_once: int = AT_ONCE,
    **options: Any,
) -> Iterator[tuple[int, Found]]:
    """(place of the task, what was found), in the order in which searches end.

    Args:
        policy: the name of one, or a generator function of yours.
        models: "sampler", "scorer", ...: functions of `protocols`, or doors of a `Client`.
        limits: of each search, by kind (`Ledger`). seed: of all draws.
        options: of the policy.

    Raises:
        StepCreditError: the policy asks for a model that is not there.
    """
    yield from drive(_plans(tasks, policy, models, writing, limits, seed, options), models, at_once=at_once)


async def asolve(
    tasks: Iterable[Task],
    policy: str | Policy,
    models: Models,
    *,
    writing: Writing = Writing(),  # noqa: B008
    limits: Mapping[str, float] | None = None,
    seed: int = 0,
    at_once: int = AT_ONCE,
    **options: Any,
) -> AsyncIterator[tuple[int, Found]]:
    """As `solve`, within a running event loop."""
    plans = _plans(tasks, policy, models, writing, limits, seed, options)
    async with aclosing(adrive(plans, models, at_once=at_once)) as ended:
        async for one in ended:
            yield one


def _plans(
    tasks: Iterable[Task],
    policy: str | Policy,
    models: Models,
    writing: Writing,
    limits: Mapping[str, float] | None,
    seed: int,
    given: Mapping[str, Any],
) -> Iterator[Plan[Found]]:
    planner: Planner | Policy = POLICIES.get(policy) if isinstance(policy, str) else policy
    options = dict(given)
    if isinstance(planner, Planner):
        options = planner.check_options(given)
        lacking = [name for name in planner.card.asks if name not in models]
        if lacking:
            raise StepCreditError(f"{planner.name} asks a {lacking[0]}", hint=f"give it among the models: {lacking[0]}")
    return (plan(planner, Search(task, writing, seed=seed, limits=limits), options) for task in tasks)
