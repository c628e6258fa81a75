"""Course of a training run: every number against one that was worked out by hand."""

import numpy as np
import pytest

from stepcredit.bench.dynamics import BINS, LEAST_CELLS, Runs, course, folded, merged, share
from stepcredit.errors import LayoutError

Z = 1.6448536269514722
nan = float("nan")


def runs(checkpoint, task, outcome, steps, cell=None):
    total = sum(steps)
    return Runs(
        np.array(checkpoint, np.int64),
        np.array(task, np.int64),
        np.array(outcome, float),
        np.array(steps, np.int64),
        np.full(total, -1) if cell is None else np.array(cell, np.int64),
    )


def two_checkpoints():
    """Two tasks of two rollouts at each of two checkpoints; one to three steps each."""
    return runs(
        [0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 1, 1, 0, 0, 1, 1], [0, 0, 1, 0, 1, 1, 1, nan], [1, 3, 2, 2, 1, 1, 1, 1]
    )


def wilson(p, n):
    middle, half = p + Z**2 / (2 * n), Z * np.sqrt(p * (1 - p) / n + Z**2 / (4 * n**2))
    return (middle - half) / (1 + Z**2 / n), (middle + half) / (1 + Z**2 / n)


def test_success_dead_tasks_and_lengths_by_hand():
    found = course(two_checkpoints(), {})
    np.testing.assert_allclose(found.success.value, [0.25, 1.0])
    assert found.success.n.tolist() == [4, 3]
    # Task 0 won 0 of 2, task 1 won 1 of 2: var = 2/1 * (0.5^2 + 0.5^2) / 4^2 = 1/16, worth 3/16 / (1/16) = 3 tries.
    assert (found.success.low[0], found.success.high[0]) == pytest.approx(wilson(0.25, 3))
    # All won: nothing tells how alike they are, so it is worth its 2 tasks.
    assert (found.success.low[1], found.success.high[1]) == pytest.approx(wilson(1.0, 2))
    np.testing.assert_allclose(found.dead.value, [0.5, 1.0])  # the last rollout is unknown: its task has one outcome
    assert found.dead.n.tolist() == [2, 1]
    np.testing.assert_allclose(found.steps.value, [2.0, 1.0])
    # Both tasks have 4 steps in 2 rollouts: no spread between tasks.
    np.testing.assert_allclose(found.steps.high, [2.0, 1.0])


def test_lengths_spread_between_tasks():
    found = course(runs([0] * 4, [0, 0, 1, 1], [0] * 4, [1, 1, 3, 3]), {})
    # Mean 2; the tasks differ from it by 2 rollouts * 1 step each way: var = 2 * (4 + 4) / 16 = 1.
    assert found.steps.low[0] == pytest.approx(2 - Z)
    assert found.steps.high[0] == pytest.approx(2 + Z)


def test_zero_not_judged_and_quantiles_by_hand():
    credit = np.array([0.0, 1.0, 2.0, nan, -1.0, 0.0, 4.0, 3.0, nan, nan, nan, nan])
    one = course(two_checkpoints(), {"m": credit}).credits["m"]
    np.testing.assert_allclose(one.zero.value, [2 / 7, nan])
    np.testing.assert_allclose(one.unjudged.value, [1 / 8, 1.0])
    judged = credit[:8][~np.isnan(credit[:8])]
    np.testing.assert_allclose(one.quantiles[0], np.quantile(judged, [0.05, 0.25, 0.5, 0.75, 0.95]))
    assert np.isnan(one.quantiles[1]).all()
    assert one.counts.sum(1).tolist() == [5, 0]  # of 7 judged 2 are exactly 0


def test_histograms_share_their_edges_and_zero_is_in_the_middle_of_a_bin():
    rng = np.random.default_rng(0)
    credit = np.concatenate([rng.normal(size=500), 5 + rng.normal(size=500), [1e9]])
    some = runs([0] * 500 + [1] * 501, np.arange(1001) % 50, [0] * 1001, [1] * 1001)
    one = course(some, {"m": credit}).credits["m"]
    width = np.diff(one.edges)
    np.testing.assert_allclose(width, width[0])
    assert one.edges.size - 1 <= BINS + 2
    middle = np.flatnonzero((one.edges[:-1] < 0) & (one.edges[1:] > 0))
    assert one.edges[middle] + one.edges[middle + 1] == pytest.approx(0)
    assert one.counts.sum(1).tolist() == [500, 501]  # the far one is in the last bin
    inside = np.histogram(credit[:500], one.edges)[0]
    assert (one.counts[0] >= inside).all()


def test_credit_of_one_sign_keeps_to_its_side():
    one = course(runs([0] * 40, range(40), [0] * 40, [1] * 40), {"m": np.linspace(0.1, 1, 40)}).credits["m"]
    assert one.edges[0] > -0.1
    assert one.counts.sum() == 40


def test_drift_is_the_rank_correlation_over_cells_that_both_checkpoints_met():
    n = LEAST_CELLS + 2
    some = runs([0] * n + [1] * n + [2] * n, [*range(n)] * 3, [0] * 3 * n, [1] * 3 * n, [*range(n)] * 3)
    rising = np.arange(n, dtype=float)
    swapped = rising.copy()
    swapped[[0, 1]] = 1.0, 0.0
    one = course(some, {"m": np.concatenate([rising, rising**3, -swapped])}).credits["m"]
    assert np.isnan(one.drift.value[0])
    assert one.drift.value[1] == pytest.approx(1)
    # Spearman with one swap of neighbours: 1 - 6 * 2 / (n (n^2 - 1)).
    assert one.drift.value[2] == pytest.approx(-(1 - 12 / (n * (n**2 - 1))))
    assert one.drift.low[2] <= one.drift.value[2] <= one.drift.high[2]
    assert one.drift.n.tolist() == [0, n, n]


def test_drift_takes_the_mean_of_a_cell_and_needs_enough_of_them():
    n = LEAST_CELLS
    cell = [*range(n), *range(n), *range(n), n, n + 1]
    some = runs([0] * 2 * n + [1] * n + [2] * 2, [0] * len(cell), [0] * len(cell), [1] * len(cell), cell)
    up, down = np.arange(n) * 3.0, -np.arange(n) * 1.0  # their mean rises
    one = course(some, {"m": np.concatenate([up, down, np.arange(n) * 1.0, [1.0, 2.0]])}).credits["m"]
    assert one.drift.value[1] == pytest.approx(1)
    assert np.isnan(one.drift.value[2])
    assert one.drift.n.tolist() == [0, n, 0]


def test_steps_not_judged_and_cells_not_known_take_no_part_in_drift():
    n = LEAST_CELLS + 1
    some = runs([0] * n + [1] * n, [*range(n)] * 2, [0] * 2 * n, [1] * 2 * n, [*range(n - 1), -1] * 2)
    credit = np.concatenate([np.arange(n), np.arange(n)]).astype(float)
    assert course(some, {"m": credit}).credits["m"].drift.n.tolist() == [0, n - 1]
    credit[0] = nan
    found = course(some, {"m": credit}).credits["m"].drift
    assert found.n.tolist() == [0, n - 2]
    assert np.isnan(found.value[1])


def test_one_task_rests_on_its_rollouts():
    some = runs([0] * 10, [7] * 10, [1] * 5 + [0] * 5, [1] * 10)
    found = course(some, {}).success
    assert (found.low[0], found.high[0]) == pytest.approx(wilson(0.5, 10))  # never fewer than there are


def test_intervals_cover_when_steps_of_a_task_are_alike():
    """8 tasks of 50 equal tries each: intervals over tries would hold the truth a third of the time."""
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(300):
        hit = np.repeat(rng.random(8) < 0.5, 50)
        band = share(hit, np.zeros(400, np.int64), np.repeat(np.arange(8), 50), 1)
        held += bool(band.low[0] <= 0.5 <= band.high[0])
    assert held / 300 > 0.85


def test_nothing_is_nothing():
    found = course(runs([], [], [], []), {"m": np.zeros(0)})
    assert found.success.value.size == found.credits["m"].counts.size == 0
    found = course(runs([0], [0], [nan], [0]), {"m": np.zeros(0)})
    assert np.isnan(found.success.value).all()
    assert np.isnan(found.credits["m"].zero.value).all()


def test_infinite_credit_is_not_judged():
    one = course(runs([0], [0], [1], [2]), {"m": np.array([np.inf, 1.0])}).credits["m"]
    assert one.unjudged.value.tolist() == [0.5]


def test_columns_of_other_lengths_are_refused():
    with pytest.raises(LayoutError, match="cell"):
        course(runs([0], [0], [1], [2])._replace(cell=np.zeros(3, np.int64)), {})
    with pytest.raises(LayoutError, match="credit 'm'"):
        course(runs([0], [0], [1], [2]), {"m": np.zeros(1)})


def test_many_checkpoints_are_put_together_in_order():
    names, ids = merged(np.array([5, 1, 1, 9, 7]), 10)
    assert names.tolist() == [1, 5, 7, 9]
    assert ids.tolist() == [1, 0, 0, 3, 2]
    names, ids = merged(np.arange(1000)[::-1], 60)
    assert names.size == 60
    assert (np.bincount(ids) >= 16).all()
    assert names[0] == 0
    assert ids[-1] == 0


def test_long_series_keep_their_extremes():
    at, mean, low, high = folded(np.arange(10_000.0), np.where(np.arange(10_000) == 5000, 100.0, 1.0), 100)
    assert at.size == 100
    assert high.max() == 100
    assert low.min() == 1
    assert mean[50] == pytest.approx(1.99)
    assert all(x.size == 0 for x in folded(np.zeros(0), np.zeros(0), 10))
