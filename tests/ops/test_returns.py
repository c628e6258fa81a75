"""Walks along rollouts against a loop over each of them, ragged, gated, with missing values and shared steps."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepcredit.data.layout import Layout, Paths
from stepcredit.errors import LayoutError
from stepcredit.ops import (
    ahead,
    at_last,
    behind,
    difference,
    earlier,
    future_min,
    gae,
    increment,
    max_abs,
    returns,
    rollout_mean,
    runs,
    scan,
    so_far,
    softmin_weight,
)

NUMBERS = st.one_of(st.integers(-8, 8).map(lambda v: v / 4), st.just(math.nan))
lengths = st.lists(st.integers(0, 9), min_size=1, max_size=5)


def ragged(steps):
    return Layout(np.arange(len(steps)) % 2, np.repeat(np.arange(len(steps)), steps))


def column(data, n, values=NUMBERS):
    return np.array(data.draw(st.lists(values, min_size=n, max_size=n)), float)


def per_rollout(layout, walk, *columns):
    """[S] from a function of one rollout's lists."""
    out = []
    for r in range(layout.R):
        out += walk(*([c[s] for s in np.flatnonzero(layout.rollout == r)] for c in columns))
    return np.array(out, float)


def discounted(gamma):
    def walk(rewards, gates):
        out = []
        for t in reversed(range(len(rewards))):
            goes_on = t + 1 < len(rewards) and gates[t] and gates[t + 1] and gamma != 0
            out.append(rewards[t] + (gamma * out[-1] if goes_on else 0.0))
        return out[::-1]

    return walk


@given(lengths, st.sampled_from([0.0, 0.5, 0.95, 1.0]), st.data())
def test_returns_are_the_backward_sum(steps, gamma, data):
    layout = ragged(steps)
    reward = column(data, layout.S)
    want = per_rollout(layout, discounted(gamma), reward, np.ones(layout.S))
    np.testing.assert_allclose(returns(layout, reward, gamma), want, rtol=1e-12, atol=1e-12)


@given(lengths, st.sampled_from([0.0, 0.5, 1.0]), st.data())
def test_a_closed_gate_keeps_its_own_receives_nothing_and_passes_nothing_on(steps, gamma, data):
    layout = ragged(steps)
    reward, gate = column(data, layout.S), column(data, layout.S, st.sampled_from([0, 1, 1]))
    want = per_rollout(layout, discounted(gamma), reward, gate)
    np.testing.assert_allclose(returns(layout, reward, gamma, gate=gate > 0), want, rtol=1e-12, atol=1e-12)


def test_a_missing_value_stays_in_its_rollout_and_behind_closed_gates():
    layout = ragged([3, 2])
    reward = np.array([1.0, 2.0, np.nan, 4.0, 5.0])
    np.testing.assert_array_equal(returns(layout, reward), [np.nan] * 3 + [9, 5])
    gate = np.array([True, True, False, True, True])
    np.testing.assert_array_equal(returns(layout, reward, gate=gate), [3, 2, np.nan, 9, 5])


def test_a_missing_outcome_reaches_the_first_of_many_discounted_steps():
    reward = np.zeros(5000)
    reward[-1] = np.nan
    assert np.isnan(returns(ragged([5000]), reward, 0.5)).all()


@given(lengths, st.data())
def test_scan_takes_a_factor_per_row(steps, data):
    layout = ragged(steps)
    a, b = column(data, layout.S), column(data, layout.S, st.sampled_from([0.0, 0.5, 1.0, -2.0]))

    def walk(own, factor):
        out = []
        for t in reversed(range(len(own))):
            out.append(own[t] + (factor[t] * out[-1] if out and factor[t] else 0.0))
        return out[::-1]

    before = a.copy(), b.copy()
    np.testing.assert_allclose(scan(a, b, layout.paths.left), per_rollout(layout, walk, a, b), rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal((a, b), before)


@given(lengths, st.data())
def test_so_far_is_the_sum_of_the_steps_up_to_here(steps, data):
    layout = ragged(steps)
    x = column(data, layout.S)
    want = per_rollout(layout, lambda v: [sum(v[: t + 1]) for t in range(len(v))], x)
    np.testing.assert_allclose(so_far(layout, x), want, atol=1e-12)


def test_so_far_in_a_tree_is_the_sum_on_the_way_to_the_step():
    tree = Layout(np.array([0, 0]), np.array([0, 0, 1]), shared=Paths(np.array([0, 2, 4]), np.array([0, 1, 0, 2])))
    np.testing.assert_allclose(so_far(tree, np.array([1.0, 2.0, 4.0])), [1, 3, 5])


@given(lengths, st.data())
def test_future_min_is_the_worst_from_here_on(steps, data):
    layout = ragged(steps)
    x = column(data, layout.S)
    want = per_rollout(layout, lambda v: [min(v[t:]) if v[t:] == v[t:] else math.nan for t in range(len(v))], x)
    missing_ahead = per_rollout(layout, lambda v: [any(map(math.isnan, v[t:])) for t in range(len(v))], x) > 0
    np.testing.assert_array_equal(future_min(layout, x), np.where(missing_ahead, np.nan, want))


@given(lengths, st.sampled_from([0.1, 1.0, 1000.0]), st.data())
def test_softmin_weights_sum_to_one_and_favor_the_worst(steps, temperature, data):
    layout = ragged(steps)
    x = column(data, layout.S)

    def walk(v):
        if any(map(math.isnan, v)):
            return [math.nan] * len(v)
        e = [math.exp(-(one - min(v)) / temperature) for one in v]
        return [one / sum(e) for one in e]

    np.testing.assert_allclose(softmin_weight(layout, x, temperature), per_rollout(layout, walk, x), atol=1e-12)


def test_softmin_weights_are_equal_at_infinite_temperature_and_stand_huge_values():
    layout = ragged([3, 1])
    np.testing.assert_allclose(softmin_weight(layout, np.array([1e6, -1e6, 0, 7]), np.inf), [1 / 3] * 3 + [1])
    np.testing.assert_array_equal(softmin_weight(layout, np.array([1e6, -1e6, 0, 7]), 0.1), [0, 1, 0, 1])


@given(lengths, st.sampled_from([0.9, 1.0]), st.sampled_from([0.0, 0.95, 1.0]), st.data())
def test_gae_is_the_discounted_sum_of_surprises(steps, gamma, lam, data):
    layout = ragged(steps)
    reward, value = column(data, layout.S), column(data, layout.S)

    def walk(r, v):
        surprise = [r[t] + gamma * (v[t + 1] if t + 1 < len(v) else 0.0) - v[t] for t in range(len(v))]
        k = gamma * lam
        return [sum(k ** (j - t) * surprise[j] for j in range(t, len(v) if k else t + 1)) for t in range(len(v))]

    want = per_rollout(layout, walk, reward, value)
    np.testing.assert_allclose(gae(reward, value, layout.paths.left, gamma, lam), want, rtol=1e-9, atol=1e-9)


@given(lengths, st.sampled_from([0.9, 1.0]), st.booleans(), st.data())
def test_difference_and_increment_look_one_step_ahead_and_back(steps, gamma, ends, data):
    layout = ragged(steps)
    phi, edge = column(data, layout.S), column(data, layout.R)
    after, before = [], []
    for r in range(layout.R):
        own = phi[layout.rollout == r].tolist()
        after += [*own[1:], edge[r] if ends else 0.0][: len(own)]
        before += [edge[r] if ends else math.nan, *own[:-1]][: len(own)]
    given_edge = edge if ends else None
    np.testing.assert_allclose(difference(layout, phi, end=given_edge, gamma=gamma), gamma * np.array(after) - phi)
    np.testing.assert_allclose(increment(layout, phi, start=given_edge), phi - np.array(before))


def test_differences_sum_to_the_end_minus_the_start():
    layout = ragged([3, 2])
    phi, end = np.array([0.2, 0.5, 0.4, 0.9, 0.1]), np.array([1.0, 0.0])
    np.testing.assert_allclose(layout.total(difference(layout, phi, end=end)), [0.8, -0.9])


def shared():
    """Rollouts 0-1-2 and 0-1-3, then 4 of a task of its own."""
    paths = Paths(np.array([0, 3, 6, 7]), np.array([0, 1, 2, 0, 1, 3, 4]))
    return Layout(np.array([0, 0, 1]), np.array([0, 0, 0, 1, 2]), paths)


def test_a_shared_step_gets_the_mean_of_its_rollouts():
    reward = at_last(shared(), np.array([1.0, 0.0, 5.0]))
    np.testing.assert_array_equal(reward, [0, 0, 1, 0, 5])
    np.testing.assert_array_equal(returns(shared(), reward, 0.5), [0.125, 0.25, 1, 0, 5])
    np.testing.assert_array_equal(future_min(shared(), np.array([3.0, 2.0, 1.0, 4.0, 5.0])), [1.5, 1.5, 1, 4, 5])
    np.testing.assert_array_equal(increment(shared(), np.arange(5.0), start=np.zeros(3)), [0, 1, 1, 2, 4])


def test_a_shared_step_is_judged_by_the_rollouts_that_are():
    reward = at_last(shared(), np.array([1.0, np.nan, np.nan]))
    np.testing.assert_array_equal(returns(shared(), reward), [1, 1, 1, np.nan, np.nan])


def test_rollouts_that_end_together_share_the_mean_outcome():
    both = Layout(np.zeros(2, int), np.array([0, 0]), Paths(np.array([0, 2, 4]), np.array([0, 1, 0, 1])))
    np.testing.assert_array_equal(at_last(both, np.array([1.0, 0.0])), [0, 0.5])


def test_an_outcome_cannot_stand_on_a_step_that_others_go_on_from():
    inner = Layout(np.zeros(2, int), np.array([0, 1]), Paths(np.array([0, 1, 3]), np.array([0, 0, 1])))
    with pytest.raises(LayoutError, match="rollout 0 ends at step 0, which other rollouts go on from"):
        at_last(inner, np.array([1.0, 0.0]))
    np.testing.assert_array_equal(at_last(inner, np.array([0.0, 1.0])), [0, 1])


def test_a_rollout_without_steps_has_no_last_one():
    np.testing.assert_array_equal(at_last(ragged([0, 2, 0]), np.array([7.0, 1.0, 7.0])), [0, 1])


def test_max_abs_leaves_out_missing_values():
    np.testing.assert_array_equal(max_abs(np.array([-3.0, 2.0, np.nan, 1.0]), np.array([0, 0, 1, 3])), [3, 0, 0, 1])


def test_nothing_gives_nothing():
    empty, none = ragged([0, 0]), np.zeros(0)
    for out in (
        returns(empty, none, 0.9),
        returns(empty, none, gate=none > 0),
        future_min(empty, none),
        softmin_weight(empty, none, 0.1),
        difference(empty, none),
        increment(empty, none),
        gae(none, none, empty.paths.left, 1.0, 1.0),
        max_abs(none, none.astype(int)),
    ):
        assert out.shape == (0,)


@given(lengths, st.data())
def test_runs_are_stretches_of_equal_keys_inside_a_rollout(steps, data):
    layout = ragged(steps)
    key = np.array(data.draw(st.lists(st.integers(0, 2), min_size=layout.S, max_size=layout.S)), np.int64)
    want, number = [], -1
    for r in range(layout.R):
        before = None
        for s in np.flatnonzero(layout.rollout == r):
            number += key[s] != before
            before = key[s]
            want.append(number)
    assert runs(layout.paths, key).tolist() == want


def test_runs_go_along_paths_where_steps_are_shared():
    assert runs(Paths(np.array([0, 3, 5]), np.array([0, 1, 2, 0, 3])), np.array([1, 0, 0, 1, 1])).tolist() == [
        0,
        1,
        1,
        2,
        2,
    ]


@given(lengths, st.data())
def test_earlier_counts_the_steps_before(steps, data):
    layout = ragged(steps)
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=layout.S, max_size=layout.S)), bool)
    want = per_rollout(layout, lambda holds: [sum(holds[:t]) for t in range(len(holds))], mask)
    np.testing.assert_array_equal(earlier(layout, mask), want)


def test_earlier_counts_on_the_way_to_a_shared_step():
    tree = Layout(np.array([0, 0]), np.array([0, 0, 1]), shared=Paths(np.array([0, 2, 4]), np.array([0, 1, 0, 2])))
    assert earlier(tree, np.array([True, True, False])).tolist() == [0, 1, 1]


@given(lengths, st.booleans(), st.data())
def test_rollout_means_leave_out_what_is_not_judged(steps, weighted, data):
    layout = ragged(steps)
    x = column(data, layout.S)
    w = column(data, layout.S, st.integers(1, 4)) if weighted else None
    want = np.full(layout.R, math.nan)
    for r in range(layout.R):
        known = [(x[s], 1.0 if w is None else w[s]) for s in np.flatnonzero(layout.rollout == r) if x[s] == x[s]]
        if known:
            want[r] = sum(v * u for v, u in known) / sum(u for _, u in known)
    np.testing.assert_allclose(rollout_mean(layout, x, weight=w), want, atol=1e-12)


def test_rollout_means_of_equal_values_are_exactly_equal():
    layout = ragged([1, 3, 7])
    assert rollout_mean(layout, np.full(11, 0.1)).tolist() == [0.1, 0.1, 0.1]


def test_rollout_means_count_a_shared_step_in_every_rollout_that_passes_it():
    tree = Layout(np.array([0, 0]), np.array([0, 0, 1]), shared=Paths(np.array([0, 2, 4]), np.array([0, 1, 0, 2])))
    assert rollout_mean(tree, np.array([1.0, 3.0, 5.0])).tolist() == [2.0, 3.0]
    assert rollout_mean(tree, np.array([1.0, 3.0, 5.0]), weight=np.array([1.0, 3.0, 3.0, 1.0])).tolist() == [2.5, 2.0]


@given(st.data(), lengths)
def test_the_nearest_marked_row_is_of_the_same_rollout(data, steps):
    layout = ragged(steps)
    mark = np.array(data.draw(st.lists(st.booleans(), min_size=layout.S, max_size=layout.S)), bool)
    want_ahead, want_behind = [], []
    for s in range(layout.S):
        own = [t for t in range(layout.S) if layout.rollout[t] == layout.rollout[s] and mark[t]]
        want_ahead.append(min((t for t in own if t >= s), default=-1))
        want_behind.append(max((t for t in own if t <= s), default=-1))
    assert ahead(mark, layout.paths.left).tolist() == want_ahead
    assert behind(mark, layout.paths.turn).tolist() == want_behind
