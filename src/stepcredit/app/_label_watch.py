"""A long run at the terminal: what is labelled, how fast, what is spent, when it ends. Quiet where nobody looks."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, TaskProgressColumn, TimeRemainingColumn
from rich.text import Text

from stepcredit.app.console import err


class _Spent(ProgressColumn):
    """What a budget has spent, as of now."""

    def __init__(self, budget: Any) -> None:
        super().__init__()
        self._budget = budget

    def render(self, task: Any) -> Text:
        return Text("" if self._budget is None else str(self._budget))


class _Rate(ProgressColumn):
    """Labels, and how many a second."""

    def __init__(self) -> None:
        super().__init__()
        self._began = time.monotonic()

    def render(self, task: Any) -> Text:
        labels = task.fields.get("labels", 0)
        rate = labels / max(time.monotonic() - self._began, 1e-9)
        return Text(f"{labels:,} labels, {rate:,.1f}/s")


@contextmanager
def watched(total: int, budget: Any) -> Iterator[Callable[[int, int], None]]:
    """Yields a function to tell (rollouts, labels) that are done; budget: has `spent`, or None."""
    if not err.is_terminal:
        yield lambda rollouts, labels: None
        return
    columns = (SpinnerColumn(), BarColumn(20), TaskProgressColumn(), _Rate(), _Spent(budget), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True, refresh_per_second=4) as bar:
        task = bar.add_task("rollouts", total=total, labels=0)
        told = 0

        def advance(rollouts: int, labels: int) -> None:
            nonlocal told
            told += labels
            bar.update(task, advance=rollouts, labels=told)

        yield advance
