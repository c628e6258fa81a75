"""What the page asks for, answered from an index: the same shapes from memory, from files, in an export."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from stepcredit.app.view import shown
from stepcredit.app.view.rows import RUN_COLUMNS, Run, blame_shown, told_apart
from stepcredit.app.view.stopping import Stop
from stepcredit.data.records import Rollout, Step

PAGE = 100
"""Most steps of one answer."""
_DISAGREEMENTS = 12


@dataclass
class Head:
    """What is known of the whole index: the part of `/api/state` that does not change while it is looked at.

    methods: name, title, doc, skipped (why it could not run, else None). lint: findings that no single run is named
    in. source: what was read, in words. forked: gids of tasks whose rollouts are stored as a tree.
    """

    title: str = "stepcredit"
    source: str = ""
    methods: list[dict[str, Any]] = field(default_factory=list)
    diagnosers: list[dict[str, Any]] = field(default_factory=list)
    evidence: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    lint: list[dict[str, Any]] = field(default_factory=list)
    comparison: list[dict[str, Any]] = field(default_factory=list)
    left_out: str | None = None
    forked: list[int] = field(default_factory=list)
    redacted: dict[str, int] | None = None


class Answers(ABC):
    """An index, asked. Runs are named by their number, tasks by theirs (gid)."""

    head: Head

    @abstractmethod
    def counts(self) -> dict[str, int]:
        """groups, runs, steps."""

    @abstractmethod
    def columns(self) -> dict[str, list[Any]]:
        """The columns of `/api/runs` but for marks."""

    @abstractmethod
    def get(self, id: int) -> Run | None:
        """A run, without its steps."""

    @abstractmethod
    def method_notes(self, run: Run) -> Mapping[str, Sequence[str]]:
        """method -> what was derived for it where this run is."""

    @abstractmethod
    def numbers(self, id: int) -> dict[str, list[Any]]:
        """Columns of the steps of a run."""

    @abstractmethod
    def steps(self, id: int, start: int, stop: int) -> list[Step]:
        """Records of the steps of a run from `start` to before `stop`."""

    @abstractmethod
    def members(self, gid: int) -> list[Run]:
        """The runs of a task."""

    @abstractmethod
    def mates(self, gid: int) -> list[dict[str, Any]]:
        """id, rollout, outcome, steps of the runs of a task."""

    @abstractmethod
    def find(self, words: str, limit: int, stop: Stop | None = None) -> dict[str, Any]:
        """`/api/search`.

        Raises:
            Stopped: nobody waits for it.
        """

    def rollouts(self, gid: int) -> tuple[list[int], list[Rollout]]:
        """Ids and whole records of the runs of a task."""
        runs = self.members(gid)
        whole = [msgspec.structs.replace(r.record, prefix=[], steps=self.steps(r.id, 0, r.n)) for r in runs]
        return [r.id for r in runs], whole

    def runs(self) -> dict[str, Any]:
        """`/api/runs`; marks are filled in by who knows them."""
        columns = self.columns()
        total = len(columns["id"])
        shown = {n: columns.get(n, [0] * total) for n in RUN_COLUMNS}
        return {"total": total, "columns": {**shown, "task": told_apart(shown["task"])}}

    def run(self, id: int) -> dict[str, Any] | None:
        """`/api/run/ID`, without marks."""
        run = self.get(id)
        if run is None:
            return None
        columns = self.numbers(id)
        credit = _credit(columns, self.method_notes(run))
        blame = [*run.verdicts, *(blame_shown(b, run.shared) for b in run.record.blame)]
        parting = run.divergence
        line = run.line()
        return {
            "id": run.id,
            "gid": run.gid,
            "group": str(run.record.group),
            "rollout": str(run.record.rollout),
            "outcome": run.record.outcome,
            **shown.rollout_shown(run.record),
            **{n: line[n] for n in ("tokens", "cost", "seconds", "started", "agents", "tools", "model")},
            "n": run.n,
            "numbers": {
                "agent": columns.get("agent") or [None] * run.n,
                "reward": _some(columns.get("reward")),
                "evidence": {
                    n.removeprefix("evidence."): v for n, v in columns.items() if n.startswith("evidence.") and _some(v)
                },
                "state": [None if s is None else s[:8] for s in columns.get("state") or []] or None,
            },
            "credit": credit,
            "blame": blame,
            "lint": run.lint,
            "marks": [],
            "siblings": [mate for mate in self.mates(run.gid) if mate["id"] != id],
            "jumps": {
                "worst": line["worst"],
                "divergence": None if parting is None else parting._asdict(),
                "disagreements": disagreements({n: c["values"] for n, c in credit.items()}),
            },
            "prev": self._beside(id - 1),
            "next": self._beside(id + 1),
        }

    def page(self, id: int, start: int, stop: int, longest: int = shown.LONGEST) -> dict[str, Any] | None:
        """`/api/run/ID/steps`: at most `PAGE` steps."""
        run = self.get(id)
        if run is None:
            return None
        start = min(max(start, 0), run.n)
        stop = min(max(stop, start), start + PAGE, run.n)
        return {"from": start, "to": stop, "steps": self.shown(run, start, stop, longest)}

    def shown(self, run: Run, start: int, stop: int, longest: int = shown.LONGEST) -> list[dict[str, Any]]:
        """Steps as the page is told them."""
        return [shown.step_shown(s, start + k, longest) for k, s in enumerate(self.steps(run.id, start, stop))]

    def text(self, id: int, step: int, field: str) -> str | None:
        """A whole text: of a step, or of the run where `step` is -1."""
        run = self.get(id)
        if run is None or not -1 <= step < run.n:
            return None
        return shown.whole_text(run.record if step < 0 else self.steps(id, step, step + 1)[0], field)

    def _beside(self, id: int) -> int | None:
        return id if 0 <= id < self.counts()["runs"] else None


def disagreements(credit: Mapping[str, Sequence[float | None]], most: int = _DISAGREEMENTS) -> list[int]:
    """Steps that one method credits and another blames, those first where both are surest, at most `most`, in order.

    Each method's credit is measured in its largest size in the run.
    """
    columns = [np.array([np.nan if v is None else v for v in values], float) for values in credit.values()]
    columns = [c / np.nanmax(np.abs(c)) for c in columns if np.any(np.isfinite(c) & (c != 0))]
    if len(columns) < 2:
        return []
    table = np.nan_to_num(np.array(columns))
    both = np.minimum(table.max(0), -table.min(0))
    order = np.argsort(-both, kind="stable")[:most]
    return sorted(int(i) for i in order if both[i] > 0)


def _credit(columns: Mapping[str, list[Any]], notes: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    out = {}
    for name, values in columns.items():
        kind, _, method = name.partition(".")
        if kind == "credit" and method in notes:
            sd = columns.get(f"sd.{method}")
            out[method] = {"values": values, "sd": _some(sd), "notes": list(notes[method])}
    return out


def _some(values: list[Any] | None) -> list[Any] | None:
    """The column, where anything in it is known."""
    return values if values is not None and any(v is not None for v in values) else None
