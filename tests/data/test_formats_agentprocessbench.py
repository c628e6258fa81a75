"""AgentProcessBench."""

import json

import pytest

from stepcredit.data.formats.agentprocessbench import rollouts
from stepcredit.data.reading import Reading
from stepcredit.data.records import observed
from stepcredit.data.rows import Rows
from stepcredit.errors import DataError


def reply(*documents):
    return json.dumps({"result": [[{"document": {"id": d, "contents": f"{d}\ntext"}, "score": 1} for d in documents]]})


def row(*replies, **fields):
    messages = [{"role": "user", "content": "Who?"}]
    for content in replies:
        messages += [{"role": "assistant", "content": "s"}, {"role": "tool", "name": "search", "content": content}]
    messages.append({"role": "assistant", "content": "<answer>"})
    return (
        {"query_index": 5, "sample_index": 2, "question": "Who?", "messages": messages}
        | {
            "step_labels": {"1": 1, str(len(messages) - 1): -1},
            "final_label": -1,
        }
        | fields
    )


def one(given):
    (rollout,) = rollouts(Rows.of([given]))
    return rollout


def test_fields_labels_and_outcome():
    found = one(row(reply("a")))
    assert (found.group, found.rollout, found.outcome, found.task) == (5, 2, 0.0, "Who?")
    assert [s.evidence for s in found.steps] == [{"label": 1.0}, {"label": -1.0}]
    assert one(row(final_label=1)).outcome == 1.0
    assert one(row(final_label=None)).outcome is None


def test_state_is_the_set_of_documents_seen():
    found = one(row(reply("b", "a"), reply("a"), reply("c")))
    a, b, c = (f"{x} [{x}]" for x in "abc")
    assert [json.loads(s.state) for s in found.steps] == [[], [a, b], [a, b], [a, b, c]]
    assert one(row(reply("a"), reply("b"))).final_state == one(row(reply("b", "a"))).final_state


def test_observation_is_what_came_back_by_name_and_the_reply_is_kept():
    step = one(row(reply("b", "a"))).steps[0]
    assert json.loads(step.observation) == ["a [a]", "b [b]"] and "replies" not in step.extra
    assert [r.content for r in step.replies] == [reply("b", "a")]
    assert one(row(reply("b", "a"))).steps[0].observation == one(row(reply("a", "b"))).steps[0].observation


def test_action_is_what_was_called():
    given = row(reply("a"))
    call = {"id": "1", "function": {"name": "search", "arguments": '{"query": "x"}'}}
    given["messages"][1]["tool_calls"] = [call, call]
    steps = one(given).steps
    assert [s.action for s in steps] == ['["search"]', None] and len(steps[0].tool_calls) == 2


def test_a_reply_without_documents_counts_as_one():
    found = one(row('{"error": "down"}', "plain text"))
    assert json.loads(found.final_state) == sorted(['{"error": "down"}', "plain text"])


def test_a_document_without_id_is_named_by_its_first_line():
    assert json.loads(one(row('[{"contents": "Title\\nbody"}]')).final_state) == ["Title"]


def test_literals_are_read_as_data_and_never_run():
    plain = row(reply("a"))
    text = {k: repr(v) if k in ("messages", "step_labels") else v for k, v in plain.items()}
    assert one(text) == one(plain)
    for bad in ("__import__('os').getcwd()", "[" * 500, "(" * 100_000, "1 +", "\0"):
        with pytest.raises(DataError, match="literal"):
            one(row(messages=bad))
    with pytest.raises(DataError, match="too long"):
        one(row(messages="[" + "1," * 3_000_000 + "]"))


@pytest.mark.parametrize("labels", [{"0": 1}, {"99": 1}, {"x": 1}, {"²": 1}, {True: 1}, [1], None])
def test_a_label_must_point_to_an_assistant_message(labels):
    with pytest.raises(DataError, match=r"step.labels?"):
        one(row(step_labels=labels))


def test_a_final_label_must_be_a_verdict():
    with pytest.raises(DataError, match="verdict"):
        one(row(final_label=0))


def test_real_runs(data):
    batch = Reading(data / "agentprocessbench" / "hotpotqa.jsonl.gz").read()
    assert (batch.layout.G, batch.layout.R) == (50, 250)
    assert (batch.layout.group == [g for g in range(50) for _ in range(5)]).all()
    assert {x: int((batch["label"] == x).sum()) for x in (1, 0, -1)} == {1: 499, 0: 56, -1: 179}
    assert int(batch["outcome"].sum()) == 163


def test_who_reads_what_came_back_reads_the_documents_and_not_their_names():
    assert observed(one(row(reply("b", "a"))).steps[0]) == reply("b", "a")
