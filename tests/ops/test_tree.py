"""Tree values against recursion: random trees, rollouts that end inside them, unknown outcomes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepcredit.data.layout import Paths, Tree
from stepcredit.ops import backup, edge_advantage


def forest(ways, group):
    """A Tree of the rollouts that walk `ways`, tuples of node names; equal prefixes within a group are shared."""
    row, rollout, rows, start = {}, [], [], [0]
    for r, (way, g) in enumerate(zip(ways, group, strict=True)):
        for depth in range(len(way)):
            name = (g, way[: depth + 1])
            if name not in row:
                row[name] = len(rollout)
                rollout.append(r)
            rows.append(row[name])
        start.append(len(rows))
    return Tree(np.array(group), np.array(rollout, int), Paths(np.array(start), np.array(rows, int))), row


names = st.lists(st.integers(0, 2), max_size=4).map(tuple)
rollouts = st.lists(
    st.tuples(names, st.sampled_from([0, 2]), st.sampled_from([0.0, 1.0, 0.25, 0.1, np.nan])), min_size=1, max_size=12
)


def children_values(name, below):
    """Values of the children of a node: of steps that follow it, and of rollouts that end at it."""
    g, way = name
    inside = [(w, x) for h, w, x in below if h == g and w[: len(way)] == way]
    following = sorted({w[: len(way) + 1] for w, _ in inside if len(w) > len(way)})
    values = [mean(children_values((g, w), below)) for w in following] + [x for w, x in inside if w == way]
    return [v for v in values if not np.isnan(v)]


def mean(values):
    return np.mean(values) if values else np.nan


@given(rollouts)
def test_both_backups_are_the_recursions_they_claim(cases):
    ways, group, outcome = (list(c) for c in zip(*cases, strict=True))
    tree, row = forest(ways, group)
    below = list(zip(group, ways, outcome, strict=True))
    by_children = backup(tree, np.array(outcome))
    by_leaves = backup(tree, np.array(outcome), by="leaves")
    for name, place in {**row, **{(g, ()): tree.S + g for g in set(group)}}.items():
        values = children_values(name, below)
        assert by_children.value[place] == pytest.approx(mean(values), nan_ok=True)
        assert by_children.spread[place] == pytest.approx(np.std(values) if values else 0.0, abs=1e-12)
        leaves = [x for g, w, x in below if g == name[0] and w[: len(name[1])] == name[1] and not np.isnan(x)]
        assert by_leaves.value[place] == pytest.approx(mean(leaves), nan_ok=True)


@given(rollouts, st.sampled_from(["children", "leaves"]))
def test_the_edges_of_a_path_sum_to_its_end_minus_its_root(cases, by):
    ways, group, outcome = (list(c) for c in zip(*cases, strict=True))
    tree, _ = forest(ways, group)
    value = backup(tree, np.array(outcome), by=by).value
    edge = edge_advantage(tree, value)
    ends = value[tree.ends] - value[tree.S + tree.group]
    some = tree.steps > 0
    known = ~np.isnan(tree.total(edge)[some])
    np.testing.assert_allclose(tree.total(edge)[some][known], ends[some][known], atol=1e-12)


@given(st.lists(names, min_size=1, max_size=12), st.sampled_from([0.81, 0.1, -1 / 3]))
def test_equal_outcomes_differ_by_exactly_nothing(ways, outcome):
    tree, _ = forest(ways, [0] * len(ways))
    for by in ("children", "leaves"):
        nodes = backup(tree, np.full(tree.R, outcome), by=by)
        assert set(nodes.value.tolist()) == {outcome} and not nodes.spread.any()
        assert not edge_advantage(tree, nodes.value).any()


def test_equal_children_differ_by_nothing_beside_other_branches():
    ways = [("a", "x"), ("a", "y"), ("a", "z"), ("b",)]
    tree, row = forest(ways, [0] * 4)
    nodes = backup(tree, np.array([0.81, 0.81, 0.81, 0.0]))
    assert nodes.value[row[0, ("a",)]] == 0.81 and nodes.spread[row[0, ("a",)]] == 0
    assert not edge_advantage(tree, nodes.value)[[row[0, w] for w in ways[:3]]].any()


def test_the_two_backups_differ_where_a_tree_is_unbalanced():
    """SPO: the root's children are a with leaves 1, 1, 0, then b with 0 and c with 1."""
    tree, row = forest([("a", "x"), ("a", "y"), ("a", "z"), ("b",), ("c", "w")], [0] * 5)
    outcome = np.array([1.0, 1.0, 0.0, 0.0, 1.0])
    nodes = backup(tree, outcome)
    root = tree.S
    assert nodes.value[root] == pytest.approx(0.5556, abs=1e-4)
    assert backup(tree, outcome, by="leaves").value[root] == pytest.approx(0.6)
    at = [row[0, (n,)] for n in "abc"]
    edge = edge_advantage(tree, nodes.value)[at]
    np.testing.assert_allclose(edge, [0.1111, -0.5556, 0.4444], atol=1e-4)
    np.testing.assert_allclose(edge / nodes.spread[root], [0.2673, -1.3363, 1.0690], atol=1e-4)


def test_nothing_gives_nothing_and_a_rollout_without_steps_is_its_prompt():
    none = Tree(np.zeros(0, int), np.zeros(0, int))
    assert backup(none, np.zeros(0)).value.size == 0
    bare = Tree(np.array([0, 0]), np.zeros(0, int))
    np.testing.assert_array_equal(backup(bare, np.array([1.0, 0.0])).value, [0.5])
    np.testing.assert_array_equal(backup(bare, np.array([1.0, 0.0]), by="leaves").spread, [0.5])
