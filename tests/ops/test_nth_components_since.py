"""Places, links and turns against plain loops."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stepcredit.data.layout import Layout, Paths
from stepcredit.ops import components, nth, since

SMALL = st.integers(0, 3)


@given(st.lists(st.tuples(SMALL, SMALL, SMALL), max_size=20))
def test_a_row_comes_after_those_of_its_cell_with_smaller_keys_and_then_those_before_it(rows):
    by, first, second = np.array(rows, np.int64).reshape(-1, 3).T
    want = [sum(r[0] == q[0] and (q[1:], j) < (r[1:], i) for j, q in enumerate(rows)) for i, r in enumerate(rows)]
    assert nth(by, first, second).tolist() == want


def test_missing_keys_come_last():
    assert nth(np.zeros(3, np.int64), np.array([math.nan, 1.0, -1.0])).tolist() == [2, 1, 0]
    assert nth(np.zeros(0, np.int64)).size == 0


@given(st.integers(1, 15), st.data())
def test_linked_rows_are_those_that_a_walk_over_links_reaches(size, data):
    links = data.draw(st.lists(st.tuples(*[st.integers(0, size - 1)] * 2), max_size=20))
    reach = [{i} for i in range(size)]
    for _ in range(size):
        for a, b in links:
            reach[a] = reach[b] = reach[a] | reach[b]
    got = components(size, *np.array(links, np.int64).reshape(-1, 2).T)
    for i in range(size):
        assert set(np.flatnonzero(got == got[i]).tolist()) == reach[i]
    assert set(got.tolist()) == set(range(int(got.max()) + 1))


def test_a_long_chain_in_the_worst_order_hangs_together():
    chain = np.random.default_rng(0).permutation(2000)
    assert components(2000, chain[1:], chain[:-1]).max() == 0


def test_steps_count_from_the_turn_of_each_rollout_that_passes_them():
    two = Layout(np.array([0, 0]), np.array([0, 0, 0, 1]))
    assert since(two, np.array([2, -1])).tolist() == [False, False, True, True]
    shared = Layout(np.array([0, 0]), np.array([0, 0, 1]), shared=Paths(np.array([0, 2, 4]), np.array([0, 1, 0, 2])))
    assert since(shared, np.array([1, 1])).tolist() == [False, True, True]
    assert since(shared, np.array([1, 0])).tolist() == [True, True, True]
