"""Credit inside verl's `compute_advantage`: equal to verl's own estimators where a preset says so, and loud."""

import math

import numpy as np
import pytest
from verl_data import algorithm, load_verl, objects, proto, random_tensors

import stepcredit as sc


@pytest.fixture(scope="module")
def verl(torch):
    return load_verl()


@pytest.fixture
def core(verl):
    from verl.trainer.ppo import core_algos

    return core_algos


@pytest.fixture
def run(verl):
    """`compute_advantage` as the trainers of this verl find it."""
    from verl.trainer.ppo import ray_trainer

    def run(data, name, config=None, **kwargs):
        return ray_trainer.compute_advantage(data, adv_estimator=name, config=config, **kwargs)

    return run


def close(ours, theirs):
    assert np.allclose(ours.numpy(), theirs.numpy(), atol=1e-5, rtol=1e-5)


def theirs_of(core, name, given, config):
    rewards = given["token_level_rewards"].clone()  # some of verl's write into what they are given
    return core.get_adv_estimator_fn(name)(**{**given, "token_level_rewards": rewards}, config=config)[0]


PAIRS = [
    ("grpo@verl", "grpo", {}),
    ("grpo@verl", "grpo_vectorized", {}),
    ("grpo@rloo-verl-loop", "rloo", {}),
    ("rloo", "rloo_vectorized", {}),
    ("reinforce_plus_plus_baseline@verl", "reinforce_plus_plus_baseline", {}),
    ("reinforce_plus_plus", "reinforce_plus_plus", {}),
    ("reinforce_plus_plus", "reinforce_plus_plus", {"gamma": 0.9}),
]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("ours", "theirs", "options"), PAIRS)
@pytest.mark.parametrize("seat", ["estimator", "batch"])
def test_a_preset_is_what_verl_computes(torch, verl, core, run, seat, ours, theirs, options, seed):
    given = random_tensors(torch, seed, dense=theirs == "reinforce_plus_plus")
    given["index"][0] = "alone"  # one prompt with a lone rollout, one with fewer rollouts than the others
    config = algorithm(**options, stepcredit=options)
    expected = theirs_of(core, theirs, given, config)
    if seat == "estimator":
        got, _ = core.get_adv_estimator_fn(f"stepcredit.{ours}")(**given, config=config)
    else:
        got = run(proto(verl, torch, given), f"stepcredit.{ours}", config).batch["advantages"]
    close(got, expected)
    assert got.dtype == torch.float32
    assert (got[given["response_mask"] == 0] == 0).all()


def test_grpo_without_the_spread_is_verls(torch, verl, core, run):
    given = random_tensors(torch, 3)
    expected, _ = core.compute_grpo_outcome_advantage(
        given["token_level_rewards"].clone(), given["response_mask"], given["index"], norm_adv_by_std_in_grpo=False
    )
    config = algorithm(norm_adv_by_std_in_grpo=False, stepcredit={"spread": "none"})
    close(run(proto(verl, torch, given), "stepcredit.grpo@verl", config).batch["advantages"], expected)


@pytest.mark.parametrize("seed", range(5))
def test_gae_and_the_critics_target_are_verls(torch, verl, core, run, seed):
    given = random_tensors(torch, seed, dense=True)
    values = torch.rand(given["response_mask"].shape) * given["response_mask"]
    data = proto(verl, torch, given, values=values)
    expected, target = core.compute_gae_advantage_return(
        given["token_level_rewards"], values, given["response_mask"], gamma=0.98, lam=0.9
    )
    config = algorithm(gamma=0.98, lam=0.9, stepcredit={"gamma": 0.98, "lam": 0.9})
    out = run(data, "stepcredit.gae_token@verl", config).batch
    mask = given["response_mask"].bool()
    close(out["advantages"][mask], expected[mask])
    close(out["returns"][mask], target[mask])


def test_a_critic_beside_a_method_without_values_keeps_verls_target(torch, verl, core, run):
    given = random_tensors(torch, 1)
    values = torch.rand(given["response_mask"].shape) * given["response_mask"]
    _, target = core.compute_gae_advantage_return(
        given["token_level_rewards"], values, given["response_mask"], gamma=1.0, lam=1.0
    )
    out = run(proto(verl, torch, given, values=values), "stepcredit.grpo@verl", algorithm()).batch
    mask = given["response_mask"].bool()
    close(out["returns"][mask], target[mask])


def test_other_estimators_go_through_untouched(torch, verl, core, run):
    given = random_tensors(torch, 2)
    out = run(proto(verl, torch, given), "rloo", algorithm())
    expected, _ = core.compute_rloo_outcome_advantage(**given)
    assert torch.equal(out.batch["advantages"], expected)
    assert "stepcredit" not in out.meta_info


STATES = [["door", "hall"], ["door"], ["door", "yard"], ["door"]]


def doors(torch):
    mask = torch.tensor([[1, 1, 0, 1], [1, 0, 0, 0], [1, 0, 1, 1], [1, 1, 1, 0]])
    rewards = torch.zeros(4, 4)
    rewards[[0, 2], [3, 3]] = torch.tensor([1.0, 1.0])
    return {"token_level_rewards": rewards, "response_mask": mask, "index": objects(["p"] * 4)}


def test_states_travel_from_the_agent_loop(torch, verl, run):
    given = doors(torch)
    data = proto(verl, torch, given, lists={"stepcredit": [{"state": s} for s in STATES]})
    out = run(data, "stepcredit.gigpo", algorithm(stepcredit={"gamma": 1.0, "spread": "none"})).batch["advantages"]
    batch = sc.from_arrays(group=["p"] * 4, response_mask=given["response_mask"], state=STATES, outcome=[1, 0, 1, 0])
    expected = sc.scatter(batch, sc.assign(batch, "gigpo", gamma=1.0, spread="none").tokens, (4, 4), fill=0)
    assert np.allclose(out, expected)
    assert not np.allclose(out[0, 0], out[0, 3])


def test_a_field_of_another_name_is_mapped(torch, verl, run):
    given = doors(torch)
    one = run(proto(verl, torch, given, lists={"stepcredit": [{"state": s} for s in STATES]}),
              "stepcredit.gigpo", algorithm())  # fmt: skip
    other = run(proto(verl, torch, given, lists={"anchor_obs": STATES}),
                "stepcredit.gigpo", algorithm(stepcredit={"columns.state": "anchor_obs"}))  # fmt: skip
    assert torch.equal(one.batch["advantages"], other.batch["advantages"])


def test_turn_rewards_of_yours_and_scores_that_disagree_need_a_choice(torch, verl, run):
    given = doors(torch)
    lists = {"stepcredit": [{"reward": [0.5, 0.0]}, {"reward": [0.0]}, {"reward": [0.0, 0.25]}, {"reward": [0.0]}]}
    with pytest.raises(sc.StepCreditError, match="disagree"):
        run(proto(verl, torch, given, lists=lists), "stepcredit.step_grpo", algorithm())
    out = run(proto(verl, torch, given, lists=lists), "stepcredit.step_grpo", algorithm(stepcredit={"reward": "sum"}))
    assert out.batch["advantages"].abs().sum() > 0


def test_dense_token_rewards_are_rewards_of_their_turns(torch, verl, run):
    """verl-agent, RAGEN and others put a turn's reward on its last token; one here stands on the tool's reply."""
    mask = torch.tensor([[1, 1, 0, 1, 0], [1, 0, 0, 1, 1]])
    rewards = torch.tensor([[0, 0, 0.5, 1, 0], [0.25, 0, 0, 0, 0]])
    given = {"token_level_rewards": rewards, "response_mask": mask, "index": objects(["p", "p"])}
    out = run(proto(verl, torch, given), "stepcredit.step_grpo", algorithm())
    batch = sc.from_arrays(group=["p", "p"], response_mask=mask, reward=[[0.5, 1], [0.25, 0]])
    expected = sc.scatter(batch, sc.assign(batch, "step_grpo").tokens, (2, 5), fill=0)
    assert np.allclose(out.batch["advantages"], expected)


def test_two_turns_without_a_reply_between_them_are_told_by_turn_ids(torch, verl, run):
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    rewards = torch.tensor([[0.0, 0, 0, 1], [0, 0, 0, 0]])
    given = {"token_level_rewards": rewards, "response_mask": mask, "index": objects(["p", "p"])}
    attached = [{"turn_ids": [0, 0, 1, 1], "state": ["s", "t"]}, {"turn_ids": [0, 0], "state": ["s"]}]
    data = proto(verl, torch, given, lists={"stepcredit": attached})
    out = run(data, "stepcredit.gigpo", algorithm(stepcredit={"gamma": 1.0, "spread": "none"})).batch["advantages"]
    assert out.tolist() == [[1, 1, 0.5, 0.5], [-1, -1, 0, 0]]


def test_rows_that_are_steps_form_rollouts(torch, verl, run):
    """verl-agent: a row is a step with its own prompt; each row holds the score of the whole rollout."""
    mask = torch.ones(5, 2, dtype=torch.long)
    rewards = torch.zeros(5, 2)
    rewards[[0, 2, 4], 1] = 1.0
    given = {"token_level_rewards": rewards, "response_mask": mask, "index": objects(["p"] * 5)}
    lists = {"traj_uid": ["a", "b", "a", "b", "a"], "step_index": [2, 0, 0, 1, 1], "anchor": ["u", "s", "s", "t", "t"]}
    config = {"columns.state": "anchor", "row_scores": "copied", "gamma": 1.0, "spread": "none"}
    out = run(proto(verl, torch, given, lists=lists), "stepcredit.gigpo", algorithm(stepcredit=config))
    batch = sc.from_arrays(group=["p"] * 2, response_mask=torch.tensor([[1, 0, 1, 0, 1], [1, 0, 1, 0, 0]]),
                           state=[["s", "t", "u"], ["s", "t"]], outcome=[1, 0])  # fmt: skip
    steps = sc.assign(batch, "gigpo", gamma=1.0, spread="none").steps
    assert np.allclose(out.batch["advantages"][:, 0], steps[[2, 3, 0, 4, 1]])


def test_rows_of_one_rollout_need_their_order_and_the_meaning_of_their_scores(torch, verl, run):
    given = doors(torch)
    lists = {"traj_uid": ["a", "a", "b", "b"]}
    with pytest.raises(sc.StepCreditError, match=r"in which order(.|\n)*columns.step_index"):
        run(proto(verl, torch, given, lists=lists), "stepcredit.dr_grpo", algorithm())
    lists["step_index"] = [0, 1, 0, 1]
    with pytest.raises(sc.StepCreditError, match="row_scores=copied"):
        run(proto(verl, torch, given, lists=lists), "stepcredit.dr_grpo", algorithm())
    out = run(proto(verl, torch, given, lists=lists), "stepcredit.dr_grpo", algorithm(stepcredit={"row_scores": "own"}))
    assert (out.batch["advantages"] == 0).all()  # each rollout earned 1 in its first row


def unknown(torch):
    given = random_tensors(torch, 0)
    given["token_level_rewards"][3, :] = math.nan
    return given


def test_a_failed_reward_leaves_the_loss_mask(torch, verl, run):
    given = unknown(torch)
    data = run(proto(verl, torch, given), "stepcredit.grpo", algorithm())
    assert not data.batch["response_mask"][3].any()
    rest = np.arange(16) != 3
    assert torch.equal(data.batch["response_mask"][rest], given["response_mask"][rest])
    assert torch.isfinite(data.batch["advantages"]).all()
    assert data.meta_info["stepcredit"]["stepcredit/tokens_not_judged"] == given["response_mask"][3].sum()


def test_a_registered_estimator_cannot_mask_and_says_so(torch, core):
    given = unknown(torch)
    estimator = core.get_adv_estimator_fn("stepcredit.grpo")
    with pytest.raises(sc.StepCreditError, match=r"did not judge(.|\n)*not_judged=zero"):
        estimator(**given, config=algorithm())
    advantages, _ = estimator(**given, config=algorithm(stepcredit={"not_judged": "zero"}))
    assert torch.isfinite(advantages).all()
    assert (advantages[3] == 0).all()


def test_not_judged_can_stop_the_run(torch, verl, run):
    with pytest.raises(sc.StepCreditError, match="did not judge"):
        run(proto(verl, torch, unknown(torch)), "stepcredit.grpo", algorithm(stepcredit={"not_judged": "error"}))


def test_a_batch_without_any_credit_stops_the_run(torch, verl, run):
    given = random_tensors(torch, 0)
    given["token_level_rewards"][:] = math.nan
    with pytest.raises(sc.StepCreditError, match="nothing is left to train on"):
        run(proto(verl, torch, given), "stepcredit.grpo", algorithm())


def test_a_missing_column_says_how_it_gets_into_the_batch(torch, verl, core, run):
    given = doors(torch)
    with pytest.raises(sc.MissingColumn, match=r'state(.|\n)*extra_fields\["stepcredit"\]'):
        run(proto(verl, torch, given), "stepcredit.gigpo", algorithm())
    with pytest.raises(sc.MissingColumn, match=r"token_value(.|\n)*critic.enable=True"):
        run(proto(verl, torch, given), "stepcredit.gae_token", algorithm())
    with pytest.raises(sc.MissingColumn, match="masks, rewards and uids only"):
        core.get_adv_estimator_fn("stepcredit.gigpo")(**given, config=algorithm())


BAD = [
    ("gigpoo", {}, "did you mean 'gigpo'"),
    ("gigpo@verl-agnt", {}, "verl-agent"),
    ("grpo", {"sprad": "none"}, "spread"),
    ("grpo", {"lint_evry": 5}, "lint_every"),
    ("grpo", {"not_judged": "drop"}, "not_judged"),
    ("grpo", {"spread": "wide"}, "spread"),
    ("grpo", {"columns.state": "anchr"}, "no field of the batch"),
    ("grpo", {"columns.stat": "uid"}, "did you mean 'state'"),
]


@pytest.mark.parametrize(("name", "settings", "says"), BAD)
def test_what_is_misspelt_is_named(torch, verl, run, name, settings, says):
    with pytest.raises(sc.StepCreditError, match=says):
        run(proto(verl, torch, doors(torch)), f"stepcredit.{name}", algorithm(stepcredit=settings))


@pytest.mark.parametrize(
    ("verls", "method", "says"),
    [
        ({"gamma": 0.9}, "gigpo", r"algorithm.gamma=0.9(.|\n)*stepcredit.gamma"),
        ({"lam": 0.9}, "gae_token", r"algorithm.lam=0.9"),
        ({"norm_adv_by_std_in_grpo": False}, "grpo", "spread=none"),
    ],
)
def test_verls_own_settings_are_not_ignored_in_silence(torch, verl, run, verls, method, says):
    with pytest.raises(sc.StepCreditError, match=says):
        run(proto(verl, torch, doors(torch)), f"stepcredit.{method}", algorithm(**verls))


def spoiled(torch, name):
    given = doors(torch)
    mask = given["response_mask"]
    if name == "a mask of halves":
        given["response_mask"] = mask * 0.5
    elif name == "a mask with a 2":
        mask[0, 0] = 2
    elif name == "a mask with NaN":
        given["response_mask"] = mask.float()
        given["response_mask"][0, 0] = math.nan
    elif name == "no uid":
        given["index"] = objects([None] * 4)
    return given


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("a mask of halves", "0 and 1"),
        ("a mask with a 2", "0 and 1"),
        ("a mask with NaN", "NaN"),
        ("no uid", "names no task"),
    ],
)
def test_bad_arrays_are_errors(torch, verl, run, name, says):
    with pytest.raises(sc.LayoutError, match=says):
        run(proto(verl, torch, spoiled(torch, name)), "stepcredit.grpo", algorithm())


def test_a_mask_of_ones_in_floats_is_a_mask(torch, verl, run):
    given = doors(torch)
    expected = run(proto(verl, torch, given), "stepcredit.grpo", algorithm()).batch["advantages"]
    given["response_mask"] = given["response_mask"].float()
    assert torch.equal(run(proto(verl, torch, given), "stepcredit.grpo", algorithm()).batch["advantages"], expected)


def test_a_batch_without_uids_is_an_error(torch, verl, core, run):
    given = doors(torch)
    data = proto(verl, torch, given)
    del data.non_tensor_batch["uid"]
    with pytest.raises(sc.LayoutError, match="no uid"):
        run(data, "stepcredit.grpo", algorithm())
    with pytest.raises(sc.LayoutError, match="no uid"):
        core.get_adv_estimator_fn("stepcredit.grpo")(
            token_level_rewards=given["token_level_rewards"], response_mask=given["response_mask"], config=None
        )


@pytest.mark.parametrize(
    ("attached", "says"),
    [
        ([{"state": ["s", "t"]}, {"state": ["s", "t"]}, {"state": ["s", "t"]}, {"state": ["s"]}], r"row 1.*2 values"),
        ([{"state": ["s", "t"]}, {}, {"state": ["s", "t"]}, {"state": ["s"]}], "row 1 is the first"),
        ([{"states": ["s", "t"]}, {}, {}, {}], "did you mean 'state'"),
        (["s", "t", "u", "v"], "must be a dict of columns"),
        ([{"turn_ids": [0]}] * 4, "turn_ids, row 0: .* sampled tokens have no turn"),
        ([{"token_plan": [1.0]}] * 4, "token_plan, row 0: got 1 numbers, and the row has sampled tokens up to"),
        ([{"turn_ids": [0]}, {"turn_ids": [0]}, {"turn_ids": [0] * 9}, {"turn_ids": [0]}], "row 2: got shape"),
    ],
)
def test_what_an_agent_loop_attaches_is_checked(torch, verl, run, attached, says):
    data = proto(verl, torch, doors(torch), lists={"stepcredit": attached})
    with pytest.raises(sc.StepCreditError, match=says):
        run(data, "stepcredit.gigpo", algorithm())


def test_equal_rewards_give_zero_and_are_counted_as_dead(torch, verl, run):
    given = doors(torch)
    given["token_level_rewards"][:] = 0
    data = run(proto(verl, torch, given), "stepcredit.grpo@verl", algorithm())
    assert (data.batch["advantages"] == 0).all()
    assert data.meta_info["stepcredit"]["stepcredit/dead_groups"] == 1


def test_tokens_rejected_before_are_no_ends_of_turns(torch, verl, run):
    given = doors(torch)
    rejecting = algorithm(**{"rollout_correction.rollout_rs": "token_k1"})
    with pytest.raises(sc.StepCreditError, match="rollout_rs"):
        run(proto(verl, torch, given), "stepcredit.grpo", rejecting)


def test_a_row_of_padding_alone_is_a_rollout_without_steps(torch, verl, core, run):
    given = doors(torch)
    given["response_mask"][3] = 0
    out = run(proto(verl, torch, given), "stepcredit.grpo@verl", algorithm()).batch["advantages"]
    expected, _ = core.compute_grpo_outcome_advantage(**{k: given[k] for k in given})
    close(out, expected)


def test_the_linter_stops_a_run(torch, verl, run):
    from stepcredit.integrations._padded import LintFailed

    given = doors(torch)
    given["token_level_rewards"] = torch.full((4, 4), 0.25, dtype=torch.float64)
    given["token_level_rewards"][0, 3] += 1e-9
    given["response_mask"][:] = 1
    settings = {"eps": 0.0, "fail_on": "warning", "lint_every": 1}
    with pytest.raises(LintFailed, match="std_dust"):
        run(proto(verl, torch, given), "stepcredit.grpo", algorithm(stepcredit=settings))
    run(proto(verl, torch, given), "stepcredit.grpo", algorithm(stepcredit={**settings, "lint_every": 0}))


def test_statistics_of_the_legacy_trainers_reach_the_tracker(torch, verl, run):
    from verl.trainer.ppo import ray_trainer

    given = random_tensors(torch, 0)
    ones = torch.ones(16, 30, dtype=torch.long)
    data = proto(verl, torch, given, responses=ones[:, :28], attention_mask=ones, prompts=ones[:, :2])
    metrics = ray_trainer.compute_data_metrics(run(data, "stepcredit.grpo@verl", algorithm()), use_critic=False)
    assert metrics["stepcredit/judged"] == 1
    assert "critic/advantages/mean" in metrics


@pytest.mark.parametrize("mode", ["vanilla", "dppo_tv", "dppo_kl", "gspo", "sapo", "gpg", "cispo"])
def test_weights_on_advantages_are_weights_on_these_losses(torch, core, mode):
    """What lets loss_weight travel: token by token, loss(w * A) = w * loss(A)."""
    from verl.workers.config import ActorConfig

    from stepcredit.integrations._verl_credit import WEIGHTABLE

    assert mode in WEIGHTABLE
    loss = core.get_policy_loss_fn(mode)
    config = ActorConfig(strategy="fsdp", rollout_n=1, ppo_micro_batch_size_per_gpu=1, loss_agg_mode="token-sum")
    torch.manual_seed(0)
    old, new, advantages = torch.randn(3, 6, 5) * 0.5
    weight = torch.rand(6, 5) * 3
    weight[0, 0] = 0

    def gradient(scaled, of_loss):
        logp = new.clone().requires_grad_()
        mask = torch.ones(6, 5, dtype=torch.bool)
        total = 0
        for b in range(6):
            for t in range(5):
                one = torch.zeros_like(scaled)
                one[b, t] = scaled[b, t]
                # all other advantages are 0: what is left is the loss of this token
                value, _ = loss(old_log_prob=old, log_prob=logp, advantages=one, response_mask=mask,
                                loss_agg_mode="token-sum", config=config)  # fmt: skip
                total = total + of_loss[b, t] * value
        total.backward()
        return total.detach(), logp.grad

    value, grad = gradient(advantages * weight, torch.ones(6, 5))
    expected_value, expected_grad = gradient(advantages, weight)
    assert torch.allclose(value, expected_value, atol=1e-5)
    assert torch.allclose(grad, expected_grad, atol=1e-5)
