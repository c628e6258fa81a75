"""VERL's bonus: who gets it, and which mean stands in for the running one."""

import numpy as np

from stepcredit.credit import on_columns

SPREAD = {
    "rollout": [0, 1],
    "outcome": [1, 0],
    "effective_rank": [4, 2],
    "rank_velocity": [1, 1],
    "rank_acceleration": [1, 1],
}


def test_a_rollout_with_the_mean_outcome_gets_no_bonus():
    given = {**SPREAD, "outcome": [1, 1]}
    np.testing.assert_array_equal(on_columns("verl_effective_rank", given), [0, 0])


def test_missing_running_means_are_the_batchs():
    kept = {"ema_rank": 3.0, "ema_velocity": 1.0, "ema_acceleration": 1.0}
    np.testing.assert_array_equal(
        on_columns("verl_effective_rank", SPREAD, **kept), on_columns("verl_effective_rank", SPREAD)
    )


def test_the_official_bonus_stands_on_the_last_token():
    tokens = {**SPREAD, "token_step": [0, 0, 1]}
    bonus = on_columns("verl_effective_rank@official", tokens) - on_columns("grpo@verl", tokens)[[0, 0, 1]]
    assert bonus[0] == 0 < bonus[1]
    assert (on_columns("verl_effective_rank", tokens, lone="raw") - on_columns("grpo@verl", tokens)[[0, 0, 1]])[0] > 0
