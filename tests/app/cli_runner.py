"""The `stepcredit` command in this process, and in one of its own."""

import io
import json
import subprocess
import sys
from typing import NamedTuple

from stepcredit.app.cli import main


class Ran(NamedTuple):
    status: int
    out: str
    err: str

    def json(self):
        def refuse(name):
            raise ValueError(f"{name} is not JSON")

        return json.loads(self.out, parse_constant=refuse)


def runner(monkeypatch, capsys):
    """A function that runs the command on its arguments, with `stdin` as bytes."""

    def run(*argv, stdin=b""):
        monkeypatch.setattr(sys, "argv", ["stepcredit", *map(str, argv)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capsys.readouterr()
        status = 0
        try:
            main()
        except SystemExit as error:
            status = error.code or 0
        return Ran(status, *capsys.readouterr())

    return run


def started(*argv, **options):
    """The command in a process of its own, not waited for."""
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-m", "stepcredit", *map(str, argv)], **{**pipes, **options})


def rollout(group="p", rollout=0, outcome=1, steps=2, **fields):
    """A record as a file holds it; steps may be a number or a list."""
    if isinstance(steps, int):
        steps = [{"state": f"s{t}", "action": f"a{rollout}", "observation": f"o{t} seen"} for t in range(steps)]
    return {"group": group, "rollout": rollout, "outcome": outcome, "steps": steps, **fields}


def save(path, *rows):
    """Rows as JSON Lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def two_tasks(path):
    """Four rollouts of each of two tasks, 20 steps, half of them solved."""
    return save(path, *(rollout(g, r, r % 2, 2 + (g == "q")) for g in ("p", "q") for r in range(4)))
