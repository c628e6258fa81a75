"""Diagnose rollouts: each by each method, task by task."""

import inspect
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from itertools import chain, groupby
from typing import Any, NamedTuple, cast, get_args

import numpy as np

from stepcredit.data.records import Rollout
from stepcredit.diagnose.case import SUCCESS, Case, Group, Status, Verdict
from stepcredit.errors import StepCreditError
from stepcredit.llm.drive import AT_ONCE, Models, drive
from stepcredit.llm.requests import BudgetSpent, Plan
from stepcredit.shelf import Planner, PlannerShelf

METHODS = PlannerShelf("diagnosis method", "stepcredit.diagnose.methods", "stepcredit.diagnose")
Method = str | Callable[..., Verdict] | Callable[..., Plan[Verdict]]


class Diagnosis(NamedTuple):
    """A rollout, and the verdict of each method by its name."""

    rollout: Rollout
    verdicts: Mapping[str, Verdict]


def failed(rollout: Rollout, success: float = SUCCESS) -> bool | None:
    """Whether the outcome is below `success`; None where there is no outcome."""
    return None if rollout.outcome is None else rollout.outcome < success


def diagnose(
    rollouts: Iterable[Rollout],
    methods: Sequence[Method] = ("combined",),
    models: Models | None = None,
    *,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    success: float = SUCCESS,
    chosen: Callable[[Rollout], bool] | None = None,
    together: bool = False,
    at_once: int = AT_ONCE,
) -> Iterator[Diagnosis]:
    """Diagnoses of the rollouts that did not succeed, task by task.

    Args:
        rollouts: in any order; all of a task are looked at, also those that succeeded.
        methods: names of members, "FILE.py", or functions of yours: `(case, **options)` to a Verdict, or a generator
            that asks models and returns one.
        models: "judge", "sampler", "verifier", ...: functions of `protocols`, or doors of a `Client`.
        options: of a method, by its name.
        success: a run succeeded from this outcome on.
        chosen: which rollouts are diagnosed; None: those that failed, and those without an outcome.
        together: the rollouts of a task stand next to one another, so that one task at a time need be held in memory.
        at_once: most plans under way.

    Once a budget is spent, what it does not pay for is "unknown".

    Raises:
        StepCreditError: a method asks for a model that is not there. UnknownName: no such method or option.
    """
    planners = [METHODS.get(m) if isinstance(m, str) else METHODS.around(m) for m in methods]
    given = {p.name: p.check_options((options or {}).get(p.name, {})) for p in planners}
    for planner in planners:
        lacking = [name for name in planner.card.asks if name not in (models or {})]
        if lacking:
            raise StepCreditError(
                f"{planner.name} asks a {lacking[0]}", hint=f"give it among the models: {lacking[0]}; or --server URL"
            )
    wanted = chosen or (lambda rollout: failed(rollout, success) is not False)
    cases: dict[int, Case] = {}

    def plans() -> Iterator[Plan[dict[str, Verdict]]]:
        for place, case in enumerate(_cases(rollouts, success, wanted, together)):
            cases[place] = case
            yield _plan(case, planners, given)

    number = 0
    waiting: dict[int, Diagnosis] = {}
    for place, verdicts in drive(plans(), models or {}, at_once=at_once):
        waiting[place] = Diagnosis(cases.pop(place).rollout, verdicts)
        while number in waiting:
            yield waiting.pop(number)
            number += 1


def _cases(
    rollouts: Iterable[Rollout], success: float, chosen: Callable[[Rollout], bool], together: bool
) -> Iterator[Case]:
    if not together:
        tasks: dict[str | int, list[Rollout]] = {}
        for rollout in rollouts:
            tasks.setdefault(rollout.group, []).append(rollout)
        rollouts = chain.from_iterable(tasks.values())
    for _, members in groupby(rollouts, key=lambda r: r.group):
        group = Group(list(members), success)
        for index, rollout in enumerate(group.rollouts):
            if chosen(rollout):
                yield Case(group, index)


def _plan(
    case: Case, planners: Sequence[Planner], options: Mapping[str, Mapping[str, Any]]
) -> Plan[dict[str, Verdict]]:
    verdicts: dict[str, Verdict] = {}
    for planner in planners:
        try:
            made = planner.function(case, **options[planner.name])
            verdict = (yield from made) if isinstance(made, Generator) else made
        except BudgetSpent as error:
            verdict = case.unknown(error.message)
        verdicts[planner.name] = _checked(verdict, case, planner)
    return verdicts


def _checked(verdict: Any, case: Case, planner: Planner) -> Verdict:
    """Raises: StepCreditError: a method that breaks the contract."""
    size = len(case.steps)
    wrong = None
    if not isinstance(verdict, Verdict):
        wrong = f"returned a {type(verdict).__name__}, not a Verdict"
    elif np.shape(verdict.scores) != (size,):
        wrong = f"scores have shape {np.shape(verdict.scores)}; the rollout has {size} steps"
    elif (verdict.step is None) == (verdict.status == "found"):
        wrong = f"status is {verdict.status!r} and step {verdict.step}"
    elif verdict.status not in get_args(Status):
        wrong = f"status is {verdict.status!r}; expected one of {', '.join(get_args(Status))}"
    elif verdict.confidence is not None and not 0 <= verdict.confidence <= 1:
        wrong = f"confidence is {verdict.confidence}; it lies within 0..1, or is None"
    elif verdict.step is not None and not 0 <= verdict.step < size:
        wrong = f"blames step {verdict.step} of {size}"
    if wrong:
        raise StepCreditError(
            f"diagnosis method {planner.name!r} {wrong}", hint=inspect.getsourcefile(planner.function)
        )
    return cast(Verdict, verdict)
