"""Given labels: the first wrong step and what rests on it; given values: the largest fall. Under 1 s."""

import json
from pathlib import Path

import numpy as np
import pytest
from made_runs import case, run

from stepcredit.diagnose.methods.carried import carried, propagate
from stepcredit.diagnose.methods.values import values
from stepcredit.errors import LayoutError

GOLDEN = json.loads((Path(__file__).parent / "goldens" / "carried.json").read_text())


def given(outcome=0.0, **columns):
    """A run with evidence; `match` is a field of steps."""
    size = len(next(iter(columns.values())))
    made = run("a", ["x"] * size, outcome)
    for t, step in enumerate(made.steps):
        step.evidence = {n: c[t] for n, c in columns.items() if n != "match" and c[t] is not None}
        step.match = columns["match"][t] if "match" in columns else None
    return made


@pytest.mark.parametrize("one", GOLDEN["cases"], ids=lambda c: str(c["label"]))
def test_errors_are_carried_on_until_corrected(one):
    told = propagate(np.array(one["label"], float), one["corrected"])
    assert [None if np.isnan(x) else x for x in told] == one["told"]


def test_carrying_on_twice_changes_nothing():
    label = np.random.default_rng(0).choice([-1.0, 0.0, 1.0, np.nan], 200)
    ends = np.random.default_rng(1).random(200) < 0.2
    once = propagate(label, ends & ~(label < 0))
    assert np.array_equal(propagate(once, ends & ~(label < 0)), once, equal_nan=True)
    with pytest.raises(LayoutError, match="shapes"):
        propagate([1, 1], [False])


def test_the_first_error_of_the_worked_example_of_agentprocessbench():
    example = GOLDEN["agentprocessbench"]
    said = carried(case(given(label=example["label"])))
    assert example["message"][said.step] == example["first_error"]
    assert said.scores.tolist() == [-1, 0, 1, 1] and said.evidence["wrong"] == [2, 3]


def test_neutral_steps_rest_on_the_error_until_one_is_right():
    said = carried(case(given(label=[1, -1, 0, 1, 0])))
    assert said.step == 1 and said.scores.tolist() == [-1, 1, 0.5, -1, 0]
    assert said.remarks == {2: "rests on step 1, which is wrong"} and "1 later steps rest on it" in said.reason
    flagged = carried(case(given(label=[1, -1, 0, 1, 0])), until="flag")
    assert flagged.scores.tolist() == [-1, 1, 0.5, 0.5, 0.5]
    corrected = given(label=[1, -1, 0, 1, 0], corrected=[0, 0, 1, 0, 0])
    assert carried(case(corrected), until="flag").scores.tolist() == [-1, 1, 0, -1, 0]


def test_steps_that_nobody_labeled_are_not_judged():
    said = carried(case(given(label=[1, None, -1, None])))
    assert said.step == 2 and np.isnan(said.scores[[1, 3]]).all()
    assert carried(case(given(label=[1, None, 1]))).status == "clean"
    assert carried(case(run("a", "xyz", 0.0))).status == "unknown"


def test_scores_and_matches_below_the_threshold_are_wrong():
    assert carried(case(given(score=[0.9, 0.4, 0.5])), threshold=0.45).step == 1
    assert carried(case(given(score=[0.9, 0.4, 0.5]))).scores.tolist() == [-1, 1, 0.5]
    assert carried(case(given(match=[True, True, False]))).step == 2
    both = given(label=[-1, 1], score=[0.9, 0.1])
    assert carried(case(both)).step == 0 and carried(case(both), source="score").step == 1


def test_the_share_of_votes_is_the_confidence():
    said = carried(case(given(votes=[[1, 1, 1], [0, 0, 1], [1, 1, 0]])))
    assert said.step == 1 and said.confidence == pytest.approx(2 / 3)
    signed = carried(case(given(votes=[[1, 1, 1, 0], [-1, -1, -1, 1], [1, 1, 1, 1]])))
    assert signed.step == 1 and signed.confidence == 0.75


def test_the_largest_fall_of_a_value_is_blamed_with_its_share_of_all_falls():
    said = values(case(given(value=[0.8, 0.9, 0.2, 0.3])))
    assert said.step == 1 and said.scores == pytest.approx([-0.1, 0.7, -0.1, 0.3])
    assert said.confidence == pytest.approx(0.7) and "falls here from 0.9 to 0.2" in said.reason


def test_what_comes_after_the_last_step_is_its_next_value_else_the_outcome():
    assert values(case(given(outcome=None, value=[0.5, 0.6], next_value=[0.6, 0.1]))).step == 1
    assert values(case(given(outcome=0.0, value=[0.5, 0.6]))).step == 1
    unknown = values(case(given(outcome=None, value=[0.5, 0.6])))
    assert unknown.status == "clean" and np.isnan(unknown.scores[1])
    assert values(case(given(outcome=None, value=[0.5]))).status == "unknown"


def test_progress_stands_after_a_step_and_a_score_is_of_it():
    assert values(case(given(progress=[0.3, 0.6, 0.1, 0.2]))).step == 2
    assert values(case(given(score=[0.9, 0.8, 0.2, 0.7]))).step == 2
    assert values(case(given(score=[0.2, None, 0.3]))).status == "clean"
    assert values(case(run("a", "xy", 0.0))).status == "unknown"
    assert values(case(given(value=[0.9, 0.1], progress=[0.5, 0.9])), source="progress").status == "clean"
