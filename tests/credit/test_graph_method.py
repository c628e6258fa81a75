"""The graph method equals its plain reference (plain_graph.py), and what it promises beside."""

import numpy as np
import pytest
from plain_graph import Rollout, plain_credit

from stepcredit.credit import assign
from stepcredit.credit.methods.stepcredit_graph import stepcredit_graph
from stepcredit.data import Batch, Layout, from_columns
from stepcredit.envs import game24, worlds
from stepcredit.envs.tabular import sample
from stepcredit.testing import random_batch

A = np.array
GIVEN = [{}, {"strength": 2.0}, {"alias": 0.0}, {"alias": 20.0}, {"floor": 0.2}, {"strength": 0.5, "alias": 3.0}]


def plain(batch, **options):
    """[S] credit and sd: each training batch by the plain method, a shared step the mean over its rollouts."""
    lay, said = batch.layout, [[] for _ in range(batch.layout.S)]
    rows = [lay.paths.rows[a:b] for a, b in zip(lay.paths.start, lay.paths.start[1:], strict=False)]
    rollouts = [
        Rollout(
            int(lay.group[r]),
            float(batch["outcome"][r]),
            [*batch["state"][at].tolist(), *batch["next_state"][at[-1:]].tolist()] or [None],
            batch["action"][at].tolist() if "action" in batch else None,
        )
        for r, at in enumerate(rows)
    ]
    for b in set(lay.batches.tolist()):
        mine = np.flatnonzero(lay.batches == b).tolist()
        for r, row in zip(mine, plain_credit([rollouts[r] for r in mine], **options), strict=True):
            for s, pair in zip(rows[r].tolist(), row, strict=True):
                said[s] += [pair] if pair else []
    means = [np.mean(pairs, axis=0) if pairs else (np.nan, np.nan) for pairs in said]
    return np.array(means).reshape(-1, 2).T


def check(batch, **options):
    """Both say the same; returns the credit."""
    out = assign(batch, "stepcredit_graph", **options)
    credit, sd = plain(batch, **options)
    np.testing.assert_allclose(out.values, credit, atol=1e-9, rtol=0)
    np.testing.assert_allclose(out.extras["sd"], sd, atol=1e-9, rtol=0)
    return out.values


def random_walks(seed):
    """Few or many states, actions or none, some rollouts without steps or outcome, one or two training batches."""
    rng = np.random.default_rng(seed)
    many = int(rng.integers(1, 14))
    steps = rng.integers(0 if seed % 3 else 1, 7, many)
    group = rng.integers(0, rng.integers(1, 4), many)
    layout = Layout(group, np.repeat(np.arange(many), steps), batch=rng.integers(0, 2, many) if seed % 4 == 0 else None)
    states = int(rng.integers(2, 25))
    outcome = (rng.random(many) < rng.uniform(0.1, 0.9)).astype(float) if seed % 5 else rng.integers(-2, 5, many) / 4
    outcome[rng.random(many) < 0.2 * (seed % 7 == 0)] = np.nan
    columns = {"outcome": outcome}
    columns |= {name: rng.integers(0, states, layout.S) for name in ("state", "next_state")}
    if seed % 2:
        columns["action"] = rng.integers(0, 3, layout.S)
    return Batch(layout, columns)


@pytest.mark.parametrize("output", ["advantage", "quality"])
@pytest.mark.parametrize("options", GIVEN, ids=str)
def test_random_walks(options, output):
    told = 0
    for seed in range(60):
        told += np.nansum(np.abs(check(random_walks(seed), output=output, **options)) > 0)
    assert told > 300


@pytest.mark.parametrize("options", GIVEN, ids=str)
def test_shared_steps_are_walked_by_every_rollout(options):
    for seed in range(30):
        check(random_batch(seed, tree=True), **options)


@pytest.mark.parametrize("output", ["advantage", "quality"])
def test_game24(output):
    batch = game24.batch(["1 1 4 6", "4 5 6 10", "3 3 8 8"], 40, game24.Policy(), seed=0)
    assert np.sum(np.abs(check(batch, output=output)) > 0) > 50


@pytest.mark.parametrize(
    ("family", "options"),
    [
        ("ring", {}),
        ("layered", {"horizon": 12, "noise": 0.3, "width": 4}),
        ("layered", {"horizon": 8, "noise": 0.3, "width": 300, "reach": None}),
        ("aliased", {}),
        ("dead_end", {}),
        ("handoff", {}),
    ],
)
def test_worlds(family, options):
    batch = sample([worlds.get(family)(seed=i, **options) for i in range(3)], 16, seed=0)
    assert np.any(check(batch))
    check(batch.with_columns(action=np.zeros(batch.layout.S, np.int64)))


def of(**columns):
    return from_columns(columns)[0]


def test_ways_walked_once_tell_nothing_of_aliases():
    """Rounding must not choose: with one visit per way every alias is as likely as any other."""
    ways = {"rollout": [0, 0, 1, 1, 2, 2, 3, 3], "outcome": [1, 0, 1, 0], "state": A([0, 1, 0, 2, 0, 3, 0, 4])}
    batch = of(**ways, group=[0] * 8, next_state=A([1, 9, 2, 9, 3, 9, 4, 9]))
    fitted, whole = (assign(batch, "stepcredit_graph", **o).values for o in ({}, {"alias": 512.0}))
    np.testing.assert_array_equal(fitted, whole)


def test_the_same_step_has_the_same_credit_where_it_ends_a_rollout_and_where_not():
    batch = of(
        rollout=[0, 1, 1, 2, 2, 3],
        group=[0] * 6,
        outcome=[1, 1, 1, 0],
        state=A([0, 0, 1, 0, 1, 0]),
        next_state=A([1, 1, 9, 1, 9, 2]),
        action=A([5, 5, 0, 5, 0, 6]),
    )
    credit = check(batch)
    assert credit[0] == credit[1] == credit[3] != 0


@pytest.mark.parametrize("outcome", [[1, 1, 1], [np.nan] * 3, [0.5, np.nan, 0.5]])
def test_outcomes_that_do_not_differ_say_nothing(outcome):
    batch = of(rollout=[0, 1, 2], group=[0] * 3, outcome=outcome, state=A([0] * 3), next_state=A([1, 2, 3]))
    np.testing.assert_array_equal(check(batch), A(outcome) * 0)


def test_ids_may_be_any_integers():
    columns = {"state": A([0, 0, 0]), "next_state": A([1, 1, 2]), "action": A([3, 3, 4])}
    layout, outcome = Layout(A([0] * 3), np.arange(3)), A([1.0, 0.0, 0.0])
    small = stepcredit_graph(layout, outcome, **columns)
    for huge in (2**62, 2**63 - 5, -(2**63)):
        moved = stepcredit_graph(layout, outcome, **{n: huge + x for n, x in columns.items()})
        np.testing.assert_array_equal(moved.credit, small.credit)
        np.testing.assert_array_equal(moved.sd, small.sd)


def test_a_rollout_of_many_turns():
    steps = 3000
    states = np.tile(np.arange(steps), 2)
    layout = Layout(A([0, 0]), np.repeat([0, 1], steps))
    out = stepcredit_graph(
        layout, A([1.0, 0.0]), states, states + 1 + steps * (layout.turn == steps - 1) * layout.rollout
    )
    np.testing.assert_allclose(out.credit[: steps - 1], out.credit[steps:-1], atol=0)
    assert out.credit[steps - 1] > 0.1 > -0.1 > out.credit[-1]
