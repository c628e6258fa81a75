"""Reading one field of a row: typed, or a DataError that names it."""

import ast
import math
from collections.abc import Collection, Iterable, Mapping
from typing import Any, TypeVar

import msgspec

from stepcredit.data.columns import column
from stepcredit.data.records import Step
from stepcredit.data.transpose import FIELDS
from stepcredit.errors import DataError

T = TypeVar("T")

_LONGEST_LITERAL = 4_000_000


def need(row: Mapping[str, Any], name: str, kind: type[T]) -> T:
    """The value of a field that must be there, of this type."""
    if name not in row:
        have = ", ".join(map(str, row)) or "none"
        raise DataError(
            f"field {name!r} is missing", hint=f"the fields here are: {have}; rename with --map {name}=<field>"
        )
    value = row[name]
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is int):
        raise DataError(f"field {name!r} has the wrong type", got=value, expected=kind.__name__)
    return value


def number(value: object, name: str) -> float | None:
    """A finite number; None stays None."""
    if value is None:
        return None
    if isinstance(value, int | float):
        try:
            if math.isfinite(value):
                return float(value)
        except OverflowError:
            pass
    raise DataError(f"field {name!r} must hold a finite number, or null for unknown", got=value, expected="a number")


def key(value: object, name: str) -> str | int:
    """A name of a group or rollout: text or an integer (3.0, as tables write it, is 3)."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str | int) and not isinstance(value, bool):
        return value
    raise DataError(f"field {name!r} must name a {name}", got=repr(value), expected="text or an integer")


def text(value: object, name: str) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise DataError(f"field {name!r} must hold text", got=value, expected="text or null")


def one_of(row: Mapping[str, Any], names: Iterable[str]) -> tuple[str | None, Any]:
    """Our field if it is there, else the one of its other names that is: (its name, its value).

    Raises:
        DataError: two of the other names are there and differ.
    """
    ours, *others = names
    if ours in row:
        return ours, row[ours]
    have = [n for n in others if n in row]
    if any(row[n] != row[have[0]] for n in have):
        raise DataError(
            f"{' and '.join(map(repr, have))} could each be the {ours}, and they differ", hint=f"--map {ours}={have[0]}"
        )
    return (have[0], row[have[0]]) if have else (None, None)


def rest(row: Mapping[str, Any], used: Collection[str | None], ours: Collection[str]) -> dict[str, Any]:
    """The fields that a format does not use, for `extra`. One that bears a name of our records is "source.<name>"."""
    return {f"source.{k}" if k in ours else k: v for k, v in row.items() if k not in used}


def add_score(step: Step, name: str, value: float) -> None:
    """A score that somebody else gave a step, as evidence. A name that means something else here is "score.<name>", a
    second score of one name "<name>.2"."""
    known = column(name)
    if name in FIELDS or (known is not None and (known.axis != "S" or known.kind != "float")):
        name = f"score.{name}"
    free, n = name, 1
    while free in step.evidence:
        free = f"{name}.{(n := n + 1)}"
    step.evidence[free] = value


def literal(value: object, name: str) -> Any:
    """The value itself, or what its text means as a Python literal (data only; nothing is run)."""
    if not isinstance(value, str):
        return value
    if len(value) > _LONGEST_LITERAL:
        raise DataError(
            f"field {name!r} is too long to read", got=f"{len(value)} characters", expected=_LONGEST_LITERAL
        )
    try:
        return msgspec.to_builtins(ast.literal_eval(value), str_keys=True)  # as JSON has it: a set is a list
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        raise DataError(f"field {name!r} is no Python literal", got=value, expected="an object, or its text") from None
