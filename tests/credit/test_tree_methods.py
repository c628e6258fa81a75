"""Tree methods against plain recursion: several prompts whose rollouts interleave, unbalanced trees, only children,
rollouts that end at steps which others go on from, unknown outcomes."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plain_trees import Plain, cases, compared, deviation, forest, known, mean, parent, prompt

from stepcredit.credit import get, on_columns
from stepcredit.errors import MissingColumn

option = st.sampled_from


def call(name, tree, *columns, **options):
    """The method's function, options checked, on read-only columns."""
    return get(name).function(tree, *columns, **get(name).check_options(options))


def of(rollouts):
    walks, group, outcome = (list(c) for c in zip(*rollouts, strict=True))
    tree, row = forest(walks, group)
    return tree, row, np.array(outcome), Plain(rollouts)


def same(credit, row, want):
    got = {node: float(credit[s]) for node, s in row.items()}
    assert got == pytest.approx(want, abs=1e-6, nan_ok=True)


@given(cases, option(["children", "leaves"]), option([0.0, 0.5]), option([False, True]), option(["none", "sample"]))
def test_spo_tree_is_what_a_step_adds(rollouts, by, weight, damp, normalize):
    tree, row, outcome, plain = of(rollouts)
    value = plain.child_value if by == "children" else plain.leaf_value
    want = {}
    for x in plain.nodes:
        v = value(x)
        want[x] = v - value(parent(x)) + weight * (v - value(prompt(x)))
        want[x] /= math.sqrt(max(len(known(plain.outcomes(x))), 1)) if damp else 1
    if normalize == "sample":
        want = compared(want, {x: x[0] for x in want}, 1, 0.1)
    got = call("spo_tree", tree, outcome, by=by, root_weight=weight, damp=damp, normalize=normalize, eps=0.1)
    same(got, row, want)


@given(cases, option([0.0, 10.0]), option([0, 1]), option([0.0, 0.3]))
def test_propa_compares_children_of_one_step(rollouts, boost, ddof, least):
    tree, row, outcome, plain = of(rollouts)
    q = {x: plain.leaf_value(x) for x in plain.nodes}
    if boost:
        q = {x: math.log(1 + boost * v) / math.log(1 + boost) for x, v in q.items()}
    spread = ["population", "sample"][ddof]
    got = call("propa", tree, outcome, boost=boost, spread=spread, eps=0.1, least=least)
    same(got.credit, row, compared(q, {x: parent(x) for x in q}, ddof, 0.1))
    for x, s in row.items():
        peers = known([q[y] for y in q if parent(y) == parent(x)])
        assert got.train_mask[s] == (bool(peers) and max(peers) - min(peers) >= least)


@given(cases, option([1.0, 0.5]), option(["best", "mean"]), option(["outcome", "sum", "mean"]), st.integers(0, 2**32))
def test_portool_blends_forks_and_rollouts(rollouts, gamma, descendants, by, seed):
    tree, row, outcome, plain = of(rollouts)
    grounded = np.random.default_rng(seed).integers(0, 2, tree.S)
    reward = {}
    for x in plain.nodes:
        ahead = known([gamma ** (len(rollouts[r][0]) - len(x[1])) * rollouts[r][2] for r in plain.through(x)])
        reward[x] = (max(ahead, default=math.nan) if descendants == "best" else mean(ahead)) + 0.5 * grounded[row[x]]
    fork = compared(reward, {x: parent(x) for x in reward}, 1, 0.1)
    whole = {}
    for r, (way, g, x) in enumerate(rollouts):
        along = [reward[g, way[: k + 1]] for k in range(len(way))]
        total = sum(along) if along else math.nan
        total /= len(along) if by == "mean" and along else 1
        whole[r] = x if by == "outcome" else math.nan if math.isnan(x) else total
    rollout = compared(whole, {r: rollouts[r][1] for r in whole}, 1, 0.1)
    want = {x: 2 * fork[x] + 3 * mean([rollout[r] for r in plain.through(x)]) for x in plain.nodes}
    options = {"gamma": gamma, "descendants": descendants, "rollout_reward": by, "format_weight": 0.5, "eps": 0.1}
    got = call("portool", tree, outcome, grounded, fork_weight=2.0, rollout_weight=3.0, per_rollout=True, **options)
    same(got.credit, row, want)
    assert {x: got.loss_weight[s] for x, s in row.items()} == {x: len(plain.through(x)) for x in row}


def branch_credit(plain, value):
    """Depth against depth, cut at 1.2."""
    value = {x: value(x) for x in plain.nodes}
    depth = {x: (x[0], len(x[1])) for x in value}
    out = compared(value, depth, 1, 0.1)
    for x in out:
        width = deviation(known([value[y] for y in value if depth[y] == depth[x]]), 1)
        out[x] = 0.0 if width < 0.05 and not math.isnan(out[x]) else max(min(out[x], 1.2), -1.2)
    return out


@given(cases, option(["leaves", "logp"]), st.integers(0, 2**32))
def test_branchgrpo_compares_depths(rollouts, fusion, seed):
    tree, row, outcome, plain = of(rollouts)
    logp = np.random.default_rng(seed).normal(size=tree.S)
    named = {x: logp[s] for x, s in row.items()}
    value = plain.leaf_value if fusion == "leaves" else lambda x: plain.weighted_value(x, named)
    got = call("branchgrpo", tree, outcome, logp, fusion=fusion, eps=0.1, least=0.05, clip=1.2)
    same(got.credit, row, branch_credit(plain, value))


def branch_mask(plain, credit, window, width, share):
    """Which nodes train, one at a time; depth first, then width among what is left of the last branches."""
    train = {x: not math.isnan(a) and not window[0] <= len(x[1]) <= window[1] for x, a in credit.items()}
    alone = {x: len(plain.through(x)) == 1 for x in credit}
    tail = [x for x in credit if train[x] and alone[x] and len(x[1]) > 1 and alone[parent(x)]]
    order = {x: (-round(credit[x], 9), len(x[1])) for x in tail}
    for x in tail:
        peers = [y for y in tail if width == "ends" or plain.through(y) == plain.through(x)]
        better, worse = (sum(order[y] < order[x] for y in peers), sum(order[y] > order[x] for y in peers))
        if width == "best":
            train[x] = better < max(1, int(len(peers) * share))
        elif width == "ends":
            keep = max(2, int(len(peers) * share))
            train[x] = better < keep // 2 or worse < keep - keep // 2
    return train


@given(cases, option([(0, 0), (2, 2), (3, 4)]), option(["all", "best", "ends"]), option([0.1, 0.5, 0.8]))
def test_branchgrpo_prunes_depths_then_the_last_branches(rollouts, window, width, share):
    tree, row, outcome, plain = of(rollouts)
    options = {"prune_from": window[0], "prune_to": window[1], "width": width, "share": share}
    whole, got = call("branchgrpo", tree, outcome), call("branchgrpo", tree, outcome, **options)
    np.testing.assert_array_equal(got.credit, whole.credit)
    want = branch_mask(plain, {x: whole.credit[s] for x, s in row.items()}, window, width, share)
    assert {x: bool(got.train_mask[s]) for x, s in row.items()} == want


def test_a_bent_propa_takes_outcomes_beyond_its_range_for_its_ends():
    beyond = on_columns("propa@official", {"parent": [-1, -1, -1], "outcome": [-2.0, 3.0, 0.25]})
    inside = on_columns("propa@official", {"parent": [-1, -1, -1], "outcome": [0.0, 1.0, 0.25]})
    np.testing.assert_array_equal(beyond.credit, inside.credit)


def test_branchgrpo_says_what_log_probabilities_it_misses():
    with pytest.raises(MissingColumn, match="token_old_logp"):
        on_columns("branchgrpo@logp", {"parent": [-1, -1], "outcome": [1.0, 0.0]})


def test_ends_of_one_depth_and_value_stay_together():
    """Four branches of two further steps, two of each outcome: a share of 1/4 is 2 of 8, and nothing tells which."""
    columns = {"parent": [-1, 0, 1, -1, 3, 4, -1, 6, 7, -1, 9, 10], "outcome": [0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]}
    got = on_columns("branchgrpo", columns, width="ends", share=0.25)
    np.testing.assert_array_equal(got.train_mask, [1, 1, 0, 1, 1, 0, 1, 0, 1, 1, 0, 1])


def test_deep_trees_need_no_recursion():
    depth = 10_000
    columns = {"parent": [*range(-1, depth), depth], "outcome": [0.0] * (depth + 1) + [1.0]}
    columns["outcome"][depth] = 0.0
    columns["parent"][depth + 1] = depth - 1
    for name in ("spo_tree", "treeps_rag", "propa", "portool", "branchgrpo", "branchgrpo@width-best"):
        got = np.asarray(on_columns(name, columns))
        assert got[-1] > 0 > got[-2] and np.abs(got[:-2]).max() < 1e-9
