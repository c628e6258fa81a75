"""Records: what is accepted, what is refused and how it is named, what is kept."""

import math

import pytest

from stepcredit.data import Rollout, Step, write
from stepcredit.data.records import rollout_from_dict, rollout_to_dict
from stepcredit.errors import DataError


def rollout(**fields):
    return {"group": "p", "rollout": "p/1", **fields}


def step(**fields):
    return rollout(steps=[{}, fields])


def refused(raw):
    with pytest.raises(DataError) as error:
        rollout_from_dict(raw, file="runs.jsonl", row=12)
    return error.value


@pytest.mark.parametrize(
    ("raw", "where", "what"),
    [
        (rollout(outcome="high"), "rollout 'p/1'", "'outcome' has the wrong type; got high, expected float | null"),
        (rollout(outcome=True), "rollout 'p/1'", "'outcome' has the wrong type; got True, expected float | null"),
        (rollout(group=None), "rollout 'p/1'", "'group' has the wrong type; got null, expected int | str"),
        (rollout(group=1.5), "rollout 'p/1'", "'group' has the wrong type; got 1.5, expected int | str"),
        (rollout(batch="one"), "rollout 'p/1'", "'batch' has the wrong type; got one, expected int | null"),
        (rollout(rewards={"a": 1, "b": "x"}), "rollout 'p/1'", "rewards['b']\" has the wrong type; got x"),
        (rollout(prefix=[1]), "rollout 'p/1'", "'prefix[0]' has the wrong type; got 1, expected str"),
        (rollout(steps=None), "rollout 'p/1'", "'steps' has the wrong type; got null, expected array"),
        (rollout(steps=[{}, 3]), "rollout 'p/1', step 1", "step has the wrong type; got 3, expected object"),
        (step(reward=False), "rollout 'p/1', step 1", "'reward' has the wrong type; got False, expected float | null"),
        (step(match=1), "rollout 'p/1', step 1", "'match' has the wrong type; got 1, expected bool | null"),
        (step(state=["s"]), "rollout 'p/1', step 1", "'state' has the wrong type; got ['s']"),
        (step(evidence={"v": 1, "w": "hi"}), "rollout 'p/1', step 1", "evidence['w']\" has the wrong type; got hi"),
        (step(evidence={"v": [1, "hi"]}), "rollout 'p/1', step 1", "evidence['v'][1]\" has the wrong type; got hi"),
        (step(credit={"m": True}), "rollout 'p/1', step 1", "credit['m']\" has the wrong type; got True"),
        (step(tokens={"logp": "x"}), "rollout 'p/1', step 1", "'tokens.logp' has the wrong type; got x"),
        (step(tokens={"lopg": [1]}), "rollout 'p/1', step 1", "field 'lopg' in 'tokens' is not known"),
        (step(tool_calls=[{"arguments": 1}]), "rollout 'p/1', step 1", "field 'name' in 'tool_calls[0]' is missing"),
        (
            step(tool_calls=[{"name": "f", "type": 1}]),
            "rollout 'p/1', step 1",
            "'type' in 'tool_calls[0]' is",
        ),
        (step(tokens={"id": [1, 2], "n": 1}), "rollout 'p/1', step 1", "one length; got {'id': 2, 'n': 1}"),
        (step(tokens={"n": -1}), "rollout 'p/1', step 1", "one length; got {'n': -1}"),
        (rollout(weight=-1), "rollout 'p/1'", "weight must not be negative; got -1.0, expected >= 0"),
        ({"rollout": 3, "gruop": 1}, "rollout 3", "field 'group' is missing"),
        ([1], "", 'a record must be an object; got list, expected {"group": ..., ...}'),
        (rollout(schema_version=2), "", "written by another version of the schema; got 2, expected 1"),
    ],
)
def test_errors_name_place_field_got_and_expected(raw, where, what):
    text = str(refused(raw))
    assert text.startswith(", ".join(filter(None, ("runs.jsonl, row 12", where))) + ": ")
    assert what in text


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda x: rollout(outcome=x), "outcome"),
        (lambda x: rollout(weight=x), "weight"),
        (lambda x: rollout(rewards={"a": x}), "a"),
        (lambda x: step(reward=x), "reward"),
        (lambda x: step(evidence={"value": x}), "evidence 'value'"),
        (lambda x: step(evidence={"votes": [1, x]}), "evidence 'votes'"),
        (lambda x: step(credit={"grpo": x}), "credit 'grpo'"),
        (lambda x: step(tokens={"logp": [0.0, x]}), "token field 'logp'"),
    ],
)
def test_numbers_are_finite_or_unknown(make, field, number):
    assert f"{field} is not a finite number; got {number}" in str(refused(make(number)))
    assert "null" in refused(make(number)).hint
    rollout_from_dict(make(None))


def test_a_missing_field_hints_at_the_fields_that_are_there():
    assert refused({"rollout": 3, "gruop": 1}).hint == (
        "the fields here are: rollout, gruop; rename with --map group=<field>"
    )


def test_the_fields_of_a_tool_call_are_named_where_another_shape_is_given():
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    assert refused(step(tool_calls=[call])).hint == "tool_calls have the fields name, arguments, id"
    assert refused(step(replies=[{"role": "tool", "tool_call_id": "1"}])).hint == (
        "replies have the fields role, content, name, call, error, images"
    )


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"tool_calls": [{"name": "f"}]}, "'tool_calls' holds something else.*ToolCall.name=, arguments=, id="),
        ({"replies": [{"role": "tool"}]}, "'replies' holds something else.*Message.role="),
    ],
)
def test_what_could_not_be_read_again_is_not_written(tmp_path, fields, what):
    made = Rollout(group="p", rollout=0, steps=[Step(), Step(**fields)])
    with pytest.raises(DataError, match=what) as error:
        write([made], tmp_path / "x.jsonl")
    assert "step 1" in str(error.value) and not (tmp_path / "x.jsonl").exists()
    with pytest.raises(DataError, match="'context' holds something else"):
        write([Rollout(group="p", rollout=0, context=["hello"])], tmp_path / "x.jsonl")


def test_unknown_fields_are_kept_in_their_order():
    raw = rollout(zeta=1, steps=[{"b": [1], "text": "x", "a": {"c": None}}], extra={"own": 1}, alpha="é")
    record = rollout_from_dict(raw)
    assert list(record.extra) == ["zeta", "extra", "alpha"] and list(record.steps[0].extra) == ["b", "a"]
    back = rollout_to_dict(record)
    assert back == {"schema_version": 1, **raw}
    assert list(back)[-3:] == ["zeta", "extra", "alpha"] and list(back["steps"][0])[-2:] == ["b", "a"]


def test_keys_keep_their_types():
    record = rollout_from_dict(rollout(steps=[{"state": s} for s in (1, "1", 1.5, True, None)], group=7))
    assert [s.state for s in record.steps] == [1, "1", 1.5, True, None]
    assert [type(s.state) for s in record.steps] == [int, str, float, bool, type(None)]
    assert rollout_from_dict(rollout_to_dict(record)) == record
