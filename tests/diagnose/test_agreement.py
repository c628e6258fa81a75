import math

import numpy as np
import pytest

from stepcredit.diagnose.agreement import agreement
from stepcredit.errors import LayoutError
from stepcredit.ops import kappa


def test_kappa_is_what_a_textbook_table_says():
    assert kappa(np.array([[[20.0, 5.0], [10.0, 15.0]]]))[0] == pytest.approx(0.4)
    assert kappa(np.array([[[45.0, 15.0], [25.0, 15.0]]]))[0] == pytest.approx(0.1304, abs=1e-4)


def test_kappa_is_that_of_another_library(sklearn):
    from sklearn.metrics import cohen_kappa_score

    rng = np.random.default_rng(0)
    a = rng.integers(-1, 2, 300)
    b = np.where(rng.random(300) < 0.7, a, rng.integers(-1, 2, 300))
    found = agreement(a.tolist(), b.tolist(), list(range(300)))
    assert found.kappa == pytest.approx(cohen_kappa_score(a, b))
    assert found.agree == pytest.approx(np.mean(a == b)) and found.n == 300


def test_the_interval_holds_the_truth_as_often_as_it_says():
    """Raters agree fully or at random, run by run, so that kappa is the share of runs in which they look."""
    rng = np.random.default_rng(1)
    hits = 0
    for trial in range(150):
        looks = np.repeat(rng.random(60) < 0.6, 3)
        a = rng.integers(0, 2, 180)
        b = np.where(looks, a, rng.integers(0, 2, 180))
        found = agreement(a.tolist(), b.tolist(), np.repeat(range(60), 3).tolist(), draws=300, seed=trial)
        assert found.low <= found.kappa <= found.high
        hits += found.low <= 0.6 <= found.high
    assert 0.88 <= hits / 150 <= 1


def test_without_anything_in_common_or_with_one_run_what_is_not_known_is_nan():
    assert agreement([], [], []).n == 0 and math.isnan(agreement([], [], []).kappa)
    one = agreement([1, -1], [1, 1], ["r", "r"])
    assert one.agree == 0.5 and math.isnan(one.low) and math.isnan(one.high)
    alike = agreement([1, 1], [1, 1], ["r", "s"])
    assert alike.agree == 1 and math.isnan(alike.kappa)


def test_lists_of_other_lengths_are_refused():
    with pytest.raises(LayoutError, match="got 1, 2, 1"):
        agreement([1], [1, 1], ["r"])
