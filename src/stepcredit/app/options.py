"""Options that several commands share, and how their text becomes values."""

import inspect
from collections.abc import Iterable
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from stepcredit import segment
from stepcredit.app.console import note, notes
from stepcredit.data import Batch, Reading
from stepcredit.errors import StepCreditError


def _text_segmenters() -> list[str]:
    return [n for n in segment.names() if "text" in inspect.signature(segment.get(n)).parameters]


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
        help="Files of rollouts (JSONL, .gz, .zst, Parquet, JSON), a glob, or - for stdin.", metavar="ROLLOUTS"
    ),
]
Format = Annotated[
    str | None, typer.Option("--format", "-f", help="What kind of file it is; found out from its fields if not given.")
]
Map = Annotated[
    list[str],
    typer.Option(
        "--map", "-m", help="Our names for their fields: outcome=score,group=prompt_id (dots go deeper: info.reward)."
    ),
]
Error = Annotated[
    OnError, typer.Option("--on-error", help="raise: stop at the first bad row. skip: leave it out, count and list it.")
]
Segment = Annotated[
    str | None,
    typer.Option("--segment", help=f"Cut each step's text into finer steps first: {', '.join(_text_segmenters())}."),
]
Set = Annotated[
    list[str], typer.Option("--set", "-s", help="An option of the method: gamma=0.95. May be given several times.")
]
RewardOption = Annotated[
    Reward | None,
    typer.Option("--reward", help="Where step rewards and outcomes disagree: which of them methods are given."),
]
Report = Annotated[Path | None, typer.Option("--report", help="Write a self-contained HTML page to this file.")]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]


def pairs(given: Iterable[str], option: str) -> dict[str, str]:
    """`a=b,c=d` (given once or several times) as a dictionary.

    >>> pairs(["outcome=score,group=id"], "--map")
    {'outcome': 'score', 'group': 'id'}
    """
    out: dict[str, str] = {}
    for text in given:
        for one in text.split(","):
            name, equals, value = one.partition("=")
            if not equals or not name.strip() or not value.strip():
                raise StepCreditError(f"{option} {text!r}: expected NAME=VALUE", hint=f"{option} a=b,c=d")
            out[name.strip()] = value.strip()
    return out


def reading(files: list[str], format: str | None, map: list[str], on_error: OnError, cut: str | None = None) -> Reading:
    """The files, opened as the options say."""
    change = None if cut is None else partial(segment.cut, segmenter=segment.get(cut))
    return Reading(files, format=format, map=pairs(map, "--map"), on_error=on_error.value, change=change)


def load(files: list[str], format: str | None, map: list[str], on_error: OnError, cut: str | None = None) -> Batch:
    """All rollouts of the files as one batch; what was derived or skipped is said on stderr."""
    source = reading(files, format, map, on_error, cut)
    batch = source.read()
    account(source)
    notes(batch.notes)
    return batch


def account(source: Reading) -> None:
    """Say what was skipped: how many rows, and the first of them."""
    if source.skipped:
        note(f"skipped {len(source.skipped)} of {source.rows} rows:", "yellow")
        for error in source.skipped[:10]:
            note(f"  {error.message}", "yellow")
        if len(source.skipped) > 10:
            note(f"  ... and {len(source.skipped) - 10} more", "yellow")
