"""Options that several commands share, and how their text becomes values."""

import inspect
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from stepcredit import segment
from stepcredit.app.console import note, notes
from stepcredit.credit.registry import convert_options
from stepcredit.data import Batch, Reading, Rollout, formats
from stepcredit.data.presence import Presence
from stepcredit.data.writing import Writer
from stepcredit.errors import DataError, StepCreditError
from stepcredit.evidence.state import NORMALIZERS, with_states


class OnError(StrEnum):
    """What to do with a row that cannot be used."""

    raise_ = "raise"
    skip = "skip"


class Reward(StrEnum):
    """Which number a method that asks for rewards gets."""

    reward = "reward"
    outcome = "outcome"
    sum = "sum"


Rollouts = Annotated[
    list[str],
    typer.Argument(
        help="Files of rollouts (JSONL, .gz, .zst, Parquet, JSON), a folder, a glob, or - for stdin.",
        metavar="ROLLOUTS",
    ),
]
Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        "-f",
        metavar="NAME[:OPTION=VALUE]",
        help=f"What kind of file it is; found out from its fields if not given: {', '.join(formats.names())}. "
        "Options of a format: trl_completions:num_generations=8.",
    ),
]
Map = Annotated[
    list[str],
    typer.Option(
        "--map",
        "-m",
        metavar="OURS=THEIRS",
        help="Our names for their fields: outcome=score,group=prompt_id (dots go deeper: outcome=info.reward).",
    ),
]
Error = Annotated[
    OnError, typer.Option("--on-error", help="raise: stop at the first bad row. skip: leave it out, count and list it.")
]
Segment = Annotated[
    str | None,
    typer.Option(
        "--segment",
        metavar="NAME[:OPTION=VALUE]",
        help=f"Cut each step's text into finer steps first: {', '.join(segment.text_names())}. Options of a segmenter: "
        "tagged:tags=p#:outside=drop.",
    ),
]
Set = Annotated[
    list[str],
    typer.Option(
        "--set", "-s", metavar="NAME=VALUE", help="An option of the method: gamma=0.95. May be given several times."
    ),
]
RewardOption = Annotated[
    Reward | None,
    typer.Option("--reward", help="Where step rewards and outcomes disagree: which of them methods are given."),
]
Report = Annotated[
    Path | None, typer.Option("--report", metavar="FILE", help="Write a self-contained HTML page to this file.")
]
States = Annotated[
    str | None,
    typer.Option(
        "--states", metavar="HOW", help="Make states first: last, history, set, column:NAME, FILE.py:FUNCTION."
    ),
]
Normalize = Annotated[
    str, typer.Option("--normalize", metavar="NAMES", help=f"With --states: {','.join(NORMALIZERS)}.")
]
Ray = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="ADDRESS",
        help="Spread the work over the workers of a Ray cluster: local (started here, a worker for each CPU), auto, "
        "host:port, ray://host:port.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]


def pairs(given: Iterable[str], option: str) -> dict[str, str]:
    """`a=b,c=d` (given once or several times) as a dictionary; a comma that no `NAME=` follows is part of the value.

    >>> pairs(["outcome=score,group=id"], "--map"), pairs(["of=state,action"], "--set")
    ({'outcome': 'score', 'group': 'id'}, {'of': 'state,action'})
    """
    out: dict[str, str] = {}
    for text in given:
        for one in re.split(r",(?=[^,=]*=)", text):
            name, equals, value = one.partition("=")
            if not equals or not name.strip() or not value.strip():
                raise StepCreditError(f"{option} {text!r}: expected NAME=VALUE", hint=f"{option} a=b,c=d")
            out[name.strip()] = value.strip()
    return out


def _named(text: str | None, asked_by: str) -> tuple[str | None, dict[str, Any]]:
    """`NAME:OPTION=VALUE:OPTION=VALUE` as a name and options."""
    name, *given = (text or "").split(":")
    parts = [one.partition("=") for one in given]
    for option, equals, _ in parts:
        if not option or not equals:
            raise StepCreditError(f"{asked_by} {text!r}: expected NAME:OPTION=VALUE")
    return name or None, {option: value for option, _, value in parts}


class Uneven(Exception):
    """Some tasks have fields that others have not."""


class Files(Reading):
    """Rollouts on the way from files to batches, and an account of them for the person at the terminal."""

    def __init__(
        self, files: list[str], format: str | None, map: list[str], on_error: OnError, cut: str | None = None
    ) -> None:
        self._cutter = None if cut is None else _Cutter(cut)
        name, options = _named(format, "--format")
        super().__init__(
            files, format=name, map=pairs(map, "--map"), on_error=on_error.value, change=self._cutter, **options
        )

    def batches(self, *, whole: bool, present: Presence | None = None) -> Iterator[Batch]:
        """One batch of everything, or batches of whole tasks in bounded memory.

        Raises:
            Uneven: a batch has other columns than the first, so that its credit could come to be in another way.
        """
        self.begin()
        for batch in [self.read()] if whole else self.stream(present=present):
            self.account(batch, [*batch.columns, *(["tokens"] if batch.layout.token_step is not None else [])])
            yield batch

    def spare(self, output: Path | None) -> None:
        """Fail where what is written would take the place of what is read. One file of our own records may be written
        onto itself with more columns: nothing of it is lost.

        Raises:
            StepCreditError: as `apart`.
        """
        whole = self.format == "stepcredit" and len(self._files) == 1 and not self._cutter
        if not whole or self._on_error == "skip":
            apart([f.path for f in self._files if f.path], output=output)

    def begin(self) -> None:
        """Start the account anew."""
        self._tasks = self._rollouts = self._steps = self._alone = self._empty = self._unknown = 0
        self._columns: frozenset[str] | None = None
        self._bare: list[str] = []

    def account(self, batch: Batch, columns: Iterable[str]) -> None:
        """Count what a batch, which had these columns, holds.

        Raises:
            Uneven: as `batches`.
        """
        if self._columns not in (None, frozenset(columns)):
            raise Uneven
        self._columns = frozenset(columns)
        self._count(batch)

    def present(self) -> Presence:
        """The fields that occur anywhere in the files; reads them once."""
        fields = Presence()
        for rollout in self:
            fields.add(rollout)
        return fields

    def _count(self, batch: Batch) -> None:
        lay = batch.layout
        self._tasks += lay.G
        self._rollouts += lay.R
        self._steps += lay.S
        self._alone += int(np.sum(np.bincount(lay.group) == 1))
        self._empty += int(np.sum(lay.steps == 0))
        self._unknown += int(np.sum(np.isnan(batch["outcome"]))) if "outcome" in batch else lay.R
        self._bare = self._bare or _bare(batch)

    def tell(self) -> None:
        """Say what was read, what was left out, and what of it gives methods nothing to go by."""
        read = f"read {self._rollouts:,} rollouts of {self._tasks:,} tasks, {self._steps:,} steps ({self.format})"
        note(read)
        if self._bare:
            note(
                f"note: steps hold nothing that is read (text, action, observation, ...), but {', '.join(self._bare)}: "
                "make stepcredit.Step of them in Python, see docs/guides/your-data.md",
                "yellow",
            )
        which = ": is it another field? --map outcome=FIELD" if self._unknown == self._rollouts else ""
        for what, number, of in (
            (f"rollouts have no outcome{which}", self._unknown, self._rollouts),
            ("rollouts have no steps", self._empty, self._rollouts),
            ("tasks have one rollout: there is nothing to compare it with", self._alone, self._tasks),
        ):
            if number:
                note(f"note: {number:,} of {of:,} {what}", "yellow")
        if self._cutter and not self._cutter.some:
            note("note: --segment cut no step: no text, or one part each", "yellow")
        if self.skipped:
            note(f"skipped {len(self.skipped):,} of {self.rows:,} rows:", "yellow")
            for error in self.skipped[:10]:
                note(f"  {error.message}", "yellow")
            if len(self.skipped) > 10:
                note(f"  ... and {len(self.skipped) - 10:,} more", "yellow")


def _bare(batch: Batch) -> list[str]:
    """The fields of steps that nobody reads, where steps have no others."""
    read = {"action", "observation", "state", "next_state", "reward"}
    if not batch.layout.S or read & batch.columns.keys() or not batch.records:
        return []
    few = [s for r in batch.records[:10] for s in r.steps[:10]]
    if any(s.text or s.tool_calls or s.replies or s.reasoning or s.images for s in few):
        return []
    return sorted({name for s in few for name in s.extra})


class _Cutter:
    def __init__(self, name: str) -> None:
        named, given = _named(name, "--segment")
        self._segmenter, self.some = segment.get(named or ""), False
        parameters = inspect.signature(self._segmenter).parameters.values()
        known = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
        self._options = convert_options(f"segmenter {named}", self._segmenter, known, given)

    def __call__(self, rollout: Rollout) -> Rollout:
        made = segment.cut(rollout, self._segmenter, **self._options)
        self.some = self.some or len(made.steps) > len(rollout.steps)
        return made


def load(
    files: list[str],
    format: str | None,
    map: list[str],
    on_error: OnError,
    cut: str | None = None,
    output: Path | None = None,
) -> Batch:
    """All rollouts of the files as one batch; what was read, derived or skipped is said on stderr.

    output: where they will go with more columns (see `Files.spare`).
    """
    source = Files(files, format, map, on_error, cut)
    source.spare(output)
    (batch,) = source.batches(whole=True)
    source.tell()
    notes(n for n in batch.notes if n != source.left_out)
    return batch


def tell_derived(noted: Mapping[str, Iterable[str]], known: Iterable[str | None] = ()) -> None:
    """Notes of credits, by method: each once, with the methods that it speaks of where it is not all of them."""
    methods: dict[str, list[str]] = {}
    for method, lines in noted.items():
        for line in lines:
            methods.setdefault(line, []).append(method)
    for told in known:
        methods.pop(told or "", None)
    notes(line if len(of) == len(noted) else f"{line} ({', '.join(of)})" for line, of in methods.items())


def stated(batch: Batch, states: str | None, normalize: str) -> Batch:
    """The batch with states made as `--states` and `--normalize` say.

    Raises:
        StepCreditError: --normalize without --states.
    """
    names = normalized(states, normalize)
    return batch if states is None else with_states(batch, states, normalize=names)


def with_some_states(batch: Batch, states: str | None, normalize: str) -> Batch:
    """As `stated`; where none are asked for and the file has none, of the last observation, which a note says. "none":
    the batch as it is.

    Raises:
        StepCreditError: --normalize without --states.
    """
    if states not in (None, "none"):
        return stated(batch, states, normalize)
    normalized(states, normalize)
    if states == "none" or "state" in batch or "observation" not in batch:
        return batch
    return with_states(batch, "last")


def normalized(states: str | None, normalize: str) -> list[str]:
    """What `--normalize` names.

    Raises:
        StepCreditError: --normalize without --states.
    """
    if states is None and normalize:
        raise StepCreditError("--normalize says how states are made", hint="with it: --states last (or history, set)")
    return [n.strip() for n in normalize.split(",") if n.strip()]


def writable(path: Path | None, *, rollouts: bool = False) -> None:
    """Fail before the work, not after it, where a file (of rollouts) cannot be made."""
    if path is None:
        return
    if path.is_dir():
        raise DataError("is a folder", file=path, expected="the name of a file")
    if not path.parent.is_dir():
        raise DataError("there is no such folder", file=path.parent, hint="make it first")
    if not os.access(path.parent, os.W_OK):
        raise DataError("the folder is read-only", file=path.parent)
    if rollouts:
        Writer(path)


def apart(read: Iterable[str | Path], **written: Path | None) -> None:
    """Fail where a command would write over what it reads, or two files into one.

    Args:
        read: files, as they were given. written: what they are called -> where they go.

    Raises:
        StepCreditError: names both.
    """
    seen: dict[Path, str] = {}
    for name, path in [*(("what is read", Path(one)) for one in read), *written.items()]:
        if path is None or (path.exists() and not path.is_file()):  # a device
            continue
        other = seen.setdefault(path.resolve(), name)
        if name in written and other != name:
            raise StepCreditError(f"{path} is both {other} and {name}", hint="another name for one of them")
