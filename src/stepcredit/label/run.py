"""Label rollouts with a system: one plan per solution, or per task where the system grows a tree."""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from stepcredit.data import records
from stepcredit.data.records import Rollout
from stepcredit.errors import DataError, StepCreditError
from stepcredit.label.labels import Labels
from stepcredit.label.work import Setting, Work
from stepcredit.llm.drive import AT_ONCE, Models, drive
from stepcredit.llm.requests import BudgetSpent, Plan
from stepcredit.shelf import Planner, PlannerShelf

SYSTEMS = PlannerShelf("label system", "stepcredit.label.systems", "stepcredit.label")
Heard = Callable[[int, list[Work]], object]
Reference = str | Mapping[Any, str] | Callable[[Rollout], str | None] | None


def label(
    rollouts: Iterable[Rollout],
    system: str | Callable[..., Plan[Any]],
    models: Models,
    *,
    reference: Reference = None,
    setting: Setting = Setting(),  # noqa: B008
    at_once: int = AT_ONCE,
    heard: Heard | None = None,
    **options: Any,
) -> Iterator[tuple[int, list[Labels]]]:
    """(place of the unit, its labels) as units end. A unit is a rollout, or a task with all of its rollouts for systems
    that work on tasks (`per_task`); those may label solutions that they drew themselves too.

    Args:
        rollouts: of one task next to one another.
        system: the name of one, "FILE.py", or a generator function of yours.
        models: "sampler", "verifier", "judge", ...: functions of `protocols`, or doors of a `Client`.
        reference: a field of the records; a mapping from group; a function; None: the first of "gold", "reference",
            "answer", "ground_truth" that is there, and none where there is none.
        heard: told of each unit (place, works) once it is labelled: what was drawn for it, and the tree that was grown.
        options: of the system.

    Once a budget is spent the units that do not fit are labelled by what was bought for them, the rest not judged.

    Raises:
        StepCreditError: the system asks for a model that is not there. DataError: a rollout without a task or steps.
    """
    planner = SYSTEMS.get(system) if isinstance(system, str) else SYSTEMS.around(system)
    chosen = planner.check_options(options)
    lacking = [name for name in planner.card.asks if name not in models]
    if lacking:
        raise StepCreditError(f"{planner.name} asks a {lacking[0]}", hint=f"give it among the models: {lacking[0]}")
    units = works(rollouts, reference, setting)
    each = (unit for group in units for unit in ([group] if per_task(planner) else _each(group)))
    plans = (_told(_plan(planner, unit, chosen), place, unit, heard) for place, unit in enumerate(each))
    yield from drive(plans, models, at_once=at_once)


def per_task(planner: Planner) -> bool:
    """Whether the system takes all rollouts of a task (its parameter is `works`) or one (`work`)."""
    return next(iter(inspect.signature(planner.function).parameters)) == "works"


def works(rollouts: Iterable[Rollout], reference: Reference, setting: Setting) -> Iterator[list[Work]]:
    """The works of each task, task by task.

    Raises:
        DataError: a rollout without text of its task or without steps.
    """
    group: list[Rollout] = []
    for one in rollouts:
        if not one.steps or not one.task:
            what = "a rollout without steps" if not one.steps else "a rollout without its task's text"
            raise DataError(f"{what} cannot be labelled", rollout=one.rollout, hint="the field `task` holds the prompt")
        if group and one.group != group[0].group:
            yield _works(group, reference, setting)
            group = []
        group.append(one)
    if group:
        yield _works(group, reference, setting)


def _works(group: Sequence[Rollout], reference: Reference, setting: Setting) -> list[Work]:
    outcomes = [r.outcome for r in group]
    return [Work(r, reference_of(r, reference), outcomes, setting) for r in group]


def _each(group: list[Work]) -> Iterator[list[Work]]:
    return ([one] for one in group)


def _plan(planner: Planner, unit: list[Work], options: Mapping[str, Any]) -> Plan[list[Labels]]:
    try:
        if per_task(planner):
            return list((yield from planner.function(unit, **options)))
        return [(yield from planner.function(unit[0], **options))]
    except BudgetSpent as error:
        return [w.labels(value=w.shares(), reasons=(error.message,) * len(w.steps)) for w in unit]


def _told(plan: Plan[list[Labels]], place: int, unit: list[Work], heard: Heard | None) -> Plan[list[Labels]]:
    found = yield from plan
    if heard is not None:
        heard(place, unit)
    return found


def reference_of(record: Rollout, reference: Reference) -> str | None:
    """The right answer of a rollout; None where there is none. Arguments as of `label`."""
    if callable(reference):
        return reference(record)
    if isinstance(reference, Mapping):
        return reference.get(record.group)
    if isinstance(reference, str):
        if record.extra.get(reference) is None:
            there = ", ".join(map(str, record.extra)) or "none of your own"
            raise DataError(
                f"no field {reference!r} with the reference", rollout=record.rollout, got=f"fields: {there}"
            )
        return str(record.extra[reference])
    return records.reference_of(record)
