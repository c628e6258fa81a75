"""Tree values against recursion (tests/credit/plain_trees.py): random trees, rollouts that end inside them, unknown
outcomes."""

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepcredit.data.layout import Paths, Tree
from stepcredit.ops import backup, edge_advantage, outcome_ahead, weighted_backup

sys.path.append(str(Path(__file__).parents[1] / "credit"))

from plain_trees import Plain, cases, forest, known, mean, ways


def of(rollouts):
    """The tree, the row of each node with the prompts' places, the outcomes, and the plain tree."""
    walks, group, outcome = (list(c) for c in zip(*rollouts, strict=True))
    tree, row = forest(walks, group)
    return tree, {**row, **{(g, ()): tree.S + g for g in set(group)}}, np.array(outcome), Plain(rollouts)


@given(cases)
def test_both_backups_are_the_recursions_they_claim(rollouts):
    tree, row, outcome, plain = of(rollouts)
    by_children, by_leaves = backup(tree, outcome), backup(tree, outcome, by="leaves")
    for node, place in row.items():
        values = known([plain.child_value(c) for c in plain.children(node)] + plain.ends(node))
        assert by_children.value[place] == pytest.approx(mean(values), nan_ok=True)
        assert by_children.spread[place] == pytest.approx(np.std(values) if values else 0.0, abs=1e-12)
        assert by_leaves.value[place] == pytest.approx(plain.leaf_value(node), nan_ok=True)


@given(cases, st.sampled_from(["children", "leaves"]))
def test_the_edges_of_a_path_sum_to_its_end_minus_its_root(rollouts, by):
    tree, _, outcome, _ = of(rollouts)
    value = backup(tree, outcome, by=by).value
    edge = edge_advantage(tree, value)
    ends = value[tree.ends] - value[tree.S + tree.group]
    some = tree.steps > 0
    known = ~np.isnan(tree.total(edge)[some])
    np.testing.assert_allclose(tree.total(edge)[some][known], ends[some][known], atol=1e-12)


@given(st.lists(ways, min_size=1, max_size=12), st.sampled_from([0.81, 0.1, -1 / 3]))
def test_equal_outcomes_differ_by_exactly_nothing(walks, outcome):
    tree, _ = forest(walks, [0] * len(walks))
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


def deep_pair(depth):
    """Two rollouts that share all but their last step, on a chain; the second goes on one step further."""
    chain = np.arange(depth)
    rows = np.concatenate((chain, [depth], chain, [depth + 1, depth + 2]))
    rollout = np.concatenate((np.zeros(depth + 1, int), [1, 1]))
    return Tree(np.array([0, 0]), rollout, Paths(np.array([0, depth + 1, 2 * depth + 3]), rows))


@given(cases, st.integers(0, 2**32 - 1))
def test_a_weighted_backup_is_the_recursion_it_claims(rollouts, seed):
    tree, row, outcome, plain = of(rollouts)
    log_weight = np.random.default_rng(seed).normal(scale=3, size=tree.S)
    value = weighted_backup(tree, outcome, log_weight)
    named = {n: log_weight[s] for n, s in row.items() if s < tree.S}
    for node, place in row.items():
        assert value[place] == pytest.approx(plain.weighted_value(node, named), nan_ok=True)


@given(cases)
def test_equal_weights_are_the_mean_over_children(rollouts):
    tree, _, outcome, _ = of(rollouts)
    value = weighted_backup(tree, outcome, np.zeros(tree.S))
    np.testing.assert_allclose(value, backup(tree, outcome).value, atol=1e-12)


@given(st.lists(ways, min_size=1, max_size=12))
def test_weights_do_not_tell_equal_outcomes_apart(walks):
    tree, _ = forest(walks, [0] * len(walks))
    assert set(weighted_backup(tree, np.full(tree.R, 0.81), np.arange(tree.S) / 3).tolist()) == {0.81}


def test_huge_log_weights_neither_overflow_nor_vanish():
    tree, row = forest([("a", "x"), ("a", "y"), ("b",)], [0, 0, 0])
    log_weight = np.zeros(tree.S)
    log_weight[[row[0, w] for w in [("a",), ("b",)]]] = -5000.0, -5000.0
    value = weighted_backup(tree, np.array([1.0, 0.0, 0.0]), log_weight)
    np.testing.assert_allclose(value[[row[0, ("a",)], tree.S]], [0.5, 0.25])


def test_a_fork_of_unknown_weights_has_no_value_and_is_left_out_above():
    tree, row = forest([("a", "x"), ("a", "y"), ("b",)], [0, 0, 0])
    log_weight = np.zeros(tree.S)
    log_weight[row[0, ("a", "x")]] = np.nan
    value = weighted_backup(tree, np.array([1.0, 0.0, 0.25]), log_weight)
    assert np.isnan(value[row[0, ("a",)]]) and value[row[0, ("a", "y")]] == 0 and value[tree.S] == 0.25


@given(cases, st.sampled_from([1.0, 0.5, 0.0]))
def test_what_comes_of_a_step_is_a_search_through_what_is_below(rollouts, gamma):
    tree, row, outcome, plain = of(rollouts)
    best, average = (outcome_ahead(tree, outcome, gamma, over=o) for o in ("best", "mean"))
    for node in plain.nodes:
        ways_on = [rollouts[r] for r in plain.through(node)]
        below = known([gamma ** (len(way) - len(node[1])) * x for way, _, x in ways_on])
        assert best[row[node]] == pytest.approx(max(below, default=np.nan), nan_ok=True)
        assert average[row[node]] == pytest.approx(mean(below), nan_ok=True)


def test_deep_chains_need_no_recursion():
    tree = deep_pair(10_000)
    outcome = np.array([1.0, 0.0])
    for value in (backup(tree, outcome).value, backup(tree, outcome, by="leaves").value):
        assert set(value[:10_000].tolist()) == {0.5}
    log_weight = np.zeros(tree.S)
    log_weight[10_000] = np.log(3)
    np.testing.assert_allclose(weighted_backup(tree, outcome, log_weight)[:10_000], 0.75)
    best = outcome_ahead(tree, np.array([1.0, 1.0]), 0.999)
    np.testing.assert_allclose(best[[0, 9_999, 10_000, 10_001]], [0.999**10_000, 0.999, 1.0, 0.999])
