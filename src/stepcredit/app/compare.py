"""`stepcredit compare`: methods side by side on the same rollouts."""

from typing import Annotated, Any

import typer

from stepcredit.app.console import note, print_json, progress, say, table
from stepcredit.app.options import Error, Format, Json, Map, OnError, Report, RewardOption, Rollouts, Segment, load
from stepcredit.credit.compare import Comparison
from stepcredit.credit.compare import compare as compare_credit


def compare(
    rollouts: Rollouts,
    method: Annotated[
        list[str], typer.Option("--method", "-M", help="Only these methods; all that the columns allow if not given.")
    ] = [],  # noqa: B006
    reward: RewardOption = None,
    states: Annotated[
        str | None,
        typer.Option("--states", help="Make states first: last, history, set, column:NAME, FILE.py:FUNCTION."),
    ] = None,
    normalize: Annotated[str, typer.Option(help="With --states: whitespace,case,numbers,ids.")] = "",
    report: Report = None,
    segment: Segment = None,
    format: Format = None,
    map: Map = [],  # noqa: B006
    on_error: Error = OnError.raise_,
    json: Json = False,
) -> None:
    """Run every applicable method on the same rollouts and show how far they agree.

    agreement: mean rank correlation with the other methods. zero: share of steps with credit 0. merged / alone: share
    of steps that the method's grouping compares with others / leaves alone; much "alone" means that a method that
    compares states has nothing to compare.

    Example: stepcredit compare runs.jsonl --report page.html
    """
    batch = load(rollouts, format, map, on_error, segment)
    if states:
        from stepcredit.evidence.state import with_states

        batch = with_states(batch, states, normalize=[n for n in normalize.split(",") if n])
    with progress("methods") as _:
        result = compare_credit(batch, method or None, reward=reward.value if reward else None)
    if report:
        from stepcredit.app.report import write_report

        write_report(report, batch, result.credits, comparison=report_rows(result), source=", ".join(rollouts))
    if json:
        print_json(result.to_dict())
    else:
        print_comparison(result)
    if report:
        note(f"report: {report}")


def report_rows(result: Comparison) -> list[dict[str, Any]]:
    """The comparison as rows for people."""
    rows = []
    for r in result.rows:
        label, merge = next(reversed([*r.merge.items()]), (None, None))
        rows.append(
            {
                "method": r.method,
                "agreement": r.agreement,
                "spread": r.spread,
                "zero": r.zero,
                "not judged": r.unjudged,
                "grouping": label,
                "merged": merge.merged if merge else None,
                "alone": merge.singletons if merge else None,
                "ms": r.seconds * 1e3,
            }
        )
    return rows


def print_comparison(result: Comparison) -> None:
    """Tables: one row per method, who agrees with whom, and what could not run."""
    rows = report_rows(result)
    if rows:
        table(list(rows[0]), [list(r.values()) for r in rows])
        say()
        names = [r.method for r in result.rows]
        table(
            ["rank correlation", *names],
            [[n, *map(float, line)] for n, line in zip(names, result.correlation, strict=True)],
        )
    for name, why in result.skipped.items():
        note(f"not run: {name}: {why.partition(';')[0]}")
