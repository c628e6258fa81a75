"""Where a text about Game of 24 stands: the puzzle, the lines written so far, the line that is being written."""

import re
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from stepcredit.data.layout import Floats
from stepcredit.envs.game24 import (
    LOST,
    Action,
    Policy,
    _answer,
    actions,
    answer,
    evaluate,
    key,
    numbers,
    parse,
    solvable,
    solves,
)
from stepcredit.errors import StepCreditError
from stepcredit.llm._lines import Lines

Numbers = tuple[Fraction, ...]
TARGET = Fraction(24)
TASK = re.compile(r"Make 24 from ([-0-9./ ]+), each number once\.")

MOST_NUMBERS = 5
_KEPT, _TABLE = 1 << 17, 16  # how much is remembered, in places of texts; a table of lines counts as so many


class Table:
    """The lines that the policy may write with these numbers left, if there are two or more."""

    def __init__(self, policy: Policy, left: Numbers, top: int) -> None:
        found, legal = evaluate(key(left), policy), actions(left)
        texts, moves = [], list[Action | None]()
        for i, (text, after) in enumerate(zip(found.actions, found.next_states, strict=True)):
            if i == len(found.actions) - 1:
                texts.append("Answer: no solution\n")
                moves.append(None)
                continue
            action, then = legal[i % len(legal)], after.removesuffix(LOST)
            result = action.result if i < len(legal) else Fraction(text.rpartition(" = ")[2])
            texts.append(f"{text} (left: {then})\n")
            moves.append(Action(action.a, action.op, action.b, result, numbers(then)))
        order = sorted((i for i in range(len(texts)) if found.probability[i] > 0), key=texts.__getitem__)
        self.lines = Lines([texts[i] for i in order], found.probability[order], top)
        self.q: Floats = found.q[order]
        self.value = found.value
        self.moves = [moves[i] for i in order]
        self.slip = [i >= len(legal) for i in order]


class Path:
    """The end of a line. answer: 1 or 0 after an answer. last: the latest operation; None after one of others."""

    def __init__(
        self,
        start: Numbers,
        left: Numbers,
        taken: tuple[Action, ...] = (),
        *,
        lost: bool = False,
        last: str | None = None,
        answer: float | None = None,
    ) -> None:
        self.start, self.left, self.taken, self.lost, self.last, self.answer = start, left, taken, lost, last, answer
        self.table: Table | None = None
        self.lines: Lines | None = None
        self.beginnings: dict[str, Lines] = {}
        self.children: dict[str, Path] = {}

    def ended(self, answer: float) -> "Path":
        """After an answer line."""
        return Path(self.start, self.left, self.taken, lost=self.lost, answer=answer)

    def alive(self) -> bool:
        """Whether 24 can still be reached, or was."""
        return self.answer == 1 if self.answer is not None else not self.lost and solvable(self.left)


class Paths:
    """All that is known about texts so far, remembered."""

    def __init__(self, policy: Policy, top: int) -> None:
        self.policy, self._top = policy, top
        self._tables: dict[Numbers, Table] = {}
        self._texts: dict[str, tuple[Path, str] | None] = {}
        self._starts: dict[Numbers, Path] = {}
        self._size = 0

    def place(self, text: str) -> tuple[Path, str] | None:
        """(the end of the last whole line, the beginning of a line behind it); None: no Game of 24 in the text."""
        if text in (known := self._texts):
            return known[text]
        self._grown()
        found = self._texts[text] = self._read(text)
        return found

    def _read(self, text: str) -> tuple[Path, str] | None:
        tasks = list(TASK.finditer(text))
        if not tasks:
            return None
        task = tasks[-1]
        try:
            start = numbers(task[1])
        except StepCreditError:
            return None
        if len(start) > MOST_NUMBERS:
            return None
        path = self._starts.setdefault(start, Path(start, start))
        *whole, beginning = text[task.end() :].split("\n")
        if whole:
            whole[0] = whole[0].strip()
        else:
            beginning = beginning.lstrip()
            if self._ahead(path, beginning) is None and not _says(beginning, path.left):
                beginning = ""  # more words on what to do
        for line in whole:
            path = self.after(path, line + "\n")
        return path, beginning

    def next(self, path: Path, beginning: str) -> Lines:
        """What may follow. A line that the policy does not begin so is ended at once."""
        if not beginning:
            return self._all(path)
        found = path.beginnings.get(beginning)
        if found is None:
            self._grown()
            found = self._ahead(path, beginning) or Lines(["\n"], np.ones(1), self._top)
            path.beginnings[beginning] = found
        return found

    def _ahead(self, path: Path, beginning: str) -> Lines | None:
        return None if path.answer is not None else self._all(path).after(beginning)

    def _all(self, path: Path) -> Lines:
        if path.lines is None:
            if path.answer is not None:
                path.lines = Lines([""], np.ones(1), self._top)
            elif len(path.left) > 1:
                path.lines = self._table(path).lines
            else:
                path.lines = Lines([self._conclusion(path)], np.ones(1), self._top)
        return path.lines

    def _conclusion(self, path: Path) -> str:
        if not path.lost:
            return _answer(path.start, path.taken, path.left, False) + "\n"
        claim = path.last if path.left == (TARGET,) else None
        return f"Answer: {claim or 'no solution'}\n"

    def _table(self, path: Path) -> Table:
        if path.table is None:
            found = self._tables.get(path.left)
            if found is None:
                self._grown(_TABLE)
                found = self._tables[path.left] = Table(self.policy, path.left, self._top)
            path.table = found
        return path.table

    def after(self, path: Path, line: str) -> Path:
        """Where one is after a whole line, which ends in a line end."""
        found = path.children.get(line)
        if found is None:
            self._grown()
            found = path.children[line] = self._step(path, line)
        return found

    def _step(self, path: Path, line: str) -> Path:
        if path.answer is not None:
            return path
        i = self._all(path).places.get(line) if len(path.left) > 1 else None
        move = None if i is None else self._table(path).moves[i]
        if i is not None and move is not None:
            return _moved(path, [move], lost=path.lost or self._table(path).slip[i])
        said = answer(line)
        if said is not None:
            return path.ended(float(solves(path.start, said)))
        step = parse(line, path.left)
        if step is None:
            return path
        if step.after is not None:
            moves = _ways(path.left, step.after, len(step.op))
            return _moved(path, moves, lost=path.lost) if moves else Path(path.start, step.after, lost=True)
        pool = list(path.left)
        for number in step.numbers:
            if number in pool:
                pool.remove(number)
        believed = len(path.left) - 1 or 1
        left = step.left if step.left and len(step.left) == believed else (*pool[: believed - 1], step.result)
        return Path(path.start, tuple(sorted(left)), lost=True)

    def next_line(self, path: Path, beginning: str) -> Path:
        """Where one is if the line that was begun is all there is to it."""
        return self.after(path, beginning + "\n") if beginning else path

    def value(self, path: Path, beginning: str = "") -> float:
        """The chance that what follows ends in a right answer."""
        if path.answer is not None:
            return path.answer
        if beginning and self._ahead(path, beginning) is None:
            return self.value(self.after(path, beginning + "\n"))
        if path.lost:
            return 0.0
        if len(path.left) == 1:
            return float(path.left == (TARGET,))
        table = self._table(path)
        if not beginning:
            return table.value
        low, high = table.lines.span(beginning)
        p = table.lines.p[low:high]
        return float(p @ table.q[low:high] / p.sum())

    def _grown(self, by: int = 1) -> None:
        """One more is remembered; all is forgotten where it would become too much."""
        self._size += by
        if self._size > _KEPT:
            self._texts, self._starts, self._tables, self._size = {}, {}, {}, by


def _moved(path: Path, moves: Sequence[Action], *, lost: bool) -> Path:
    return Path(path.start, moves[-1].after, (*path.taken, *moves), lost=lost, last=moves[-1].key)


def _says(line: str, left: Numbers) -> bool:
    """Whether a line is an operation or an answer."""
    return answer(line) is not None or parse(line, left) is not None


def _ways(before: Numbers, after: Numbers, n: int) -> list[Action] | None:
    """n operations that lead from some numbers to others; a line may hold several at once."""
    for action in actions(before):
        if n == 1 and action.after == after:
            return [action]
        more = _ways(action.after, after, n - 1) if n > 1 else None
        if more is not None:
            return [action, *more]
    return None


def complete(line: str) -> bool:
    """Whether a line is an operation or an answer as it stands."""
    return answer(line) is not None or parse(line) is not None
