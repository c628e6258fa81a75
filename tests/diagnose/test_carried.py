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


def test_votes_are_counted_at_the_threshold():
    said = carried(case(given(votes=[[0.9, 0.9], [0.6, 0.6, 0.9]])), threshold=0.8)
    assert said.step == 1 and said.confidence == pytest.approx(2 / 3) and "votes 0.7, below 0.8" in said.reason
    signed = carried(case(given(votes=[[1, 1, 1], [1, 0, 0]])), threshold=0.8)
    assert signed.step == 1 and signed.confidence == pytest.approx(2 / 3)


def test_a_match_is_measured_at_the_threshold_too():
    assert carried(case(given(match=[False, True])), threshold=0.0).status == "clean"
    assert carried(case(given(match=[False, True])), threshold=0.0).scores.tolist() == [0, -1]
    assert carried(case(given(match=[True, True])), threshold=1.0).scores.tolist() == [0, 0]
    assert "match 0, below 0.25" in carried(case(given(match=[False, True])), threshold=0.25).reason


@pytest.mark.parametrize("name", ["value", "potential"])
def test_after_the_last_step_stands_the_outcome(name):
    assert values(case(given(outcome=1.0, **{name: [0.5, 0.75]}))).scores.tolist() == [-0.25, -0.25]
    said = values(case(given(outcome=0.25, **{name: [0.5, 0.75]})))
    assert said.step == 1 and said.scores.tolist() == [-0.25, 0.5] and said.evidence["after"] == 0.25
    told = values(case(given(outcome=1.0, next_value=[None, 0.5], **{name: [0.5, 0.75]})))
    assert told.scores.tolist() == [-0.25, 0.25 if name == "value" else -0.25]


@pytest.mark.parametrize("name", ["value", "progress", "score"])
def test_the_falls_of_giants_have_shares(name):
    giant = 1e308 if name == "value" else 1.7e308
    said = values(case(given(outcome=giant, **{name: [giant, -giant, giant, 0.0]})))
    assert said.step == (0 if name == "value" else 1) and np.isfinite(said.scores).all()
    lost = np.maximum(said.scores, 0)
    assert said.confidence == pytest.approx(lost.max() / lost.sum()) and 0 < said.confidence < 1
    assert (said.evidence["before"], said.evidence["after"]) == (giant, -giant)
    assert said.evidence["fall"] is None
    json.dumps(said.evidence, allow_nan=False)


def test_a_value_that_is_not_finite_is_none():
    said = values(case(given(outcome=0.0, value=[0.5, float("inf"), 0.4, 0.5])))
    assert np.isnan(said.scores[:2]).all() and said.step == 3
    assert values(case(given(outcome=float("inf"), value=[0.5]))).status == "unknown"


def test_what_comes_after_a_giant_is_measured_as_it_is():
    said = values(case(given(outcome=-1e308, value=[1e308, 1e308])))
    assert said.step == 1 and said.confidence == 1.0 and said.evidence["after"] == -1e308
    told = values(case(given(outcome=None, value=[1e308, 1e308, 1e308], next_value=[5e307, 1e308, -1e308])))
    assert told.step == 2 and told.confidence == pytest.approx(0.8) and told.scores[0] == told.scores[2] / 4
