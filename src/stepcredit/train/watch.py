"""What a run tells while it runs: metrics.jsonl, warnings, a word to whoever looks."""

import json
import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from stepcredit.errors import DataError

_DEAD, _LOOK = 0.9, 10


class Watch:
    """Writes every log as a line of JSON: step, rollouts so far, seconds of training so far (over all resumes), and
    what the trainer logged.

    Args:
        file: None: nothing is written. after: lines of later steps are dropped: a run goes on from this step.
        tell: told of every line. warn: told of what somebody should know.
    """

    def __init__(
        self,
        file: Path | None,
        *,
        after: int | None = None,
        tell: Callable[[Mapping[str, Any]], object] = lambda line: None,
        warn: Callable[[str], object] = lambda text: None,
    ) -> None:
        self.file, self.tell, self._warn = file, tell, warn
        self._began, self._spent = time.monotonic(), 0.0
        self._dead: deque[float] = deque(maxlen=_LOOK)
        self._said: set[str] = set()
        if file is not None and after is not None:
            kept = [line for line in read(file) if line["step"] <= after]
            self._spent = float(kept[-1]["seconds"]) if kept else 0.0
            file.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")

    def begin(self) -> None:
        """Seconds count from now."""
        self._began = time.monotonic()

    def seconds(self) -> float:
        """Of training so far, over all resumes."""
        return self._spent + time.monotonic() - self._began

    def log(self, step: int, rollouts: int, logs: Mapping[str, Any]) -> None:
        """Take in what the trainer logged."""
        line = {"step": step, "rollouts": rollouts, "seconds": round(self.seconds(), 3)}
        line |= {n: _plain(v) for n, v in logs.items() if n not in line}
        if self.file is not None:
            with self.file.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(line) + "\n")
        self.tell(line)
        dead = line.get("credit/dead_groups")
        if isinstance(dead, int | float):
            self._dead.append(float(dead))
            if len(self._dead) == _LOOK and sum(self._dead) / _LOOK > _DEAD:
                self.warn(
                    f"step {step}: {sum(self._dead) / _LOOK:.0%} of the tasks of the last {_LOOK} steps taught nothing "
                    "(all rollouts of a task got the same credit): more warmup.steps or an easier world if all fail, "
                    "a harder world if all succeed, more rl.rollouts_per_task, or a method with credit per step",
                    once="dead",
                )

    def warn(self, text: str, *, once: str | None = None) -> None:
        """Say what somebody should know; what is said once is said once a run."""
        if once is None or once not in self._said:
            self._said.add(once or text)
            self._warn(text)


def read(file: Path) -> list[dict[str, Any]]:
    """The lines of a metrics.jsonl; a last one that was cut short by a kill is left out.

    Raises:
        DataError: a line before it is damaged.
    """
    if not file.exists():
        return []
    rows = file.read_text(encoding="utf-8").split("\n")
    out = []
    for number, row in enumerate(rows, 1):
        try:
            out += [json.loads(row)] if row else []
        except ValueError:
            if number < len(rows):
                raise DataError("is no line of metrics", file=file, row=number) from None
    return out


def _plain(value: Any) -> Any:
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
