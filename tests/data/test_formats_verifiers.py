"""Rollouts of verifiers."""

import copy
import json

import fixtures
import pytest
from fixtures import TRACES

from stepcredit.data.formats.verifiers import rollouts
from stepcredit.data.records import Origin, Tokens
from stepcredit.data.rows import Rows
from stepcredit.errors import DataError

FULL = json.loads((TRACES / "verifiers.jsonl").read_text().splitlines()[0])


def read(change=None, **changes):
    row = copy.deepcopy(FULL) | changes
    if change:
        change(row)
    return next(iter(rollouts(Rows.of([row]))))


def test_a_trace_of_the_library():
    first, second = fixtures.read("verifiers.jsonl")
    assert (first.group, first.rollout, second.group, second.rollout) == ("seats-3", "a", "seats-3", "b")
    assert (first.outcome, first.rewards) == (pytest.approx(1.1), {"correct": 1.0, "style": 0.5})
    look, answer = first.steps
    assert (look.agent, look.text, look.reasoning, look.tool_calls[0].name) == ("solver", None, "Look.", "seats")
    assert look.tokens == Tokens(id=[7, 8], old_logp=[-0.25, -0.5])
    assert look.origin == Origin(
        id="2",
        trace="a",
        model="scripted-1",
        start=1793613600.0,
        seconds=1.5,
        input_tokens=35,
        output_tokens=2,
        cost=0.001,
    )
    assert (look.observation, look.replies[0].call, answer.text) == ("4", "c0", "4")
    assert [m.role for m in first.context] == ["system", "user"] and first.task == "How many seats are left?"
    assert first.extra["answer"] == "4" and first.extra["failed_calls"][0]["message"] == "overloaded"


def test_a_branch_names_the_step_that_it_goes_on_from():
    _, one = fixtures.read("verifiers.jsonl")
    assert [s.extra.get("parent", "before") for s in one.steps] == ["before", None, 0]
    assert [m.content for m in one.steps[0].replies] == ["Seats?", "It said 9."]


def test_a_run_without_a_score_has_no_outcome():
    assert read(rewards={}).outcome is None
    assert read(rewards={"correct": None}).outcome is None and read(rewards={"correct": None}).rewards == {
        "correct": None
    }


def test_the_task_is_named_by_its_key_its_hash_or_its_data():
    task = FULL["task"]
    assert read(task=task | {"key": None}).group == "abc"
    assert read(task=task | {"key": None, "hash": None}).group == 3


def test_older_results():
    good, bad = fixtures.read("verifiers_results.jsonl")
    assert [(r.group, r.rollout, r.outcome) for r in (good, bad)] == [(3, 0, 1.0), (3, 1, 0.0)]
    assert [s.observation for s in good.steps] == ["4", None]
    assert [m.role for m in good.context] == ["system", "user"] and good.extra["answer"] == "4"


def loop(row):
    row["nodes"][1]["parent"] = 2


def not_sampled_by_an_assistant(row):
    row["nodes"][1]["sampled"] = True


def uneven(row):
    row["nodes"][2]["logprobs"] = [-1.0]


def no_role(row):
    del row["nodes"][0]["message"]["role"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (loop, "the parent of node 1 must stand before it"),
        (not_sampled_by_an_assistant, "node 1 was sampled"),
        (uneven, "differ in number"),
        (no_role, "must have a role"),
        (lambda row: row["nodes"].append(None), "must be an object"),
        (lambda row: row.update(version=2), "another version"),
        (lambda row: row.update(task={}), "no name"),
        (lambda row: row.update(rewards={"correct": {"score": "high"}}), "finite number"),
        (lambda row: row.update(id=None), "must name a id"),
    ],
)
def test_what_is_wrong_is_said(change, says):
    with pytest.raises(DataError, match=says) as error:
        read(change)
    assert error.value.row == 1
