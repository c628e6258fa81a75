"""Cells: equal ids exactly where all keys agree, whatever the numbers look like."""

import math
from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stepcredit.data.encode import dense
from stepcredit.data.layout import Layout, Paths
from stepcredit.ops import back, cells, merge_rate, random_cells, sibling_cells, state_cells, turn_cells, windows

# Neighbors of every boundary where packing two keys into one number could make them collide.
KEYS = st.sampled_from([-(2**63), -(2**62), -1, 0, 1, 2, 50, 2**31, 2**62, 2**62 + 1, 2**63 - 1])


def ragged(steps, groups=None):
    group = np.arange(len(steps)) % 2 if groups is None else np.array(groups)
    return Layout(group, np.repeat(np.arange(len(steps)), steps))


def same(ids, keys):
    """Equal ids exactly where the keys are equal."""
    assert len(set(ids.tolist())) == len(set(keys)) == len(set(zip(ids.tolist(), keys, strict=True)))


@given(st.lists(st.tuples(KEYS, KEYS, KEYS), max_size=20))
def test_cells_tell_apart_exactly_the_tuples_of_keys(rows):
    columns = np.array(rows, np.int64).reshape(-1, 3).T
    out = cells(*columns)
    same(out, rows)
    assert set(out.tolist()) == set(range(len(set(rows))))


def test_many_wide_keys_do_not_overflow():
    """Six keys of 2048 values: packed into one number, the upper bits of the first would be shifted out."""
    rows = [(i,) * 6 for i in range(2048)] + [(1024, 0, 0, 0, 0, 0)]
    same(cells(*np.array(rows).T), rows)


@given(st.lists(KEYS, max_size=30))
def test_dense_numbers_values_in_ascending_order(values):
    number = {v: i for i, v in enumerate(sorted(set(values)))}
    assert dense(np.array(values, np.int64)).tolist() == [number[v] for v in values]


@given(st.lists(st.integers(0, 6), min_size=1, max_size=5), st.integers(1, 4), st.data())
def test_windows_are_the_last_k_keys_of_the_task(steps, k, data):
    layout = ragged(steps)
    key = np.array(data.draw(st.lists(KEYS, min_size=layout.S, max_size=layout.S)), np.int64)
    want = []
    for r, n in enumerate(steps):
        own = key[layout.rollout == r].tolist()
        want += [(int(layout.group[r]), *own[max(0, t + 1 - k) : t + 1]) for t in range(n)]
    same(windows(layout, key, k), want)
    if k == 1:
        np.testing.assert_array_equal(windows(layout, key, 1), state_cells(layout, key))


def test_back_looks_k_steps_up_the_path():
    layout = ragged([3, 2])
    key = np.array([7, 8, 9, 5, 6])
    np.testing.assert_array_equal(back(layout, key, 0), key)
    np.testing.assert_array_equal(back(layout, key), [-1, 7, 8, -1, 5])
    np.testing.assert_array_equal(back(layout, key, 2), [-1, -1, 7, -1, -1])


def test_turns_and_siblings_stay_inside_a_task():
    layout = ragged([2, 3, 1], groups=[0, 0, 4])
    np.testing.assert_array_equal(layout.turn, [0, 1, 0, 1, 2, 0])
    same(turn_cells(layout), ["0a", "0b", "0a", "0b", "0c", "4a"])
    same(sibling_cells(layout), ["first of 0", "after 0", "first of 0", "after 2", "after 3", "first of 4"])


def test_walks_go_through_shared_steps():
    """0-1-2 and 0-1-3: the two ends are siblings and have equal windows of the way there."""
    paths = Paths(np.array([0, 3, 6]), np.array([0, 1, 2, 0, 1, 3]))
    tree = Layout(np.zeros(2, int), np.array([0, 0, 0, 1]), paths)
    same(sibling_cells(tree), ["root", "0", "1", "1"])
    np.testing.assert_array_equal(back(tree, np.array([5, 6, 7, 8]), 2), [-1, -1, 5, 5])
    same(windows(tree, np.array([5, 6, 7, 7]), 3), ["a", "b", "c", "c"])


@given(st.lists(KEYS, max_size=20))
def test_merge_rate_counts_rows_that_have_company(cell):
    count = Counter(cell)
    got = merge_rate(np.array(cell, np.int64))
    assert (got.cells, got.largest) == (len(count), max(count.values(), default=0))
    if cell:
        alone = sum(n == 1 for n in count.values()) / len(cell)
        assert (got.merged, got.singletons) == (1 - alone, alone)
    else:
        assert math.isnan(got.merged) and math.isnan(got.singletons)


def test_nothing_gives_nothing():
    empty, none = ragged([0, 0]), np.zeros(0, int)
    for out in (cells(none, none), windows(empty, none, 3), turn_cells(empty), sibling_cells(empty), back(empty, none)):
        assert out.shape == (0,)


@given(st.lists(st.integers(0, 3), max_size=30), st.integers(1, 5), st.integers(0, 9))
def test_random_cells_deal_all_rows_of_a_cell_into_full_cells_and_one_rest(by, size, seed):
    by = np.array(by, np.int64)
    dealt = random_cells(by, size, seed)
    assert len(set(zip(by.tolist(), dealt.tolist(), strict=True))) == len(set(dealt.tolist()))
    for cell, n in Counter(by.tolist()).items():
        sizes = sorted(Counter(dealt[by == cell].tolist()).values())
        assert sizes == sorted([size] * (n // size) + [n % size] * (n % size > 0))


def test_random_cells_depend_on_the_seed_and_on_no_other_cell():
    by = np.repeat([0, 1], 12)
    dealt = random_cells(by, 3, 5)
    assert np.array_equal(dealt[12:] - dealt[12:].min(), random_cells(by[12:], 3, 5))
    assert len({tuple(random_cells(by, 3, seed)) for seed in range(20)}) == 20
    assert np.array_equal(random_cells(by, 0, 5), by) and random_cells(by[:0], 3).size == 0


def test_parts_of_a_cell_are_dealt_apart_where_rows_count_in_the_whole():
    halves = np.repeat([0, 1], 6)
    alike, apart = random_cells(halves, 2, 1), random_cells(halves, 2, 1, draw=halves * 0)
    assert np.array_equal(alike[:6], alike[6:] - 3)
    assert not np.array_equal(apart[:6], apart[6:] - 3)


def test_every_row_is_dealt_with_every_other_one_alike_often():
    together = np.zeros((6, 6))
    for seed in range(600):
        dealt = random_cells(np.zeros(6, np.int64), 3, seed)
        together += dealt[:, None] == dealt
    share = together[~np.eye(6, dtype=bool)] / 600
    assert np.all(np.abs(share - 2 / 5) < 0.08)
