"""Result files of tau-bench."""

import json

from stepcredit.data.formats.tau_bench import rollouts
from stepcredit.data.reading import Reading
from stepcredit.data.rows import Rows


def call(name, reply, i, **arguments):
    function = {"name": name, "arguments": json.dumps(arguments)}
    return [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": f"c{i}", "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": f"c{i}", "name": name, "content": reply},
    ]


def row(*exchanges, **fields):
    traj = [{"role": "system", "content": "policy"}, {"role": "user", "content": "hi"}]
    traj += [m for e in exchanges for m in e]
    return {
        "task_id": 3,
        "trial": 1,
        "reward": 1.0,
        "info": {"task": {"instruction": "cancel it"}},
        "traj": traj,
    } | fields


def states(*exchanges, **options):
    (one,) = rollouts(Rows.of([row(*exchanges)]), **options)
    return [json.loads(s.state) for s in one.steps] + [json.loads(one.final_state)]


def test_fields():
    (one,) = rollouts(Rows.of([row(call("think", "", 0, thought="x"))]))
    assert (one.group, one.rollout, one.outcome, one.task) == (3, 1, 1.0, "cancel it")
    assert json.loads(one.steps[0].action) == [["think", {"thought": "x"}]]


def test_state_is_the_writes_that_succeeded():
    found = states(
        call("get_user", "{}", 0),
        call("cancel_order", "Error: no such order", 1, id="a"),
        call("cancel_order", '{"status": "ok"}', 2, id="b", why="x"),
        call("transfer_to_human_agents", "Transfer successful", 3),
    )
    assert found == [
        [],
        [],
        [],
        [["cancel_order", {"id": "b", "why": "x"}]],
        [["cancel_order", {"id": "b", "why": "x"}]],
    ]


def test_equal_writes_in_another_spelling_are_one_state():
    a, b = (row(call("book", "ok", 0)) for _ in range(2))
    a["traj"][2]["tool_calls"][0]["function"]["arguments"] = '{"x": 1, "y": 2}'
    b["traj"][2]["tool_calls"][0]["function"]["arguments"] = '{"y":2,"x":1}'
    one, two = rollouts(Rows.of([a, b]))
    assert one.final_state == two.final_state
    assert one.steps[0].action == two.steps[0].action


def test_a_write_without_a_reply_did_not_happen():
    assert states(call("book", "ok", 0)[:1]) == [[], []]


def test_which_tools_write_and_what_failure_is_can_be_said():
    assert states(call("peek", "ok", 0), reads="peek") == [[], []]
    assert states(call("book", "FAILED: full", 0), error="failed") == [[], []]


def test_real_runs(data):
    reading = Reading(data / "tau_airline" / "gpt4o_airline.jsonl.gz")
    batch = reading.read()
    assert reading.format == "tau_bench"
    assert (batch.layout.G, batch.layout.R) == (25, 100)
    assert set(batch.layout.group.tolist()) == set(range(25))
    assert (batch.layout.steps > 0).all()
    assert set(batch["outcome"].tolist()) == {0.0, 1.0}
    writes = {c[0] for s in batch.keys["state"] for c in json.loads(s)}
    assert writes == {
        "book_reservation",
        "cancel_reservation",
        "update_reservation_flights",
        "update_reservation_baggages",
        "send_certificate",
    }
