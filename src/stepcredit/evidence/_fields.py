"""Named things about steps, wherever they stand: a column, a field of the step, a field of its rollout."""

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from stepcredit.data.batch import Batch, missing
from stepcredit.data.columns import column
from stepcredit.data.layout import Bools, Floats
from stepcredit.errors import DataError

_OF_STEP = ("text", "tool_calls")


def step_values(batch: Batch, name: str, who: str) -> list[Any]:
    """[S] what is known under this name about each step; None where nothing is.

    Looked for, in this order: a column (of tasks and rollouts too: each step has its rollout's), the step's `text` or
    `tool_calls` or a field of the file, the rollout's `task` or a field of the file.

    Raises:
        MissingColumn: no such column, and no step or rollout has such a field.
    """
    if name in batch:
        return _column(batch, name)
    if batch.records is not None and sum(len(r.steps) for r in batch.records) == batch.layout.S:
        steps = [s for r in batch.records for s in r.steps]
        found = [getattr(s, name) if name in _OF_STEP else s.extra.get(name) for s in steps]
        if any(v is not None for v in found):
            return found
        whole = [r.task if name == "task" else r.extra.get(name) for r in batch.records]
        if any(v is not None for v in whole):
            return [whole[r] for r in batch.layout.rollout.tolist()]
    raise missing(name, batch, who)


def step_numbers(batch: Batch, name: str, who: str) -> Floats:
    """[S] numbers known under this name; true and false are 1 and 0, None is NaN.

    Raises:
        MissingColumn: as `step_values`. DataError: something that is no number.
    """
    return _as_numbers(batch, step_values(batch, name, who), name)


def step_flags(batch: Batch, name: str, who: str) -> tuple[Bools, Bools]:
    """([S] is it so, [S] is it known): a number is so unless it is 0.

    Raises:
        MissingColumn, DataError: as `step_numbers`.
    """
    numbers = step_numbers(batch, name, who)
    known = ~np.isnan(numbers)
    return known & (numbers != 0), known


def rollout_numbers(batch: Batch, name: str) -> Floats:
    """[R] numbers known under this name, a column or a field of the rollouts; NaN where there is none."""
    if name in batch:
        return np.asarray(batch[name], np.float64)
    values = [None] * batch.layout.R if batch.records is None else [r.extra.get(name) for r in batch.records]
    return np.array([_number(v, name) for v in values], np.float64)


def _column(batch: Batch, name: str) -> list[Any]:
    lay, values = batch.layout, batch[name]
    axis = batch.axis(name)
    if axis == "K":
        raise missing(name, batch, "a number per step")
    rows = {"S": np.arange(lay.S), "R": lay.rollout, "G": lay.step_group}[axis]
    listed: list[Any] = values[rows].tolist()
    known = column(name)
    if name in batch.keys:
        keys: Sequence[Hashable] = batch.keys[name]
        return [keys[i] for i in listed]
    if known is not None and known.kind in ("int", "bool"):
        return [None if v == -1 else v for v in listed]
    return [None if v != v else v for v in listed]


def _as_numbers(batch: Batch, values: Sequence[Any], name: str) -> Floats:
    out = np.full(len(values), np.nan)
    for s, value in enumerate(values):
        try:
            out[s] = _number(value, name)
        except DataError as error:
            r = int(batch.layout.rollout[s])
            raise DataError(
                error.what,
                rollout=batch.rollout_name(r),
                step=int(batch.layout.turn[s]),
                got=value,
                expected="a number",
            ) from None
    return out


def _number(value: Any, name: str) -> float:
    if value is None:
        return float("nan")
    if isinstance(value, bool | int | float | np.number):
        return float(value)
    raise DataError(f"field {name!r} must hold numbers", got=value, expected="a number, true or false")
