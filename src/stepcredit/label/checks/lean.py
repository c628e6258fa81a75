"""Lean 4 code in a step, checked by the command `lean`, or `lake env lean` in a project."""

import re
import shutil
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path

from stepcredit.label.checks import Known, Verdict
from stepcredit.sandbox.process import run_process

SECONDS = 60.0
_LONGEST = 20_000
_OUTPUT = 64 * 2**10
_MEGABYTES = 8192
_SPENT = ("excessive memory consumption", "(deterministic) timeout", "out of memory")
_CODE = re.compile(r"```lean4?[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL)
# Elaborating a file can run programs that stand in it: whatever could begin or hold one is refused.
_PROGRAM = re.compile(
    r"#|@\[|\b(?:IO|Lean|Elab|Meta|System|FS|EIO|BaseIO|unsafe|extern|implemented_by|initialize|builtin_initialize|"
    r"macro|macro_rules|syntax|notation|elab|elab_rules|declare_syntax_cat|run_cmd|run_tac|run_elab|run_meta|by_elab|"
    r"unsafeIO|set_option|attribute|instance|deriving|compile_inductive|native_decide|dbg_trace|axiom|constant|opaque|"
    r"include_str|from_ffi|partial|simproc|register_\w+)\b"
)
_IMPORT = re.compile(r"^\s*import\s+(?P<what>.*)$", re.MULTILINE)
_MISSING = re.compile(r"\b(?:sorry|admit)\b")
NOT_INSTALLED = "Lean is not installed"


def lean(step: str, known: Known) -> Verdict:
    """Right if the Lean code of the step is accepted without a gap, wrong if it is not.

    Code stands between ```lean and ```; imports are of Mathlib alone. Code that could run programs while it is checked
    is refused, and what takes too long is stopped: neither is judged, nor any where Lean is not installed.
    """
    code = "\n".join(_CODE.findall(step))
    return prove(code) if code.strip() else Verdict(None, "no Lean code")


def prove(code: str, *, gaps: bool = False, folder: str | None = None, seconds: float = SECONDS) -> Verdict:
    """Whether Lean accepts a file.

    Args:
        gaps: one `sorry` may stand in it: a statement that is not proved yet. folder: of a project with lake.
    """
    bare = code if len(code) > _LONGEST else _without_comments(code)
    if found := _PROGRAM.search(bare):
        return Verdict(None, f"refused: {found[0]!r} could run a program")
    if any(not re.fullmatch(r"Mathlib[\w.]*\s*", one["what"]) for one in _IMPORT.finditer(bare)):
        return Verdict(None, "refused: an import that is not of Mathlib")
    if len(code) > _LONGEST:
        return Verdict(None, f"refused: longer than {_LONGEST:,} characters")
    missing = len(_MISSING.findall(bare))
    if missing > gaps:
        return Verdict(False, f"{missing} gaps in the proof")
    command = _command(folder)
    if command is None:
        return Verdict(None, NOT_INSTALLED)
    with tempfile.TemporaryDirectory(prefix="stepcredit-lean-") as room:
        file = Path(room) / "Step.lean"
        file.write_text(code, encoding="utf-8")
        ended = run_process(
            [*command, f"--memory={_MEGABYTES}", str(file)],
            b"",
            seconds=seconds,
            output=_OUTPUT,
            environment={"HOME": room, **_paths(folder)},
        )
    said = ended.said.decode("utf-8", "replace")
    if ended.late:
        return Verdict(None, f"stopped: Lean took more than {seconds:g} seconds")
    if ended.status < 0:
        return Verdict(None, f"stopped: Lean ended by signal {-ended.status}")
    if ended.status and (spent := next((what for what in _SPENT if what in said), None)):
        return Verdict(None, f"stopped: {spent}")
    if ended.status:
        return Verdict(False, _first_error(said))
    if not gaps and "declaration uses" in said and "sorry" in said:
        return Verdict(False, "a gap in the proof")
    return Verdict(True, "Lean accepts it")


def _without_comments(code: str) -> str:
    """Code without its comments; as it is where quotes could make something look like one.

    >>> _without_comments("a -- Lean /-\\nb /- c /- d -/ -/ e").split()
    ['a', 'b', 'e']
    """
    if '"' in code or "«" in code:
        return code
    out, at, depth = [], 0, 0
    while at < len(code):
        two = code[at : at + 2]
        if two == "/-" or (depth and two == "-/"):
            depth += 1 if two == "/-" else -1
            at += 2
        elif depth:
            at += 1
        elif two == "--":
            end = code.find("\n", at)
            at = len(code) if end < 0 else end
        else:
            out.append(code[at])
            at += 1
    return "".join(out)


def _first_error(said: str) -> str:
    found = re.search(r":(\d+):\d+: error: (.*)", said)
    return f"line {found[1]}: {found[2][:200]}" if found else said.strip()[:200] or "Lean does not accept it"


@lru_cache
def _command(folder: str | None) -> tuple[str, ...] | None:
    """The program itself, not elan's stand-in for it: that one wants the home folder."""
    found = shutil.which("lean")
    if found is None:
        return None
    try:
        asked = subprocess.run(
            [found, "--print-prefix"], cwd=folder, capture_output=True, text=True, timeout=60, check=True
        )
    except (subprocess.SubprocessError, OSError):
        return None
    program = Path(asked.stdout.strip()) / "bin" / "lean"
    return (str(program),) if program.is_file() else (found,)


@lru_cache
def _paths(folder: str | None) -> dict[str, str]:
    """Where a project's packages are, as lake says."""
    lake = shutil.which("lake")
    if folder is None or lake is None:
        return {}
    asked = subprocess.run(
        [lake, "env", "printenv", "LEAN_PATH"], cwd=folder, capture_output=True, text=True, timeout=600, check=False
    )
    return {"LEAN_PATH": asked.stdout.strip()} if asked.returncode == 0 else {}
