"""`stepcredit watch`: spans of running agents to a file, and a word on each run as it ends."""

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from stepcredit.app._watch_runs import Runs, summary
from stepcredit.app.console import line, note, say
from stepcredit.errors import StepCreditError

_TICK = 0.25


def watch(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="Where requests are added, a line each: .jsonl.")
    ] = Path("traces.jsonl"),
    host: Annotated[
        str,
        typer.Option(metavar="ADDRESS", help="Where to listen; 127.0.0.1 keeps other machines out, 0.0.0.0 does not."),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes a free one.", min=0, max=65535)] = 4318,
    also_named: Annotated[
        list[str],
        typer.Option("--also-named", metavar="NAME", help="A host name under which it may be reached too; * for any."),
    ] = [],  # noqa: B006
    key_env: Annotated[
        str | None,
        typer.Option("--key-env", metavar="VARIABLE", help="Ask clients for the key that this variable holds."),
    ] = None,
    largest: Annotated[int, typer.Option("--largest", metavar="MB", help="Longest request, unpacked.", min=1)] = 64,
    wait: Annotated[
        float, typer.Option(help="A run has ended when its root span came and then nothing for this long (s).", min=0)
    ] = 2.0,
    idle: Annotated[
        float, typer.Option(help="A run whose root span does not come has ended after this long (s).", min=0)
    ] = 60.0,
    diagnose: Annotated[
        bool,
        typer.Option("--diagnose/--no-diagnose", help="Say which step of each run is to blame (no model is asked)."),
    ] = True,
) -> None:
    """Receive spans of running agents (OTLP over HTTP), keep them in a file, and say a word on each run as it ends.

    Point any OpenTelemetry exporter at it: OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318. What it acknowledges is
    on disk, in a file that `stepcredit view` and `stepcredit diagnose` read, also while it grows.

    Example: stepcredit watch -o traces.jsonl
    """
    from stepcredit.app._watch_server import Log

    key = None if key_env is None else os.environ.get(key_env)
    if key_env is not None and not key:
        raise StepCreditError(f"--key-env {key_env}: there is no such variable, or it is empty")
    log = Log(output)
    if log.cut:
        note(f"{output}: {log.cut:,} bytes of a request that was never acknowledged were cut off")
    hosts = [*also_named, *([] if host in ("0.0.0.0", "::") else [host])]
    runs = Runs(wait=wait, idle=idle)
    options = {"hosts": hosts, "key": key, "most_bytes": largest << 20}
    try:
        asyncio.run(_forever(log, runs, host, port, options, diagnose))
    finally:
        log.close()
    note(f"{runs.spans:,} spans, {runs.runs:,} runs{_late(runs.late)}: {output}")


async def _forever(log: Any, runs: Runs, host: str, port: int, options: dict[str, Any], diagnose: bool) -> None:
    """Receive until interrupted; then tell of what is open."""
    from stepcredit.app._watch_server import application, listen

    lock = threading.Lock()

    def taken(request: dict[str, Any]) -> None:
        with lock:
            runs.take(request)

    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    url, stop = await listen(application(log, taken, **options), host, port)
    say(url)
    note(f"OTEL_EXPORTER_OTLP_ENDPOINT={url}; Ctrl-C ends it")
    try:
        while not stopped.is_set():
            await loop.run_in_executor(None, tell, runs, lock, diagnose, False)
            try:
                await asyncio.wait_for(stopped.wait(), _TICK)
            except TimeoutError:
                continue
    finally:
        await stop()
        tell(runs, lock, diagnose, True)


def _late(number: int) -> str:
    return f", {number:,} spans that came after their run was told" if number else ""


def tell(runs: Runs, lock: threading.Lock, diagnose: bool, all: bool, out: Callable[[str], None] = say) -> None:
    """A line on each run that ended."""
    with lock:
        ended, late = list(runs.ended(all=all)), runs.late - runs.late_told
        runs.late_told = runs.late
    if late:
        note(
            f"{late:,} spans came after their run was told: they are in the file, not in its verdict; a longer --idle "
            "or --wait helps"
        )
    for rollout, odd in ended:
        words = summary(rollout, odd)
        if diagnose:
            words += " | " + line(runs.verdict(rollout))
        out(words)
