"""Labels against the truth and one another: the numbers by hand, baselines beside them, intervals."""

import numpy as np
import pytest

from stepcredit.errors import LayoutError, StepCreditError
from stepcredit.label.audit import audit, auroc, first_error_scores, lowest_last, noise, step_scores
from stepcredit.label.labels import Labels, first_wrong, unjudged

NAN = np.nan


def labels(label, *, group="p", rollout=0, value=None, **known):
    label = np.array(label, float)
    steps = tuple(map(str, range(label.size)))
    parts = {**unjudged(steps), "label": label, **({} if value is None else {"value": np.array(value, float)})}
    return Labels(group, rollout, "Q", steps, **parts, **{"first_error": first_wrong(label), **known})


def at(first, n=5, i=0):
    return labels([1.0] * n if first == -1 else [1.0] * first + [0.0] * (n - first), group=i // 2, rollout=i)


def sets(firsts):
    return [labels([NAN] * 5, group=i // 2, rollout=i) if f is None else at(f, i=i) for i, f in enumerate(firsts)]


GOLD, SAID = (2, -1, 0, -1, 3, 1), (2, -1, 1, 2, 3, None)


def test_first_errors_are_scored_as_processbench_does():
    """methods/prm-benchmarks, worked example."""
    told = audit({"a": sets(SAID)}, sets(GOLD), draws=20)["scores"]["a"]
    assert [told[n]["value"] for n in ("wrong", "right", "f1", "first_error")] == [0.5, 0.5, 0.5, 0.5]


def test_a_mean_of_two_zeros_is_zero_and_of_nothing_not_defined():
    assert first_error_scores(np.array([0, 0]), np.array([1, -1]))["f1"] == 0
    assert np.isnan(first_error_scores(np.array([0]), np.array([1]))["f1"])


def test_noise_is_told_by_the_true_first_error():
    found = noise(np.array([2, -1, 1, 2, -1, -2, 7]), np.array([2, -1, 3, -1, 0, 0, 6]))
    assert found["2"]["exact"] == found["none"]["exact"] == found["3"]["under"] == found["none"]["under"] == 1
    assert found["0"] == {"exact": 0, "under": 0, "over": 0, "none": 1, "unknown": 1}
    assert found["5+"]["over"] == 1 and sum(n for row in found.values() for n in row.values()) == 7


def test_baselines_stand_beside_every_score():
    told = audit({"a": sets(SAID)}, sets(GOLD), draws=20)["scores"]
    assert set(told) == {"a", "always right", "majority", "constant position", "random"}
    assert told["always right"]["right"]["value"] == 1 and told["always right"]["wrong"]["value"] == 0
    assert told["constant position"]["wrong"]["value"] == 0.25
    assert told["always right"]["f1"]["value"] == 0
    assert all(t["auroc"]["value"] == 0.5 for n, t in told.items() if n in ("always right", "majority"))


def test_the_truth_itself_scores_one():
    told = audit({"a": sets(GOLD), "b": sets(SAID)}, sets(GOLD), draws=20)
    assert all(told["scores"]["a"][n]["value"] == 1 for n in told["scores"]["a"])
    gap = told["differences"]["a - b"]["f1"]
    assert gap["value"] == 0.5 and gap["low"] >= 0
    assert told["sets"]["b"]["judged"] == pytest.approx(5 / 6)


def test_intervals_hold_the_value_and_more_tasks_make_them_narrow():
    rng = np.random.default_rng(0)

    def width(n):
        gold = rng.integers(-1, 5, n)
        said = np.where(rng.random(n) < 0.6, gold, -1)
        one = audit({"a": sets(said)}, sets(gold), draws=100)["scores"]["a"]["first_error"]
        assert one["low"] <= one["value"] <= one["high"]
        return one["high"] - one["low"]

    assert width(400) < width(24)


def test_equal_draws_for_equal_seeds():
    one, again, other = (
        audit({"a": sets(SAID)}, sets(GOLD), draws=30, seed=s)["scores"]["a"]["first_error"] for s in (0, 0, 5)
    )
    assert one == again and one["value"] == other["value"]


def test_steps_that_were_not_judged_are_left_out():
    told = step_scores(np.array([1, 0, NAN, 0]), np.array([0.9, 0.1, NAN, 0.4]), np.array([1, 0, 0, 1]))
    assert told == {"step": 2 / 3, "wrong_precision": 0.5, "wrong_recall": 1, "auroc": 1}


def test_auroc_counts_pairs_with_their_weights():
    rng = np.random.default_rng(1)
    score, right, weight = rng.integers(0, 5, 60) / 4, rng.random(60) < 0.4, rng.integers(0, 3, 60)
    long = np.repeat(score, weight), np.repeat(right, weight)
    pairs = [(a > b) + (a == b) / 2 for a in long[0][long[1]] for b in long[0][~long[1]]]
    some = weight > 0
    assert auroc(score[some], right[some], weight[some].astype(float)) == pytest.approx(np.mean(pairs))


def test_the_share_whose_lowest_score_is_the_last():
    """methods/qwen-prm-lessons, worked example."""
    scores = [np.array(x) for x in ((0.9, 0.8, 0.3), (0.2, 0.8, 0.9), (0.9, 0.7, 0.6))]
    assert lowest_last(scores) == pytest.approx(2 / 3)
    assert lowest_last([np.array([0.5, 0.5]), np.array([0.5])]) == 0
    assert np.isnan(lowest_last([np.array([0.5])]))


def test_sets_are_compared_with_one_another_without_a_truth():
    told = audit({"a": sets(SAID), "b": sets(GOLD)}, draws=20)
    assert "scores" not in told
    assert told["agreement"]["a, b"]["first_error"]["value"] == pytest.approx(3 / 5)


def test_there_must_be_something_to_compare_with():
    with pytest.raises(StepCreditError, match="another label set, or the truth"):
        audit({"a": sets(SAID)})
    with pytest.raises(LayoutError, match="no rollout is in every"):
        audit({"a": [at(1, i=0)]}, [at(1, i=1)])
