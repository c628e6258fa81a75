"""Label sets made into one: agreement, votes, balance, filters; what is dropped is counted."""

import numpy as np
import pytest

from stepcredit.errors import LayoutError, StepCreditError, UnknownName
from stepcredit.label.combine import (
    HOW,
    accuracy_band,
    balance,
    combine,
    consensus,
    consistent,
    distinct,
    majority_first_error,
    together,
    varied,
    vote,
)
from stepcredit.label.labels import Labels, first_wrong, unjudged

NAN = np.nan


def labels(label, *, group="p", rollout=0, outcome=None, steps=None, value=None, **known):
    label = np.array(label, float)
    steps = tuple(steps or map(str, range(label.size)))
    parts = {**unjudged(steps), "label": label, **({} if value is None else {"value": np.array(value, float)})}
    known = {"first_error": first_wrong(label), **known}
    return Labels(group, rollout, "Q", steps, outcome=outcome, **parts, **known)


def at(first, n=4, **known):
    return labels([1.0] * n if first == -1 else [1.0] * first + [0.0] * (n - first), **known)


def test_consensus_keeps_solutions_whose_first_errors_are_equal():
    """methods/qwen-prm-lessons: e_mc = (2, none, 1, 0), e_j = (2, none, 3, 0)."""
    mc = [at(e, rollout=i) for i, e in enumerate((2, -1, 1, 0))]
    judge = [at(e, rollout=i) for i, e in enumerate((2, -1, 3, 0))]
    kept = combine([mc, judge], "consensus")
    assert [one.rollout for one in kept.labels] == [0, 1, 3]
    assert kept.dropped == {"annotators disagree on the first error": 1}
    told = [one.label[: None if one.first_error == -1 else one.first_error + 1].tolist() for one in kept.labels]
    assert told == [[1, 1, 0], [1, 1, 1, 1], [0]]
    assert np.isnan(kept.labels[0].label[3])


def test_consensus_of_two_of_three():
    three = [at(2), at(2), at(0)]
    assert consensus(three) == "annotators disagree on the first error"
    assert consensus(three, agree=2).first_error == 2
    assert consensus([at(2), labels([NAN] * 4)]) == "first error not known"
    with pytest.raises(StepCreditError, match="1 to 3"):
        consensus(three, agree=4)


def test_the_first_error_named_most_often_wins_and_of_equals_the_first():
    assert majority_first_error([2, 0, 0, None]) == 0
    assert majority_first_error([3, 1, 1, 3]) == 3
    assert majority_first_error([None, None]) is None


@pytest.mark.parametrize(
    "how, told",
    [
        ("intersection", [1, 0, 0, NAN, NAN]),
        ("union", [1, 1, 0, 1, NAN]),
        ("majority", [1, 1, 0, 1, NAN]),
        ("mean", [1, 2 / 3, 0, 1, NAN]),
    ],
)
def test_votes(how, told):
    three = [labels(x) for x in ([1, 1, 0, 1, NAN], [1, 0, 0, NAN, NAN], [1, 1, 0, 1, NAN])]
    found = vote(three, how)
    assert np.allclose(found.label, told, equal_nan=True)
    assert found.facts == {"votes_right": [3, 2, 0, 2, 0], "votes": [3, 3, 3, 2, 0]}


def test_a_tie_is_not_judged():
    assert np.isnan(vote([labels([1]), labels([0])], "majority").label[0])


def test_a_set_that_is_cut_behind_its_error_has_not_judged_the_rest():
    (row,), _ = together([[at(1)], [at(1).first(2)]])
    assert np.array_equal(row[1].label, [1, 0, NAN, NAN], equal_nan=True)


def test_rows_that_are_not_in_every_set_are_counted_and_other_steps_are_an_error():
    rows, dropped = together([[at(1), at(1, rollout=1)], [at(0, rollout=1), at(1, rollout=2)]])
    assert [one.rollout for one in rows[0]] == [1, 1] and dropped == {"not in every set": 2}
    with pytest.raises(LayoutError, match="other steps"):
        together([[labels([1], steps=["a"])], [labels([1], steps=["b"])]])
    with pytest.raises(LayoutError, match="twice"):
        together([[at(1), at(1)], [at(1)]])
    with pytest.raises(LayoutError, match="at least two"):
        together([[at(1)]])


def test_an_unknown_way_names_those_there_are():
    with pytest.raises(UnknownName, match="way to combine labels"):
        combine([[at(1)], [at(1)]], "vote")
    for how in HOW:
        assert len(combine([[at(1)], [at(1)]], how).labels) == 1


def test_balance_draws_equal_numbers_in_their_order():
    many = [at(-1 if i % 4 else 1, rollout=i) for i in range(40)] + [labels([NAN], rollout=99)]
    kept = balance(many, seed=1)
    assert [one.first_error for one in kept.labels].count(1) == 10 == len(kept.labels) / 2
    assert [one.rollout for one in kept.labels] == sorted(one.rollout for one in kept.labels)
    assert kept.dropped == {"first error not known": 1, "balanced away": 20}
    assert [o.rollout for o in balance(many, seed=1).labels] == [o.rollout for o in kept.labels]
    assert [o.rollout for o in balance(many, seed=2).labels] != [o.rollout for o in kept.labels]
    assert balance([at(1)]).labels == []


def test_balance_by_value():
    values = [0.05, 0.06, 0.07, 0.95, 0.96, 0.55]
    kept = balance([labels([1], rollout=i, value=[v]) for i, v in enumerate(values)], "value")
    assert sorted(int(one.value[0] * 10) for one in kept.labels) == [0, 5, 9]
    with pytest.raises(UnknownName):
        balance([], "rows")


def test_filters_by_the_outcomes_of_a_task():
    def task(group, outcomes):
        return [at(-1, group=group, rollout=i, outcome=o) for i, o in enumerate(outcomes)]

    all_ = [*task("hard", [0, 0, 0, 0]), *task("mid", [0, 1, None, 1]), *task("easy", [1, 1]), *task("none", [None])]
    kept = accuracy_band(all_, 0.1, 0.9)
    assert {one.group for one in kept.labels} == {"mid"}
    assert kept.dropped == {"task too hard": 4, "task too easy": 2, "no outcome of the task known": 1}
    assert {one.group for one in varied(all_).labels} == {"mid"}
    with pytest.raises(StepCreditError):
        accuracy_band(all_, 0.9, 0.1)


def test_what_fails_without_a_wrong_step_is_dropped_and_equal_steps_too():
    kept = consistent([at(-1, outcome=0.0), at(-1, outcome=1.0), at(2, outcome=0.0), labels([NAN])])
    assert len(kept.labels) == 2
    assert kept.dropped == {"failed without a wrong step": 1, "first error not known": 1}
    assert distinct([at(1), at(1, rollout=1), at(1, group="q")]).dropped == {"the same steps again": 1}


def test_inputs_stay_as_they_were():
    a, b = at(1), labels([NAN] * 4)
    before = [x.copy() for one in (a, b) for x in (one.label, one.value)]
    for how in HOW:
        combine([[a], [b]], how)
    assert all(
        np.array_equal(x, y, equal_nan=True)
        for x, y in zip(before, [x for one in (a, b) for x in (one.label, one.value)], strict=True)
    )
