"""Worked examples of the papers' specifications, primitive by primitive."""

import numpy as np

from stepcredit.data.layout import Layout
from stepcredit.ops import cells, center, returns, scan, softmin_weight, state_cells, turn_cells, windows

# Rollouts a: s0 s1 s2, b: s0 s1, c: s0 s3; a and c are rewarded at the end.
AGENTS = Layout(np.zeros(3, int), np.array([0, 0, 0, 1, 1, 2, 2]))
STATES = np.array([0, 1, 2, 0, 1, 0, 3])
REWARD = np.array([0, 0, 10, 0, 0, 0, 10.0])


def near(got, want, atol=1e-4):
    np.testing.assert_allclose(got, want, atol=atol)


def test_gigpo_returns_groups_and_both_terms():
    value = returns(AGENTS, REWARD, 0.95)
    near(value, [9.025, 9.5, 10, 0, 0, 9.5, 10], atol=1e-12)
    place = state_cells(AGENTS, STATES)
    assert place[0] == place[3] == place[5] and place[1] == place[4] and np.unique(place).size == 4
    near(center(value, place), [0.5324, 0.7071, 0, -1.1536, -0.7071, 0.6211, 0])
    total = AGENTS.total(REWARD)
    near(center(total, AGENTS.group, weight=AGENTS.steps), [0.5855, -1.4638, 0.5855])
    near(center(total, AGENTS.group), [0.5774, -1.1547, 0.5774])


def test_gigpo_second_fixture_visits_a_state_twice():
    layout = Layout(np.zeros(3, int), np.repeat([0, 1, 2], [4, 4, 3]))
    reward = np.array([0, 0, 0, 1, 0, 0.5, 0, 0, 0, 0, 1])
    near(returns(layout, reward, 0.9), [0.729, 0.81, 0.9, 1, 0.45, 0.5, 0, 0, 0.81, 0.9, 1], atol=1e-12)
    near(center(layout.total(reward), layout.group, weight=layout.steps), [0.7207, -1.2613, 0.7207])


def test_hgpo_cells_deepen_with_the_history():
    value = returns(AGENTS, REWARD, 0.95)
    near(center(value, windows(AGENTS, STATES, 1), spread="population"), [0.6521, 1, 0, -1.4128, -1, 0.7607, 0])
    deep = windows(AGENTS, STATES, 2)
    assert deep[1] == deep[4] and deep[1] != deep[6] and np.unique(deep).size == 4
    near(center(value, deep, spread="population")[[1, 4]], [1, -1])


def test_ui_s1_returns_stop_at_a_failed_step():
    layout = Layout(np.zeros(2, int), np.repeat([0, 1], 4))
    reward = np.array([1, 1, 0.55, 1, 1, 1, 1, 1])
    match = np.array([1, 1, 0, 1, 1, 1, 1, 1], bool)
    value = returns(layout, reward, 0.5, gate=match)
    near(value, [1.5, 1, 0.55, 1, 1.875, 1.75, 1.5, 1], atol=1e-12)
    near(center(value, turn_cells(layout)), [-0.7071, -0.7071, -0.7071, 0, 0.7071, 0.7071, 0.7071, 0])
    near(center(reward, layout.step_group)[:3], [0.3536, 0.3536, -2.4749])


def test_pure_weights_the_worst_step():
    layout = Layout(np.zeros(2, int), np.array([0, 0, 0, 1, 1]))
    score = np.array([0.8, -0.5, 0.6, 0.7, 0.9])
    weight = softmin_weight(layout, score, 0.1)
    near(weight, [2e-6, 0.99998, 2e-5, 0.8808, 0.1192], atol=1e-5)
    near(layout.total(weight * score), [-0.49998, 0.72384], atol=1e-5)


def test_a2tgpo_compares_the_same_turn_and_sums_ahead():
    layout = Layout(np.zeros(3, int), np.array([0, 0, 1, 1, 2]))
    z = center(np.array([0.3, 0.1, 0.1, -0.2, 0.2]), cells(layout.step_group, layout.turn), spread="population")
    near(z, [1.2247, 1, -1.2247, -1, 0])
    ahead = scan(z, 1.0, layout.paths.left) / np.sqrt(layout.paths.left + 1)
    near(ahead, [1.5731, 1, -1.5731, -1, 0])
    near(center(np.array([1.0, 0.0, 1.0]), spread="population"), [0.7071, -1.4142, 0.7071])
