"""The part of a trainer's checkpoint that is ours, and whether the checkpoint is whole."""

import json
import re
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stepcredit.credit import get
from stepcredit.errors import DataError, StepCreditError
from stepcredit.integrations._padded import Assigner

FILE = "stepcredit.json"
_WEIGHTS, _ZIPPED = (".safetensors",), (".pt", ".pth", ".bin")


def save(folder: Path, assigner: Assigner, calls: int) -> None:
    """Write what is needed to go on: the method, every option it runs with, how often it was called."""
    state = {**described(assigner), "calls": calls}
    (folder / FILE).write_text(json.dumps(state, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def load(folder: Path, assigner: Assigner, *, change: bool) -> int:
    """How often the method was called until the checkpoint was written.

    Args:
        change: whether the run may go on by another method or with other options.

    Raises:
        StepCreditError: the checkpoint is of another method, or of other options. DataError: the file cannot be read.
    """
    file, now = folder / FILE, described(assigner)
    if not file.exists():
        if change:
            return 0
        raise StepCreditError(
            f"{folder} holds no {FILE}: it was trained without stepcredit",
            hint='credit_resume="change" goes on from it by this method',
        )
    try:
        was = json.loads(file.read_text(encoding="utf-8"))
        calls = int(was.pop("calls"))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise _cut(file, folder) from None
    # Through JSON, as what was saved: 1.0 and 1 are the same option.
    differs = {n: (was.get(n), v) for n, v in json.loads(json.dumps(now)).items() if was.get(n) != v}
    if differs and not change:
        if isinstance(differs.get("options", (0, 0))[0], dict):
            old, new = differs.pop("options")
            differs |= {n: (old.get(n), new.get(n)) for n in (*old, *new) if old.get(n) != new.get(n)}
        said = "; ".join(f"{n} was {a!r}, is {b!r}" for n, (a, b) in differs.items())
        raise StepCreditError(
            f"{folder} is of another credit: {said}",
            hint='give the run what it had, or say that it changes: credit_resume="change"',
        )
    return calls


def described(assigner: Assigner) -> dict[str, Any]:
    """Method, base and options, the defaults and the preset's included, as JSON can hold them."""
    found = get(assigner.method)
    options = {**found.options, **found.check_options(assigner.options)}
    return {
        "method": found.base,
        "options": {n: _plain(v) for n, v in sorted(options.items())},
        "reward": assigner.reward,
    }


def _plain(value: Any) -> Any:
    if callable(value):
        return f"{value.__module__}.{value.__qualname__}"
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(v) for v in value]
    return value if isinstance(value, str | int | float | bool | None) else repr(value)


def whole(folder: Path) -> None:
    """See that no file of a checkpoint is cut short, by its head and its end; the numbers are not read.

    Raises:
        DataError: names the file, and the checkpoint before this one.
    """
    if not folder.is_dir():
        raise DataError("no checkpoint here", file=folder)
    for file in sorted(p for p in folder.iterdir() if p.is_file()):
        if file.suffix == ".json":
            good = _json(file)
        elif file.suffix in _WEIGHTS:
            good = _tensors(file)
        else:
            good = file.suffix not in _ZIPPED or zipfile.is_zipfile(file)
        if not good:
            raise _cut(file, folder)


def _json(file: Path) -> bool:
    try:
        json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        return False
    return True


def _tensors(file: Path) -> bool:
    """A safetensors file: 8 bytes of length, that much JSON, and the bytes that the JSON promises."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        head = stream.read(8)
        if len(head) < 8:
            return False
        (length,) = struct.unpack("<Q", head)
        if 8 + length > size:
            return False
        try:
            promised = json.loads(stream.read(length))
        except ValueError:
            return False
    ends = [entry["data_offsets"][1] for name, entry in promised.items() if name != "__metadata__"]
    return bool(size == 8 + length + max(ends, default=0))


def _cut(file: Path, folder: Path) -> DataError:
    step = _step(folder)
    older = [
        p for p in folder.parent.glob("checkpoint-*") if p.is_dir() and step is not None and -1 < _number(p) < step
    ]
    before = max(older, key=_number, default=None)
    return DataError(
        "is cut short or damaged",
        file=file,
        hint=f"resume_from_checkpoint={str(before)!r}, the checkpoint before it"
        if before
        else "there is no checkpoint before it: start anew",
    )


def _step(folder: Path) -> int | None:
    number = _number(folder)
    return None if number < 0 else number


def _number(folder: Path) -> int:
    found = re.fullmatch(r"checkpoint-(\d+)", folder.name)
    return int(found[1]) if found else -1
