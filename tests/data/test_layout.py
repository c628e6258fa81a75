"""How the axes join, and what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepcredit.data.encode import encode
from stepcredit.data.layout import Layout, Paths, Tree, as_ints
from stepcredit.errors import LayoutError

A = np.array


@given(st.lists(st.integers(0, 4), min_size=1, max_size=6))
def test_ragged_rollouts(steps):
    layout = Layout(np.arange(len(steps)), np.repeat(np.arange(len(steps)), steps))
    turns = [t for n in steps for t in range(n)]
    assert layout.steps.tolist() == steps
    assert layout.turn.tolist() == turns
    assert layout.paths.left.tolist() == [n - 1 - t for n in steps for t in range(n)]
    row = np.arange(layout.S)
    assert layout.previous.tolist() == [int(s) - 1 if t else -1 for s, t in zip(row, turns, strict=True)]
    ends = np.cumsum(steps) - 1
    assert layout.last.tolist() == [int(e) if n else -1 for e, n in zip(ends, steps, strict=True)]
    x = row / 4
    want = [x[layout.rollout == r].sum() if n else np.nan for r, n in enumerate(steps)]
    np.testing.assert_allclose(layout.total(x), want)
    assert not layout.is_tree and (layout.visits == 1).all() and layout.merge(x) is x and layout.along(x) is x


def test_groups_may_have_gaps_and_any_order():
    layout = Layout(A([5, 0, 5]), A([0, 1, 1, 2]))
    assert (layout.G, layout.R, layout.S, layout.K) == (6, 3, 4, 4)
    assert layout.step_group.tolist() == [5, 0, 0, 5]


def test_batches_are_numbered_whatever_their_names():
    assert Layout(A([0, 0, 0]), A([0]), batch=A([10**15, -1, 10**15])).batches.tolist() == [1, 0, 1]
    assert Layout(A([0, 0]), A([0])).batches.tolist() == [0, 0]


def test_tokens_may_belong_to_no_step_and_steps_may_have_none():
    layout = Layout(A([0]), A([0, 0]), token_step=A([1, -1, 1]))
    assert layout.K == 3 and layout.step_tokens.tolist() == [0, 2]
    assert layout.with_tokens(None).step_tokens.tolist() == [1, 1]
    assert Layout(A([0]), A([0, 0])).tokens.tolist() == [0, 1]


def tree():
    """0-1-2 and 0-1-3 of task 0; 4 alone; a rollout of task 1 without steps."""
    paths = Paths(A([0, 3, 6, 7, 7]), A([0, 1, 2, 0, 1, 3, 4]))
    return Layout(A([0, 0, 0, 1]), A([0, 0, 0, 1, 2]), paths)


def test_shared_steps_are_walked_by_every_rollout_that_passes():
    layout = tree()
    assert layout.is_tree and layout.steps.tolist() == [3, 3, 1, 0]
    assert layout.turn.tolist() == [0, 1, 2, 2, 0] and layout.visits.tolist() == [2, 2, 1, 1, 1]
    assert layout.previous.tolist() == [-1, 0, 1, 1, -1] and layout.last.tolist() == [2, 3, 4, -1]
    np.testing.assert_array_equal(layout.total(A([1.0, 2, 4, 8, 16])), [7, 11, 16, np.nan])
    np.testing.assert_array_equal(layout.along(A([9, 8, 7, 6, 5])), [9, 8, 7, 9, 8, 6, 5])
    np.testing.assert_array_equal(layout.merge(A([1.0, 2, 3, 5, np.nan, 7, np.nan])), [3, 2, 3, 7, np.nan])


def test_a_tree_has_a_root_per_task():
    nodes = Tree.of(tree())
    assert nodes.parent.tolist() == [5, 0, 1, 1, 5] and nodes.depth.tolist() == [1, 2, 3, 3, 1]
    assert nodes.ends.tolist() == [2, 3, 4, 6] and nodes.leaves.tolist() == [False, False, True, True, True]


def test_rollouts_without_shared_steps_are_a_tree_too():
    nodes = Tree(A([0, 0]), A([0, 0, 1]))
    assert nodes.parent.tolist() == [3, 0, 3] and nodes.leaves.tolist() == [False, True, True]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"rollout": [0, 1, 0]}, "row 2 belongs to rollout 0 but row 1 to 1"),
        ({"rollout": [0, 2]}, r"rollout ids must lie in 0..1; got 0..2"),
        ({"rollout": [-1, 0]}, r"rollout ids must lie in 0..1; got -1..0"),
        ({"rollout": [0.0, 1.0]}, "rollout must be a flat list of integers; got float64"),
        ({"rollout": [[0], [1]]}, r"rollout must be a flat list of integers; got int64 of shape \(2, 1\)"),
        ({"group": [0, -1]}, "group ids must be 0 or more"),
        ({"group": ["p", "q"]}, "group must be a flat list of integers"),
        ({"token_step": [0, 2]}, r"token_step must lie in -1..1"),
        ({"token_step": [-2]}, r"token_step must lie in -1..1"),
        ({"batch": [0]}, r"batch must have one entry per rollout \(2\); got 1"),
        ({"shared": ([0, 2], [0, 1])}, "paths must hold 3 starts that rise from 0 to 2"),
        ({"shared": ([0, 2, 1], [0])}, "paths must hold 3 starts that rise from 0 to 1"),
        ({"shared": ([0, 1, 2], [0, 2])}, r"rows of paths must lie in 0..1; got 0..2"),
        ({"shared": ([0, 1, 2], [0, 0])}, "step 1 is on no path"),
        ({"shared": ([0, 2, 4], [0, 1, 1, 0])}, "passes step 0 after step -1, but other rollouts after step 1"),
        ({"shared": ([0, 1, 3], [0, 0, 1]), "group": [0, 1]}, "passes step 0 .* or for another task"),
    ],
)
def test_arrays_that_do_not_fit_are_named(arguments, says):
    given_ = {"group": [0, 0], "rollout": [0, 1], **arguments}
    if "shared" in given_:
        given_["shared"] = Paths(*map(A, given_["shared"]))
    with pytest.raises(LayoutError, match=says):
        Layout(**given_)


def test_nothing_is_a_layout():
    empty = Layout([], [])
    assert (empty.G, empty.R, empty.S, empty.K) == (0, 0, 0, 0)
    assert empty.turn.size == empty.previous.size == empty.last.size == empty.total(np.zeros(0)).size == 0
    assert Tree.of(empty).leaves.size == 0
    bare = Layout([0, 0], [])
    assert np.isnan(bare.total(np.zeros(0))).all() and bare.last.tolist() == [-1, -1]
    assert as_ints([], "x").dtype == np.int64


@given(st.lists(st.one_of(st.none(), st.just(float("nan")), st.sampled_from(["a", "1", 1, 2.5, (1, "a")])), max_size=9))
def test_encode_numbers_keys_by_first_appearance_and_keeps_missing_ones_apart(values):
    ids, keys = encode(values)
    number, want = {}, []
    for i, v in enumerate(values):
        name = ("missing", i) if v is None or v != v else v
        want.append(number.setdefault(name, len(number)))
    assert ids.tolist() == want and len(keys) == len(number)
    assert [keys[i] for i in ids] == [None if v != v else v for v in values]


def test_encode_refuses_what_it_cannot_compare_exactly():
    with pytest.raises(LayoutError, match="key 1 is a dict") as error:
        encode(["a", {"b": 1}])
    assert "json.dumps" in str(error.value)
