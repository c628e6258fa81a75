"""Model servers of others, in processes of their own, on this machine alone."""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest

TEMPLATE = "{% for m in messages %}{{ m.content }}{{ '\\n' }}{% endfor %}"
"""A chat that reads as `tiny` was taught: the task on its line, then what comes of it."""


class Server:
    """One process and its children, that answer at `url`.

    command: of the process; "{port}" stands for the port. log: the file that takes what they print.
    """

    def __init__(self, command, log, **environment):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.root = f"http://127.0.0.1:{self.port}"
        self.url = f"{self.root}/v1"
        self.command = [str(part).replace("{port}", str(self.port)) for part in command]
        self.environment = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "TMPDIR": str(log.parent), **environment}
        self.log = log
        self.process = None

    def start(self, seconds=300):
        """Begin, and wait until it answers; fail with the end of its log where it does not."""
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                self.command,
                env=os.environ | self.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        end = time.monotonic() + seconds
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > end:
                self.kill()
                pytest.fail(f"{self.command} did not start:\n{self.log.read_text(errors='replace')[-4000:]}")
            time.sleep(0.3)
        return self

    def answers(self):
        """Whether it is up."""
        with suppress(OSError):
            return get(f"{self.root}/health", timeout=5)[0] == 200
        return False

    def stop(self):
        """Ask it to end, and see to it that it does."""
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(20)
        self.kill()

    def kill(self):
        """End all of it at once; on return no process of it is left.

        But for Python's resource trackers, which end by themselves: they free the memory that the others shared.
        """
        end = time.monotonic() + 30
        self.process.kill()
        self.process.wait()
        while left := self._left():
            for pid, command in left:
                with suppress(ProcessLookupError):
                    if b"resource_tracker" not in command or time.monotonic() > end - 15:
                        os.kill(pid, signal.SIGKILL)
            if time.monotonic() > end:
                pytest.fail(f"processes of {self.command} outlive a kill: {left}")
            time.sleep(0.05)

    def _left(self):
        """(pid, command line) of what is left of its group."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # ended meanwhile
                if os.getpgid(int(folder.name)) == self.process.pid and b") Z " not in (folder / "stat").read_bytes():
                    found.append((int(folder.name), (folder / "cmdline").read_bytes()))
        return found


def get(url, timeout=60):
    """(status, body)."""
    return _open(urllib.request.Request(url), timeout)


def post(url, timeout=120, **body):
    """(status, body) of a JSON body."""
    head = {"Content-Type": "application/json"}
    return _open(urllib.request.Request(url, json.dumps(body).encode(), head), timeout)


def _open(request, timeout):
    try:
        with urllib.request.urlopen(request, timeout=timeout) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
