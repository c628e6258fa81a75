"""`stepcredit convert`: one format into another."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from stepcredit.app.console import note, notes, progress
from stepcredit.app.options import Error, Files, Format, Map, OnError, Rollouts, Segment, _named, apart
from stepcredit.data import Rollout, Writer, exports
from stepcredit.errors import DataError, StepCreditError


def convert(
    rollouts: Rollouts,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Our records: .jsonl, .jsonl.gz, .jsonl.zst or .parquet. Or see --to.",
        ),
    ],
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="NAME[:OPTION=VALUE]",
            help=f"Write what another tool reads: {', '.join(exports.names())}. Options: "
            "otel_events:what=credit,blame,evidence.",
        ),
    ] = None,
    redact: Annotated[
        bool | None,
        typer.Option(
            "--redact/--no-redact",
            help="Take keys, tokens and passwords out of the texts. Done for other tools (--to).",
        ),
    ] = None,
    segment: Segment = None,
    format: Format = None,
    map: Map = [],  # noqa: B006
    on_error: Error = OnError.raise_,
) -> None:
    """Read rollouts of any format and write ours, or with --to what another tool reads, group by group.

    Example: stepcredit convert tau_results.json -o rollouts.parquet
    """
    apart(rollouts, output=output)
    source = Files(rollouts, format, map, on_error, segment)
    told: dict[str, None] = {}
    taken: dict[str, int] = {}
    clean = _redactor(taken) if redact or (redact is None and to is not None) else None
    if to is None:
        with _aside(output), Writer(output) as writer:
            writer.write(_each(source, told, clean))
        what = "rollouts"
    else:
        name, options = _named(to, "--to")
        if name is None:
            raise StepCreditError("--to names no export", hint=f"there are: {', '.join(exports.names())}")
        with _aside(output):
            count = exports.export(_each(source, told, None), output, name, change=clean, **options)
        what = f"{count:,} lines of {name}"
    source.tell()
    if taken:
        told["taken out: " + ", ".join(f"{n:,} {kind}" for kind, n in sorted(taken.items()))] = None
    notes(told)
    note(f"{what}: {output}", "")


@contextmanager
def _aside(output: Path) -> Iterator[None]:
    """Errors of the temporary files in which rows wait, as ones that name the output."""
    try:
        yield
    except (OSError, DataError) as error:
        if isinstance(error, DataError) and not str(error.file).startswith("the temporary file"):
            raise
        what = error.what if isinstance(error, DataError) else error.strerror or error
        raise DataError(
            f"{what}, in the folder {tempfile.gettempdir()} where rows wait for it",
            file=output,
            hint="is that disk full? TMPDIR=FOLDER takes another",
        ) from None


def _each(source: Files, told: dict[str, None], change: Callable[[Rollout], Rollout] | None) -> Iterator[Rollout]:
    """The rollouts, group by group; notes of the batches go to `told`."""
    with progress("rollouts") as advance:
        for batch in source.batches(whole=False):
            for rollout in batch.to_records():
                yield rollout if change is None else change(rollout)
            told.update(dict.fromkeys(batch.notes))
            advance(batch.layout.R)


def _redactor(taken: dict[str, int]) -> Callable[[Rollout], Rollout]:
    """What takes secrets out of a rollout; counts them in `taken`."""
    from stepcredit.data.redact import Redactor

    redactor = Redactor()

    def clean(rollout: Rollout) -> Rollout:
        out = redactor.rollout(rollout)
        taken.update(redactor.taken)
        return out

    return clean
