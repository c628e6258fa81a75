"""`stepcredit convert`: one format into another."""

from pathlib import Path
from typing import Annotated

import typer

from stepcredit.app.console import note, notes, progress
from stepcredit.app.options import Error, Files, Format, Map, OnError, Rollouts, Segment
from stepcredit.data import Writer


def convert(
    rollouts: Rollouts,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FILE", help="Our records: .jsonl, .jsonl.gz, .jsonl.zst or .parquet."),
    ],
    segment: Segment = None,
    format: Format = None,
    map: Map = [],  # noqa: B006
    on_error: Error = OnError.raise_,
) -> None:
    """Read rollouts of any format and write ours, group by group.

    Example: stepcredit convert tau_results.json -o rollouts.parquet
    """
    source = Files(rollouts, format, map, on_error, segment)
    told: dict[str, None] = {}
    with Writer(output) as writer, progress("rollouts") as advance:
        for batch in source.batches(whole=False):
            writer.write(batch)
            told.update(dict.fromkeys(batch.notes))
            advance(batch.layout.R)
    source.tell()
    notes(told)
    note(f"rollouts: {output}", "")
