"""Between steps and tokens: tokens in any order, tokens of no step, steps without tokens, shared steps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepcredit.data.layout import Layout, Paths
from stepcredit.ops import (
    merge_tokens,
    on_last_token,
    step_mean,
    step_pool,
    step_sum,
    to_tokens,
    token_paths,
    token_rollout,
)


@st.composite
def layouts(draw):
    steps = draw(st.lists(st.integers(0, 3), min_size=1, max_size=4))
    rollout = np.repeat(np.arange(len(steps)), steps)
    token_step = draw(st.lists(st.integers(-1, rollout.size - 1), max_size=12))
    return Layout(np.zeros(len(steps), int), rollout, token_step=np.array(token_step, int))


@given(layouts())
def test_every_token_gets_the_number_of_its_step(layout):
    credit = np.arange(layout.S) + 0.5
    want = [np.nan if s < 0 else s + 0.5 for s in layout.token_step.tolist()]
    np.testing.assert_array_equal(to_tokens(layout, credit), np.array(want, float))
    rollout = [-1 if s < 0 else int(layout.rollout[s]) for s in layout.token_step.tolist()]
    assert token_rollout(layout).tolist() == rollout


@given(layouts())
def test_a_number_lands_on_the_last_token_of_its_step(layout):
    reward = np.arange(layout.S) + 1.0
    want = np.zeros(layout.K)
    for s in range(layout.S):
        own = np.flatnonzero(layout.token_step == s)
        if own.size:
            want[own[-1]] = reward[s]
    np.testing.assert_array_equal(on_last_token(layout, reward), want)


@given(layouts())
def test_the_mean_over_tokens_undoes_the_spreading(layout):
    credit = np.where(layout.step_tokens > 0, np.arange(layout.S) / 4, np.nan)
    np.testing.assert_array_equal(step_mean(layout, to_tokens(layout, credit)), credit)


@given(layouts())
def test_token_paths_list_each_rollouts_tokens_by_step_then_in_order(layout):
    paths = token_paths(layout)
    assert paths.length.size == layout.R
    for r in range(layout.R):
        own = [k for s in np.flatnonzero(layout.rollout == r) for k in np.flatnonzero(layout.token_step == s)]
        assert paths.rows[paths.start[r] : paths.start[r + 1]].tolist() == own
    merged = merge_tokens(layout, paths, paths.rows + 0.5)
    np.testing.assert_array_equal(merged, np.where(layout.token_step < 0, np.nan, np.arange(layout.K) + 0.5))


def test_tokens_of_a_shared_step_are_on_every_path_through_it():
    shared = Paths(np.array([0, 2, 4]), np.array([0, 1, 0, 2]))
    tree = Layout(np.zeros(2, int), np.array([0, 0, 1]), shared, token_step=np.array([2, 0, -1, 0, 1]))
    paths = token_paths(tree)
    assert [paths.rows[a:b].tolist() for a, b in ((0, 3), (3, 6))] == [[1, 3, 4], [1, 3, 0]]
    assert paths.start.tolist() == [0, 3, 6]
    merged = merge_tokens(tree, paths, np.array([1.0, 2.0, 3.0, 5.0, np.nan, 7.0]))
    np.testing.assert_array_equal(merged, [7, 3, np.nan, 2, 3])


def test_without_tokens_a_step_counts_as_one():
    layout = Layout(np.zeros(2, int), np.array([0, 0, 1]))
    x = np.array([1.0, 2.0, 3.0])
    for out in (to_tokens(layout, x), on_last_token(layout, x), step_mean(layout, x)):
        np.testing.assert_array_equal(out, x)
    assert token_paths(layout).rows.tolist() == [0, 1, 2]


def test_tokens_without_any_step_are_not_judged():
    layout = Layout(np.zeros(1, int), np.zeros(0, int), token_step=np.array([-1, -1]))
    assert np.isnan(to_tokens(layout, np.zeros(0))).all()
    assert token_rollout(layout).tolist() == [-1, -1] and token_paths(layout).rows.size == 0


POOLS = {
    "mean": lambda own: sum(own) / len(own),
    "last": lambda own: own[-1],
    "position": lambda own: sum(x / (k + 1) for k, x in enumerate(own)) / sum(1 / (k + 1) for k in range(len(own))),
}


@pytest.mark.parametrize("pooling", POOLS)
@given(layout=layouts(), seed=st.integers(0, 99))
def test_a_steps_tokens_are_pooled_as_a_loop_over_them_does(pooling, layout, seed):
    token = np.random.default_rng(seed).normal(size=layout.K)
    own = [token[layout.token_step == s].tolist() for s in range(layout.S)]
    want = [POOLS[pooling](x) if x else np.nan for x in own]
    np.testing.assert_allclose(step_pool(layout, token, pooling), np.array(want, float), atol=1e-12)
    np.testing.assert_allclose(step_sum(layout, token), np.array([sum(x) for x in own], float), atol=1e-12)


def test_an_unknown_token_is_lost_only_where_it_counts():
    two = Layout(np.array([0]), np.array([0, 0]), token_step=np.array([0, 0, 1]))
    token = np.array([np.nan, 2.0, 3.0])
    np.testing.assert_array_equal(step_pool(two, token, "last"), [2, 3])
    np.testing.assert_array_equal(step_pool(two, token, "mean"), [np.nan, 3])
    np.testing.assert_array_equal(step_sum(two, token), [np.nan, 3])
