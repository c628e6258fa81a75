"""CreditGRPOTrainer: the numbers that the loss gets, in all eight losses."""

import numpy as np
import pytest
from trl_rig import (
    GROUP,
    MASKS,
    STATES,
    GRPOTrainer,
    batch_of,
    dataset,
    loss_of,
    make,
    quiet,
    rollouts,
    scripted,
    torch,
    weights,
)  # fmt: skip

import stepcredit as sc

pytestmark = quiet
LOSSES = ("grpo", "dr_grpo", "dapo", "bnpo", "cispo", "sapo", "luspo", "vespo")
GIGPO = {"credit": "gigpo", "credit_options": {"gamma": 1.0, "spread": "none"}}


def padded(rows, width=5, fill=0):
    return np.array([[*row, *[fill] * (width - len(row))] for row in rows] * 2)


def test_every_token_gets_the_credit_of_its_turn(tmp_path):
    trainer = make(tmp_path, rollout_func=rollouts(state=STATES), **GIGPO)
    got = batch_of(trainer)["advantages"].numpy()
    mask = padded(MASKS)
    batch = sc.from_arrays(
        group=[0] * 4 + [1] * 4, response_mask=mask, outcome=[1.0, 0, 0, 0] * 2, state=[*STATES, *STATES]
    )
    expected = sc.scatter(batch, sc.assign(batch, "gigpo", gamma=1.0, spread="none").tokens, mask.shape, fill=0.0)
    np.testing.assert_allclose(got, expected, atol=1e-6)
    # By hand: 1 - 1/4 of the rollout, and the same again at "start"; at "open" 1 - 1/2.
    np.testing.assert_allclose(got[0], [1.5, 1.5, 0, 1.25, 1.25], atol=1e-6)
    np.testing.assert_allclose(got[2], [-0.5, 0, 0, -0.75, 0], atol=1e-6)


@pytest.mark.parametrize("loss_type", LOSSES)
def test_grpo_as_trl_has_it_is_what_trl_computes(tmp_path, loss_type):
    given = {"rollout_func": rollouts(), "loss_type": loss_type, "num_iterations": 2, "max_steps": 2}
    plain, ours = make(tmp_path, kind=GRPOTrainer, **given), make(tmp_path, credit="grpo@trl", **given)
    torch.manual_seed(1)
    theirs = batch_of(plain)
    torch.manual_seed(1)
    mine = batch_of(ours)
    assert theirs["completion_ids"].shape == mine["completion_ids"].shape
    order = [(theirs["completion_ids"] == row).all(1).nonzero()[0, 0] for row in mine["completion_ids"]]
    mask = (mine["completion_mask"] * mine["tool_mask"]).float()
    per_token = theirs["advantages"][torch.stack(order)].unsqueeze(1) * mask
    torch.testing.assert_close(mine["advantages"], per_token, atol=1e-6, rtol=0)
    assert loss_of(ours, mine) == pytest.approx(loss_of(plain, theirs), abs=1e-6)
    before = weights(ours)
    for trainer in (plain, ours):
        torch.manual_seed(2)
        trainer.train()
    assert not torch.equal(weights(ours), before)
    torch.testing.assert_close(weights(ours), weights(plain), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("loss_type", LOSSES)
def test_a_step_of_turn_credit_moves_the_model_where_some_turns_are_not_judged(tmp_path, loss_type):
    trainer = make(tmp_path, scripted([1.0, None, 0.0, 0.0]), rollout_func=rollouts(state=STATES), loss_type=loss_type,
                   max_steps=2, beta=0.1, credit_lint_every=1, **GIGPO)  # fmt: skip
    before = weights(trainer)
    trainer.train()
    assert torch.isfinite(weights(trainer)).all()
    assert not torch.equal(weights(trainer), before)
    assert trainer.state.log_history[0]["credit/judged"] == pytest.approx(5 / 6)
    assert trainer.state.log_history[0]["credit/lint_errors"] == 0


@pytest.mark.parametrize("loss_type", LOSSES)
def test_what_is_not_judged_leaves_the_denominator_of_each_loss_and_not_the_attention(tmp_path, loss_type):
    trainer = make(tmp_path, scripted([1.0, None, 0.0, 0.0]), rollout_func=rollouts(state=STATES), loss_type=loss_type,
                   **GIGPO)  # fmt: skip
    batch = batch_of(trainer)
    judged = padded([[*MASKS[0]], [0, 0, 0], *MASKS[2:]]).astype(float)
    mask = (batch["completion_mask"] * batch["tool_mask"]).numpy()
    np.testing.assert_array_equal(mask, judged)
    np.testing.assert_array_equal(batch["completion_mask"].numpy(), padded([[1] * len(m) for m in MASKS]))
    assert int(batch["num_items_in_batch"]) == judged.sum()
    a = batch["advantages"].numpy()
    # At the first step the ratio is 1, so each token's loss is minus its advantage (times the log-probability in
    # losses that are not a ratio's).
    if loss_type in ("cispo", "vespo"):
        logps = trainer._get_per_token_logps_and_entropies(
            trainer.model,
            torch.cat([batch["prompt_ids"], batch["completion_ids"]], 1),
            torch.cat([batch["prompt_mask"], batch["completion_mask"]], 1),
            a.shape[1],
        )[0]
        a = a * logps.detach().numpy() * (trainer.epsilon_high if loss_type == "cispo" else 1.0)
    if loss_type == "sapo":
        a = a * np.where(a > 0, 2 / trainer.args.sapo_temperature_pos, 2 / trainer.args.sapo_temperature_neg)
    total, rows = -(a * judged).sum(), len(a)
    expected = {
        "grpo": -((a * judged).sum(1) / np.maximum(judged.sum(1), 1)).mean(),
        "dr_grpo": total / (rows * trainer.max_completion_length),
        "luspo": total / rows,
    }
    expected["sapo"] = expected["grpo"]
    assert loss_of(trainer, batch) == pytest.approx(expected.get(loss_type, total / judged.sum()), rel=1e-5)


def test_where_everything_is_judged_nothing_is_added_to_the_masks(tmp_path):
    batch = batch_of(make(tmp_path, rollout_func=rollouts([[1, 1], [1], [1], [1, 1, 1]]), credit="dr_grpo"))
    assert (batch["completion_mask"] * batch["tool_mask"]).sum() == batch["num_items_in_batch"] == 14
    generated = batch_of(make(tmp_path, lambda completions, **_: [float(len(c)) for c in completions], credit="rloo"))
    assert "tool_mask" not in generated
    assert generated["advantages"].shape == generated["completion_ids"].shape


def test_outcomes_are_weighted_sums_and_unknown_only_where_no_function_gave_a_number(tmp_path):
    first, second = scripted([1.0, None, 0.5, None]), scripted([2.0, 4.0, None, None])
    first.__name__ = "first"
    trainer = make(tmp_path, [first, second], rollout_func=rollouts(), reward_weights=[1.0, 0.5], credit="dr_grpo")
    batch_of(trainer)
    batch = trainer.credit_last.credit.batch
    np.testing.assert_array_equal(batch["outcome"], [2.0, 2.0, 0.5, np.nan] * 2)
    np.testing.assert_array_equal(batch["reward.first"], [1.0, np.nan, 0.5, np.nan] * 2)
    np.testing.assert_array_equal(batch["reward.reward"], [2.0, 4.0, np.nan, np.nan] * 2)


def test_reward_functions_of_one_name_are_told_apart_by_number(tmp_path):
    trainer = make(tmp_path, [scripted([1.0]), scripted([0.0, 2.0])], rollout_func=rollouts(), credit="dr_grpo")
    batch_of(trainer)
    batch = trainer.credit_last.credit.batch
    assert batch["reward.reward.0"].tolist() == [1.0] * 8
    assert batch["reward.reward.1"].tolist() == [0.0, 2.0] * 4


def test_no_reward_at_all_judges_nothing_and_changes_nothing(tmp_path):
    trainer = make(tmp_path, scripted([None]), rollout_func=rollouts(), credit="grpo@trl", credit_lint_every=1)
    before = weights(trainer)
    trainer.train()
    assert torch.equal(weights(trainer), before)
    assert trainer.state.log_history[0]["credit/judged"] == 0
    assert trainer.state.log_history[0]["loss"] == 0


def test_equal_rewards_are_dead_groups_with_credit_0_and_a_finite_loss(tmp_path):
    trainer = make(tmp_path, scripted([0.7]), rollout_func=rollouts(), credit="grpo@trl", credit_lint_every=1)
    trainer.train()
    logged = trainer.state.log_history[0]
    assert (logged["credit/dead_groups"], logged["credit/zero"], logged["credit/judged"], logged["loss"]) == (
        1,
        1,
        1,
        0,
    )


def test_batches_that_are_split_and_used_twice_keep_their_credit(tmp_path):
    """Two optimizer steps of two accumulated pieces from one generation, each used twice."""
    trainer = make(tmp_path, rollout_func=rollouts(state=STATES), per_device_train_batch_size=2, max_steps=4,
                   steps_per_generation=4, gradient_accumulation_steps=2, num_iterations=2, credit_lint_every=1,
                   **GIGPO)  # fmt: skip
    taken, compute = [], trainer._compute_loss

    def noted(model, inputs):
        taken.append((inputs["credit_row"].tolist(), inputs["advantages"].numpy()))
        return compute(model, inputs)

    trainer._compute_loss = noted
    trainer.train()
    assert len(taken) == 8
    first = trainer.credit_last.advantages
    for rows, advantages in taken:
        np.testing.assert_allclose(advantages, first[rows], atol=1e-6)
    assert sorted(row for rows, _ in taken[:4] for row in rows) == list(range(2 * GROUP))


def test_evaluation_has_credit_too(tmp_path):
    trainer = make(tmp_path, rollout_func=rollouts(state=STATES), num_generations_eval=2, **GIGPO)
    metrics = trainer.evaluate()
    assert metrics["eval_credit/judged"] == 1
    assert trainer.credit_last.credit.batch.layout.G == 2
    assert np.isfinite(metrics["eval_loss"])
    assert len(trainer._logs["advantages"]) == len(trainer._logs["prompt"]) == 4


def test_the_table_of_completions_shows_the_mean_credit_of_rows(tmp_path):
    trainer = make(tmp_path, scripted([1.0, None, 0.0, 0.0]), rollout_func=rollouts(), credit="dr_grpo")
    batch_of(trainer)
    shown = list(trainer._logs["advantages"])
    np.testing.assert_allclose(shown, [2 / 3, np.nan, -1 / 3, -1 / 3] * 2, atol=1e-6)


def test_the_share_of_the_step_time_is_logged(tmp_path):
    trainer = make(tmp_path, rollout_func=rollouts(), credit="grpo", data=dataset(2))
    trainer.train()
    assert 0 < trainer.state.log_history[0]["credit/share_of_step_time"] < 1
