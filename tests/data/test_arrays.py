"""Batches from arrays as trainers have them, and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from stepcredit.data.arrays import from_arrays, scatter
from stepcredit.errors import LayoutError, MissingColumn

MASK = np.array([[0, 1, 1, 0, 1], [1, 0, 0, 0, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]])


def names(batch, axis="rollout"):
    return [batch.keys[axis][i] for i in range(len(batch.keys[axis]))]


def test_flat_rows_may_be_interleaved():
    batch = from_arrays(
        group=["p", "q", "p", "p"],
        rollout=["x", "x", "y", "x"],
        reward=[1, 2, 3, None],
        state=["s", None, "s", None],
        outcome=[0, 1, 0.5, 0],
        mine=[1, 2, 3, 4],
    )
    assert names(batch) == ["x", "x", "y"]
    assert batch.layout.group.tolist() == [0, 1, 0]
    assert batch.layout.rollout.tolist() == [0, 0, 1, 2]
    np.testing.assert_array_equal(batch["reward"], [1, np.nan, 2, 3])
    assert batch["mine"].tolist() == [1, 4, 2, 3]
    assert batch["outcome"].tolist() == [0, 1, 0.5]
    state = batch["state"].tolist()
    assert state[0] == state[3] and len(set(state)) == 3


def test_flat_columns_of_rollouts_may_come_one_per_rollout():
    batch = from_arrays(group=["p", "q"], rollout=[5, 5, 9], outcome=[1.0, 0.0])
    assert batch.layout.group.tolist() == [0, 1]
    assert batch["outcome"].tolist() == [1, 0]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"group": ["p"]}, "flat lists need `rollout`"),
        ({"group": ["p"], "rollout": [0], "step_index": [0]}, "no `step_index`"),
        ({"group": ["p", "p", "p"], "rollout": [0, 1]}, "group must hold one entry"),
        ({"group": ["p", "p"], "rollout": [0, 0], "outcome": [0, 1]}, "varies inside rollout"),
        ({"group": ["p", "p"], "rollout": [0, 0], "reward": [0]}, "'reward' must hold one entry per step row"),
    ],
)
def test_flat_lists_that_do_not_fit_are_named(arguments, says):
    with pytest.raises(LayoutError, match=says):
        from_arrays(**arguments)


def test_turns_are_runs_of_ones():
    batch = from_arrays(group=["p", "p", "q", "q"], response_mask=MASK, outcome=[1, 0, None, 0.5])
    assert repr(batch.layout) == "Layout(G=2, R=4, S=4, K=9)"
    assert batch.layout.rollout.tolist() == [0, 0, 1, 3]
    assert batch.layout.token_step.tolist() == [0, 0, 1, 2, 3, 3, 3, 3, 3]
    np.testing.assert_array_equal(batch["outcome"], [1, 0, np.nan, 0.5])
    assert names(batch, "group") == ["p", "q"]


def test_turn_ids_cut_within_runs_and_join_over_gaps():
    ids = np.array([[3, 3, 5, -1, 5, -1, 9]])
    for mask in (None, ids >= 0):
        batch = from_arrays(group=[0], turn_ids=ids, response_mask=mask, reward=[[1, 2, 3]])
        assert batch.layout.token_step.tolist() == [0, 0, 1, 1, 2]
        assert batch["reward"].tolist() == [1, 2, 3]


def test_rows_of_one_rollout_are_joined_in_the_order_of_step_index():
    values = np.arange(8.0).reshape(4, 2)
    batch = from_arrays(
        group=["p", "p", "p", "q"],
        rollout=["a", "b", "a", "a"],
        step_index=[1, 0, 0, 0],
        response_mask=np.ones((4, 2)),
        reward=[10, 11, 12, 13],
        outcome=[1, 0, 1, 0],
        token_logp=values,
    )
    assert names(batch) == ["a", "b", "a"]
    assert batch.layout.rollout.tolist() == [0, 0, 1, 2]
    assert batch["reward"].tolist() == [12, 10, 11, 13]
    assert batch["token_logp"].tolist() == [4, 5, 0, 1, 2, 3, 6, 7]
    np.testing.assert_array_equal(scatter(batch, batch["token_logp"], (4, 2)), values)


def test_columns_of_turns_may_hold_keys_and_vectors():
    batch = from_arrays(
        group=[0, 0],
        response_mask=[[1, 0, 1], [1, 1, 0]],
        state=[["s", "t"], ["s"]],
        votes=[[[1, 0], [1, None]], [[0, 0]]],
        batch=[4, 5],
    )
    assert batch["state"].tolist() == [0, 1, 0]
    np.testing.assert_array_equal(batch["votes"], [[1, 0], [1, np.nan], [0, 0]])
    assert batch.layout.batch.tolist() == [4, 5]


def nan_at(row, position):
    grid = MASK.astype(float)
    grid[row, position] = np.nan
    return grid


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"response_mask": MASK * 2}, "row 0, position 1 holds 2"),
        ({"response_mask": nan_at(3, 2)}, "row 3, position 2"),
        ({"response_mask": MASK[0]}, r"grid \[B, T\]"),
        ({"response_mask": [[1, 0], [1]]}, "differ in length"),
        ({"response_mask": [["a"]]}, "of numbers"),
        ({"group": [0, 0]}, r"group must have one entry per row \(4\); got 2"),
        ({"outcome": [0, 0, 0]}, r"outcome must have one entry per row \(4\); got 3"),
        ({"token_logp": np.zeros((4, 6))}, r"shape of the mask \(4, 5\); got \(4, 6\)"),
        ({"reward": [[1], [0], [], [0]]}, "row 0: got 1 values, expected 2"),
        ({"reward": [[1, 2], [0], [1], [0]]}, "row 2: got 1 values, expected 0"),
        ({"turn_ids": np.where(MASK == 1, 0, -1)[:, :4]}, "shape of response_mask"),
        ({"turn_ids": np.zeros(MASK.shape, int)}, "row 0, position 0: response_mask is 0 but turn_ids is 0"),
        ({"turn_ids": np.where(MASK == 1, 9 - np.arange(5), -1)}, "must not decrease in a row; row 0, position 2"),
        ({"turn_ids": np.full(MASK.shape, 0.5)}, "integers"),
        ({"rollout": ["a", "a", "b", "b"], "step_index": [0, 0, 0, 1]}, "rows 0 and 1 are both step 0"),
        ({"rollout": ["a", "a", "b", "b"], "step_index": [0.5] * 4}, "one integer per row"),
        ({"rollout": ["a"]}, "rollout must have one entry per row"),
        ({"rollout": ["a", "b", None, None]}, "row 2 names no rollout"),
        ({"rollout": ["a", "a", "b", "b"], "outcome": [0, 1, 0, 0]}, "row 1 has 1"),
    ],
)
def test_tensors_that_do_not_fit_are_named(change, says):
    with pytest.raises(LayoutError, match=says):
        from_arrays(**({"group": [0, 0, 0, 0], "response_mask": MASK} | change))


masks = hnp.arrays(
    np.int64, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=6), elements=st.integers(0, 1)
)


@given(mask=masks, data=st.data())
def test_numbers_scattered_back_stand_where_they_came_from(mask, data):
    rows, width = mask.shape
    values = np.arange(mask.size, dtype=float).reshape(mask.shape)
    labels = st.lists(st.integers(0, 2), min_size=rows, max_size=rows)
    batch = from_arrays(
        group=data.draw(labels), rollout=data.draw(labels), response_mask=mask, token_value=values, turn_ids=None
    )
    back = scatter(batch, batch["token_value"], (rows, width))
    np.testing.assert_array_equal(back, np.where(mask == 1, values, np.nan))
    assert (np.diff(batch.layout.token_step) >= 0).all()
    runs = sum(len([r for r in "".join(map(str, row)).split("0") if r]) for row in mask.tolist())
    assert runs == batch.layout.S
    assert batch.layout.step_tokens.sum() == mask.sum()


def test_scatter_says_what_does_not_fit():
    batch = from_arrays(group=[0, 0, 0, 0], response_mask=MASK)
    assert scatter(batch, np.ones(9), (4, 5), fill=0).sum() == 9
    with pytest.raises(LayoutError, match=r"one number per token \(9\); got shape \(8,\)"):
        scatter(batch, np.ones(8), (4, 5))
    with pytest.raises(LayoutError, match="tokens reach row 3, position 4"):
        scatter(batch, np.ones(9), (4, 4))
    with pytest.raises(MissingColumn, match="token_row"):
        scatter(from_arrays(group=[0], rollout=[0]), [0.0], (1, 1))


def test_torch_tensors_are_read_without_importing_torch_here(torch):
    mask = torch.tensor(MASK)
    values = torch.randn(4, 5, requires_grad=True)
    batch = from_arrays(
        group=torch.tensor([0, 0, 1, 1]),
        response_mask=mask.bool(),
        outcome=torch.tensor([1.0, 0.0, 0.0, 1.0], dtype=torch.bfloat16),
        token_logp=values,
        reward=[torch.tensor([1.0, 2.0]), [3.0], [], [4.0]],
    )
    expected = torch.where(mask == 1, values, torch.nan).detach().numpy()
    np.testing.assert_array_equal(scatter(batch, torch.tensor(batch["token_logp"]), (4, 5)), expected)
    assert batch["outcome"].tolist() == [1, 0, 0, 1]
    assert batch["reward"].tolist() == [1, 2, 3, 4]


def test_token_scores_given_as_outcome_are_refused_with_the_way_out():
    with pytest.raises(LayoutError, match=r"got shape \(2, 3\)[\s\S]*sum\(-1\)"):
        from_arrays(group=[0, 1], response_mask=np.ones((2, 3), int), outcome=np.ones((2, 3)))
