"""Effective rank by hand."""

import numpy as np
import pytest

from stepcredit.ops import against_past, effective_rank


def test_equal_spread_in_k_directions_is_rank_k():
    for k in (1, 2, 5):
        points = np.concatenate([np.eye(k), -np.eye(k)])
        assert effective_rank(points) == pytest.approx(k, rel=1e-6)
        assert effective_rank(points * 7 + 3) == pytest.approx(k, rel=1e-6)


def test_two_singular_values_by_hand():
    p = np.array([1.0, 1 / np.sqrt(3)]) / (1 + 1 / np.sqrt(3))
    want = np.exp(-(p * np.log(p)).sum())
    assert effective_rank(np.array([[1, 0], [0, 1], [1, 1]])) == pytest.approx(want, rel=1e-6)
    assert effective_rank(np.array([[1, 0], [0, 1], [1, 1]]), eps=1.0) != pytest.approx(want, rel=1e-2)


def test_fewer_than_two_points_or_an_unknown_one_have_none():
    assert np.isnan(effective_rank(np.zeros((1, 3)))) and np.isnan(effective_rank(np.zeros((0, 3))))
    assert np.isnan(effective_rank(np.array([[1.0, np.nan], [0.0, 1.0]])))


def test_values_against_the_mean_of_their_past():
    np.testing.assert_allclose(against_past(np.array([2, 2.6, 3, 3.1])), [0.6, 0.7, 3.1 - 7.6 / 3])
    assert against_past(np.zeros(0)).size == against_past(np.zeros(1)).size == 0
