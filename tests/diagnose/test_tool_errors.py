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
        ("Error: None of the hosts answered", "said"),
        ("Error: null pointer", "said"),
        ("Error 0: cannot open x", "said"),
        ("Error:\n  it broke", "said"),
        ('{"error": "none of these is a user"}', "said"),
        ('{"error": {"code": 3}}', "said"),
        ("Failed: 3, passed: 1", "said"),
        ('{"status": "404 Not Found"}', "HTTP"),
        ("failed with status 404 for url http://x", "HTTP"),
        ("ssh: connect to host x port 22: Connection timed out", "said"),
        ("Command 'sleep' timed out after 3 seconds", "said"),
        ("exitcode: 0 (execution succeeded)\nCode output: Error: could not find the table", "said"),
        ("exitcode: 0 (execution succeeded)\nCode output: \nValueError: no digits", "exception"),
        ("exit code: 0\nNo results found.", "nothing found"),
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
        '{"error": null, "result": 7}',
        '{\n  "error": "",\n  "result": 7\n}',
        '{"error": false}',
        '{"result": 7, "error": "none"}',
        '{"error": {}, "result": 7}',
        "{'error': None, 'result': 7}",
        '{"failed": 0, "passed": 12}',
        "Failed: 0",
        "Failed: 0 Passed: 12",
        "Failed 0 of 12",
        "Error rate: 0.02%",
        "Error: None",
        '{"status": "404 seats left"}',
        "Talks timed out on Tuesday",
        "exitcode: 0 (execution succeeded)\nCode output: \nx = 3",
        "exitcode: 0 (execution succeeded)\nCode output: ",
        "exit code: 0\nchecked\nError: as the test wanted",
        "exit code: 0\nError: a long report. " + "Of many words. " * 30,
    ],
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
    assert said.reason.endswith(" and the call after it failed too")
    assert said.evidence["failures"][0] == {
        "step": 1, "kind": "said", "words": "Error: no order 1", "after": "nothing worked after it"
    }  # fmt: skip


def test_a_failure_that_was_got_over_or_gone_around_is_noted_and_not_blamed():
    said = tool_errors(case(chat("a", [FAILS, WORKS, SAYS])))
    assert said.status == "clean" and said.scores.tolist() == [0.25, 0, 0]
    assert said.remarks == {0: "Error: no order 1 (recovered at step 1)"}
    around = tool_errors(case(chat("a", [FAILS, OTHER])))
    assert around.status == "clean" and around.scores.tolist() == [0.5, 0]


def written(*texts, names=("coder", "terminal")):
    """Two agents in turns: one writes code, the other says what it printed."""
    steps = [Step(agent=names[t % 2], text=text) for t, text in enumerate(texts)]
    return case(Rollout(group=0, rollout=0, outcome=0.0, steps=steps))


RAN = "exitcode: 0 (execution succeeded)\nCode output: 7"
BROKE = "exitcode: 1 (execution failed)\nCode output: Traceback (most recent call last):\n  x\nKeyError: 'x'"


def test_programs_that_ran_and_worked_are_tools_that_did_not_fail():
    said = tool_errors(written("run it", RAN, "seven"))
    assert (said.status, said.reason) == ("clean", "no tool failed")


def test_what_a_user_brings_that_is_the_output_of_a_program_is_an_answer():
    def turn(text, code, out):
        seen = f"Observation: {{'output': '{out}', 'returncode': {code}, 'action': '{text}'}}"
        return Step(text=text, observation=seen, replies=[Message(role="user")])

    bad, good = turn("ls nowhere", 2, "ls: cannot access nowhere"), turn("ls", 0, "sum.py")
    told = Step(text="look", replies=[Message(role="user", content="<returncode>1</returncode>\n<output></output>")])
    runs = [Rollout(group=0, rollout=0, outcome=0.0, steps=steps) for steps in ([good, bad], [bad, good], [told])]
    assert [tool_errors(case(run)).step for run in runs] == [1, None, 0]
    assert tool_errors(case(runs[1])).evidence["failures"][0]["after"] == "recovered at step 1"


def test_how_the_run_went_on_after_the_failure_is_said():
    ended, on = tool_errors(case(chat("a", [FAILS]))), tool_errors(case(chat("a", [FAILS, SAYS, SAYS])))
    assert ended.reason == "the tool failed (said: Error: no order 1) and the run ended there"
    assert on.reason == "the tool failed (said: Error: no order 1) and no call was made after it (2 more steps)"
    assert on.remarks == {0: "Error: no order 1 (no call was made after it (2 more steps))"}
    silent = ("try", "get", {"id": 3}, None)
    assert tool_errors(case(chat("a", [FAILS, silent]))).reason.endswith("what the call after it brought is not known")
    assert tool_errors(case(chat("a", [FAILS, silent, FAILS]))).reason.endswith(
        "of the 2 calls after it 1 failed, and what came of the others is not known"
    )
    assert tool_errors(written("run it", BROKE)).reason.endswith("and the run ended there")
    assert tool_errors(written("run it", BROKE, "so be it")).reason.endswith("no call was made after it (1 more step)")
    twice = tool_errors(written("run it", BROKE, "again", BROKE, "third", BROKE))
    assert twice.step == 0 and twice.reason.endswith("and the 2 calls after it failed too")


def test_a_program_that_ends_well_and_prints_an_error_is_no_recovery():
    said = tool_errors(written("run it", BROKE, "again", "exitcode: 0 (execution succeeded)\nError: no table", "so"))
    assert (said.status, said.step) == ("found", 0) and said.reason.endswith("and the call after it failed too")


def test_a_recovery_that_printed_nothing_is_said_to_be_such():
    said = tool_errors(written("run it", BROKE, "again", "exitcode: 0 (execution succeeded)\nCode output: ", "so"))
    assert said.status == "clean" and said.remarks[0].endswith("(recovered at step 2, which printed nothing)")


def test_a_tool_that_failed_each_time_is_not_gone_around():
    think, other = ("hm", "think", {}, "noted"), ("or so", "get", {"id": 3}, "Error: no order 3")
    said = tool_errors(case(chat("a", [FAILS, think, other, OTHER, SAYS])))
    assert (said.status, said.step, said.error) == ("found", 0, "tool_failed")
    assert said.reason == "the tool failed (said: Error: no order 1): get failed both times"
    assert said.scores.tolist() == [1, 0, 0.75, 0, 0]
    assert "get failed all 3 times" in tool_errors(case(chat("a", [FAILS, FAILS, other, OTHER]))).reason
    once = tool_errors(case(chat("a", [FAILS, think, OTHER])))
    empty = tool_errors(case(chat("a", [FAILS, ("x", "get", {}, "[]"), other, OTHER])))
    worked = tool_errors(case(chat("a", [WORKS, FAILS, other, OTHER])))
    assert once.status == empty.status == worked.status == "clean"


def test_a_test_that_goes_on_failing_is_no_tool_that_never_worked():
    tests, edit = (
        ("test", "run_tests", {}, "FAILED test_a - assert 4 == 5"),
        ("edit", "edit_file", {"new": "x"}, "done"),
    )
    assert tool_errors(case(chat("a", [tests, edit, tests, edit]))).status == "clean"


def test_a_failure_that_nothing_followed_goes_before_a_tool_that_never_worked():
    last = ("put it", "put", {}, "Error: full")
    other = ("or so", "get", {"id": 3}, "Error: no order 3")
    assert tool_errors(case(chat("a", [FAILS, other, OTHER, last]))).step == 3
    assert tool_errors(case(chat("a", [FAILS, other, OTHER]))).step == 0


def test_results_that_were_printed_beside_the_failure_and_used_halve_the_confidence():
    printed = f"{BROKE}\nfound: https://example.org/a/b with 1,204,551 views"
    used = tool_errors(written("run it", printed, "It has 1204551 views."))
    assert used.step == 0 and used.confidence == 0.25 and "though it printed results, which were used," in used.reason
    for text, after in ((printed, "It broke."), (BROKE, "It has 1204551 views."), (printed, None)):
        other = tool_errors(written("run it", text, *([after] if after else [])))
        assert other.step == 0 and other.confidence is None and "results" not in other.reason
    known = tool_errors(written("open https://example.org/a/b", printed, "See https://example.org/a/b"))
    assert known.confidence is None
    trace = "Traceback (most recent call last):\n  line 123456\nValueError: 123456"
    assert tool_errors(written("run it", trace, "It says 123456")).confidence is None


def test_nothing_found_is_no_failed_tool():
    empty = ("x", "search", {}, "[]")
    said = tool_errors(case(chat("a", [WORKS, empty, empty, SAYS])))
    assert (said.step, said.error) == (1, "poor_query")
    assert said.reason == "the tool found nothing ([]) and the call after it found nothing either"
    assert tool_errors(case(chat("a", [FAILS, empty]))).reason.endswith(" and the call after it found nothing")
    mixed = tool_errors(case(chat("a", [FAILS, empty, FAILS])))
    assert mixed.reason.endswith(" and the 2 calls after it failed or found nothing")
    over = tool_errors(case(chat("a", [empty, OTHER])))
    assert over.reason == "no tool failed; 1 call found nothing, and later ones worked"
    assert over.remarks == {0: "found nothing: [] (the same tool answered at step 1)"}
    both = tool_errors(case(chat("a", [empty, FAILS, OTHER])))
    assert both.reason == "the one failed call was got over or gone around; 1 call found nothing, and later ones worked"
    stuck = tool_errors(case(chat("a", [("push", "push", {}, "Nothing happens.")])))
    assert stuck.error == "tool_failed" and stuck.reason.startswith("the call did nothing (Nothing happens.)")


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
