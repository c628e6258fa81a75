"""A program that is asked over and over: a process of its own, with bounded time for each question and bounded memory.

It reads a line of JSON and writes one. What takes too long is ended with its process, and the next question has a new
one.
"""

import atexit
import json
import os
import subprocess
import sys
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from threading import Lock, Timer
from typing import Any

from stepcredit.sandbox.process import SandboxError


class Worker:
    """The process of one program.

    Args:
        program: a Python file that answers lines. memory: in bytes, of address space.
    """

    def __init__(self, program: str, memory: int) -> None:
        self._command = [sys.executable, "-P", "-s", "-B", str(Path(__file__).with_name(program)), str(memory)]
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = Lock()
        atexit.register(self.end)

    def ask(self, what: Any, seconds: float) -> Any:
        """Its answer.

        Raises:
            SandboxError: it took too long, or ended.
        """
        with self._lock:
            process = self._process or self._begin()
            late: list[bool] = []

            def give_up() -> None:
                late.append(True)
                process.kill()

            timer = Timer(seconds, give_up)
            timer.start()
            line = b""
            try:
                assert process.stdin and process.stdout
                with suppress(BrokenPipeError):
                    process.stdin.write(json.dumps(what).encode() + b"\n")
                    process.stdin.flush()
                    line = process.stdout.readline()
            finally:
                timer.cancel()
            try:
                return json.loads(line)
            except ValueError:
                self._end()
        why = f"it took more than {seconds:g} seconds" if late else "the program ended: too much memory?"
        raise SandboxError(why)

    def end(self) -> None:
        """End the process, if there is one."""
        with self._lock:
            self._end()

    def _begin(self) -> subprocess.Popen[bytes]:
        kept = {k: v for k, v in os.environ.items() if k == "LD_LIBRARY_PATH"}
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**kept, "PYTHONHASHSEED": "0", "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
            cwd="/",
        )
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()


def worker(program: str, memory: int) -> Worker:
    """The one worker of a program in this process; a fork of it has its own."""
    return _worker(program, memory, os.getpid())


@lru_cache
def _worker(program: str, memory: int, owner: int) -> Worker:
    return Worker(program, memory)
