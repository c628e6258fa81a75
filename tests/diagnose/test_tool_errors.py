"""Failed tools, by the record and by their words. Under 1 s."""

import pytest
from made_runs import case, chat

from stepcredit.data.records import Message, Origin, Rollout, Step, ToolCall
from stepcredit.diagnose.features import failure, told
from stepcredit.diagnose.methods.tool_errors import tool_errors

FAILS = ("try", "get", {"id": 1}, "Error: no order 1")
WORKS = ("try", "get", {"id": 2}, "order 2: two lamps")
OTHER = ("try", "search", {"q": "lamp"}, "lamp, 3 left")
SAYS = ("The lamp is on its way.", None, None, None)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Traceback (most recent call last):\n  File 'a.py', line 1\nValueError: bad value", "exception"),
        ("exitcode: 1 (execution failed)\nCode output: x", "exit code"),
        ("Command exited with code 127", "exit code"),
        ("requests.exceptions.HTTPError: 404 Client Error: Not Found for url: http://x", "HTTP"),
        ("HTTP/1.1 503 Service Unavailable", "HTTP"),
        ("status code: 429", "HTTP"),
        ("openai.RateLimitError: quota", "exception"),
        ('{"error": "no such user"}', "said"),
        ('{"success": false, "reason": "closed"}', "said"),
        ("Error: user not in the list", "said"),
        ("bash: foo: command not found", "said"),
        ("cat: x: No such file or directory", "said"),
        ("Unknown tool 'lookup'", "said"),
        ("The request timed out after 30 s", "said"),
        ("User not found", "nothing found"),
        ("No results found.", "nothing found"),
        ("[]", "nothing found"),
    ],
)
def test_the_words_of_a_failure(text, kind):
    found = told(text)
    assert found is not None and found.kind == kind and found.words


@pytest.mark.parametrize(
    "text",
    [
        "exitcode: 0 (execution succeeded)\nCode output: Error rate: 0.1",
        "order 404 holds two lamps",
        "The book of errors, by A. Writer: how an exception proves the rule",
        "There are 5 results. " + "A long page on what nobody found and no results in it. " * 20,
        "temperature 500 degrees",
        "",
        "Error handling in Python",
    ][:-1],
)
def test_words_that_are_no_failure(text):
    assert told(text) is None


def test_the_last_line_of_a_traceback_and_of_an_exit_code_is_quoted():
    long = "Traceback (most recent call last):\n" + "  File 'x.py'\n" * 300 + "KeyError: 'name'\n"
    assert told(long).words == "KeyError: 'name'"
    assert told("exit code: 2\nValueError: no digits").words == "exit code: 2: ValueError: no digits"


def test_what_the_record_says_goes_before_words():
    call = [ToolCall(name="get")]
    fine = Step(tool_calls=call, observation="Error: as wanted", replies=[Message(role="tool", error=False)])
    wrong = Step(tool_calls=call, observation="all is well", replies=[Message(role="tool", error=True)])
    assert failure(fine) is None and failure(wrong).kind == "error"
    assert failure(Step(text="x", origin=Origin(error="rate limit"))).words == "rate limit"


def test_what_a_user_says_is_no_failure_of_a_tool():
    assert failure(Step(text="Hello", observation="Error: I am angry", replies=[Message(role="user")])) is None
    assert failure(Step(text="Hello", observation="Error: I am angry")) is None


def test_a_failure_that_nothing_working_followed_is_blamed():
    said = tool_errors(case(chat("a", [WORKS, FAILS, FAILS, SAYS])))
    assert (said.status, said.step, said.error) == ("found", 1, "tool_failed")
    assert said.scores.tolist() == [0, 1, 0.75, 0] and "Error: no order 1" in said.reason
    assert "nor did the 1 calls that failed after it" in said.reason
    assert said.evidence["failures"][0] == {
        "step": 1, "kind": "said", "words": "Error: no order 1", "after": "nothing worked after it"
    }  # fmt: skip


def test_a_failure_that_was_got_over_or_gone_around_is_noted_and_not_blamed():
    said = tool_errors(case(chat("a", [FAILS, WORKS, SAYS])))
    assert said.status == "clean" and said.scores.tolist() == [0.25, 0, 0]
    assert said.remarks == {0: "Error: no order 1 (recovered at step 1)"}
    around = tool_errors(case(chat("a", [FAILS, OTHER])))
    assert around.status == "clean" and around.scores.tolist() == [0.5, 0]


def test_nothing_found_weighs_half_and_a_clean_run_is_clean():
    said = tool_errors(case(chat("a", [FAILS, ("x", "search", {}, "[]"), ("y", "search", {}, "page")])))
    assert said.scores.tolist() == [0.5, 0.125, 0]
    assert tool_errors(case(chat("a", [WORKS, SAYS]))).reason == "no tool failed"


def test_a_failure_goes_before_nothing_found():
    empty = ("x", "search", {}, "[]")
    said = tool_errors(case(chat("a", [empty, FAILS, empty])))
    assert said.step == 1 and said.scores.tolist() == [0.375, 1, 0.375]
    assert tool_errors(case(chat("a", [empty, empty]))).step == 0


def test_a_failure_that_no_other_run_shows_is_said_to_be_so():
    said = tool_errors(case(chat("a", [FAILS]), chat("b", [WORKS], 1.0)))
    assert said.reason.endswith("none of the 1 other runs with a known outcome has such a failure")
    assert said.confidence is None


def test_among_agents_the_output_of_a_program_belongs_to_who_wrote_it():
    def log(*outputs):
        steps = []
        for out in outputs:
            steps += [Step(agent="coder", text="```python\nrun()\n```"), Step(agent="terminal", text=out)]
        return Rollout(group=0, rollout=0, outcome=0.0, steps=steps)

    failed, worked = "exitcode: 1 (execution failed)\nKeyError: 'x'", "exitcode: 0 (execution succeeded)\n7"
    assert tool_errors(case(log(worked, failed))).step == 2
    assert tool_errors(case(log(worked, failed))).agent == "coder"
    assert tool_errors(case(log(failed, worked))).status == "clean"


def test_without_tools_it_cannot_tell():
    for turns in ([], [SAYS, SAYS]):
        assert tool_errors(case(chat("a", turns))).status == "unknown"


def test_other_runs_say_how_much_a_failure_matters():
    bad, good = [FAILS, SAYS], [WORKS, SAYS]
    harmless = tool_errors(case(chat("a", bad), *(chat(f"b{i}", bad, 1.0) for i in range(4)), chat("c", good, 1.0)))
    harmful = tool_errors(
        case(chat("a", bad), *(chat(f"b{i}", bad) for i in range(4)), *(chat(i, good, 1.0) for i in "cde"))
    )
    assert harmless.confidence == 0 and harmful.confidence > 0.8
    assert "4 of 4 with such a failure failed, and 0 of 3 without" in harmful.reason


def test_of_two_tools_that_work_again_the_first_to_do_so_is_named():
    both = Step(
        tool_calls=[ToolCall(name="get", id="1"), ToolCall(name="put", id="2")],
        replies=[Message(role="tool", call="1", content="x", error=True), Message(role="tool", call="2", content="y")],
    )

    def works(name):
        return Step(tool_calls=[ToolCall(name=name)], observation="fine", replies=[Message(role="tool", name=name)])

    for order, at in ((("put", "get"), 1), (("look", "get", "put"), 2)):
        steps = [both, *(works(name) for name in order)]
        said = tool_errors(case(Rollout(group=0, rollout=0, outcome=0.0, steps=steps)))
        assert said.evidence["failures"][0]["after"] == f"recovered at step {at}"


def test_a_reply_that_is_known_to_be_no_error_is_a_call_that_worked():
    """As of agents that write commands into their text: the reply comes from the user, and may be empty."""
    bad = Step(text="ls summ.py", replies=[Message(role="user", content="ls: no such file or directory", error=True)])
    good = Step(text="sed -i s/-/+/ sum.py", replies=[Message(role="user", content="", error=False)])
    said = tool_errors(case(Rollout(group="g", rollout="a", outcome=0.0, steps=[bad, good])))
    assert (said.status, said.remarks[0][-21:]) == ("clean", "(recovered at step 1)")


def test_a_call_of_the_model_that_failed_is_no_failed_tool():
    steps = [Step(text="done."), Step(origin=Origin(error="API Error: 400 no more"))]
    said = tool_errors(case(Rollout(group="g", rollout="a", outcome=0.0, steps=steps)))
    assert (said.step, said.error) == (1, "environment_failed")
    assert said.reason.startswith("the call of the model failed (error: API Error: 400 no more)")
