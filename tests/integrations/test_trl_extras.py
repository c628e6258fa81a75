"""CreditGRPOTrainer: clip ranges and loss weights per turn; the loss gets what was computed, or the run stops."""

import numpy as np
import pytest
from trl_rig import (
    MASKS,
    STATES,
    batch_of,
    grpo_trainer,
    loss_of,
    make,
    quiet,
    rollouts,
    scripted,
    torch,
    transformers,
    weights,
)

from stepcredit.errors import StepCreditError
from stepcredit.integrations.trl import LintFailed

pytestmark = quiet
GAIN = [[0.1, 0.9], [0.4], [0.8, None], [0.2]]

METHOD = """
import numpy as np
from stepcredit.credit import Card, Result

CARD = Card(title="Mine", paper="none", bibtex="", evidence="derived", needs="outcomes", bias="none", departures="none")
PRESETS = {}


def mine(layout, outcome, *, give: str = "loss_weight", value: float = 1.0):
    credit = layout.merge(outcome[layout.paths.rollout])
    turn = np.arange(credit.size) % 3
    return Result(credit, **{give: value + turn} if give else {})
"""


def by_hand(trainer, batch, scale):
    """The clipped losses, from log-probabilities alone."""
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], 1)
    attention = torch.cat([batch["prompt_mask"], batch["completion_mask"]], 1)
    with torch.no_grad():
        now = trainer._get_per_token_logps_and_entropies(trainer.model, ids, attention, scale.shape[1])[0].numpy()
    ratio = np.exp(now - batch["old_per_token_logps"].numpy())
    mask = (batch["completion_mask"] * batch["tool_mask"]).numpy()
    clipped = np.clip(ratio, 1 - trainer.epsilon_low * scale, 1 + trainer.epsilon_high * scale)
    a = batch["advantages"].numpy()
    per_token = -np.minimum(ratio * a, clipped * a) * mask
    return {
        "grpo": (per_token.sum(1) / np.maximum(mask.sum(1), 1)).mean(),
        "bnpo": per_token.sum() / mask.sum(),
        "dapo": per_token.sum() / mask.sum(),
        "dr_grpo": per_token.sum() / (len(a) * trainer.max_completion_length),
        "luspo": per_token.sum(1).mean(),
    }[trainer.loss_type]


@pytest.mark.parametrize("loss_type", ["grpo", "bnpo", "dapo", "dr_grpo", "luspo"])
def test_each_turn_is_clipped_to_its_own_range(tmp_path, loss_type):
    trainer = make(tmp_path, scripted([1.0, 0.0, 0.5, 0.0]), rollout_func=rollouts(gain=GAIN), credit="a2tgpo",
                   credit_options={"amplitude": 0.9}, loss_type=loss_type, num_iterations=2, epsilon=0.02)  # fmt: skip
    batch = batch_of(trainer)
    with torch.no_grad():
        for weight in trainer.model.parameters():
            weight.add_(0.01 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(0)))
    scale = batch["credit_clip_scale"].numpy().astype(float)
    assert len(np.unique(scale)) > 4
    loss = loss_of(trainer, batch)
    assert loss == pytest.approx(by_hand(trainer, batch, scale), rel=1e-4)
    assert abs(loss - by_hand(trainer, batch, np.ones_like(scale))) > 1e-4
    assert (trainer.epsilon_low, trainer.epsilon_high) == (0.02, 0.02)


def test_clip_ranges_ride_along_when_trl_shuffles_and_splits(tmp_path):
    trainer = make(tmp_path, scripted([1.0, 0.0, 0.5, 0.0]), rollout_func=rollouts(gain=GAIN), credit="a2tgpo",
                   per_device_train_batch_size=2, gradient_accumulation_steps=4, credit_lint_every=1)  # fmt: skip
    taken, compute = [], trainer._compute_loss
    trainer._compute_loss = lambda model, inputs: (taken.append(inputs), compute(model, inputs))[1]
    trainer.train()
    for inputs in taken:
        np.testing.assert_allclose(
            inputs["credit_clip_scale"], trainer.credit_last.clip_scale[inputs["credit_row"]], atol=1e-6
        )


def test_a_loss_weight_multiplies_the_loss_of_its_turn(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(METHOD)
    given = {"rollout_func": rollouts(), "loss_type": "bnpo", "credit": str(file)}
    trainer = make(tmp_path, credit_lint_every=1, **given)
    plain = batch_of(make(tmp_path, credit_options={"give": ""}, **given))
    weighted = batch_of(trainer)
    per_turn = iter(np.arange(12) % 3 + 1.0)
    expected = np.zeros((8, 5))
    for row, mask in enumerate(MASKS * 2):
        runs = np.cumsum(np.diff([0, *mask]) == 1) - 1
        factors = [next(per_turn) for _ in range(runs.max() + 1)]
        expected[row, : len(mask)] = np.array(factors)[runs] * mask
    np.testing.assert_allclose(weighted["advantages"], plain["advantages"].numpy() * expected, atol=1e-6)
    assert loss_of(trainer, weighted) == pytest.approx(-float(weighted["advantages"].sum()) / 22, rel=1e-5)
    with pytest.raises(StepCreditError, match="loss_weight below 0"):
        batch_of(make(tmp_path, credit_options={"value": -1.0}, **given))


def test_a_method_of_your_own_that_clips_is_refused_by_losses_without_a_range(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(METHOD)
    with pytest.raises(StepCreditError, match=r"returns clip_scale.*'vespo' has no such range"):
        make(tmp_path, rollout_func=rollouts(), credit=str(file), loss_type="vespo",
             credit_options={"give": "clip_scale"})  # fmt: skip


def broken_shuffle(name):
    """TRL's shuffle, but for one tensor that stays where it was."""
    shuffle = grpo_trainer.shuffle_sequence_dict

    def shuffled(batch):
        torch.manual_seed(0)
        return {**shuffle(batch), name: batch[name]}

    return shuffled


@pytest.mark.parametrize("name", ["advantages", "completion_ids", "tool_mask"])
def test_rows_with_the_credit_of_other_rows_stop_the_run(tmp_path, monkeypatch, name):
    monkeypatch.setattr(grpo_trainer, "shuffle_sequence_dict", broken_shuffle(name))
    trainer = make(tmp_path, rollout_func=rollouts(state=STATES), credit="gigpo", credit_lint_every=0)
    with pytest.raises(StepCreditError, match=r"of other rows: rows .* are not what they were"):
        trainer.train()


def test_rows_that_get_lost_stop_the_run(tmp_path, monkeypatch):
    split = grpo_trainer.split_tensor_dict

    def shorter(batch, chunks):
        return [{k: v[:-1] if v.ndim else v for k, v in piece.items()} for piece in split(batch, chunks)]

    monkeypatch.setattr(grpo_trainer, "split_tensor_dict", shorter)
    with pytest.raises(StepCreditError, match="1 rows were dropped between credit and loss"):
        make(tmp_path, rollout_func=rollouts(), credit="grpo").train()


def dust(completions, trainer_state, **kwargs):
    """Outcomes that differ by rounding alone, from the third step on."""
    return [1.0 + (i % 4) * 1e-6 * (trainer_state.global_step >= 2) for i in range(len(completions))]


def test_the_linter_stops_the_run_and_what_was_trained_is_saved(tmp_path):
    trainer = make(tmp_path, dust, rollout_func=rollouts(), credit="grpo", credit_options={"eps": 1e-9}, max_steps=5,
                   credit_fail_on="warning", credit_lint_every=1, save_strategy="steps", save_steps=100)  # fmt: skip
    with pytest.raises(LintFailed, match=r"std_dust(.|\n)*credit_fail_on='never' trains on") as caught:
        trainer.train()
    assert caught.value.report.worst == "warning"
    assert "training stopped after step 2, which is saved" in caught.value.__notes__[0]
    saved = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "checkpoint-2")
    assert torch.equal(torch.cat([p.detach().flatten() for p in saved.parameters()]), weights(trainer))


def test_the_linter_looks_every_k_generations_and_can_be_told_to_go_on(tmp_path):
    trainer = make(tmp_path, dust, rollout_func=rollouts(), credit="grpo", credit_options={"eps": 1e-9}, max_steps=5,
                   credit_fail_on="never", credit_lint_every=2)  # fmt: skip
    trainer.train()
    seen = [
        (row["step"], row["credit/lint_warnings"]) for row in trainer.state.log_history if "credit/lint_warnings" in row
    ]
    assert seen == [(1, 0.0), (3, 1.0), (5, 1.0)]
