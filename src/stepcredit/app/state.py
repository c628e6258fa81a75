"""`stepcredit state`: make states, and see how much they merge."""

from pathlib import Path
from typing import Annotated, Any, cast

import typer

from stepcredit.app.console import note, notes, print_json, share, table
from stepcredit.app.options import Error, Format, Json, Map, OnError, Rollouts, Segment, load, writable
from stepcredit.data import write
from stepcredit.errors import StepCreditError, UnknownName
from stepcredit.evidence.state import NEAR, NORMALIZERS, merge_of, survey
from stepcredit.evidence.state import state as make_states

NEAR_TEXTS = tuple(name for name in NEAR if name != "embedding")  # which asks a model


def state(
    rollouts: Rollouts,
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="HOW",
            help="last: the observation before the step. history: all of them. set: which have been seen. column:NAME. "
            "FILE.py:FUNCTION, which takes a rollout and returns one key per step. Not given: only the survey.",
        ),
    ] = None,
    normalize: Annotated[
        str,
        typer.Option(
            metavar="NAMES", help=f"Differences that do not count, of: {','.join(NORMALIZERS)}. Default: none, exact."
        ),
    ] = "",
    near: Annotated[
        str | None,
        typer.Option(
            metavar="HOW",
            help=f"Observations of a task that are nearly the same count as one: {', '.join(NEAR_TEXTS)}.",
        ),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="With --near: how alike; 0.85, for ratio 0.95.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write the rollouts with their states.")
    ] = None,
    segment: Segment = None,
    format: Format = None,
    map: Map = [],  # noqa: B006
    on_error: Error = OnError.raise_,
    json: Json = False,
) -> None:
    """State ids from what was observed; prints the merge rate and the share of states met once.

    distinct: states of each task, counted. merged: share of steps that share their state with another step of the same
    task. alone: the others. largest: steps of the largest state. Methods that compare actions within a state (gigpo,
    hgpo) learn only from merged steps.

    Example: stepcredit state runs.jsonl --from last --normalize whitespace,numbers -o with_states.jsonl
    """
    if output and source is None:
        raise StepCreditError("-o writes states, and none are asked for", hint="--from last (or history, set, ...)")
    if near and source is None:
        raise StepCreditError("--near says how states are made", hint="with it: --from last (or history, set)")
    if near and near not in NEAR_TEXTS:
        raise UnknownName("way to tell near duplicates", near, NEAR_TEXTS)
    writable(output, rollouts=True)
    batch = load(rollouts, format, map, on_error, segment, output)
    chosen = [n.strip() for n in normalize.split(",") if n.strip()]
    if source is None:
        named = survey(batch, chosen or NORMALIZERS)
    else:
        batch = make_states(batch, source=source, normalize=chosen, near=cast(Any, near), threshold=threshold)
        notes(batch.notes[-1:])
        named = [(source, merge_of(batch))]
    if output:
        write(batch, output)
    if json:
        print_json([{"states": name, **m._asdict()} for name, m in named])
    elif named:
        table(
            ["distinct", "merged", "alone", "largest", "states"],
            [[m.cells, share(m.merged), share(m.singletons), m.largest, name] for name, m in named],
        )
    else:
        note("No states and no observations in these rollouts: give --from column:NAME or FILE.py:FUNCTION.", "yellow")
    if output:
        note(f"rollouts with states: {output}", "")
    elif named and source is None:
        note("To write one of these: --from last -o with_states.jsonl (with --normalize where it says so).")
