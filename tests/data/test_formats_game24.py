"""Chains of thought on the Game of 24."""

import pytest

from stepcredit.data.formats.game24_cot import rollouts
from stepcredit.data.reading import Reading
from stepcredit.data.rows import Rows
from stepcredit.errors import DataError


def states(*lines, puzzle="4 5 6 10"):
    (one,) = rollouts(Rows.of([{"puzzle": puzzle, "rollouts": ["\n".join(lines)], "correct": [0]}]))
    return [s.state for s in one.steps] + [one.final_state]


def test_fields_and_steps():
    text = "Steps:\n10 - 4 = 6 (left: 5 6 6)\n\n6 + 5 = 11 (left: 6 11)\nAnswer: none"
    (one,) = rollouts(Rows.of([{"puzzle": "4 5 6 10", "rollouts": [text], "correct": [1], "puzzle_index": 9}]))
    assert (one.group, one.rollout, one.outcome, one.extra) == ("4 5 6 10", 0, 1.0, {"puzzle_index": 9})
    assert [s.action for s in one.steps] == ["10 - 4", "5 + 6", "Answer: none"]
    assert [s.state for s in one.steps] == ["4 5 6 10", "5 6 6", "6 11"]
    assert one.final_state is None


@pytest.mark.parametrize(
    "line",
    [
        "10 - 4 = 7 (left: 5 6 7)",
        "10 - 3 = 7 (left: 5 6 7)",
        "10 - 4 = 6 (left: 5 6)",
        "10 - 4 = 6 (left: 5 6 6 6)",
        "10 - 4 = 6 (left: 1/0)",
        "10 - 4 = 6 = 6",
        "ten - 4 = 6",
        "10 ** 4 = 10000",
        "10 - 4 = 6.0.0",
        "4 / (10 - 10) = 1",
    ],
)
def test_a_wrong_line_loses_the_state_for_good(line):
    assert states(line, "5 + 6 = 11") == ["4 5 6 10", None, None]


@pytest.mark.parametrize("line", ["10 - 4 = 6", "10 - 4 = 6 (left: 6 5 6)", "10 - 4 = 6 (left: 5 6 6) good"])
def test_a_right_line_moves_on(line):
    assert states(line) == ["4 5 6 10", "5 6 6"]


def test_prose_leaves_the_state():
    assert states("There is no way.") == ["4 5 6 10", "4 5 6 10"]


def test_fractions_and_rounded_decimals_are_followed_exactly():
    assert states("5 / 4 = 1.25", "10 / 6 = 1.667 (left: 1.25 1.667)", "1.667 * 1.25 = 2.08") == [
        "4 5 6 10",
        "5/4 6 10",
        "5/4 5/3",
        "25/12",
    ]
    assert states("4 / 6 = 2/3", "2/3 * 5 = 10/3 (left: 10/3 10)")[-1] == "10/3 10"


def test_a_chain_of_operations_is_one_step():
    assert states("5 * (10 - 6) + 4 = 24 (left: 24)") == ["4 5 6 10", "24"]


def test_lengths_must_agree():
    with pytest.raises(DataError, match="got 1, expected 2"):
        list(rollouts(Rows.of([{"puzzle": "1 2 3 4", "rollouts": ["", ""], "correct": [1]}])))


def test_real_chains(data):
    reading = Reading(data / "game24" / "gpt4_cot_rollouts.jsonl.gz")
    batch = reading.read()
    assert (reading.format, reading.rows, reading.skipped) == ("game24_cot", 50, [])
    assert (batch.layout.G, batch.layout.R) == (50, 5000)
    assert 0.03 < batch["outcome"].mean() < 0.05
    # Who lost the state cannot have solved the puzzle by its steps, so few of the correct ones did.
    lost = [any(s.state is None for s in r.steps) for r in batch.records]
    right = [not bad for bad, r in zip(lost, batch.records, strict=True) if r.outcome == 1]
    assert sum(right) > 0.9 * len(right)
