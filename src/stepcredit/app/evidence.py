"""`stepcredit evidence`: add what is known about steps, after saying what it costs."""

from pathlib import Path
from typing import Annotated, Any

import typer

from stepcredit.app.console import note, notes, print_json, table
from stepcredit.app.models import LOCAL, model_of
from stepcredit.app.options import (
    Error,
    Format,
    Json,
    Map,
    OnError,
    Rollouts,
    Segment,
    Set,
    load,
    pairs,
    writable,
)
from stepcredit.data import Batch, write
from stepcredit.data.columns import column
from stepcredit.errors import StepCreditError
from stepcredit.evidence import get
from stepcredit.evidence.run import cost, gather


def evidence(
    rollouts: Rollouts,
    kind: Annotated[
        str, typer.Option("--kind", "-K", metavar="NAME", help="One of `stepcredit methods --kind evidence`.")
    ],
    given: Annotated[
        list[str],
        typer.Option(
            "--with",
            metavar="MODEL=WHAT",
            help="What it asks: judge=FILE.py:FUNCTION, or sampler=DIR, forcer=DIR, hidden_states=DIR for a local "
            "transformers model, or none where a column says the same. Its card names them: `stepcredit methods NAME`.",
        ),
    ] = [],  # noqa: B006
    set: Set = [],  # noqa: B006
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write the rollouts with the new columns.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would cost.")] = False,
    segment: Segment = None,
    format: Format = None,
    map: Map = [],  # noqa: B006
    on_error: Error = OnError.raise_,
    json: Json = False,
) -> None:
    """Add columns that credit methods ask for: matches with gold tool calls, values of prefixes, judges' verdicts.

    Example: stepcredit evidence runs.jsonl --kind state --set near=minhash -o with_states.jsonl
    """
    writable(output, rollouts=True)
    found = get(kind)
    options = pairs(set, "--set")
    batch = load(rollouts, format, map, on_error, segment, output)
    price = cost(batch, kind, **options)
    note(f"cost: {price}")
    if dry_run:
        if json:
            print_json({"calls": dict(price.calls), "at_most": price.at_most})
        return
    named = pairs(given, "--with")
    may = (*found.models, *found.optional_models)
    unknown = [name for name in named if name not in may]
    if unknown:
        raise StepCreditError(f"--with {unknown[0]}: {kind} asks for {', '.join(may) or 'no model'}")
    lacking = [name for name in found.models if name not in named]
    if lacking:
        ways = f"{lacking[0]}=FILE.py:FUNCTION" + f" or {lacking[0]}=DIR" * (lacking[0] in LOCAL)
        raise StepCreditError(f"{kind} asks for a {lacking[0]}", hint=f"--with {ways}")
    models = {name: model_of(name, named[name]) for name in named}
    made = gather(batch, kind, **models, **options)
    notes(n for n in made.notes if n not in batch.notes)
    if output:
        write(made, output)
    rows = [_row(made, name) for name in made.origins if name not in batch.origins]
    if json:
        print_json(rows)
    else:
        table(["column", "axis", "known", "mean"], [list(row.values()) for row in rows])
    if output:
        note(f"rollouts with evidence: {output}", "")
    else:
        note("Nothing was written: add -o FILE.")


def _row(batch: Batch, name: str) -> dict[str, Any]:
    values = batch[name]
    here = column(name)
    if here is not None and here.kind == "id":
        return {"column": name, "axis": batch.axis(name), "known": None, "mean": None}
    known = values[values == values] if values.dtype.kind == "f" else values[values >= 0]
    return {
        "column": name,
        "axis": batch.axis(name),
        "known": known.size / max(values.size, 1),
        "mean": float(known.mean()) if known.size else None,
    }
