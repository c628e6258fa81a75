"""Tree methods that equal others at some setting, over random batches and random trees."""

import numpy as np
import pytest

from stepcredit.credit import assign, on_columns
from stepcredit.data.batch import Batch
from stepcredit.data.layout import Layout, Tree
from stepcredit.ops import backup
from stepcredit.testing import random_batch

SEEDS = range(60)


def credit(batch, name, **options):
    return assign(batch, name, **options).values


def trees():
    return [random_batch(seed, tree=True) for seed in SEEDS]


def flat(seed, steps=1):
    """Rollouts of equal length that share no step, of interleaved prompts."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 12))
    layout = Layout(rng.integers(0, 3, n), np.repeat(np.arange(n), steps))
    return Batch(layout, {"outcome": rng.integers(0, 5, n) / 4})


def agree(pairs, atol=1e-9):
    """Every pair is equal, and not all of them are trivial."""
    pairs = list(pairs)
    for got, want in pairs:
        np.testing.assert_allclose(got, want, atol=atol)
    assert sum(np.abs(want).max(initial=0) > 0.1 for _, want in pairs) > len(pairs) / 4


def test_segments_of_one_step_are_the_outcome_minus_the_prompt_mean():
    agree((credit(b, "spo_tree"), credit(b, "grpo", spread="none")) for b in map(flat, SEEDS))


def balanced(arity, depth):
    """Parents of a tree in which every node has as many children."""
    parent, level = [], [-1]
    for _ in range(depth):
        first = len(parent)
        parent += [node for node in level for _ in range(arity)]
        level = range(first, len(parent))
    return parent


@pytest.mark.parametrize(("arity", "depth"), [(2, 3), (3, 2), (4, 1)])
def test_leaf_means_are_means_over_children_in_balanced_trees(arity, depth):
    parent = balanced(arity, depth)
    columns = {"parent": parent, "outcome": np.random.default_rng(0).normal(size=len(parent))}
    np.testing.assert_allclose(on_columns("treeps_rag", columns), on_columns("spo_tree", columns), atol=1e-12)


def test_leaf_means_and_means_over_children_differ_in_others():
    assert any(np.abs(credit(b, "treeps_rag") - credit(b, "spo_tree")).max(initial=0) > 0.01 for b in trees())


@pytest.mark.parametrize("by", ["children", "leaves"])
def test_edges_along_a_path_sum_to_the_outcome_minus_the_value_of_the_prompt(by):
    def pair(batch):
        lay, some = batch.layout, batch.layout.steps > 0
        root = backup(Tree.of(lay), batch["outcome"], by=by).value[lay.S :][lay.group]
        return lay.total(credit(batch, "spo_tree", by=by))[some], (batch["outcome"] - root)[some]

    agree(map(pair, trees()))


def test_the_weight_of_the_root_adds_the_sum_of_the_edges_so_far():
    def pair(batch):
        lay = batch.layout
        edge = lay.along(credit(batch, "treeps_rag"))
        so_far = np.cumsum(edge) - (np.cumsum(edge) - edge)[lay.paths.start[:-1][lay.paths.rollout]]
        return credit(batch, "spo_tree@treeps_rag-root"), lay.merge(edge + so_far)

    agree(map(pair, trees()))


@pytest.mark.parametrize("tree", [False, True])
def test_salt_without_equal_edges_is_grpo(tree):
    def pair(seed):
        batch = random_batch(seed, tree=tree)
        alone = np.arange(batch.layout.S)
        return credit(batch.with_columns(action=alone, observation=alone), "salt"), credit(batch, "grpo", eps=1e-6)

    agree(map(pair, SEEDS))


@pytest.mark.parametrize("spread", ["sample", "population", "none"])
def test_propa_on_trees_of_depth_one_is_grpo(spread):
    agree((credit(b, "propa", spread=spread), credit(b, "grpo", spread=spread)) for b in map(flat, SEEDS))


def test_propa_where_every_step_has_as_many_rollouts_is_spo_tree():
    """Siblings that as many rollouts pass: their plain mean is the value of the step before."""
    columns = {"parent": balanced(2, 2), "outcome": [0, 0, 1.0, 0.25, 0.5, 0.0]}
    np.testing.assert_allclose(on_columns("propa", columns, spread="none").credit, on_columns("spo_tree", columns))


def test_portool_without_forks_is_grpo():
    agree((credit(b, "portool", gamma=1.0, fork_weight=0.0), credit(b, "grpo", eps=1e-6)) for b in trees())


def test_portool_on_trees_of_depth_one_is_grpo_twice():
    agree((credit(b, "portool", gamma=0.5), 2 * credit(b, "grpo", eps=1e-6)) for b in map(flat, SEEDS))


def test_the_mean_of_undiscounted_descendants_is_propa():
    def pair(batch):
        batch = Batch(batch.layout, {"outcome": batch["outcome"]})
        return credit(batch, "portool@mean", gamma=1.0, rollout_weight=0.0), credit(batch, "propa", eps=1e-6)

    agree(map(pair, trees()))


def test_branchgrpo_of_depth_one_is_grpo():
    agree((credit(b, "branchgrpo"), credit(b, "grpo", eps=1e-8)) for b in map(flat, SEEDS))


def test_branchgrpo_of_rollouts_that_share_nothing_is_grpo_at_every_depth():
    agree((credit(b, "branchgrpo"), credit(b, "grpo", eps=1e-8)) for b in (flat(seed, 3) for seed in SEEDS))


def test_branchgrpo_by_prompt_is_grpo_on_any_tree():
    agree((credit(b, "branchgrpo@group"), credit(b, "grpo", eps=1e-8)) for b in trees())


def test_equal_log_probabilities_in_balanced_trees_are_leaf_means():
    columns = {"parent": balanced(2, 2), "outcome": [0, 0, 1.0, 0.25, 0.5, 0.0], "token_logp": [-3.0] * 6}
    got, want = on_columns("branchgrpo@logp", columns), on_columns("branchgrpo", columns)
    np.testing.assert_allclose(got.credit, want.credit, atol=1e-12)


def test_slate_by_state_is_the_state_term_of_gigpo():
    def pair(seed):
        batch = random_batch(seed, tree=False)
        batch = batch.with_columns(reward=batch["score"])
        whole, episode = (credit(batch, "gigpo", reward="reward", gamma=0.0, omega=w) for w in (1.0, 0.0))
        return credit(batch, "slate", bonus=0.0), whole - episode

    agree(map(pair, SEEDS))


def test_slate_of_leaf_means_is_propa():
    def pair(batch):
        value = backup(Tree.of(batch.layout), batch["outcome"], by="leaves").value[: batch.layout.S]
        return credit(batch.with_columns(score=value), "slate", bonus=0.0), credit(batch, "propa", eps=1e-6)

    agree(map(pair, trees()))


@pytest.mark.parametrize("main", ["outcome", "gain"])
def test_tp_grpo_flow_that_pays_outcomes_is_grpo_where_lengths_are_equal(main):
    def pair(seed):
        batch = flat(seed, 3)
        first = batch.layout.turn == 0
        values = np.random.default_rng(seed).random((2, batch.layout.S))
        batch = batch.with_columns(value=np.where(first, 0.5, values[0]), next_value=values[1])
        return credit(batch, "tp_grpo_flow", main=main, bonus="none"), credit(batch, "grpo", spread="population")

    agree(map(pair, SEEDS))
