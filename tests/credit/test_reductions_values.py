"""Methods on values, log-ratios and tokens equal simpler ones at their settings, over random batches."""

import numpy as np
import pytest

from stepcredit.credit import assign
from stepcredit.data import Batch, Layout
from stepcredit.ops import on_last_token, returns, step_mean, step_sum, to_tokens
from stepcredit.testing import random_batch

SEEDS = range(24)


def same(a, b, atol=1e-9):
    np.testing.assert_allclose(a, b, atol=atol, rtol=0)


def batches(tree=None):
    """Random batches: ragged, with and without tokens, with shared steps unless said otherwise."""
    return (random_batch(seed, tree=tree) for seed in SEEDS)


def chained(seed):
    """A batch in which the value after a step is the value before the next one, and in the end the outcome."""
    batch = random_batch(seed, empty=False, tree=False)
    lay = batch.layout
    after = np.append(batch["value"][1:], 0.0)
    after[lay.last] = batch["outcome"]
    return batch.with_columns(next_value=after)


def rollout_sums(credit):
    return credit.batch.layout.total(credit.steps)


def first_values(batch):
    return batch["value"][batch.layout.paths.start[:-1]]


def one_segment(seed):
    rng = np.random.default_rng(seed)
    layout = Layout(rng.integers(0, 3, 6), np.arange(6), token_step=np.repeat(np.arange(6), rng.integers(1, 4, 6)))
    return Batch(layout, {"value": rng.normal(size=6), "outcome": rng.normal(size=6)})


@pytest.mark.parametrize("seed", SEEDS)
def test_one_segment_and_a_value_of_the_prompt_is_the_outcome_minus_that_value(seed):
    batch = one_segment(seed)
    same(assign(batch, "spo_chain").steps, batch["outcome"] - batch["value"])


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("method", "options"), [("vineppo", {}), ("pav@progress", {"prover": "best-of-k", "k": 1})])
def test_credits_sum_to_the_outcome_minus_the_first_value(method, options, seed):
    batch = chained(seed)
    same(rollout_sums(assign(batch, method, **options)), batch["outcome"] - first_values(batch))


@pytest.mark.parametrize("seed", SEEDS)
def test_progress_of_the_best_of_k_sums_to_its_last_value_minus_its_first(seed):
    batch = chained(seed)
    best = assign(batch, "pav@progress", prover="best-of-k", k=3)
    same(rollout_sums(best), (1 - first_values(batch)) ** 3 - (1 - batch["outcome"]) ** 3)


@pytest.mark.parametrize("seed", SEEDS)
def test_measured_segments_are_the_surprises_of_gae_at_lambda_0(seed):
    batch = random_batch(seed, empty=False, tree=False)
    at_end = {"reward": "outcome", "lam": 0.0, "gamma": 1.0}
    same(assign(batch, "vineppo").steps, assign(batch, "gae", **at_end).steps)


def test_one_token_a_macro_action_is_gae_per_token():
    for batch in batches(tree=False):
        lay = Layout(batch.layout.group, batch.layout.rollout, token_step=np.arange(batch.layout.S))
        reward, value = np.random.default_rng(lay.S).normal(size=(2, lay.S))
        tokens = Batch(lay, {"token_reward": reward, "token_value": value})
        for pooling in ("mean", "last", "position"):
            for name in ("ma_rlhf", "ma_rlhf@official"):
                macro = assign(tokens, name, pooling=pooling, gamma=0.9, lam=0.8)
                same(macro.tokens, assign(tokens, "gae_token", gamma=0.9, lam=0.8).values)


def test_one_macro_action_is_a_bandit():
    for batch in batches(tree=False):
        lay = batch.layout
        whole = Layout(lay.group, np.arange(lay.R), token_step=lay.rollout)
        reward, value = np.random.default_rng(lay.S).normal(size=(2, lay.S))
        tokens = Batch(whole, {"token_reward": reward, "token_value": value})
        mean = np.nan_to_num(step_mean(whole, value))
        same(assign(tokens, "ma_rlhf").values, step_sum(whole, reward) - mean)
        same(assign(tokens, "ma_rlhf@official").values, np.nan_to_num(step_mean(whole, reward)) - mean)


@pytest.mark.parametrize("prior", [1e9, np.nan])
def test_a_prior_far_away_or_missing_leaves_the_mean_of_the_prompt(prior):
    for batch in batches():
        far = batch.with_columns(prior_value=np.full(batch.layout.G, prior))
        same(assign(far, "v05").values, assign(batch, "dr_grpo").values, atol=1e-6)


def test_a_prior_equal_to_the_mean_is_the_mean():
    for batch in batches():
        lay = batch.layout
        n = np.bincount(lay.group, minlength=lay.G)
        mean = np.bincount(lay.group, weights=batch["outcome"], minlength=lay.G) / np.maximum(n, 1)
        same(assign(batch.with_columns(prior_value=mean), "v05").values, assign(batch, "dr_grpo").values)


def test_without_a_penalty_for_departure_prl_is_grpo():
    for batch in batches():
        same(assign(batch, "prl", eta=np.inf).values, assign(batch, "grpo@verl").tokens)


def test_hicra_at_alpha_0_is_dr_grpo():
    for batch in batches():
        same(assign(batch, "hicra", alpha=0.0).values, assign(batch, "dr_grpo").tokens)


@pytest.mark.parametrize(
    ("verl", "grpo", "options"),
    [("verl_effective_rank", "grpo", {"eps": 1e-6}), ("verl_effective_rank@official", "grpo@verl", {})],
)
def test_without_a_bonus_verl_is_grpo(verl, grpo, options):
    for batch in batches():
        same(assign(batch, verl, weight=0.0).values, assign(batch, grpo, **options).tokens)


def test_verl_never_takes_away_nor_turns_a_sign_nor_adds_more_than_half():
    for batch in batches(tree=False):
        plain = assign(batch, "verl_effective_rank", weight=0.0).values
        bonus = assign(batch, "verl_effective_rank", weight=9.0).values - plain
        assert np.all((bonus >= 0) | np.isnan(plain)) and np.all((bonus <= np.abs(plain) / 2 + 1e-12) | np.isnan(plain))


@pytest.mark.parametrize("gamma", [1.0, 0.9])
def test_gae_at_lambda_1_without_values_is_the_return(gamma):
    for batch in batches():
        plain = batch.with_columns(value=np.zeros(batch.layout.S))
        made = assign(plain, "gae", reward="reward", lam=1.0, gamma=gamma)
        same(made.values, returns(batch.layout, batch["reward"], gamma))


@pytest.mark.parametrize("seed", SEEDS)
def test_vl_dac_of_rollouts_that_end_is_gae_over_the_spread_of_the_batch(seed):
    batch = random_batch(seed, tree=False)
    whole = batch.with_columns(truncated=np.zeros(batch.layout.R, np.int8))
    plain = assign(whole, "gae", reward="reward", gamma=0.99).values
    made = assign(whole, "vl_dac", reward="reward").values
    for b in range(int(batch.layout.batches.max(initial=0)) + 1):
        mine = batch.layout.batches[batch.layout.rollout] == b
        if mine.sum() > 1 and np.ptp(plain[mine]) > 1e-9:
            same(made[mine], (plain[mine] - plain[mine].mean()) / (plain[mine].std(ddof=1) + 1e-8))


def test_oprl_without_step_rewards_is_rloo():
    for baseline in ("steps", "first"):
        for batch in batches():
            made = assign(batch, "oprl", step_weight=0.0, lone="zero", baseline=baseline)
            same(made.values, assign(batch, "rloo").values)


def test_oprl_of_a_prompt_of_one_step_rollouts_compares_steps_like_outcomes():
    for seed in SEEDS:
        batch = one_segment(seed)
        steps = batch.with_columns(logratio=batch["outcome"])
        made = assign(steps, "oprl", beta=1.0, step_weight=1.0, lone="zero")
        same(made.values, 2 * assign(batch, "rloo").values)


def test_vsrm_of_accuracies_that_do_not_move_is_the_outcome():
    for batch in batches():
        still = batch.with_columns(next_value=batch["value"])
        same(assign(still, "vsrm").values, batch.layout.merge(batch["outcome"][batch.layout.paths.rollout]))


@pytest.mark.parametrize("seed", SEEDS)
def test_vsrm_that_may_not_look_ahead_sums_to_the_gain_in_accuracy_and_the_outcome(seed):
    batch = chained(seed)
    first = assign(batch, "vsrm", window=0, outcome_weight=0.5).values[batch.layout.paths.start[:-1]]
    same(first, batch["outcome"] - first_values(batch) + 0.5 * batch["outcome"])


def test_spa_rl_without_a_critic_is_the_return_of_its_contributions():
    for batch in batches():
        bare = Batch(batch.layout, {"contribution": batch["contribution"]})
        made = assign(bare, "spa_rl", alpha=2.0)
        if (batch.layout.step_tokens > 0).all():
            same(made.values, to_tokens(batch.layout, returns(batch.layout, 2.0 * batch["contribution"])))


@pytest.mark.parametrize("seed", SEEDS)
def test_spa_rl_with_a_critic_is_gae_per_token_on_its_step_rewards(seed):
    batch = random_batch(seed, tree=False)
    reward = batch["contribution"] + 0.5 * batch["grounded"]
    tokens = batch.with_columns(token_reward=on_last_token(batch.layout, reward))
    same(assign(batch, "spa_rl").values, assign(tokens, "gae_token").values)


@pytest.mark.parametrize("seed", SEEDS)
def test_spa_rls_released_data_are_rloo_and_the_bonus(seed):
    batch = random_batch(seed, empty=False, tree=False)
    lay = batch.layout
    lone = np.bincount(lay.group)[lay.group[lay.rollout]] == 1
    want = np.where(lone, batch["outcome"][lay.rollout], assign(batch, "rloo").values) + 0.5 * batch["grounded"]
    bare = Batch(lay, {n: batch[n] for n in ("contribution", "grounded", "outcome")})
    same(assign(bare, "spa_rl@released-data", gamma=0.0).values, on_last_token(lay, want) + 0 * to_tokens(lay, want))
