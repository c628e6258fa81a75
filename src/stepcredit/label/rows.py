"""Labels as rows of files: a prompt, its steps, a label per step, and everything that the label rests on.

    with LabelWriter("labels.jsonl", {"system": "math_shepherd"}) as out:
        out.write(found)
    back = [row.to_labels() for row in rows("labels.jsonl")]

`prompt`, `completions`, `labels` are the columns of TRL's stepwise supervision; `plain=True` writes these alone.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec
import numpy as np

from stepcredit.data import storage
from stepcredit.data.layout import Floats
from stepcredit.data.storage import placed
from stepcredit.data.writing import _check_lines, _finish, _lines, _NewFile
from stepcredit.errors import DataError, LayoutError
from stepcredit.label.labels import NONE, Labels, first_wrong

T = TypeVar("T")
SCHEMA_VERSION = 1

_TOGETHER = 4096  # rows of a row group
_PATH = re.compile(r" - at `\$\.?(.*)`$")


class LabelRow(msgspec.Struct, kw_only=True, gc=False):
    """One solution as a file holds it; null is "not judged" or "not known". Fields: those of `Labels`.

    completions: its steps. labels: true, false, or a number between them. provenance: who labelled it and how: system,
    options, policy behind the first error, models, version.
    """

    schema_version: int = SCHEMA_VERSION
    group: str | int
    rollout: str | int
    prompt: str
    completions: list[str]
    labels: list[bool | float | None]
    first_error: int | None = None
    outcome: float | None = None
    values: list[float | None] = []
    won: list[int] = []
    drawn: list[int] = []
    reasons: list[str | None] = []
    facts: dict[str, Any] = {}
    spent: dict[str, int] = {}
    provenance: dict[str, Any] = {}

    def to_labels(self) -> Labels:
        """As Labels. Lists that the file does not have are unknown.

        Raises:
            DataError: lists of different lengths, a number that cannot be.
        """
        n = len(self.completions)
        lists: dict[str, Any] = {"labels": self.labels}
        for name in ("values", "won", "drawn", "reasons"):
            lists[name] = getattr(self, name) or [None if name in ("values", "reasons") else 0] * n
        for name, given in lists.items():
            if len(given) != n:
                raise DataError(
                    f"{name} must have one entry per step", rollout=self.rollout, got=len(given), expected=n
                )
        label, value = _numbers(self.labels), _numbers(lists["values"])
        try:
            won, drawn = (np.array(lists[name], np.int64) for name in ("won", "drawn"))
        except OverflowError:
            raise DataError("won and drawn must be below 2^63", rollout=self.rollout) from None
        for name, wrong in {
            "labels must be between 0 and 1": (label < 0) | (label > 1) | np.isinf(label),
            "values must be finite": np.isinf(value),
            "won must be between 0 and drawn": (won < 0) | (won > drawn),
        }.items():
            if wrong.any():
                raise DataError(name, rollout=self.rollout, step=int(np.flatnonzero(wrong)[0]))
        steps, columns = tuple(self.completions), (label, value, won, drawn)
        rest: tuple[Any, ...] = (self.first_error, tuple(lists["reasons"]), self.outcome, self.facts, self.spent)
        try:
            return Labels(self.group, self.rollout, self.prompt, steps, *columns, *rest)
        except LayoutError as error:
            raise DataError(error.message, rollout=self.rollout) from None


def row_of(labels: Labels, provenance: Mapping[str, Any] | None = None) -> LabelRow:
    """Labels as a row."""
    return LabelRow(
        group=labels.group,
        rollout=labels.rollout,
        prompt=labels.prompt,
        completions=list(labels.steps),
        labels=[bool(x) if x in (0.0, 1.0) else x for x in _or_none(labels.label)],
        first_error=labels.first_error,
        outcome=labels.outcome,
        values=_or_none(labels.value),
        won=labels.won.tolist(),
        drawn=labels.drawn.tolist(),
        reasons=list(labels.reasons),
        facts=dict(labels.facts),
        spent=dict(labels.spent),
        provenance=dict(provenance or {}),
    )


def plain_row(labels: Labels, *, threshold: float = 0.5) -> dict[str, Any] | None:
    """`prompt`, `completions`, `labels` (true or false) up to the first step that was not judged; None: nothing was.

    Args:
        threshold: soft labels below it are false.
    """
    missing = np.flatnonzero(np.isnan(labels.label))
    n = int(missing[0]) if missing.size else len(labels)
    if n == 0:
        return None
    told = (labels.label[:n] >= threshold).tolist()
    return {"prompt": labels.prompt, "completions": list(labels.steps[:n]), "labels": told}


class LabelWriter:
    """Writes labels to one file; a context manager. The file takes its name at the end; after an error there is none.

    Equal labels give equal bytes.

    Args:
        path: its suffix decides: .jsonl, .jsonl.gz, .jsonl.zst or .parquet. provenance: kept in every row.
        plain: the three columns of TRL alone, true and false alone, the judged beginning of each solution alone.

    Attributes:
        left_out: solutions of which nothing was judged, with `plain`.

    Raises:
        DataError: unknown suffix; nothing written; a value that JSON cannot hold; the folder is missing or read-only,
            the disk is full.
    """

    def __init__(self, path: str | Path, provenance: Mapping[str, Any] | None = None, *, plain: bool = False) -> None:
        self._file = _NewFile(path, "labels")
        self._parquet = Path(path).suffix == ".parquet"
        if not self._parquet:
            _check_lines(path, ".parquet")
        self._provenance, self._plain = dict(provenance or {}), plain
        self._sink: Any = None
        self._waiting: list[dict[str, Any]] = []
        self.left_out = 0

    def __enter__(self) -> Self:
        file = self._file.open()
        if self._parquet:
            import pyarrow.parquet as pq

            self._sink = pq.ParquetWriter(file, _schema(self._plain), compression="zstd")
        else:
            self._sink = _lines(file, self._file.path)
        return self

    def write(self, what: Iterable[Labels], provenance: Mapping[str, Any] | None = None) -> None:
        """Add solutions; provenance: of these, instead of the file's."""
        for one in what:
            row = plain_row(one) if self._plain else row_of(one, self._provenance if provenance is None else provenance)
            if row is None:
                self.left_out += 1
                continue
            try:
                if self._parquet:
                    self._waiting.append(_flat(msgspec.to_builtins(row)))
                else:
                    line = msgspec.json.encode(row) + b"\n"
            except (UnicodeEncodeError, TypeError, ValueError, OverflowError, RecursionError) as error:
                text = f"cannot be written: {error}"
                raise DataError(text, file=self._file.path, rollout=one.rollout, expected="JSON values") from None
            self._file.count += 1
            if not self._parquet:
                with placed(self._file.path):
                    self._sink.write(line)
            elif len(self._waiting) >= _TOGETHER:
                self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        try:
            table = pa.Table.from_pylist(self._waiting, schema=_schema(self._plain))
        except (pa.ArrowException, UnicodeEncodeError, OverflowError, TypeError) as error:
            raise DataError(f"cannot be written as Parquet: {error}", file=self._file.path) from None
        with placed(self._file.path):
            self._sink.write_table(table, row_group_size=max(table.num_rows, 1))
        self._waiting = []

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if kind is None and self._waiting:
                self._flush()
        except BaseException:
            kind = BaseException
            raise
        finally:
            _finish(self._file, self._sink, kind)


def rows(path: str | Path | storage.Source) -> Iterator[LabelRow]:
    """The rows of a file of labels, checked. Rows of TRL's three columns, and of ProcessBench (`problem`, `steps`, the
    index `label`), are read too: a row without group and rollout gets its prompt and its place, and where the field
    `first_error` is missing it follows from the labels.

    Raises:
        DataError: names file and row.
    """
    for number, row in enumerate(storage.rows(path)):
        try:
            made = _row(row.value, number)
            made.to_labels()
        except DataError as error:
            raise error.at(file=row.file, row=row.number) from None
        yield made


def read_labels(path: str | Path | storage.Source) -> list[Labels]:
    """All labels of a file. See `rows`."""
    return [row.to_labels() for row in rows(path)]


def _row(raw: Mapping[str, Any], number: int) -> LabelRow:
    version = raw.get("schema_version", SCHEMA_VERSION)
    if version != SCHEMA_VERSION:
        raise DataError("written by another version of the schema", got=version, expected=SCHEMA_VERSION)
    given = {k: v for k, v in raw.items() if v is not None or k == "first_error"}
    if "problem" in given and isinstance(given.get("steps"), list):
        given = _process_bench(given)
    if isinstance(given.get("exact"), str):
        given |= _decoded(given.pop("exact"))
    extra = {k: v for k, v in given.items() if k not in LabelRow.__struct_fields__}
    if extra:
        given = {k: v for k, v in given.items() if k not in extra}
        given["facts"] = {**extra, **(given.get("facts") or {})}
    given = {"group": given.get("prompt", ""), "rollout": number, **given}
    try:
        made = msgspec.convert(given, LabelRow)
        if "first_error" not in given:
            made.first_error = first_wrong(_numbers(made.labels))
        return made
    except msgspec.ValidationError as error:
        text = str(error)
        path = _PATH.search(text)
        where = f"field {path.group(1)}: " if path and path.group(1) else ""
        raise DataError(where + _PATH.sub("", text), expected="prompt, completions, labels") from None


def _process_bench(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Its people say where the first error is, and nothing of the steps behind it."""
    steps, at = raw["steps"], raw.get("label")
    if not isinstance(at, int) or not NONE <= at < len(steps):
        raise DataError("field label: no index of a step", got=at, expected=f"-1 to {len(steps) - 1}")
    told = [True] * len(steps) if at == NONE else [*[True] * at, False, *[None] * (len(steps) - at - 1)]
    name = raw.get("id", raw["problem"])
    rest = {k: v for k, v in raw.items() if k not in ("steps", "label", "problem", "id")}
    made = {"prompt": raw["problem"], "completions": steps, "labels": told, "first_error": at}
    return {"group": name, "rollout": name, **rest, **made}


_EXACT = ("group", "rollout", "facts", "spent", "provenance")  # what has no one type in a column


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """A Parquet row: labels as numbers; group and rollout as text, and exactly in JSON, with what else has no type."""
    if "group" not in row:
        return row
    exact = msgspec.json.encode({name: row[name] for name in _EXACT}).decode()
    numbers = [None if x is None else float(x) for x in row["labels"]]
    named = {"group": str(row["group"]), "rollout": str(row["rollout"]), "labels": numbers, "exact": exact}
    return {**{k: v for k, v in row.items() if k not in _EXACT}, **named}


def _decoded(text: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (ValueError, RecursionError):
        raise DataError("field 'exact' must hold a JSON object", got=text) from None


def _schema(plain: bool) -> Any:
    import pyarrow as pa

    text, number, whole = pa.large_string(), pa.float64(), pa.int64()
    columns = {"prompt": text, "completions": pa.list_(text), "labels": pa.list_(pa.bool_() if plain else number)}
    if not plain:
        columns = {"schema_version": whole, "group": text, "rollout": text, **columns}
        columns |= {"first_error": whole, "outcome": number, "values": pa.list_(number), "won": pa.list_(whole)}
        columns |= {"drawn": pa.list_(whole), "reasons": pa.list_(text), "exact": text}
    return pa.schema(list(columns.items()))


def _or_none(numbers: Floats) -> list[float | None]:
    return [None if x != x else x for x in numbers.tolist()]


def _numbers(given: Iterable[float | None]) -> Floats:
    return np.array([np.nan if x is None else x for x in given], np.float64)
