"""Repeated and looping steps. Under 1 s."""

import pytest
from made_runs import case, chat, run

from stepcredit.data.records import Rollout, Step
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


def test_a_loop_of_10_000_steps_that_began_further_back_names_its_first_step():
    said = repeats(case(chat("a", [turn("find", "x", "A"), turn("open", "y", "B"), *[turn("find", "x", "A")] * 9_998])))
    assert said.step == 2 and "did again what step 0 did" in said.reason


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


def spoken(*turns):
    """A log of agents that talk: a turn is (agent, text)."""
    steps = [Step(agent=agent, text=text) for agent, text in turns]
    return case(Rollout(group=0, rollout=0, outcome=0.0, steps=steps))


def test_the_steps_that_a_loop_repeats_are_named_though_they_lie_further_back():
    said = repeats(spoken(*(("a", text) for text in ("plan", "page one", "page two", "page three", *["page one"] * 2))))
    assert said.step == 4 and said.evidence["loops"] == [{"first": 4, "last": 5, "period": None}]
    assert said.reason.startswith("from here 2 steps in a row (until the end) did again what step 1 did, and ")
    more = repeats(spoken(*(("a", text) for text in ("one", "two", "x", "two", "one", "one"))))
    assert "did again what steps 0 and 1 did" in more.reason


def test_many_steps_that_a_loop_repeats_are_cut():
    texts = [*"abcdefg", "x", *"gfedcba", "a"]
    assert "did again what steps 0, 1, 2, 3, … and 6 did" in repeats(spoken(*(("a", text) for text in texts))).reason


NO_CODE = "There is no code from the last message for me to execute."
RAN = "exitcode: 0 (execution succeeded)\nCode output: 7"


def test_the_outputs_of_programs_and_standing_messages_of_executors_are_no_actions():
    talk = spoken(("a", "hello"), ("terminal", NO_CODE), ("b", "so"), ("terminal", NO_CODE), ("terminal", NO_CODE))
    ran = spoken(("a", "run x"), ("terminal", RAN), ("b", "run y"), ("terminal", RAN))
    for said in (repeats(talk), repeats(ran)):
        assert said.status == "clean" and said.remarks == {}


def test_what_an_executor_says_word_for_word_is_a_standing_message_if_its_other_texts_are_outputs():
    wait = ("terminal", "Nothing for me this time.")
    turns = (("a", "run x"), ("terminal", RAN), ("b", "so"), wait, ("a", "well"), wait)
    assert repeats(spoken(*turns)).remarks == {}
    assert repeats(spoken(*turns, ("terminal", "I think it is done."))).remarks != {}  # one that also speaks its mind


def test_one_agent_alone_has_no_executor():
    assert repeats(spoken(("a", RAN), ("a", RAN))).step == 1


def test_code_that_was_run_again_and_printed_the_same_is_a_loop_and_what_it_printed_came_back():
    code, other = ("coder", "```python\nrun()\n```"), ("terminal", "exitcode: 0 (execution succeeded)\nCode output: 8")
    again = repeats(spoken(code, ("terminal", RAN), code, ("terminal", RAN), code, ("terminal", RAN)))
    assert again.step == 2 and again.scores.tolist() == [0, 0, 1, 0, 0.5, 0]
    assert again.reason == (
        "from here 2 steps in a row (until the end) did again what step 0 did, and nothing new came back"
    )
    assert repeats(spoken(code, ("terminal", RAN), code, other)).status == "clean"
    twice = repeats(spoken(code, code, ("terminal", RAN)))
    assert twice.step == 1 and twice.reason.endswith("and what came back is not known")


def test_the_same_way_from_the_same_state_with_other_arguments_brings_nothing_new():
    def acted(q):
        return Step(state="s", action="find", text=f"find {q}", next_state="s")

    said = repeats(
        case(Rollout(group=0, rollout=0, outcome=0.0, steps=[acted("lamp"), acted("desk")], final_state="s"))
    )
    assert said.reason == "from here 1 step in a row (until the end) brought nothing new over step 0"
    assert said.step == 1 and said.remarks == {1: "brings nothing new over step 0"}
