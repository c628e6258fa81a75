"""`stepcredit assign`: one number per step."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from stepcredit.app.console import note, notes, print_json, progress, table
from stepcredit.app.options import (
    Error,
    Files,
    Format,
    Json,
    Map,
    Normalize,
    OnError,
    Ray,
    Report,
    RewardOption,
    Rollouts,
    Segment,
    Set,
    States,
    Uneven,
    apart,
    normalized,
    pairs,
    stated,
    tell_derived,
    writable,
)
from stepcredit.credit import Credit, get
from stepcredit.credit import assign as assign_credit
from stepcredit.credit.run import RewardFrom
from stepcredit.data import AdvantageWriter, Batch, Writer
from stepcredit.data.presence import Presence
from stepcredit.errors import MissingColumn, StepCreditError
from stepcredit.integrations.ray import Sharded, connected


def assign(
    rollouts: Rollouts,
    method: Annotated[
        list[str],
        typer.Option(
            "--method", "-M", metavar="NAME", help="A name of `stepcredit methods`. May be given several times."
        ),
    ] = ["gigpo"],  # noqa: B006
    set: Set = [],  # noqa: B006
    reward: RewardOption = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Rollouts with their credit: .jsonl, .jsonl.gz, .jsonl.zst, .parquet.",
        ),
    ] = None,
    advantages: Annotated[
        Path | None,
        typer.Option(
            "--advantages",
            metavar="FILE",
            help="One list of numbers per row, one per sampled token (JSONL), for a trainer.",
        ),
    ] = None,
    states: States = None,
    normalize: Normalize = "",
    report: Report = None,
    segment: Segment = None,
    format: Format = None,
    map: Map = [],  # noqa: B006
    on_error: Error = OnError.raise_,
    ray: Ray = None,
    json: Json = False,
) -> None:
    """Give every step its credit by one or more methods.

    Files larger than memory are read group by group, unless a method needs the whole batch or a report is wanted.

    Example: stepcredit assign runs.jsonl --method gigpo --set gamma=0.95 -o credited.jsonl --report page.html
    """
    options, names = pairs(set, "--set"), list(dict.fromkeys(method))
    chosen = [get(m).given(options) for m in names]
    if advantages is not None and len(chosen) > 1:
        raise StepCreditError("--advantages holds one number per token: give one --method")
    writable(report)
    apart(rollouts, advantages=advantages, report=report)
    source = Files(rollouts, format, map, on_error, segment)
    source.spare(output)
    whole = report is not None or any("other_prompts" in m.waives for m in chosen)
    made = partial(stated, states=states, normalize=normalize)
    given: RewardFrom | None = reward.value if reward else None
    with ExitStack() as stack:
        run = partial(_run, source, names, options, made, reward=given, to=(output, advantages))
        present = source.present
        if ray is not None:
            if report is not None:
                raise StepCreditError("--report needs all rollouts in one process", hint="leave out --ray")
            work = Sharded(
                stack.enter_context(connected(ray)),
                source,
                names,
                options,
                reward=given,
                states=states,
                normalize=normalized(states, normalize),
                output=output,
                advantages=advantages,
            )
            run, present = partial(_run_sharded, source, names, work), work.present
        try:
            last, totals = run(whole=whole)
        except (Uneven, MissingColumn):
            if whole:
                raise
            last, totals = run(whole=False, present=present())
            note("note: some tasks have fields that others lack: the files were read again, what is missing is unknown")
    if report:
        from stepcredit.app.view.export import write_page

        write_page(report, last[0].batch, last, source=", ".join(rollouts))
    source.tell()
    tell_derived({m: t.notes for m, t in totals.items()}, [source.left_out])
    result = [{"method": m, **t.summary()} for m, t in totals.items()]
    if json:
        print_json(result)
    else:
        table(list(result[0]), [list(r.values()) for r in result])
    for label, path in (("rollouts with credit", output), ("advantages", advantages), ("report", report)):
        if path:
            note(f"{label}: {path}", "")
    if not (output or advantages or report):
        note("Nothing was written: add -o credited.jsonl, --advantages tokens.jsonl or --report page.html.")


def _run(
    source: Files,
    methods: list[str],
    options: dict[str, str],
    made: Callable[[Batch], Batch],
    *,
    reward: RewardFrom | None,
    to: tuple[Path | None, Path | None],
    whole: bool,
    present: Presence | None = None,
) -> tuple[list[Credit], dict[str, "_Total"]]:
    """Credit of all batches, written as it comes: that of the last batch, and the account of each method."""
    output, advantages = to
    totals = {m: _Total() for m in methods}
    last: list[Credit] = []
    with ExitStack() as files, progress("rollouts") as advance:
        writer = files.enter_context(Writer(output)) if output else None
        exporter = files.enter_context(AdvantageWriter(advantages)) if advantages else None
        for batch in map(made, source.batches(whole=whole, present=present)):
            last = [assign_credit(batch, m, reward=reward, **options) for m in methods]
            for credit in last:
                totals[credit.method].add(credit)
                batch = credit.onto(batch)
            if writer:
                writer.write(batch)
            if exporter:
                exporter.write(last[0].rows())
            advance(batch.layout.R)
    return last, totals


def _run_sharded(
    source: Files, methods: list[str], work: Sharded, *, whole: bool, present: Presence | None = None
) -> tuple[list[Credit], dict[str, "_Total"]]:
    """As `_run`, by the workers of a cluster, which write too."""
    totals = {m: _Total() for m in methods}
    source.begin()
    with progress("rollouts") as advance, closing(work.shards(present)) as shards:
        for shard in shards:
            assert shard.batch is not None
            source.account(shard.batch, shard.columns)
            for credit in shard.credits:
                totals[credit.method].add(credit)
            advance(shard.batch.layout.R)
    notes(work.told())
    return [], totals


_NUMBER = re.compile("[0-9]+")


class _Total:
    """Running account of one method's credit over batches."""

    def __init__(self) -> None:
        self.steps = self.judged = self.zero = self.rollouts = 0
        self.sum = self.squares = 0.0
        self.low, self.high = np.inf, -np.inf
        self._noted: dict[str, list[str]] = {}

    def add(self, credit: Credit) -> None:
        values = credit.steps[~np.isnan(credit.steps)]
        self.steps += credit.steps.size
        self.rollouts += credit.batch.layout.R
        self.judged += values.size
        self.zero += int(np.sum(values == 0))
        self.sum += float(values.sum())
        self.squares += float((values**2).sum())
        self.low, self.high = min(self.low, values.min(initial=np.inf)), max(self.high, values.max(initial=-np.inf))
        for line in credit.notes:
            self._noted.setdefault(_NUMBER.sub("#", line), []).append(line)

    @property
    def notes(self) -> Iterator[str]:
        """Notes of the batches; those that differ only in their numbers as one."""
        for same in self._noted.values():
            yield same[0] if len({*same}) == 1 else f"{same[0]} (and the like in {len(same) - 1} more parts)"

    def summary(self) -> dict[str, Any]:
        n, nan = self.judged, float("nan")
        mean = self.sum / n if n else nan
        return {
            "rollouts": self.rollouts,
            "steps": self.steps,
            "judged": n,
            "zero": self.zero,
            "mean": mean,
            "spread": float(np.sqrt(max(self.squares / n - mean**2, 0.0))) if n else nan,
            "lowest": float(self.low) if n else nan,
            "highest": float(self.high) if n else nan,
        }
