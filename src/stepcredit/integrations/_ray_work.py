"""What a worker does: read its own shard, run the methods on it, encode what is to be written."""

import io
import os
import sys
import time
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from stepcredit import __version__
from stepcredit.credit import Credit
from stepcredit.credit import assign as assign_credit
from stepcredit.credit.run import RewardFrom
from stepcredit.data import Batch, Reading, Rollout, storage
from stepcredit.data.layout import Layout
from stepcredit.data.parquet import VERSION_KEY, to_json
from stepcredit.data.presence import Presence
from stepcredit.data.rows import OnError, Rows
from stepcredit.data.storage import Bad, Row, placed
from stepcredit.errors import DataError, MissingExtra, StepCreditError
from stepcredit.evidence.state import with_states
from stepcredit.integrations._ray_compare import Compared, side_by_side
from stepcredit.integrations._ray_write import EncodedAdvantages, EncodedRollouts, encoder

Placed = tuple[Rollout, str, int]
_KEPT = ("outcome", "token_row")  # columns of rollouts and tokens that come back to the driver


class File(NamedTuple):
    """A file of rollouts. path: where a worker opens it; None: the driver hands out its lines. stamp: size and time."""

    name: str
    path: str | None
    stamp: tuple[int, int]
    parquet: bool = False


class Span(NamedTuple):
    """`rows` rows (lines) that follow one another in a file after `before` others: `length` bytes from `start`; in
    Parquet `length` rows from row `start` of a row group."""

    file: int
    start: int
    length: int
    before: int
    rows: int
    row_group: int = -1


class Piece(NamedTuple):
    """One shard on its way to a worker: spans of files, with the bytes of those that are handed out; or rollouts."""

    number: int
    spans: Sequence[Span] = ()
    data: Sequence[bytes | None] = ()
    rollouts: Sequence[Placed] | None = None
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Job:
    """What all shards have in common."""

    files: tuple[File, ...]
    format: str
    map: Mapping[str, str] | None
    on_error: OnError
    options: Mapping[str, Any]
    methods: tuple[str, ...] = ()
    method_options: Mapping[str, Any] = field(default_factory=dict)
    reward: RewardFrom | None = None
    states: Any = None
    normalize: tuple[str, ...] = ()
    output: str | None = None
    advantages: str | None = None
    present: Presence | None = None
    compare: bool = False
    version: str = __version__


@dataclass(frozen=True)
class Shard:
    """What came of a shard, whose rows follow those of the shard before.

    Args:
        batch: layout, outcomes and names of its rollouts, not these themselves; None: no row can be used.
        credits: one per method, on that batch.
        columns: names of the columns that the shard had. rows, bytes, skipped, notes: as `Reading` has them.
        rollouts, advantages: encoded lines or rows for the files to write.
        peak: most memory of the worker so far, bytes.
        cpu: seconds of the worker's CPU. compared: what `compare` needs beside the credits.
    """

    number: int
    batch: Batch | None
    credits: tuple[Credit, ...]
    columns: frozenset[str]
    rows: int
    bytes: int
    skipped: tuple[DataError, ...]
    notes: tuple[str, ...]
    rollouts: EncodedRollouts | None = None
    advantages: EncodedAdvantages | None = None
    peak: int = 0
    cpu: float = 0.0
    pid: int = 0
    compared: Compared | None = None


class Failed(NamedTuple):
    """An error of a shard as data: errors of ours come out of pickle as they went in, and others may not unpickle."""

    kind: type[BaseException] | None
    arguments: tuple[Any, ...]
    state: Mapping[str, Any]
    text: str

    @classmethod
    def of(cls, error: Exception) -> "Failed":
        if isinstance(error, StepCreditError | MissingExtra):
            return cls(type(error), error.args, vars(error), str(error))
        return cls(None, (), {}, "".join(traceback.format_exception(error)[-3:]).strip())

    def error(self) -> BaseException:
        """The error again, where it was one of ours."""
        assert self.kind is not None
        made = self.kind.__new__(self.kind)
        made.args = self.arguments
        vars(made).update(self.state)
        return made


class SpanRows(Rows):
    """The rows of a shard's spans, numbered as in their files."""

    def __init__(
        self, files: Sequence[File], piece: Piece, map: Mapping[str, str] | None, on_error: OnError, nan: bool
    ) -> None:
        super().__init__((), map=map, on_error=on_error, nan=nan)
        self._of, self._piece = files, piece

    def _raw(self) -> Iterator[Row]:
        bad: Bad = self._unread if self._on_error == "skip" else storage._raise
        handed = self._piece.data or [None] * len(self._piece.spans)
        for span, data in zip(self._piece.spans, handed, strict=True):
            file = self._of[span.file]
            if file.parquet:
                yield from _table_rows(file, span, bad)
                continue
            report = _shifted(span.before, bad)
            held = io.BytesIO()
            for row in storage._lines(_bytes(file, span) if data is None else data, held, file.name, report, self._nan):
                value: object = row.value
                if isinstance(value, dict):
                    yield row._replace(number=row.number + span.before)
                else:
                    report(
                        DataError(
                            "a row must be an object", file=file.name, row=row.number, got=value, expected="{...}"
                        )
                    )


class Part(Reading):
    """One shard, read as `Reading` reads a file."""

    def __init__(self, job: Job, piece: Piece) -> None:
        super().__init__((), format=job.format, map=job.map, on_error=job.on_error, **job.options)
        self._job, self._piece = job, piece

    def _open(self) -> Rows:
        nan = getattr(self._module, "NAN_IS_NULL", False)
        self._rows = SpanRows(self._job.files, self._piece, self._map, self._on_error, nan)
        return self._rows

    def rollouts(self) -> list[Placed]:
        """The rollouts of the shard, checked; what the driver read is checked already."""
        if self._piece.rollouts is None:
            return list(self._pass())
        self.notes.extend(self._piece.notes)
        return list(self._piece.rollouts)

    def batch(self, rollouts: Iterable[Placed]) -> Batch:
        """The batch that one process would make of them."""
        return self._batch(rollouts, self._job.present)


def run(job: Job, piece: Piece) -> Shard | Failed:
    """Credit of one shard. Never raises: what went wrong is told."""
    try:
        _same_version(job)
        return _run(job, piece)
    except Exception as error:
        return Failed.of(error)


def _run(job: Job, piece: Piece) -> Shard:
    start = time.process_time()
    part = Part(job, piece)
    given = part.rollouts()
    credits: tuple[Credit, ...] = ()
    columns: frozenset[str] = frozenset()
    light = rollouts = advantages = compared = None
    if given:
        batch = part.batch(given)
        columns = columns_of(batch)
        if job.states is not None:
            batch = with_states(batch, job.states, normalize=job.normalize)
        if job.compare:
            credits, compared = side_by_side(batch, job.methods, job.reward)
        else:
            credits = tuple(assign_credit(batch, m, reward=job.reward, **job.method_options) for m in job.methods)
        for credit in credits:
            batch = credit.onto(batch)
        rollouts = encoder(job.output).encode(batch) if job.output else None
        advantages = EncodedAdvantages.of(job.advantages, credits[0]) if job.advantages else None
        light = _light(batch)
        credits = tuple(replace(c, batch=light) for c in credits)
    return Shard(
        piece.number,
        light,
        credits,
        columns,
        part.rows,
        part.bytes,
        tuple(part.skipped),
        tuple(part.notes),
        rollouts,
        advantages,
        peak(),
        time.process_time() - start,
        os.getpid(),
        compared,
    )


def fields(job: Job, piece: Piece) -> list[Rollout] | Failed:
    """Of a shard, the rollouts that show a field which those before them lack: enough to know which fields occur."""
    try:
        _same_version(job)
        part, seen, known, telling = Part(job, piece), Presence(), (0, 0), []
        for rollout in part:
            seen.add(rollout)
            held = [v for of in vars(seen).values() for v in of.values()]
            if (now := (len(held), sum(v is not None for v in held))) != known:
                known = now
                telling.append(rollout)
        return telling
    except Exception as error:
        return Failed.of(error)


def columns_of(batch: Batch) -> frozenset[str]:
    """Names of the columns, and "tokens" where there are some."""
    return frozenset({*batch.columns, *(["tokens"] if batch.layout.token_step is not None else [])})


def peak() -> int:
    """Most memory that this process has held, bytes; 0 where that is not told."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _light(batch: Batch) -> Batch:
    """Layout, outcomes and names: a few bytes per step on the way back."""
    lay = batch.layout
    bare = Layout(lay.group, lay.rollout, shared=lay.shared, token_step=lay.token_step, batch=lay.batch)
    columns = {n: batch.columns[n] for n in _KEPT if n in batch}
    keys = {n: batch.keys[n] for n in ("group", "rollout") if n in batch.keys}
    return Batch(bare, columns, keys, notes=batch.notes)


def _same_version(job: Job) -> None:
    if job.version != __version__:
        raise StepCreditError(
            f"a worker of the cluster runs stepcredit {__version__}; got a shard from {job.version}",
            hint="install one version on every machine of the cluster",
        )


def stamp(path: str | Path) -> tuple[int, int]:
    """Size and time of change of a file."""
    about = Path(path).stat()
    return about.st_size, about.st_mtime_ns


def _path(file: File) -> Path:
    """Where to open the file.

    Raises:
        StepCreditError: it is not the file that the driver looked at.
    """
    assert file.path is not None
    at = Path(file.path)
    hint = "with --ray on several machines, files must stand on a disk that all of them see; or give them as stdin: -"
    if not at.exists():
        raise StepCreditError(f"{file.name}: a worker finds no such file ({at})", hint=hint)
    if stamp(at) != file.stamp:
        raise StepCreditError(f"{file.name}: a worker finds another file, or the file has changed ({at})", hint=hint)
    return at


def _bytes(file: File, span: Span) -> bytes:
    with placed(file.name), _path(file).open("rb") as raw:
        raw.seek(span.start)
        return raw.read(span.length)


def _shifted(before: int, bad: Bad) -> Bad:
    """Errors of rows that were counted from the start of a span, as of the file."""

    def report(error: DataError) -> None:
        row = before + (error.row or 0)
        bad(type(error)(error.what, file=error.file, row=row, got=error.got, expected=error.expected, hint=error.hint))

    return report


def _table_rows(file: File, span: Span, bad: Bad) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = span.before
    try:
        with placed(file.name), _path(file).open("rb") as raw:
            table = pq.ParquetFile(raw)
            metadata = table.schema_arrow.metadata or {}
            at, end = 0, span.start + span.length
            for batch in table.iter_batches(batch_size=256, row_groups=[span.row_group]):
                first, last = max(span.start - at, 0), min(end - at, batch.num_rows)
                at += batch.num_rows
                if last <= 0:
                    break
                if first >= last:
                    continue
                size = batch.nbytes // max(batch.num_rows, 1)
                for value in batch.slice(first, last - first).to_pylist():
                    number += 1
                    made = to_json(value, metadata) if VERSION_KEY in metadata else storage._plain(value)
                    yield Row(file.name, number, made, size)
    except DataError as error:
        raise error.at(file=file.name, row=number) from None
    except (pa.ArrowException, OSError, ValueError) as error:
        if isinstance(error, StepCreditError):
            raise
        bad(DataError("the Parquet data breaks here", file=file.name, row=number + 1, got=str(error)))
