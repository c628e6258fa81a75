"""Rollouts of a run with the credit that they were trained on, kept in a file that every command reads."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from stepcredit.data.records import Rollout, Tokens, check, rollout_to_dict
from stepcredit.errors import DataError
from stepcredit.integrations._padded import Padded
from stepcredit.train.rollouts import Played

FILE = "rollouts.jsonl"


class Kept:
    """Writes the rollouts of every so many steps, a batch at a time.

    Args:
        file: only grows. every: steps; 0: none. iterations: updates per batch of rollouts.
        tries: rollouts of a task.
        after: what policies from this version on have written is dropped: a run goes on from this step.

    Raises:
        DataError: a line of the file is damaged, but for the last.
    """

    def __init__(self, file: Path, every: int, *, iterations: int = 1, tries: int, after: int = 0) -> None:
        self.file, self.every, self.iterations, self.tries = file, every, iterations, tries
        if file.exists():
            cut(file, max(after, 0))

    def wants(self, step: int) -> bool:
        """Whether the rollouts of the policy after so many updates are kept: a multiple of `every` is among the updates
        that are made of them."""
        return bool(self.every) and -(-step // self.every) * self.every < step + self.iterations

    def add(self, step: int, rollouts: Sequence[Played], padded: Padded) -> None:
        """Keep a batch, where it is wanted: all of its lines or, where that fails, none."""
        if not self.wants(step):
            return
        lines = []
        for rollout in records(step, rollouts, padded, self.tries):
            check(rollout, file=self.file)
            lines.append(msgspec.json.encode(rollout_to_dict(rollout)) + b"\n")
        _append(self.file, b"".join(lines))


def records(step: int, rollouts: Sequence[Played], padded: Padded, tries: int) -> list[Rollout]:
    """A batch of training as records: `group` is STEP/TASK, TASK its place in the batch, since a task that is drawn
    twice was credited as two; `extra` holds its number ("seed") and the luck of the rollout.

    Steps have the credit of the method, and as evidence `advantage`: the mean over their tokens of what the loss took;
    None where it took none.
    """
    out = []
    for row, (one, credit) in enumerate(zip(rollouts, padded.credit.by_rollout(), strict=True)):
        rollout = one.record(row)
        rollout.group, rollout.rollout = f"{step}/{row // tries}", f"{step}/{row}"
        rollout.policy_version = rollout.batch = step
        rollout.evidence = {"truncated": one.cut} | ({"pivot": one.pivot} if one.pivot >= 0 else {})
        rollout.extra |= {"seed": one.task, "luck": one.luck}
        for step_, turn, value in zip(rollout.steps, one.turns, credit, strict=True):
            step_.credit = {padded.credit.method: value}
            step_.evidence = {"advantage": _advantage(padded, row, turn.before, len(turn.ids))}
            step_.tokens = Tokens(n=len(turn.ids))
        out.append(rollout)
    return out


def _advantage(padded: Padded, row: int, first: int, size: int) -> float | None:
    at = (row, slice(first, first + size))
    counts = padded.mask[at]
    values = padded.advantages[at] * (1.0 if padded.loss_weight is None else padded.loss_weight[at])
    return float(np.mean(values[counts])) if counts.any() else None


def _append(file: Path, lines: bytes) -> None:
    """Add lines; a disk that is full leaves the file as it was."""
    with file.open("ab", buffering=0) as stream:
        before, left = stream.seek(0, 2), memoryview(lines)
        try:
            while left:
                left = left[stream.write(left) or 0 :]
        except OSError:
            stream.truncate(before)
            raise


class _Line(msgspec.Struct):
    policy_version: int


def cut(file: Path, version: int) -> None:
    """Drop what policies from this version on have written, and a last line that a kill cut short.

    Raises:
        DataError: a line before it is damaged.
    """
    end = 0
    with file.open("r+b") as stream:
        for number, line in enumerate(stream, 1):
            if not line.endswith(b"\n"):
                break
            if _version(file, number, line) >= version:
                break
            end += len(line)
        stream.truncate(end)


def _version(file: Path, number: int, line: Any) -> int:
    try:
        return msgspec.json.decode(line, type=_Line).policy_version
    except msgspec.DecodeError:
        raise DataError(
            "is no rollout of a run", file=file, row=number, hint="move the file away, and the run goes on without it"
        ) from None
