"""An index on disk, asked by an embedded engine over its Parquet files in place.

Statements are fixed texts; what comes from a request is only ever a parameter. The engine may read the cache folder
and nothing else, and its settings are locked.
"""

import threading
import time
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec

from stepcredit.app.view import shown
from stepcredit.app.view.answers import Answers, Head
from stepcredit.app.view.files import Kept, read_head, run_of, step_of
from stepcredit.app.view.memory import snippet
from stepcredit.app.view.rows import RUN_COLUMNS, Run
from stepcredit.app.view.stopping import Stop
from stepcredit.app.view.words import places
from stepcredit.data.records import Rollout, Step
from stepcredit.errors import StepCreditError
from stepcredit.plugins import extra

_COLUMNS = tuple(n for n in RUN_COLUMNS if n != "marks")
_QUOTED = ", ".join(f'"{n}"' for n in _COLUMNS)
_RUNS = f"SELECT {_QUOTED} FROM read_parquet($files) ORDER BY id"
_RUN = "SELECT * FROM read_parquet($files) WHERE id = $id"
_MEMBERS = "SELECT * FROM read_parquet($files) WHERE gid = $gid ORDER BY id"
_NAMES = "SELECT name FROM parquet_schema($files)"
_NUMBERS = "SELECT * EXCLUDE (run, step) FROM read_parquet($files) WHERE run = $id ORDER BY step"
_STEPS = """
    SELECT text, reasoning, observation, rest FROM read_parquet($files)
    WHERE run = $id AND step >= $start AND step < $stop ORDER BY step
"""
_WHOLE = """
    SELECT run, text, reasoning, observation, rest FROM read_parquet($files)
    WHERE run >= $low AND run <= $high AND list_contains($ids, run) ORDER BY run, step
"""
_FOUND = """
    SELECT run, step, text, reasoning, observation, calls FROM read_parquet($files)
    WHERE run >= $low AND run <= $high AND list_contains($places, run * 4294967296 + step)
"""
_TASKS = """
    SELECT id, task FROM read_parquet($files) WHERE contains(lower(task), lower($words))
        OR contains(lower("group"), lower($words)) OR contains(lower(rollout), lower($words)) ORDER BY id LIMIT $most
"""
_MOST = 10_000
_TRIES = 20
_Where = tuple[str, int | None]  # kind of file, and part; None: of all parts


class Query(Answers):
    """An index in a folder, which may still grow or move.

    Args:
        folder: of the index. root: folder that the engine may read; `folder` lies in it.

    Raises:
        MissingExtra: duckdb is not installed. StepCreditError: the folder holds no index.
    """

    def __init__(self, folder: Path, root: Path) -> None:
        engine = extra("duckdb", "the viewer", name="view")
        self._lock = threading.RLock()
        self._engine = _opened(engine, root)
        self._error = engine.Error
        self.move(folder)

    def move(self, folder: Path) -> None:
        """Answer from this folder from now on; also: look at the same folder again, it has grown."""
        kept = read_head(folder)
        if kept is None:
            raise StepCreditError(f"no index in {folder}")
        with self._lock:
            self.folder, self.kept = folder, kept
            self.head: Head = kept.head
            self._columns: dict[str, list[Any]] | None = None
            self._mates: dict[int, list[int]] = {}
            self._names: dict[int, list[str]] = {}

    @property
    def state(self) -> Kept:
        """The head as it stands on disk."""
        return self.kept

    def counts(self) -> dict[str, int]:
        return {"groups": self.kept.groups, "runs": self.kept.first[-1], "steps": self.kept.steps}

    def columns(self) -> dict[str, list[Any]]:
        with self._lock:
            if self._columns is None:
                table = self._table(_RUNS, ("runs", None)) if self._parts else {n: [] for n in _COLUMNS}
                for name in ("outcome", "cost", "seconds", "worst_score", "confidence"):
                    table[name] = [None if v is None or v != v else v for v in table[name]]
                self._columns = table
                for id, gid in zip(table["id"], table["gid"], strict=True):
                    self._mates.setdefault(gid, []).append(id)
            return self._columns

    def get(self, id: int) -> Run | None:
        if not 0 <= id < self.kept.first[-1]:
            return None
        part = self._part(id)
        rows = self._rows(_RUN, ("runs", part), id=id)
        return run_of(rows[0], part) if rows else None

    def method_notes(self, run: Run) -> Mapping[str, Sequence[str]]:
        return self.kept.notes[run.part]

    def numbers(self, id: int) -> dict[str, list[Any]]:
        where = ("numbers", self._part(id))
        table = self._engine_rows(_NUMBERS, where, id=id).fetchnumpy()
        out: dict[str, list[Any]] = {}
        for name, values in zip(self._named(where), table.values(), strict=True):
            if values.dtype.kind in "OUT":
                out[name] = [None if v is None or v != v else str(v) for v in _filled(values, None)]
            else:
                out[name] = shown.numbers(_filled(values, float("nan")))
        return out

    def _named(self, where: _Where) -> list[str]:
        """Columns of numbers as they were written: the engine renames those that differ by their case alone."""
        part = where[1] or 0
        if part not in self._names:
            names = [row["name"] for row in self._rows(_NAMES, where)]
            self._names[part] = [n for n in names[1:] if n not in ("run", "step")]  # the first is the table's
        return self._names[part]

    def steps(self, id: int, start: int, stop: int) -> list[Step]:
        rows = self._rows(_STEPS, ("texts", self._part(id)), id=id, start=start, stop=stop)
        return [step_of(row) for row in rows]

    def members(self, gid: int) -> list[Run]:
        self.columns()
        ids = self._mates.get(gid)
        if not ids:
            return []
        part = self._part(ids[0])
        return [run_of(row, part) for row in self._rows(_MEMBERS, ("runs", part), gid=gid)]

    def rollouts(self, gid: int) -> tuple[list[int], list[Rollout]]:
        runs = self.members(gid)
        ids = [r.id for r in runs]
        if not ids:
            return [], []
        steps: dict[int, list[Step]] = {i: [] for i in ids}
        files = ("texts", self._part(ids[0]))
        for row in self._rows(_WHOLE, files, low=min(ids), high=max(ids), ids=ids):
            steps[row["run"]].append(step_of(row))
        return ids, [msgspec.structs.replace(r.record, prefix=[], steps=steps[r.id]) for r in runs]

    def mates(self, gid: int) -> list[dict[str, Any]]:
        columns = self.columns()
        return [{n: columns[n][i] for n in ("id", "rollout", "outcome", "steps")} for i in self._mates.get(gid, [])]

    def find(self, words: str, limit: int, stop: Stop | None = None) -> dict[str, Any]:
        stop = Stop() if stop is None else stop
        if not words or not self._parts:
            return {"hits": [], "total": 0, "cut": False}
        hits: list[dict[str, Any]] = []
        tasks = self._rows(_TASKS, ("runs", None), stop, words=words, most=limit + 1)
        columns = self.columns()
        for row in tasks[:limit]:
            texts = (row["task"], columns["rollout"][row["id"]], columns["group"][row["id"]])
            text = next((t for t in texts if t and words.lower() in t.lower()), row["task"] or "")
            hits.append({"id": row["id"], "step": None, "where": "task", "snippet": snippet(text, words)})
        found = self._places(words, stop)
        held = self._texts(found[: max(limit - len(hits), 0)], stop)
        for run, step, place in found[: len(held)]:
            text = held[run, step][place] or ""
            hits.append({"id": run, "step": step, "where": place, "snippet": snippet(text, words)})
        counted = len(found) <= _MOST and len(tasks) <= limit
        total = len(found) + len(tasks)
        return {"hits": hits, "total": total if counted else None, "cut": not counted or total > len(hits)}

    def _places(self, words: str, stop: Stop) -> list[tuple[int, int, str]]:
        """Run, step and field of each step that holds the words."""
        tries = 0
        while True:
            tries += 1
            paths = self._paths("words", None)
            try:
                return places(paths, words, _MOST + 1, stop)[: _MOST + 1]
            except (OSError, ValueError) as error:
                self._retry(error, paths, tries)

    def _texts(self, places: Sequence[tuple[int, int, str]], stop: Stop) -> dict[tuple[int, int], dict[str, Any]]:
        """The texts of some steps."""
        out: dict[tuple[int, int], dict[str, Any]] = {}
        for part, some in groupby(places, key=lambda p: self._part(p[0])):
            mine = [(run, step) for run, step, _ in some]
            keys = [run * 4294967296 + step for run, step in mine]
            where = {"low": mine[0][0], "high": mine[-1][0], "places": keys}
            out |= {(row["run"], row["step"]): row for row in self._rows(_FOUND, ("texts", part), stop, **where)}
        return out

    def close(self) -> None:
        """Let the engine go."""
        with self._lock:
            self._engine.close()

    @property
    def _parts(self) -> int:
        return len(self.kept.first) - 1

    def _part(self, id: int) -> int:
        return bisect_right(self.kept.first, id) - 1

    def _paths(self, kind: str, part: int | None) -> list[Path]:
        with self._lock:
            folder, kept = self.folder, self.kept
        numbers = range(len(kept.first) - 1) if part is None else [part]
        names = ("judged" if kind == "runs" and n < kept.judged else kind for n in numbers)
        ending = "arrow" if kind == "words" else "parquet"
        return [folder / f"{name}-{n:04}.{ending}" for name, n in zip(names, numbers, strict=True)]

    def _engine_rows(self, statement: str, where: _Where, cursor: Any = None, **given: Any) -> Any:
        cursor = self._cursor() if cursor is None else cursor
        tries = 0
        while True:
            tries += 1
            paths = self._paths(*where)
            try:
                return cursor.execute(statement, {"files": [str(p) for p in paths], **given})
            except self._error as error:
                self._retry(error, paths, tries)

    @staticmethod
    def _retry(error: Exception, paths: Sequence[Path], tries: int) -> None:
        """Wait where the folder takes its name just now.

        Raises:
            StepCreditError: it is something else.
        """
        if tries < _TRIES and not all(p.exists() for p in paths):
            time.sleep(0.05)
            return
        raise StepCreditError(
            f"the index cannot be read: {str(error).splitlines()[0]}",
            hint="it was removed? start the viewer anew",
        ) from None

    def _table(self, statement: str, where: _Where, **given: Any) -> dict[str, list[Any]]:
        found = self._engine_rows(statement, where, **given)
        names = [d[0] for d in found.description]
        rows = found.fetchall()
        columns = zip(*rows, strict=True) if rows else ([] for _ in names)
        return {n: list(c) for n, c in zip(names, columns, strict=True)}

    def _rows(self, statement: str, where: _Where, till: Stop | None = None, /, **given: Any) -> list[dict[str, Any]]:
        cursor = self._cursor()
        with (Stop() if till is None else till).during(cursor.interrupt):
            found = self._engine_rows(statement, where, cursor, **given)
            names = [d[0] for d in found.description]
            return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def _cursor(self) -> Any:
        with self._lock:
            return self._engine.cursor()


def _opened(engine: Any, root: Path) -> Any:
    connection = engine.connect(":memory:")
    quoted = str(root).replace("'", "''")
    for setting in (
        f"allowed_directories = ['{quoted}']",
        "enable_external_access = false",
        "autoinstall_known_extensions = false",
        "autoload_known_extensions = false",
        "parquet_metadata_cache = true",
        "threads = 2",
        "memory_limit = '2GB'",
        "lock_configuration = true",
    ):
        connection.execute(f"SET {setting}")
    return connection


def _filled(values: Any, otherwise: Any) -> Any:
    return values.filled(otherwise) if hasattr(values, "filled") else values
