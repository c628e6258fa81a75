"""SkyRL 0.3: its own trainer's tensors and methods, of a trainer that was not started."""

from types import SimpleNamespace as Object

import numpy as np
import pytest
from peer_packages import peer

import stepcredit as sc
from stepcredit.integrations.skyrl import register, with_credit

GIGPO = {"gamma": 1.0, "spread": "none"}


@pytest.fixture
def sky(torch):
    return peer("skyrl.train.trainer")


def trainer_of(sky, method, step_wise=False, pad=1, samples=2, **options):
    """A trainer without workers: what the two overridden methods read, and nothing else."""
    trainer = object.__new__(with_credit(sky.RayPPOTrainer, method, **options))
    algorithm = Object(advantage_estimator="grpo", gamma=1.0, lambd=1.0, grpo_norm_by_std=False, max_seq_len=None,
                       off_policy_correction=Object(tis_ratio_type=None, sequence_mask_metric=None))  # fmt: skip
    trainer.cfg = Object(
        trainer=Object(algorithm=algorithm, train_batch_size=1, policy_mini_batch_size=1,
                       critic=Object(model=Object(path=None))),
        generator=Object(step_wise_trajectories=step_wise, n_samples_per_prompt=samples),
    )  # fmt: skip
    trainer.tokenizer, trainer.all_metrics = Object(pad_token_id=0), {}
    trainer.dispatch = Object(get_lcm_dp_size=lambda: pad)
    return trainer


def output(masks, rewards, last=None, states=None, lengths=None):
    """A GeneratorOutput after SkyRL's post-processing: rewards by token."""
    rows = len(masks)
    metrics = [{} if s is None else {"stepcredit": {"state": s}, "won": 1} for s in (states or [None] * rows)]
    made = {
        "prompt_token_ids": [[1]] * rows,
        "response_ids": [[2] * len(m) for m in masks],
        "rewards": rewards,
        "loss_masks": masks,
        "stop_reasons": None,
        "rollout_logprobs": None,
        "trajectory_ids": None,
        "env_metrics": metrics,
    }
    return made if last is None else {**made, "is_last_step": last}


def run(trainer, generated, uids):
    data = trainer.convert_to_training_input(generated, uids)
    data["values"] = data["base_action_log_probs"] = None  # the forward pass without a critic and a reference
    return trainer.compute_advantages_and_returns(data)


TURNS = [[1, 1, 0, 1], [1, 1]]
REWARDS = [[0.0, 0.0, 0.0, 1.0], [0.0, 0.0]]


def test_turns_of_a_row_get_their_own_credit_right_aligned(sky):
    data = run(trainer_of(sky, "gigpo", **GIGPO), output(TURNS, REWARDS, states=[["s", "u"], ["s"]]), ["p", "p"])
    assert data["advantages"].tolist() == [[1, 1, 0, 0.5], [0, 0, -1, -1]]
    assert data["returns"].tolist() == data["advantages"].tolist()


def test_rows_added_as_padding_are_no_rollouts(sky):
    trainer = trainer_of(sky, "dr_grpo", pad=3)
    data = run(trainer, output(TURNS, REWARDS), ["p", "p"])
    assert len(data["advantages"]) == 3
    assert data["advantages"][:2].tolist() == [[0.5, 0.5, 0, 0.5], [0, 0, -0.5, -0.5]]
    assert trainer.all_metrics["stepcredit/judged"] == 1.0


STEPS = [[1, 1], [1], [1, 1]]
STEP_REWARDS = [[0.0, 0.0], [1.0], [0.0, 0.0]]
LAST = [False, True, True]


def test_each_step_row_gets_its_own_credit(sky):
    """SkyRL's own numbers are those of the last row, spread over all rows of the rollout."""
    generated = output(STEPS, STEP_REWARDS, LAST, [None, ["s", "u"], ["s"]])
    data = run(trainer_of(sky, "gigpo", step_wise=True, **GIGPO), generated, ["p"] * 3)
    assert data["advantages"].tolist() == [[1, 1], [0, 0.5], [-1, -1]]


def test_a_method_without_turns_equals_skyrls_own(sky):
    class Plain(sky.RayPPOTrainer):
        pass

    ours = trainer_of(sky, "dr_grpo", step_wise=True)
    theirs = object.__new__(Plain)
    theirs.__dict__.update(ours.__dict__)
    generated = output(STEPS, STEP_REWARDS, LAST)
    expected = run(theirs, generated, ["p"] * 3)["advantages"]
    assert run(ours, generated, ["p"] * 3)["advantages"].tolist() == expected.tolist()


def test_rewards_by_turn_reach_the_method_and_their_sum_is_the_outcome(sky):
    rewards = [[0.0, 0.25, 0.0, 0.75], [0.0, 0.0]]
    data = run(trainer_of(sky, "step_grpo"), output(TURNS, rewards), ["p", "p"])
    batch = sc.from_arrays(group=["p", "p"], turn_ids=[[0, 0, -1, 1], [0, 0, -1, -1]], reward=[[0.25, 0.75], [0.0]])
    expected = np.concatenate([np.asarray(row, float) for row in sc.assign(batch, "step_grpo").advantages()])
    mask = np.array([[1, 1, 0, 1], [0, 0, 1, 1]]) == 1
    assert data["advantages"].numpy()[mask] == pytest.approx(expected)


def test_what_is_not_judged_leaves_the_loss_mask(sky):
    rewards = [[0.0, 0.0, 0.0, float("nan")], [0.0, 1.0], [0.0, 0.0]]
    data = run(trainer_of(sky, "dr_grpo", samples=3), output([*TURNS, [1, 1]], rewards), ["p"] * 3)
    assert data["loss_mask"].tolist() == [[0, 0, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]
    assert data["advantages"].tolist() == [[0, 0, 0, 0], [0, 0, 0.5, 0.5], [0, 0, -0.5, -0.5]]


def test_columns_that_miss_a_turn_and_columns_that_are_missing_are_told(sky):
    with pytest.raises(sc.LayoutError, match="column 'state', row 0: got 1 values, expected 2"):
        run(trainer_of(sky, "gigpo"), output(TURNS, REWARDS, states=[["s"], ["s"]]), ["p", "p"])
    with pytest.raises(sc.MissingColumn, match="get_metrics"):
        run(trainer_of(sky, "gigpo"), output(TURNS, REWARDS), ["p", "p"])


def test_columns_of_a_rollout_are_cut_for_its_rows_or_refused(sky):
    trainer = trainer_of(sky, "gigpo", step_wise=True)
    with pytest.raises(
        sc.LayoutError, match=r"column 'state' of rollout 0 cannot be cut into its 2 rows(.|\n)*2 turns"
    ):
        run(trainer, output(STEPS, STEP_REWARDS, LAST, [None, ["s"], ["s"]]), ["p"] * 3)


def test_turns_that_touch_are_told_by_their_lengths(sky):
    generated = output([[1, 1, 1], [1]], [[0.0, 0.0, 1.0], [0.0]], states=[["s", "u"], ["s"]])
    generated["env_metrics"][0]["stepcredit"]["turns"] = [1, 2]
    data = run(trainer_of(sky, "gigpo", **GIGPO), generated, ["p", "p"])
    assert data["advantages"].tolist() == [[1, 0.5, 0.5], [0, 0, -1]]


def test_skyrl_averages_metrics_past_the_columns(sky):
    aggregate = peer("skyrl_gym.metrics").default_aggregate_metrics
    assert aggregate(output(TURNS, REWARDS, states=[["s", "u"], ["s"]])["env_metrics"]) == {"won": 1.0}


def test_a_registered_estimator_for_single_turns(sky, torch):
    utils = peer("skyrl.backends.skyrl_train.utils.ppo_utils")
    register("dr_grpo", name="ours")
    try:
        given = {
            "token_level_rewards": torch.tensor([[0.0, 1.0], [0.0, 0.0]]),
            "response_mask": torch.tensor([[1, 1], [0, 1]]), "index": np.array(["p", "p"]), "config": None,
        }  # fmt: skip
        advantages, returns = utils.compute_advantages_and_returns(adv_estimator="ours", **given)
        assert advantages.tolist() == [[0.5, 0.5], [0.0, -0.5]]
        assert returns is advantages
        given["token_level_rewards"][0, 1] = float("nan")
        with pytest.raises(sc.StepCreditError, match="no loss mask here"):
            utils.compute_advantages_and_returns(adv_estimator="ours", **given)
    finally:
        utils.AdvantageEstimatorRegistry.unregister("ours")
