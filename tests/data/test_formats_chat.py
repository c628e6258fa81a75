"""Chats in OpenAI's messages format, and logs of calls."""

import json
import shutil

import fixtures
import pytest
from fixtures import TRACES

from stepcredit.data.formats.openai_chat import fits, rollouts
from stepcredit.data.reading import Reading
from stepcredit.data.records import Origin, ToolCall, replies_of
from stepcredit.data.rows import Rows
from stepcredit.errors import DataError

CALL = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "1+1?"}, {"type": "image_url", "image_url": {}}]},
    {"role": "assistant", "content": None, "tool_calls": [CALL], "reasoning": "hm"},
    {"role": "tool", "tool_call_id": "c1", "content": "2"},
    {"role": "user", "content": "well?"},
    {"role": "assistant", "content": "2", "name": "solver"},
]


def read(*rows):
    return list(rollouts(Rows.of(rows)))


def test_an_assistant_message_is_a_step_and_what_follows_its_observation():
    (one,) = read({"group": "p", "messages": CHAT, "model": "m"})
    first, last = one.steps
    assert (first.text, first.observation, first.state) == (None, "2\nwell?", None)
    assert first.tool_calls == [ToolCall(name="add", arguments='{"a": 1}', id="c1")]
    assert (first.reasoning, first.extra) == ("hm", {})
    assert (last.text, last.observation, last.agent) == ("2", None, "solver")
    assert one.task == "1+1?[image_url]"
    assert one.extra == {"model": "m"}
    assert [(m.role, m.content) for m in one.context] == [("system", "Be brief."), ("user", "1+1?[image_url]")]
    assert [(m.role, m.call, m.content) for m in first.replies] == [("tool", "c1", "2"), ("user", None, "well?")]


@pytest.mark.parametrize("group", ["group", "prompt_id", "task_id"])
@pytest.mark.parametrize(
    "outcome", ["outcome", "reward", "score", "correct", "success", "passed", "resolved", "is_correct"]
)
def test_usual_names_of_group_and_outcome(group, outcome):
    (one,) = read({group: 7, outcome: True, "messages": []})
    assert (one.group, one.outcome, one.extra) == (7, 1.0, {})


def test_attempts_are_counted_per_group_where_no_rollout_is_named():
    found = read(*({"group": g, "messages": []} for g in "abaab"))
    assert [(r.group, r.rollout) for r in found] == [("a", 0), ("b", 0), ("a", 1), ("a", 2), ("b", 1)]
    assert read({"group": 1, "rollout": "x", "messages": []})[0].rollout == "x"


def test_an_unknown_outcome_stays_unknown():
    assert read({"group": 1, "messages": []}, {"group": 1, "reward": None, "messages": []})[1].outcome is None


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"message": []}, "neither a chat, a message nor a logged call"),
        ({"request": {"messages": "hi"}, "response": None}, "messages of a request"),
        ({"request": {"messages": []}, "response": 3}, "the response must be an object"),
        ({"request": {"messages": []}, "response": {"choices": [{}]}}, "message of a choice"),
        ({"role": "assistant", "content": {"a": 1}}, "content"),
        ({"group": 1, "reward": 1, "score": 0, "messages": []}, "'reward' and 'score' could each be the outcome"),
        ({"group": 1, "messages": [{"content": "x"}]}, "message 0"),
        ({"group": 1, "messages": [{"role": "assistant", "content": 3}]}, "message 0: the content"),
        ({"group": 1, "messages": [{"role": "assistant", "tool_calls": [{"function": {}}]}]}, "'name' is missing"),
        ({"group": 1, "reward": "high", "messages": []}, "'reward' must hold a finite number"),
        ({"group": None, "messages": []}, "must name a group"),
    ],
)
def test_what_is_wrong_is_said(row, says):
    with pytest.raises(DataError, match=says):
        read(row)


def test_fields_that_bear_our_names_do_not_shadow_ours():
    (one,) = read({"group": 1, "messages": [{"role": "assistant", "content": "x", "action": 1}], "weight": "heavy"})
    assert one.extra == {"source.weight": "heavy"}
    assert one.steps[0].extra == {"source.action": 1}


def chat(*contents):
    roles = ["user", "assistant"] * len(contents)
    return [{"role": r, "content": c} for r, c in zip(roles, contents, strict=False)]


def call(sent, answer, **more):
    choices = [
        {"message": {"role": "assistant", "content": a}} for a in ([answer] if isinstance(answer, str) else answer)
    ]
    return {"request": {"model": "m", "messages": sent}, "response": {"choices": choices}} | more


def texts(rollout):
    return [step.text for step in rollout.steps]


def test_chats_without_a_group_are_grouped_by_their_opening_and_a_note_says_so():
    rows = Rows.of(
        [{"messages": chat("a", "1")}, {"messages": chat("b", "1")}, {"messages": chat("a", "2", "so?", "3")}]
    )
    found = list(rollouts(rows))
    assert [found[0].group == other.group for other in found] == [True, False, True]
    assert [r.rollout for r in found] == [0, 0, 1]
    assert len(rows.notes) == 1 and "--map group" in rows.notes[0]


def test_a_chat_that_says_nothing_is_in_no_group_of_others():
    found = read({"messages": [{"role": "assistant", "content": "1"}]}, {"messages": []})
    assert found[0].group != found[1].group


def test_what_metadata_holds_is_no_outcome():
    assert read({"group": 1, "messages": [], "metadata": {"score": 1}})[0].outcome is None


def test_a_rollout_is_named_by_its_id_its_file_or_its_number(tmp_path):
    assert [r.rollout for r in read({"messages": chat("a"), "id": "x"}, {"messages": chat("a"), "id": "x"})] == ["x", 1]
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "chat.json").write_text(json.dumps({"messages": chat("a", "b")}, indent=1))
    (tmp_path / "one" / "other.v2.json").write_text(json.dumps({"messages": chat("a", "b")}))
    names = [r.rollout for r in Reading(tmp_path)]
    assert names == ["chat", "other.v2", "two/chat"]


@pytest.mark.parametrize("lines", [True, False])
def test_a_file_of_messages_is_one_chat(tmp_path, lines):
    path = tmp_path / "talk.json"
    path.write_text("".join(json.dumps(m) + "\n" for m in CHAT) if lines else json.dumps(CHAT, indent=2))
    (one,) = Reading(path)
    assert (one.rollout, texts(one), one.steps[1].agent) == ("talk", [None, "2"], "solver")
    assert len(one.context) == 2


def test_a_bad_message_of_a_file_is_placed_on_its_row(tmp_path):
    path = tmp_path / "talk.jsonl"
    path.write_text("".join(json.dumps(m) + "\n" for m in [*CHAT[:3], {"role": "tool", "content": 7}, *CHAT[3:]]))
    with pytest.raises(DataError, match=r"talk.jsonl, row 4: .*content"):
        list(Reading(path))
    reading = Reading(path, on_error="skip")
    assert len(next(iter(reading)).steps) == 2 and [e.row for e in reading.skipped] == [4]


def test_calls_that_go_on_from_one_another_are_one_rollout():
    ask = chat("q")
    found = read(
        call(ask, "a"),
        call(chat("other"), "x"),
        call(chat("q", "a", "r"), "b"),
        call(chat("q", "a", "r", "b", "s"), "c"),
    )
    assert [texts(r) for r in found] == [["a", "b", "c"], ["x"]]
    assert [s.observation for s in found[0].steps] == ["r", "s", None]
    assert [s.origin.model for s in found[0].steps] == ["m", "m", "m"]


def test_the_same_request_again_is_another_rollout_of_the_group():
    found = read(
        call(chat("q"), "a"), call(chat("q"), "b"), call(chat("q", "b", "r"), "c"), call(chat("q", "a", "r"), "d")
    )
    assert [(r.rollout, texts(r)) for r in found] == [(0, ["a", "d"]), (1, ["b", "c"])]
    assert found[0].group == found[1].group


def test_several_choices_are_several_rollouts():
    found = read(call(chat("q"), ["a", "b"]), call(chat("q", "b", "r"), "c"))
    assert [texts(r) for r in found] == [["a"], ["b", "c"]]


def test_an_answer_that_comes_back_without_its_thoughts_is_known_again():
    (one,) = read(call(chat("q"), "<think>hm</think> a "), call(chat("q", "a", "r"), "b"))
    assert texts(one) == ["<think>hm</think> a ", "b"]
    long = "The answer is four, I am sure of it."
    assert len(read(call(chat("q"), f"Well. {long}"), call(chat("q", long, "r"), "b"))) == 1
    assert len(read(call(chat("q"), "a"), call(chat("q", "z", "r"), "b"))) == 2


def test_a_request_that_was_sent_again_after_an_error_is_one_step_with_its_failures():
    failed = {"request": {"messages": chat("q")}, "response": None, "error": {"message": "overloaded"}}
    (one,) = read(failed, failed, call(chat("q"), "a"))
    assert texts(one) == ["a"] and one.steps[0].extra == {"failures": ["overloaded", "overloaded"]}
    (one,) = read(call(chat("q"), "a"), failed | {"request": {"messages": chat("q", "a", "r")}})
    assert [s.origin for s in one.steps][1:] == [Origin(error="overloaded")]


def test_the_outcome_of_a_log_is_that_of_its_last_row_that_has_one():
    (one,) = read(call(chat("q"), "a", score=None), call(chat("q", "a", "r"), "b", score=1))
    assert one.outcome == 1.0


SENT, GOT = {"messages": chat("q")}, {"id": "r1", "choices": [{"message": {"role": "assistant", "content": "a"}}]}
SHAPES = [
    {"request": SENT, "response": GOT},
    {"request": json.dumps(SENT), "response": json.dumps(GOT)},
    {"request": {"url": "/v1", "body": SENT}, "response": {"status": 200, "body": GOT}},
    {"request": {"method": "POST", "body": json.dumps(SENT)}, "response": {"body": json.dumps(GOT)}},
    {"kwargs": SENT, "response": GOT},
    {"kwargs": SENT, "response_obj": GOT},
    {"request_body": SENT, "response_body": GOT},
    {"input": SENT, "output": GOT},
    {"messages": chat("q"), "response": GOT},
    {"messages": chat("q"), "output": GOT},
    {"messages": chat("q"), **GOT},
    {"request": SENT, "response": {"role": "assistant", "content": "a"}},
    {"request": SENT, "response": "a"},
]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: "+".join(s))
def test_the_shapes_in_which_people_log_calls(shape):
    assert fits(shape, "x")
    (one,) = read(shape)
    assert texts(one) == ["a"] and [m.content for m in one.context] == ["q"] and one.task == "q"


def test_tokens_of_vllm_and_their_logprobs():
    choice = {"message": {"role": "assistant", "content": "a"}, "token_ids": [1, 2]}
    row = {
        "request": SENT,
        "response": {"choices": [choice | {"logprobs": {"content": [{"logprob": -1.0}, {"logprob": 0}]}}]},
    }
    tokens = read(row)[0].steps[0].tokens
    assert (tokens.id, tokens.old_logp) == ([1, 2], [-1.0, 0.0])
    row["response"]["choices"][0]["token_ids"] = [1]
    with pytest.raises(DataError, match="differ in number"):
        read(row)


def test_the_log_of_a_real_client():
    good, bad = fixtures.read("openai_chat_log.jsonl")
    assert good.group == bad.group and (good.rollout, bad.rollout) == (0, 1)
    assert [c.name for c in good.steps[0].tool_calls] == ["seats"]
    assert json.loads(good.steps[0].action) == [["seats", {"flight": "HAT045", "cabin": "business"}]]
    assert good.steps[0].origin == Origin(
        response="chatcmpl-0", model="scripted-1-2026", start=1793613600.0, input_tokens=60, output_tokens=9
    )
    assert [(m.role, m.call, m.content) for m in replies_of(good.steps[0])] == [("tool", "call_0", "4")]
    assert good.steps[1].extra == {"failures": ["The server is overloaded"]}
    assert good.steps[1].tokens.old_logp == [-0.1, -0.5]
    assert texts(bad) == [None, "<think>Economy it was.</think>19 seats.", "I am sorry: I looked in economy."]
    (same,) = fixtures.read("openai_chat_messages.json")
    assert (same.group, same.rollout) == (good.group, "openai_chat_messages")
    (stored,) = fixtures.read("openai_chat_stored.jsonl")
    assert (stored.steps[0].origin.response, stored.steps[0].action) == ("chatcmpl-0", good.steps[0].action)


def test_the_log_of_litellm():
    (one,) = fixtures.read("openai_chat_litellm.jsonl")
    assert texts(one) == ["Which class?", "4 seats."]
    assert all(s.origin.cost > 0 and s.origin.seconds > 0 and s.origin.trace for s in one.steps)


def test_copies_of_a_log_in_two_files_are_not_mixed(tmp_path):
    for name in "ab":
        shutil.copy(TRACES / "openai_chat_log.jsonl", tmp_path / f"{name}.jsonl")
    assert [len(r.steps) for r in Reading(tmp_path)] == [2, 3, 2, 3]
