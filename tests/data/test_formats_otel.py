"""OpenTelemetry traces: real exports of several instrumentations, and what goes wrong with spans."""

import json
import random
from pathlib import Path

import pytest

from stepcredit.data import Reading, replies_of
from stepcredit.data.formats.otel import fits, rollouts
from stepcredit.data.rows import Rows, renamed
from stepcredit.errors import DataError

TRACES = Path(__file__).parent / "traces"
QUESTION = "What is the weather in Lyon and in Oslo?"


def text(key, value):
    return {"key": key, "value": {"stringValue": value if isinstance(value, str) else json.dumps(value)}}


def message(role, *parts):
    return {"role": role, "parts": [{"type": "text", "content": p} if isinstance(p, str) else p for p in parts]}


def call(name, identity, **arguments):
    return {"type": "tool_call", "id": identity, "name": name, "arguments": arguments}


def answer(identity, response):
    return {"type": "tool_call_response", "id": identity, "response": response}


def span(identity, start=None, *, parent=None, trace="t", end=True, events=(), error=None, **attributes):
    made = {"traceId": trace, "spanId": identity, "name": identity, "events": list(events)}
    made |= {"parentSpanId": parent} if parent else {}
    made |= {} if start is None else {"startTimeUnixNano": str(10**18 + 1000 * start)}
    made |= {"endTimeUnixNano": str(10**18 + 1000 * (start or 0) + 500)} if end else {}
    made |= {"status": {"code": 2, "message": error}} if error else {}
    made["attributes"] = [text(k.replace("_", "."), v) for k, v in attributes.items()]
    return made


def chat(identity, start, given, said, **more):
    made = span(identity, start, **more)
    made["attributes"] += [
        text("gen_ai.operation.name", "chat"),
        text("gen_ai.input.messages", given),
        text("gen_ai.output.messages", [said]),
    ]
    return made


def tool(identity, start, name, call_id=None, result=None, **more):
    made = span(identity, start, **more)
    told = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name}
    told |= {"gen_ai.tool.call.id": call_id, "gen_ai.tool.call.result": result}
    made["attributes"] += [text(k, v) for k, v in told.items() if v is not None]
    return made


def request(*spans):
    return {"resourceSpans": [{"resource": {"attributes": []}, "scopeSpans": [{"spans": list(spans)}]}]}


def read(*spans, **options):
    rows = Rows.of([request(*spans)])
    return list(rollouts(rows, **options)), rows.notes


ASK = message("user", QUESTION)
CALLED = message("assistant", call("weather", "c1", city="Lyon"))
TWO = (
    chat("a", 1, [ASK], CALLED),
    tool("b", 2, "weather", "c1", "12 C"),
    chat("c", 3, [ASK, CALLED, message("tool", answer("c1", "12 C"))], message("assistant", "12 C")),
)


@pytest.mark.parametrize(
    "file",
    [
        "otel_genai.jsonl",
        "otel_events.jsonl",
        "otel_openllmetry.jsonl",
        "otel_openllmetry_old.jsonl",
        "otel_langfuse_client.jsonl",
    ],
)
def test_a_run_reads_alike_from_every_instrumentation(file):
    reading = Reading(TRACES / file)
    (one,) = reading
    assert reading.format == "otel"
    assert [m.role for m in one.context] == ["system", "user"]
    assert one.task == QUESTION
    assert [s.agent for s in one.steps] == ["reporter", "reporter", "reporter", "adviser"]
    first, second, third, last = one.steps
    assert [(c.name, c.id) for s in one.steps for c in s.tool_calls] == [("weather", "call_0"), ("weather", "call_1")]
    (reply,) = replies_of(first)
    assert (reply.role, reply.name, reply.call, reply.content, reply.error) == (
        "tool",
        "weather",
        "call_0",
        "12 C, rain",
        None,
    )
    (failure,) = replies_of(second)
    assert (failure.content, failure.error) == ("error: no station in Oslo", True)
    assert (third.text, third.replies) == ("Lyon: 12 C and rain. Oslo: 5 C.", [])
    assert last.text == "Take an umbrella."
    assert last.extra["input"][0]["content"].startswith("What to take along?")
    assert first.origin.model == "scripted-1"
    assert len(first.origin.trace) == 32 and len(first.origin.id) == 16
    assert 0 < first.origin.seconds < 5 and first.origin.start > 1.7e9
    assert one.outcome is None


def test_groups_are_equal_where_openings_are():
    groups = {r.group for f in sorted(TRACES.glob("otel_open*.jsonl")) for r in Reading(f)}
    assert len(groups) == 1


def test_tokens_and_responses_are_kept():
    (one,) = Reading(TRACES / "otel_genai.jsonl")
    assert [(s.origin.input_tokens, s.origin.output_tokens) for s in one.steps][:2] == [(22, 7), (24, 7)]
    assert one.steps[0].origin.response == "chatcmpl-2"


def test_an_evaluation_of_a_step_is_evidence_and_blame():
    (one,) = Reading(TRACES / "otel_genai.jsonl")
    assert [s.evidence for s in one.steps] == [{}, {}, {}, {"helpful": 0.0}]
    (blame,) = one.blame
    assert (blame.by, blame.step, blame.agent, blame.label, blame.reason) == (
        "helpful",
        3,
        "adviser",
        -1,
        "nobody asked",
    )


def test_where_recording_is_off_the_tools_are_still_told():
    reading = Reading(TRACES / "otel_sdk_without_content.jsonl")
    (one,) = reading
    assert [s.text for s in one.steps] == [None] * 4
    assert [c.name for s in one.steps for c in s.tool_calls] == ["weather", "weather"]
    assert one.steps[1].replies[0].error is True
    assert any("recording it was off" in n for n in reading.notes)


def test_spans_may_come_in_any_order_and_from_several_rows():
    whole = read(*TWO)[0][0]
    spans = list(TWO)
    for seed in range(6):
        random.Random(seed).shuffle(spans)
        (one,) = rollouts(Rows.of([request(s) for s in spans]))
        assert one == whole
    assert whole.steps[0].observation == "12 C"


def test_parents_come_before_children_whatever_the_clock_says():
    late_parent = span("agent", 100, gen__ai="x")
    late_parent["attributes"] = [text("gen_ai.operation.name", "invoke_agent"), text("gen_ai.agent.name", "boss")]
    child = chat("a", 1, [ASK], message("assistant", "one"), parent="agent")
    other = chat("b", 50, [ASK], message("assistant", "two"))
    (one,), _ = read(child, late_parent, other)
    assert [(s.text, s.agent) for s in one.steps] == [("two", None), ("one", "boss")]


def test_a_missing_parent_is_said():
    (one,), notes = read(chat("a", 1, [ASK], message("assistant", "x"), parent="gone"))
    assert len(one.steps) == 1
    assert any("parent is not there" in n for n in notes)


def test_circles_of_parents_are_cut_and_said():
    spans = [chat(f"s{i}", i, [ASK], message("assistant", f"{i}"), parent=f"s{(i + 1) % 5}") for i in range(5)]
    (one,), notes = read(*spans, chat("me", 9, [ASK], message("assistant", "self"), parent="me"))
    assert sorted(s.text for s in one.steps) == ["0", "1", "2", "3", "4", "self"]
    assert any("circles" in n for n in notes) and any("their own parents" in n for n in notes)


def test_of_spans_with_one_id_the_one_that_ended_is_read():
    begun = chat("a", 1, [ASK], message("assistant", "part"), end=False)
    (one,), notes = read(begun, chat("a", 1, [ASK], message("assistant", "whole")), begun)
    assert [s.text for s in one.steps] == ["whole"]
    assert any("id came before" in n and n.endswith("2") for n in notes)


def test_an_unfinished_span_is_read_and_said():
    (one,), notes = read(chat("a", 1, [ASK], message("assistant", "x"), end=False))
    assert one.steps[0].origin.seconds is None
    assert any("without an end" in n for n in notes)


def test_an_end_before_the_start_gives_no_duration():
    made = chat("a", 100, [ASK], message("assistant", "x"))
    made["endTimeUnixNano"] = str(10**18)
    assert read(made)[0][0].steps[0].origin.seconds is None


def test_tools_without_ids_are_matched_by_name_and_order():
    both = message("assistant", call("f", "c1"), call("g", "c2"))
    spans = (chat("a", 1, [ASK], both), tool("x", 2, "g", result="two"), tool("y", 3, "f", result="one", error="boom"))
    (one,), _ = read(*spans)
    assert [(m.name, m.call, m.content, m.error) for m in one.steps[0].replies] == [
        ("g", "c2", "two", None),
        ("f", "c1", "one", True),
    ]


def test_a_tool_within_a_tool_answers_no_model():
    inner = tool("z", 2, "inner", result="deep", parent="b")
    (one,), _ = read(*TWO, inner)
    assert [m.name for m in one.steps[0].replies] == ["weather"]


def test_an_agent_that_is_asked_by_a_tool_sees_what_it_is_sent_and_not_what_it_will_say():
    asks = message("assistant", call("ask_sql", "c1", question="revenue?"))
    sent = message("user", "What is the revenue?")
    queries, found = message("assistant", call("run", "c2")), message("assistant", "598")
    spans = [
        chat("boss", 1, [ASK], asks),
        tool("ask", 2, "ask_sql", "c1", "598"),
        span("sql", 3, parent="ask", gen_ai_operation_name="invoke_agent", gen_ai_agent_name="sql"),
        chat("one", 4, [sent], queries, parent="sql"),
        tool("run", 5, "run", "c2", "rows", parent="sql"),
        chat("two", 6, [sent, queries, message("tool", answer("c2", "rows"))], found, parent="sql"),
        chat("end", 9, [ASK, asks, message("tool", answer("c1", "598"))], message("assistant", "It is 598.")),
    ]
    (one,), _ = read(*spans)
    assert [s.text for s in one.steps] == [None, None, "598", "It is 598."]
    assert [s.observation for s in one.steps] == ["What is the revenue?", "rows", "598", None]
    assert [m.content for m in one.steps[0].replies] == ["598"]


def test_of_two_agents_that_one_step_asks_the_last_step_is_followed_by_what_both_said():
    asks = message("assistant", call("ask", "c1"), call("ask", "c2"))
    spans = [chat("boss", 1, [ASK], asks)]
    for n in "12":
        spans += [
            tool(f"ask{n}", 2 * int(n), "ask", f"c{n}", f"said {n}"),
            chat(
                f"in{n}",
                2 * int(n) + 1,
                [message("user", f"go {n}")],
                message("assistant", f"said {n}"),
                parent=f"ask{n}",
            ),
        ]
    (one,), _ = read(*spans)
    assert [s.observation for s in one.steps] == ["go 1", None, "said 1\nsaid 2"]


def test_a_tool_before_any_model_is_said():
    (one,), notes = read(tool("z", 0, "early", result="x"), *TWO)
    assert len(one.steps) == 2
    assert any("no call of a model stands before" in n for n in notes)


def test_a_call_that_two_spans_tell_of_is_one_step():
    inner = chat("a2", 2, [ASK], CALLED, parent="a")
    (one,), notes = read(*TWO, inner)
    assert len(one.steps) == 2
    assert any("span around them tells" in n for n in notes)


def test_equal_turns_of_a_loop_each_get_their_reply():
    history, spans = [ASK], []
    for i in range(4):
        said = message("assistant", call("poll", f"c{i}"))
        spans.append(chat(f"s{i}", i, list(history), said))
        history += [said, message("tool", answer(f"c{i}", f"wait {i}"))]
    (one,), _ = read(*spans)
    assert [s.observation for s in one.steps] == ["wait 0", "wait 1", "wait 2", None]


def test_parallel_agents_keep_their_own_conversations():
    spans = [span(n, i, gen="x") for i, n in enumerate("AB")]
    for one in spans:
        one["attributes"] = [text("gen_ai.operation.name", "invoke_agent"), text("gen_ai.agent.name", one["spanId"])]
    said = message("assistant", call("f", "c"))
    for i, name in enumerate("AB"):
        after = [ASK, said, message("tool", answer("c", f"for {name}"))]
        spans.append(chat(f"{name}1", 10 + i, [ASK], said, parent=name))
        spans.append(chat(f"{name}2", 20 + i, after, message("assistant", "done"), parent=name))
    (one,), _ = read(*spans)
    assert [(s.agent, s.observation) for s in one.steps][:2] == [("A", "for A"), ("B", "for B")]


def test_a_failed_call_of_the_model_is_a_step_with_its_error():
    made = span("a", 1, error="429 too many")
    made["attributes"] = [text("gen_ai.operation.name", "chat"), text("gen_ai.input.messages", [ASK])]
    (one,), _ = read(made)
    assert (one.steps[0].text, one.steps[0].origin.error) == (None, "429 too many")


def test_sessions_join_traces_where_that_is_asked_for():
    first = chat("a", 1, [ASK], message("assistant", "hello"), trace="t1", session_id="s")
    history = [ASK, message("assistant", "hello"), message("user", "more")]
    second = chat("b", 2, history, message("assistant", "bye"), trace="t2", session_id="s")
    found, notes = read(first, second)
    assert [len(r.steps) for r in found] == [1, 1]
    assert any("by=session" in n for n in notes)
    (one,), _ = read(first, second, by="session")
    assert (one.rollout, [s.text for s in one.steps], one.steps[0].observation) == ("s", ["hello", "bye"], "more")


def test_the_task_is_named_by_an_attribute_else_by_the_opening():
    (one,), _ = read(*TWO)
    named = chat("z", 9, [ASK], message("assistant", "x"), trace="u", task_id="math-7", my_task="m")
    found, _ = read(*TWO, named)
    assert [r.group for r in found] == [one.group, "math-7"]
    assert read(named, group="my.task")[0][0].group == "m"


def evaluation(name, value=None, label=None, **more):
    told = {"gen_ai.evaluation.name": name, "gen_ai.evaluation.score.label": label, **more}
    attributes = [text(k, v) for k, v in told.items() if v is not None]
    if value is not None:
        attributes.append({"key": "gen_ai.evaluation.score.value", "value": {"doubleValue": value}})
    return {"name": "gen_ai.evaluation.result", "attributes": attributes}


def test_scores_of_the_trace_are_rewards_and_one_of_them_the_outcome():
    root = span("root", 0, events=[evaluation("success", 1.0), evaluation("style", 0.3)])
    spans = [root, *({**s, "parentSpanId": "root"} for s in TWO)]
    (one,), _ = read(*spans)
    assert (one.outcome, one.rewards) == (1.0, {"success": 1.0, "style": 0.3})
    assert read(*spans, outcome="style")[0][0].outcome == 0.3


def test_an_attribute_may_be_the_outcome_and_that_of_the_root_counts():
    root = span("root", 0, app_score="0.25")
    late = [span(n, t, parent="root", app_score=1) for n, t in (("early", 1), ("late", 2))]
    spans = [late[0], root, chat("a", 1, [ASK], CALLED, parent="root"), late[1]]
    assert read(*spans, outcome="app.score")[0][0].outcome == 0.25
    assert read(*spans)[0][0].outcome is None
    for word, value in (("PASS", 1.0), ("failed", 0.0), ("so so", None)):
        assert read(spans[2], span("root", 0, app_score=word), outcome="app.score")[0][0].outcome == value


def test_names_that_nothing_has_are_said():
    root = span("root", 0, events=[evaluation("style", 0.3)])
    (_,), notes = read(root, *({**s, "parentSpanId": "root"} for s in TWO), outcome="styel", group="app.tsak")
    assert "outcome=styel: no trace has anything of this name; scores there: style" in notes
    assert "group=app.tsak: no trace has anything of this name" in notes
    assert any(n.startswith("rollouts none of whose scores is called styel: 1") for n in notes)


def test_a_field_of_spans_is_named_by_an_option_of_the_format():
    with pytest.raises(DataError, match="no field 'app'") as caught:
        renamed(request(*TWO), {"outcome": "app.score"})
    assert "--format otel:group=NAME:outcome=NAME" in caught.value.hint


def test_evaluations_in_logs_find_their_step_by_span_or_response():
    made = [dict(s) for s in TWO]
    made[2]["attributes"] = [*made[2]["attributes"], text("gen_ai.response.id", "resp-9")]
    by_span = {**evaluation("grounded", 0.2, "fail"), "eventName": "gen_ai.evaluation.result", "traceId": "t"}
    by_span |= {"spanId": "a"}
    by_response = {**evaluation("polite", 0.9, **{"gen_ai.response.id": "resp-9"}), "traceId": "", "spanId": ""}
    by_response |= {"eventName": "gen_ai.evaluation.result"}
    logs = {"resourceLogs": [{"scopeLogs": [{"logRecords": [by_span, by_response]}]}]}
    (one,) = rollouts(Rows.of([logs, request(*made)]))
    assert [s.evidence for s in one.steps] == [{"score.grounded": 0.2}, {"polite": 0.9}]
    assert [(b.step, b.label) for b in one.blame] == [(0, -1)]


def test_traces_without_a_model_are_left_out_and_said():
    found, notes = read(*TWO, span("web", 1, trace="other", http_method="GET"))
    assert len(found) == 1
    assert any("without a call of a model" in n for n in notes)


def test_images_and_thoughts_are_kept():
    picture = {"type": "blob", "modality": "image", "mime_type": "image/png", "content": "aGk="}
    said = message("assistant", {"type": "reasoning", "content": "hm"}, "a cat")
    (one,), _ = read(chat("a", 1, [message("user", "what?", picture)], said))
    assert one.context[0].images == ["data:image/png;base64,aGk="]
    assert (one.steps[0].reasoning, one.steps[0].text) == ("hm", "a cat")


def test_names_in_snake_case_are_read_too():
    row = json.loads(
        json.dumps(request(*TWO))
        .replace("resourceSpans", "resource_spans")
        .replace("scopeSpans", "scope_spans")
        .replace("traceId", "trace_id")
        .replace("spanId", "span_id")
        .replace("stringValue", "string_value")
    )
    assert fits(row, "x.json")
    (one,) = rollouts(Rows.of([row]))
    assert len(one.steps) == 2


def test_a_row_without_spans_is_an_error_with_its_place():
    with pytest.raises(DataError, match="row 2: no spans"):
        list(rollouts(Rows.of([request(*TWO), {"resourceSpans": []}])))


def test_a_bad_choice_is_an_error():
    with pytest.raises(DataError, match="trace or session"):
        read(*TWO, by="day")


def test_a_chain_of_many_spans_is_read_in_one_go():
    spans = [
        chat(f"{i}", i, [ASK], message("assistant", f"{i}"), parent=f"{i - 1}" if i else None) for i in range(3000)
    ]
    random.Random(1).shuffle(spans)
    (one,), _ = read(*spans)
    assert [s.text for s in one.steps] == [f"{i}" for i in range(3000)]


def test_a_run_whose_root_failed_has_failed():
    said = chat("a", 1, [message("user", "hi")], [message("assistant", "no")], parent="r")
    ((one,), notes), ((other,), _) = (
        read(span("r", 0, error="it broke"), said),
        read(span("r", 0), said),
    )
    assert (one.outcome, other.outcome) == (0.0, None)
    assert any("root span failed" in n for n in notes)


def test_a_part_called_text_without_any_is_empty():
    given = {"role": "user", "parts": [{"type": "text"}, {"type": "text", "content": "hi"}]}
    (one,), _ = read(chat("a", 1, [given], message("assistant", "no")))
    assert one.context[0].content == "hi"
