"""Verdicts against the truth, by hand."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stepcredit.ops import confusion

nan = np.nan


def test_the_worked_example():
    """CALM's spec: 8 true positives, 2 false positives, 4 misses: precision .80, recall .667, F1 .727."""
    made = confusion([1] * 10 + [0] * 4, [1] * 8 + [0] * 2 + [1] * 4)
    assert made == (8, 2, 4, 0, 0)
    np.testing.assert_allclose([made.precision, made.recall, made.f1, made.accuracy], [0.8, 2 / 3, 8 / 11, 8 / 14])


def test_what_is_missing_on_either_side_counts_for_nothing():
    made = confusion([1, nan, -1, 0, 1, True], [1, 1, 0, 0, nan, -1])
    assert made == (1, 0, 0, 1, 4) and made.accuracy == 1


def test_shares_of_nothing():
    made = confusion([], [])
    assert made == (0, 0, 0, 0, 0) and np.isnan([made.accuracy, made.precision, made.recall, made.f1]).all()
    assert np.isnan(confusion([0], [1]).precision) and confusion([0], [1]).f1 == 0


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1))
def test_f1_is_the_harmonic_mean_and_every_pair_is_counted_once(pairs):
    made = confusion([a for a, _ in pairs], [b for _, b in pairs])
    assert sum(made) == len(pairs)
    if made.true_yes:
        np.testing.assert_allclose(made.f1, 2 / (1 / made.precision + 1 / made.recall))
