"""An index on disk: one folder of Parquet files and a head, written whole or not at all.

    runs-0000.parquet      one row a run: the columns of the table, and its record without steps, as JSON
    judged-0000.parquet    the same once verdicts are there; no file is ever written over
    numbers-0000.parquet   one row a step: credit by every method, uncertainty, evidence, reward
    texts-0000.parquet     one row a step: its texts, and the rest of its record as JSON; small row groups
    words-0000.arrow       one row a step: what a search looks into
    head.json              what is known of the whole, how far it is, and where each part begins

Parts are numbered; all steps of a task stand in one. The head is written last, and names the parts that are whole.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from stepcredit.app.view import words
from stepcredit.app.view.answers import Head
from stepcredit.app.view.rows import Divergence, Part, Run, stripped
from stepcredit.app.view.shown import plain, strings
from stepcredit.data.records import Rollout, Step
from stepcredit.data.storage import placed

VERSION = 2
_NUMBER_ROWS = 20_000
_TEXT_ROWS, _TEXT_BYTES = 2_000, 4 << 20
_TEXTS = ("text", "reasoning", "observation")


class Kept(msgspec.Struct, kw_only=True):
    """The head of an index on disk.

    first: id of the first run of each part, then the number of runs. judged: how many parts are.
    notes: of each part, method -> notes.
    stage: what is being done. done: all parts are there, and judged. error, hint: why it ended before.
    """

    head: Head
    version: int = VERSION
    first: list[int] = msgspec.field(default_factory=lambda: [0])
    judged: int = 0
    notes: list[dict[str, list[str]]] = []
    groups: int = 0
    steps: int = 0
    stage: str = ""
    share: float | None = None
    done: bool = False
    error: str | None = None
    hint: str | None = None


def write_head(folder: Path, kept: Kept) -> None:
    """Put the head in its place, whole.

    Raises:
        DataError: the disk is full.
    """
    temporary = folder / "head.json.tmp"
    with placed(folder):
        temporary.write_bytes(encoded(kept))
        temporary.replace(folder / "head.json")


def read_head(folder: Path) -> Kept | None:
    """The head, where there is one of this version."""
    try:
        kept = msgspec.json.decode((folder / "head.json").read_bytes(), type=Kept)
    except (OSError, ValueError):
        return None
    return kept if kept.version == VERSION else None


def write_runs(folder: Path, number: int, part: Part, *, judged: bool = False) -> None:
    """The runs of a part; again, once they are judged.

    Raises:
        DataError: the disk is full.
    """
    import pyarrow as pa

    schema = pa.schema(
        [
            *((n, pa.int64()) for n in ("id", "gid", "steps", "tokens", "worst", "lint", "first")),
            *((n, pa.float64()) for n in ("outcome", "cost", "seconds", "started", "worst_score", "confidence")),
            *((n, pa.string()) for n in ("group", "rollout", "model", "worst_by", "error", "task")),
            *((n, pa.list_(pa.string())) for n in ("agents", "tools")),
            *((n, pa.binary()) for n in ("record", "rest")),
        ]
    )
    rows = []
    for run in part.runs:
        rest = {"lint": run.lint, "verdicts": run.verdicts, "divergence": run.divergence, "low": run.low}
        line = {k: _safe(v) for k, v in run.line().items()}
        rows.append({**line, "first": run.first, "record": encoded(stripped(run.record)), "rest": encoded(rest)})
    _write(
        folder / f"{'judged' if judged else 'runs'}-{number:04}.parquet",
        [pa.Table.from_pylist(rows, schema=schema)],
        schema,
        500,
    )


def write_steps(folder: Path, number: int, part: Part) -> None:
    """Numbers and texts of the steps of a part.

    Raises:
        DataError: the disk is full.
    """
    import pyarrow as pa

    run = np.repeat([r.id for r in part.runs], [r.n for r in part.runs]).astype(np.int64)
    step = np.concatenate([np.zeros(0, np.int64), *(np.arange(r.n) for r in part.runs)])
    columns: dict[str, Any] = {"run": pa.array(run), "step": pa.array(step, pa.int32())}
    for name, values in part.numbers.items():
        if values.dtype.kind == "O":
            columns[name] = pa.array([_safe(v) for v in values.tolist()], pa.string())
        else:
            columns[name] = pa.array(_narrow(values))
    table = pa.table(columns)
    _write(folder / f"numbers-{number:04}.parquet", [table], table.schema, _NUMBER_ROWS)
    schema = pa.schema(
        [
            ("run", pa.int64()),
            ("step", pa.int32()),
            *((n, pa.large_string()) for n in (*_TEXTS, "calls")),
            ("rest", pa.large_binary()),
        ]
    )
    with _words(folder / f"words-{number:04}.arrow") as add:
        _write(folder / f"texts-{number:04}.parquet", _text_tables(part, schema, add), schema, _TEXT_ROWS)


def step_of(row: Mapping[str, Any]) -> Step:
    """A step from its row of texts."""
    step = msgspec.json.decode(row["rest"], type=Step)
    given = {n: row[n] for n in _TEXTS if row[n] is not None}
    return msgspec.structs.replace(step, **given) if given else step


def run_of(row: Mapping[str, Any], part: int) -> Run:
    """A run from its row."""
    rest = msgspec.json.decode(row["rest"])
    low, parting = rest["low"], rest["divergence"]
    return Run(
        id=row["id"],
        gid=row["gid"],
        record=msgspec.json.decode(row["record"], type=Rollout),
        n=row["steps"],
        first=row["first"],
        part=part,
        **{n: row[n] for n in ("tokens", "cost", "seconds", "started", "model")},
        agents=list(row["agents"] or []),
        tools=list(row["tools"] or []),
        lint=rest["lint"],
        verdicts=rest["verdicts"],
        divergence=None if parting is None else Divergence(*parting),
        low=None if low is None else tuple(low),
    )


def encoded(value: Any) -> bytes:
    """JSON of records and plain values, whatever they hold."""
    try:
        return msgspec.json.encode(value)
    except (UnicodeEncodeError, OverflowError, TypeError, ValueError, RecursionError):
        return msgspec.json.encode(_safe(plain(_builtins(value))))


def _builtins(value: Any) -> Any:
    """Structs and what holds them as dictionaries."""
    if isinstance(value, msgspec.Struct):
        return {f: _builtins(v) for f in value.__struct_fields__ if (v := getattr(value, f)) is not None}
    if isinstance(value, Mapping):
        return {str(k): _builtins(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_builtins(v) for v in value]
    return getattr(value, "__dict__", value) if isinstance(value, Head) else value


def _safe(value: Any) -> Any:
    """Texts that UTF-8 can hold: halves of characters become the replacement sign."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return value
    if isinstance(value, Mapping):
        return {_safe(k): _safe(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_safe(v) for v in value]
    return value


@contextmanager
def _words(path: Path) -> Iterator[Callable[[list[dict[str, Any]]], None]]:
    """A function that adds rows of texts to what a search looks into."""
    import pyarrow as pa

    temporary = path.with_suffix(".tmp")
    options = pa.ipc.IpcWriteOptions(compression=pa.Codec("zstd", 1))
    with placed(path.parent):
        with pa.OSFile(str(temporary), "wb") as file, pa.ipc.new_file(file, words.schema(), options=options) as out:
            yield lambda rows: out.write_batch(words.block(rows))
        temporary.replace(path)


def _text_tables(part: Part, schema: Any, add: Callable[[list[dict[str, Any]]], None]) -> Iterator[Any]:
    """Tables of few rows and few bytes, so that one page of steps reads little; each is added to the words, too."""
    import pyarrow as pa

    rows: list[dict[str, Any]] = []
    size = 0
    for run in part.runs:
        for i, step in enumerate(part.steps[run.first : run.first + run.n]):
            row = _text_row(run.id, i, step)
            mine = sum(len(row[n] or "") for n in (*_TEXTS, "calls", "rest"))
            if rows and (size + mine > _TEXT_BYTES or len(rows) >= _TEXT_ROWS):
                add(rows)
                yield pa.Table.from_pylist(rows, schema=schema)
                rows, size = [], 0
            rows.append(row)
            size += mine
    if rows:
        add(rows)
        yield pa.Table.from_pylist(rows, schema=schema)


def _text_row(run: int, i: int, step: Step) -> dict[str, Any]:
    given = {n: getattr(step, n) for n in _TEXTS}
    texts = {n: v if isinstance(v, str) else None for n, v in given.items()}
    left = {n: None for n, v in texts.items() if v is not None}
    rest = msgspec.structs.replace(step, **left) if left else step
    calls = "\n".join(f"{c.name} {' '.join(strings(c.arguments))}" for c in step.tool_calls) or None
    return {
        "run": run,
        "step": i,
        **{n: _safe(v) for n, v in texts.items()},
        "calls": _safe(calls),
        "rest": encoded(rest),
    }


def _narrow(values: NDArray[Any]) -> NDArray[Any]:
    """Numbers in half the room, where all of them have a place there."""
    size = np.abs(values)
    narrow = np.finfo(np.float32)
    fits = ~np.isfinite(size) | (size == 0) | ((size >= narrow.tiny) & (size <= narrow.max))
    return values.astype(np.float32) if fits.all() else values.astype(np.float64)


def _write(path: Path, tables: Sequence[Any] | Iterator[Any], schema: Any, rows: int) -> None:
    import pyarrow.parquet as pq

    temporary = path.with_suffix(".tmp")
    with placed(path.parent):
        with pq.ParquetWriter(temporary, schema, compression="zstd", compression_level=1, use_dictionary=False) as out:
            for table in tables:
                out.write_table(table, row_group_size=rows)
        temporary.replace(path)
