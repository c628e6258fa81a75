"""Accuracy by position, the horizon, and the prior made of them. Under 1 s."""

import json
from pathlib import Path

import numpy as np
import pytest
from made_runs import case, run

from stepcredit.diagnose.decay import (
    first_error_share,
    hazard,
    horizon_length,
    local_accuracy,
    prefix_accuracy,
    step_accuracy,
)
from stepcredit.diagnose.methods.horizon import horizon
from stepcredit.errors import LayoutError, StepCreditError

GOLDEN = json.loads((Path(__file__).parent / "goldens" / "horizon.json").read_text())


def labeled(name, labels, outcome=0.0):
    made = run(name, ["a"] * len(labels), outcome)
    for step, label in zip(made.steps, labels, strict=True):
        step.evidence = {"label": label}
    return made


def test_the_worked_example_of_long_horizon_execution():
    change, answer = np.array(GOLDEN["change"]), np.array([GOLDEN["answer"]])
    right = (answer == np.cumsum(change)).astype(float)
    assert right[0].tolist() == GOLDEN["index"]
    assert prefix_accuracy(right).tolist() == GOLDEN["prefix"]
    assert local_accuracy(answer, change).tolist() == GOLDEN["local"]
    for p, steps in GOLDEN["horizon"].items():
        assert float(horizon_length(float(p))) == pytest.approx(steps, rel=1e-3)


def test_ends_and_missing_answers_leave_a_run_out_of_later_positions():
    assert prefix_accuracy([[1, 1, np.nan], [1, 0, 1]]).tolist() == [1.0, 0.5, 0.0]
    assert np.isnan(prefix_accuracy([[1, np.nan]])[1])
    told = local_accuracy([[3, np.nan, 7]], [3, -2, 5])
    assert told[0] == 1 and np.isnan(told[1:]).all()
    with pytest.raises(LayoutError, match=r"\[runs, positions\]"):
        prefix_accuracy([1, 0])


def test_the_horizon_at_its_limits():
    assert horizon_length([0.0, 1.0]).tolist() == [0.0, np.inf]
    assert float(horizon_length(0.9, 0.1)) == pytest.approx(np.log(0.1) / np.log(0.9))
    for wrong in ((1.5, 0.5), (0.5, 0.0), (0.5, 1.0)):
        with pytest.raises(StepCreditError, match="horizon_length"):
            horizon_length(*wrong)


def test_step_accuracy_is_found_again_in_many_outcomes():
    rng = np.random.default_rng(0)
    length = rng.integers(1, 30, 4000)
    success = (rng.random(4000) < 0.95**length).astype(float)
    assert step_accuracy(length, success) == pytest.approx(0.95, abs=0.005)
    assert step_accuracy([5, 5], [1.0, np.nan]) > step_accuracy([5, 5], [0.0, np.nan])
    assert np.isnan(step_accuracy([3], [np.nan])) and np.isnan(step_accuracy([], []))


def test_the_hazard_counts_the_runs_that_are_still_right():
    assert hazard([0, 1, -1, -1], [2, 2, 2, 1], prior=0.0).tolist() == [0.25, 0.5]
    mean = 2.5 / 7
    assert hazard([0, 1, -1, -1], [2, 2, 2, 1], prior=2.0) == pytest.approx([(1 + 2 * mean) / 6, (1 + 2 * mean) / 4])
    assert hazard([], []).size == 0
    with pytest.raises(LayoutError, match="inside their runs"):
        hazard([2], [2])


def test_where_the_first_error_is_sums_to_one():
    share = first_error_share([0.1, 0.5, 0.2])
    assert share.sum() == pytest.approx(1.0) and share == pytest.approx(np.array([0.1, 0.45, 0.09]) / 0.64)
    assert first_error_share([0.0, 0.0]).tolist() == [0.5, 0.5] and first_error_share([]).size == 0


def test_labeled_siblings_give_the_position():
    siblings = [labeled(i, [1, 1, -1, 1]) for i in range(4)] + [labeled("other", [-1, 1, 1, 1])]
    said = horizon(case(run("bad", "abcdef", 0.0), *siblings))
    assert (said.status, said.step) == ("found", 2) and said.scores.sum() == pytest.approx(1.0)
    assert said.confidence == pytest.approx(float(said.scores[2])) and "4 of 5 first errors" in said.reason


def test_its_own_labels_are_not_read():
    own = labeled("bad", [1, 1, 1, -1])
    assert horizon(case(own, *(labeled(i, [1, -1, 1, 1]) for i in range(3)))).step == 1


def test_outcomes_alone_tell_how_hope_decays_and_name_no_step():
    said = horizon(case(run("bad", "abcd", 0.0), run("a", "ab", 1.0), run("b", "abcdefgh", 0.0)))
    assert said.status == "unknown" and said.step is None and "half of the runs" in said.reason
    assert np.all(np.diff(said.scores) < 0) and said.evidence["horizon"] > 0


@pytest.mark.parametrize("runs", [[run("bad", "ab", 0.0)], [run("empty", "", 0.0), run("a", "ab", 1.0)]])
def test_without_anything_to_go_by_it_says_so(runs):
    said = horizon(case(*runs))
    assert said.status == "unknown" and said.reason and np.isnan(said.scores).all()


def test_a_strong_prior_draws_positions_together():
    siblings = [labeled(i, [1, 1, -1, 1]) for i in range(4)]
    weak, strong = (horizon(case(run("bad", "abcd", 0.0), *siblings), prior=p).confidence for p in (0.1, 100.0))
    assert strong < weak


def test_the_chance_that_fits_outcomes_by_hand():
    """Runs of 2 and 10 steps succeeded, one of the mean 6 half did: (12 + 3) ln p + 1/2 ln(1 - p^6) is the most at
    p^6 = 15 / 18."""
    assert step_accuracy([2, 10], [1.0, 1.0]) == pytest.approx((15 / 18) ** (1 / 6))


def test_places_that_no_labeled_run_reached_have_the_hazard_of_the_last_one():
    siblings = [labeled(0, [1, -1]), labeled(1, [1, 1]), labeled(2, [-1, 1])]
    said = horizon(case(run("bad", "abcd", 0.0), *siblings))
    chance = hazard([1, -1, 0], [2, 2, 2])
    assert said.scores == pytest.approx(first_error_share([chance[0], chance[1], chance[1], chance[1]]))


def test_labels_that_find_no_error_say_nothing_of_where_it_is():
    said = horizon(case(run("bad", "abcd", 0.0), *(labeled(i, [1, 1, 0, 1]) for i in range(3))))
    assert (said.status, said.reason) == ("unknown", "no step of the 3 other labeled runs is labeled wrong")
    assert np.isnan(said.scores).all() and said.step is None


@pytest.mark.parametrize("prior", [0, -1.0, float("nan")])
def test_a_prior_of_no_runs_is_refused(prior):
    with pytest.raises(StepCreditError, match="prior="):
        horizon(case(run("bad", "ab", 0.0), labeled("a", [1, -1])), prior=prior)
