"""Results of tau2-bench."""

import copy
import json

import fixtures
import pytest
from fixtures import TRACES

from stepcredit.data.formats.tau2 import fits, rollouts
from stepcredit.data.records import Origin, reference_of, replies_of
from stepcredit.data.rows import Rows
from stepcredit.errors import DataError

FULL = json.loads((TRACES / "tau2.json").read_text())
SIMULATION = json.loads((TRACES / "tau2_simulation.json").read_text())


def read(change=None, **options):
    row = copy.deepcopy(FULL)
    if change:
        change(row)
    return list(rollouts(Rows.of([row]), **options))


def test_results_of_the_library():
    good, bad = fixtures.read("tau2.json")
    assert [(r.group, r.rollout, r.outcome, r.rewards, r.extra["trial"]) for r in (good, bad)] == [
        ("telecom/12", "sim-0", 1.0, {"DB": 1.0}, 0),
        ("telecom/12", "sim-1", 0.0, {"DB": 0.0}, 1),
    ]
    assert (good.task, good.context[0].content) == ("Your data does not work.", "Be kind.")
    assert json.loads(reference_of(good)) == {"actions": [["refuel_data", {"gb": 1}]]}
    greeting, look, refuel, again, done = good.steps
    assert (greeting.text, greeting.observation, greeting.origin.model) == (
        "Hi! How can I help you today?",
        "My phone has no data.",
        None,
    )
    assert look.origin == Origin(
        response="chatcmpl-9", model="scripted-1-2026", start=1793613602.0, input_tokens=120, output_tokens=14
    )
    assert (refuel.origin.cost, refuel.origin.seconds, refuel.origin.model) == (0.004, 1.5, "scripted-1")
    assert json.loads(again.action) == [["refuel_data", {"gb": 1}]] and done.text == "Done."


def test_what_the_user_did_is_a_reply():
    look = fixtures.read("tau2.json")[0].steps[1]
    assert [(m.role, m.name, m.error, m.content) for m in replies_of(look)] == [
        ("tool", "get_line", False, '{"data": false}'),
        ("user", None, None, "toggle_data({})"),
        ("tool", "toggle_data", False, "Data is on."),
    ]


def test_the_state_is_the_writes_that_succeeded():
    good = fixtures.read("tau2.json")[0]
    on, full = ["toggle_data", {}], ["refuel_data", {"gb": 1}]
    assert [json.loads(s.state) for s in good.steps] == [[], [], [on], [on], [on, full]]
    assert json.loads(good.final_state) == [on, full]
    assert json.loads(read(reads="get_,toggle_")[0].final_state) == [full]


def test_errors_that_the_review_found_are_blame():
    good, bad = fixtures.read("tau2.json")
    assert [(b.by, b.step, b.reason) for b in good.blame] == [("tau2 review", None, "Fine.")]
    assert [(b.step, b.label, b.error) for b in bad.blame] == [
        (1, -1.0, "irrelevant_response"),
        (1, 0.0, "content_error"),
    ]
    assert bad.blame[0].evidence["correct_behavior"] == "Look up the line."


def test_an_error_whose_turn_is_not_there_is_left_out_with_a_note():
    row = copy.deepcopy(FULL)
    row["simulations"][1]["review"]["errors"][0]["turn_idx"] = 99
    rows = Rows.of([row])
    assert len(list(rollouts(rows))[1].blame) == 1 and "left out" in rows.notes[0]


def test_a_simulation_in_a_file_of_its_own():
    (one,) = fixtures.read("tau2_simulation.json")
    assert (one.group, one.rollout, one.outcome, len(one.steps)) == ("12", "sim-1", 0.0, 2)


def test_several_results_in_one_message_are_several_replies():
    many = {"role": "tool", "tool_messages": [{"role": "tool", "id": str(i), "content": str(i)} for i in range(2)]}
    row = SIMULATION | {"messages": [{"role": "assistant", "content": "a"}, many]}
    (one,) = rollouts(Rows.of([row]))
    assert [m.call for m in one.steps[0].replies] == ["0", "1"]


def test_a_run_that_was_not_evaluated_has_no_outcome():
    (one,) = rollouts(Rows.of([SIMULATION | {"reward_info": None, "review": None}]))
    assert (one.outcome, one.blame) == (None, [])


def test_chats_are_not_taken_for_it():
    assert not fits({"task_id": 1, "messages": []}, "x") and fits(SIMULATION, "x")


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"simulations": [3], "tasks": []}, "simulation 0 must be an object"),
        ({"simulations": {}, "tasks": []}, "'simulations' has the wrong type"),
        ({"simulation_index": [], "tasks": []}, "files of their own"),
        (SIMULATION | {"messages": None, "ticks": [{}]}, "voice run"),
        (SIMULATION | {"messages": [{"content": "x"}]}, "message 0 must be an object with a role"),
        (SIMULATION | {"task_id": None}, "must name a task_id"),
        (SIMULATION | {"reward_info": {"reward": "all"}}, "finite number"),
        (SIMULATION | {"review": {"errors": [1]}}, "an error of the review"),
    ],
)
def test_what_is_wrong_is_said(row, says):
    with pytest.raises(DataError, match=says) as error:
        list(rollouts(Rows.of([row])))
    assert error.value.row == 1
