"""What the importers of traces share: times, counts, groups by opening, names of rollouts, steps out of messages."""

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain, count, groupby
from pathlib import PurePath
from typing import Any, NamedTuple

from stepcredit.data.formats._fields import number
from stepcredit.data.records import Message, Origin, Rollout
from stepcredit.data.rows import Rows
from stepcredit.data.storage import Row
from stepcredit.errors import DataError

OUTCOMES = ("outcome", "reward", "score", "correct", "success", "passed", "resolved", "is_correct")
BY_OPENING = "no field names the task: runs with the same opening are one group; others: --map group=<field>"
UNNAMED = ""  # a group or rollout that its file does not name
_SUFFIXES = {".gz", ".zst", ".json", ".jsonl", ".ndjson", ".parquet", ".traj", ".eval"}
_LARGEST = 2**63 - 1
_LATEST = 1e11  # seconds; larger numbers are milliseconds, then micro- and nanoseconds


class Made(NamedTuple):
    """A rollout and the row that it came from; its group and rollout may be `UNNAMED`.

    wish: a name for a rollout without one, if no other of the group has it.
    """

    row: Row
    rollout: Rollout
    wish: str | int | None = None


def named(rows: Rows, made: Iterable[Made]) -> Iterator[Rollout]:
    """The rollouts, each with a name: its own; else its wish; else the stem of a file with no other; else a number.

    A group without a name is named after the file, so that such a rollout stands alone.
    """
    attempts: Counter[str | int] = Counter()
    taken: set[tuple[str | int, str | int]] = set()
    for file, found in groupby(made, key=lambda one: one.row.file):
        head = [one for _, one in zip(range(2), found, strict=False)]
        for row, rollout, wish in chain(head, found):
            if rollout.group == UNNAMED:
                rollout.group = stem(file) if len(head) == 1 else f"{stem(file)}/{row.number}"
            group = rollout.group
            if rollout.rollout == UNNAMED and wish is not None and (group, wish) not in taken:
                rollout.rollout = wish
            elif rollout.rollout == UNNAMED and len(head) == 1 and not file.startswith("<"):
                rollout.rollout = _name(file, group, taken)
            elif rollout.rollout == UNNAMED:
                rollout.rollout = next(n for n in count(attempts[group]) if (group, n) not in taken)
            attempts[group] += 1
            taken.add((group, rollout.rollout))
            rows.at = row
            yield rollout


def stem(file: str) -> str:
    """The name of a file without its folder and the endings of data files.

    >>> stem("runs/gpt-4.1_a.json.gz")
    'gpt-4.1_a'
    """
    path = PurePath(file)
    while path.suffix in _SUFFIXES:
        path = path.with_suffix("")
    return path.name or file


def _name(file: str, group: str | int, taken: set[tuple[str | int, str | int]]) -> str:
    """The stem; where another rollout of the group has it, with as many folders before it as tell them apart."""
    parts = (*PurePath(file).parts[:-1], stem(file))
    names = ("/".join(parts[-n:]) for n in range(1, len(parts) + 1))
    return next((n for n in names if (group, n) not in taken), file)


def by_opening(context: Sequence[Message], rows: Rows) -> str:
    """A group for runs whose file names no task: short hash of the messages before the first step, if there are any."""
    said = [(m.role, m.content) for m in context if m.content]
    if not said:
        return UNNAMED
    rows.note(BY_OPENING)
    return digest(repr(said))


def digest(text: str) -> str:
    """Ten hexadecimal digits that stand for a text."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=5).hexdigest()


def outcome_of(row: Mapping[str, Any], names: Sequence[str] = OUTCOMES) -> tuple[str | None, float | None]:
    """The field of the outcome and its number: `outcome`, else the one of its usual names that the row has.

    Raises:
        DataError: two of them differ; a value that is no number.
    """
    if names[0] in row:
        return names[0], number(row[names[0]], names[0])
    have = [n for n in names if row.get(n) is not None]
    if any(row[n] != row[have[0]] for n in have):
        raise DataError(
            f"{' and '.join(map(repr, have))} could each be the outcome, and they differ",
            hint=f"--map outcome={have[0]}",
        )
    if not have:
        return next((n for n in names if n in row), None), None
    return have[0], number(row[have[0]], have[0])


def seconds(value: object) -> float | None:
    """Seconds since 1970 of a time as text (ISO 8601; without a zone: UTC) or number; None: it is no time."""
    if isinstance(value, str):
        try:
            time = datetime.fromisoformat(value.strip())
            return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            return None
    amount = real(value)
    while amount is not None and amount > _LATEST:
        amount /= 1000
    return amount


def real(value: object) -> float | None:
    """A finite number, not negative; None: it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if value >= 0 and math.isfinite(value) else None
    except OverflowError:
        return None


def whole(value: object) -> int | None:
    """A count; None: it is none."""
    amount = real(value)
    return int(amount) if amount is not None and amount == int(amount) <= _LARGEST // 2 else None


def a_str(value: object) -> str | None:
    """The value if it is text that is not empty."""
    return value if isinstance(value, str) and value else None


def a_map(value: object) -> Mapping[str, Any]:
    """The value if it is an object; else an empty one."""
    return value if isinstance(value, Mapping) else {}


def a_list(value: object, name: str) -> list[Any]:
    """The value if it is a list; an empty one for null.

    Raises:
        DataError: anything else.
    """
    if value is None:
        return []
    if isinstance(value, list):
        return value
    raise DataError(f"field {name!r} must be a list", got=value, expected="[...]")


def need_map(value: object, name: str) -> Mapping[str, Any]:
    """The value, which must be an object.

    Raises:
        DataError
    """
    if isinstance(value, Mapping):
        return value
    raise DataError(f"{name} must be an object", got=value, expected="{...}")


def origin(**facts: Any) -> Origin | None:
    """What is known of where a step stood; None: nothing."""
    known = {k: v for k, v in facts.items() if v is not None}
    return Origin(**known) if known else None
