"""Checks of what an environment measures, against plain rules written out."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepcredit.data import from_arrays
from stepcredit.data.batch import Batch
from stepcredit.data.records import Rollout, Step
from stepcredit.errors import DataError, MissingColumn
from stepcredit.evidence.progress_check import progress_check
from stepcredit.evidence.rule_tree import rule_tree

MAYBE = (None, False, True)


def of(*fields, **extra):
    return Batch.from_records([Rollout(group="g", rollout="a", steps=[Step(extra=f) for f in fields], extra=extra)])


def plain_rules(success, moved, hit, same, progress):
    if not success:
        return -1.0
    if moved or hit:
        return 0.0
    if same:
        return -1.0
    return np.nan if progress is None else 0.0 if progress else -1.0


@pytest.mark.parametrize("moved", [False, True])
def test_the_tree_on_every_combination(moved):
    for success, hit, same, progress in product(MAYBE, repeat=4):
        told = {"success": success, "on_element": hit, "same_screen": same, "looks_like_progress": progress}
        fields = {k: v for k, v in told.items() if v is not None} | {"url": "v" if moved else "u"}
        batch = of({"success": True, "url": "u"}, fields, start_url="u")
        got = rule_tree(batch, penalty=1)["score"][1]
        np.testing.assert_equal(got, plain_rules(success, moved, hit, same, progress))


def test_a_penalty_counts_in_the_note_and_so_do_steps_that_are_not_judged():
    batch = rule_tree(of({"success": False}, {"success": True}))
    assert batch.notes[-1].startswith("score: 1 of 2 steps penalized, 1 not judged")
    with pytest.raises(MissingColumn, match="rule_tree needs column 'success'"):
        rule_tree(of({"url": "u"}))
    with pytest.raises(DataError, match="must hold numbers") as error:
        rule_tree(of({"success": "yes"}))
    assert (error.value.rollout, error.value.step) == ("a", 0)


def test_addresses_follow_the_way_to_a_step_that_rollouts_share():
    shared = Batch.from_records(
        [
            Rollout(
                group="g",
                rollout=0,
                steps=[
                    Step(id="s", extra={"success": 1, "url": "u"}),
                    Step(extra={"success": 1, "url": "u", "same_screen": 1}),
                ],
            ),
            Rollout(group="g", rollout=1, prefix=["s"], steps=[Step(extra={"success": 1, "url": "v"})]),
        ]
    )
    assert rule_tree(shared, penalty=1)["score"].tolist() == [0, -1, 0]


numbers = st.none() | st.sampled_from([0.0, 0.01, 0.02, 0.5])


@given(st.lists(st.tuples(numbers, st.sampled_from(MAYBE)), max_size=6), st.sampled_from(MAYBE), st.booleans())
def test_progress_is_that_of_plain_rules(steps, start, lower):
    begin = None if start is None else float(start)
    batch = of(*[{"p": p, "on": on} for p, on in steps], begin=begin).with_columns(
        p=[np.nan if p is None else p for p, _ in steps],
        on=[np.nan if on is None else float(on) for _, on in steps],
    )
    got = progress_check(batch, after="p", start="begin", lower=lower, goal="on")["score"] if steps else []
    last, was = begin, False
    for (p, on), score in zip(steps, got, strict=True):
        gain = None if p is None or last is None else (last - p if lower else p - last)
        better = None if gain is None else gain > 0.01
        turned = False if on is False or was is True else None if on is None or was is None else True
        want = 1.0 if better or turned else np.nan if None in (better, turned) else 0.0
        np.testing.assert_equal(score, want)
        last, was = p, on


def test_progress_of_bare_arrays():
    batch = from_arrays(group=["g"] * 3, rollout=["a", "a", "b"], outcome=[1, 0], progress=[0.25, 0.5, 0.1])
    made = progress_check(batch.with_columns(begin=[0.0, 0.1], axis="R"), start="begin")
    assert made["score"].tolist() == [1, 1, 0]
    assert made.notes[-1] == "score: 1 where 'progress' improved; 3 of 3 steps judged, 67% of them progress"
    with pytest.raises(MissingColumn, match="progress_check needs column 'distance'"):
        progress_check(batch, after="distance")
