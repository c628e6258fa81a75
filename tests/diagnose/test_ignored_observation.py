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
    run = chat("a", [("look", "find", {}, "order 123456"), ("It is 9.", None, None, None)], extra={"answer": "2345"})
    assert ignored_observation(case(run)).status == "clean"


def test_numbers_and_ids_that_stand_nowhere_before_the_answer():
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


def ends(reply, text, gold, **more):
    run = chat("a", [("look", "find", {}, reply), (text, None, None, None)], extra={"ground_truth": gold}, **more)
    return ignored_observation(case(run))


@pytest.mark.parametrize("gold", [["Ada Lovelace"], {"target": ["Ada Lovelace"]}, {"target": "Ada Lovelace"}])
def test_the_right_answer_may_be_a_list_or_an_object_of_one(gold):
    said = ends("It was written by Ada Lovelace.", "It was Babbage.", gold)
    assert said.step == 1 and "'Ada Lovelace', came back at step 0" in said.reason


@pytest.mark.parametrize(
    ("gold", "reply", "text"),
    [
        ("fourth", "It ran in the fourth year.", "The second."),
        ("€7.5 million", "They paid €7.5 million.", "It was A€7.5 million in all."),
        ("£40", "It costs £40.", "It is NZ£40."),
        ("Rome, in Italy", "It lies in Rome, in Italy.", "Answer: Rome"),
        ("12", "order 12, 12", "12"),
    ],
)
def test_a_word_that_is_everywhere_or_an_answer_that_is_said_is_not_ignored(gold, reply, text):
    assert ends(reply, text, gold).status == "clean"


def test_an_answer_that_stands_in_the_question_is_not_ignored():
    said = [ends("by Lion Cub Jr.", "Answer: Tiger", "Lion Cub", task=t) for t in ("Lion Cub or Tiger?", "Who?")]
    assert [one.status for one in said] == ["clean", "found"]


@pytest.mark.parametrize(
    ("text", "gold"), [("It is 141.25.", "141.2"), ("It is 1,412.", "1412.5"), ("of 1941", "19418")]
)
def test_a_part_of_a_number_does_not_say_it(text, gold):
    assert ends(f"found: {gold} m", text, gold).step == 1


def test_what_the_run_only_thinks_is_not_its_answer():
    thinks = "<think>Ada Lovelace, perhaps, in 1843 or 1851 or on page 77.</think>\n\nBabbage"
    said = ends("It was written by Ada Lovelace.", thinks, "Ada Lovelace")
    assert said.step == 1 and [f["error"] for f in said.evidence["finds"]] == ["ignored_observation"]
    assert ends("It was written by Ada Lovelace.", "<think>in 1851, on page 77, or", None).evidence["finds"] == 0


def test_a_call_to_finish_ends_with_an_answer_too():
    look, finish = ("look", "find", {}, "by Ada Lovelace"), ("so", "finish", {"answer": "Babbage"}, None)
    said = ignored_observation(case(chat("a", [look, finish], extra={"gold": "Ada Lovelace"})))
    assert said.step == 1 and "came back at step 0" in said.reason
    other = ignored_observation(
        case(chat("a", [look, ("so", "find", {"q": "x"}, None)], extra={"gold": "Ada Lovelace"}))
    )
    assert other.status == "clean"


def test_numbers_are_whole_words():
    said = ends("nothing of the kind", "In the 37th year, 1951-52, near 48.5km.", None)
    assert said.evidence["finds"] and "3 of 3 numbers, addresses and ids in the answer" in said.reason
    assert said.reason.count("'37th'") == 1
    known = ends("It was the 37th in 1951-52, 48.5km", "In the 37th year, 1951-52, near 48.5km.", None)
    assert known.status == "clean" and known.scores[1] == 0
    bare = ends("It was the 37th of 1951.", "Number 37 of 1951.", None)
    assert bare.scores[1] == 0
    when = ends("at 2031-05-01T10:00", "On 2031-05-01 at 10:00.", None)
    assert when.scores[1] == 0
