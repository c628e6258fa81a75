"""Another answer than the runs that succeeded gave. About 2 s."""

import pytest
from made_runs import case, chat, run

from stepcredit.data.records import Message
from stepcredit.diagnose.methods.combined import combined
from stepcredit.diagnose.methods.other_answer import other_answer

ASKS = ("where?", "search", {"q": "capital of France"}, "Paris is the capital of France.")


def answers(name, text, outcome=0.0, *before):
    return chat(name, [*before, (text, None, None, None)], outcome)


def test_the_last_step_is_wrong_where_its_answer_is_none_of_those_that_succeeded():
    wrong = answers("a", "It is old. <answer>Lyon</answer>", 0.0, ("hm", "search", {"q": "Lyon"}, "a city"))
    right = [
        answers(f"b{i}", f"<answer>{one}</answer>", 1.0) for i, one in enumerate(["Paris", "paris.", "Paris, France"])
    ]
    said = other_answer(case(wrong, *right))
    assert (said.status, said.step, said.error, said.confidence) == ("found", 1, "wrong_turn", 0.5)
    assert said.reason == "its answer is 'Lyon'; 2 of 3 runs that succeeded answered 'Paris'"
    assert said.scores.tolist() == pytest.approx([float("nan"), 1.0], nan_ok=True)


def test_it_says_where_the_answer_had_come_back():
    said = other_answer(case(answers("a", "Answer: Lyon", 0.0, ASKS), answers("b", "Answer: Paris", 1.0)))
    assert said.step == 1 and said.error == "ignored_observation"
    assert said.reason.endswith("answered 'Paris', which had come back at step 0")


def test_a_word_such_as_no_is_everywhere_and_comes_back_nowhere():
    no = ("look", "search", {}, "There is no such film.")
    said = other_answer(case(answers("a", "<answer>Yes</answer>", 0.0, no), answers("b", "<answer>No</answer>", 1.0)))
    assert said.status == "found" and said.evidence["came_back"] is None


@pytest.mark.parametrize(
    ("mine", "right"),
    [("Paris", "The Paris"), ("Paris, in France", "Paris"), ("\\boxed{4}", "Answer: 4"), ("4", "#### 4")],
)
def test_answers_are_the_same_if_one_holds_the_other(mine, right):
    said = other_answer(case(answers("a", mine), answers("b", right, 1.0)))
    assert said.status == "unknown" and "is one that succeeded" in said.reason


def test_part_of_a_word_or_number_is_another_answer():
    assert other_answer(case(answers("a", "190"), answers("b", "1901", 1.0))).step == 0


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("finish", {"answer": "Lyon"}), ("submit", {"value": "Lyon"}), ("final_answer", {"text": "Lyon"})],
)
def test_the_text_of_a_call_to_finish_is_an_answer(name, arguments):
    said = other_answer(case(chat("a", [ASKS, ("so", name, arguments, None)]), answers("b", "Paris", 1.0)))
    assert said.step == 1 and said.evidence["answer"] == "Lyon"


def test_an_action_that_finishes_is_an_answer():
    wrong = answers("a", "Thought: so it is.\nAction 3: Finish[Lyon]", 0.0, ASKS)
    assert other_answer(case(wrong, answers("b", "Finish[Paris]", 1.0))).evidence["answer"] == "Lyon"


def test_the_short_texts_of_an_agent_that_calls_no_tools_are_no_answers():
    right = answers("b", "Paris", 1.0)
    acts = answers("a", "go north", 0.0, ("look around", None, None, "a room"))
    assert "cannot be made out" in other_answer(case(acts, right)).reason
    assert other_answer(case(run("a", ["north"], 0.0), right)).status == "unknown"
    assert other_answer(case(answers("a", "go north", 0.0, ASKS), right)).status == "found"
    walks = answers("a", "go north", 0.0, ASKS)
    walks.steps[-1].action = "north"
    assert other_answer(case(walks, right)).status == "unknown"


def test_where_no_answer_can_be_made_out_it_says_so():
    long = "I have looked at all that was there and could not decide which of the two it should be."
    other_call = chat("a", [ASKS])
    right = answers("b", "Paris", 1.0)
    for one in (answers("a", long), other_call, answers("a", "..."), chat("a", [])):
        assert "cannot be made out" in other_answer(case(one, right)).reason
    assert "no other run succeeded" in other_answer(case(answers("a", "Lyon"), answers("b", long, 1.0))).reason
    assert "no other run succeeded" in other_answer(case(answers("a", "Lyon"), answers("b", "Rome", 0.0))).reason
    assert other_answer(case(answers("a", "Lyon", None), right)).status == "unknown"
    assert other_answer(case(answers("a", "Lyon", 1.0), right)).status == "clean"


def test_the_default_names_it_where_nothing_is_alike():
    wrong = answers("a", "<answer>Lyon</answer>", 0.0, ("hm", "search", {"q": "old towns"}, "Lyon is old"))
    right = answers("b", "<answer>Paris</answer>", 1.0, ASKS)
    said = combined(case(wrong, right))
    assert (said.status, said.step, said.confidence) == ("found", 1, 0.5) and "other_answer" in said.reason


def came(right, reply):
    look = ("look", "search", {"q": "it"}, reply)
    return other_answer(case(answers("a", "Answer: Lyon", 0.0, look), answers("b", f"Answer: {right}", 1.0)))


def test_an_answer_that_stands_in_the_question_came_back_nowhere():
    look = ("look", "search", {"q": "it"}, "The song is by Lion Cub Jr., they say.")
    runs = [
        chat("a", [look, ("Answer: Tiger", None, None, None)], task="Which was sung first, Lion Cub or Tiger?"),
        answers("b", "Answer: Lion Cub", 1.0),
    ]
    said = other_answer(case(*runs))
    assert (said.status, said.error, said.evidence["came_back"]) == ("found", "wrong_turn", None)
    assert "come back" not in said.reason
    runs[0].task, runs[0].context = None, [Message(role="user", content="Lion Cub or Tiger?")]
    assert other_answer(case(*runs)).evidence["came_back"] is None
    runs[0].context = []
    assert other_answer(case(*runs)).evidence["came_back"] == 0


@pytest.mark.parametrize(
    ("right", "reply", "step"),
    [
        ("fourth", "It ran in the fourth year.", None),
        ("Fourth", "It ran in the fourth year.", None),
        ("fourth", "Fourth, it ran.", None),
        ("Marble", "a bust (marble), made by Marble", 0),
        ("Marble", "a bust (marble)", None),
        ("1873", "built in 1873.", 0),
        ("19th", "of the 19th century", 0),
        ("fourth year", "It ran in the fourth year.", 0),
    ],
)
def test_one_word_in_small_letters_is_everywhere_and_comes_back_nowhere(right, reply, step):
    assert came(right, reply).evidence["came_back"] == step


def test_thoughts_are_no_part_of_an_answer():
    right = answers("b", "Paris", 1.0)
    thinks = answers("a", "<think>\nAnswer: Paris, or is it not?\n</think>\n\nLyon", 0.0, ASKS)
    assert other_answer(case(thinks, right)).evidence["answer"] == "Lyon"
    inside = answers("a", "<think>so <answer>Lyon</answer></think>", 0.0, ASKS)
    assert other_answer(case(inside, right)).evidence["answer"] == "Lyon"
