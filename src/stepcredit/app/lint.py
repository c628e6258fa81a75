"""`stepcredit lint`: is this credit sane?"""

from typing import Annotated, Any

import typer

from stepcredit.app.console import print_json, say
from stepcredit.app.options import Error, Format, Json, Map, OnError, Rollouts, load
from stepcredit.errors import StepCreditError


def lint(
    rollouts: Rollouts,
    method: Annotated[
        list[str], typer.Option("--method", "-M", help="Which credit to check; every credit in the file if not given.")
    ] = [],  # noqa: B006
    fail_on: Annotated[
        str, typer.Option("--fail-on", help="Exit with status 1 from this severity on: error, warning, info, never.")
    ] = "warning",
    format: Format = None,
    map: Map = [],  # noqa: B006
    on_error: Error = OnError.raise_,
    json: Json = False,
) -> None:
    """Check credit or advantages for the bugs that trainers have had: wrong mask, wrong rows, wrong groups, NaN.

    Reads files written by `stepcredit assign -o`, and .npz files that hold a trainer's tensors under the names of
    `stepcredit.check`: advantages, response_mask, group, outcome, turn_ids, ... A rule whose arrays are not there says
    so; it never passes silently.

    Example: stepcredit lint credited.jsonl --fail-on error
    """
    if fail_on not in ("error", "warning", "info", "never"):
        raise StepCreditError(f"--fail-on {fail_on!r}", hint="one of: error, warning, info, never")
    reports = {}
    arrays = [f for f in rollouts if f.endswith(".npz")]
    for file in arrays:
        reports[file] = _check_npz(file)
    files = [f for f in rollouts if f not in arrays]
    if files:
        from stepcredit.lint import check_batch

        batch = load(files, format, map, on_error)
        found = [n.partition(".")[2] for n in batch.columns if n.startswith("credit.")]
        for name in method or found:
            reports[name] = check_batch(batch, name)
        if not reports:
            raise StepCreditError(
                f"no credit in {', '.join(files)}",
                hint="first: stepcredit assign FILE --method gigpo -o credited.jsonl",
            )
    if json:
        print_json({name: r.to_dict() for name, r in reports.items()})
    else:
        for name, r in reports.items():
            say(name, "bold")
            say(str(r))
            say()
    status = max((r.exit_code(fail_on) for r in reports.values()), default=0)
    if status:
        raise typer.Exit(status)


def _check_npz(file: str) -> Any:
    import zipfile

    import numpy as np

    from stepcredit.lint import check

    try:
        with np.load(file, allow_pickle=False) as arrays:
            given = {name: arrays[name] for name in arrays.files}
    except (ValueError, zipfile.BadZipFile, EOFError) as error:
        raise StepCreditError(f"{file}: not a readable .npz of plain arrays: {error}") from None
    if "advantages" not in given:
        raise StepCreditError(f"{file}: no array 'advantages'; it holds: {', '.join(given) or 'nothing'}")
    return check(**given)
