"""`stepcredit lint`: is this credit sane?"""

import inspect
from pathlib import Path
from typing import Annotated, Any

import typer

from stepcredit.app.console import line, print_json, say
from stepcredit.app.options import Error, Format, Json, Map, OnError, Rollouts, load
from stepcredit.data.storage import placed
from stepcredit.errors import DataError, LayoutError, StepCreditError, UnknownName
from stepcredit.lint import check

_ARRAYS = [n for n in inspect.signature(check).parameters if n not in ("method", "card", "claims", "only", "ignore")]


def lint(
    rollouts: Rollouts,
    method: Annotated[
        list[str],
        typer.Option(
            "--method",
            "-M",
            metavar="NAME",
            help="Which credit to check; every credit in the file if not given. Of an .npz: the method that made it.",
        ),
    ] = [],  # noqa: B006
    fail_on: Annotated[
        str,
        typer.Option(
            "--fail-on",
            metavar="SEVERITY",
            help="Exit with status 1 from this severity on: error, warning, info, never.",
        ),
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
    if arrays and len(method) > 1:
        raise StepCreditError("the arrays of an .npz file are the credit of one method: give one --method")
    for file in arrays:
        reports[file] = _check_npz(file, next(iter(method), None))
    files = [f for f in rollouts if f not in arrays]
    if files:
        from stepcredit.lint import check_batch

        batch = load(files, format, map, on_error)
        found = [n.partition(".")[2] for n in batch.columns if n.startswith("credit.")]
        for name in dict.fromkeys(method or found):
            reports[name] = check_batch(batch, name)
        if not reports:
            raise StepCreditError(
                f"no credit in {', '.join(files)}",
                hint=f"first: stepcredit assign {files[0]} --method gigpo -o credited.jsonl",
            )
    if json:
        print_json({name: r.to_dict() for name, r in reports.items()})
    else:
        for i, (name, r) in enumerate(reports.items()):
            if i:
                say()
            say(line(name), "bold")
            say(str(r))
    status = max((r.exit_code(fail_on) for r in reports.values()), default=0)
    if status:
        raise typer.Exit(status)


def _check_npz(file: str, method: str | None) -> Any:
    import zipfile

    import numpy as np

    with placed(file):
        with Path(file).open("rb") as opened:
            zipped = zipfile.is_zipfile(opened)
        if not zipped:
            raise DataError("not an .npz file", file=file, expected="what numpy.savez(file, advantages=...) writes")
        try:
            with np.load(file, allow_pickle=False) as arrays:
                given = {name: arrays[name] for name in arrays.files}
        except (ValueError, zipfile.BadZipFile, EOFError) as error:
            raise DataError("not readable as plain arrays", file=file, got=error) from None
    if "advantages" not in given:
        raise DataError("no array 'advantages'", file=file, got=", ".join(given) or "no arrays")
    for name, array in given.items():
        if name not in _ARRAYS:
            raise UnknownName(f"array that stepcredit.check takes ({file})", name, _ARRAYS)
        if name not in ("group", "rollout") and array.dtype.kind not in "biuf":
            raise DataError(f"array {name!r} must hold numbers", file=file, got=array.dtype)
    try:
        return check(**given, method=method)
    except LayoutError as error:
        raise LayoutError(f"{file}: {error.message}", hint=error.hint) from None
