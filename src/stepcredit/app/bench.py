"""`stepcredit bench`: measurements."""

from typing import Annotated

import typer

from stepcredit.app.console import note, print_json, say, table
from stepcredit.app.options import Json

app = typer.Typer(help="Measure.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _bench() -> None:
    """Measure on this machine."""


@app.command("speed")
def speed(
    steps: Annotated[
        int, typer.Option(help="Steps of the batch; 50 a rollout, 8 rollouts a prompt.", min=20_000)
    ] = 1_000_000,
    memory: Annotated[int, typer.Option(help="Steps of the memory run; 0 leaves it out.", min=0)] = 10_000_000,
    megabytes: Annotated[float, typer.Option(help="Size of the JSONL file to stream; 0 leaves it out.", min=0)] = 200,
    json: Json = False,
) -> None:
    """Steps per second beside a plain loop (on 20,000 steps, as it is quadratic) and beside one copy of the arrays.

    Example: stepcredit bench speed --megabytes 1000
    """
    from stepcredit.bench.suites import speed as suite

    timings = [*suite.methods(steps), suite.strings(steps)]
    result = {"steps": steps, "timings": [t._asdict() for t in timings]}
    if not json:
        table(
            ["", "million steps/s", "plain loop, million/s", "times faster", "copy/time"],
            [[t.name, t.steps_per_s / 1e6, t.loop_per_s / 1e6, t.times_loop, t.copies] for t in timings],
            title=f"{steps:,} steps, one core; loop on {suite.LOOP_STEPS:,} steps",
        )
    if memory:
        base, peak = suite.memory(memory)
        result["memory"] = {"steps": memory, "arrays_gb": base, "peak_gb": peak}
        if not json:
            say(f"{memory:,} steps: peak memory {peak:.2f} GB ({base:.2f} GB with the arrays alone)")
    if megabytes:
        rate, peak, count = suite.reading(megabytes)
        result["reading"] = {"megabytes": megabytes, "mb_per_s": rate, "peak_gb": peak, "steps": count}
        if not json:
            say(f"streaming {megabytes:,.0f} MB of JSONL: {rate:.0f} MB/s, {count:,} steps, peak memory {peak:.2f} GB")
    if json:
        print_json(result)
    else:
        note("one machine, one run: read the ratios, not the speeds")
