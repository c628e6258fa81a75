"""What a method is at a setting where it must be another one: equal credit on random batches, trees included."""

from dataclasses import replace

import numpy as np
import pytest

from stepcredit.credit import get
from stepcredit.data.batch import Batch
from stepcredit.data.layout import Layout
from stepcredit.testing import random_batch, run

SEEDS = range(60)


def credit(name, batch, **options):
    return run(get(name).given(options), batch)["credit"]


def same(batch, left, right, rtol=1e-9, atol=1e-9):
    """The two methods agree, and on some step they say something."""
    a, b = credit(left[0], batch, **left[1]), credit(right[0], batch, **right[1])
    np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)
    return bool(np.any(a != 0))


def holds(pairs):
    """Equal on every batch; not all of them trivially 0."""
    telling = [same(*pair) for pair in pairs]
    assert any(telling)


def given(batch, **columns):
    """The batch with other columns; outcomes that other rewards would contradict leave it."""
    kept = {n: v for n, v in batch.columns.items() if not (n == "outcome" and "reward" in columns)}
    return replace(batch, columns={**kept, **columns})


def one_step(seed):
    """Rollouts of exactly one step; their outcome is its reward."""
    rng = np.random.default_rng(seed)
    group = rng.integers(0, 3, 8)
    reward = rng.integers(0, 5, 8) / 4
    columns = {
        "reward": reward,
        "outcome": reward,
        "gain": rng.normal(size=8),
        "label": np.where(reward > 0.5, 1.0, -1),
    }
    return Batch(Layout(group, np.arange(8)), {**columns, "state": group, "score": rng.integers(0, 5, 8) / 4})


def test_gigpo_whose_states_never_repeat_is_its_episode_term():
    for over in ("rollouts", "steps"):
        batches = (random_batch(seed) for seed in SEEDS)
        unique = [given(b, state=np.arange(b.layout.S)) for b in batches]
        holds([(b, ("gigpo", {"population": over}), ("gigpo", {"population": over, "omega": 0.0})) for b in unique])
    holds([(b, ("gigpo", {}), ("grpo", {"eps": 1e-6})) for b in unique if b.layout.steps.all()])


def test_hgpo_of_one_level_is_the_state_term_of_gigpo():
    # An item's weight over itself + eps is not quite 1.
    pairs = [
        (random_batch(seed), ("hgpo", {"history": 0, "spread": s}), ("gigpo", {"episode_weight": 0.0, "spread": s}))
        for seed in SEEDS
        for s in ("population", "none")
    ]
    holds([(*pair, 2e-6) for pair in pairs])


def test_a_state_term_of_the_step_index_is_the_comparison_of_vpr():
    batches = [random_batch(seed) for seed in SEEDS]
    holds([(given(b, state=b.layout.turn), ("gigpo@vpr-states", {}), ("vpr", {})) for b in batches])


def test_ui_s1_without_cut_is_gated_by_matches_everywhere():
    batches = [random_batch(seed) for seed in SEEDS]
    holds([(given(b, match=np.ones(b.layout.S, np.int64)), ("ui_s1", {}), ("ui_s1", {"cut": False})) for b in batches])


def test_vpr_is_ui_s1_without_later_rewards():
    options = {"gamma": 0.0, "episode_weight": 0.0, "spread": "population", "eps": 1e-8}
    holds([(random_batch(seed), ("ui_s1", options), ("vpr", {})) for seed in SEEDS])


def test_f_grpo_on_condition_of_an_earlier_reward_is_f_grpo_where_all_earned():
    batches = [random_batch(seed) for seed in SEEDS]
    paid = [given(b, reward=np.where(b.layout.turn == 0, b["reward"] + 0.25, b["reward"])) for b in batches]
    two = [b for b in paid if b.layout.turn.max(initial=0) < 2]
    holds([(b, ("f_grpo", {"conditional": True}), ("f_grpo", {})) for b in two])


def test_matchtir_of_one_turn_is_grpo():
    holds(
        [(one_step(seed), ("matchtir", options), ("grpo@verl", {})) for seed in SEEDS for options in ({}, {"gamma": 0})]
    )


def test_matchtir_is_the_mean_of_its_two_terms():
    for seed in SEEDS:
        batch = random_batch(seed)
        rollout = credit("grpo@verl", batch)
        turn = credit("matchtir", batch, episode_weight=0.0, step_weight=1.0)
        if batch.layout.steps.all():  # a rollout without steps counts by its outcome in GRPO alone
            np.testing.assert_allclose(credit("matchtir", batch), (rollout + turn) / 2, atol=1e-9)


def test_step_grpo_of_one_step_is_grpo():
    options = [{}, {"gamma": 1.0}, {"compare": "best"}]
    holds([(one_step(seed), ("step_grpo", o), ("grpo@verl", {})) for seed in SEEDS for o in options])


def test_the_cumulative_form_is_the_sum_ahead_of_the_plain_one():
    for seed in SEEDS:
        batch = random_batch(seed, tree=False)
        ahead = credit("step_grpo@cumulative", batch)
        total = batch.layout.total(credit("step_grpo", batch))
        first = batch.layout.turn == 0
        np.testing.assert_allclose(ahead[first], total[batch.layout.rollout[first]], atol=1e-9)


def test_siop_is_step_grpo_on_rewards_that_it_makes():
    for seed in SEEDS:
        batch = random_batch(seed, tree=False)
        lay, share = batch.layout, batch["answer_share"][batch.layout.rollout]
        end = lay.paths.left == 0
        reward = np.where(lay.steps[lay.rollout] > 1, share * batch["gain"], 0.0) + np.where(end, 0.7 * share, 0.0)
        for gamma in (0.0, 0.9, 1.0):
            pooled = credit("step_grpo", given(batch, reward=reward), gamma=gamma, lone="zero")
            np.testing.assert_allclose(credit("siop", batch, lam=0.3, gamma=gamma), pooled, atol=1e-9)


@pytest.mark.parametrize("normalize", ["joint", "separate"])
def test_igpo_and_a2tgpo_without_gains_are_their_outcome_term(normalize):
    batches = [random_batch(seed) for seed in SEEDS]
    none = [given(b, gain=np.full(b.layout.S, np.nan)) for b in batches]
    grpo = ("grpo", {"eps": 1e-6, "spread": "population"})
    holds([(b, ("igpo", {"normalize": normalize, "gamma": 0.5}), grpo) for b in none])
    holds([(b, ("a2tgpo", {}), grpo) for b in none])


def test_a2tgpo_whose_gains_weigh_nothing_or_are_equal_is_its_outcome_term():
    grpo = ("grpo", {"eps": 1e-6, "spread": "population"})
    holds([(random_batch(seed), ("a2tgpo", {"alpha": 0.0}), grpo) for seed in SEEDS])
    batches = [random_batch(seed) for seed in SEEDS]
    holds([(given(b, gain=np.zeros(b.layout.S)), ("a2tgpo", {}), grpo) for b in batches])


def test_igpo_in_separate_pools_without_discount_of_the_end_is_a_sum_of_two_terms():
    for seed in SEEDS:
        batch = random_batch(seed, tree=False)
        last = batch.layout.paths.left == 0
        gains = given(batch, reward=np.where(last, np.nan, batch["gain"]))
        pooled = np.where(last, 0.0, credit("step_grpo", gains, spread="population", lone="zero"))
        ahead = batch.layout.total(pooled)
        outcome = credit("grpo", batch, eps=1e-6, spread="population")
        first = batch.layout.turn == 0
        want = ahead[batch.layout.rollout[first]] + outcome[first]
        np.testing.assert_allclose(credit("igpo@official", batch)[first], want, atol=1e-9)


def test_srgpo_of_whole_prompts_is_gigpo_in_one_state_scored_at_once():
    for seed in SEEDS:
        batch = random_batch(seed)
        pooled = credit("step_grpo", given(batch, reward=batch["score"]), lone="zero")
        episode = credit("gigpo@verl-agent", batch, omega=0.0)
        got = credit("srgpo", batch, size=0, over="group", omega=0.25)
        np.testing.assert_allclose(got, episode + 0.25 * pooled, atol=1e-9)


def test_srgpo_without_its_step_term_is_the_episode_term_of_gigpo():
    holds([(random_batch(seed), ("srgpo", {"omega": 0.0}), ("gigpo@verl-agent", {"omega": 0.0})) for seed in SEEDS])


def test_scrl_of_one_subproblem_is_grpo_on_solved_or_not():
    for seed in SEEDS:
        batch = one_step(seed)
        solved = given(batch, outcome=(batch["label"] == 1).astype(float))
        np.testing.assert_allclose(credit("scrl", batch), credit("grpo", solved, eps=1e-6), atol=1e-9)


def test_scrl_of_answers_that_are_all_reached_is_the_comparison_of_vpr():
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        layout = Layout(np.repeat([0, 1], 4), np.repeat(np.arange(8), 3))
        solved = (rng.integers(0, 4, 8)[:, None] > np.arange(3)).astype(float).ravel()
        batch = Batch(layout, {"label": solved, "reward": solved})
        np.testing.assert_allclose(credit("scrl@population", batch, eps=1e-8), credit("vpr", batch), atol=1e-9)


def test_gui_libra_that_scales_no_miss_is_the_comparison_in_a_state():
    holds([(random_batch(seed), ("gui_libra", {"offset": 1.0, "slope": 0.0}), ("hi_agent", {})) for seed in SEEDS])


def test_kat_step_srpo_is_two_grpos():
    for seed in SEEDS:
        batch = random_batch(seed, tree=False, empty=False)
        first = batch.layout.turn == 0
        answer = credit("grpo", batch, eps=1e-6)
        np.testing.assert_allclose(credit("kat_step_srpo", batch)[~first], answer[~first], atol=1e-9)
        start = batch.layout.paths.start[:-1]
        judged = credit("grpo", given(batch, outcome=batch["score"][start]), eps=1e-6)
        got = credit("kat_step_srpo", batch, lam=0.5)[first]
        np.testing.assert_allclose(got, (judged + 0.5 * answer)[first], atol=1e-9)


def test_step_grpo_a_where_each_state_is_a_prompt_is_grpo():
    holds([(one_step(seed), ("step_grpo_a", {}), ("grpo", {"eps": 1e-6})) for seed in SEEDS])


def test_slea_rl_is_gigpo_of_its_framework_by_means():
    holds([(random_batch(seed), ("slea_rl", {}), ("gigpo@verl-agent-mean", {})) for seed in SEEDS])
