"""Code in a step, run in the sandbox of `stepcredit.sandbox.shell`: no network, no file of this machine, bounds."""

import re

from stepcredit.errors import StepCreditError
from stepcredit.label.checks import Known, Verdict
from stepcredit.sandbox.process import SandboxError
from stepcredit.sandbox.shell import check_shell, run_command

SECONDS = 5.0
MEMORY = 512 * 2**20
OUTPUT = 16 * 2**10
_CODE = re.compile(r"```(?:python|py|python3)[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL)
_SAID = re.compile(r"\A\s*```(?:output|text|result)?[ \t]*\n(.*?)```", re.DOTALL)
_BEFORE, _WRONG, _STOPPED = 90, 91, 92
_MARK = "stepcredit-said"
_RUNNER = f"""
import contextlib, io, sys

space = {{"__name__": "__main__"}}


def run(name):
    with open(name, encoding="utf-8") as file:
        exec(compile(file.read(), name, "exec"), space)


def end(status, error):
    said = "" if error is None else type(error).__name__ + ": " + str(error)[:200].replace("\\n", " ")
    sys.stdout.flush()
    print("\\n{_MARK}", said)
    sys.stdout.flush()
    sys.exit(status)


try:
    with contextlib.redirect_stdout(io.StringIO()):
        run("before.py")
except BaseException as error:
    end({_BEFORE}, error)
try:
    run("step.py")
except (MemoryError, OSError, ImportError, KeyboardInterrupt) as error:
    end({_STOPPED}, error)
except SystemExit as error:
    end(0 if error.code in (None, 0) else {_WRONG}, error)
except BaseException as error:
    end({_WRONG}, error)
end(0, None)
"""


def python_check(step: str, known: Known) -> Verdict:
    """Right if the Python of the step runs to its end, wrong if it raises an error: an assertion, a name, a type.

    Code stands between ```python and ```; that of the steps before runs first, in one namespace. Where a block of
    output follows the last one, what it prints must be equal. Code that is stopped (time, memory, processes) or refused
    (a file, the network, a package that is not there) is not judged, nor any where this machine has no sandbox.

    What a program says of itself is believed: it is only as good a check as what it asserts.
    """
    code, said = _code(step)
    if not code:
        return Verdict(None, "no code")
    try:
        check_shell()
        ran = run_command(
            {"step.py": code, "before.py": "\n".join(_code(text)[0] for text in known.before), "run.py": _RUNNER},
            "exec python3 -I -S -B run.py",
            seconds=SECONDS,
            memory=MEMORY,
            output=OUTPUT,
        )
    except SandboxError as error:
        return Verdict(None, f"stopped: {error.message}")
    except StepCreditError as error:
        return Verdict(None, f"not run: {error.message}")
    printed, mark, error_ = ran.output.rpartition(f"\n{_MARK} ")
    if ran.status == 0 and not mark:
        return Verdict(None, f"it ends before its end, or prints more than {OUTPUT:,} bytes")
    return _verdict(ran.status, printed, error_.strip(), said)


def _verdict(status: int, printed: str, error: str, said: str | None) -> Verdict:
    if status == _WRONG:
        return Verdict(False, error or "it fails")
    if status == _BEFORE:
        return Verdict(None, f"code of a step before fails: {error}")
    if status == _STOPPED:
        return Verdict(None, f"refused: {error}")
    if status == 127:
        return Verdict(None, "not run: the sandbox has no python3")
    if status:
        return Verdict(None, f"stopped: it took more than {SECONDS:g} seconds, or ended itself (status {status})")
    if said is not None and _plain(printed) != _plain(said):
        return Verdict(False, f"it prints {_plain(printed)[:80]!r}, not {_plain(said)[:80]!r}")
    return Verdict(True, "the code runs" if said is None else "the code prints what is said")


def _code(text: str) -> tuple[str, str | None]:
    """The code of a step, and what it is said to print."""
    found = list(_CODE.finditer(text))
    if not found:
        return "", None
    said = _SAID.match(text, found[-1].end()) or _SAID.match(text[found[-1].end() :])
    return "\n".join(one[1] for one in found), said[1] if said else None


def _plain(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip().splitlines())
