"""Sessions of Claude Code, kept by the program itself while a stand-in answered."""

import json

from fixtures import TRACES

from stepcredit.data.formats._claude_code import conversations
from stepcredit.data.formats.anthropic_messages import fits, rollouts
from stepcredit.data.reading import Reading
from stepcredit.data.records import replies_of
from stepcredit.data.rows import Rows

MAIN, AGENT = "anthropic_messages_claude_code.jsonl", "anthropic_messages_claude_code_agent.jsonl"
ROWS = [json.loads(line) for line in (TRACES / MAIN).read_text().splitlines()]
SESSION = ROWS[0]["sessionId"]


def row(name, parent, said, role="user", **more):
    message = {"role": role, "content": said}
    if role == "assistant":
        message |= {"id": f"msg_{name}", "content": [{"type": "text", "text": said}], "model": "m"}
    return {"type": role, "uuid": name, "parentUuid": parent, "sessionId": "s", "message": message, **more}


def test_a_session():
    reading = Reading(TRACES / MAIN)
    (one,) = reading
    assert (reading.format, one.rollout, one.outcome) == ("anthropic_messages", SESSION, None)
    assert one.task == "sum.py subtracts where it should add. Repair it."
    assert [(s.text, s.reasoning) for s in one.steps] == [
        ("I look.", "Look first."),
        (None, None),
        (None, None),
        (None, None),
        ("It adds now.", None),
        (None, None),
    ]
    assert [[c.name for c in s.tool_calls] for s in one.steps] == [["Bash"], ["Bash"], ["Bash"] * 2, ["Agent"], [], []]
    assert [[(r.role, r.call, r.error) for r in replies_of(s)] for s in one.steps] == [
        [("tool", "toolu_0", False)],
        [("tool", "toolu_1", True)],
        [("tool", "toolu_2", False), ("tool", "toolu_3", False)],
        [("tool", "toolu_4", None)],
        [("user", None, None)],
        [],
    ]
    assert "No such file" in one.steps[1].observation


def test_an_answer_that_stands_in_several_rows_is_one_step_with_what_it_took():
    (one,) = Reading(TRACES / MAIN)
    assert sum(r.get("message", {}).get("id") == "msg_0" for r in ROWS) == 3
    origin = one.steps[0].origin
    assert (origin.response, origin.model, origin.trace) == ("msg_0", "claude-sonnet-4-5", SESSION)
    assert (origin.input_tokens, origin.output_tokens) == (35, 9)  # of these 5 came from the cache


def test_a_call_of_the_model_that_failed_is_a_step_with_its_error_alone():
    (one,) = Reading(TRACES / MAIN)
    assert one.steps[-1].origin.error == "API Error: 400 no more"


def test_a_subagent_is_a_rollout_of_its_own_in_its_file_and_in_that_of_the_session():
    (alone,) = Reading(TRACES / AGENT)
    assert alone.rollout.startswith(SESSION + "/")
    assert [(s.text, [c.name for c in s.tool_calls]) for s in alone.steps] == [(None, ["Bash"]), ("Line 2.", [])]
    inner = [json.loads(line) for line in (TRACES / AGENT).read_text().splitlines()]
    for one in inner:
        one.pop("agentId")  # as older versions wrote them
    main, sub = rollouts(Rows.of([*ROWS, *inner]))
    assert (main.rollout, len(main.steps)) == (SESSION, 6)
    assert [s.text for s in sub.steps] == [None, "Line 2."]


def test_a_prompt_that_goes_on_from_an_earlier_place_begins_a_branch():
    told = [
        row("u1", None, "q"),
        row("a1", "u1", "first", "assistant"),
        row("u2", "a1", "and?"),
        row("a2", "u2", "second", "assistant"),
        row("u3", "a1", "or?"),
        row("a3", "u3", "third", "assistant"),
    ]
    first, second = rollouts(Rows.of(told))
    assert [s.text for s in first.steps] == ["first", "second"]
    assert [s.text for s in second.steps] == ["first", "third"]
    assert (first.rollout, second.rollout, first.group) == ("s", "s/u3", second.group)
    assert second.steps[0].observation == "or?"


def test_a_file_that_begins_with_rows_that_are_no_messages_is_known():
    for first in (
        {"type": "summary", "summary": "sums", "leafUuid": "u"},
        {"type": "file-history-snapshot", "messageId": "u", "snapshot": {}, "isSnapshotUpdate": False},
        {"type": "queue-operation", "operation": "enqueue", "sessionId": "s"},
    ):
        assert fits(first, "x")
        (one,) = rollouts(Rows.of([first, row("u1", None, "q"), row("a1", "u1", "a", "assistant")]))
        assert [s.text for s in one.steps] == ["a"]


def test_results_of_a_batch():
    found = list(Reading(TRACES / "anthropic_messages_batch.jsonl"))
    assert [(r.group, r.steps[0].text, r.steps[0].origin.error) for r in found] == [
        ("w-1", "Let me see.", None),
        ("w-2", None, "bad"),
        ("w-3", None, "expired"),
    ]
    assert [c.name for c in found[0].steps[0].tool_calls] == ["weather"]


def test_a_response_alone_tells_what_it_took():
    response = {"type": "message", "role": "assistant", "id": "m1", "model": "m", "usage": {"input_tokens": 9}}
    (one,) = rollouts(Rows.of([{**response, "content": [{"type": "text", "text": "a"}]}]))
    assert (one.steps[0].text, one.steps[0].origin.input_tokens, one.steps[0].extra) == ("a", 9, {})


def test_many_prompts_from_one_place_and_many_rows_of_one_answer_end():
    asked = [row("0", None, "a"), *(row(str(i), "0", "b") for i in range(1, 20_000))]
    ((_, messages),) = conversations(asked)
    assert len(messages) == 20_000
    said = [row(str(i), str(i - 1), f"{i}", "assistant") for i in range(1, 20_000)]
    for one in said:
        one["message"]["id"] = "msg"
    ((_, messages),) = conversations([row("0", None, "a"), *said])
    assert len(messages) == 2 and len(messages[1]["content"]) == 19_999
    assert len(said[0]["message"]["content"]) == 1, "rows stay as they are"


def test_a_row_without_its_type_is_known_by_its_message():
    said = row("a1", "u1", "one", "assistant")
    del said["type"]
    ((_, messages),) = conversations([row("u1", None, "x"), said])
    assert [m["role"] for m in messages] == ["user", "assistant"]


def test_an_answer_that_goes_on_in_a_branch_does_not_in_the_other():
    first, more = row("a1", "u1", "one", "assistant"), row("a2", "u2", "two", "assistant")
    more["message"]["id"] = first["message"]["id"]
    asked = [row("u1", None, "x"), first, row("u2", "a1", "y"), row("a3", "u2", "z", "assistant")]
    before, after = conversations([*asked, row("u3", "u2", "again"), more])
    assert [len(m["content"]) for _, ms in (before, after) for m in ms if m["role"] == "assistant"] == [1, 1, 2]
