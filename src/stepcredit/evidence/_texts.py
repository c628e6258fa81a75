"""What kinds of evidence read of records: steps, prefixes as text, references. One place says how they are rendered."""

from collections.abc import Callable, Mapping
from typing import Any

from stepcredit.data.batch import Batch
from stepcredit.data.records import REFERENCES, Rollout, Step
from stepcredit.errors import DataError, StepCreditError

JOINER = "\n"
Reference = str | Mapping[Any, Any] | Callable[[Rollout], Any] | None


def records(batch: Batch, who: str) -> tuple[Rollout, ...]:
    """[R] the records that the batch was built from.

    Raises:
        StepCreditError: it was built from arrays, or its steps were cut anew.
    """
    if batch.records is None:
        raise StepCreditError(f"{who} reads the texts of rollouts, and this batch holds arrays alone", hint="sc.read")
    return batch.records


def steps(batch: Batch, who: str) -> list[Step]:
    """[S] the step of each row."""
    return [s for r in records(batch, who) for s in r.steps]


def prefixes(batch: Batch, who: str, *, joiner: str = JOINER, observations: bool = True) -> tuple[list[str], list[str]]:
    """([S] everything before each step, [S] the same with the step and what the environment answered to it).

    The task, then each step's text and observation, joined by `joiner`; empty parts are left out.
    """
    tasks = [r.task or "" for r in records(batch, who)]
    before: list[str] = []
    after: list[str] = []
    lay = batch.layout
    rollout, previous = lay.rollout.tolist(), lay.previous.tolist()
    for s, step in enumerate(steps(batch, who)):
        before.append(after[previous[s]] if previous[s] >= 0 else tasks[rollout[s]])
        answer = step.observation if observations else None
        parts = [before[-1], step.text, None if answer is None else str(answer)]
        after.append(joiner.join(p for p in parts if p))
    return before, after


def reference_field(record: Rollout, reference: Reference) -> str | None:
    """Which field of the record is the reference; None where it comes from elsewhere, or there is none."""
    if reference is None:
        return next((f for f in REFERENCES if record.extra.get(f) is not None), None)
    return reference if isinstance(reference, str) else None


def references(batch: Batch, reference: Reference, who: str) -> list[Any]:
    """[R] what a right answer (or a right list of tool calls, ...) is.

    Args:
        reference: a field of the rollout records; a mapping from group to reference; a function of the record; None:
            the first of the fields "gold", "reference", "answer", "ground_truth" that is there.

    Raises:
        DataError: a rollout without one.
    """
    found = []
    for r in records(batch, who):
        if callable(reference):
            one = reference(r)
        elif isinstance(reference, Mapping):
            one = reference.get(r.group)
        else:
            field = reference_field(r, reference)
            one = None if field is None else r.extra.get(field)
        if one is None:
            where = f"the field {reference!r}" if isinstance(reference, str) else "a reference"
            raise DataError(
                f"{who} needs {where} of each rollout",
                rollout=r.rollout,
                got=f"fields: {', '.join(map(str, r.extra)) or 'none of your own'}",
                hint=f"keep one of {', '.join(REFERENCES)} in the file, or name it: reference=FIELD"
                if reference is None
                else "name the field of your file that holds it",
            )
        found.append(one)
    return found
