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
