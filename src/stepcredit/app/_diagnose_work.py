"""The work of `stepcredit diagnose`: read, diagnose, write, count."""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Any

from msgspec import structs

from stepcredit.app._diagnose_words import Told, told
from stepcredit.app.console import err, notes, progress
from stepcredit.app.models import Asked
from stepcredit.app.options import Files, with_some_states
from stepcredit.data import Writer
from stepcredit.data.records import Rollout
from stepcredit.diagnose.clusters import Seen
from stepcredit.diagnose.run import Diagnosis, diagnose, failed
from stepcredit.errors import UnknownName
from stepcredit.label import verifiers
from stepcredit.shelf import Planner

Read = Callable[[], Iterator[tuple[Rollout, Rollout]]]
"""Rollouts as they were read, and as they are looked at: with states."""


@dataclass(frozen=True)
class Chosen:
    """Which runs are diagnosed. ids: of rollouts, or GROUP/ROLLOUT; none: those that did not succeed, or every one."""

    ids: frozenset[str]
    every: bool
    success: float

    def __call__(self, rollout: Rollout) -> bool:
        if not rollout.steps:
            return False
        if self.ids:
            return bool(self.named(rollout))
        return self.every or failed(rollout, self.success) is not False

    def named(self, rollout: Rollout) -> set[str]:
        """The ids given that are this run's."""
        return {str(rollout.rollout), f"{rollout.group}/{rollout.rollout}"} & self.ids


@dataclass(frozen=True)
class Work:
    """Diagnose these rollouts by these methods, asking these models."""

    planners: Sequence[Planner]
    asked: Asked
    options: Mapping[str, Mapping[str, Any]]
    chosen: Chosen
    at_once: int

    def __call__(self, rollouts: Iterable[Rollout]) -> Iterator[Diagnosis]:
        names = [p.name for p in self.planners]
        return diagnose(
            rollouts,
            names,
            self.asked.models,
            options=self.options,
            success=self.chosen.success,
            chosen=self.chosen,
            at_once=self.at_once,
            together=True,
        )


class Done:
    """What became of the runs. ids: of all, while there are few. kept: the rollouts, where a page needs them. alone:
    no task has two runs."""

    def __init__(self, success: float) -> None:
        self.runs: list[Told] = []
        self.seen = Seen()
        self.count: Counter[str] = Counter()
        self.kept: list[Rollout] = []
        self.ids: dict[str, None] = {}
        self.found: set[str] = set()
        self.alone = False
        self._success = success

    def read(self, rollout: Rollout, chosen: Chosen) -> None:
        """Count a rollout that was read."""
        state = failed(rollout, self._success)
        self.count["runs"] += 1
        self.count["outcome_unknown" if state is None else "failed" if state else "succeeded"] += 1
        self.count["without_steps"] += not rollout.steps
        self.found |= chosen.named(rollout)
        if len(self.ids) < 100:
            self.ids |= {str(rollout.rollout): None}

    def add(self, one: Diagnosis) -> None:
        """Count a diagnosis."""
        one_told = told(one.rollout, one.verdicts, failed(one.rollout, self._success))
        self.runs.append(one_told)
        self.seen.add(one.rollout, one_told.first)
        self.count["diagnosed"] += 1
        self.count[one_told.first.status] += 1

    def counts(self) -> dict[str, int]:
        """The counts by name, those of nothing too."""
        names = ("runs", "failed", "succeeded", "outcome_unknown", "without_steps", "diagnosed")
        return {name: self.count[name] for name in (*names, "found", "clean", "unknown")}


def run(work: Work, source: Files, read: Read, output: Path | None, *, keep: bool) -> Done:
    """Diagnose; write runs in their order, those not diagnosed as they were.

    Raises:
        UnknownName: a run was asked for that is not there.
    """
    done = Done(work.chosen.success)
    waiting: deque[tuple[Rollout, Rollout]] = deque()

    def passing() -> Iterator[Rollout]:
        for pair in read():
            done.read(pair[0], work.chosen)
            waiting.append(pair)
            yield pair[1]

    total = sum(map(work.chosen, source)) if err.is_terminal else None
    with nullcontext() if output is None else Writer(output) as writer, progress("runs", total) as advance:

        def put(rollout: Rollout, told: Diagnosis | None = None) -> None:
            if writer is not None:
                writer.write([rollout if told is None else blamed(rollout, told)])
            if keep:
                done.kept.append(rollout)

        for one in work(passing()):
            while (pair := waiting.popleft())[1] is not one.rollout:
                put(pair[0])
            put(pair[0], one)
            done.add(one)
            advance()
        for rollout, _ in waiting:
            put(rollout)
        for lost in sorted(work.chosen.ids - done.found):  # before the file takes the place of another
            raise UnknownName("run", lost, done.ids)
    return done


def blamed(rollout: Rollout, one: Diagnosis) -> Rollout:
    """The rollout with what the methods say; what they said before goes."""
    said = [blame for name, verdict in one.verdicts.items() if (blame := verdict.blame(name)) is not None]
    said = [structs.replace(blame, evidence=_plain(blame.evidence)) for blame in said]
    others = [blame for blame in rollout.blame if blame.by not in one.verdicts]
    return structs.replace(rollout, blame=[*others, *said])


def _plain(value: Any) -> Any:
    """As JSON holds it: what was paid for is written, whatever a method puts into its evidence."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(v) for v in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float) and not isfinite(value):
        return None
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def tasks(source: Files, states: str | None = None, normalize: str = "") -> Iterator[tuple[Rollout, Rollout]]:
    """The rollouts of each task together, tasks in the order in which they begin; states as in `with_some_states`."""
    source.begin()
    for batch in source.stream(steps=20_000):
        source.account(batch, ())
        made = with_some_states(batch, states, normalize)
        notes(n for n in made.notes if n != source.left_out)
        groups: dict[str | int, list[tuple[Rollout, Rollout]]] = {}
        for pair in zip(batch.records or (), made.to_records(), strict=True):
            groups.setdefault(pair[0].group, []).append(pair)
        for members in groups.values():
            yield from members


def options_of(planners: Sequence[Planner], given: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """--set by method: NAME=VALUE goes to every method that has the option, METHOD.NAME=VALUE to one.

    Raises:
        UnknownName: no method has it.
    """
    out: dict[str, dict[str, Any]] = {p.name: {} for p in planners}
    for key, value in given.items():
        whose, _, name = key.rpartition(".")
        takers = [p for p in planners if name in p.options and whose in ("", p.name, p.base)]
        if not takers:
            known = [o for p in planners for o in p.options]
            raise UnknownName(f"option of {', '.join(out)}", key, known)
        for planner in takers:
            out[planner.name] |= {name: value}
    for planner in planners:
        planner.check_options(out[planner.name])
    return out


def verified(
    asked: Asked, planners: Sequence[Planner], options: dict[str, dict[str, Any]], verifier: str | None
) -> None:
    """Who checks final answers; a verifier that compares with nothing needs no right answer."""
    asked.hints["verifier"] = f"--verifier NAME: {', '.join(verifiers.names())}, FILE.py:FUNCTION"
    if verifier is None:
        return
    checker = verifiers.get(verifier)
    asked.models.setdefault("verifier", checker.verifier)
    asked.told.setdefault("verifier", verifier)
    for planner in planners:
        if "compares" in planner.options:
            options[planner.name].setdefault("compares", checker.compares)


def together(planners: Sequence[Planner]) -> Planner:
    """Several methods as one that asks whom each of them asks."""
    asks = tuple(dict.fromkeys(name for p in planners for name in p.card.asks))
    may = tuple(name for name in dict.fromkeys(n for p in planners for n in p.card.may_ask) if name not in asks)
    name = ", ".join([p.name for p in planners if p.card.asks] or [p.name for p in planners])
    return replace(planners[0], name=name, card=replace(planners[0].card, asks=asks, may_ask=may))
