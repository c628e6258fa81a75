"""What the driver does before the work: one cheap look at the files, and which rows make which shard."""

import io
import tempfile
import weakref
import zlib
from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from stepcredit.data import Reading, storage
from stepcredit.data.parquet import VERSION_KEY
from stepcredit.data.reading import _plan
from stepcredit.data.storage import Source
from stepcredit.errors import DataError
from stepcredit.integrations._ray_work import File, Job, Piece, Placed, Span, SpanRows, stamp

_Key = str | int
_NONE = -1
_FIELDS = len(Span._fields)
_BOM = b"\xef\xbb\xbf"
_SCATTERED = "groups are not together in the file: each shard gathers its rows from all over it"


class _Nothing(msgspec.Struct):
    pass


class _Bare(msgspec.Struct):
    """What the look needs of a row; the rest is skipped, not decoded."""

    group: str | int
    steps: list[_Nothing] = []


class Split:
    """Shards as spans of files: whole groups, `steps` steps where a group is not larger.

    Args:
        reading: of a format that tells sizes from bare rows, of files that `splits` has found to have lines or rows.

    Attributes:
        files: what workers read. together: whether each group stands together.
        handed: names of the files whose lines the driver hands out: compressed, or no file at all.
        broken: errors that end a file early, where such are left out.

    Raises:
        DataError: as `Reading` does in its first pass.
    """

    def __init__(self, reading: Reading, steps: int) -> None:
        self.handed: list[str] = []
        self.broken: list[DataError] = []
        self.together = True
        self.files: tuple[File, ...] = ()
        self._reading = reading
        self._opened: list[Any] = []
        self._codes: dict[_Key, int] = {}
        self._sizes: list[int] = []
        self._before = _NONE
        self._runs = array("q")
        for source in reading._files:
            _first_row(source)
            (self._look_at_table if _magic(source).startswith(b"PAR1") else self._look_at_lines)(source)
        self._spans = self._placed(steps)

    def __iter__(self) -> Iterator[Piece]:
        """The shards, with the bytes of the files that are handed out."""
        for number in range(len(self._spans)):
            spans = self._spans_of(number)
            data = [self._read(s) for s in spans] if self.handed else ()
            yield Piece(number, spans, data, notes=() if self.together else (_SCATTERED,))

    def _spans_of(self, number: int) -> list[Span]:
        flat = self._spans[number]
        return [Span(*flat[i : i + _FIELDS]) for i in range(0, len(flat), _FIELDS)]

    def _read(self, span: Span) -> bytes | None:
        opened = self._opened[span.file]
        if opened is None:
            return None
        opened.seek(span.start)
        data: bytes = opened.read(span.length)
        return data

    def _placed(self, steps: int) -> list["array[int]"]:
        """Spans of each shard. Rows without a group go where the rows before them go."""
        shard_of = list(_plan(dict(zip(self._codes, self._sizes, strict=True)), steps).values())
        out = [array("q") for _ in range(max(shard_of, default=0) + 1)]
        current = 0
        for i in range(0, len(self._runs), _FIELDS + 1):
            code, *flat = self._runs[i : i + _FIELDS + 1]
            current = shard_of[code] if code != _NONE else current
            spans, (file, start, length, _, rows, row_group) = out[current], flat
            last = Span(*spans[-_FIELDS:]) if spans else None
            if last and (last.file, last.row_group, last.start + last.length) == (file, row_group, start):
                spans[-4] += length
                spans[-2] += rows
            else:
                spans.extend(flat)
        self._runs = array("q")
        return out

    def _add(self, run: list[int], group: _Key | None, steps: int) -> None:
        """A run of rows of one group, `steps` steps in all; None: no row tells its group."""
        code = _NONE
        if group is not None:
            code = self._codes.setdefault(group, len(self._codes))
            if code == len(self._sizes):
                self._sizes.append(0)
            elif code != self._before:
                self.together = False
            self._sizes[code] += steps
            self._before = code
        self._runs.extend((code, *run))

    def _look_at_lines(self, source: Source) -> None:
        name, number, some = source.name, 0, False
        at = len(self.files)
        run, current, steps = [at, 0, 0, 0, 0, -1], None, 0
        with storage.placed(name), source.open() as raw:
            magic = _magic(source)
            stream = storage._unpacked(raw, magic, name)
            first = storage._head(stream, name)
            spool = None if stream is raw else self._closed(tempfile.TemporaryFile())  # noqa: SIM115
            run[1] = len(_BOM) if spool is None and magic.startswith(_BOM) else 0
            lines = storage._split(first, stream if spool is None else _Tee(stream, spool, first))
            decode, one = msgspec.json.Decoder(_Bare).decode, self._one(name)
            quick = not self._reading._map
            try:
                for number, line in enumerate(lines, 1):
                    group: _Key | None
                    try:
                        if not (quick and (line.isascii() or line.decode())):
                            raise ValueError
                        bare = decode(line)
                        group, size, some = bare.group, len(bare.steps) or 1, True
                    except (ValueError, RecursionError):
                        group, size, counted = one(line, number)
                        some = some or counted
                    if group is not None and group != current:
                        if current is not None:
                            self._add(run, current, steps)
                            run, steps = [at, run[1] + run[2], 0, number - 1, 0, -1], 0
                        current = group
                    steps += size
                    run[2] += len(line) + 1
                    run[4] += 1
            except (EOFError, zlib.error, OSError) as error:
                self._break(storage._broken(error, name, number + 1))
                some = True
        if not some:
            raise DataError("the file holds no rows", file=name)
        self._add(run, current, steps)
        opened = spool if spool is not None else None if _is_file(source) else self._closed(source.open())
        self._take(source, opened, parquet=False)

    def _one(self, name: str) -> Callable[[bytes, int], tuple[_Key | None, int, bool]]:
        """Group and size of one line, decoded in full, and whether it is a row at all; raises what is wrong with it
        where that is asked for."""
        file = File(name, None, (0, 0))

        def look(line: bytes, number: int) -> tuple[_Key | None, int, bool]:
            rows = self._rows([file], Piece(0, [Span(0, 0, len(line), number - 1, 1)], [line]))
            found = list(self._reading._module.sizes(rows))  # type: ignore[union-attr]
            group, size = found[0] if found else (None, 0)
            return group, max(size, 1) if found else 0, rows.count > 0

        return look

    def _rows(self, files: Sequence[File], piece: Piece) -> SpanRows:
        reading = self._reading
        nan = getattr(reading._module, "NAN_IS_NULL", False)
        return SpanRows(files, piece, reading._map, reading._on_error, nan)

    def _look_at_table(self, source: Source) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        at, before = len(self.files), 0
        self._take(source, None, parquet=True)
        with storage.placed(source.name), source.open() as raw:
            table = pq.ParquetFile(raw)
            for row_group in range(table.num_row_groups):
                rows = table.metadata.row_group(row_group).num_rows
                whole = Span(at, 0, rows, before, rows, row_group)
                try:
                    found = _table_sizes(table, row_group) if not self._reading._map else None
                except (pa.ArrowException, OSError, ValueError):
                    found = None
                for i, (group, size) in enumerate(self._each(whole) if found is None else found):
                    self._add([at, i, 1, before + i, 1, row_group], group, max(size, 1) if group is not None else 0)
                before += rows

    def _each(self, span: Span) -> list[tuple[_Key | None, int]]:
        """Group and size of each row of a row group, decoded in full."""
        rows = self._rows(self.files, Piece(0, [span]))
        out: list[tuple[_Key | None, int]] = [(None, 0)] * span.length
        for group, size in self._reading._module.sizes(rows):  # type: ignore[union-attr]
            assert rows.at is not None
            out[rows.at.number - span.before - 1] = (group, size)
        return out

    def _closed(self, file: Any) -> Any:
        """The file, to be closed when nobody needs the split any more."""
        weakref.finalize(self, file.close)
        return file

    def _break(self, error: DataError) -> None:
        if self._reading._on_error == "raise":
            raise error from None
        self.broken.append(error)

    def _take(self, source: Source, opened: Any, *, parquet: bool) -> None:
        """Note who reads the file: workers, or the driver from what is `opened`."""
        own = opened is None and source.path is not None
        path = str(source.path.resolve()) if own and source.path else None
        self.files = (*self.files, File(source.name, path, stamp(path) if path else (0, 0), parquet))
        self._opened.append(opened)
        if opened is not None:
            self.handed.append(source.name)


class Handed:
    """Shards as rollouts that the driver has read, of formats and files that cannot be split.

    Attributes: as of `Split`.
    """

    def __init__(self, reading: Reading, steps: int) -> None:
        self._reading, self._steps = reading, steps
        self.files: tuple[File, ...] = ()
        self.broken: list[DataError] = []

    def __iter__(self) -> Iterator[Piece]:
        reading = self._reading
        sizes, together, kept = reading._survey(self._steps)
        if kept is not None:
            lists: Iterator[list[Placed]] = iter([kept])
        else:
            plan = _plan(sizes, self._steps)
            lists = reading._direct(plan) if together else reading._sorted(plan)
        for number, rollouts in enumerate(lists):
            yield Piece(number, rollouts=rollouts, notes=tuple(reading.notes))


def where(piece: Piece, files: Sequence[File]) -> str:
    """Where a shard stands: `runs.jsonl, rows 1 to 80`."""
    if piece.rollouts is None:
        parts = [f"{files[s.file].name}, rows {s.before + 1} to {s.before + s.rows}" for s in piece.spans]
    else:
        (_, file, first), (*_, last) = piece.rollouts[0], piece.rollouts[-1]
        parts = [f"{file}, rows {first} to {last}"]
    return "; ".join(parts[:3]) + (f" and {len(parts) - 3} more places" if len(parts) > 3 else "")


def splits(reading: Reading) -> bool:
    """Whether workers can read parts of the files by themselves: rows of a format that stand for themselves, as lines
    or in Parquet."""
    if reading._change is not None or not hasattr(reading._module, "sizes"):
        return False
    return all(_is_lines(s) for s in reading._files)


def job_of(reading: Reading, files: tuple[File, ...]) -> Job:
    """How the reading reads, for workers to do the same."""
    return Job(files, reading.format, reading._map, reading._on_error, reading._options)


def _is_lines(source: Source) -> bool:
    with storage.placed(source.name), source.open() as raw:
        magic = raw.read(8)
        raw.seek(0)
        if magic.startswith(b"PAR1"):
            return _is_file(source)
        return not storage._head(storage._unpacked(raw, magic, source.name), source.name).lstrip().startswith(b"[")


def _magic(source: Source) -> bytes:
    with source.open() as raw:
        return raw.read(8)


def _is_file(source: Source) -> bool:
    """Whether others can open it too: not standard input, not a pipe."""
    return source.path is not None and not source.path.is_fifo()


def _first_row(source: Source) -> None:
    """Raise what is wrong with a file as such."""
    for _ in storage.rows(source, bad=lambda error: None, nan=True):
        return


def _table_sizes(table: Any, row_group: int) -> list[tuple[_Key | None, int]] | None:
    """Group and size of each row of a row group, from two columns of it; None: these do not tell."""
    import pyarrow as pa
    import pyarrow.compute as pc

    schema = table.schema_arrow
    if "group" not in schema.names:
        return None
    columns = ["group"]
    if "steps" in schema.names:
        if not pa.types.is_list(schema.field("steps").type):
            return None
        paths = (table.schema.column(i).path for i in range(len(table.schema)))
        columns.append(next(p for p in paths if p.startswith("steps.")))
    found = table.read_row_group(row_group, columns=columns)
    groups = found["group"].to_pylist()
    if VERSION_KEY in (schema.metadata or {}):
        groups = [None if g is None else msgspec.json.decode(g) for g in groups]
    if any(not isinstance(g, str | int) for g in groups):
        return None
    sizes = pc.list_value_length(found["steps"]).to_pylist() if len(columns) > 1 else [0] * len(groups)
    return [(g, n or 0) for g, n in zip(groups, sizes, strict=True)]


class _Tee(io.RawIOBase):
    """Reads a stream, and keeps what was read."""

    def __init__(self, stream: Any, spool: Any, first: bytes) -> None:
        self._stream, self._spool = stream, spool
        spool.write(first)

    def read1(self, size: int = -1) -> bytes:
        """The next part of the stream."""
        data: bytes = self._stream.read1(size)
        self._spool.write(data)
        return data
