"""States from observations."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepcredit.data.batch import Batch
from stepcredit.data.records import Rollout, Step
from stepcredit.errors import DataError, MissingColumn, StepCreditError, UnknownName
from stepcredit.evidence.state import merge_of, normalized, survey, with_states


def batch(*rollouts, group="g"):
    return Batch.from_records(
        Rollout(group=group, rollout=i, steps=[Step(observation=o, extra={"page": o}) for o in seen])
        for i, seen in enumerate(rollouts)
    )


def keys(b):
    return [b.keys["state"][i] for i in b["state"].tolist()]


def test_last_is_the_observation_before_the_step():
    b = with_states(batch(["x", "y"], ["x", "z"]), "last")
    assert keys(b) == ["start", "x", "start", "x"]
    assert b["state"].tolist() == [0, 1, 0, 1]


def test_history_tells_orders_apart_and_set_does_not():
    seen = [["x", "y", "-"], ["y", "x", "-"]]
    assert len(set(with_states(batch(*seen), "history")["state"][[2, 5]])) == 2
    assert len(set(with_states(batch(*seen), "set")["state"][[2, 5]])) == 1


@pytest.mark.parametrize("source", ["history", "set"])
def test_keys_are_those_of_any_other_batch(source):
    """Files that were made apart can be joined."""
    alone, both = with_states(batch(["y", "x", "-"]), source), with_states(batch(["a", "b"], ["y", "x", "-"]), source)
    assert keys(alone) == keys(both)[2:] and len(set(keys(both))) == 4


def test_set_counts_a_thing_seen_twice_once():
    s = with_states(batch(["x", "x", "-"]), "set")["state"]
    assert s[1] == s[2] != s[0]


@pytest.mark.parametrize("source", ["last", "history", "set"])
def test_after_a_missing_observation_nothing_is_comparable(source):
    b = with_states(batch(["x", None, "y"], ["x", None, "y"]), source)
    s = b["state"]
    assert s[1] == s[4] and s[2] != s[5]


def test_history_and_set_stay_unknown_after_a_gap():
    b = with_states(batch(["x", None, "y", "-"], ["x", None, "y", "-"]), "history")
    assert b["state"][3] != b["state"][7]


@given(st.lists(st.lists(st.sampled_from("abc"), max_size=5), min_size=1, max_size=5))
def test_states_are_equal_exactly_where_what_was_seen_is(seen):
    for source, view in (("history", tuple), ("set", frozenset), ("last", lambda o: o[-1:] or "start")):
        got = keys(with_states(batch(*seen), source)) if any(seen) else []
        want = [view(o[:t]) for o in seen for t in range(len(o))]
        for i in range(len(want)):
            for j in range(len(want)):
                assert (got[i] == got[j]) == (want[i] == want[j])


def test_normalizing_takes_out_what_was_chosen_and_nothing_else():
    assert normalized("A  b\n1,5", ["whitespace"]) == "A b 1,5"
    assert normalized("A  b\n1,5", ["case", "numbers"]) == "a  b\n#"
    assert normalized("user_id mia_li_3668 at 3f2504e0-4f89-11d3-9a0c-0305e82c3301", ["ids"]) == "user_id @ at @"
    assert normalized("flight HAT136 in May", ["ids"]) == "flight @ in May"
    assert normalized("ordinary words, none changed", ["ids"]) == "ordinary words, none changed"
    assert normalized("a1 12345678", ["ids"]) == "a1 12345678"


def test_a_column_a_field_and_a_function():
    b = batch(["x", "y"])
    assert keys(with_states(b, "column:page")) == ["x", "y"]
    assert with_states(b.with_columns(score=[1.0, 1.0]), "column:score")["state"].tolist() == [0, 0]
    assert keys(with_states(b, lambda r: [s.observation for s in r.steps])) == ["x", "y"]


def test_a_function_in_a_file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("def page(rollout):\n    return [s.extra['page'] for s in rollout.steps]\n")
    assert keys(with_states(batch(["x", "y"]), f"{path}:page")) == ["x", "y"]
    with pytest.raises(UnknownName, match="pgae"):
        with_states(batch(["x"]), f"{path}:pgae")
    with pytest.raises(StepCreditError, match="no Python file"):
        with_states(batch(["x"]), "absent.py:page")


def test_errors_say_what_is_wrong():
    with pytest.raises(UnknownName, match="whitespace"):
        with_states(batch(["x"]), "last", normalize=["whitespce"])
    with pytest.raises(UnknownName, match="history"):
        with_states(batch(["x"]), "histroy")
    with pytest.raises(MissingColumn, match="observation"):
        with_states(Batch.from_records([Rollout(group=0, rollout=0, steps=[Step(text="t")])]), "last")
    with pytest.raises(DataError, match="one key per step"):
        with_states(batch(["x", "y"]), lambda r: [1])


def test_the_survey_counts_merged_and_alone():
    rows = dict(survey(batch(["x 1", "-"], ["x 2", "-"])))
    assert rows["last (exact)"].singletons == 0.5
    assert rows["last (ids, numbers, case, whitespace normalized)"].singletons == 0
    assert merge_of(with_states(batch(["x"], ["y"]), "last")) == (1, 1.0, 0.0, 2)


def test_states_of_a_batch_without_steps():
    empty = Batch.from_records([Rollout(group=0, rollout=0)]).with_columns(observation=np.zeros(0, int))
    assert with_states(empty, "history")["state"].size == 0
