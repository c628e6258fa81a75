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
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_PACKED = (_GZIP, _ZSTD)
_LAST = 4096
"""Bytes of the last row by which a file that grew is known again."""


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
    rollout: str | None

    @classmethod
    def of(cls, row: "_Row | Mapping[str, Any]") -> Self:
        """Of a whole row, or of what was read of it."""
        get = row.get if isinstance(row, Mapping) else lambda name: getattr(row, name, None)
        prompt, task = get("prompt"), get("task")
        named = next((str(v) for v in (task, get("group")) if v not in (None, "")), "")
        rollout = get("rollout")
        told = prompt if isinstance(prompt, str) and prompt.strip() else named
        kind, system, size = get("kind"), get("system"), len(get("nodes") or ())
        return cls(
            kind if kind in _KINDS else "search",
            (brief(told) or "tree")[:_TITLE],
            size,
            None if system is None else str(system),
            None if rollout is None else str(rollout)[:_TITLE],
        )


class TreeFile:
    """A file of trees, which may still grow. A row that is none, as the last one of a file that is being written, is
    counted and passed over.

    Args:
        before: the file as it was: where it has only grown, what is new of it is read alone.

    Attributes:
        listed: its trees. bad: rows that are none. error: why it cannot be read. read: bytes that were read for this.
    """

    _known: ClassVar[dict[Path, "TreeFile"]] = {}

    def __init__(self, path: Path, before: "TreeFile | None" = None) -> None:
        self.path, self.stamp = path, _stamp(path)
        self.listed: list[Listed] = []
        self.error: str | None = None
        self.read = self._end = self._bad = 0
        self._torn = False
        self._at: list[int] = []
        self._last = b""
        try:
            with placed(path):
                if before is not None and self._goes_on(before):
                    self.listed, self._at, self._bad = list(before.listed), list(before._at), before._bad
                    self._end, self._last = before._end, before._last
                self._take()
        except (DataError, EOFError, zlib.error) as error:
            self.error = str(error) or "the file ends early"

    @property
    def bad(self) -> int:
        return self._bad + self._torn

    @classmethod
    def of(cls, path: Path) -> "TreeFile":
        """The file as it is now; what is known of it is kept."""
        path = Path(path)
        known = cls._known.get(path)
        if known is None or known.stamp != _stamp(path):
            if len(cls._known) > 100:
                cls._known.clear()
            known = cls._known[path] = cls(path, known)
        return known

    def _take(self) -> None:
        """The rows after those that are known."""
        decode = msgspec.json.Decoder(_Row).decode
        for at, line in self._lines(self._end):
            self.read += len(line)
            if len(self.listed) >= TREES:
                break
            try:
                one = Listed.of(decode(line)) if line.strip() else None
            except (ValueError, RecursionError):
                if not line.endswith(b"\n"):  # it may still be being written
                    self._torn = True
                    break
                self._bad, one = self._bad + 1, None
            if one is not None:
                self.listed.append(one)
                self._at.append(at)
            self._end, self._last = at + len(line), line[-_LAST:]

    def _goes_on(self, before: "TreeFile") -> bool:
        """Whether the file of before is the beginning of this one."""
        if before.error or not before._last or self.stamp[0] < before._end:
            return False
        with self.path.open("rb") as raw:
            if raw.read(4).startswith(_PACKED):
                return False
            raw.seek(before._end - len(before._last))
            self.read += len(before._last)
            return raw.read(len(before._last)) == before._last

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
            if magic.startswith(_GZIP):
                stream = gzip.GzipFile(fileobj=raw)
            elif magic == _ZSTD:
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
