"""Records to files. A file appears when it is whole: a kill or a full disk leaves what was there before."""

import gzip
import math
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import msgspec

from stepcredit.data.batch import Batch
from stepcredit.data.records import Rollout, check, rollout_to_dict
from stepcredit.data.storage import placed
from stepcredit.errors import DataError

_LINES = (".jsonl", ".ndjson")
_ROW_GROUP = 1 << 16  # rollouts + steps + tokens


class Writer:
    """Writes rollouts to one file, batch by batch; a context manager.

        with Writer("credited.jsonl.gz") as out:
            for batch in stream("runs.jsonl"):
                out.write(batch)

    The suffix decides: .jsonl, .jsonl.gz, .jsonl.zst or .parquet. Equal rollouts give equal bytes, however they are
    cut into batches. The file takes its name at the end of the block; after an error there is none.

    Raises:
        DataError: unknown suffix; nothing written; a value that JSON cannot hold; the folder is missing or read-only,
            the disk is full.
    """

    def __init__(self, path: str | Path) -> None:
        self._file = _NewFile(path, "rollouts")
        self._parquet = Path(path).suffix == ".parquet"
        if not self._parquet:
            _check_lines(path, ".parquet")
        self._sink: Any = None
        self._waiting: list[dict[str, Any]] = []
        self._weight = 0

    def __enter__(self) -> Self:
        file = self._file.open()
        self._sink = _table(file) if self._parquet else _lines(file, self._file.path)
        return self

    def write(self, what: Batch | Iterable[Rollout]) -> None:
        """Add the rollouts of a batch, or rollouts."""
        for rollout in what.to_records() if isinstance(what, Batch) else what:
            check(rollout, file=self._file.path)
            try:
                if self._parquet:
                    self._add_row(rollout)
                else:
                    line = msgspec.json.encode(rollout_to_dict(rollout)) + b"\n"
            except (UnicodeEncodeError, TypeError, ValueError, OverflowError, RecursionError) as error:
                raise DataError(
                    f"cannot be written: {error}", file=self._file.path, rollout=rollout.rollout, expected="JSON values"
                ) from None
            self._file.count += 1
            if not self._parquet:
                with placed(self._file.path):
                    self._sink.write(line)
            elif self._weight >= _ROW_GROUP:
                self._flush()

    def _add_row(self, rollout: Rollout) -> None:
        from stepcredit.data.parquet import from_json

        self._waiting.append(from_json(msgspec.to_builtins(rollout)))
        self._weight += 1 + sum(1 + (0 if s.tokens is None else s.tokens.count()) for s in rollout.steps)

    def _flush(self) -> None:
        import pyarrow as pa

        from stepcredit.data.parquet import schema

        try:
            table = pa.Table.from_pylist(self._waiting, schema=schema())
        except (pa.ArrowException, UnicodeEncodeError, OverflowError, TypeError) as error:
            raise DataError(f"cannot be written as Parquet: {error}", file=self._file.path) from None
        with placed(self._file.path):
            self._sink.write_table(table, row_group_size=max(table.num_rows, 1))
        self._waiting, self._weight = [], 0

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if kind is None and self._waiting:
                self._flush()
        except BaseException:
            kind = BaseException
            raise
        finally:
            _finish(self._file, self._sink, kind)


def write(what: Batch | Iterable[Rollout], path: str | Path) -> None:
    """Write rollouts to one file: .jsonl, .jsonl.gz, .jsonl.zst or .parquet. `read` gives them back. See `Writer`."""
    with Writer(path) as out:
        out.write(what)


def write_text(text: str, path: str | Path) -> None:
    """Write one text as a file that appears whole or not at all; a device or pipe is written to.

    Raises:
        DataError: the folder is missing or read-only, the disk is full.
    """
    file = _NewFile(path, "text")
    try:
        with placed(file.path):
            file.open().write(text.encode())
        file.count = 1
        file.keep()
    finally:
        file.drop()


class LineWriter:
    """JSON objects to a file of lines, one by one; a context manager. As `Writer`: .jsonl, .jsonl.gz or .jsonl.zst, and
    the file takes its name at the end of the block.

    Args:
        what: the rows are, for errors.

    Raises:
        DataError: unknown suffix; nothing written; a value that JSON cannot hold; the folder is missing or read-only,
            the disk is full.
    """

    def __init__(self, path: str | Path, what: str) -> None:
        _check_lines(path)
        self._file = _NewFile(path, what)
        self._sink: Any = None

    def __enter__(self) -> Self:
        self._sink = _lines(self._file.open(), self._file.path)
        return self

    def write(self, row: Any) -> None:
        """Add a row."""
        try:
            line = msgspec.json.encode(row) + b"\n"
        except (UnicodeEncodeError, TypeError, ValueError, OverflowError, RecursionError) as error:
            raise DataError(f"cannot be written: {error}", file=self._file.path, expected="JSON values") from None
        self._file.count += 1
        with placed(self._file.path):
            self._sink.write(line)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        _finish(self._file, self._sink, kind)


class AdvantageWriter:
    """Advantages of sampled tokens for a trainer, one line per row of its tensors; a context manager.

        {"row": 0, "group": "p1", "rollout": 0, "advantages": [0.5, null]}

    The suffix is .jsonl, .jsonl.gz or .jsonl.zst; the file takes its name at the end of the block.

    Raises:
        DataError: unknown suffix; nothing written; an infinite number; the folder is missing or read-only, the disk is
            full.
    """

    def __init__(self, path: str | Path) -> None:
        _check_lines(path)
        self._file = _NewFile(path, "advantages")
        self._sink: Any = None

    def __enter__(self) -> Self:
        self._sink = _lines(self._file.open(), self._file.path)
        return self

    def write(self, rows: Iterable[tuple[Any, Any, Iterable[float | None]]]) -> None:
        """Add rows: group, rollout, a number per token (None or NaN, which is no advantage at all, as null)."""
        for group, rollout, values in rows:
            line = {"row": self._file.count, "group": group, "rollout": rollout, "advantages": list(_or_null(values))}
            self._file.count += 1
            with placed(self._file.path):
                self._sink.write(msgspec.json.encode(line) + b"\n")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        _finish(self._file, self._sink, kind)


def _finish(file: "_NewFile", sink: Any, failed: object) -> None:
    """Close; the file takes its name unless something failed."""
    try:
        if failed is None:
            with placed(file.path):
                sink.close()
            file.keep()
    finally:
        with suppress(Exception):
            sink.close()
        file.drop()


def _or_null(values: Iterable[float | None]) -> Iterator[float | None]:
    for value in values:
        number = math.nan if value is None else float(value)
        if math.isinf(number):
            raise DataError("an advantage is not finite", got=number, expected="a number, or NaN for none")
        yield None if math.isnan(number) else number


class _NewFile:
    """A file that takes its name when it is kept; until then a hidden one beside it."""

    def __init__(self, path: str | Path, what: str, hint: str | None = None) -> None:
        self.path, self._what, self._hint = Path(path), what, hint
        self.count = 0
        self._file: BinaryIO | None = None
        self._temporary: Path | None = None

    def open(self) -> BinaryIO:
        target = self.path.resolve()
        with placed(self.path):
            if not target.parent.is_dir():
                raise DataError("there is no such folder", file=self.path.parent, hint="make it first")
            if target.is_dir():
                raise DataError("is a folder", file=self.path, expected="the name of a file")
            if target.exists() and not target.is_file():  # a device or a pipe is written to, never replaced
                self._file = target.open("wb")
            else:
                self._temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
                self._file = self._temporary.open("xb")
        return self._file

    def keep(self) -> None:
        if self._file is None:
            return
        if self.count == 0:
            raise DataError(f"there are no {self._what} to write", file=self.path, hint=self._hint)
        with placed(self.path):
            self._file.flush()
            if self._temporary is not None:
                os.fsync(self._file.fileno())
                self._file.close()
                self._temporary.replace(self.path.resolve())
                self._temporary = None

    def drop(self) -> None:
        """Close; remove what was not kept."""
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
        if self._temporary is not None:
            self._temporary.unlink(missing_ok=True)


def _check_lines(path: str | Path, *also: str) -> None:
    suffixes = Path(path).suffixes
    packed = suffixes[-1:] in ([".gz"], [".zst"])
    if suffixes[-2 if packed else -1 :][:1] not in ([s] for s in _LINES):
        raise DataError(
            "the name does not say what to write",
            file=path,
            expected=f"a suffix: {', '.join(('.jsonl', '.jsonl.gz', '.jsonl.zst', *also))}",
        )


def _lines(file: BinaryIO, path: Path) -> Any:
    """What JSON lines are written to: the file, or a compressor on top. Both give equal bytes for equal lines."""
    if path.suffix == ".gz":
        return gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0, compresslevel=6)
    if path.suffix == ".zst":
        import pyarrow as pa

        return pa.CompressedOutputStream(pa.PythonFile(_Open(file), mode="w"), "zstd")
    return _Open(file)


class _Open:
    """A file whose closing is left to its owner."""

    closed = False

    def __init__(self, file: BinaryIO) -> None:
        self.write, self.flush = file.write, file.flush

    def close(self) -> None:
        """Nothing: the owner flushes and closes."""


def _table(file: BinaryIO) -> Any:
    import pyarrow.parquet as pq

    from stepcredit.data.parquet import schema

    return pq.ParquetWriter(file, schema(), compression="zstd")
