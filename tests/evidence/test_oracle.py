"""Oracles against brute force, and the adapter that asks them."""

from collections import Counter
from fractions import Fraction
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepcredit.data import from_arrays
from stepcredit.data.batch import Batch
from stepcredit.data.records import Rollout, Step
from stepcredit.errors import DataError, MissingColumn, StepCreditError
from stepcredit.evidence._oracles import TicTacToe, sudoku_solutions
from stepcredit.evidence.oracle import best_moves, cost, lookup, mine_risk, minesweeper, oracle, sudoku, tic_tac_toe

PUZZLE = "53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79"
SOLVED = "534678912672195348198342567859761423426853791713924856961537284287419635345286179"
LINES = [(0, 1, 2), (3, 4, 5), (6, 7, 8), (0, 3, 6), (1, 4, 7), (2, 5, 8), (0, 4, 8), (2, 4, 6)]


def winner(board):
    return next((board[a] for a, b, c in LINES if board[a] != "." and board[a] == board[b] == board[c]), None)


def plain_value(board, me, known):
    """Value for `me`, who moves: win 1, draw 0, loss -1; by full recursion."""
    if (board, me) not in known:
        other = "O" if me == "X" else "X"
        won = winner(board)
        if won:
            known[board, me] = 1 if won == me else -1
        elif "." not in board:
            known[board, me] = 0
        else:
            after = [board[:i] + me + board[i + 1 :] for i in range(9) if board[i] == "."]
            known[board, me] = max(-plain_value(b, other, known) for b in after)
    return known[board, me]


def test_tic_tac_toe_on_every_board_that_can_arise():
    known, seen, todo = {}, set(), ["." * 9]
    verdict = tic_tac_toe()
    while todo:
        board = todo.pop()
        if board in seen:
            continue
        seen.add(board)
        me, other = ("X", "O") if board.count("X") == board.count("O") else ("O", "X")
        if winner(board) or "." not in board:
            assert not best_moves(TicTacToe(), board)
            continue
        worth = {i: -plain_value(board[:i] + me + board[i + 1 :], other, known) for i in range(9) if board[i] == "."}
        best = {i for i, v in worth.items() if v == max(worth.values())}
        assert {i for i in range(9) if verdict(board, i + 1) == 1} == best
        todo += [board[:i] + me + board[i + 1 :] for i in worth]
    assert len(seen) == 5478  # the known number of positions


def test_ties_are_all_right_and_what_is_not_allowed_is_wrong():
    verdict = tic_tac_toe()
    assert [verdict("." * 9, i) for i in range(1, 10)] == [1.0] * 9
    assert verdict("XX.OO....", "3") == 1 and verdict("XX.OO....", 1) == 0 and verdict("XX.OO....", "left") == 0
    assert verdict("short", 1) is None and verdict("XX.OO....", 0) == 0
    assert tic_tac_toe(one_based=False)("xx.oo....", 2) == 1


def test_a_sudoku_is_solved_and_a_wrong_digit_told():
    assert sudoku_solutions(PUZZLE) == [SOLVED]
    verdict, board = sudoku(), PUZZLE
    assert verdict(PUZZLE, board, "1 3 4") == 1 and verdict(PUZZLE, board, "1 3 2") == 0
    assert (
        verdict(PUZZLE, board, "1 1 5") == 0
        and verdict(PUZZLE, board, "0 3 4") == 0
        and verdict(PUZZLE, board, "x") == 0
    )
    spoiled = board[:2] + "2" + board[3:]
    assert verdict(PUZZLE, spoiled, "1 4 6") == 1  # the puzzle's solution, whatever was done to the board
    assert verdict("." * 81, "." * 81, "1 1 1") is None and verdict("55" + "." * 79, "." * 81, "1 1 1") is None
    assert verdict(PUZZLE, "", "1 3 4") is None and sudoku(one_based=False)(PUZZLE, board, "0 2 4") == 1
    with pytest.raises(StepCreditError, match="81 cells"):
        sudoku_solutions("12")


def test_all_solutions_are_counted():
    # Two cells of two rows that may be swapped: taken from a solved grid with the rectangle 2 6 / 6 2 missing.
    rectangle = next(
        (a, b, c, d)
        for r1, r2 in combinations(range(9), 2)
        for c1, c2 in combinations(range(9), 2)
        for a, b, c, d in [(9 * r1 + c1, 9 * r1 + c2, 9 * r2 + c1, 9 * r2 + c2)]
        if SOLVED[a] == SOLVED[d] and SOLVED[b] == SOLVED[c] and (r1 // 3 == r2 // 3 or c1 // 3 == c2 // 3)
    )
    holes = "".join("." if i in rectangle else s for i, s in enumerate(SOLVED))
    assert len(sudoku_solutions(holes, most=9)) == 2


def brute_risk(board, mines):
    cells = [(r, c) for r, row in enumerate(board) for c, m in enumerate(row) if not m.isdigit()]
    count, total = Counter(), 0
    for placed in combinations(cells, mines):
        near = {
            (r, c): sum((r + dr, c + dc) in placed for dr, dc in product((-1, 0, 1), repeat=2))
            for r, row in enumerate(board)
            for c, m in enumerate(row)
            if m.isdigit()
        }
        if all(int(board[r][c]) == n for (r, c), n in near.items()):
            total += 1
            count.update(placed)
    return {cell: Fraction(count[cell], total) for cell in cells} if total else {}


@pytest.mark.parametrize("seed", range(25))
def test_mine_risks_are_those_of_every_placement(seed):
    rng = np.random.default_rng(seed)
    rows, columns, mines = (int(rng.integers(2, 5)) for _ in range(3))
    mined = {divmod(int(i), columns) for i in rng.choice(rows * columns, mines, replace=False)}
    shown = [
        "".join(
            str(sum((r + dr, c + dc) in mined for dr, dc in product((-1, 0, 1), repeat=2)))
            if (r, c) not in mined and rng.random() < 0.5
            else "."
            for c in range(columns)
        )
        for r in range(rows)
    ]
    assert mine_risk(shown, mines) == brute_risk(shown, mines)


@given(st.lists(st.text(alphabet="012.F", min_size=3, max_size=3), min_size=1, max_size=4), st.integers(0, 5))
def test_mine_risks_of_boards_that_may_be_impossible(board, mines):
    assert mine_risk(board, mines) == brute_risk(board, mines)


def test_five_by_five_opens_the_least_risk_and_flags_the_certain():
    board = "1....\n11...\n.....\n.....\n....."
    risk = mine_risk(board.split("\n"), 5)
    assert risk == brute_risk(board.split("\n"), 5)
    verdict = minesweeper(5)
    least = min(risk.values())
    for (r, c), p in risk.items():
        assert verdict(board, f"reveal {r + 1} {c + 1}") == float(p == least)
        assert verdict(board, f"Flag {r + 1} {c + 1}") == float(p == 1)
    assert verdict(board, "reveal 1 1") == 0 and verdict(board, "reveal 9 9") == 0 and verdict(board, "open 1 2") == 0
    assert verdict("3.", "reveal 1 2") is None and verdict(None, "reveal 1 2") is None


def test_flagged_cells_are_not_to_be_opened_and_a_certain_mine_never_is():
    one = minesweeper(1)
    assert one("1.", "flag 1 2") == 1 and one("1.", "reveal 1 2") == 0 and one("1F", "reveal 1 2") == 0
    assert one("1..", "reveal 1 3") == 1 and one("F..", "reveal 1 1") == 0 and one("F..", "reveal 1 2") == 1


def test_grades_of_the_released_environments():
    """As read in thu-nics/VPR: minesweeper/envs.py, sudoku/envs.py, tictactoe/game.py."""
    mines = minesweeper(1, graded=True)
    graded = {
        "reveal 1 3": 2,
        "flag 1 2": 1,
        "flag 1 3": -1,
        "reveal 1 2": 0,
        "reveal 1 1": -2,
        "flag 1 1": -2,
        "x": -2,
    }
    assert {move: mines("1..", move) for move in graded} == graded
    assert mines("1F.", "reveal 1 2") == -2 and mines("1F.", "flag 1 2") == -1
    assert minesweeper(1, graded=True)("...", "reveal 1 1") == 1
    digits = sudoku(graded=True)
    # In the centre of PUZZLE only a 5 can stand; the cell right of "53" may hold 1, 2 or 4.
    assert digits(PUZZLE, PUZZLE, "5 5 5") == 2 and digits(PUZZLE, PUZZLE, "1 3 4") == 0.5
    assert digits(PUZZLE, PUZZLE, "5 5 4") == -1 and digits(PUZZLE, PUZZLE, "1 1 5") == -2 == digits(
        PUZZLE, PUZZLE, "?"
    )
    assert digits(PUZZLE, PUZZLE, "1 3 12") == -2
    last = SOLVED[:2] + "." + SOLVED[3:]
    assert digits(PUZZLE, last, "1 3 4") == 2
    moves = tic_tac_toe(graded=True)
    assert [moves("XX.OO....", c) for c in (3, 6, 1, "?")] == [1, 0, -1, -1]


def test_a_cell_with_the_fewest_digits_is_worth_1_where_none_has_only_one():
    # A grid with pairs of holes: in each hole at least two digits fit.
    board = next(
        "".join("." if i in holes else s for i, s in enumerate(SOLVED))
        for r1, r2 in combinations(range(9), 2)
        for c1, c2 in combinations(range(9), 2)
        for holes in [{9 * r1 + c1, 9 * r1 + c2, 9 * r2 + c1, 9 * r2 + c2}]
        if SOLVED[9 * r1 + c1] == SOLVED[9 * r2 + c2] and SOLVED[9 * r1 + c2] == SOLVED[9 * r2 + c1]
        if r1 // 3 == r2 // 3 or c1 // 3 == c2 // 3
    )
    at = board.index(".")
    assert sudoku(graded=True)(PUZZLE, board, f"{at // 9 + 1} {at % 9 + 1} {SOLVED[at]}") == 1


def of(**columns):
    n = len(next(iter(columns.values())))
    return from_arrays(group=["g"] * n, rollout=list(range(n)), outcome=[0] * n, **columns)


def test_equal_steps_are_asked_about_once_and_missing_ones_not():
    asked = []

    def verdict(state, action):
        asked.append((state, action))
        return action == "x" if state != "?" else None

    batch = of(state=["s", "s", "s", None, "?"], action=["x", "y", "x", "x", "x"])
    made = oracle(batch, verdict)
    np.testing.assert_array_equal(made["score"], [1, 0, 1, np.nan, np.nan])
    assert asked == [("s", "x"), ("s", "y"), ("?", "x")] and cost(batch).calls == {"oracle": 3}
    assert made.notes[-1] == "score: an oracle of state, action; 3 of 5 steps judged, mean 0.667"


def test_an_oracle_is_told_what_is_named():
    records = [
        Rollout(group="g", rollout=0, task="t", extra={"puzzle": "p"}, steps=[Step(text="a", extra={"move": [1, 2]})])
    ]
    batch = Batch.from_records(records).with_columns(outcome=[0.5])
    told = []
    oracle(batch, lambda *of: told.append(of), of=("puzzle", "task", "move", "text", "outcome"), into="progress")
    assert told == [("p", "t", (1, 2), "a", 0.5)]
    assert oracle(batch, lambda m: 0.25, of=["move"], into="progress")["progress"].tolist() == [0.25]
    with pytest.raises(MissingColumn, match="oracle needs column 'moves'"):
        oracle(batch, lambda m: 1, of=["moves"])
    with pytest.raises(StepCreditError, match="told something"):
        oracle(batch, lambda: 1, of=())
    keyed = Batch.from_records([Rollout(group="g", rollout=0, steps=[Step(extra={"move": {"a": 1}})])])
    with pytest.raises(DataError, match="asked about keys"):
        oracle(keyed, lambda m: 1, of=["move"])


def test_an_oracle_that_fails_names_the_step():
    batch = of(state=["s"], action=["x"])

    def broken(state, action):
        raise KeyError("boom")

    with pytest.raises(DataError, match="the oracle failed: KeyError: 'boom'") as error:
        oracle(batch, broken)
    assert error.value.rollout == 0 and error.value.step == 0
    for answer in ("yes", float("nan"), float("inf")):
        with pytest.raises(DataError, match="answers with a number"):
            oracle(batch, lambda s, a, answer=answer: answer)


def test_a_lookup_and_a_grade():
    verdict = lookup({"a1": 5})
    assert verdict("a1", 5) == 1 and verdict("a1", 4) == 0 and verdict("b1", 5) == 0
    assert oracle(of(state=["s"], action=["x"]), lambda s, a: True)["score"].tolist() == [1]
