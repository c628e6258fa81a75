"""What the suites share: cells that are measured once and kept, and a result that prints, plots and parses."""

import json
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from time import perf_counter, sleep
from typing import Any, NamedTuple

from stepcredit.errors import StepCreditError


class Cell(NamedTuple):
    """A part of a suite that is measured as a whole.

    key: names it among the suite's cells. make: no arguments, returns what JSON can hold; a partial of a module's
    function, so that another process can call it.
    """

    key: str
    make: Callable[[], Any]


class Table(NamedTuple):
    """Rows under headings, for people; numbers are numbers or text that is ready to be read."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    note: str = ""


class Line(NamedTuple):
    """A line of a plot, with its band (None: no band)."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None


class Plot(NamedTuple):
    """A plot; `name` is the stem of its file."""

    name: str
    title: str
    x: str
    y: str
    lines: Sequence[Line]
    log_x: bool = True


@dataclass(frozen=True)
class Result:
    """What a suite found: `rows` and `more` for machines, tables and plots for people."""

    rows: list[dict[str, Any]]
    tables: list[Table]
    plots: list[Plot] = field(default_factory=list)
    more: dict[str, Any] = field(default_factory=dict)


class Store:
    """Values of the cells measured so far. With a path each is a line of that file at once, and a run of the same
    suite and settings goes on where the last one stopped.

    Raises:
        StepCreditError: the file holds another suite, other settings or another version's figures.
    """

    def __init__(self, path: Path | None, head: Mapping[str, Any]) -> None:
        self._path = path
        self.values: dict[str, Any] = {}
        self.seconds: dict[str, float] = {}
        if path is None:
            return
        first = json.loads(json.dumps(head))
        text = path.read_bytes().decode("utf-8", "replace") if path.exists() else ""
        whole = text[: text.rfind("\n") + 1]
        found = [_parsed(line) for line in whole.splitlines()]
        if text and (not found or not _heads(found[0]) or not all(map(_is_cell, found[1:]))):
            raise StepCreditError(f"{path}: not a file of finished cells", hint="give another --store")
        if found and found[0] != first:
            raise StepCreditError(
                f"{path}: holds figures of {_told(found[0])}, expected {_told(first)}",
                hint="settings, methods, data or the code have changed: give another --store, or delete the file",
            )
        self.values = {one["key"]: one["value"] for one in found[1:]}
        self.seconds = {one["key"]: one["seconds"] for one in found[1:]}
        if not text:
            path.write_text(json.dumps(first) + "\n", "utf-8")
        elif whole != text:  # cut short by a kill
            with path.open("r+b") as file:
                file.truncate(len(whole.encode()))

    def put(self, key: str, value: Any, seconds: float) -> None:
        """Keep a cell's value, and how long it took."""
        text = json.dumps({"key": key, "seconds": round(seconds, 3), "value": value})
        self.values[key], self.seconds[key] = json.loads(text)["value"], seconds
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(text + "\n")


def measure(
    cells: Sequence[Cell], store: Store, *, jobs: int = 1, advance: Callable[[], object] = lambda: None
) -> dict[str, Any]:
    """The values of all cells by key; those in the store are not measured again.

    Args:
        jobs: processes to spread the cells over; 1 measures in this one.
        advance: called after each cell.
    """
    todo = [cell for cell in cells if cell.key not in store.values]
    for _ in range(len(cells) - len(todo)):
        advance()
    if jobs == 1 or len(todo) < 2:
        for cell in todo:
            store.put(cell.key, *_timed(cell.make))
            advance()
    else:
        with ProcessPoolExecutor(jobs, initializer=_end_with, initargs=(os.getpid(),)) as pool:
            waiting = {pool.submit(_timed, cell.make): cell.key for cell in todo}
            try:
                for done in as_completed(waiting):
                    store.put(waiting[done], *done.result())
                    advance()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    return {cell.key: store.values[cell.key] for cell in cells}


def _end_with(parent: int) -> None:
    """End this process when it is told to, and when the one that started it is gone, killed before it could say so."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the handler that came along would make it the result of a cell

    def watch() -> None:
        while os.getppid() == parent:
            sleep(1)
        os._exit(1)

    Thread(target=watch, daemon=True).start()


def _timed(make: Callable[[], Any]) -> tuple[Any, float]:
    start = perf_counter()
    value = make()
    return value, perf_counter() - start


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError:
        return None


def _heads(line: Any) -> bool:
    return isinstance(line, dict) and "suite" in line


def _is_cell(line: Any) -> bool:
    return isinstance(line, dict) and {"key", "seconds", "value"} <= line.keys()


def _told(head: Any) -> str:
    return json.dumps(head)[:300]
