"""The graph of states, against one made with dictionaries and exact names (tests/credit/plain_graph.py)."""

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepcredit.ops import Walk, state_graph
from stepcredit.ops.graph import _links

sys.path.append(str(Path(__file__).parents[1] / "credit"))

from plain_graph import Rollout, action_of, plain_graph

NEAR = [0, 1, 2, 3, -1, 2**62, 2**62 + 1, 2**63 - 1]
FRESH = 2**61  # ids from here on are met once


@st.composite
def rollouts(draw, most=8):
    """States that repeat and states met once, few actions (or none), two prompts, one step and more."""
    with_actions, fresh = draw(st.booleans()), iter(range(FRESH, 2 * FRESH))
    out = []
    for _ in range(draw(st.integers(1, most))):
        steps = draw(st.integers(1, 6))
        picks = draw(st.lists(st.integers(0, 13), min_size=steps + 1, max_size=steps + 1))
        actions = draw(st.lists(st.sampled_from([0, 1, 2**62]), min_size=steps, max_size=steps))
        states = [NEAR[i] if i < len(NEAR) else next(fresh) for i in picks]
        prompt, outcome = draw(st.sampled_from([0, 3])), draw(st.sampled_from([0.0, 0.25, 1.0]))
        out.append(Rollout(prompt, outcome, states, actions if with_actions else None))
    return out


def walk(rollouts):
    """`next_state` of steps before the last is what nobody must read."""
    steps = [len(r.states) - 1 for r in rollouts]
    turn = np.concatenate([np.arange(n) for n in steps])
    left = np.concatenate([np.arange(n)[::-1] for n in steps])
    after = [r.states[-1] if i == n - 1 else 77 for r, n in zip(rollouts, steps, strict=True) for i in range(n)]
    return Walk(
        np.repeat([r.prompt for r in rollouts], steps),
        turn,
        left,
        np.repeat([r.outcome for r in rollouts], steps),
        np.array([s for r in rollouts for s in r.states[:-1]], np.int64),
        np.array(after, np.int64),
        None if rollouts[0].actions is None else np.array([a for r in rollouts for a in r.actions], np.int64),
    )


def same(ids, keys):
    """Equal ids exactly where the keys are equal."""
    assert len(set(ids.tolist())) == len(set(keys)) == len(set(zip(ids.tolist(), keys, strict=True)))


@given(rollouts())
def test_nodes_links_and_their_sums_are_those_of_the_plain_graph(rollouts):
    graph, plain = state_graph(walk(rollouts)), plain_graph(rollouts)
    steps = [link for walked in plain.steps for link in walked]
    same(np.append(graph.u, graph.t), [u for u, _, _ in steps] + [t for _, _, t in steps])
    same(graph.link, steps)
    same(graph.link_action[graph.link], [action_of(link) for link in steps])
    number = {name: i for u, t, (a, _, b) in zip(graph.u, graph.t, steps, strict=True) for name, i in ((a, u), (b, t))}
    assert graph.size == len(plain.nodes) == len(number)
    for name, x in plain.nodes.items():
        i = number[name]
        assert (graph.level[i], graph.n[i], graph.won[i], graph.group[i]) == (x.level, x.n, x.won, x.prompt)
        assert (graph.ends[i], graph.ends_won[i]) == (x.ends, x.ends_won)
        assert (graph.starts[i], graph.starts_won[i]) == (x.starts, x.starts_won)
    for link, i in zip(steps, graph.link, strict=True):
        x = plain.links[link]
        assert (graph.link_n[i], graph.link_won[i]) == (x.n, x.won)
        assert (graph.link_u[i], graph.link_t[i]) == (number[link[0]], number[link[2]])


@given(rollouts())
def test_nodes_come_by_level_links_by_node_and_actions_in_runs(rollouts):
    graph = state_graph(walk(rollouts))
    assert (np.diff(graph.level) >= 0).all() and (np.diff(graph.link_u) >= 0).all()
    assert graph.link_action[0] == 0 and set(np.diff(graph.link_action).tolist()) <= {0, 1}
    assert len(set(zip(graph.link_action.tolist(), graph.link_u.tolist(), strict=True))) == graph.link_action[-1] + 1


@given(rollouts(), st.randoms(use_true_random=False))
def test_the_order_of_rollouts_says_nothing(rollouts, random):
    order = random.sample(range(len(rollouts)), len(rollouts))
    one, other = state_graph(walk(rollouts)), state_graph(walk([rollouts[i] for i in order]))
    ends = np.cumsum([len(r.states) - 1 for r in rollouts])
    rows = np.concatenate([np.arange(ends[i] - len(rollouts[i].states) + 1, ends[i]) for i in order])
    for ids, others in ((one.u, other.u), (one.t, other.t), (one.link, other.link)):
        same(ids[rows], others.tolist())


def made(*rollouts):
    return state_graph(walk([Rollout(0, 1.0, states, actions) for states, actions in rollouts]))


def test_rollouts_that_did_the_same_stay_together_where_states_never_repeat():
    graph = made(([0, 1, 2], [5, 6]), ([0, 3, 4], [5, 6]))
    assert graph.size == 3 and graph.u.tolist() == [0, 1, 0, 1] and graph.n.tolist() == [2, 2, 2]


def test_the_order_of_what_was_done_counts():
    assert made(([0, 1, 2], [5, 6]), ([0, 3, 4], [6, 5])).size == 5


def test_actions_that_always_lead_to_one_place_are_one_action():
    graph = made(
        ([0, 1, 9], [5, 0]), ([0, 1, 9], [6, 0]), ([0, 2, 9], [7, 0]), ([0, 1, 9], [7, 0]), ([0, 2, 9], [7, 0])
    )
    first = graph.link_action[graph.link[::2]]
    assert first[0] == first[1] and first[2] == first[3] == first[4] != first[0]
    assert graph.link[4] != graph.link[6]


def test_a_last_action_keeps_its_name_and_is_the_same_where_the_way_went_on():
    assert made(([0, 9], [5]), ([0, 9], [6])).link.tolist() == [0, 1]
    assert made(([0, 1], [5]), ([0, 1, 9], [5, 0])).link[:2].tolist() == [0, 0]


@pytest.mark.parametrize("turns", [40_000, 70_000])
def test_levels_of_very_long_rollouts_are_turns(turns):
    graph = made((list(range(turns + 1)), None))
    np.testing.assert_array_equal(graph.level, np.arange(turns + 1))
    np.testing.assert_array_equal(graph.t, np.arange(1, turns + 1))


def test_links_are_the_same_where_nodes_and_actions_do_not_fit_one_number():
    rng = np.random.default_rng(0)
    u, t, action = rng.integers(0, 9, 200), rng.integers(0, 9, 200), rng.integers(0, 4, 200)
    last = rng.random(200) < 0.1
    for small, wide in zip(_links(u, t, action, last, 9), _links(u, t, action, last, 2**31), strict=True):
        np.testing.assert_array_equal(small, wide)
