"""`stepcredit select`: which rollouts to learn from, of which tasks to draw more."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from stepcredit.app.console import note, notes, print_json, table
from stepcredit.app.options import (
    Error,
    Format,
    Json,
    Map,
    OnError,
    RewardOption,
    Rollouts,
    Segment,
    Set,
    apart,
    load,
    pairs,
    writable,
)
from stepcredit.credit.selection import Selected
from stepcredit.credit.selection import select as choose
from stepcredit.data import write


def select(
    rollouts: Rollouts,
    selector: Annotated[
        str, typer.Option("--selector", "-S", metavar="NAME", help="One of `stepcredit methods --kind selector`.")
    ],
    set: Set = [],  # noqa: B006
    reward: RewardOption = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write the rollouts that were kept.")
    ] = None,
    segment: Segment = None,
    format: Format = None,
    map: Map = [],  # noqa: B006
    on_error: Error = OnError.raise_,
    json: Json = False,
) -> None:
    """Keep the rollouts that are worth learning from; say of the others why they go, and which tasks want more.

    Example: stepcredit select runs.jsonl --selector dapo -o kept.jsonl
    """
    writable(output, rollouts=True)
    apart(rollouts, output=output)
    batch = load(rollouts, format, map, on_error, segment)
    made = choose(batch, selector, reward=reward.value if reward else None, **pairs(set, "--set"))
    notes(made.notes)
    if output:
        write(made.batch, output)
    if json:
        print_json(_told(made))
    else:
        kept = int(made.selection.keep.sum())
        rows = [["kept", kept], *([f"left out: {why}", n] for why, n in made.selection.counts.items())]
        table(["rollouts", "count"], [[a, b] for a, b in rows])
        asked = made.selection.more
        if asked is not None:
            listed = [[str(batch.group_name(g)), int(asked[g])] for g in np.flatnonzero(asked).tolist()]
            table(["task", "draw more"], listed)
    if output:
        note(f"rollouts kept: {output}", "")


def _told(made: Selected) -> dict[str, object]:
    batch, selection = made.batch, made.selection
    out: dict[str, object] = {"kept": int(selection.keep.sum()), "left_out": selection.counts}
    for name in ("more", "priority", "replay"):
        values = getattr(selection, name)
        if values is not None:
            out[name] = values.tolist()
    return {**out, "tasks": batch.layout.G, "rollouts": batch.layout.R}
