"""What SLATE needs, and which steps it takes for answers."""

import numpy as np
import pytest

from stepcredit.credit import assign, on_columns
from stepcredit.data.arrays import from_arrays
from stepcredit.errors import MissingColumn

MARKS = {"parent": [-1, -1, 1, 1], "score": [1.0, 0.0, 2.0, 1.0]}


def test_a_bonus_without_knowing_answers_is_an_error():
    with pytest.raises(MissingColumn, match="truncated"):
        on_columns("slate", MARKS)
    with pytest.raises(MissingColumn, match="truncated"):
        on_columns("slate", MARKS, bonus=0.0, types="apart")
    np.testing.assert_array_equal(on_columns("slate", MARKS, bonus=0.0, spread="none"), [0.5, -0.5, 0.5, -0.5])


def test_rollouts_that_share_nothing_need_the_prefix_as_state():
    batch = from_arrays(group=["p", "p"], rollout=["a", "b"], score=[1.0, 0.0])
    with pytest.raises(MissingColumn, match="state"):
        assign(batch, "slate", bonus=0.0)
    other = batch.with_columns(state=["x", "y"])
    np.testing.assert_array_equal(assign(other, "slate", bonus=0.0).values, [0.0, 0.0])


def test_in_a_tree_the_state_is_not_asked():
    apart = {**MARKS, "state": ["v", "w", "x", "y"]}
    np.testing.assert_array_equal(on_columns("slate", apart, bonus=0.0, spread="none"), [0.5, -0.5, 0.5, -0.5])


def test_a_turn_beyond_the_budget_has_no_bonus():
    columns = {"parent": [-1, 0, 1, 1], "score": [0.0, 0.0, 1.0, 1.0], "truncated": [0, 0, 0, 1]}
    np.testing.assert_array_equal(on_columns("slate", columns, budget=2, spread="none"), np.zeros(4))


def test_a_step_that_only_cut_rollouts_end_at_is_no_answer():
    columns = {"parent": [-1, -1], "score": [1.0, 1.0], "truncated": [True, False]}
    np.testing.assert_allclose(on_columns("slate", columns, spread="none"), [-0.0375, 0.0375])
