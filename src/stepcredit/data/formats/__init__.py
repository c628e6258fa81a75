"""File formats. A file in this folder is a format; so is a module behind an entry point `stepcredit.formats`.

A format module holds
- a docstring: what becomes group, rollout, step, state and outcome, and what is not known;
- `FIELDS`: names of the fields that it reads;
- `fits(first, path) -> bool`: does the first row of a file look like this format? Never raises;
- `rollouts(rows, **options) -> Iterator[Rollout]`: keyword-only options with defaults. Each row is read inside
  `with rows.guard(row):`, so that an error is placed, and raised or listed as the caller chose;
- optionally `NAN_IS_NULL = True`: its writer puts the literals NaN and Infinity into JSON; `CHECKED = True`: its
  rollouts are checked as they are made; `sizes(rows)`: group and number of steps of each row, at little cost.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol, cast, get_type_hints

import msgspec

from stepcredit.data.records import Rollout
from stepcredit.errors import DataError, StepCreditError, UnknownName
from stepcredit.plugins import OpenSet

_SET = OpenSet("format", __name__, "stepcredit.formats")


class Format(Protocol):
    """What a format module offers."""

    FIELDS: tuple[str, ...]
    rollouts: Callable[..., Iterator[Rollout]]

    def fits(self, first: Mapping[str, Any], path: str) -> bool: ...


def names() -> list[str]:
    """Built-in formats and those of installed plug-ins, sorted."""
    return _SET.names()


def get(name: str) -> Format:
    """The format of this name.

    Raises:
        UnknownName
    """
    return cast(Format, _SET.load(name))


def known() -> dict[str, Format]:
    """All formats by name, loaded."""
    return {name: get(name) for name in names()}


def detect(first: Mapping[str, Any], path: str, among: Mapping[str, Format] | None = None) -> str:
    """The one format that a first row fits.

    Args:
        among: `known()`, by who asks for many files: to look for plug-ins takes longer than to read a small file.

    Raises:
        DataError: none fits, or several do; names the formats and the fields seen.
    """
    among = known() if among is None else among
    fitting = [name for name, module in among.items() if module.fits(first, path)]
    if len(fitting) == 1:
        return fitting[0]
    raise DataError(
        f"several formats fit: {', '.join(fitting)}" if fitting else "no format fits",
        file=path,
        got=f"fields {', '.join(map(str, first)) or 'none'}",
        expected=f"one of the formats {', '.join(among)}",
        hint="say which: --format <name>; rename fields: --map group=<field>, --map rollout=<field>; else make "
        "stepcredit.Rollout records of the rows in Python, and stepcredit.write them",
    )


def options(name: str) -> dict[str, Any]:
    """Names and defaults of a format's options."""
    parameters = inspect.signature(get(name).rollouts).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


def converted(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a format, numbers also as text ("8").

    Raises:
        UnknownName: no such option. StepCreditError: a value that it does not take.
    """
    accepted, hints = options(name), get_type_hints(get(name).rollouts)
    out = {}
    for option, value in given.items():
        if option not in accepted:
            raise UnknownName(f"option of format {name!r}", option, accepted)
        try:
            out[option] = msgspec.convert(value, hints.get(option, Any), strict=False)
        except msgspec.ValidationError as error:
            raise StepCreditError(f"option {option}={value!r} of format {name!r}: {error}") from None
    return out
