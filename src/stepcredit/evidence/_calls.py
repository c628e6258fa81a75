"""Tool calls as things that can be compared."""

import json
import unicodedata
from collections.abc import Mapping
from typing import Any, NamedTuple

from stepcredit.data.records import ToolCall
from stepcredit.errors import DataError

PARAMETERS = ("arguments", "parameters", "kwargs", "args")
DEEPEST = 64
_BARE = (bool, int, float)
_OBJECT = (dict, Mapping)  # the common case first: to ask for an abstract class is slow


class Call(NamedTuple):
    """A call read: parameters is None where what the model wrote is no object."""

    name: str
    parameters: Mapping[str, Any] | None


def read(call: ToolCall) -> Call:
    """A call of a record; arguments given as text are read as JSON, no arguments are none."""
    return Call(call.name, _parameters(call.arguments))


def read_gold(given: Any, who: str) -> list[Call]:
    """Reference calls: a list (or its JSON text) of objects with a name and parameters, which may be called arguments,
    parameters, kwargs or args, and may stand under "function".

    Raises:
        DataError: something else.
    """
    listed = _json(given) if isinstance(given, str) else given
    if not isinstance(listed, list | tuple):
        raise DataError(
            f"{who} needs a list of reference calls", got=given, expected='[{"name": ..., "arguments": {}}]'
        )
    out = []
    for one in listed:
        inner = one.get("function", one) if isinstance(one, Mapping) else None
        if isinstance(one, ToolCall):
            found = read(one)
        elif isinstance(inner, Mapping) and isinstance(inner.get("name"), str):
            found = Call(inner["name"], _parameters(next((inner[p] for p in PARAMETERS if p in inner), None)))
        else:
            found = Call("", None)
        if found.parameters is None:
            raise DataError("a reference call must have a name and an object of parameters", got=one)
        out.append(found)
    return out


def plain(value: Any, depth: int = DEEPEST) -> Any:
    """A JSON value in which texts that look alike are equal: Unicode NFKC, runs of blanks made one.

    >>> plain({"ｑ": ["  two  words"]})
    {'q': ['two words']}
    """
    if isinstance(value, str):
        return " ".join((value if value.isascii() else unicodedata.normalize("NFKC", value)).split())
    if value is None or isinstance(value, _BARE):
        return value
    if depth and isinstance(value, _OBJECT):
        return {plain(str(k)): plain(v, depth - 1) for k, v in value.items()}
    if depth and isinstance(value, list | tuple):
        return [plain(v, depth - 1) for v in value]
    return value


def _parameters(arguments: Any) -> Mapping[str, Any] | None:
    if arguments is None:
        return {}
    if isinstance(arguments, str):
        arguments = _json(arguments) if arguments.strip() else {}
    return arguments if isinstance(arguments, _OBJECT) else None


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
