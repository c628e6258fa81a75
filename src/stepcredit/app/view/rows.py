"""A batch as rows of the index: one per run, one per step."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import chain, pairwise
from os.path import commonprefix
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from stepcredit.app.view.shown import numbers as rounded
from stepcredit.app.view.shown import plain
from stepcredit.credit import get
from stepcredit.credit.run import Credit
from stepcredit.data.batch import Batch
from stepcredit.data.columns import column
from stepcredit.data.records import Blame, Rollout, Step
from stepcredit.diagnose.case import Verdict
from stepcredit.diagnose.features import action_key
from stepcredit.diagnose.run import failed
from stepcredit.errors import LayoutError, UnknownName

BRIEF, _SHARED = 200, 40

RUN_COLUMNS = (
    *("id", "gid", "group", "rollout", "outcome", "steps", "tokens", "cost", "seconds", "started", "agents", "tools"),
    *("model", "worst", "worst_by", "worst_score", "confidence", "error", "lint", "marks", "task"),
)
"""Columns of `/api/runs`, in order."""


class Divergence(NamedTuple):
    """Where a run first does something else than a sibling that succeeded. sibling: id of the run."""

    step: int
    sibling: int
    sibling_step: int


@dataclass
class Run:
    """One rollout as the index holds it.

    id: number in the index; gid: that of its task. record: the rollout without steps. n: its steps, shared ones
    counted. first: row of its first step in the part. part: number of the part.
    """

    id: int
    gid: int
    record: Rollout
    n: int
    first: int
    part: int = 0
    tokens: int | None = None
    cost: float | None = None
    seconds: float | None = None
    started: float | None = None
    agents: list[str] = field(default_factory=list)
    tools: list[str] = field(default_factory=list)
    model: str | None = None
    lint: list[dict[str, Any]] = field(default_factory=list)
    verdicts: list[dict[str, Any]] = field(default_factory=list)
    divergence: Divergence | None = None
    low: tuple[int, str, float] | None = None
    """Step, method, credit: the lowest below 0 by the first method. It is the worst step where nobody was asked."""

    @property
    def shared(self) -> int:
        """How many of the steps are stored with earlier runs of the task."""
        return len(self.record.prefix)

    def sayings(self) -> list[dict[str, Any]]:
        """Who says which step is to blame: our methods, then people and others in the file."""
        given = [blame_shown(b, self.shared) for b in self.record.blame]
        given = [b for b in given if b["status"] == "found" or b["step"] is None]  # not: this step is right
        return [*self.verdicts, *sorted(given, key=lambda b: b["kind"] != "people")]

    def line(self) -> dict[str, Any]:
        """The row of `/api/runs`, marks left out."""
        return {
            "id": self.id,
            "gid": self.gid,
            "group": str(self.record.group),
            "rollout": str(self.record.rollout),
            "outcome": self.record.outcome,
            "steps": self.n,
            "tokens": self.tokens,
            "cost": self.cost,
            "seconds": self.seconds,
            "started": self.started,
            "agents": self.agents,
            "tools": self.tools,
            "model": self.model,
            **worst(self.sayings(), None if self.verdicts else self.low),
            "lint": len(self.lint),
            "task": brief(self.record.task),
        }


@dataclass
class Part:
    """Runs of whole tasks, and their steps: numbers by name, and the records, in the order of the runs.

    notes: method -> what was derived or assumed for it here.
    """

    runs: list[Run]
    numbers: dict[str, NDArray[Any]]
    steps: Sequence[Step]
    notes: dict[str, list[str]]


def part(
    batch: Batch,
    credits: Sequence[Credit],
    *,
    names: Sequence[str],
    first_run: int = 0,
    gids: Callable[[Hashable], int] | None = None,
    clean: Callable[[Rollout], Rollout] | None = None,
    number: int = 0,
) -> Part:
    """The rows of a batch.

    Args:
        names: of the credits, each its own. first_run: id of the first run. gids: name of a task -> its number.
        clean: a rollout as it may be shown (secrets taken out); credit is that of the batch as it was.

    Raises:
        LayoutError: a credit of another batch.
    """
    lay = batch.layout
    for credit in credits:
        if credit.steps.shape != (lay.S,):
            raise LayoutError(f"credit {credit.method!r} has {credit.steps.size} steps, the batch {lay.S}")
    given = bare(batch) if batch.records is None else list(batch.records)
    kept = given if clean is None else [clean(r) for r in given]
    own = list(chain.from_iterable(r.steps for r in kept))
    if len(own) != lay.S:
        raise LayoutError(f"the records hold {len(own)} steps, the batch {lay.S}")
    rows = lay.paths.rows
    steps = own if not lay.is_tree else [own[i] for i in rows.tolist()]
    number_of = gids or _counter()
    starts = lay.paths.start.tolist()
    runs = []
    for r, (a, b) in enumerate(pairwise(starts)):
        record = kept[r]
        run = Run(first_run + r, number_of(given[r].group), record, b - a, a, number)
        _figures(run, steps[a:b], batch, r)
        runs.append(run)
    numbers = _numbers(batch, credits, names, steps)
    _lows(runs, numbers, names)
    return Part(
        runs,
        numbers,
        steps,
        {n: [m for m in c.notes if m not in batch.notes] for n, c in zip(names, credits, strict=True)},
    )


def bare(batch: Batch) -> list[Rollout]:
    """Records of a batch that was made of bare arrays: names and outcomes, steps with what the columns tell."""
    return batch.to_records()


def verdict_shown(verdict: Verdict, by: str, shared: int = 0) -> dict[str, Any]:
    """A verdict as `/api/run/ID` tells it under `blame`. shared: steps before the run's own, stored with others."""
    return {
        "by": by,
        "kind": "method",
        "status": verdict.status,
        "step": None if verdict.step is None else verdict.step + shared,
        "agent": verdict.agent,
        "label": -1 if verdict.status == "found" else 1 if verdict.status == "clean" else None,
        "error": verdict.error,
        "reason": verdict.reason,
        "confidence": plain(verdict.confidence),
        "scores": [*[None] * shared, *rounded(verdict.scores)],
        "remarks": {str(k + shared): v for k, v in verdict.remarks.items()},
        "evidence": plain(verdict.evidence),
    }


def blame_shown(blame: Blame, shared: int = 0) -> dict[str, Any]:
    """A record's blame, in the same shape. It is people's if it was a rater's mark, or the name says so."""
    said = blame.label
    mark = blame.evidence.get("rater") is True
    people = mark or any(
        word in blame.by.lower() for word in ("human", "people", "person", "annotat", "expert", "rater")
    )
    return {
        "by": blame.by,
        "kind": "people" if people else "judge",
        "status": "clean" if blame.step is None else "found" if (said or 0) < 0 else "clean",
        "step": None if blame.step is None else blame.step + shared,
        "agent": None if blame.agent is None else str(blame.agent),
        "label": said,
        "error": blame.error,
        "reason": blame.reason,
        "confidence": blame.confidence,
        "scores": None,
        "remarks": {},
        "evidence": {} if mark else plain(blame.evidence),
    }


def worst(verdicts: Sequence[Mapping[str, Any]], low: tuple[int, str, float] | None) -> dict[str, Any]:
    """worst, worst_by, worst_score, confidence, error of a run: the first verdict that found a step; where nobody was
    asked, the lowest credit. A run that the first verdict calls clean has none."""
    keys = ("worst", "worst_by", "worst_score", "confidence", "error")
    for verdict in verdicts:
        if verdict["status"] == "found":
            scores, step = verdict["scores"], verdict["step"]
            score = scores[step] if scores and step is not None and step < len(scores) else None
            return dict(zip(keys, (step, verdict["by"], score, verdict["confidence"], verdict["error"]), strict=True))
        if verdict["status"] == "clean":
            return dict.fromkeys(keys)
    return dict.fromkeys(keys) if low is None else dict(zip(keys, (*low, None, None), strict=True))


def told_apart(tasks: Sequence[str | None]) -> list[str | None]:
    """Tasks as a table shows them: a beginning that those which begin alike share is left out, as prompts have one.

    >>> told_apart(["Answer the given question, please do. Question: " + q for q in ("who?", "where?")] + ["Buy tea."])
    ['… Question: who?', '… Question: where?', 'Buy tea.']
    """
    alike: dict[str, set[str]] = {}
    for task in tasks:
        if task:
            alike.setdefault(task[:_SHARED], set()).add(task)
    short: dict[str, str] = {}
    for known in alike.values():
        same = commonprefix(list(known)) if len(known) > 1 else ""  # noqa: RUF071 - of texts, not of paths
        cut = same.rfind(". ") + 2 if ". " in same else same.rfind(" ") + 1
        short |= {t: f"… {t[cut:]}"[:BRIEF] if cut else t[:BRIEF] for t in known}
    return [short[t] if t else t for t in tasks]


def brief(text: str | None) -> str | None:
    """The beginning of a text, on one line."""
    return None if text is None else " ".join(text[: 8 * BRIEF].split())


def key(value: Any) -> str | None:
    """A short name of any key, equal for equal ones."""
    if value is None or value != value:
        return None
    return blake2b(repr(value).encode("utf-8", "replace"), digest_size=8).hexdigest()


def _counter() -> Callable[[Hashable], int]:
    known: dict[Hashable, int] = {}
    return lambda name: known.setdefault(name, len(known))


def _figures(run: Run, steps: Sequence[Step], batch: Batch, r: int) -> None:
    """Agents, tools, model, tokens, cost and time of a run, as its steps tell them."""
    run.agents = list(dict.fromkeys(str(s.agent) for s in steps if s.agent is not None))
    run.tools = list(dict.fromkeys(c.name for s in steps for c in s.tool_calls))
    origins = [s.origin for s in steps if s.origin is not None]
    if origins:
        run.model = next((o.model for o in origins if o.model), None)
        tokens = [t for o in origins for t in (o.input_tokens, o.output_tokens) if t is not None]
        costs = [o.cost for o in origins if o.cost is not None]
        starts = [o.start for o in origins if o.start is not None]
        took = [o.seconds for o in origins if o.seconds is not None]
        run.tokens, run.cost = sum(tokens) if tokens else None, sum(costs) if costs else None
        run.started = min(starts, default=None)
        ends = [o.start + (o.seconds or 0) for o in origins if o.start is not None]
        # Clocks of several machines disagree: never less than nothing.
        run.seconds = max(max(ends) - min(starts), 0.0) if len(starts) > 1 else sum(took) if took else None
    lay = batch.layout
    if run.tokens is None and lay.token_step is not None:
        own = lay.paths.rows[lay.paths.start[r] : lay.paths.start[r + 1]]
        run.tokens = int(lay.step_tokens[own].sum())


def _numbers(
    batch: Batch, credits: Sequence[Credit], names: Sequence[str], steps: Sequence[Step]
) -> dict[str, NDArray[Any]]:
    """Columns of the steps: agent, state, action (short keys), reward, evidence.*, credit.*, sd.*."""
    lay = batch.layout
    out: dict[str, NDArray[Any]] = {"agent": _words(None if s.agent is None else str(s.agent) for s in steps)}
    for name in ("state", "action"):
        if name in batch:
            ids, dense = np.unique(batch[name], return_inverse=True)
            named = batch.keys.get(name)
            words = [key(named[i]) if named is not None else f"{i}" for i in ids.tolist()]
            out[name] = lay.along(np.array([*words, None], object)[dense])
    if "action" not in out:
        out["action"] = _words(key(action_key(s)) for s in steps)
    if "reward" in batch:
        out["reward"] = lay.along(batch["reward"])
    for name, values in batch.columns.items():
        known = column(name)
        other = name in ("reward", "state", "action", "agent", "observation") or name.startswith("credit.")
        wide = values.ndim > 1 or values.dtype.kind not in "fib"  # several numbers a step stand with the step
        if batch.axis(name) != "S" or other or wide or (known and known.kind == "id"):
            continue
        shown = np.where(values < 0, np.nan, values) if name == "match" else values
        out[f"evidence.{name}"] = lay.along(np.asarray(shown, float))
    for name, credit in zip(names, credits, strict=True):
        out[f"credit.{name}"] = lay.along(credit.steps)
        if "sd" in credit.extras and credit.per == "step":
            out[f"sd.{name}"] = lay.along(np.asarray(credit.extras["sd"], float))
    return out


def _lows(runs: Sequence[Run], numbers: Mapping[str, NDArray[Any]], names: Sequence[str]) -> None:
    """Of each run that is not known to have succeeded the step of lowest credit below 0, by the first method that
    compares steps and tells those of the run apart."""
    telling = [n for n in names if _compares(n)]
    for run in runs:
        for name in [] if failed(run.record) is False else telling:
            mine = numbers[f"credit.{name}"][run.first : run.first + run.n]
            known = mine[np.isfinite(mine)]
            if known.size and known.min() < 0 and (known.min() < known.max() or run.n == 1):
                at = int(np.nanargmin(np.where(np.isfinite(mine), mine, np.nan)))
                run.low = (at, name, float(mine[at]))
                break


def _compares(name: str) -> bool:
    """Whether a method compares steps with one another; credit that the caller made counts as such."""
    try:
        return get(name).grouping is not None
    except UnknownName:
        return True


def _words(values: Iterable[str | None]) -> NDArray[Any]:
    return np.array(list(values), object)


def stripped(rollout: Rollout) -> Rollout:
    """A rollout without its steps."""
    return msgspec.structs.replace(rollout, steps=[])
