"""SPA-RL at its edges: no outcomes, no critic, no grounding."""

import numpy as np
import pytest

from stepcredit.credit import on_columns
from stepcredit.errors import MissingColumn

GIVEN = {"rollout": [0, 0], "contribution": [0.25, 0.75]}


def test_the_released_path_asks_for_outcomes():
    with pytest.raises(MissingColumn, match="'outcome'"):
        on_columns("spa_rl@released-data", GIVEN)


def test_the_released_path_does_not_read_the_contributions():
    given = {"rollout": [0, 0, 1], "outcome": [1, 1, 0], "contribution": [0.25, 0.5, 0.25]}
    other = {**given, "contribution": [9, -9, 9]}
    np.testing.assert_array_equal(on_columns("spa_rl@released", given), on_columns("spa_rl@released", other))


def test_rewards_stand_on_the_last_token_of_their_step():
    tokens = {**GIVEN, "token_step": [0, 0, 1], "token_value": [0, 0, 0]}
    np.testing.assert_array_equal(on_columns("spa_rl", tokens, lam=0.0), [0, 0.25, 0.75])
    np.testing.assert_array_equal(on_columns("spa_rl", tokens, lam=0.0, turns_left=True), [0, 0.25, 0])


def test_a_step_that_could_not_be_executed_earns_its_contribution_alone():
    made = on_columns("spa_rl", {**GIVEN, "grounded": [0, 1]}, gamma=0.0)
    np.testing.assert_array_equal(made, [0.25, 1.25])
