"""Trajectories of SWE-agent, of versions 1.0 and 1.1 (made by hand after its types), and a history alone."""

import json
from pathlib import Path

import pytest

from stepcredit.data import Reading, replies_of
from stepcredit.data.formats.swe_agent import fits, rollouts
from stepcredit.data.rows import Rows
from stepcredit.errors import DataError

TRACES = Path(__file__).parent / "traces"


def load(name):
    return json.loads((TRACES / name).read_text())


def test_version_1_1():
    reading = Reading(TRACES / "swe_agent_1_1.traj")
    (one,) = reading
    assert (reading.format, one.group, one.outcome) == ("swe_agent", "pallets__flask-5014", None)
    assert one.task == "Blueprint accepts an empty name"
    assert [(m.role, m.content) for m in one.context] == [
        ("system", "You solve issues."),
        ("user", "Blueprint accepts an empty name"),
    ]
    assert [c.name for s in one.steps for c in s.tool_calls] == ["bash", "str_replace_editor", "submit"]
    assert one.steps[1].action == "str_replace_editor insert src/flask/blueprints.py"
    assert [(r.role, r.call) for r in replies_of(one.steps[0])] == [("tool", "call_1")]
    assert one.steps[0].observation == "190:        name: str,"
    assert one.steps[0].origin.seconds == 0.21
    assert one.extra["info"]["exit_status"] == "submitted"


def test_states_hold_the_diff_and_stand_before_the_step():
    (one,) = Reading(TRACES / "swe_agent_1_1.traj")
    states = [s.state for s in one.steps]
    assert states[0] is None  # what was before the first action is not recorded
    assert json.loads(states[1])[0]["diff"] == ""
    assert json.loads(states[2])[0]["diff"].startswith("diff --git")
    assert one.final_state == states[2] == one.steps[2].next_state


def test_version_1_0_has_no_states_and_says_so():
    reading = Reading(TRACES / "swe_agent_1_0.traj")
    (one,) = reading
    assert (one.group, one.rollout) == ("swe_agent_1_0", "traces")
    assert [s.action for s in one.steps] == ["ls -F\n", "submit\n"]
    assert [s.state for s in one.steps] == [None, None]
    assert one.steps[0].extra["environment_state"] == {"open_file": "n/a", "working_dir": "/flask"}
    assert any("diff of the repository" in n for n in reading.notes)


def test_a_history_alone_is_read():
    (one,) = Reading(TRACES / "swe_agent_demonstration.traj")
    assert (one.steps[0].observation, one.steps[0].tool_calls[0].name) == (
        "OBSERVATION:\n190:        name: str,",
        "bash",
    )


def test_runs_of_one_problem_are_a_group_and_folders_name_them(tmp_path):
    for run in ("first", "second"):
        at = tmp_path / run / "astropy-1"
        at.mkdir(parents=True)
        told = load("swe_agent_1_1.traj")
        told["replay_config"] = None
        at.joinpath("astropy-1.traj").write_text(json.dumps(told))
    found = list(Reading(tmp_path))
    assert [(r.group, r.rollout) for r in found] == [("astropy-1", "first"), ("astropy-1", "second")]


def test_an_outcome_that_somebody_put_is_read():
    told = load("swe_agent_1_1.traj")
    told["info"]["resolved"] = True
    (one,) = rollouts(Rows.of([told]))
    assert one.outcome == 1.0


def test_a_step_that_is_no_object_is_an_error_with_its_place():
    told = load("swe_agent_1_1.traj")
    told["trajectory"].append(3)
    assert fits(told, "x.traj")
    with pytest.raises(DataError, match="row 1: item 3 of the trajectory"):
        list(rollouts(Rows.of([told])))


def test_a_run_of_mini_swe_agent_by_text_has_its_commands_and_what_failed():
    reading = Reading(TRACES / "swe_agent_mini_text.traj.json")
    (one,) = reading
    assert (reading.format, one.rollout, one.outcome) == ("swe_agent", "swe_agent_mini_text", None)
    assert one.task == "Task: sum.py subtracts where it should add. Repair it."
    assert [m.role for m in one.context] == ["system", "user"]
    assert [s.action for s in one.steps[:3]] == ["cat sum.py", "ls summ.py", "sed -i 's/a - b/a + b/' sum.py"]
    assert [replies_of(s)[0].error for s in one.steps] == [False, True, False, False]
    assert one.steps[1].observation.startswith("<returncode>2</returncode>\n<output>\nls: cannot access")
    assert one.steps[3].observation == "def add(a, b):\n    return a + b\n"  # what the last command printed
    assert (one.steps[0].origin.model, one.steps[0].origin.cost) == ("deterministic", 0.1)
    assert (one.extra["info"]["exit_status"], one.extra["info"]["mini_version"]) == ("Submitted", "2.4.6")


def test_a_run_of_mini_swe_agent_by_tools_keeps_the_answer_that_it_could_not_read_and_the_call_that_failed():
    (one,) = Reading(TRACES / "swe_agent_mini_api.traj.json")
    assert [[c.arguments for c in s.tool_calls] for s in one.steps] == [
        ['{"command": "cat sum.py"}', '{"command": "ls summ.py"}'],
        [],
        ['{"command": "sed -i \'s/a - b/a + b/\' sum.py"}'],
        [],
    ]
    assert [[(r.role, r.call, r.error) for r in replies_of(s)] for s in one.steps] == [
        [("tool", "call_00", False), ("tool", "call_01", True)],
        [("user", None, True)],
        [("tool", "call_20", False)],
        [],
    ]
    assert one.steps[1].text == "It subtracts, I see."
    assert one.steps[1].observation.startswith("No tool calls found")
    assert one.steps[3].origin.error.startswith("AuthenticationError: ")
    assert [s.origin.input_tokens for s in one.steps] == [30, 30, 30, None]


def test_a_run_of_mini_swe_agent_by_the_responses_api_is_grouped_by_its_problem():
    (one,) = Reading(TRACES / "swe_agent_mini_responses.traj.json")
    assert (one.group, one.rollout) == ("sum__sum-1", "traces")
    assert [s.text for s in one.steps] == ["Look first.", "A test."]
    assert [[(r.role, r.call, r.error) for r in replies_of(s)] for s in one.steps] == [
        [("tool", "call_0", False)],
        [("tool", "call_1", True)],
    ]
    assert one.extra["info"]["exit_status"] == "LimitsExceeded"


def test_a_run_of_mini_swe_agent_1_is_read():
    (one,) = Reading(TRACES / "swe_agent_mini_v1.traj.json")
    assert [s.action for s in one.steps[:2]] == ["cat sum.py", "ls summ.py"]
    assert "'returncode': 2" in one.steps[1].observation
    assert one.steps[3].observation == "def add(a, b):\n    return a + b\n"
    assert [r.error for s in one.steps for r in replies_of(s)] == [None] * 4  # its files do not say


def test_runs_of_mini_swe_agent_with_one_opening_are_one_group_and_an_outcome_put_in_is_read(tmp_path):
    told = load("swe_agent_mini_text.traj.json")
    for name, resolved in (("a", True), ("b", False)):
        (tmp_path / f"{name}.traj.json").write_text(json.dumps(told | {"info": {"resolved": resolved}}))
    first, second = Reading(tmp_path)
    assert first.group == second.group
    assert [(r.rollout, r.outcome) for r in (first, second)] == [("a", 1.0), ("b", 0.0)]


def test_an_answer_without_text_at_the_end_of_a_run_of_mini_swe_agent_is_a_step():
    told = load("swe_agent_mini_api.traj.json")
    *before, end = told["messages"]
    asked = {"role": "assistant", "content": "", "tool_calls": before[2]["tool_calls"], "extra": {"actions": []}}
    (one,) = rollouts(Rows.of([told | {"messages": [*before[:2], asked, end]}]))
    assert [[c.name for c in s.tool_calls] for s in one.steps] == [["bash", "bash"], []]


def test_a_limit_ends_a_run_of_mini_swe_agent_1_with_an_empty_message_that_is_no_reply():
    told = load("swe_agent_mini_v1.traj.json")
    told["messages"] = [*told["messages"][:4], {"role": "user", "content": ""}]
    (one,) = rollouts(Rows.of([told]))
    assert [len(replies_of(s)) for s in one.steps] == [1]
