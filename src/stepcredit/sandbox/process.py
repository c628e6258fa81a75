"""A process that is sure to end: bounded time and output, nothing of the environment, nothing left running."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from threading import Timer
from typing import NamedTuple

from stepcredit.errors import StepCreditError


class SandboxError(StepCreditError):
    """The code was refused, or failed: why, in words for its author."""


class Ended(NamedTuple):
    """What a process wrote (at most one byte more than it may), whether it was stopped, its exit status."""

    said: bytes
    late: bool
    status: int


def run_process(
    command: Sequence[str], payload: bytes, *, seconds: float, output: int, environment: Mapping[str, str]
) -> Ended:
    """Start it in "/", hand it the payload, read what it writes, end it and all that it started in its session.

    Args:
        seconds: by the clock. output: in bytes. environment: all that it sees, but for LD_LIBRARY_PATH.
    """
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={k: v for k, v in os.environ.items() if k == "LD_LIBRARY_PATH"} | dict(environment),
        cwd="/",
        start_new_session=True,
    )
    assert process.stdin and process.stdout
    late: list[bool] = []

    def give_up() -> None:
        late.append(True)
        _kill(process)

    timer = Timer(seconds, give_up)
    timer.start()
    try:
        with suppress(BrokenPipeError):
            process.stdin.write(payload)
            process.stdin.close()
        said = process.stdout.read(output + 1)
    finally:
        timer.cancel()
        if process.poll() is None and not late:
            with suppress(subprocess.TimeoutExpired):
                process.wait(1)
        _kill(process)
        status = process.wait()
        process.stdout.close()
        with suppress(BrokenPipeError):
            process.stdin.close()
    return Ended(said, bool(late), status)


def _kill(process: "subprocess.Popen[bytes]") -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
