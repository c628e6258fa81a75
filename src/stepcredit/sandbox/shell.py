"""Shell commands of an agent, in a folder that exists for one command.

Each command runs as a process of its own in new namespaces of Linux (user, mount, network, process, IPC): it sees the
programs of this machine read-only, its files in memory, no network, no other process and no other file; time, memory,
output and sizes are bounded. The folder is read back and gone when the command ends, with all it started.
"""

import json
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from stepcredit.errors import StepCreditError
from stepcredit.sandbox.process import SandboxError, run_process

_CHILD = str(Path(__file__).with_name("_shell_child.py"))
_HINT = (
    "allow user namespaces: sysctl kernel.unprivileged_userns_clone=1, on Ubuntu also "
    "kernel.apparmor_restrict_unprivileged_userns=0, in Docker --security-opt seccomp=unconfined"
)
_LONGEST = 20_000


class Ran(NamedTuple):
    """The folder after a command, what it wrote (both streams), its exit status (below 0: ended by that signal)."""

    files: dict[str, str]
    output: str
    status: int


def run_command(
    files: Mapping[str, str],
    command: str,
    *,
    seconds: float = 2.0,
    memory: int = 256 * 2**20,
    room: int = 2**20,
    most: int = 256,
    output: int = 16 * 2**10,
) -> Ran:
    """Run `sh -c command` in a folder that holds these files.

    What lasts is names, folders and contents: not links, rights or times. The same files and command give the same
    result, as far as the command asks neither clock nor chance.

    Args:
        files: path -> content; an empty folder is a path that ends in "/". Bytes that are no UTF-8 are surrogates.
        seconds: of processor time, and three times that by the clock. memory: bytes of each process, of which there
            may be 16. room: bytes of all files together. most: files and folders. output: bytes kept of what it writes.

    Raises:
        SandboxError: the command is no text that a shell can take, took too long or left too much.
        StepCreditError: this machine has no such sandbox.
    """
    given = {"files": dict(files), "command": command, "seconds": seconds, "memory": memory, "room": room}
    if len(command) > _LONGEST or "\x00" in command or not _encodes(command):
        raise SandboxError(f"a command is text of at most {_LONGEST:,} characters without NUL")
    told = _tell({**given, "most": most, "output": output}, seconds, room, output)
    if "refused" in told:
        raise SandboxError(told["refused"])
    return Ran(told["files"], told["output"], told["status"])


@lru_cache(maxsize=1)
def check_shell() -> None:
    """See that commands can be run here.

    Raises:
        StepCreditError: they cannot; why.
    """
    ran = run_command({"a": "1"}, "cat a")
    if ran != ({"a": "1"}, "1", 0):
        raise StepCreditError(f"commands do not run as they should: `cat a` gave {ran}", hint=_HINT)


def _tell(given: dict[str, Any], seconds: float, room: int, output: int) -> dict[str, Any]:
    if sys.platform != "linux":
        raise StepCreditError(f"commands of an agent run only in a sandbox of Linux; this is {sys.platform}")
    ended = run_process(
        [sys.executable, "-P", "-s", "-S", "-B", _CHILD],
        json.dumps(given).encode(),
        seconds=3 * seconds + 10,
        # A byte is at most 6 characters of JSON; names and folders come on top.
        output=6 * (room + output) + 2**20,
        environment={"PYTHONHASHSEED": "0"},
    )
    try:
        told = json.loads(ended.said)
    except ValueError:
        raise StepCreditError(f"the sandbox broke (status {ended.status})", hint=_HINT) from None
    if "broken" in told:
        raise StepCreditError(f"no sandbox for commands here: {told['broken']}", hint=_HINT)
    return dict(told)


def _encodes(text: str) -> bool:
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True
