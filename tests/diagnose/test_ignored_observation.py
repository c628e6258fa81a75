"""Rules on replies that a run passes over. Under 1 s."""

import pytest
from made_runs import case, chat

from stepcredit.diagnose.methods.ignored_observation import ignored_observation

FAILS = ("try", "book", {"seat": "4A"}, "Error: seat 4A is taken")
FOUND = ("look", "find", {"q": "who"}, "The first program was written by Ada Lovelace in 1843.")


def test_a_call_that_failed_made_again_unchanged():
    said = ignored_observation(case(chat("a", [FOUND, FAILS, FAILS])))
    assert (said.status, said.step, said.error) == ("found", 2, "ignored_observation")
    assert "seat 4A is taken" in said.reason
    changed = ("try", "book", {"seat": "5A"}, "Error: seat 5A is taken")
    assert ignored_observation(case(chat("a", [FOUND, FAILS, changed]))).status == "clean"


def test_success_claimed_right_after_an_error():
    said = ignored_observation(case(chat("a", [FAILS, ("Your seat has been booked successfully!", None, None, None)])))
    assert (said.step, said.error) == (1, "false_success") and "booked" in said.reason
    honest = ("I could not book it, though all has been checked successfully.", None, None, None)
    assert ignored_observation(case(chat("a", [FAILS, honest]))).status == "clean"


def test_the_right_answer_came_back_and_is_not_what_the_run_says():
    wrong = ("It was Babbage.", None, None, None)
    run = chat("a", [FOUND, wrong], extra={"answer": "Ada Lovelace"})
    said = ignored_observation(case(run))
    assert said.step == 1 and "came back at step 0" in said.reason
    assert ignored_observation(case(run), truth=False).status == "clean"
    right = chat("a", [FOUND, ("ada lovelace, I think", None, None, None)], extra={"answer": "Ada Lovelace"})
    assert ignored_observation(case(right)).status == "clean"
    won = chat("a", [FOUND, wrong], 1.0, extra={"answer": "Ada Lovelace"})
    assert ignored_observation(case(won)).status == "clean"


def test_an_answer_is_looked_for_as_a_word_of_its_own():
    run = chat("a", [("look", "find", {}, "order 12345"), ("It is 9.", None, None, None)], extra={"answer": "234"})
    assert ignored_observation(case(run)).status == "clean"


def test_numbers_and_names_that_stand_nowhere_before_the_answer():
    made_up = ("Order A17X costs 1,299.50 and comes on 2024-05-01.", None, None, None)
    said = ignored_observation(case(chat("a", [FOUND, made_up])))
    assert (said.step, said.error) == (1, "unsupported_claim") and "3 of 3" in said.reason
    known = ("look", "get", {}, "A17X: 1299.50, delivery 2024-05-01")
    assert ignored_observation(case(chat("a", [known, made_up]))).status == "clean"
    partly = ignored_observation(case(chat("a", [("look", "get", {}, "A17X: 1299.50"), made_up])))
    assert partly.status == "clean" and partly.scores[1] == pytest.approx(1 / 6)
    part = ("It came in 2024, to shop 17.", None, None, None)
    dated = chat("a", [("look", "get", {}, "2024-05-01, https://shop.org/17"), part])
    assert ignored_observation(case(dated)).scores[1] == 0
    asked = chat("a", [FOUND, made_up], task="Is order A17X of 2024-05-01, at 1299.50, there?")
    assert ignored_observation(case(asked)).status == "clean"


@pytest.mark.parametrize("turns", [[], [("hello", None, None, None)] * 3])
def test_where_nothing_came_back_it_cannot_tell(turns):
    assert ignored_observation(case(chat("a", turns))).status == "unknown"


def test_the_strongest_find_wins_and_the_earliest_of_equals():
    claim = ("It has been booked.", None, None, None)
    said = ignored_observation(case(chat("a", [FAILS, claim, FAILS, FAILS, FAILS])))
    assert said.step == 3 and said.scores.tolist() == [0, 0.75, 0, 1, 1]
    assert [f["step"] for f in said.evidence["finds"]] == [3, 4, 1]


def test_hostile_texts_are_read_in_time():
    nasty = ("1-" * 20_000, "x", {"a": "9" * 30_000}, "a@" * 30_000 + "\ud800")
    assert ignored_observation(case(chat("a", [nasty, ("1." * 40_000, None, None, None)]))).status in ("clean", "found")
