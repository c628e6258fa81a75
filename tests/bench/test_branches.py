"""Rollouts that began alike as a tree."""

import numpy as np
import pytest

from stepcredit.bench.branches import branches
from stepcredit.bench.entries import applicable_here, judge
from stepcredit.credit import assign, get
from stepcredit.data import Tree
from stepcredit.data.flat import from_columns
from stepcredit.envs import worlds
from stepcredit.envs.tabular import sample
from stepcredit.errors import MissingColumn


def by_hand():
    return from_columns(
        {
            "group": ["p", "p", "p", "p", "q"],
            "rollout": ["a", "a", "b", "b", "c"],
            "outcome": [1, 1, 0, 0, 1],
            "state": ["s", "t", "s", "t", "s"],
            "action": ["x", "y", "x", "z", "x"],
        }
    )[0]


def test_steps_that_came_after_the_same_and_did_the_same_are_one():
    made = branches(by_hand())
    assert made.batch.layout.S == 4
    assert made.node.tolist() == [0, 1, 0, 2, 3]
    assert made.batch.layout.paths.rows.tolist() == [0, 1, 0, 2, 3]


def test_equal_states_after_different_steps_stay_apart():
    batch, _ = from_columns(
        {
            "group": ["p"] * 4,
            "rollout": ["a", "a", "b", "b"],
            "outcome": [1, 1, 0, 0],
            "state": ["s", "t", "s", "t"],
            "action": ["x", "z", "y", "z"],
        }
    )
    assert branches(batch).batch.layout.S == 4


def test_every_rollout_still_walks_its_own_states_and_actions():
    made = sample([worlds.get("layered")(seed=i, horizon=6, noise=0.3) for i in range(5)], 8, 0)
    tree = branches(made)
    lay = tree.batch.layout
    for name in ("state", "action"):
        np.testing.assert_array_equal(lay.along(tree.batch[name]), made[name])
    assert lay.S < made.layout.S and Tree.of(lay).S == lay.S


def test_a_method_on_trees_is_measured_on_shared_beginnings():
    batch = by_hand()
    assert applicable_here(get("spo_tree"), batch) is None
    np.testing.assert_allclose(judge("spo_tree", batch).credit, [0, 0.5, 0, -0.5, 0])
    apart = assign(batch, "spo_tree").values  # every rollout a branch of its own: other numbers
    np.testing.assert_allclose(apart, [0.5, 0, -0.5, 0, 0])


def test_without_actions_there_is_nothing_to_share():
    batch, _ = from_columns({"group": ["p"], "rollout": ["a"], "outcome": [1], "state": ["s"]})
    with pytest.raises(MissingColumn, match="action"):
        branches(batch)
