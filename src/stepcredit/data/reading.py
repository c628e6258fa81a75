"""Files to batches: all at once, or group by group in bounded memory."""

import tempfile
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from stepcredit.data import formats
from stepcredit.data.batch import Batch
from stepcredit.data.presence import Presence
from stepcredit.data.records import Rollout, check
from stepcredit.data.rows import OnError, Rows
from stepcredit.data.storage import Source, placed, sources
from stepcredit.errors import DataError, UnknownName

Paths = str | Path | Sequence[str | Path]
_Placed = tuple[Rollout, str, int]  # a rollout, and the file and row it came from


class Reading:
    """Files on the way to rollouts. Iterate over it for the rollouts one by one, or use `read` or `stream`.

    Args:
        path: a file, "-" for standard input, a folder, a glob, or a list of these, read in order.
        format: name of the format; None: found from the first row of each file. Files of several formats are read
            format by format.
        map: our field name -> the name it bears in the file; dots go into objects: {"outcome": "info.reward"}.
        on_error: "raise" at the first bad row, or "skip" such rows and list them.
        change: applied to every rollout as it is read (a segmenter, say).
        options: of the format.

    Attributes:
        format: name of the format, or names with ", " between.
        skipped: a DataError for each row left out. notes: what was derived or left out, in words.
        rows, bytes: rows read, and their size before compression. All of the latest pass over the files.

    Raises:
        DataError: names file, row, got, expected.
        UnknownName: no such format, option, or field to map to.
    """

    def __init__(
        self,
        path: Paths,
        *,
        format: str | None = None,
        map: Mapping[str, str] | None = None,
        on_error: OnError = "raise",
        change: Callable[[Rollout], Rollout] | None = None,
        **options: Any,
    ) -> None:
        self._files = sources(path)
        self._map, self._on_error, self._change = map, on_error, change
        self._unread: list[DataError] = []
        self._rows = Rows((), on_error=on_error)
        self._parts = self._detect() if format is None else [(name, self._files) for name in format.split(", ")]
        self.format = ", ".join(name for name, _ in self._parts)
        modules = [formats.get(name) for name, _ in self._parts]
        self._module = modules[0] if len(modules) == 1 else None
        self._options = options if self._module is None else formats.converted(self.format, options)
        for name in () if len(modules) == 1 else options:
            if not any(name in formats.options(part) for part, _ in self._parts):
                known = {o for part, _ in self._parts for o in formats.options(part)}
                raise UnknownName(f"option of formats {self.format}", name, known)
        fields = {*Rollout.__struct_fields__, *(f for module in modules for f in module.FIELDS)}
        for name in (map or {}).keys() - fields:
            raise UnknownName("field to map to", name, fields)

    def _detect(self) -> list[tuple[str, list[Source]]]:
        """The files of each format."""
        if not self._files:
            raise DataError("there is nothing to read", hint="name at least one file")
        found: dict[str, list[Source]] = {}
        known = formats.known()
        for file in self._files:
            try:
                found.setdefault(self._format_of(file, known), []).append(file)
            except DataError as error:
                if self._on_error == "raise" or len(self._files) == 1:
                    raise
                self._unread.append(error)
        if not found:
            raise self._unread[0]
        return list(found.items())

    def _format_of(self, file: Source, known: Mapping[str, formats.Format]) -> str:
        rows = Rows([file], map=self._map, on_error=self._on_error, nan=True)
        for row in rows:
            return formats.detect(row.value, row.file, known)
        raise rows.skipped[0]

    @property
    def skipped(self) -> list[DataError]:
        return self._rows.skipped

    @property
    def left_out(self) -> str | None:
        """How many rows were left out so far, and the first of them; None: none."""
        return f"{len(self.skipped)} rows left out; the first: {self.skipped[0].message}" if self.skipped else None

    @property
    def notes(self) -> list[str]:
        return self._rows.notes

    @property
    def rows(self) -> int:
        return self._rows.count

    @property
    def bytes(self) -> int:
        return self._rows.bytes

    def __iter__(self) -> Iterator[Rollout]:
        return (rollout for rollout, _, _ in self._distinct(self._pass()))

    def read(self) -> Batch:
        """Everything in one batch, in the order of the files."""
        batch = self._batch(self._pass())
        return batch if self.left_out is None else batch.with_note(self.left_out)

    def stream(self, *, steps: int = 100_000, present: Presence | None = None) -> Iterator[Batch]:
        """Batches of whole groups, of at most `steps` steps where a group is not larger.

        A batch has the columns of its own rollouts; with `present`, those of all the rollouts that it was shown.

        Memory holds one batch and the names of the groups. The files are read twice, the first time to see where
        groups stand; groups that are not together are sorted on disk, in a temporary file, and a note says so.
        """
        sizes, together, kept = self._survey(steps)
        if kept is not None:
            yield self._batch(kept)
            return
        plan = _plan(sizes, steps)
        some = False
        for placed_rollouts in self._direct(plan) if together else self._sorted(plan):
            if placed_rollouts:  # of groups whose rows are all skipped nothing is left
                some = True
                yield self._batch(placed_rollouts, present)
        if not some:
            self._batch([])

    def _pass(self) -> Iterator[_Placed]:
        """One pass over the files, from the start."""
        rows = self._open()
        for name, files in self._parts:
            module = formats.get(name)
            rows.turn_to(files, nan=getattr(module, "NAN_IS_NULL", False))
            checked = getattr(module, "CHECKED", False) and self._change is None
            for rollout in module.rollouts(rows, **self._options_of(name)):
                file, number = (rows.at.file, rows.at.number) if rows.at else ("", 0)
                if len(self._parts) > 1:
                    rollout.group = f"{name}/{rollout.group}"
                try:
                    if self._change is not None:
                        rollout = self._change(rollout)
                    if not checked:
                        check(rollout)
                except DataError as error:
                    rows.bad(error)
                    continue
                yield rollout, file, number

    def _options_of(self, name: str) -> dict[str, Any]:
        if self._module is not None:
            return self._options
        known = formats.options(name)
        return formats.converted(name, {k: v for k, v in self._options.items() if k in known})

    def _open(self) -> Rows:
        nan = getattr(self._module, "NAN_IS_NULL", False)
        self._rows = Rows(self._files, map=self._map, on_error=self._on_error, nan=nan)
        self._rows.skipped.extend(self._unread)
        return self._rows

    def _distinct(self, rollouts: Iterable[_Placed]) -> Iterator[_Placed]:
        seen: set[tuple[str | int, str | int]] = set()
        for one in rollouts:
            rollout, file, row = one
            name = (rollout.group, rollout.rollout)
            if name in seen:
                error = DataError(
                    f"group {rollout.group!r} holds two rollouts of this name",
                    rollout=rollout.rollout,
                    hint="give each attempt of a task its own rollout id; --on-error skip keeps the first",
                )
                self._rows.bad(error.at(file=file, row=row))
                continue
            seen.add(name)
            yield one

    def _batch(self, rollouts: Iterable[_Placed], present: Presence | None = None) -> Batch:
        kept = [r for r, _, _ in self._distinct(rollouts)]
        if not kept and self.skipped:
            raise DataError(f"no row can be used; the first: {self.skipped[0].message}", hint=self.skipped[0].hint)
        batch = Batch.from_records(kept) if present is None else present.batch(kept)
        for note in self.notes:
            batch = batch.with_note(note)
        return batch

    def _survey(self, steps: int) -> tuple[dict[str | int, int], bool, list[_Placed] | None]:
        """Steps of each group; whether each group stands together; all rollouts, if they make one batch.

        A format that can tell sizes from bare rows (`sizes`) is spared the first of two full passes.
        """
        sizes: dict[str | int, int] = {}
        kept: list[_Placed] | None = []
        together, before, total = True, None, 0
        for group, size, one in self._look():
            together = together and (group == before or group not in sizes)
            before = group
            sizes[group] = sizes.get(group, 0) + max(size, 1)
            total += max(size, 1)
            if one is None or total > steps:
                kept = None
            elif kept is not None:
                kept.append(one)
        return sizes, together, kept if sizes else None  # bare rows that name no group are errors, told by the pass

    def _look(self) -> Iterator[tuple[str | int, int, _Placed | None]]:
        bare = getattr(self._module, "sizes", None)
        if bare is None or self._change is not None:
            for one in self._pass():
                yield one[0].group, len(one[0].steps), one
        else:
            for group, size in bare(self._open()):
                yield group, size, None

    def _direct(self, plan: Mapping[str | int, int]) -> Iterator[list[_Placed]]:
        gathered: list[_Placed] = []
        current = 0
        for one in self._pass():
            number = plan[one[0].group]
            if number != current:
                yield gathered
                gathered, current = [], number
            gathered.append(one)
        yield gathered

    def _sorted(self, plan: Mapping[str | int, int]) -> Iterator[list[_Placed]]:
        encode, decode = msgspec.json.Encoder().encode, msgspec.json.Decoder(_Placed).decode
        index = [array("q") for _ in range(max(plan.values()) + 1)]
        with tempfile.TemporaryFile() as spool:
            end = 0
            for one in self._pass():
                index[plan[one[0].group]].append(end)
                with placed("the temporary file for sorting groups"):
                    end += spool.write(encode(one) + b"\n")
            self._rows.note("groups are not together in the file: sorted on disk, read twice")
            for offsets in index:
                gathered = []
                for at in offsets:
                    spool.seek(at)
                    gathered.append(decode(spool.readline()))
                yield gathered


def read(
    path: Paths,
    *,
    format: str | None = None,
    map: Mapping[str, str] | None = None,
    on_error: OnError = "raise",
    **options: Any,
) -> Batch:
    """A Batch of all rollouts in a file, in their order. Arguments and errors: see `Reading`.

    What was left out is in the notes of the batch; to get at each error, use `Reading`.
    """
    return Reading(path, format=format, map=map, on_error=on_error, **options).read()


def stream(
    path: Paths,
    *,
    format: str | None = None,
    map: Mapping[str, str] | None = None,
    on_error: OnError = "raise",
    steps: int = 100_000,
    **options: Any,
) -> Iterator[Batch]:
    """Batches of whole groups, in bounded memory. Arguments and errors: see `Reading` and `Reading.stream`."""
    reading = Reading(path, format=format, map=map, on_error=on_error, **options)
    batches = reading.stream(steps=steps)
    return (b if reading.left_out is None else b.with_note(reading.left_out) for b in batches)


def _plan(sizes: Mapping[str | int, int], steps: int) -> dict[str | int, int]:
    """Number of the batch that each group goes to.

    >>> _plan({"a": 2, "b": 2, "c": 1, "d": 9}, 3)
    {'a': 0, 'b': 1, 'c': 1, 'd': 2}
    """
    plan, number, total = {}, 0, 0
    for group, size in sizes.items():
        if total and total + size > steps:
            number, total = number + 1, 0
        plan[group] = number
        total += size
    return plan
