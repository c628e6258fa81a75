"""Small exact oracles: which actions are right in a state. Search, constraint, posterior; each makes a verdict.

A verdict is a function of keys (a state, an action, ...) that says 1 (right), 0 (wrong or not allowed) or None (cannot
tell). `stepcredit.evidence.oracle` asks it about every step.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import product
from math import comb
from typing import Any, Protocol

from stepcredit.errors import StepCreditError

Verdict = Callable[..., float | None]
Cell = tuple[int, int]
_OPEN = frozenset("012345678")


class Game(Protocol):
    """A finite game of two players who move in turn, with everything in sight."""

    def moves(self, state: Any) -> Iterable[Any]:
        """Legal moves of who is to move; none where the game is over."""
        ...

    def play(self, state: Any, move: Any) -> Any:
        """The state after a move."""
        ...

    def result(self, state: Any) -> int | None:
        """1, 0 or -1 for who is to move where the game is over; else None."""
        ...


def best_moves(game: Game, state: Hashable) -> frozenset[Any]:
    """Moves that keep the value of exact search (minimax); equal ones are all in. For small games: no pruning."""

    @lru_cache(None)
    def value(at: Hashable) -> int:
        over = game.result(at)
        return over if over is not None else max(-value(game.play(at, m)) for m in game.moves(at))

    if game.result(state) is not None:
        return frozenset()
    worth = {m: -value(game.play(state, m)) for m in game.moves(state)}
    return frozenset(m for m, v in worth.items() if v == max(worth.values()))


class TicTacToe:
    """Boards are nine characters, row by row: "X", "O", or anything else for an empty cell. X begins."""

    LINES = ((0, 1, 2), (3, 4, 5), (6, 7, 8), (0, 3, 6), (1, 4, 7), (2, 5, 8), (0, 4, 8), (2, 4, 6))

    def moves(self, state: str) -> list[int]:
        """Cells 0..8 that are empty."""
        return [i for i, mark in enumerate(state) if mark not in "XO"]

    def play(self, state: str, move: int) -> str:
        """The board with the mark of who is to move."""
        mark = "X" if state.count("X") == state.count("O") else "O"
        return state[:move] + mark + state[move + 1 :]

    def result(self, state: str) -> int | None:
        """-1 where the other has a line (only who moved last can have a new one), 0 where the board is full."""
        if any(state[a] == state[b] == state[c] and state[a] in "XO" for a, b, c in self.LINES):
            return -1
        return None if self.moves(state) else 0


def tic_tac_toe(*, one_based: bool = True, graded: bool = False) -> Verdict:
    """Verdict on (board, cell): is the move one of the best? Cells count from 1 (or 0), row by row.

    graded: as the released environment has it, -1 for a move that is not allowed.

    >>> tic_tac_toe()("XX.OO....", 3), tic_tac_toe()("XX.OO....", 6), tic_tac_toe(graded=True)("XX.OO....", 1)
    (1.0, 0.0, -1.0)
    """
    game = TicTacToe()
    best = lru_cache(None)(lambda board: best_moves(game, board))

    def verdict(board: Any, cell: Any) -> float | None:
        if not isinstance(board, str) or len(board) != 9:
            return None
        board = board.upper()
        numbers = _integers(cell, 1)
        move = numbers[0] - one_based if numbers else -1
        if move not in game.moves(board):
            return -1.0 if graded else 0.0
        return float(move in best(board))

    return verdict


def lookup(solution: Mapping[Any, Any]) -> Verdict:
    """Verdict on (cell, value): is it the solution's?"""
    return lambda cell, value: float(cell in solution and solution[cell] == value)


def sudoku_solutions(grid: str, most: int = 2) -> list[str]:
    """Solutions of a grid of 81 characters (1..9, anything else is empty), at most so many; the cell with the fewest
    digits left is tried first."""
    if len(grid) != 81:
        raise StepCreditError(f"a sudoku has 81 cells; got {len(grid)}")
    cells = [int(c) if c in "123456789" else 0 for c in grid]
    used = {("row", r): 0 for r in range(9)} | {("column", c): 0 for c in range(9)} | {("box", b): 0 for b in range(9)}
    for at, digit in enumerate(cells):
        if digit and any(used[u] >> digit & 1 for u in _units(at)):
            return []
        for u in _units(at):
            used[u] |= 1 << digit if digit else 0
    found: list[str] = []
    _fill(cells, used, found, most)
    return found


def sudoku(*, one_based: bool = True, graded: bool = False) -> Verdict:
    """Verdict on (puzzle, board, "row column digit"): is it the digit of the puzzle's only solution, in a cell that is
    empty on the board? A puzzle with no solution or several cannot tell.

    The solution is the puzzle's, not the board's: after a wrong digit the board has none.

    graded: as the released environment has it: 2 for the right digit in a cell where only one can stand, else 1 in a
    cell with the fewest that can, 0.5 elsewhere, -1 for a wrong digit, -2 for what is not allowed.
    """
    solve = lru_cache(None)(lambda puzzle: sudoku_solutions(puzzle))

    def verdict(puzzle: Any, board: Any, move: Any) -> float | None:
        if not isinstance(puzzle, str) or len(puzzle) != 81 or not isinstance(board, str) or len(board) != 81:
            return None
        solutions = solve(puzzle)
        if len(solutions) != 1:
            return None
        row, column, digit = _integers(move, 3) or (-1, -1, -1)
        row, column = row - one_based, column - one_based
        at = 9 * row + column
        if not (0 <= row < 9 and 0 <= column < 9 and 1 <= digit <= 9) or board[at] in "123456789":
            return -2.0 if graded else 0.0
        right = solutions[0][at] == str(digit)
        if not graded:
            return float(right)
        left = {cell: len(digits) for cell, digits in _free(board).items()}
        fewest = left[at] == min(left.values())
        return -1.0 if not right else 0.5 if not fewest else 2.0 if left[at] == 1 else 1.0

    return verdict


def mine_risk(board: Sequence[str], mines: int) -> dict[Cell, Fraction]:
    """Chance of a mine in every hidden cell, exactly, all placements that fit the numbers being as likely.

    Args:
        board: rows of characters: a digit is an open cell, anything else a hidden one (flags are no knowledge).
        mines: how many there are on the board.

    Cells next to a number are enumerated, the others counted. Empty: no placement fits.
    """
    hidden = {(r, c) for r, row in enumerate(board) for c, mark in enumerate(row) if mark not in _OPEN}
    clues = [
        (int(mark), [n for n in _around(r, c) if n in hidden])
        for r, row in enumerate(board)
        for c, mark in enumerate(row)
        if mark in _OPEN
    ]
    border = sorted({cell for _, cells in clues for cell in cells})
    rest = len(hidden) - len(border)
    total, at_border, elsewhere = 0, dict.fromkeys(border, 0), 0
    for placed in _placements(border, clues):
        left = mines - len(placed)
        ways = comb(rest, left) if left >= 0 else 0
        total += ways
        elsewhere += ways * left
        for cell in placed:
            at_border[cell] += ways
    if total == 0:
        return {}
    risk = {cell: Fraction(n, total) for cell, n in at_border.items()}
    return risk | {cell: Fraction(elsewhere, total * rest) for cell in hidden if cell not in risk}


def minesweeper(mines: int, *, one_based: bool = True, graded: bool = False) -> Verdict:
    """Verdict on (board, "reveal row column" or "flag row column"): opening a cell of the least risk is right, and
    flagging one that is a mine for certain; ties are all right. Cells that are open or flagged are not to be chosen,
    nor is a certain mine to be opened where nothing else is left.

    board: rows of characters with line breaks between; a digit is open, "F" flagged, anything else hidden.
    graded: as the released environment has it: 2 for a safe cell, 1 for the least risk and for a certain flag, -1 for
    another flag, -2 for what is not allowed.
    """
    risks = lru_cache(4096)(lambda board: mine_risk(board.split("\n"), mines))

    def verdict(board: Any, action: Any) -> float | None:
        risk = risks(board) if isinstance(board, str) else {}
        if not risk:
            return None
        rows = board.split("\n")
        free = {cell: p for cell, p in risk.items() if rows[cell[0]][cell[1]] not in "Ff"}
        word, _, where = str(action).strip().lower().partition(" ")
        numbers = _integers(where, 2)
        cell = (numbers[0] - one_based, numbers[1] - one_based) if numbers else None
        if word == "flag" and cell in risk:
            certain = free.get(cell) == 1
            return float(certain) if certain or not graded else -1.0
        if word != "reveal" or cell not in free:
            return -2.0 if graded else 0.0
        least = free[cell] == min(free.values()) and free[cell] < 1
        return 2.0 if graded and free[cell] == 0 else float(least)

    return verdict


def _fill(cells: list[int], used: dict[tuple[str, int], int], found: list[str], most: int) -> None:
    empty = [at for at, digit in enumerate(cells) if not digit]
    if not empty:
        found.append("".join(map(str, cells)))
        return
    free = {at: [d for d in range(1, 10) if not any(used[u] >> d & 1 for u in _units(at))] for at in empty}
    at = min(empty, key=lambda cell: len(free[cell]))
    for digit in free[at]:
        cells[at] = digit
        for u in _units(at):
            used[u] |= 1 << digit
        _fill(cells, used, found, most)
        for u in _units(at):
            used[u] &= ~(1 << digit)
        cells[at] = 0
        if len(found) >= most:
            return


def _free(board: str) -> dict[int, set[str]]:
    """Digits that stand in no row, column or box of each empty cell."""
    full = [(at, mark) for at, mark in enumerate(board) if mark in "123456789"]
    taken: dict[tuple[str, int], set[str]] = {}
    for at, mark in full:
        for u in _units(at):
            taken.setdefault(u, set()).add(mark)
    empty = set(range(81)) - {at for at, _ in full}
    return {at: set("123456789").difference(*(taken.get(u, ()) for u in _units(at))) for at in empty}


def _units(at: int) -> tuple[tuple[str, int], ...]:
    row, column = divmod(at, 9)
    return ("row", row), ("column", column), ("box", row // 3 * 3 + column // 3)


def _around(r: int, c: int) -> list[Cell]:
    return [(r + dr, c + dc) for dr, dc in product((-1, 0, 1), repeat=2) if (dr, dc) != (0, 0)]


def _placements(border: Sequence[Cell], clues: Sequence[tuple[int, list[Cell]]]) -> Iterator[list[Cell]]:
    """Sets of border cells with a mine that fit all numbers."""
    of: dict[Cell, list[int]] = {cell: [] for cell in border}
    for i, (_, cells) in enumerate(clues):
        for cell in cells:
            of[cell].append(i)
    need = [n for n, _ in clues]
    room = [len(cells) for _, cells in clues]

    def place(at: int, placed: list[Cell]) -> Iterator[list[Cell]]:
        if at == len(border):
            yield placed
            return
        mine = of[border[at]]
        for i in mine:
            room[i] -= 1
        for here in (0, 1):
            for i in mine:
                need[i] -= here
            if all(0 <= need[i] <= room[i] for i in mine):
                yield from place(at + 1, [*placed, border[at]] if here else placed)
            for i in mine:
                need[i] += here
        for i in mine:
            room[i] += 1

    if all(0 <= n <= r for n, r in zip(need, room, strict=True)):
        yield from place(0, [])


def _integers(text: Any, n: int) -> tuple[int, ...] | None:
    """The n whole numbers that a text (or a number) is; None if it is something else."""
    parts = str(text).replace(",", " ").split()
    return tuple(map(int, parts)) if len(parts) == n and all(p.isascii() and p.isdigit() for p in parts) else None
