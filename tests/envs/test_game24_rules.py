from fractions import Fraction
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepcredit.envs.game24 import actions, key, numbers, puzzles, solvable
from stepcredit.errors import StepCreditError

small = st.fractions(-13, 13, max_denominator=3)
hands = st.one_of(st.lists(st.integers(1, 13), min_size=1, max_size=4), st.lists(small, min_size=1, max_size=3))


def merges(hand):
    """Every hand one operation away, written without any of the world's code."""
    for i, j in combinations(range(len(hand)), 2):
        a, b = Fraction(hand[i]), Fraction(hand[j])
        rest = [x for k, x in enumerate(hand) if k not in (i, j)]
        results = [a + b, a * b, a - b, b - a] + ([a / b] if b else []) + ([b / a] if a else [])
        yield from ([*rest, result] for result in results)


def reaches(hand):
    return hand[0] == 24 if len(hand) == 1 else any(reaches(after) for after in merges(hand))


@given(hands)
def test_solver_agrees_with_trying_every_order(hand):
    assert solvable(hand) == reaches(hand)


def test_the_known_count_of_solvable_puzzles():
    found = puzzles()
    assert len(found) == len(set(found)) == 1362
    assert {"1 3 4 6", "3 3 8 8", "1 5 5 5"} < set(found)


@given(hands)
def test_actions_reach_exactly_the_hands_that_merging_two_reaches(hand):
    assert {key(a.after) for a in actions(hand)} == {key(after) for after in merges(hand)}


@given(hands)
def test_actions_are_distinct_true_and_canonical(hand):
    legal = actions(hand)
    assert len({a.key for a in legal}) == len(legal)
    for a in legal:
        # An own copy of the arithmetic: eval of the text, with exact numbers.
        assert a.key == f"{a.a} {a.op} {a.b} = {a.result}"
        assert {"+": a.a + a.b, "-": a.a - a.b, "*": a.a * a.b, "/": a.b and a.a / a.b}[a.op] == a.result
        assert a.op in "-/" or a.a >= a.b
        assert (a.op, a.b) != ("/", 0)


def test_both_differences_and_both_quotients_are_actions_and_nothing_twice():
    assert [a.key for a in actions("2 3")] == [
        "3 + 2 = 5", "3 * 2 = 6", "3 - 2 = 1", "2 - 3 = -1", "3 / 2 = 3/2", "2 / 3 = 2/3",
    ]  # fmt: skip
    assert [a.key for a in actions("4 4 4")] == ["4 + 4 = 8", "4 * 4 = 16", "4 - 4 = 0", "4 / 4 = 1"]


@given(st.lists(small, min_size=1, max_size=4), st.lists(small, min_size=1, max_size=4))
def test_keys_are_equal_exactly_where_states_are(one, other):
    assert (key(one) == key(other)) == (sorted(one) == sorted(other))
    assert numbers(key(one)) == tuple(sorted(one))


@pytest.mark.parametrize("bad", ["", "a", "1/0", "1e999999999", "1 5 !", [], [0.1], [None], "9" * 40])
def test_what_is_no_state_is_refused(bad):
    with pytest.raises(StepCreditError, match="not a state of Game of 24"):
        key(bad)
