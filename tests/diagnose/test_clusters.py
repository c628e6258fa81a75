"""What fails most, and which failures are alike: counts that a loop confirms, signatures of hostile texts."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepcredit.data.records import Message, Origin, Rollout, Step, ToolCall
from stepcredit.diagnose.case import Verdict
from stepcredit.diagnose.clusters import Seen, failing_tool, kind, signature, skeleton
from stepcredit.diagnose.features import failure


def run(name, *steps, group="g"):
    return Rollout(group=group, rollout=name, outcome=0.0, steps=list(steps))


def found(rollout, step, error=None, agent=None):
    return Verdict("found", np.zeros(len(rollout.steps)), step=step, error=error, agent=agent)


def call(name, reply="fine", agent=None, error=None, **arguments):
    return Step(
        agent=agent,
        tool_calls=[ToolCall(name=name, arguments=arguments, id="1")],
        observation=reply,
        replies=[Message(role="tool", call="1", error=error)],
    )


def rates(seen, by):
    return {one.name: (one.blamed, one.steps, one.runs) for one in seen.rates(by)}


def test_steps_tools_and_agents_are_counted_with_all_the_steps_there_were():
    seen = Seen()
    one = run("1", call("search", agent="A"), call("buy", agent="B"), Step(text="done", agent="A"))
    two = run("2", call("search", agent="A"), Step(text="done", agent="B"))
    seen.add(one, found(one, 1))
    seen.add(two, found(two, 0))
    assert rates(seen, "tool") == {"buy": (1, 1, 1), "search": (1, 2, 2)}
    assert list(rates(seen, "tool")) == ["buy", "search"]  # of equal counts the larger share first
    assert rates(seen, "agent") == {"A": (1, 3, 2), "B": (1, 2, 2)}
    assert rates(seen, "kind") == {"tool call": (2, 3, 2)}
    (buy, _) = seen.rates("tool")
    assert buy.share == 1 and buy.low < 1 and buy.of_all == 0.5


def test_runs_without_a_verdict_count_as_steps_that_were_not_blamed():
    seen = Seen()
    one, two = run("1", call("a")), run("2", call("a"))
    seen.add(one, found(one, 0))
    seen.add(two, Verdict("unknown", np.full(1, np.nan)))
    assert rates(seen, "tool") == {"a": (1, 2, 2)} and seen.found == 1


def test_nothing_and_nobody():
    seen = Seen()
    assert seen.rates("tool") == [] and seen.clusters() == []
    empty = run("1")
    seen.add(empty, Verdict("unknown", np.zeros(0)))
    assert seen.rates("kind") == [] and seen.found == 0
    plain = run("2", Step(text="hm"))
    seen.add(plain, found(plain, 0))
    assert seen.rates("agent") == [] and seen.rates("tool") == []  # nobody is named, nothing is called
    assert rates(seen, "kind") == {"answer": (1, 1, 1)}


def test_clusters_join_what_differs_in_numbers_paths_and_quotations_only():
    seen = Seen()
    for i in range(5):
        one = run(str(i), call("open", f"Error {i}: '/home/u{i}/f{i}.txt' not found in /srv/data/{i}", "AB"[i % 2]))
        seen.add(one, found(one, 0, "tool_failed"))
    other = run("x", call("open", "PermissionError: denied"))
    seen.add(other, found(other, 0, "tool_failed"))
    first, second = seen.clusters()
    assert (first.size, first.error, first.tool) == (5, "tool_failed", "open")
    assert first.signature == "error #: … not found in PATH"
    assert first.agents == ("A", "B") and first.examples == (("g", "0", 0), ("g", "1", 0), ("g", "2", 0))
    assert second.size == 1 and second.signature == "permissionerror: denied"
    assert first.of_all + second.of_all == 1


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["e", "f", None]), st.booleans()), max_size=12))
def test_clusters_are_what_a_loop_counts(rows):
    seen, expected = Seen(), Counter()
    for i, (tool, error, said) in enumerate(rows):
        one = run(str(i), call(tool, "no"))
        seen.add(one, found(one, 0, error) if said else Verdict("clean", np.zeros(1)))
        if said:
            expected[error, tool] += 1
    assert {(c.error, c.tool): c.size for c in seen.clusters()} == dict(expected)
    sizes = [c.size for c in seen.clusters()]
    assert sizes == sorted(sizes, reverse=True)


def test_the_failing_call_of_several_is_named():
    step = Step(
        tool_calls=[ToolCall(name="a", id="1"), ToolCall(name="b", id="2")],
        replies=[
            Message(role="tool", call="1", content="ok"),
            Message(role="tool", call="2", content="bad", error=True),
        ],
    )
    assert failing_tool(step) == "b" and signature(step) == "bad"
    assert failing_tool(Step(text="hm")) is None
    assert failing_tool(Step(replies=[Message(role="tool", name="t", error=True, content="x")])) == "t"


def test_signatures_of_errors_in_every_place():
    trace = "Traceback (most recent call last):\n  File 'x.py', line 3\nValueError: bad value 17"
    assert signature(call("run", trace)) == "valueerror: bad value #"
    assert signature(Step(text="hm", origin=Origin(error="429 Too Many Requests"))) == "# too many requests"
    assert signature(call("find", "three hits", b=1, a=2)) == "find(a, b)"
    assert signature(Step(text="I think 42")) == "i think #"
    assert signature(Step()) == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("GET https://x.org/a?b=1 failed", "get URL failed"),
        ("id 3f2b8c1d-aaaa-bbbb-cccc-0123456789ab gone", "id ID gone"),
        (r"C:\Users\me\x.txt missing", "PATH missing"),
        ("ünïcode «naïve» 日本語 12", "ünïcode «naïve» 日本語 #"),
        ("\n\n  first line\nsecond", "first line"),
        ("", ""),
    ],
)
def test_skeletons(text, expected):
    assert skeleton(text) == expected


def test_signatures_of_hostile_texts_are_short():
    for text in ("/" * 10**6, "'" * 10**6, "a/" * 10**6, "0" * 10**6, '"' * 999 + "\n", "\x1b[31m" * 10**5):
        assert len(signature(Step(text=text))) <= 90
        assert len(signature(Step(observation="error " + text))) <= 90


@pytest.mark.parametrize(
    ("step", "last", "expected"),
    [
        (Step(tool_calls=[ToolCall(name="a")], text="```x```"), True, "tool call"),
        (Step(text="```py\n1\n```"), False, "code"),
        (Step(text="so"), False, "message"),
        (Step(text="so"), True, "answer"),
        (Step(text="go east", action="east"), True, "action"),
        (Step(), True, "empty"),
    ],
)
def test_kinds(step, last, expected):
    assert kind(step, last) == expected


def traced(frames, end, tool="run"):
    lines = "".join(f'  File "/srv/app/m{i}.py", line {i}, in f{i}\n    call_{i}(x)\n' for i in range(frames))
    return call(tool, f"Traceback (most recent call last):\n{lines}{end}")


def test_a_long_traceback_is_known_by_its_end():
    for frames in (1, 60, 2000):
        assert signature(traced(frames, "KeyError: 'x'")) == "keyerror: …"
    seen = Seen()
    for i, frames in enumerate((1, 60, 61)):
        one = run(str(i), traced(frames, f"KeyError: 'user_{i}'"))
        seen.add(one, found(one, 0, "tool_failed"))
    assert [c.size for c in seen.clusters()] == [3]


def test_what_reports_an_error_is_what_every_method_takes_for_one():
    page = "Errors are invalid. " * 30
    for text, expected in (
        ("order 404 was not refused, nothing failed\n" + page, "run()"),
        ("exitcode: 0 (execution succeeded)\nerror rate: 0.1", "run()"),
        ("status code: 429, try later", "status code: #, try later"),
        ("No results found.", "no results found."),
    ):
        assert signature(call("run", text)) == expected
        assert (failure(call("run", text)) is None) == (expected == "run()")
    fine = call("run", "Error: as wanted", error=False)
    assert signature(fine) == "run()"


def test_an_error_is_known_by_its_whole_line():
    where = "/".join(["/home"] + ["directory"] * 30)
    assert signature(call("open", f"Error: '{where}/1.txt' is missing")) == "error: … is missing"


def test_the_failing_call_is_known_by_its_words_too():
    step = Step(
        tool_calls=[ToolCall(name="a", id="1"), ToolCall(name="b", id="2")],
        replies=[Message(role="tool", call="1", content="ok"), Message(role="tool", call="2", content="Error: bad")],
    )
    assert failing_tool(step) == "b" and signature(step) == "error: bad"


def test_who_is_to_blame_is_whom_the_verdict_names():
    seen = Seen()
    for name, blamed in (("1", "Web"), ("2", "Web"), ("3", None)):
        one = run(name, call("a", agent="Planner"))
        seen.add(one, found(one, 0, agent=blamed))
    assert seen.clusters()[0].agents == ("Web", "Planner")
