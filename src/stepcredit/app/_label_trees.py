"""`stepcredit label --trees`: what was drawn for each task, in the order of the tasks."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from stepcredit.app.console import note
from stepcredit.app.options import writable
from stepcredit.data.writing import LineWriter
from stepcredit.errors import StepCreditError
from stepcredit.label.trees import ASKED, tree_rows
from stepcredit.label.work import Work
from stepcredit.shelf import Planner


class TreeFile:
    """A file of trees that comes to be with its first tree; None: of nothing.

    Attributes:
        heard: to be told of units by `label`; None where nobody asks for trees.

    Raises:
        StepCreditError: the system draws nothing, so that there are no trees. DataError: the file cannot be made.
    """

    def __init__(self, path: Path | None, planner: Planner) -> None:
        self.path, self.system = path, planner.name
        self.heard: Callable[[int, list[Work]], object] | None = None if path is None else self._hear
        self._stack, self._out = ExitStack(), None if path is None else LineWriter(path, "trees")
        self._open = False
        self._waiting: dict[int, list[dict[str, Any]]] = {}
        writable(path)
        if path is not None and ASKED not in (*planner.card.asks, *planner.card.may_ask):
            raise StepCreditError(
                f"--trees: {planner.name} draws no completions, so that it leaves no trees",
                hint="leave --trees out, or a system that does: omegaprm, alphamath, math_shepherd, ...",
            )

    def __enter__(self) -> Self:
        return self

    def write(self, place: int) -> None:
        """Write what was drawn for a unit."""
        for row in self._waiting.pop(place, []):
            assert self._out is not None
            if not self._open:
                self._stack.enter_context(self._out)
                self._open = True
            self._out.write(row)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.__exit__(kind, error, at)
        if self.path is not None and kind is None:
            note(f"trees: {self.path}" if self._open else "no trees: nothing was drawn", "")

    def _hear(self, place: int, unit: list[Work]) -> None:
        self._waiting[place] = list(tree_rows(unit, self.system))
