"""Reflections: R3L's rules for what is valid, and Search-R2's gate."""

import json

import numpy as np
import pytest
from judged_batches import Scripted, batch, rollout

import stepcredit as sc
from stepcredit.errors import StepCreditError
from stepcredit.evidence import get
from stepcredit.evidence._prompts import Unreadable
from stepcredit.evidence._prompts.reflection import read_accept, read_reflection
from stepcredit.evidence.reflect import cost, reflect, reflections

REPORT = {
    "trajectory_summary": "s",
    "root_cause_analysis": "r",
    "trajectory_outcome": "failure",
    "improvement_suggestion": "i",
    "retry_from_step": 1,
}


def report(**changes):
    made = {**REPORT, **changes}
    return {key: value for key, value in made.items() if value != "LEFT OUT"}


# Executed: shiweijiezero/R3L d503f6c alfworld/utils.py validate_reflect_report on a rollout of five steps, and the
# retry step that its caller takes by int(). None: valid and perfect. False: not valid.
VALID = [
    ({}, 1),
    ({"retry_from_step": 0}, 0),
    ({"retry_from_step": 4}, 4),
    ({"retry_from_step": 5}, False),
    ({"retry_from_step": -1}, False),
    ({"retry_from_step": "2"}, 2),
    ({"retry_from_step": "two"}, False),
    ({"retry_from_step": 2.9}, 2),
    ({"retry_from_step": True}, 1),
    ({"retry_from_step": None}, False),
    ({"retry_from_step": "LEFT OUT"}, False),
    ({"improvement_suggestion": None}, False),
    ({"improvement_suggestion": ""}, 1),
    ({"trajectory_outcome": "success", "retry_from_step": None, "improvement_suggestion": None}, None),
    ({"trajectory_outcome": "success", "root_cause_analysis": None}, None),
    ({"trajectory_outcome": "success", "root_cause_analysis": "LEFT OUT"}, False),
    ({"trajectory_outcome": "success_but_inefficient", "retry_from_step": 3}, 3),
    ({"trajectory_outcome": "Success"}, False),
    ({"trajectory_summary": "LEFT OUT"}, False),
]


@pytest.mark.parametrize(("changes", "want"), VALID)
def test_a_report_is_valid_as_in_the_official_code(changes, want):
    reply = f"I think:\n```json\n{json.dumps(report(**changes))}\n```\nThat is all."
    if want is False:
        with pytest.raises(Unreadable):
            read_reflection(reply, 5)
    else:
        assert read_reflection(reply, 5).pivot == want


# Executed: the same caller's way from the first brace to the last.
@pytest.mark.parametrize("reply", ['x {"a": 1} y {"b": 2} z', "none", "} {", "[1]", "{", '{"a": 1}'])
def test_what_is_no_report(reply):
    with pytest.raises(Unreadable):
        read_reflection(reply, 5)


@pytest.mark.parametrize("step", ["1e999", "NaN", "[1]", '"1.5"', "9" * 5000, '"' + "9" * 5000 + '"'])
def test_a_step_that_is_no_number_does_not_crash(step):
    reply = json.dumps(report(retry_from_step="HERE")).replace('"HERE"', step)
    with pytest.raises(Unreadable):
        read_reflection(reply, 5)


def test_braces_in_texts_are_text():
    made = read_reflection(json.dumps(report(trajectory_summary="{ } }", improvement_suggestion="use {x}")), 5)
    assert made.pivot == 1 and made.suggestion == "use {x}"


def three():
    return batch(rollout(0, "a", "b", "c"), rollout(1, "a", "b"), rollout(2), rollout(3, "d"))


def test_pivots():
    judge = Scripted(json.dumps(report(retry_from_step=2)), json.dumps(report(trajectory_outcome="success")), None)
    made = reflect(three(), judge)
    assert made["pivot"].tolist() == [2, -1, -1, -1] and "accept" not in made
    assert made.notes[-1] == (
        "reflect, reflection: 3 calls of the judge; 1 of 3 not judged (no reply 1); 1 rollouts to be tried again"
    )
    assert "[[0 step 0]]\na" in judge.prompts[0] and "[[0 step 2]]\nc" in judge.prompts[0]


def test_a_pivot_must_be_a_step_of_its_own_rollout():
    made = reflect(three(), Scripted(json.dumps(report(retry_from_step=2))))
    assert made["pivot"].tolist() == [2, -1, -1, -1]


def test_the_texts_of_reflections():
    said = json.dumps(report())
    made = reflections(three(), Scripted(said, None, said))
    assert made[0].suggestion == "i" and made[0].text == said and made[0].pivot == 1
    assert made[1:] == [None, None, None]


def test_acceptance():
    accept = [(0.9, 1), (0.5, 1), (0.2, None), (True, 0), (False, 2)]
    records = [rollout(i, "a", "b", "c") for i in range(5)]
    judge = Scripted(*(json.dumps({"accept": a, "first_flawed_step": f}) for a, f in accept))
    kind = get("reflect@search-r2")
    made = kind.function(batch(*records), judge, **kind.options)
    assert made["pivot"].tolist() == [-1, 1, 0, -1, 2]
    assert made["accept"].tolist() == [0.9, 0.5, 0.2, 1.0, 0.0] and made.axis("accept") == "R"
    strict = Scripted(*judge.replies)
    assert reflect(batch(*records), strict, question="accept", threshold=0.95)["pivot"].tolist() == [1, 1, 0, -1, 2]


@pytest.mark.parametrize(
    "reply",
    [
        '{"accept": 1.5}',
        '{"accept": "yes"}',
        '{"accept": NaN}',
        '{"first_flawed_step": 1}',
        '{"accept": 0, "first_flawed_step": 3}',
    ],
)
def test_what_is_no_acceptance(reply):
    with pytest.raises(Unreadable):
        read_accept(reply, 3)


def test_what_failed_is_asked_again_with_the_reason():
    judge = Scripted(None, "no", json.dumps(report(retry_from_step=0)), json.dumps(report(retry_from_step=1)))
    made = reflect(batch(rollout(0, "a", "b"), rollout(1, "a", "b")), judge, retries=2)
    assert made["pivot"].tolist() == [0, 1] and len(judge.prompts) == 4
    assert judge.prompts[2].endswith("(Attempt 2. Before, there was no reply.)")
    assert judge.prompts[3].endswith("(Attempt 2. Before, the reply could not be read: no JSON object.)")


def test_costs():
    assert cost(three()).calls == {"judge": 3} and not cost(three()).at_most
    assert str(cost(three(), retries=2)) == "at most 9 judge calls"


def test_arrays_have_no_texts_to_reflect_on():
    with pytest.raises(StepCreditError, match="texts"):
        reflect(sc.from_arrays(group=["p"], rollout=[0], outcome=[1]), Scripted("x"))


def test_a_preset_of_each_reading():
    assert get("reflect@r3l").options["question"] == "reflection"
    assert np.isnan(reflect(three(), Scripted(None), question="accept")["accept"]).all()
