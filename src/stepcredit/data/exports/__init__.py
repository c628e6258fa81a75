"""What was found out, for other tools. A file in this folder is an export; so is a module behind an entry point
`stepcredit.exports`.

An export module holds
- a docstring: what is written, and what is not;
- `SUFFIXES`: of the files that it writes, without .gz and .zst;
- `lines(rollouts, **options) -> Iterator[bytes]`: the lines of the file, without their ends; keyword-only options with
  defaults.
"""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, cast, get_type_hints

import msgspec

from stepcredit.data.batch import Batch
from stepcredit.data.records import Rollout, check
from stepcredit.data.storage import placed
from stepcredit.data.writing import _finish, _lines, _NewFile
from stepcredit.errors import DataError, StepCreditError, UnknownName
from stepcredit.plugins import OpenSet

_SET = OpenSet("export", __name__, "stepcredit.exports")


class Export(Protocol):
    """What an export module offers."""

    SUFFIXES: tuple[str, ...]
    lines: Callable[..., Iterator[bytes]]


def names() -> list[str]:
    """Built-in exports and those of installed plug-ins, sorted."""
    return _SET.names()


def get(name: str) -> Export:
    """The export of this name.

    Raises:
        UnknownName
    """
    return cast(Export, _SET.load(name))


def export(
    rollouts: Batch | Iterable[Rollout],
    path: str | Path,
    name: str,
    *,
    change: Callable[[Rollout], Rollout] | None = None,
    **options: Any,
) -> int:
    """Write rollouts as another tool reads them, one by one; returns the number of lines.

    The file takes its name when it is whole; after an error there is none.

    Args:
        name: of the export. options: its own.
        change: applied to every rollout first: what takes secrets out, say.

    Raises:
        UnknownName: no such export or option.
        DataError: a suffix that it does not write; nothing to write; the folder is missing or read-only, the disk is
            full.
    """
    module = get(name)
    given = _options(module, name, options)
    _check_suffix(path, module.SUFFIXES)
    each: Iterable[Rollout] = rollouts.to_records() if isinstance(rollouts, Batch) else rollouts
    file = _NewFile(path, f"lines of {name}", "it tells of credit, evidence and blame: first assign -o or diagnose -o")
    sink: Any = None
    failed: object = BaseException
    try:
        sink = _lines(file.open(), file.path)
        for line in module.lines(_ready(each, change, path), **given):
            file.count += 1
            with placed(file.path):
                sink.write(line + b"\n")
        failed = None
    except (UnicodeEncodeError, TypeError, OverflowError, RecursionError) as error:
        raise DataError(f"cannot be written: {error}", file=path, expected="JSON values") from None
    finally:
        _finish(file, sink, failed) if sink is not None else file.drop()
    return file.count


def options(name: str) -> dict[str, Any]:
    """Names and defaults of an export's options."""
    parameters = inspect.signature(get(name).lines).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


def as_json(value: Any) -> bytes:
    """A value as one line of JSON."""
    return msgspec.json.encode(value)


def _ready(
    rollouts: Iterable[Rollout], change: Callable[[Rollout], Rollout] | None, path: str | Path
) -> Iterator[Rollout]:
    for rollout in rollouts:
        ready = rollout if change is None else change(rollout)
        check(ready, file=path)
        yield ready


def _options(module: Export, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Options of an export, numbers also as text."""
    known, hints = options(name), get_type_hints(module.lines)
    out = {}
    for option, value in given.items():
        if option not in known:
            raise UnknownName(f"option of export {name!r}", option, known)
        try:
            out[option] = msgspec.convert(value, hints.get(option, Any), strict=False)
        except msgspec.ValidationError as error:
            raise StepCreditError(f"option {option}={value!r} of export {name!r}: {error}") from None
    return out


def _check_suffix(path: str | Path, suffixes: tuple[str, ...]) -> None:
    plain = Path(path)
    if plain.suffix in (".gz", ".zst"):
        plain = plain.with_suffix("")
    if plain.suffix not in suffixes:
        raise DataError(
            "the name does not say what to write",
            file=path,
            expected=f"a suffix: {', '.join(suffixes)}, also .gz, .zst",
        )
