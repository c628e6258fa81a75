"""`stepcredit label audit` and `stepcredit label combine`: files of labels."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from stepcredit.app.console import note, print_json, share, show, table
from stepcredit.app.options import Json, apart, writable
from stepcredit.errors import StepCreditError
from stepcredit.label import audit as measures
from stepcredit.label import combine as sets
from stepcredit.label.labels import AFTER, Labels, after_error
from stepcredit.label.rows import LabelRow, LabelWriter, read_labels, rows
from stepcredit.label.verifiers import truth24

Files = Annotated[list[str], typer.Argument(metavar="LABELS", help="Files of labels.")]


class Balance(StrEnum):
    """What there are to be equal numbers of."""

    binary = "binary"
    value = "value"


def audit(
    labels: Files,
    truth: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|game24", help="Labels that are right; game24: the exact truth, worked out from the steps."
        ),
    ] = None,
    draws: Annotated[int, typer.Option(help="Draws of the bootstrap over tasks.", min=1)] = measures.DRAWS,
    seed: Annotated[int, typer.Option(help="Of the bootstrap.", min=0)] = 0,
    json: Json = False,
) -> None:
    """How good are labels? Against the truth, beside baselines that looked at nothing; and against one another.

    first_error: share of solutions whose first error was found (none is one, too). wrong, right: the same of solutions
    with an error and without; f1: their harmonic mean (ProcessBench). step: share of the judged steps told right.
    auroc: chance that a right step has the higher value than a wrong one. Brackets: 90%, bootstrap over tasks.

    Example: stepcredit label audit labels.jsonl other.jsonl --truth gold.jsonl
    """
    named = _named(labels)
    if truth == "game24":
        gold = [truth24(one) for one in next(iter(named.values()))]
    else:
        gold = [] if truth is None else read_labels(truth)
    told = measures.audit(named, gold or None, draws=draws, seed=seed)
    if json:
        print_json(told)
        return
    note(f"{told['rows']:,} rollouts of {told['tasks']:,} tasks are in every label set", "")
    if told["not_in_every_set"]:
        note(f"note: {told['not_in_every_set']:,} are not", "yellow")
    table(
        ["steps", "judged", "right", "first error known", "without error", "lowest is last", "labels"],
        [
            [d["steps"], *map(share, _pick(d, "judged right first_error_known without_error lowest_last")), name]
            for name, d in told["sets"].items()
        ],
    )
    if "scores" in told:
        _scores(told["scores"], "Against the truth")
        _noise(told["noise"])
        if told["differences"]:
            _scores(told["differences"], "Differences")
    if told["agreement"]:
        _scores(told["agreement"], "Agreement with one another")


def combine(
    labels: Files,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Labels, or with --trl rows of TRL.")],
    how: Annotated[
        str | None,
        typer.Option(
            metavar="HOW", help=f"Of several files: {', '.join(sets.HOW)}. consensus: equal first errors (the default)."
        ),
    ] = None,
    agree: Annotated[int | None, typer.Option(help="Annotators that consensus needs; else all.", min=1)] = None,
    band: Annotated[
        str | None, typer.Option(metavar="LOW:HIGH", help="Only tasks whose share of successes is within.")
    ] = None,
    consistent: Annotated[
        bool, typer.Option("--consistent", help="Drop what failed without a wrong step, and unknown first errors.")
    ] = False,
    distinct: Annotated[bool, typer.Option("--distinct", help="Each sequence of steps of a task once.")] = False,
    balance: Annotated[
        Balance | None, typer.Option(help="Equal numbers of solutions with and without an error, or of each value.")
    ] = None,
    after: Annotated[
        str | None, typer.Option(metavar="HOW", help=f"Steps behind the first error: {', '.join(AFTER)}.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the draws of --balance.", min=0)] = 0,
    trl: Annotated[bool, typer.Option("--trl", help="Write prompt, completions, labels alone.")] = False,
    json: Json = False,
) -> None:
    """One label set of several, and rows chosen of it; what is dropped is counted by its reason.

    Example: stepcredit label combine labels.jsonl other.jsonl --how consensus --after cut -o both.jsonl
    """
    writable(output)
    apart(labels, output=output)
    given = {name: list(rows(name)) for name in dict.fromkeys(labels)}
    if how is not None and len(given) < 2:
        raise StepCreditError("--how says how several files become one", hint="give at least two files")
    if agree is not None and how not in (None, "consensus"):
        raise StepCreditError(f"--agree belongs to consensus, not to {how}")
    if after is not None and after not in AFTER:
        raise StepCreditError(f"--after {after!r}", hint=f"one of: {', '.join(AFTER)}")
    known, found = [[row.to_labels() for row in one] for one in given.values()], None
    total = max(map(len, known))
    found = sets.Kept(known[0]) if len(known) == 1 else sets.combine(known, how or "consensus", agree=agree)  # type: ignore[arg-type]
    chosen: dict[str, Any] = {}
    dropped = dict(found.dropped)
    steps = {
        "band": None if band is None else lambda x: sets.accuracy_band(x, *_band(band)),
        "consistent": sets.consistent if consistent else None,
        "distinct": sets.distinct if distinct else None,
        "balance": None if balance is None else lambda x: sets.balance(x, balance.value, seed=seed),
    }
    for step, do in steps.items():
        if do is not None:
            found = do(found.labels)
            chosen[step] = {"band": band, "balance": balance, "consistent": True, "distinct": True}[step]
            for why, n in found.dropped.items():
                dropped[why] = dropped.get(why, 0) + n
    said = {"combined": how or "consensus" if len(known) > 1 else None, "agree": agree, "seed": seed, "after": after}
    left_out = _write(found.labels, output, given, {**said, **chosen}, after, trl)
    if left_out:
        dropped["no step is judged from the first on, as TRL needs"] = left_out
    if json:
        print_json({"rows": total, "kept": len(found.labels) - left_out, "dropped": dropped})
    else:
        table(["rows", "what"], [[len(found.labels) - left_out, "kept"], *([n, why] for why, n in dropped.items())])
    note(f"labels: {output}", "")


def _write(
    found: list[Labels], output: Path, given: dict[str, list[LabelRow]], said: dict[str, Any], after: Any, trl: bool
) -> int:
    """With who labelled what: of each file the provenance of its first row. How many rows TRL could not have."""
    of = [one[0].provenance for one in given.values()]
    if len(given) == 1:
        (first,) = given.values()
        kept = {(row.group, row.rollout): row.provenance for row in first}
    with LabelWriter(output, plain=trl) as out:
        for one in found:
            told = kept[one.group, one.rollout] if len(given) == 1 else {**said, "of": of}
            out.write([one if after is None else after_error(one, after)], told)
    return out.left_out


def _named(files: list[str]) -> dict[str, list[Labels]]:
    """File name -> labels; the whole path where names are equal."""
    short = [Path(f).name for f in files]
    if len(set(files)) < len(files):
        raise StepCreditError("a file is named twice")
    return {s if short.count(s) == 1 else f: read_labels(f) for s, f in zip(short, files, strict=True)}


def _pick(of: dict[str, Any], names: str) -> list[Any]:
    return [of[name] for name in names.split()]


def _band(text: str) -> tuple[float, float]:
    low, _, high = text.partition(":")
    try:
        return float(low), float(high)
    except ValueError:
        raise StepCreditError(f"--band {text!r}: expected LOW:HIGH", hint="--band 0.1:0.9") from None


def _scores(scores: dict[str, Any], title: str) -> None:
    kinds = list(next(iter(scores.values())))
    cells = [[*(_cell(told[k]) for k in kinds), name] for name, told in scores.items()]
    table([*(k.replace("_", " ") for k in kinds), "labels"], cells, title=title)


def _cell(one: dict[str, float]) -> str:
    if one["value"] != one["value"]:
        return show(None)
    return f"{one['value']:.3f} [{one['low']:.2f}, {one['high']:.2f}]"


def _noise(noise: dict[str, Any]) -> None:
    for name, found in noise.items():
        kinds = list(next(iter(found.values()), {}))
        title = f"{name}: what was said, by the true first error"
        table([*kinds, "true first error"], [[*row.values(), at] for at, row in found.items()], title=title)
