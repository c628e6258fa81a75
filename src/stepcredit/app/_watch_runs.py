"""The runs that a receiver of spans has open, and the word on each that has ended."""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from stepcredit.app.console import line
from stepcredit.data.formats import _otlp_read
from stepcredit.data.formats._otlp import Event
from stepcredit.data.formats._spans import Gathered, Trace
from stepcredit.data.formats._spans_rollout import rollout_of
from stepcredit.data.records import Rollout
from stepcredit.data.storage import Row
from stepcredit.errors import MissingExtra, StepCreditError

_GROUPS, _SIBLINGS, _TOLD = 256, 32, 10_000


@dataclass
class _Open:
    """A trace that is still coming in. last: when its last span came; rooted: a span without a parent has come."""

    last: float
    gathered: Gathered = field(default_factory=Gathered)
    loose: dict[tuple[str, str], list[Event]] = field(default_factory=dict)
    rooted: bool = False
    spans: int = 0


class Runs:
    """Gathers spans by trace; a trace whose root has come ends when nothing came for `wait` seconds, another one after
    `idle` seconds.

    Memory holds the open traces, and for comparison the last rollouts of the last tasks (256 tasks of 32).

    Args:
        clock: seconds; for tests.

    Attributes:
        late: spans and log records that came after their run had ended: they are in no rollout.
        late_told: how many of them the user was told of.
    """

    def __init__(self, *, wait: float = 2.0, idle: float = 60.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._wait, self._idle, self._clock = wait, idle, clock
        self._open: dict[str, _Open] = {}
        self._told: OrderedDict[str, None] = OrderedDict()
        self._groups: OrderedDict[str | int, list[Rollout]] = OrderedDict()
        self.spans = self.late = self.late_told = self.runs = 0

    @property
    def open(self) -> int:
        return len(self._open)

    def take(self, request: Mapping[str, Any]) -> int:
        """Add the spans and log records of a request; returns the number of spans."""
        from stepcredit.data.formats._otlp import spans

        count = 0
        for told, event, place in spans(request):
            name = place[0]
            if not name or name in self._told:
                self.late += 1
                continue
            trace = self._open.setdefault(name, _Open(self._clock()))
            trace.last = self._clock()
            if told is None:
                if event is not None:
                    trace.loose.setdefault(place, []).append(event)
                continue
            count += 1
            trace.spans += 1
            if told.id:
                _otlp_read.add(told, trace.gathered, Row("", 0, {}))
            trace.rooted = trace.rooted or told.parent is None
        self.spans += count
        return count

    def ended(self, *, all: bool = False) -> Iterator[tuple[Rollout, str]]:
        """The rollouts of the traces that ended, each with what is odd about it; takes them out of memory.

        Args:
            all: of every open trace, ended or not.
        """
        now = self._clock()
        for name, trace in list(self._open.items()):
            quiet = now - trace.last
            if not all and quiet < (self._wait if trace.rooted else self._idle):
                continue
            del self._open[name]
            self._told[name] = None
            while len(self._told) > _TOLD:
                self._told.popitem(last=False)
            rollout = self._rollout(name, trace)
            if rollout is not None:
                self.runs += 1
                self._remember(rollout)
                yield rollout, "" if trace.rooted else "its root span did not come"

    def _rollout(self, name: str, trace: _Open) -> Rollout | None:
        _otlp_read.settle(trace.gathered, trace.loose)
        found: Trace | None = trace.gathered.traces.get(name)
        try:
            return None if found is None else rollout_of(found, _otlp_read.DIALECT, trace.gathered.odd)
        except (StepCreditError, RecursionError):
            return None

    def _remember(self, rollout: Rollout) -> None:
        known = self._groups.setdefault(rollout.group, [])
        self._groups.move_to_end(rollout.group)
        known.append(rollout)
        del known[:-_SIBLINGS]
        while len(self._groups) > _GROUPS:
            self._groups.popitem(last=False)

    def verdict(self, rollout: Rollout) -> str:
        """A word on which step is to blame, by `stepcredit.diagnose`, beside the other rollouts of its task."""
        from stepcredit.diagnose import diagnose, failed

        if failed(rollout) is False:
            return "succeeded"
        known = self._groups.get(rollout.group, [])
        together = known if any(r is rollout for r in known) else [*known, rollout]
        try:
            found = next(iter(diagnose(together, chosen=lambda r: r is rollout)), None)
        except (StepCreditError, MissingExtra) as error:
            return f"no verdict: {str(error).splitlines()[0]}"
        if found is None:
            return "no verdict"
        verdict = next(iter(found.verdicts.values()))
        if verdict.status != "found" or verdict.step is None:
            said = "no step to blame" if verdict.status == "clean" else "nothing to blame found"
            return f"{said}: {verdict.reason}" if verdict.reason else said
        agent = f" ({verdict.agent})" if verdict.agent is not None else ""
        return f"step {verdict.step}{agent}: {verdict.error or 'wrong'}" + (
            f"; {verdict.reason}" if verdict.reason else ""
        )


def summary(rollout: Rollout, odd: str) -> str:
    """One line on a run: its name, task, steps, failures, outcome."""
    failed = sum(1 for s in rollout.steps for r in s.replies if r.error)
    origins = [s.origin for s in rollout.steps if s.origin is not None]
    tokens = sum((o.input_tokens or 0) + (o.output_tokens or 0) for o in origins)
    broken = sum(1 for o in origins if o.error)
    parts = [
        f"{rollout.extra.get('name') or 'run'} {str(rollout.rollout)[:8]}",
        None if not rollout.task else f"{_short(rollout.task)!r}",
        f"{len(rollout.steps)} steps",
        f"{tokens:,} tokens" if tokens else None,
        f"{failed} tool failures" if failed else None,
        f"{broken} failed calls of the model" if broken else None,
        None if rollout.outcome is None else f"outcome {rollout.outcome:g}",
        odd or None,
    ]
    return line(", ".join(p for p in parts if p))


def _short(text: str, width: int = 60) -> str:
    one = " ".join(text[: 4 * width].split())
    return one if len(one) <= width else one[: width - 1] + "…"
