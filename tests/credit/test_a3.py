"""A3 against plain loops over rollouts and turns, in trees too, in both readings of the residual."""

from math import isnan, nan, tanh

import numpy as np
import pytest

from stepcredit.credit.methods.a3 import a3
from stepcredit.data import Layout
from stepcredit.testing import random_batch

A = np.array


def squashed(values, floor=0.5, eps=1e-6):
    """Of a list: distance to the lower median over the lower median distance, squashed."""

    def middle(x):
        return sorted(x)[(len(x) - 1) // 2]

    at = middle(values)
    return [tanh((v - at) / (max(1.4826 * middle([abs(u - at) for u in values]), floor) + eps)) for v in values]


def linked(members, pair):
    """Closed over chains: lists of members."""
    sets = [[m] for m in members]
    for i, a in enumerate(members):
        for b in members[i + 1 :]:
            one, two = (next(s for s in sets if x in s) for x in (a, b))
            if one is not two and pair(a, b):
                sets.remove(two)
                one.extend(two)
    return sets


def plain(rollouts, tau=0.05, decay=0.84, prior=0.1, gamma=0.9, eps=1e-6, residual="rollout", weights=(1, 0.65, 1)):
    """rollouts: (batch, group, outcome, labels per turn). Credit per turn of each."""
    known = [i for i, (_, _, y, labels) in enumerate(rollouts) if labels and not isnan(y)]
    y, labels = [r[2] for r in rollouts], [r[3] for r in rollouts]

    def differ(i, j, t):
        pairs = list(zip(labels[i][t], labels[j][t], strict=True))
        return sum(a != b or a < 0 for a, b in pairs) / len(pairs)

    back, beside, gain, support = ({} for _ in range(4))
    for g in {rollouts[i][1] for i in known}:
        mine = [i for i in known if rollouts[i][1] == g]
        back.update(zip(mine, squashed([y[i] for i in mine]), strict=True))
        for t in range(max(len(labels[i]) for i in mine)):
            here = [i for i in mine if len(labels[i]) > t]
            for i in here:
                scopes = []
                for s, label in enumerate(labels[i][t]):
                    like = [y[j] for j in here if j != i and label >= 0 and labels[j][t][s] == label]
                    scopes.append(y[i] - sum(like) / len(like) if like else 0.0)
                beside[i, t] = sum(scopes) / len(scopes)
            if residual == "turn":
                beside.update(zip([(i, t) for i in here], squashed([beside[i, t] for i in here]), strict=True))

            def near(i, j, t=t):
                weight = [decay**u for u in range(t)]
                apart = sum(w * differ(i, j, u) for u, w in enumerate(weight)) / sum(weight) if t else 0.0
                return apart <= tau + 1e-9

            for state in linked(here, near):
                actions = linked(state, lambda i, j, t=t: differ(i, j, t) <= tau + 1e-9)
                for action in actions:
                    n = len(action)
                    held = n / (n + prior + eps) if len(actions) > 1 else 0.0
                    worth = sum(y[i] for i in action) / n - sum(y[i] for i in state) / len(state)
                    for i in action:
                        gain[i, t], support[i, t] = held * worth, held
        if residual == "rollout":
            first = dict(zip(mine, squashed([beside[i, 0] for i in mine]), strict=True))
            beside.update({(i, t): first[i] for i in mine for t in range(len(labels[i]))})
    parts = {}
    for i in known:
        ahead = held = 0.0
        for t in reversed(range(len(labels[i]))):
            ahead, held = gain[i, t] + gamma * ahead, support[i, t] + gamma * held
            parts[i, t] = (back[i], beside[i, t], held / (held + prior + eps) * ahead)
    out = [[nan] * len(lab) for lab in labels]
    for b in {r[0] for r in rollouts}:
        mine = [k for k in parts if rollouts[k[0]][0] == b]
        size = [sum(abs(parts[k][p]) for k in mine) / max(len(mine), 1) + 1e-9 for p in range(3)]
        for i, t in mine:
            out[i][t] = 1.1 * tanh(sum(w * x / s for w, x, s in zip(weights, parts[i, t], size, strict=True)) / 1.1)
    return out


def on_paths(layout, outcome, cluster, **options):
    rows = [layout.paths.rows[a:b] for a, b in zip(layout.paths.start[:-1], layout.paths.start[1:], strict=True)]
    walks = [[cluster[s].tolist() for s in path] for path in rows]
    given = zip(layout.batches.tolist(), layout.group.tolist(), outcome.tolist(), walks, strict=True)
    made = plain(list(given), **options)
    seen = [[] for _ in range(layout.S)]
    for path, credit in zip(rows, made, strict=True):
        for s, c in zip(path.tolist(), credit, strict=True):
            seen[s] += [] if isnan(c) else [c]
    return [sum(v) / len(v) if v else nan for v in seen]


@pytest.mark.parametrize("residual", ["rollout", "turn"])
@pytest.mark.parametrize("seed", range(60))
def test_credit_is_that_of_loops_over_rollouts_and_turns(seed, residual):
    batch, rng = random_batch(seed), np.random.default_rng(seed)
    lay = batch.layout
    outcome = np.where(rng.random(lay.R) < 0.15, nan, batch["outcome"])
    cluster = np.where(rng.random((lay.S, 3)) < 0.7, 0, rng.integers(-1, 2, (lay.S, 3)))
    options = {"tau": float(rng.choice([0.0, 0.05, 0.2, 0.4])), "decay": float(rng.choice([0.84, 0.3])), "prior": 0.3}
    got = a3(lay, outcome, cluster, residual=residual, **options)
    np.testing.assert_allclose(got, on_paths(lay, outcome, cluster, residual=residual, **options), atol=1e-9)


def test_long_rollouts_forget_small_differences_and_short_ones_do_not():
    """At turn 2 one of four scopes at turn 1 weighs .84 / 1.84 / 4 = .114, at turn 6 .84 / 4.06 / 4 = .0518: above
    .05, at turn 7 .047."""
    cluster = np.zeros((20, 4), np.int64)
    cluster[11, 0] = 1
    lay, outcome = Layout(np.zeros(2, int), np.repeat([0, 1], 10)), A([1.0, 0.0])
    for turn, apart in ((2, True), (6, True), (7, False), (9, False)):
        forks = cluster.copy()
        forks[10 + turn] = 9
        tree = a3(lay, outcome, forks, residual_weight=0.0, gamma=0.0)
        without = a3(lay, outcome, forks, residual_weight=0.0, tree_weight=0.0)
        assert np.allclose(tree[turn], without[turn]) == apart, turn


def test_without_residual_and_tree_it_is_the_squashed_backbone():
    batch = random_batch(4, tree=False, empty=False)
    lay = batch.layout
    got = a3(lay, batch["outcome"], batch["cluster"], residual_weight=0.0, tree_weight=0.0)
    back = np.zeros(lay.R)
    for g in range(lay.G):
        mine = np.flatnonzero(lay.group == g)
        back[mine] = squashed(batch["outcome"][mine].tolist()) if mine.size else 0
    back = back[lay.rollout]
    size = A([np.abs(back[lay.batches[lay.rollout] == b]).mean() for b in lay.batches[lay.rollout]])
    np.testing.assert_allclose(got, 1.1 * np.tanh(back / (size + 1e-9) / 1.1), atol=1e-9)


def test_one_clustering_may_be_a_flat_column():
    lay = Layout(np.zeros(3, int), np.arange(3))
    flat = a3(lay, A([1.0, 0.0, 1.0]), A([0, 0, 1]))
    np.testing.assert_array_equal(flat, a3(lay, A([1.0, 0.0, 1.0]), A([[0], [0], [1]])))
