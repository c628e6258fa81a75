"""Files of trees, one row each: where rows stand, so that a tree is read when it is looked at and never all of them."""

import gzip
import io
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import msgspec

from stepcredit.app.view.rows import brief
from stepcredit.data.storage import placed
from stepcredit.errors import DataError

TREES = 100_000
"""Most trees of a file that are listed."""
_TITLE = 160
_KINDS = ("search", "label")


class _Node(msgspec.Struct):
    """Any node: counted, not read."""


class _Row(msgspec.Struct):
    """What the list of trees says of a row."""

    nodes: list[_Node]
    task: Any = None
    group: Any = None
    rollout: Any = None
    prompt: Any = None
    kind: Any = None
    system: Any = None


class Listed(msgspec.Struct, frozen=True):
    """A tree in the list."""

    kind: str
    title: str
    nodes: int
    system: str | None

    @classmethod
    def of(cls, row: "_Row | Mapping[str, Any]") -> Self:
        """Of a whole row, or of what was read of it."""
        get = row.get if isinstance(row, Mapping) else lambda name: getattr(row, name, None)
        prompt, task = get("prompt"), get("task")
        named = next((str(v) for v in (task, get("group")) if v not in (None, "")), "")
        rollout = get("rollout")
        told = prompt if isinstance(prompt, str) and prompt.strip() else named
        title = (brief(told) or "tree")[:_TITLE] + ("" if rollout is None else f" / {rollout}"[:_TITLE])
        kind, system = get("kind"), get("system")
        size = len(get("nodes") or ())
        return cls(kind if kind in _KINDS else "search", title, size, None if system is None else str(system))


class TreeFile:
    """A file of trees, which may still grow. A row that is none, as the last one of a file that is being written, is
    counted and passed over.

    Attributes:
        listed: its trees. bad: rows that are none. error: why it cannot be read.
    """

    _known: ClassVar[dict[Path, "TreeFile"]] = {}

    def __init__(self, path: Path) -> None:
        self.path, self.stamp = path, _stamp(path)
        self.listed: list[Listed] = []
        self.bad = 0
        self.error: str | None = None
        self._at: list[int] = []
        decode = msgspec.json.Decoder(_Row).decode
        try:
            with placed(path):
                for at, line in self._lines(0):
                    if not line.strip():
                        continue
                    try:
                        one = Listed.of(decode(line))
                    except (ValueError, RecursionError):
                        self.bad += 1
                        continue
                    self.listed.append(one)
                    self._at.append(at)
                    if len(self.listed) >= TREES:
                        break
        except (DataError, EOFError, zlib.error) as error:
            self.error = str(error) or "the file ends early"

    @classmethod
    def of(cls, path: Path) -> "TreeFile":
        """The file as it is now; what is known of it is kept."""
        path = Path(path)
        known = cls._known.get(path)
        if known is None or known.stamp != _stamp(path):
            if len(cls._known) > 100:
                cls._known.clear()
            known = cls._known[path] = cls(path)
        return known

    def row(self, place: int) -> dict[str, Any] | None:
        """A whole row."""
        if not 0 <= place < len(self._at):
            return None
        try:
            with placed(self.path):
                _, line = next(self._lines(self._at[place]))
            row: dict[str, Any] = msgspec.json.decode(line, type=dict[str, Any])
        except (ValueError, StopIteration):  # another file took its place just now
            return None
        return row

    def _lines(self, start: int) -> Iterator[tuple[int, bytes]]:
        """(where it begins, line) from `start` on, in bytes of what is not compressed."""
        with self.path.open("rb") as raw:
            magic = raw.read(4)
            raw.seek(0)
            stream: Any = raw
            if magic.startswith(b"\x1f\x8b"):
                stream = gzip.GzipFile(fileobj=raw)
            elif magic == b"\x28\xb5\x2f\xfd":
                stream = _unpacked(raw, start)
            if stream.seekable():
                stream.seek(start)
            at = start
            for line in stream:
                yield at, line
                at += len(line)


def _unpacked(raw: Any, start: int) -> Any:
    """What zstd packed, from `start` on: what stands before can only be read past."""
    import pyarrow as pa

    stream = io.BufferedReader(pa.CompressedInputStream(raw, "zstd"))
    while start > 0:
        start -= len(stream.read(min(start, 1 << 20)))
    return stream


def _stamp(path: Path) -> tuple[int, int]:
    try:
        told = path.stat()
    except OSError:
        return 0, 0
    return told.st_size, told.st_mtime_ns
