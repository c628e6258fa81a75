"""What a format reads: the rows of one or more files, and the account of what happened on the way."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, Self

from stepcredit.data.storage import Row, Source, rows
from stepcredit.errors import DataError, UnknownName

OnError = Literal["raise", "skip"]


class Rows:
    """Iterates over the rows of files in order.

    Attributes:
        skipped: errors of the rows that were left out (on_error="skip").
        notes: what was derived or left out, in words.
        count, bytes: rows seen so far, and their size before compression.
        at: the row being read.
    """

    def __init__(
        self,
        files: Sequence[Source] = (),
        *,
        map: Mapping[str, str] | None = None,
        on_error: OnError = "raise",
        nan: bool = False,
    ) -> None:
        if on_error not in ("raise", "skip"):
            raise UnknownName("choice of on_error", on_error, ("raise", "skip"))
        self._files, self._map, self._on_error, self._nan = files, dict(map or {}), on_error, nan
        self._given: Iterable[Row] | None = None
        self.skipped: list[DataError] = []
        self.notes: list[str] = []
        self.count = self.bytes = 0
        self.at: Row | None = None

    def turn_to(self, files: Sequence[Source], *, nan: bool = False) -> Self:
        """These files next, with the same account."""
        self._files, self._nan = files, nan
        return self

    @classmethod
    def of(cls, values: Iterable[Mapping[str, Any]], *, on_error: OnError = "raise") -> Self:
        """Rows from memory, as if read from a file.

        >>> [row.value for row in Rows.of([{"a": 1}])]
        [{'a': 1}]
        """
        made = cls(on_error=on_error)
        made._given = [Row("<memory>", i, dict(v)) for i, v in enumerate(values, 1)]
        return made

    def __iter__(self) -> Iterator[Row]:
        for row in self._raw():
            self.count += 1
            self.bytes += row.size
            self.at = row
            if self._map:
                try:
                    row = row._replace(value=renamed(row.value, self._map))
                except DataError as error:
                    self.bad(error)
                    continue
            yield row

    def _raw(self) -> Iterator[Row]:
        if self._given is not None:
            yield from self._given
        for file in self._files:
            yield from rows(file, bad=self._unread if self._on_error == "skip" else None, nan=self._nan)

    def _unread(self, error: DataError) -> None:
        self.count += 1
        self.bad(error)

    def bad(self, error: DataError, row: Row | None = None) -> None:
        """Raise the error of a row, or list it and go on, as the caller of `read` chose."""
        row = row or self.at
        placed = error if row is None else error.at(file=row.file, row=row.number)
        if self._on_error == "raise":
            raise placed from None
        self.skipped.append(placed)

    @contextmanager
    def guard(self, row: Row) -> Iterator[None]:
        """A DataError in this block concerns `row`: it is placed, then raised or listed."""
        try:
            yield
        except DataError as error:
            self.bad(error, row)
        except RecursionError:
            self.bad(DataError("nested too deeply"), row)

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


_SPAN_FIELDS = {"resourceSpans", "resource_spans", "traceId", "trace_id", "observations", "run_type"}
_SPANS = (
    "of spans the format says it: --format otel:group=NAME:outcome=NAME, or langfuse:, langsmith:, openinference: (a "
    "score, an attribute or a field of the metadata has that name)"
)


def renamed(row: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The row with our names beside theirs: `{"outcome": "info.reward"}` reads row["info"]["reward"].

    >>> renamed({"info": {"reward": 1}}, {"outcome": "info.reward"})
    {'info': {'reward': 1}, 'outcome': 1}
    """
    return {**row, **{ours: _at(row, theirs, ours) for ours, theirs in names.items()}}


def _at(row: Mapping[str, Any], path: str, ours: str) -> Any:
    if path in row:
        return row[path]
    value: Any = row
    done = ""
    for part in path.split("."):
        if not isinstance(value, Mapping) or part not in value:
            have = ", ".join(map(str, value)) if isinstance(value, Mapping) else f"a {type(value).__name__}"
            raise DataError(
                f"--map {ours}={path}: there is no field {part!r}" + (f" in {done!r}" if done else ""),
                expected=f"one of: {have}",
                hint=_SPANS if _SPAN_FIELDS & row.keys() else None,
            )
        value = value[part]
        done = f"{done}.{part}" if done else part
    return value
