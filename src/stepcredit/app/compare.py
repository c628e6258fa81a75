"""`stepcredit compare`: methods side by side on the same rollouts."""

import math
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer

from stepcredit.app.console import note, notes, print_json, progress, say, share, table
from stepcredit.app.options import (
    Error,
    Files,
    Format,
    Json,
    Map,
    Normalize,
    OnError,
    Ray,
    Report,
    RewardOption,
    Rollouts,
    Segment,
    States,
    Uneven,
    apart,
    load,
    normalized,
    stated,
    tell_derived,
    writable,
)
from stepcredit.credit import Credit
from stepcredit.credit.compare import Comparison
from stepcredit.credit.compare import compare as compare_credit
from stepcredit.errors import MissingColumn, StepCreditError
from stepcredit.integrations._ray_compare import Summary
from stepcredit.integrations.ray import Sharded, connected


def compare(
    rollouts: Rollouts,
    method: Annotated[
        list[str],
        typer.Option(
            "--method", "-M", metavar="NAME", help="Only these methods; all that the columns allow if not given."
        ),
    ] = [],  # noqa: B006
    reward: RewardOption = None,
    states: States = None,
    normalize: Normalize = "",
    report: Report = None,
    segment: Segment = None,
    format: Format = None,
    map: Map = [],  # noqa: B006
    on_error: Error = OnError.raise_,
    ray: Ray = None,
    json: Json = False,
) -> None:
    """Run every applicable method on the same rollouts and show how far they agree.

    agreement: mean rank correlation with the other methods. spread: standard deviation of the credit. zero: share of
    steps with credit 0. merged and alone: share of steps that a method's grouping compares with others, or with none;
    where alone is large, a method that compares states has nothing to compare.

    Example: stepcredit compare runs.jsonl --report page.html
    """
    writable(report)
    apart(rollouts, report=report)
    chosen = list(dict.fromkeys(method))
    if ray is not None:
        if report is not None:
            raise StepCreditError("--report needs all rollouts in one process", hint="leave out --ray")
        source = Files(rollouts, format, map, on_error, segment)
        with connected(ray) as cluster:
            work = Sharded(
                cluster,
                source,
                chosen,
                reward=reward.value if reward else None,
                states=states,
                normalize=normalized(states, normalize),
                compare=True,
            )
            summary = _sharded(source, work)
        source.tell()
        tell_derived(summary.notes, [source.left_out])
        _show(summary.comparison(), json, None)
        return
    batch = load(rollouts, format, map, on_error, segment)
    batch = stated(batch, states, normalize)
    if states:
        notes(batch.notes[-1:])
    with progress("comparing methods"):
        result = compare_credit(batch, chosen or None, reward=reward.value if reward else None)
    if report:
        from stepcredit.app.view.export import write_page

        write_page(report, batch, telling_first(result), comparison=report_rows(result), source=", ".join(rollouts))
    tell_derived({c.method: c.notes for c in result.credits}, batch.notes)
    _show(result, json, report)


def _show(result: Comparison, json: bool, report: Path | None) -> None:
    if json:
        print_json(result.to_dict())
    else:
        print_comparison(result)
    if report:
        note(f"report: {report}", "")
    elif not json:
        note("Step by step, in a browser: stepcredit view, or --report page.html")


def _sharded(source: Files, work: Sharded) -> Summary:
    """The comparison by the workers of a cluster; read again where tasks differ in their columns."""
    present = None
    while True:
        summary = Summary()
        source.begin()
        try:
            with progress("rollouts") as advance, closing(work.shards(present)) as shards:
                for shard in shards:
                    assert shard.batch is not None and shard.compared is not None
                    source.account(shard.batch, shard.columns)
                    summary.add(shard.credits, shard.compared)
                    advance(shard.batch.layout.R)
        except (Uneven, MissingColumn):
            if present is not None:
                raise
            present = work.present()
            continue
        notes(work.told())
        return summary


def report_rows(result: Comparison) -> list[dict[str, Any]]:
    """The comparison as rows for people."""
    return [
        {
            "method": r.method,
            "agreement": r.agreement,
            "spread": r.spread,
            "zero": r.zero,
            "not judged": r.unjudged,
            "merged": ", ".join(f"{label} {share(m.merged)}" for label, m in r.merge.items()) or None,
            "ms": r.seconds * 1e3,
        }
        for r in result.rows
    ]


def telling_first(result: Comparison) -> list[Credit]:
    """Credits of methods that tell the steps of a rollout apart by comparing them, then the others."""
    return sorted(result.credits, key=lambda c: not next(r.merge for r in result.rows if r.method == c.method))


def print_comparison(result: Comparison) -> None:
    """Tables: one row per method, how its grouping merges, who agrees with whom, and what could not run."""
    if result.rows:
        shown = ["method", "agreement", "spread", "zero", "not judged", "ms"]
        if not any(r.unjudged for r in result.rows):
            shown.remove("not judged")
        rows = [
            {
                **r,
                "agreement": None if math.isnan(r["agreement"]) else f"{r['agreement']:.2f}",
                **{n: share(r[n]) for n in ("zero", "not judged")},
            }
            for r in report_rows(result)
        ]
        table(shown, [[r[n] for n in shown] for r in rows])
        merges = [(r.method, label, m) for r in result.rows for label, m in r.merge.items()]
        if merges:
            say()
            table(
                ["method", "compares steps of equal", "cells", "merged", "alone", "largest"],
                [[n, label, m.cells, share(m.merged), share(m.singletons), m.largest] for n, label, m in merges],
            )
        say()
        number = {r.method: str(i) for i, r in enumerate(result.rows, 1)}
        table(
            ["rank correlation", *number.values()],
            [
                [f"{number[r.method]} {r.method}", *(None if v != v else f"{v:.2f}" for v in line.tolist())]
                for r, line in zip(result.rows, result.correlation, strict=True)
            ],
        )
    for why in result.skipped.values():
        note(f"not run: {why.partition('; the batch holds')[0]}")
