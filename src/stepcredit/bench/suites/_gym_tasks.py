"""Tasks of reasoning-gym for search, and a player of known skill: countdown, shortest paths, mini sudoku.

The player stands in for a model that no machine here can hold. It writes a line a step: an operation, a direction, a
cell. With chance `skill` it takes a line after which the task can still be solved, else any line that is allowed; at
the end it writes the answer, which reasoning-gym itself scores. So the exact value of a partial solution is known up to
the number of lines left:  v = (skill + (1 - skill) * share of good lines)^left,  0 where nothing can be saved.
"""

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from hashlib import blake2b
from math import exp, inf, log
from statistics import NormalDist
from typing import Any, Protocol

import numpy as np

from stepcredit.data.layout import Floats
from stepcredit.envs._game24_rules import operation
from stepcredit.llm.requests import Continue, Request
from stepcredit.plugins import extra
from stepcredit.protocols import Sample
from stepcredit.search import Task, Writing

FAMILIES = ("countdown", "shortest_path", "mini_sudoku")
_HEAD = re.compile(r"\[(\w+) (\d+) of seed (\d+)\]\n")


def _answer(text: str) -> str | None:
    lines = text.rstrip().split("\n")
    return lines[-1].removeprefix("Answer: ") if lines[-1].startswith("Answer: ") else None


WRITING = Writing(max_tokens=32, longest=256, depth=16, temperature=1.0, ends="^Answer:", answer=_answer)


class Game(Protocol):
    """One task: what may be written after the lines so far, which of it keeps the task solvable, the answer."""

    def lines(self, done: tuple[str, ...]) -> tuple[list[str], list[bool]]:
        """Lines allowed, and whether the task can be solved after each; none once there is nothing left to do."""
        ...

    def left(self, done: tuple[str, ...]) -> int:
        """About how many lines are still to be written."""
        ...

    def answer(self, done: tuple[str, ...]) -> str:
        """What the lines come to, as reasoning-gym reads it."""
        ...


@dataclass(frozen=True)
class Countdown:
    """Reach a target by + - * / with all of some numbers."""

    numbers: tuple[int, ...]
    target: int

    def lines(self, done: tuple[str, ...]) -> tuple[list[str], list[bool]]:
        left = self._left(done)
        found: dict[str, bool] = {}
        for key, after in _operations(left):
            found.setdefault(key, _reachable(after, Fraction(self.target)))
        return list(found), list(found.values())

    def left(self, done: tuple[str, ...]) -> int:
        return len(self.numbers) - 1 - len(done)

    def answer(self, done: tuple[str, ...]) -> str:
        pool = [(Fraction(n), str(n)) for n in self.numbers]
        for line in done:
            a, op, b, c = _parsed(line)
            parts = [pool.pop(next(i for i, (x, _) in enumerate(pool) if x == value)) for value in (a, b)]
            pool.append((c, f"({parts[0][1]} {op} {parts[1][1]})"))
        return pool[-1][1]

    def _left(self, done: tuple[str, ...]) -> tuple[Fraction, ...]:
        pool = [Fraction(n) for n in self.numbers]
        for line in done:
            a, _, b, c = _parsed(line)
            pool.remove(a)
            pool.remove(b)
            pool.append(c)
        return tuple(sorted(pool))


@dataclass(frozen=True)
class Walk:
    """Walk from * to # in a grid, by a shortest way."""

    grid: tuple[tuple[str, ...], ...]

    def lines(self, done: tuple[str, ...]) -> tuple[list[str], list[bool]]:
        r, c = self._place(done)
        far = _distances(self.grid)
        if far[r, c] == 0 or len(done) >= 2 * self._shortest:
            return [], []
        moves = {m: (r + dr, c + dc) for m, (dr, dc) in _MOVES.items() if (r + dr, c + dc) in far}
        return list(moves), [len(done) + 1 + far[at] == self._shortest for at in moves.values()]

    def left(self, done: tuple[str, ...]) -> int:
        return max(self._shortest - len(done), 0)

    def answer(self, done: tuple[str, ...]) -> str:
        return " ".join(done)

    @property
    def _shortest(self) -> int:
        return int(_distances(self.grid)[self._place(())])

    def _place(self, done: tuple[str, ...]) -> tuple[int, int]:
        r, c = next((i, row.index("*")) for i, row in enumerate(self.grid) if "*" in row)
        for move in done:
            r, c = r + _MOVES[move][0], c + _MOVES[move][1]
        return r, c


@dataclass(frozen=True)
class Sudoku:
    """Fill the cells of a 4 x 4 grid, one a line."""

    puzzle: tuple[tuple[int, ...], ...]

    def lines(self, done: tuple[str, ...]) -> tuple[list[str], list[bool]]:
        grid = self._grid(done)
        empty = next(((r, c) for r in range(4) for c in range(4) if not grid[r][c]), None)
        if empty is None:
            return [], []
        options = [v for v in range(1, 5) if _fits(grid, *empty, v)]
        after = [_put(grid, *empty, v) for v in options]
        return [f"row {empty[0] + 1} column {empty[1] + 1}: {v}" for v in options], [_fillable(g) for g in after]

    def left(self, done: tuple[str, ...]) -> int:
        return sum(v == 0 for row in self.puzzle for v in row) - len(done)

    def answer(self, done: tuple[str, ...]) -> str:
        return "\n".join(" ".join(map(str, row)) for row in self._grid(done)).replace("\n", " / ")

    def _grid(self, done: tuple[str, ...]) -> tuple[tuple[int, ...], ...]:
        grid = self.puzzle
        for line in done:
            r, c, v = map(int, re.findall(r"\d+", line))
            grid = _put(grid, r - 1, c - 1, v)
        return grid


@dataclass
class Player:
    """A stand-in for a model, of known skill; a sampler, a scorer with noise, a verifier."""

    skill: float
    seed: int = 0

    async def each(self, request: Request) -> Any:
        """Continuations of a prompt; a draw has one answer for ever."""
        assert isinstance(request, Continue)
        text = request.whole
        key = blake2b(f"{self.seed}|{request.draw}|{text}".encode(), digest_size=8).digest()
        rng = np.random.default_rng(int.from_bytes(key, "little"))
        return [self._write(text, rng, one_line=bool(request.stop)) for _ in range(request.n)]

    def _write(self, text: str, rng: np.random.Generator, *, one_line: bool) -> Sample:
        game, done = _read(text)
        lines: list[str] = []
        while True:
            options, good = game.lines(done)
            if not options:
                lines.append(f"Answer: {game.answer(done)}")
                break
            best = [o for o, g in zip(options, good, strict=True) if g]
            pool = best if best and rng.random() < self.skill else options
            lines.append(pool[rng.integers(len(pool))])
            done = (*done, lines[-1])
            if one_line:
                break
        out = "\n".join(lines)
        tokens = sum(len(line.split()) + 1 for line in lines)
        ended = lines[-1].startswith("Answer: ")
        return Sample(out, ended=ended, read=len(text.split()), written=tokens)

    def value(self, text: str) -> float:
        """About the chance that a partial solution is completed rightly."""
        game, done = _read(text)
        if done and done[-1].startswith("Answer: "):
            return float(right(text, done[-1].removeprefix("Answer: ")))
        if not _alive(game, done):
            return 0.0
        return float((self.skill + (1 - self.skill) * 0.4) ** game.left(done))

    def scorer(self, noise: float) -> Any:
        """score = sigmoid(logit(value within [.001, .999]) + noise * N), N fixed per partial solution."""

        def score(prefixes: Sequence[str], steps: Sequence[str]) -> Floats:
            return np.array([self._score(p + s, noise) for p, s in zip(prefixes, steps, strict=True)])

        return score

    def _score(self, text: str, noise: float) -> float:
        v = min(max(self.value(text), 1e-3), 1 - 1e-3)
        level = log(v / (1 - v))
        if noise:
            word = int.from_bytes(blake2b(f"{self.seed}|{text}".encode(), digest_size=8).digest(), "little")
            normal = NormalDist().inv_cdf(((word >> 11) + 0.5) / 2**53)
            level = normal if noise == inf else level + noise * normal
        return 1 / (1 + exp(-level))


def tasks(family: str, count: int, seed: int) -> list[Task]:
    """Tasks of a family; infeasible ones are left out."""
    found: list[Task] = []
    i = 0
    while len(found) < count:
        game = _game(family, i, seed)
        if not isinstance(game, Walk) or (any("*" in r for r in game.grid) and _feasible(game)):
            head = f"[{family} {i} of seed {seed}]\n"
            found.append(Task(head, f"{family}/{i}", str(i)))
        i += 1
    return found


def right(prompt: str, answer: str | None) -> bool:
    """Whether reasoning-gym gives an answer its full score."""
    if answer is None:
        return False
    family, i, seed = _named(prompt)
    data = _dataset(family, seed)
    entry = data[i]
    return float(data.score_answer(answer.replace(" / ", "\n"), entry=entry)) >= 1.0


_MOVES = {"up": (-1, 0), "down": (1, 0), "left": (0, -1), "right": (0, 1)}


def _named(text: str) -> tuple[str, int, int]:
    found = _HEAD.search(text)
    assert found is not None
    return found[1], int(found[2]), int(found[3])


def _read(text: str) -> tuple[Game, tuple[str, ...]]:
    family, i, seed = _named(text)
    written = text[text.index("]\n") + 2 :]
    return _game(family, i, seed), tuple(line for line in written.split("\n") if line)


@lru_cache(maxsize=8)
def _dataset(family: str, seed: int) -> Any:
    gym = extra("reasoning_gym", "tasks of reasoning-gym", name="envs")
    more = {"min_numbers": 4, "max_numbers": 4} if family == "countdown" else {}
    return gym.create_dataset(family, size=5000, seed=seed, **more)


@lru_cache(maxsize=4096)
def _game(family: str, i: int, seed: int) -> Game:
    about = _dataset(family, seed)[i]["metadata"]
    if family == "countdown":
        return Countdown(tuple(about["numbers"]), int(about["target"]))
    if family == "shortest_path":
        return Walk(tuple(tuple(row) for row in about["matrix"]))
    return Sudoku(tuple(tuple(row) for row in about["puzzle"]))


def _feasible(game: Walk) -> bool:
    return game._place(()) in _distances(game.grid)


def _alive(game: Game, done: tuple[str, ...]) -> bool:
    for i, line in enumerate(done):
        options, good = game.lines(done[:i])
        if line not in options or not good[options.index(line)]:
            return False
    return True


def _parsed(line: str) -> tuple[Fraction, str, Fraction, Fraction]:
    a, op, b, _, c = line.split()
    return Fraction(a), op, Fraction(b), Fraction(c)


@lru_cache(maxsize=1 << 16)
def _operations(left: tuple[Fraction, ...]) -> tuple[tuple[str, tuple[Fraction, ...]], ...]:
    out = []
    for i, a in enumerate(left):
        for j, b in enumerate(left):
            rest = tuple(x for k, x in enumerate(left) if k not in (i, j))
            results = {"-": a - b} | ({"/": a / b} if b else {}) | ({"+": a + b, "*": a * b} if i < j else {})
            if i != j:
                out += [(operation(a, op, b, c), tuple(sorted((*rest, c)))) for op, c in results.items()]
    return tuple(out)


@lru_cache(maxsize=1 << 18)
def _reachable(left: tuple[Fraction, ...], target: Fraction) -> bool:
    if len(left) == 1:
        return left[0] == target
    return any(_reachable(after, target) for _, after in _operations(left))


@lru_cache(maxsize=4096)
def _distances(grid: tuple[tuple[str, ...], ...]) -> dict[tuple[int, int], int]:
    """Steps from each open cell to #; cells without a way are not there."""
    goal = next((i, row.index("#")) for i, row in enumerate(grid) if "#" in row)
    far, queue = {goal: 0}, deque([goal])
    while queue:
        r, c = queue.popleft()
        for dr, dc in _MOVES.values():
            at = r + dr, c + dc
            inside = 0 <= at[0] < len(grid) and 0 <= at[1] < len(grid[0])
            if inside and at not in far and grid[at[0]][at[1]] != "X":
                far[at] = far[r, c] + 1
                queue.append(at)
    return far


Grid = tuple[tuple[int, ...], ...]


def _fits(grid: Grid, r: int, c: int, v: int) -> bool:
    box = [grid[i][j] for i in range(r // 2 * 2, r // 2 * 2 + 2) for j in range(c // 2 * 2, c // 2 * 2 + 2)]
    return v not in grid[r] and all(row[c] != v for row in grid) and v not in box


def _put(grid: Grid, r: int, c: int, v: int) -> Grid:
    return tuple(tuple(v if (i, j) == (r, c) else x for j, x in enumerate(row)) for i, row in enumerate(grid))


@lru_cache(maxsize=1 << 16)
def _fillable(grid: Grid) -> bool:
    for r in range(4):
        for c in range(4):
            if not grid[r][c]:
                return any(_fits(grid, r, c, v) and _fillable(_put(grid, r, c, v)) for v in range(1, 5))
    return True
