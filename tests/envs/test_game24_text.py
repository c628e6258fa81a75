import gzip
import json
from fractions import Fraction as F

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepcredit.envs.game24 import actions, answer, key, parse, solvable, solves, truth
from stepcredit.errors import StepCreditError

# (line, state before) -> (operands, operators, result, left, fault, state after)
GOLDENS = {
    ("10 - 4 = 6 (left: 5 6 6)", "4 5 6 10"): ([10, 4], "-", 6, "5 6 6", None, "5 6 6"),
    ("10 - 4 = 6 (left: 6 5 6)", "4 5 6 10"): ([10, 4], "-", 6, "5 6 6", None, "5 6 6"),
    ("10 - 4 = 6", "4 5 6 10"): ([10, 4], "-", 6, None, None, "5 6 6"),
    ("10 - 4 = 7 (left: 5 6 7)", "4 5 6 10"): ([10, 4], "-", 7, "5 6 7", "arithmetic", None),
    ("10 - 4 = 6 (left: 5 6)", "4 5 6 10"): ([10, 4], "-", 6, "5 6", "left", None),
    ("10 - 4 = 6 (left: 5 6 6 6)", "4 5 6 10"): ([10, 4], "-", 6, "5 6 6 6", "left", None),
    ("6 * 4 = 24 (left: 24)", "4 5"): ([6, 4], "*", 24, "24", "numbers", None),
    ("5 * 5 = 25 (left: 25)", "3 5"): ([5, 5], "*", 25, "25", "numbers", None),
    # signs, marks and spacing
    ("5 × 6 = 30 (left: 6 30)", "5 6 6"): ([5, 6], "*", 30, "6 30", None, "6 30"),
    ("36 ÷ 4 = 9", "4 36"): ([36, 4], "/", 9, None, None, "9"),
    ("30 − 6 = 24 (left: 24)", "6 30"): ([30, 6], "-", 24, "24", None, "24"),
    ("５＋６＝11", "5 6"): ([5, 6], "+", 11, None, None, "11"),
    (r"$6 \times 4 = 24$", "4 6"): ([6, 4], "*", 24, None, None, "24"),
    ("3x8=24", "3 8"): ([3, 8], "*", 24, None, None, "24"),
    ("**6 * 4 = 24** (left: 24)", "4 6"): ([6, 4], "*", 24, "24", None, "24"),
    ("\t2+3=5(left:5 7)  ", "2 3 7"): ([2, 3], "+", 5, "5 7", None, "5 7"),
    # what stands before and behind
    ("1. 10 - 4 = 6 (left: 5 6 6)", "4 5 6 10"): ([10, 4], "-", 6, "5 6 6", None, "5 6 6"),
    ("2) 6 * 5 = 30", "5 6 6"): ([6, 5], "*", 30, None, None, "6 30"),
    ("- 10 - 4 = 6", "4 10"): ([10, 4], "-", 6, None, None, "6"),
    ("Step 3: 30 - 6 = 24 (left: 24)", "6 30"): ([30, 6], "-", 24, "24", None, "24"),
    ("16 + 5 = 21 (not 24, try another)", "5 16"): ([16, 5], "+", 21, None, None, "21"),
    ("9 * 9 = 81 -> no", "9 9"): ([9, 9], "*", 81, None, None, "81"),
    ("6 * 5 = 30, remaining numbers: 6, 30.", "5 6 6"): ([6, 5], "*", 30, "6 30", None, "6 30"),
    ("7 * 8 = 56 (left: *56) (left over)", "7 8"): ([7, 8], "*", 56, "56", None, "56"),
    ("515.5 - 1 = 514.5 (left: 5 514.5", "1 5 515.5"): ([F("515.5"), 1], "-", F("514.5"), "5 514.5", None, "5 1029/2"),
    ("6 * 4 = 24; 24 / 1 = 24", "1 4 6"): ([6, 4], "*", 24, None, None, "1 24"),
    ("10 - 4 = 6 6 * 4 = 24", "4 6 10"): ([10, 4], "-", 6, None, None, "6 6"),
    # negative, fractional and rounded numbers
    ("5 - 6 = -1 (left: -1 6)", "5 6 6"): ([5, 6], "-", -1, "-1 6", None, "-1 6"),
    ("6 * -1 = -6", "-1 6"): ([6, -1], "*", -6, None, None, "-6"),
    ("6 - (-1) = 7", "-1 6"): ([6, -1], "-", 7, None, None, "7"),
    ("-6 * 4 = -24", "6 4"): ([-6, 4], "*", -24, None, "numbers", None),
    ("6 / 4 = 1.5 (left: 1.5 5)", "4 5 6"): ([6, 4], "/", F(3, 2), "3/2 5", None, "3/2 5"),
    ("8 / 6 = 4/3 (left: 4/3 8)", "6 8 8"): ([8, 6], "/", F(4, 3), "4/3 8", None, "4/3 8"),
    ("4/3 * 8 = 32/3 (left: 32/3)", "4/3 8"): ([F(4, 3), 8], "*", F(32, 3), "32/3", None, "32/3"),
    ("8/4 + 3 = 5", "3 4 8"): ([8, 4, 3], "/+", 5, None, None, "5"),
    ("16 / 3 = 5.33 (left: 5.33)", "3 16"): ([16, 3], "/", F("5.33"), "5.33", None, "16/3"),
    ("16 / 3 = 5.3", "3 16"): ([16, 3], "/", F("5.3"), None, "arithmetic", None),
    ("16 / 3 = 5.35", "3 16"): ([16, 3], "/", F("5.35"), None, "arithmetic", None),
    ("5.33 * 3 = 16 (left: 16)", "3 16/3"): ([F(16, 3), 3], "*", 16, "16", None, "16"),
    ("6.667 * 6 = 40.002 (left: 40.002)", "6 20/3"): ([F(20, 3), 6], "*", F("40.002"), "40.002", None, "40"),
    ("5.33 * 3 = 15.99", "3 5.325 5.33"): ([F("5.33"), 3], "*", F("15.99"), None, None, "213/40 1599/100"),
    # several operators
    ("18 / (7 - 5) = 9 (left: 9)", "5 7 18"): ([18, 7, 5], "/-", 9, "9", None, "9"),
    ("2 + 3 * 4 = 14", "2 3 4"): ([2, 3, 4], "+*", 14, None, None, "14"),
    ("8 - 4 - 2 = 2", "2 4 8"): ([8, 4, 2], "--", 2, None, None, "2"),
    ("7 * 10 / 7 = 24 (left: 24)", "7 10"): ([7, 10, 7], "*/", 24, "24", "arithmetic", None),
    ("12 * 7 = 84 / 3.5 = 24", "7 12"): ([12, 7], "*", 24, None, "arithmetic", None),
    ("4 * 3 = 12 = 24 / 2", "3 4"): ([4, 3], "*", 12, None, None, "12"),
    ("5 * 5 = 25 - 1", "5 5"): ([5, 5], "*", 24, None, "arithmetic", None),
    ("6 / (3 - 3) = 24", "3 3 6"): ([6, 3, 3], "/-", 24, None, "arithmetic", None),
    ("n = 2: 2 * 2 = 4", "2 2"): ([2, 2], "*", 4, None, None, "4"),
}  # fmt: skip

NO_STEPS = [
    "", "Steps:", "Answer: (10 - 4) * 5 - 6 = 24", "  **Final answer**: 6 * 4 = 24", "The answer is 6 * 4 = 24",
    "It is not possible to obtain 24.", "24 = 24", "5 = 5 (left: 5)", "x = 3", "n=3", "=", "= 5", "5 + = 5", "5 + 5 =",
    "5 * 5 = ?", "(5 + 5 = 10", "5 + 5) = 10", "5 5 + 1 = 6", "5 ** 2 = 25", "5 ^ 2 = 25", "a5 + 1 = 6", "5 + 1 != 6",
    "٥ + ٦ = ١١", "6² * 4 = 144", "()()() = 4", "5 + 5 = ten", "+ - * / = 3", "1/0 = 1/0",
    "9" * 40 + " + 1 = 2", "(" * 5000 + "1 + 1" + ")" * 5000, "1" + " + 1" * 5000 + " = 5001", "1\n+ 1 = 2\n3 -",
]  # fmt: skip


@pytest.mark.parametrize(("given", "want"), GOLDENS.items(), ids=lambda x: x[0] if isinstance(x[0], str) else "")
def test_parse_reads(given, want):
    line = parse(*given)
    operands, op, result, left, fault, after = want
    said = None if left is None else tuple(sorted(map(F, left.split())))
    assert (list(line.numbers), line.op, line.result, line.left, line.fault) == (operands, op, result, said, fault)
    assert (line.after and key(line.after)) == after


@pytest.mark.parametrize("line", NO_STEPS)
def test_parse_passes_over_what_is_no_step(line):
    assert parse(line) is None and parse(line, "1 2 3 4") is None


def test_without_a_state_only_the_equation_is_judged():
    line = parse("10 - 4 = 6 (left: 1 2 3)")
    assert line.fault is None and line.after is None
    assert parse("10 - 4 = 7").fault == "arithmetic"
    assert parse("4/3 * 8 = 32/3").numbers == (F(4, 3), 8)


pieces = st.sampled_from(
    ["1", "24", "3.5", "5/3", "=", "+", "-", "*", "/", "(", ")", " ", "left:", "x", "×", ".", "\n"]
)


@given(st.one_of(st.text(max_size=40), st.lists(pieces, max_size=20).map("".join)))
def test_no_line_breaks_the_readers(text):
    for state in (None, "1 3 24"):
        line = parse(text, state)
        assert line is None or (line.op and line.numbers and (line.after is None or line.fault is None))
    answer(text)
    solves("1 3 24", text)


@given(st.lists(st.integers(-5, 13), min_size=2, max_size=4), st.data())
def test_every_action_of_the_world_is_read_back(hand, data):
    action = data.draw(st.sampled_from(actions(hand)))
    text = f"{action.key} (left: {key(action.after)})"
    line = parse(text, hand)
    assert (line.numbers, line.op, line.result) == ((action.a, action.b), action.op, action.result)
    assert line.fault is None and line.after == action.after
    assert truth(hand, text) == (solvable(hand), solvable(action.after))


def test_truth_after_an_error_is_lost():
    assert truth("4 5 6 10", "10 - 4 = 6 (left: 5 6 6)") == (True, True)
    assert truth("4 5 6 10", "10 * 6 = 60 (left: 4 5 60)") == (True, False)
    assert truth("5 6 6", "6 * 5 = 30 (left: 24)") == (True, False)
    assert truth(None, "6 * 4 = 24 (left: 24)") == (False, False)
    assert truth("1 1", "1 + 1 = 2 (left: 2)") == (False, False)
    with pytest.raises(StepCreditError, match="not a step"):
        truth("4 6", "no way")


@pytest.mark.parametrize(
    ("expression", "want"),
    [
        *(("(10 - 4) * 5 - 6 = 24", True), ("(10-4)*5-6", True), ("(10 − 4) × 5 − 6 = 20", True)),
        *(("10 * 4 - 6 - 5 * 2 = 24", False), ("(6 - 4) * (10 + 2)", False), ("6 * 4 = 24", False), ("24", False)),
        *(("10 + 4 + 5 + 6 = 24", False), ("No solution", False), ("", False), ("(10 - 4) * 5 - 6 is it", False)),
    ],
)
def test_solves_wants_every_number_once_and_24(expression, want):
    assert solves("4 5 6 10", expression) is want


def test_solves_reads_tight_fractions_as_divisions_and_refuses_zero():
    assert solves("1 3 4 6", "6/(1-3/4) = 24")
    assert not solves("1 1 4 6", "6 * 4 / (1 - 1)")


def test_answer_is_what_follows_the_label():
    assert answer("Answer: (1 + 2) = 24") == "(1 + 2) = 24"
    assert answer("**Final answer:** None") is not None
    assert answer("10 - 4 = 6") is None


def test_real_rollouts_recomputed_agree_with_their_labels(data):
    agree, by_steps, rollouts, steps, right = 0, 0, 0, 0, 0
    with gzip.open(data / "game24/gpt4_cot_rollouts.jsonl.gz", "rt") as file:
        records = [json.loads(row) for row in file]
    for record in records:
        for text, correct in zip(record["rollouts"], record["correct"], strict=True):
            state, said = record["puzzle"], ""
            for row in text.splitlines():
                line = parse(row, state)
                said = answer(row) or said
                if line and state is not None:
                    steps, right, state = steps + 1, right + (line.fault is None), line.after
            rollouts += 1
            agree += solves(record["puzzle"], said) == correct
            by_steps += (state is not None and key(state) == "24") == correct
    assert agree / rollouts > 0.99 and by_steps / rollouts > 0.97
    assert 0.7 < right / steps < 0.95
