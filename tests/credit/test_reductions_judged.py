"""Methods that join an outcome with judged or scored steps equal simpler ones where one of the two says nothing."""

import numpy as np
import pytest

from stepcredit.credit import get
from stepcredit.credit.methods.blend import blend
from stepcredit.credit.methods.capo import capo
from stepcredit.credit.methods.gae import gae
from stepcredit.credit.methods.grpo import grpo
from stepcredit.credit.methods.opagent import opagent
from stepcredit.credit.methods.p2s import p2s
from stepcredit.credit.methods.ppr import ppr
from stepcredit.credit.methods.prorag import prorag
from stepcredit.credit.methods.pure import pure
from stepcredit.credit.methods.reinforce_plus_plus_baseline import reinforce_plus_plus_baseline
from stepcredit.credit.methods.spae import spae
from stepcredit.credit.methods.tp_grpo import tp_grpo
from stepcredit.data.layout import Layout
from stepcredit.ops import rollout_mean, step_mean
from stepcredit.testing import random_batch

SEEDS = pytest.mark.parametrize("seed", range(30))


def drawn(seed, *, tree=None, outcome=None, unknown=True):
    """A random batch with two-valued outcomes, some of them unknown, and scores some of which are missing."""
    batch = random_batch(seed, tree=tree)
    rng = np.random.default_rng(seed)
    verdict = rng.choice([1.0, 0.0] if outcome is None else outcome, batch.layout.R)
    if unknown:
        verdict[rng.random(verdict.size) < 0.15] = np.nan
    return batch, verdict, rng


def same(got, want, atol=1e-12):
    np.testing.assert_allclose(got, want, atol=atol, rtol=0)


@SEEDS
@pytest.mark.parametrize("baseline", ["token", "step", "none"])
def test_pure_at_infinite_temperature_is_the_mean_form(seed, baseline):
    batch, outcome, _ = drawn(seed, tree=False)
    lay, score = batch.layout, batch["score"]
    mean = score / lay.steps[lay.rollout]
    got = pure(lay, score, outcome, temperature=float("inf"), baseline=baseline)
    same(got, pure(lay, mean, outcome, form="sum", baseline=baseline))


@SEEDS
def test_pure_on_single_steps_is_the_score_and_the_leave_one_out_outcome(seed):
    batch, outcome, _ = drawn(seed, tree=False)
    single = np.flatnonzero(batch.layout.steps == 1)
    if single.size == 0:
        return
    lay, outcome, score = (one := batch.take(single)).layout, outcome[single], one["score"]
    same(pure(lay, score, baseline="none"), score)
    rloo = grpo(lay, outcome, location="others", spread="none")
    same(pure(lay, score, outcome, baseline="none"), score + np.nan_to_num(rloo))


@SEEDS
@pytest.mark.parametrize("vote", ["intersection", "majority", "strict", "union", "average"])
def test_capo_without_wrong_steps_is_grpo_over_tokens(seed, vote):
    batch, outcome, _ = drawn(seed, tree=False)
    lay = batch.layout
    got = capo(lay, outcome, np.abs(batch["votes"]), vote=vote, eps=0.0)
    tokens = np.nan_to_num(lay.total(lay.step_tokens.astype(float)))
    same(got, grpo(lay, outcome, tokens, spread="population", eps=0.0))


@SEEDS
def test_capo_keeps_right_answers_above_wrong_ones_if_the_whole_weighs_more(seed):
    batch, outcome, _ = drawn(seed, tree=False, unknown=False)
    lay = batch.layout
    credit = capo(lay, outcome, batch["votes"], vote="union", spread="none")
    for g in range(lay.G):
        mine = lay.step_group == g
        good, bad = credit[mine & (outcome[lay.rollout] == 1)], credit[mine & (outcome[lay.rollout] == 0)]
        assert good.min(initial=np.inf) > bad.max(initial=-np.inf) - 1e-12 or not (good.size and bad.size)


@SEEDS
def test_tp_grpo_is_grpo_where_every_step_is_what_the_answer_is(seed):
    batch, outcome, _ = drawn(seed, tree=False)
    lay = batch.layout
    label = np.where(outcome[lay.rollout] > 0, 1.0, -1.0)
    same(tp_grpo(lay, outcome, label), grpo(lay, outcome))


@SEEDS
def test_tp_grpo_keeps_the_target_of_what_the_answer_rests_on(seed):
    """The paper's two propositions, for any pattern of verdicts."""
    batch, outcome, _ = drawn(seed, tree=False)
    lay, alpha = batch.layout, 0.7
    z = grpo(lay, outcome)
    solved = (outcome > 0)[lay.rollout]
    wrong = (batch["label"] < 0) & (lay.paths.left > 0)
    unused = (batch["label"] >= 0) & (lay.paths.left > 0)
    known = ~np.isnan(outcome)
    share = np.bincount(lay.group, weights=known & (outcome > 0)) / np.maximum(np.bincount(lay.group, weights=known), 1)
    want = np.where(solved & wrong, z - alpha * share[lay.step_group], np.where(~solved & unused, 0.0, z))
    same(tp_grpo(lay, outcome, batch["label"], alpha=alpha), np.where(np.isnan(z), np.nan, want))


@SEEDS
def test_prorag_without_its_step_term_is_grpo(seed):
    batch, outcome, _ = drawn(seed)
    same(prorag(batch.layout, outcome, batch["score"], beta=0.0), grpo(batch.layout, outcome, eps=1e-4))
    same(prorag(batch.layout, outcome, np.full(batch.layout.S, 0.3)), grpo(batch.layout, outcome, eps=1e-4))


@SEEDS
def test_prorag_counts_steps_where_each_is_one_token(seed):
    batch, outcome, _ = drawn(seed)
    plain = batch.layout.with_tokens(None)
    got = prorag(batch.layout, outcome, batch["score"], population="steps")
    same(got, prorag(plain, outcome, batch["score"]))


@SEEDS
def test_ppr_with_scores_at_the_baseline_gives_the_outcome_at_every_turn(seed):
    batch, outcome, _ = drawn(seed, tree=False)
    lay = batch.layout
    got = ppr(lay, outcome, np.full(lay.S, 0.4), baseline=0.4)
    same(got, outcome[lay.rollout] * (lay.paths.left + 1))


@SEEDS
def test_ppr_with_a_critic_is_gae_on_its_rewards(seed):
    batch, outcome, _ = drawn(seed, tree=False)
    lay = batch.layout
    own = outcome[lay.rollout]
    reward = np.where(lay.paths.left == 0, own, batch["score"] + own - 1.0)
    got = ppr(lay, outcome, batch["score"], batch["value"], gamma=0.9, lam=0.8)
    same(got, gae(lay, reward, batch["value"], gamma=0.9, lam=0.8))


@SEEDS
def test_ppr_has_the_sign_of_the_outcome(seed):
    batch, outcome, _ = drawn(seed, unknown=False, tree=False)
    lay = batch.layout
    credit, own = ppr(lay, outcome, batch["score"]), outcome[lay.rollout]
    assert (credit[own == 1] >= 0).all() and (credit[own == 0] <= 0).all()


@SEEDS
def test_opagent_without_penalties_is_grpo_over_step_rows(seed):
    batch, outcome, _ = drawn(seed, tree=False)
    lay = batch.layout
    got = opagent(lay, outcome, np.zeros(lay.S))
    same(got, grpo(lay, outcome, lay.steps.astype(float), eps=1e-6))


@SEEDS
def test_opagent_does_not_see_how_large_penalties_are(seed):
    batch, outcome, _ = drawn(seed)
    penalty = -batch["score"]
    small = opagent(batch.layout, outcome, 1e-3 * penalty, scale_eps=0.0) if (penalty != 0).all() else None
    if small is not None:
        same(small, opagent(batch.layout, outcome, penalty, scale_eps=0.0), atol=1e-9)


@SEEDS
def test_spae_without_shaping_and_fading_is_the_outcome_minus_the_mean(seed):
    batch, outcome, _ = drawn(seed)
    lay, probes = batch.layout, (batch["answer_prob"], batch["confidence"])
    same(spae(lay, outcome, *probes, xi=0.0, alpha=0.0, whiten=False), grpo(lay, outcome, spread="none"))
    whitened = spae(lay, outcome, *probes, xi=0.0, alpha=0.0, spread="sample", eps=0.0)
    tokens = step_mean(lay, reinforce_plus_plus_baseline(lay, outcome))
    there = ~np.isnan(tokens)
    same(whitened[there], tokens[there], atol=1e-6)


@SEEDS
def test_spae_without_probes_is_the_outcome_minus_the_mean(seed):
    batch, outcome, _ = drawn(seed)
    nothing = np.full(batch.layout.S, np.nan)
    got = spae(batch.layout, outcome, nothing, batch["confidence"], whiten=False)
    same(got, grpo(batch.layout, outcome, spread="none"))


@SEEDS
def test_blend_of_no_weight_or_of_equal_scores_is_grpo(seed):
    batch, outcome, _ = drawn(seed)
    lay = batch.layout
    same(blend(lay, outcome, batch["score"], weight=0.0, unscored="zero"), grpo(lay, outcome))
    some = lay.steps > 0  # a rollout without steps has no mean of scores, but its outcome counts in GRPO
    known = np.where(some, outcome, np.nan)
    ones = np.ones(lay.S)
    same(blend(lay, known, ones), grpo(lay, known), atol=1e-9)
    same(blend(lay, known, ones, form="product"), grpo(lay, known))
    same(blend(lay, known, batch["score"], form="replace"), grpo(lay, rollout_mean(lay, batch["score"]) + 0 * known))


@SEEDS
def test_blend_gated_is_scaled_for_outcomes_0_and_1(seed):
    batch, outcome, _ = drawn(seed)
    both = [blend(batch.layout, outcome, batch["score"], weight=0.5, form=form) for form in ("scale", "gated")]
    same(*both)


@SEEDS
def test_blends_below_1_keep_successes_above_failures(seed):
    batch, outcome, _ = drawn(seed, tree=False, unknown=False)
    lay, name = batch.layout, get("swe_trace")
    credit = name.function(lay, outcome, batch["score"], **name.check_options({}))
    for g in range(lay.G):
        mine = lay.step_group == g
        good, bad = credit[mine & (outcome[lay.rollout] == 1)], credit[mine & (outcome[lay.rollout] == 0)]
        assert good.min(initial=np.inf) > bad.max(initial=-np.inf) or not (good.size and bad.size)


@SEEDS
def test_p2s_is_grpo_where_someone_is_right(seed):
    batch, outcome, _ = drawn(seed)
    lay = batch.layout
    right = np.bincount(lay.group, weights=outcome == 1, minlength=lay.G) > 0
    there = right[lay.step_group]
    same(p2s(lay, outcome, batch["gain"])[there], grpo(lay, outcome)[there])


@SEEDS
def test_p2s_of_no_slope_is_grpo_on_the_mean_gain_where_nobody_is_right(seed):
    batch, _, _ = drawn(seed)
    lay = batch.layout
    got = p2s(lay, np.zeros(lay.R), batch["gain"], slope=0.0)
    same(got, grpo(lay, rollout_mean(lay, batch["gain"])), atol=1e-9)


@SEEDS
@pytest.mark.parametrize("name", ["tp_grpo", "tp_grpo-steps", "ppr", "ppr-critic", "blend", "p2s"])
def test_a_shared_step_has_the_mean_of_what_it_gets_in_each_rollout(seed, name):
    batch, outcome, _ = drawn(seed, tree=True)
    lay, rows = batch.layout, batch.layout.paths.rows
    alone = Layout(lay.group, lay.paths.rollout)

    def credit(layout, pick):
        score, label, value, gain = (batch[c][pick] for c in ("score", "label", "value", "gain"))
        return {
            "tp_grpo": lambda: tp_grpo(layout, outcome, label),
            "tp_grpo-steps": lambda: tp_grpo(layout, outcome, label, unit="step"),
            "ppr": lambda: ppr(layout, outcome, score, gamma=0.9),
            "ppr-critic": lambda: ppr(layout, outcome, score, value, lam=0.8),
            "blend": lambda: blend(layout, outcome, score),
            "p2s": lambda: p2s(layout, outcome, gain, batch["well_formed"]),
        }[name]()

    same(credit(lay, np.arange(lay.S)), lay.merge(credit(alone, rows)))


@pytest.mark.parametrize(
    ("system", "method"),
    [
        ("search_r2", "blend"),
        ("doccogito", "blend"),
        ("visual_step_rewards", "blend"),
        ("swe_trace", "blend"),
        ("capo", "capo"),
        ("tp_grpo", "tp_grpo"),
        ("ppr", "ppr"),
        ("prorag", "prorag"),
        ("opagent", "opagent"),
        ("spae", "spae"),
        ("p2s", "p2s"),
    ],
)
def test_systems_are_found_by_name(system, method):
    assert get(system).base == method


def test_search_r2_takes_what_a_judge_says_of_the_passages():
    assert get("search_r2").needs == ("outcome", "useful")
