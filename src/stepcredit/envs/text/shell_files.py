"""ShellOps' shape: a small tree of files to be put in order by shell commands, each run in a real sandbox."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from stepcredit.envs.text_world import Action, Branch, Refused, TextWorld, Tool
from stepcredit.errors import StepCreditError
from stepcredit.sandbox.process import SandboxError
from stepcredit.sandbox.shell import Ran, check_shell, run_command

RUN = Tool("run", "run {command}", "Run a shell command in the folder.", {"command": "for sh, such as ls -l"})
READ = Tool("read", "read {path}", "Show a file.", {"path": "of the file"})
WRITE = Tool(
    "write", "write {path} {content}", "Write a file anew.", {"path": "of the file", "content": "all of its text"}
)
DONE = Tool("done", "done", "Say that all is in order. This ends the task.")
LONGEST, MOST, SHOWN = 2000, 64, 1000
Files = tuple[tuple[str, str], ...]


class Part(NamedTuple):
    """One thing to do: in words, a command that does it, one that fails at it, the files it changes before and after
    (None: not there)."""

    text: str
    command: str
    mistake: str
    before: Files
    after: tuple[tuple[str, str | None], ...]


class Tree(NamedTuple):
    """What is to be done, the files by path (an empty folder ends in "/"), whether the agent said it is done."""

    parts: tuple[Part, ...]
    files: Files
    over: bool = False


class ShellFiles(TextWorld[Tree]):
    """See `shell_files`."""

    name, tools = "shell_files", (RUN, READ, WRITE, DONE)

    def __init__(self, parts: int, seconds: float, horizon: int) -> None:
        self.parts, self.seconds, self.horizon = parts, seconds, horizon
        check_shell()

    def start(self, seed: int) -> Tree:
        rng = np.random.default_rng(seed)
        kinds = [list(_KINDS)[i] for i in rng.permutation(len(_KINDS))[: self.parts]]
        parts = tuple(_KINDS[kind](rng) for kind in kinds)
        return Tree(parts, tuple(sorted({path: text for part in parts for path, text in part.before}.items())))

    def instruction(self, state: Tree) -> str:
        return " ".join([*(part.text for part in state.parts), "Then say done."])

    def observe(self, state: Tree) -> str:
        paths = [path for path, _ in state.files]
        more = f" and {len(paths) - 12} more" if len(paths) > 12 else ""
        return f"Files: {' '.join(_line(p)[:60] for p in paths[:12]) or 'none'}{more}"

    def key(self, state: Tree) -> str:
        """Names and a hash of all files, as the contents may be long."""
        told = hashlib.sha256(repr(state.files).encode("utf-8", "backslashreplace")).hexdigest()[:16]
        return f"{len(state.files)} files {told}{' done' if state.over else ''}"

    def done(self, state: Tree) -> bool:
        return state.over

    def actions(self, state: Tree) -> list[str]:
        """Of free text, a command for each thing to do and one that fails at it."""
        commands = [c for part in state.parts for c in (part.command, part.mistake)]
        return [*(RUN.write({"command": c}) for c in commands), DONE.form]

    def act(self, state: Tree, action: Action) -> Sequence[Branch]:
        match action:
            case Action("run", {"command": command}):
                ran = self._run(state, command)
                files = tuple(sorted(ran.files.items()))
                status = f"exit status {ran.status}" if ran.status else ""
                says = "\n".join(filter(None, (_shown(ran.output.rstrip()), status))) or "(no output)"
                return [Branch(1.0, state._replace(files=files), 0.0, says)]
            case Action("read", {"path": path}):
                text = dict(state.files).get(path)
                if text is None or path.endswith("/"):
                    raise Refused(f"there is no file {_line(path)[:60]!r}")
                return [Branch(1.0, state, 0.0, _shown(text.rstrip()) or "(empty)")]
            case Action("write", {"path": path, "content": content}):
                return [Branch(1.0, state._replace(files=_written(state.files, path, content)), 0.0, "Written.")]
            case _:
                return [Branch(1.0, state._replace(over=True), self.right(state))]

    def expert(self, state: Tree) -> str | None:
        """The command of what is not done; file by file where it no longer would help."""
        files, goal = dict(state.files), self.goal(state)
        if _same(files, goal):
            return DONE.form
        for part in state.parts:
            undone = any(not _is(files, path, text) for path, text in part.after)
            if undone and all(_is(files, path, text) for path, text in part.before):
                return RUN.write({"command": part.command})
        for path, text in goal.items():
            if not _is(files, path, text):
                return WRITE.write({"path": path, "content": text.rstrip()})
        extra = next(path for path in files if path not in goal and not path.endswith("/"))
        return RUN.write({"command": f"rm -- {_quoted(extra)}"})

    def goal(self, state: Tree) -> dict[str, str]:
        """The files as they should be, by path."""
        changes = dict(change for part in state.parts for change in part.after)
        before = {path: text for part in state.parts for path, text in part.before}
        return {path: text for path, text in sorted((before | changes).items()) if text is not None}

    def right(self, state: Tree) -> float:
        """1 where every file is as it should be and there is no other; space at its end and empty folders aside."""
        return float(_same(dict(state.files), self.goal(state)))

    def _run(self, state: Tree, command: str) -> Ran:
        if len(command) > LONGEST:
            raise Refused(f"a command has at most {LONGEST} characters")
        try:
            ran = _ran(state.files, command, self.seconds)
        except SandboxError as error:
            raise Refused(error.message) from None
        if len(ran.files) > MOST:
            raise Refused(f"the command left {len(ran.files)} files; at most {MOST}")
        return ran


@lru_cache(maxsize=4096)
def _ran(files: Files, command: str, seconds: float) -> Ran:
    return run_command(dict(files), command, seconds=seconds, room=256 * 2**10, most=4 * MOST, output=4 * SHOWN)


def _written(files: Files, path: str, content: str) -> Files:
    known = dict(files)
    parts = path.split("/")
    if len(path) > 100 or not path.isprintable() or any(p in ("", ".", "..") or len(p) > 60 for p in parts):
        raise Refused(f"{_line(path)[:60]!r} is no path inside the folder")
    folders = ["/".join(parts[:i]) for i in range(1, len(parts))]
    if any(f in known for f in folders) or any(p.startswith(f"{path}/") for p in known):
        raise Refused(f"{_line(path)[:60]!r} is in the way of a file or folder")
    if len(content) > 4 * LONGEST or any("\ud800" <= c <= "\udfff" for c in content):
        raise Refused(f"a file is text of at most {4 * LONGEST} characters")
    for folder in folders:
        known.pop(f"{folder}/", None)
    known[path] = content + "\n"
    if len(known) > MOST:
        raise Refused(f"there may be at most {MOST} files")
    return tuple(sorted(known.items()))


def _same(files: Mapping[str, str], goal: Mapping[str, str]) -> bool:
    real = {path: text.rstrip() for path, text in files.items() if not path.endswith("/")}
    return real == {path: text.rstrip() for path, text in goal.items()}


def _is(files: Mapping[str, str], path: str, text: str | None) -> bool:
    there = files.get(path)
    return there is text is None or (there is not None and text is not None and there.rstrip() == text.rstrip())


def _shown(text: str) -> str:
    clean = "".join(c if c in "\n\t" or c.isprintable() else "�" for c in text[: SHOWN + 1])
    return clean if len(clean) <= SHOWN else f"{clean[:SHOWN]}\n(cut)"


def _line(text: str) -> str:
    return "".join(c if c.isprintable() else "�" for c in text)


def _quoted(path: str) -> str:
    return path if re.fullmatch(r"[\w./-]+", path, re.ASCII) else "'" + path.replace("'", "'\\''") + "'"


def _word(rng: np.random.Generator, words: str) -> str:
    return str(rng.choice(words.split()))


def _lines(rng: np.random.Generator, n: int) -> str:
    return "".join(_word(rng, "apples pears plums figs nuts kiwis") + f" {rng.integers(10)}\n" for _ in range(n))


def _rename(rng: np.random.Generator) -> Part:
    old, new = _word(rng, "notes list draft"), _word(rng, "todo final plan")
    text = _lines(rng, 2)
    return Part(
        f"Rename {old}.txt to {new}.txt.",
        f"mv {old}.txt {new}.txt",
        f"cp {old}.txt {new}.txt",
        ((f"{old}.txt", text),),
        ((f"{old}.txt", None), (f"{new}.txt", text)),
    )


def _count(rng: np.random.Generator) -> Part:
    name, n = _word(rng, "orders visits items"), int(rng.integers(3, 8))
    return Part(
        f"Write the number of lines of {name}.csv into count.txt.",
        f"wc -l < {name}.csv > count.txt",
        f"wc -l {name}.csv > count.txt",
        ((f"{name}.csv", _lines(rng, n)),),
        (("count.txt", f"{n}\n"),),
    )


def _edit(rng: np.random.Generator) -> Part:
    old, new = (int(p) for p in 8000 + rng.permutation(90)[:2])
    key, other = "port", _word(rng, "timeout retries workers")
    return Part(
        f"In app.conf set {key} to {new}.",
        f"sed -i s/{key}={old}/{key}={new}/ app.conf",
        f"echo {key}={new} >> app.conf",
        (("app.conf", f"{other}={old}\n{key}={old}\n"),),
        (("app.conf", f"{other}={old}\n{key}={new}\n"),),
    )


def _move(rng: np.random.Generator) -> Part:
    names = [_word(rng, "mon tue wed"), _word(rng, "thu fri sat")]
    before = tuple((f"{name}.log", _lines(rng, 1)) for name in names)
    after = tuple((f"logs/{path}", text) for path, text in before)
    return Part(
        "Move all .log files into the folder logs.",
        "mkdir -p logs && mv *.log logs/",
        f"mkdir -p logs && mv {names[0]}.log logs/{names[1]}.log",
        before,
        (*((path, None) for path, _ in before), *after),
    )


def _join(rng: np.random.Generator) -> Part:
    first, second = _lines(rng, 1), _lines(rng, 2)
    return Part(
        "Join parts/a.md and parts/b.md, in this order, into all.md.",
        "cat parts/a.md parts/b.md > all.md",
        "cat parts/b.md parts/a.md > all.md",
        (("parts/a.md", first), ("parts/b.md", second)),
        (("all.md", first + second),),
    )


_KINDS = {"rename": _rename, "count": _count, "edit": _edit, "move": _move, "join": _join}


def shell_files(*, parts: int = 2, seconds: float = 2.0, horizon: int = 8) -> ShellFiles:
    """Put files in order with shell commands, then say so: 1 if every file is as it should be and there is no other.

    The state is the tree of files, and its id names that alone: a command has a folder of its own that starts from the
    state and is read back. Names, folders and contents last; links, rights, times and processes do not. Commands run
    in `stepcredit.sandbox.shell`; where this machine has no such sandbox, the world is not made.

    Args:
        parts: things to do, 1 to 5. seconds: of processor time that a command may take, three times that by the clock.
        horizon: most steps.

    Raises:
        StepCreditError: no sandbox here.
    """
    if not 1 <= parts <= len(_KINDS) or not 0 < seconds <= 60 or horizon < 1:
        raise StepCreditError(
            f"shell_files: got {parts=}, {seconds=}, {horizon=}, expected 1 <= parts <= {len(_KINDS)}, seconds in "
            "(0, 60] and horizon 1 or more"
        )
    return ShellFiles(parts, seconds, horizon)
