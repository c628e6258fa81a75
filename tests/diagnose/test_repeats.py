"""Repeated and looping steps. Under 1 s."""

import pytest
from made_runs import case, chat, run

from stepcredit.diagnose.methods.repeats import repeats

SAME = ("again", "find", {"q": "x"}, "nothing new")


def turn(tool, q, reply):
    return ("look", tool, {"q": q}, reply)


def test_the_first_step_of_the_longest_loop_is_blamed():
    said = repeats(
        case(chat("a", [turn("find", "x", "A"), turn("find", "x", "A"), turn("open", "y", "B"), *[SAME] * 4]))
    )
    assert (said.status, said.step, said.error) == ("found", 4, "repeated_step")
    assert said.scores.tolist() == [0, 0.5, 0, 0, 1, 0.5, 0.5]
    assert (
        said.reason == "from here 3 steps in a row (until the end) did again what step 3 did, and nothing new came back"
    )
    assert said.evidence["loops"] == [{"first": 1, "last": 1, "period": 1}, {"first": 4, "last": 6, "period": 1}]


def test_a_cycle_of_several_steps_is_a_loop():
    said = repeats(case(chat("a", [turn("find", "x", "A"), turn("find", "y", "B")] * 3)))
    assert said.step == 2 and "steps 0 to 1" in said.reason and said.evidence["loops"][0]["period"] == 2


def test_the_same_call_that_brings_something_new_is_no_repetition():
    said = repeats(case(chat("a", [turn("next_page", "", f"page {i}") for i in range(5)])))
    assert said.status == "clean" and not said.scores.any()


def test_a_check_that_is_run_again_after_other_work_counts_a_quarter_and_makes_no_loop():
    said = repeats(
        case(chat("a", [turn("test", "", "2 failed"), turn("edit", "f", "ok"), turn("test", "", "2 failed")]))
    )
    assert said.status == "clean" and said.scores.tolist() == [0, 0, 0.25]
    assert said.remarks == {2: "does what step 0 did, and got the same"}


def test_order_and_blanks_of_arguments_do_not_matter_but_their_values_do():
    one = ("a", "find", '{"q": "x  y", "n": 1}', "A")
    assert repeats(case(chat("a", [one, ("b", "find", {"n": 1, "q": "x y"}, "A")]))).step == 1
    assert repeats(case(chat("a", [one, ("b", "find", {"n": 2, "q": "x y"}, "B")]))).status == "clean"


def test_nearly_the_same_words_with_the_same_answer_are_a_repetition_unless_told_otherwise():
    long = "please look for the name of that person who wrote our first program, in any good library near here or far"
    turns = [turn("find", f"{long} {i}", "no answer") for i in range(3)]
    assert repeats(case(chat("a", turns))).step == 1
    assert repeats(case(chat("a", turns)), near=1.1).status == "clean"
    assert repeats(case(chat("a", [turn("find", f"{long} {i}", f"answer {i}") for i in range(3)]))).status == "clean"


def test_going_round_in_states_is_a_loop():
    said = repeats(case(run("a", "lrlrlr", 0.0, ["s", "t"] * 3 + ["s"])))
    assert said.step == 2 and said.evidence["loops"] == [{"first": 2, "last": 5, "period": 2}]


def test_texts_without_replies_that_are_said_again_are_a_repetition():
    assert repeats(case(chat("a", [("I  think so", None, None, None), ("I think so", None, None, None)]))).step == 1


def test_runs_that_looped_and_succeeded_take_the_weight_from_it():
    loop, straight = [SAME] * 3, [turn("find", "x", "A"), turn("open", "y", "B")]
    harmless = repeats(case(chat("a", loop), *(chat(f"won{i}", loop, 1.0) for i in range(3)), chat("b", straight, 1.0)))
    harmful = repeats(
        case(
            chat("a", loop),
            *(chat(f"lost{i}", loop) for i in range(3)),
            *(chat(f"b{i}", straight, 1.0) for i in range(3)),
        )
    )
    alone = repeats(case(chat("a", loop), chat("b", straight, 1.0)))
    assert harmless.confidence == 0 and harmful.confidence > 0.8 and alone.confidence is None
    assert "of the other runs 3 of 3 with a loop failed, and 0 of 3 without" in harmful.reason


@pytest.mark.parametrize("runs", [[chat("a", [])], [chat("a", [(None, None, None, "r")] * 3)]])
def test_without_anything_done_it_cannot_tell(runs):
    assert repeats(case(*runs)).status == "unknown"


def test_one_step_repeats_nothing():
    assert repeats(case(chat("a", [SAME]))).status == "clean"


def test_a_loop_of_10_000_steps_is_one_loop():
    said = repeats(case(chat("a", [turn("find", "x", "A"), *[SAME] * 9_999])))
    assert said.step == 2 and said.evidence["repeated"] == 9_998


def test_where_nothing_is_known_of_what_came_back_it_says_so():
    silent = ("again", "find", {"q": "x"}, None)
    said = repeats(case(chat("a", [silent] * 3)))
    assert said.step == 1 and said.reason.endswith("did again what step 0 did, and what came back is not known")
    assert said.remarks[1] == "does what step 0 did, and what came back is not known" and said.evidence["known"] == 0
    mixed = repeats(case(chat("a", [silent, silent, turn("open", "y", "B"), SAME, SAME, silent])))
    assert mixed.step == 4 and mixed.reason.endswith("and nothing new came back as far as that is known")


def test_the_state_that_a_way_led_to_is_what_came_of_it():
    said = repeats(case(run("a", "lrlrlr", 0.0, ["s", "t"] * 3 + ["s"])))
    assert said.reason.endswith("and nothing new came back") and said.remarks[2].endswith("and got the same")
