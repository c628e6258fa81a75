"""ATIF trajectories."""

import copy
import json

import fixtures
import pytest
from fixtures import TRACES

from stepcredit.data.formats.atif import rollouts
from stepcredit.data.records import Origin, Tokens, ToolCall, replies_of
from stepcredit.data.rows import Rows
from stepcredit.errors import DataError

FULL = json.loads((TRACES / "atif.json").read_text())


def read(**changes):
    return next(iter(rollouts(Rows.of([copy.deepcopy(FULL) | changes]))))


def steps(*given):
    return [{"step_id": i, **step} for i, step in enumerate(given, 1)]


def test_a_trajectory_of_harbor():
    (one,) = fixtures.read("atif.json")
    first, _inner, last = one.steps
    assert [(m.role, m.content) for m in one.context] == [
        ("system", "You work in a terminal."),
        ("user", "How many seats are left?[image]"),
        ("assistant", "Summary of what was before."),
    ]
    assert one.context[1].images == ["images/1.png"]
    assert (first.agent, first.text, first.reasoning) == ("terminus", "I ask for help.", "I do not know the table.")
    assert first.tool_calls[1] == ToolCall(name="cat", arguments={"path": "seats.csv"}, id="call_2")
    assert first.origin == Origin(
        id="4", trace="main-7", model="scripted-1", start=1793613604.0, input_tokens=50, output_tokens=3, cost=0.002
    )
    assert first.tokens == Tokens(id=[5, 6, 7], old_logp=[-0.1, -0.2, -0.3])
    assert [(m.role, m.name, m.call, m.content) for m in first.replies] == [
        ("tool", "delegate", "call_1", "It is seats.csv"),
        ("tool", "cat", "call_2", "HAT045,4[image]"),
        ("user", "terminus", None, "Find the table of seats."),
        ("system", None, None, "You have one minute left."),
    ]
    assert (last.text, last.origin.model, one.outcome, one.rollout) == ("5 seats.", "scripted-2", None, "main-7")


def test_the_steps_of_a_subagent_follow_the_step_that_called_it():
    (one,) = fixtures.read("atif.json")
    assert [s.agent for s in one.steps] == ["terminus", "searcher", "terminus"]
    assert one.steps[1].origin.trace == "sub-1" and one.steps[1].observation == "seats.csv"
    assert one.steps[0].extra["subagents"] == [{"trajectory_path": "sub-2.json"}]


def test_a_subagent_that_nothing_refers_to_is_kept_and_one_is_read_but_once():
    other = FULL["subagent_trajectories"][0] | {"trajectory_id": "sub-9"}
    one = read(subagent_trajectories=[*FULL["subagent_trajectories"], other])
    assert [t["trajectory_id"] for t in one.extra["subagent_trajectories"]] == ["sub-9"] and len(one.steps) == 3
    twice = copy.deepcopy(FULL)
    twice["steps"][3]["observation"]["results"] *= 2
    assert len(next(iter(rollouts(Rows.of([twice])))).steps) == 3


def test_a_subagent_that_refers_to_itself_ends():
    loop = copy.deepcopy(FULL)
    reference = [{"trajectory_id": "sub-1"}]
    loop["subagent_trajectories"][0]["steps"][1]["observation"]["results"][0]["subagent_trajectory_ref"] = reference
    (one,) = rollouts(Rows.of([loop]))
    assert len(one.steps) == 3 and one.steps[1].extra["subagents"] == reference


def test_the_first_version_is_read():
    (one,) = fixtures.read("atif_v1_0.json")
    assert (one.rollout, len(one.steps), replies_of(one.steps[0])[0].content) == ("run-8", 2, "seats.csv")
    assert json.loads(one.steps[0].action) == [["ls", {}]]


def test_the_outcome_is_one_that_the_row_names():
    assert read(reward=0.5).outcome == 0.5 and read(outcome=1).outcome == 1.0
    assert read(extra={"reward": 1.0}).outcome is None


def test_how_long_a_step_took_if_the_toolkit_says_so():
    timing = {"invocation": {"start_timestamp": 10.0, "end_timestamp": 12.5}}
    one = read(steps=steps({"source": "agent", "message": "a", "extra": timing}))
    assert (one.steps[0].origin.start, one.steps[0].origin.seconds) == (10.0, 2.5)


def test_a_version_to_come_is_read_with_a_note_and_another_one_is_not():
    rows = Rows.of([FULL | {"schema_version": "ATIF-v1.9"}])
    assert len(list(rollouts(rows))) == 1 and any("newer" in note for note in rows.notes)
    with pytest.raises(DataError, match="not a version"):
        read(schema_version="ATIF-v1.x")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"steps": None}, "'steps' has the wrong type"),
        ({"steps": [3]}, "step 0 must be an object"),
        ({"steps": steps({"source": "robot"})}, "step 0 has no known source"),
        ({"steps": steps({"source": "agent", "tool_calls": [{}]})}, "'function_name' is missing"),
        ({"steps": steps({"source": "agent", "observation": [1]})}, "an observation must be an object"),
        ({"steps": steps({"source": "agent", "message": 5})}, "content of a message"),
        ({"subagent_trajectories": [{}]}, "'trajectory_id' is missing"),
        (
            {"steps": steps({"source": "agent", "metrics": {"completion_token_ids": [1], "logprobs": [-1, -2]}})},
            "differ in number",
        ),
    ],
)
def test_what_is_wrong_is_said(changes, says):
    with pytest.raises(DataError, match=says) as error:
        read(**changes)
    assert error.value.row == 1
