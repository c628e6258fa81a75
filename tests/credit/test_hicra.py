"""HICRA at its edges: nothing planned, entropies missing, alpha that would praise failure."""

import numpy as np
import pytest

from stepcredit.credit import on_columns
from stepcredit.errors import MissingColumn, StepCreditError

GIVEN = {"rollout": [0, 1], "outcome": [1, 0], "token_step": [0, 0, 0, 1], "token_plan": [0, 0, 0, 0]}


def test_without_a_strategic_phrase_it_is_dr_grpo():
    np.testing.assert_array_equal(on_columns("hicra", GIVEN), [0.5, 0.5, 0.5, -0.5])


def test_the_released_variant_raises_uncertain_tokens_of_long_correct_rollouts_only():
    high = {**GIVEN, "token_entropy": [0.1, 0.2, 0.9, 0.9]}
    np.testing.assert_allclose(on_columns("hicra", high, entropy_top=0.5), [0.5, 0.5, 0.6, -0.5])
    failed = {**high, "outcome": [0, 1]}
    np.testing.assert_array_equal(on_columns("hicra", failed, entropy_top=0.5), [-0.5, -0.5, -0.5, 0.5])


def test_a_rollout_of_the_mean_length_is_not_longer():
    equal = {**GIVEN, "token_step": [0, 0, 0, 1, 1, 1], "token_plan": [0] * 6, "token_entropy": [0.1, 0.2, 0.9] * 2}
    np.testing.assert_array_equal(on_columns("hicra", equal, entropy_top=0.5), [0.5] * 3 + [-0.5] * 3)


def test_entropies_are_asked_for_by_name():
    with pytest.raises(MissingColumn, match="token_entropy"):
        on_columns("hicra@released", GIVEN)


def test_alpha_above_1_is_refused():
    with pytest.raises(StepCreditError, match="failures would be praised"):
        on_columns("hicra", GIVEN, alpha=1.5)
