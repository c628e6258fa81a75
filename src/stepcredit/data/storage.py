"""Rows of files: JSON Lines, one JSON object, JSON arrays and Parquet, plain or compressed, on disk or from standard
input."""

import glob
import gzip
import io
import json
import re
import shutil
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, NoReturn

import msgspec

from stepcredit.data._inspect_zip import samples
from stepcredit.errors import DataError

Bad = Callable[[DataError], None]

_CHUNK = 1 << 18
_SUFFIXES = (".jsonl", ".ndjson", ".json", ".parquet", ".gz", ".zst", ".traj", ".eval")
_ZIP = b"PK\x03\x04"
_FOREIGN = {b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x80\x04": "a pickle"}
_NAN = re.compile(rb"[:\[,]\s*(NaN|-?Infinity)")
_BOM = b"\xef\xbb\xbf"
_SKIP = "or leave such rows out: --on-error skip"


class Row(NamedTuple):
    """One record of a file. number: the line of a JSON Lines file, else the position; both from 1. size: its bytes."""

    file: str
    number: int
    value: dict[str, Any]
    size: int = 0


@dataclass
class Source:
    """One file. Standard input ("-") and pipes are copied to disk first: they may be read twice."""

    path: Path | None
    name: str
    _copy: Any = field(default=None, repr=False)

    def open(self) -> BinaryIO:
        if self.path is not None and not self.path.is_fifo():
            return self.path.open("rb", buffering=_CHUNK)
        if self._copy is None:
            self._copy = tempfile.NamedTemporaryFile()  # noqa: SIM115 - lives as long as the source
            with nullcontext(sys.stdin.buffer) if self.path is None else self.path.open("rb") as given:
                self._fill(given)
        return Path(self._copy.name).open("rb", buffering=_CHUNK)

    def _fill(self, given: BinaryIO) -> None:
        try:
            shutil.copyfileobj(given, self._copy)
            self._copy.flush()
        except OSError as error:
            half, self._copy = self._copy, None
            with suppress(OSError):
                half.close()
            raise DataError(
                f"{error.strerror or error}, in the folder {tempfile.gettempdir()} to which it is copied",
                file=self.name,
                hint="is that disk full? TMPDIR=FOLDER takes another",
            ) from None


def sources(path: str | Path | Sequence[str | Path]) -> list[Source]:
    """The files that a path names: a file, "-", a folder (its data files; where it has none, those of the folders in
    it), a glob, or a list. Numbers sort as numbers.

    Raises:
        DataError: no such file, a folder without data files.
    """
    if not isinstance(path, str | Path):
        return [s for p in path for s in sources(p)]
    if str(path) == "-":
        return [Source(None, "<stdin>")]
    at = Path(path)
    if at.is_dir():
        found = _data_files(at.iterdir()) or _data_files(at.rglob("*"), at)
        if not found:
            raise DataError(
                "a folder without data files", file=path, expected=f"files ending in {', '.join(_SUFFIXES)}"
            )
    elif glob.has_magic(str(path)) and not at.exists():
        found = [Path(p) for p in glob.glob(str(path), recursive=True)]  # noqa: PTH207 - of a whole pattern
        if not found:
            raise DataError("no file matches", file=path)
    else:
        found = [at]
    return [Source(p, str(p)) for p in sorted(found, key=_natural)]


def _data_files(paths: Iterable[Path], within: Path | None = None) -> list[Path]:
    """Those with a suffix of ours; hidden ones, and those in hidden folders, are left out."""

    def hidden(path: Path) -> bool:
        return any(part.startswith(".") for part in (path.relative_to(within).parts if within else (path.name,)))

    return [p for p in paths if p.suffix in _SUFFIXES and not hidden(p) and p.is_file()]


def rows(source: str | Path | Source, *, bad: Bad | None = None, nan: bool = False) -> Iterator[Row]:
    """The rows of one file. What it holds is told by its first bytes, not by its name.

    Args:
        bad: called with the error of each row that cannot be used; default: raise it. A file that cannot be read at
            all (missing, empty, binary) always raises.
        nan: read the literals NaN and Infinity, which are no JSON, as null.

    Raises:
        DataError: names file and row.
    """
    if not isinstance(source, Source):
        source = Source(None, "<stdin>") if str(source) == "-" else Source(Path(source), str(source))
    name = source.name
    some = False

    def report(error: DataError) -> None:
        nonlocal some
        some = True
        (bad or _raise)(error)

    with placed(name), source.open() as raw:
        magic = raw.read(8)
        raw.seek(0)
        if not magic:
            raise DataError("the file is empty", file=name, expected="one JSON object a line, a JSON array or Parquet")
        if magic.startswith(b"PAR1"):
            yield from _parquet(raw, name, report)
            return
        if magic.startswith(_ZIP):
            for number, log, size in samples(raw, name, report):
                yield Row(name, number, log, size)
            return
        if Path(name).suffix.lower() in (".csv", ".tsv") and not magic.lstrip().startswith((b"{", b"[")):
            raise DataError(
                "a table of text, which does not say what is nested in it",
                file=name,
                expected="JSON Lines, JSON or Parquet",
                hint='pandas.read_csv(FILE).to_json(TO, orient="records", lines=True), columns of JSON decoded before',
            )
        stream = _unpacked(raw, magic, name)
        first = _head(stream, name)
        for row in _rows(first, stream, name, report, nan):
            some = True
            value: object = row.value
            if isinstance(value, dict):
                yield row
            else:
                report(DataError("a row must be an object", file=name, row=row.number, got=value, expected="{...}"))
        if not some:
            raise DataError("the file holds no rows", file=name)


@contextmanager
def placed(name: object) -> Iterator[None]:
    """Errors of the operating system as a DataError that names the file."""
    try:
        yield
    except FileNotFoundError:
        raise DataError("no such file", file=name, hint=_alike(Path(str(name)))) from None
    except IsADirectoryError:
        raise DataError("is a folder", file=name, expected="a file") from None
    except PermissionError:
        raise DataError("permission denied", file=name) from None
    except OSError as error:
        raise DataError(error.strerror or str(error), file=name) from None


def _alike(path: Path) -> str:
    near: list[str] = []
    with suppress(OSError):
        near = get_close_matches(path.name, [p.name for p in path.parent.iterdir()], 1)
    return f"did you mean {path.with_name(near[0])}?" if near else "is the path relative to another folder?"


def _unpacked(raw: BinaryIO, magic: bytes, name: str) -> Any:
    if magic.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=raw)
    if magic.startswith(b"\x28\xb5\x2f\xfd"):
        import pyarrow as pa

        return pa.CompressedInputStream(raw, "zstd")
    for start, kind in _FOREIGN.items():
        if magic.startswith(start):
            raise DataError(f"the file is {kind}", file=name, expected="JSON or Parquet, plain, .gz or .zst")
    return raw


def _head(stream: Any, name: str) -> bytes:
    """The first chunk, without a byte order mark."""
    try:
        first: bytes = stream.read1(_CHUNK)
    except (EOFError, zlib.error, OSError) as error:
        raise _broken(error, name, 1) from None
    if first.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError("the file is UTF-16", file=name, expected="UTF-8", hint="iconv -f UTF-16 -t UTF-8")
    if b"\0" in first[:4096]:
        raise DataError("the file is binary", file=name, got=first[:16], expected="JSON or Parquet")
    return first.removeprefix(_BOM)


def _rows(first: bytes, stream: Any, name: str, bad: Bad, nan: bool) -> Iterator[Row]:
    start = first.lstrip()
    if start.startswith(b"["):
        return _array(first, stream, name, bad, nan)
    line = start.partition(b"\n")[0].rstrip()
    if start.startswith(b"{") and b"\n" in start and not line.endswith(b"}"):
        return _object(first, stream, name, bad, nan)
    return _lines(first, stream, name, bad, nan)


def _object(first: bytes, stream: Any, name: str, bad: Bad, nan: bool) -> Iterator[Row]:
    """The one object of a file whose first line does not end it; lines, where it is none."""
    try:
        data = first + stream.read()
    except (EOFError, zlib.error, OSError) as error:
        raise _broken(error, name, 1) from None
    try:
        value = msgspec.json.decode(data)
    except (ValueError, RecursionError) as error:
        try:
            value = _slowly(data, error, nan)
        except DataError as problem:
            lines = data.rstrip().count(b"\n{") + 1
            if lines == 1:
                raise problem.at(file=name, row=1) from None
            yield from _lines(data, io.BytesIO(), name, bad, nan)
            return
    yield Row(name, 1, value, len(data))


def _lines(first: bytes, stream: Any, name: str, bad: Bad, nan: bool) -> Iterator[Row]:
    decode = msgspec.json.Decoder().decode
    number = 0
    try:
        for number, line in enumerate(_split(first, stream), 1):
            try:
                value = decode(line)
            except (ValueError, RecursionError) as error:
                if not line.strip():
                    continue
                try:
                    value = _slowly(line, error, nan)
                except DataError as problem:
                    bad(problem.at(file=name, row=number))
                    continue
            yield Row(name, number, value, len(line) + 1)
    except (EOFError, zlib.error, OSError) as error:
        bad(_broken(error, name, number + 1))


def _split(first: bytes, stream: Any) -> Iterator[bytes]:
    """Lines without their end; a line is as long as memory allows."""
    pending: list[bytes] = []
    chunk = first
    while chunk:
        head, *rest = chunk.split(b"\n")
        pending.append(head)
        if rest:
            yield b"".join(pending)
            yield from rest[:-1]
            pending = [rest[-1]]
        chunk = stream.read1(_CHUNK)
    if last := b"".join(pending):
        yield last


def _array(first: bytes, stream: Any, name: str, bad: Bad, nan: bool) -> Iterator[Row]:
    try:
        data = first + stream.read()
    except (EOFError, zlib.error, OSError) as error:
        raise _broken(error, name, 1) from None
    try:
        parts = msgspec.json.decode(data, type=list[msgspec.Raw])
        for number, part in enumerate(parts, 1):
            yield Row(name, number, msgspec.json.decode(part), len(bytes(part)))
    except (ValueError, RecursionError) as error:
        if isinstance(error, DataError):
            raise
        try:
            values = _slowly(data, error, nan)
        except DataError as problem:
            raise problem.at(file=name) from None
        for number, value in enumerate(values, 1):
            yield Row(name, number, value, len(data) // max(len(values), 1))


def _slowly(text: bytes, error: Exception, nan: bool) -> Any:
    """What the fast decoder refused, read by the slow one: for NaN where that is allowed, else to say what is wrong."""
    try:
        decoded = text.decode()
    except UnicodeDecodeError as wrong:
        raise DataError(
            f"invalid UTF-8 in column {wrong.start + 1}",
            got=wrong.object[wrong.start : wrong.start + 4],
            expected="UTF-8",
        ) from None
    found: list[str] = []
    try:
        value = json.loads(decoded, parse_constant=found.append)
    except json.JSONDecodeError as wrong:
        line = f"line {wrong.lineno}, " if b"\n" in text else ""
        raise DataError(
            f"malformed JSON in {line}column {wrong.colno}: {wrong.msg}",
            got=decoded[max(wrong.pos - 20, 0) : wrong.pos + 20] or "an empty line",
            expected="one JSON object a line",
            hint=f"for indented JSON: jq -c . file; is it still being written? wait, {_SKIP}",
        ) from None
    except RecursionError:
        raise DataError("JSON nested too deeply") from None
    except ValueError as wrong:
        raise DataError(f"malformed JSON: {wrong}") from None
    if found and nan:
        try:
            msgspec.json.encode(value)
        except (UnicodeEncodeError, RecursionError) as wrong:  # half of a surrogate pair, which is no Unicode
            raise DataError(f"malformed JSON: {wrong}") from None
        return value
    if found:
        at = _NAN.search(text)
        raise DataError(
            f"{found[0]} is not JSON" + (f" (column {at.start(1) + 1})" if at else ""),
            got=found[0],
            expected="a number or null",
            hint=f"write null for not judged, {_SKIP}",
        )
    raise DataError(f"malformed JSON: {str(error).partition(' - at ')[0]}", hint=_SKIP.removeprefix("or "))


def _parquet(raw: BinaryIO, name: str, bad: Bad) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from stepcredit.data.parquet import VERSION_KEY, to_json

    try:
        file = pq.ParquetFile(raw)
    except (pa.ArrowException, OSError) as error:
        raise DataError("not readable as Parquet", file=name, got=str(error), hint="is the file complete?") from None
    metadata = file.schema_arrow.metadata or {}
    if file.metadata.num_rows == 0:
        raise DataError("the file holds no rows", file=name)
    number = 0
    try:
        for batch in file.iter_batches(batch_size=256):
            size = batch.nbytes // max(batch.num_rows, 1)
            for value in _micro(batch).to_pylist():
                number += 1
                yield Row(name, number, to_json(value, metadata) if VERSION_KEY in metadata else _plain(value), size)
    except DataError as error:
        raise error.at(file=name, row=number) from None
    except (pa.ArrowException, OSError, ValueError) as error:
        bad(DataError("the Parquet data breaks here", file=name, row=number + 1, got=str(error)))


def _micro(batch: Any) -> Any:
    """A batch with times of nanoseconds, which pandas writes and Python does not have, in microseconds."""
    import pyarrow as pa

    for i, kind in enumerate(batch.schema.types):
        if pa.types.is_timestamp(kind) and kind.unit == "ns":
            made = batch.column(i).cast(pa.timestamp("us", kind.tz), safe=False)
            batch = batch.set_column(i, batch.schema.names[i], made)
    return batch


def _plain(value: dict[str, Any]) -> dict[str, Any]:
    """Times, decimals and bytes as JSON has them; NaN, which pandas writes for missing, as None."""
    builtins: dict[str, Any] = msgspec.to_builtins(value)
    return {k: None if v != v else v for k, v in builtins.items()}


def _broken(error: Exception, name: str, number: int) -> DataError:
    return DataError(
        f"the compressed data ends or breaks here ({str(error).rstrip('.')})",
        file=name,
        row=number,
        hint="the rows before are whole: --on-error skip reads them",
    )


def _natural(path: Path) -> list[tuple[int, str]]:
    """Sorts 2.jsonl before 10.jsonl."""
    return [(int(p), "") if p.isdecimal() else (-1, p) for p in re.split(r"([0-9]+)", str(path))]


def _raise(error: DataError) -> NoReturn:
    raise error
