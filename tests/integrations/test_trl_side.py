"""CreditGRPOTrainer: what is known of turns, from rollouts, datasets, environments and the trainer's own models."""

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from trl_rig import (
    GROUP,
    MASKS,
    STATES,
    CreditGRPOTrainer,
    Dataset,
    GRPOTrainer,
    batch_of,
    config,
    dataset,
    loss_of,
    make,
    quiet,
    rollouts,
    scripted,
    torch,
    transformers,
    trl,
)

from conftest import skip_or_fail
from stepcredit.errors import LayoutError, MissingColumn, StepCreditError, UnknownName
from stepcredit.integrations._trl_setup import supported
from stepcredit.integrations.trl import CreditMixin
from stepcredit.llm import tiny

pytestmark = quiet
NAN = float("nan")


def columns_of(trainer):
    batch_of(trainer)
    return trainer.credit_last.credit.batch


def test_evidence_of_a_rollout_func_reaches_its_turns_and_the_rest_is_not_judged(tmp_path):
    gain = [[0.1, 0.2], None, {1: 0.4}, [0.5]]
    trainer = make(tmp_path, rollout_func=rollouts(gain=gain), credit="igpo")
    batch = columns_of(trainer)
    np.testing.assert_array_equal(batch["gain"], [0.1, 0.2, NAN, NAN, 0.4, 0.5] * 2)


def test_columns_of_a_dataset_serve_the_rows_of_their_prompt(tmp_path):
    data = dataset(4, prior_value=[0.2, 0.4, 0.6, 0.8])
    trainer = make(tmp_path, data=data, credit="v05", max_completion_length=4)
    batch = columns_of(trainer)
    assert batch.layout.G == 2
    assert set(batch["prior_value"]) < {0.2, 0.4, 0.6, 0.8}


def test_one_dict_per_row_names_any_column_and_wins(tmp_path):
    credit = [{"state": states, "outcome": out} for states, out in zip(STATES, [3.0, None, 2.0, 2.0], strict=True)]
    trainer = make(tmp_path, rollout_func=rollouts(credit=credit, state=[["x"]] * GROUP), credit="gigpo")
    batch = columns_of(trainer)
    assert [batch.keys["state"][s] for s in batch["state"]] == ["start", "open", "start", "start", "open", "start"] * 2
    np.testing.assert_array_equal(batch["outcome"], [3.0, NAN, 2.0, 2.0] * 2)


def test_columns_under_other_names_and_columns_no_method_asks_for(tmp_path):
    given = {"rollout_func": rollouts(seen=STATES, tool=[["a", "b"], ["a"], ["a", "b"], ["a"]]), "credit": "gigpo"}
    batch = columns_of(make(tmp_path, credit_columns={"state": "seen", "action": "tool"}, **given))
    assert batch.keys["state"] == ["start", "open"]
    assert "action" in batch
    with pytest.raises(MissingColumn, match=r"column 'state'(.|\n)*in TRL a rollout_func returns it"):
        batch_of(make(tmp_path, **given))
    with pytest.raises(LayoutError, match=r"names 'state', under 'sen', and no row has it(.|\n)*prompt, seen, tool"):
        batch_of(make(tmp_path, credit_columns={"state": "sen"}, **given))


def test_an_outcome_that_is_none_is_not_what_the_reward_functions_say(tmp_path):
    batch = columns_of(make(tmp_path, rollout_func=rollouts(outcome=[None] * GROUP), credit="grpo"))
    assert np.isnan(batch["outcome"]).all()


def test_what_the_trainer_knows_itself_is_no_column(tmp_path):
    with pytest.raises(LayoutError, match="row 0: 'group' is no column to give here"):
        batch_of(make(tmp_path, rollout_func=rollouts(credit=[{"group": 0}] * 4), credit="grpo"))
    with pytest.raises(LayoutError, match=r"row 0: `credit` is 0.5, expected a dict of columns"):
        batch_of(make(tmp_path, rollout_func=rollouts(credit=[0.5] * 4), credit="grpo"))


def test_turn_ids_part_turns_that_touch(tmp_path):
    ids = [[0, 1, -1, 2, 2], [0, 0, 1], [0, -1, -1, 1], [0, 0]]
    states = [["a", "b", "c"], ["a", "b"], ["a", "b"], ["a"]]
    batch = columns_of(make(tmp_path, rollout_func=rollouts(turn_ids=ids, state=states), credit="gigpo"))
    assert np.bincount(batch.layout.rollout).tolist() == [3, 2, 2, 1] * 2


def test_turn_rewards_and_outcomes_that_disagree_need_a_choice(tmp_path):
    given = {"rollout_func": rollouts(state=STATES, reward=[[0.5, 0.0], [0.0], [0.0, 0.25], [0.0]]), "credit": "gigpo"}
    with pytest.raises(StepCreditError, match="credit_reward='reward', 'outcome' or 'sum'"):
        batch_of(make(tmp_path, **given))
    summed = make(tmp_path, credit_reward="sum", credit_options={"gamma": 1.0, "spread": "none", "omega": 0.0}, **given)
    np.testing.assert_allclose(batch_of(summed)["advantages"][:4, 0], [1.0625, -0.4375, -0.1875, -0.4375])


def test_truncated_completions_count_in_baselines_and_not_in_the_loss(tmp_path):
    def some_end(prompts, trainer):
        out = rollouts(state=STATES, turn_ids=[[0, 0, -1, 1, 1], [0] * 3, [0, -1, -1, 1], [0, 0]])(prompts, trainer)
        for row in (1, 2, 5, 6):
            out["completion_ids"][row][-1] = trainer.processing_class.eos_token_id
        return out

    trainer = make(tmp_path, rollout_func=some_end, mask_truncated_completions=True, credit="gigpo",
                   credit_options={"gamma": 1.0, "spread": "none", "omega": 0.0})  # fmt: skip
    masked = batch_of(trainer)
    assert np.bincount(trainer.credit_last.credit.batch.layout.rollout).tolist() == [2, 1, 2, 1] * 2
    assert masked["num_items_in_batch"] == 2 * (3 + 2)
    # The first row of each prompt has outcome 1, and counts in the baseline of those that train: 0 - 1/4.
    np.testing.assert_allclose(masked["advantages"][:4, 0], [0, -0.25, -0.25, 0])
    assert loss_of(trainer, masked) == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda out: out["env_mask"].__setitem__(1, [1] * 4), "row 1: the mask of sampled tokens has 4 entries, .* 3"),
        (lambda out: out["completion_ids"].pop(), "generation returned 7 completions for 8 prompts"),
        (lambda out: out["state"].pop(), r"returned 7 entries under 'state' \(state\), expected a list of 8"),
        (lambda out: out.update(state="start"), "returned a str under 'state'"),
        (lambda out: out["state"].__setitem__(2, ["start"]), "'state', row 2: got 1 values, expected 2"),
    ],
)  # fmt: skip
def test_lists_that_do_not_fit_are_errors_that_name_the_row(tmp_path, change, said):
    def broken(prompts, trainer):
        out = rollouts(state=STATES)(prompts, trainer)
        change(out)
        return out

    with pytest.raises(LayoutError, match=said):
        batch_of(make(tmp_path, rollout_func=broken, credit="gigpo"))


def test_rows_that_are_not_prompt_by_prompt_are_an_error(tmp_path):
    trainer = make(tmp_path, rollout_func=rollouts(), credit="rloo")
    rows = next(iter(trainer.get_train_dataloader()))
    with pytest.raises(LayoutError, match="rows 0 and 1 are one group of num_generations=4"):
        trainer._prepare_inputs(rows[::4] + rows[1::4] + rows[2::4] + rows[3::4])


# Before the first batch


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"credit": "gigppo"}, UnknownName, "did you mean 'gigpo'"),
        ({"credit": "gigpo", "credit_options": {"gama": 1.0}}, UnknownName, "option of gigpo named 'gama'"),
        (
            {"credit": "grpo", "credit_fail_on": "eror"},
            UnknownName,
            "credit_fail_on named 'eror'(.|\n)*did you mean",
        ),
        ({"credit": "grpo", "credit_resume": "yes"}, UnknownName, "credit_resume named 'yes'(.|\n)*change, same"),
        ({"credit": "grpo", "credit_reward": "both"}, UnknownName, "credit_reward named 'both'"),
        ({"credit": "gigpo"}, MissingColumn, r"gigpo needs 'state'(.|\n)*no rollout_func(.|\n)*as it is: .*dr_grpo"),
        ({"credit": "prl"}, MissingColumn, "prl needs 'token_ref_logp'.*beta=0 keeps no reference model"),
        ({"credit": "grpo", "scale_rewards": "batch"}, StepCreditError, "scale_rewards='batch' is of the advantages"),
        (
            {"credit": "grpo", "multi_objective_aggregation": "normalize_then_sum"},
            StepCreditError,
            "multi_objective_aggregation='normalize_then_sum'",
        ),
        (
            {"credit": "a2tgpo", "rollout_func": rollouts(), "loss_type": "cispo"},
            StepCreditError,
            "a2tgpo returns clip_scale.*'cispo' has no such range",
        ),
    ],
)
def test_what_can_be_known_at_the_start_is_said_at_the_start(tmp_path, given, error, said):
    with pytest.raises(error, match=said):
        make(tmp_path, **given)


def test_a_loss_per_sequence_cannot_carry_credit_per_token():
    class Mine(CreditMixin, trl.RLOOTrainer):
        pass

    with pytest.raises(StepCreditError, match=r"Mine is no GRPOTrainer(.|\n)*credit='rloo'"):
        Mine("no model")


@pytest.mark.parametrize("version", ["1.15.2", "0.24.0", "2.0.0", "what"])
def test_other_versions_of_trl_are_refused_by_name(version):
    with pytest.raises(ImportError, match=f"TRL 1.16 or later below 2; found {version}"):
        supported(version, GRPOTrainer)


def test_versions_of_the_range_are_taken_if_they_have_what_is_extended():
    assert supported("1.16.0", GRPOTrainer) is supported("1.40.0.dev0", GRPOTrainer) is None
    with pytest.raises(ImportError, match=r"TRL 1.40.0 has no _calculate_rewards"):
        supported("1.40.0", trl.SFTTrainer)


# What the trainer's own models know


def logps_of(trainer, batch, model):
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], 1)
    mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], 1)
    with torch.no_grad():
        return trainer._get_per_token_logps_and_entropies(model, ids, mask, batch["completion_ids"].shape[1])[0]


def test_log_probabilities_of_policy_and_reference_are_columns(tmp_path):
    trainer = make(tmp_path, rollout_func=rollouts(), credit="prl", beta=0.1)
    with torch.no_grad():
        for weight in trainer.model.parameters():
            weight.add_(0.05)
    batch = batch_of(trainer)
    made = trainer.credit_last.credit.batch
    at = (made["token_row"], made["token_position"])
    old, ref = (logps_of(trainer, batch, m).numpy() for m in (trainer.model, trainer.ref_model))
    np.testing.assert_allclose(made["token_old_logp"], old[at], atol=1e-5)
    np.testing.assert_allclose(made["token_ref_logp"], ref[at], atol=1e-5)
    assert np.abs(old - ref)[at].max() > 0.01
    implicit = columns_of(make(tmp_path, rollout_func=rollouts(), credit="oprl", beta=0.1))
    assert implicit["token_logratio"].shape == (implicit.layout.K,)


def test_the_entropy_of_tokens_is_a_column_where_a_method_takes_it(tmp_path):
    plan = [[True] * len(m) for m in MASKS]
    trainer = make(tmp_path, rollout_func=rollouts(token_plan=plan), credit="hicra", num_iterations=2)
    batch = batch_of(trainer)
    made = trainer.credit_last.credit.batch
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], 1)
    mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], 1)
    with torch.no_grad():
        entropy = trainer._get_per_token_logps_and_entropies(trainer.model, ids, mask, 5, compute_entropy=True)[1]
    np.testing.assert_allclose(
        made["token_entropy"], entropy.numpy()[made["token_row"], made["token_position"]], atol=1e-5
    )


def test_an_adapter_has_the_model_below_it_as_reference(tmp_path):
    try:
        lora = import_module("peft").LoraConfig(target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    except ImportError:
        skip_or_fail("peft", "peft is not installed")
    trainer = make(tmp_path, rollout_func=rollouts(), credit="prl", beta=0.1, peft_config=lora, max_steps=2)
    trainer.train()
    made = trainer.credit_last.credit.batch
    assert 1e-4 < np.abs(made["token_old_logp"] - made["token_ref_logp"]).max() < 1


def test_certain_tokens_leave_the_loss_where_the_method_says_so(tmp_path):
    """SPO: a token of probability above `certain` does not train; by hand from the model's log-probabilities."""
    value = [[0.25, 0.5], [0.25], [0.25, 0.5], [0.25]]
    given = {"rollout_func": rollouts(value=value), "credit": "spo_chain", "loss_type": "bnpo"}
    trainer = make(tmp_path, credit_options={"certain": 0.011}, **given)
    batch = batch_of(trainer)
    logps = logps_of(trainer, batch, trainer.model)
    sampled = torch.tensor([[*m, *[0] * (5 - len(m))] for m in MASKS] * 2)
    trained = sampled * (logps < np.log(0.011))
    assert 0 < trained.sum() < sampled.sum()
    torch.testing.assert_close(batch["completion_mask"] * batch["tool_mask"], trained)
    change = torch.zeros(8, 5)
    for row, by_turn in enumerate([[0.25, 0.5], [-0.25], [0.25, -0.5], [-0.25]] * 2):
        turn = torch.diff(sampled[row], prepend=torch.zeros(1, dtype=torch.long)).eq(1).cumsum(0) - 1
        change[row] = torch.tensor(by_turn)[turn] * trained[row]
    assert loss_of(trainer, batch) == pytest.approx(float(-change.sum() / trained.sum()), abs=1e-6)


# Environments: real tools, real transcripts; what the model says is written down.

CALL = '<tool_call>\n{{"name": "{0}", "arguments": {{"door": {1}}}}}\n</tool_call>'


class Doors:
    """An environment of TRL that notes what it knows of each turn."""

    def reset(self, **row):
        self.at = 0
        self.credit = {"state": [], "reward": []}

    def push(self, door: int) -> str:
        """
        Push a door.

        Args:
            door: which one.

        Returns:
            What is behind it.
        """
        self.credit["state"].append(self.at)
        self.credit["reward"].append(float(door))
        self.at += 1
        return "open"

    def get_reward(self):
        self.credit["reward"].append(0.25)  # when all is over: of the last turn
        return float(self.at)


class Scripted(CreditGRPOTrainer):
    """Says what is written down for the row, turn by turn."""

    said = [
        [CALL.format("push", 1), CALL.format("push", 2), "done"],
        [CALL.format("push", 0) + "\n" + CALL.format("push", 5), "done"],
        [CALL.format("pull", 1), CALL.format("push", 3), "done"],
        ["done"],
    ]

    def _generate_single_turn(self, prompt_ids, *rest, **given):
        if len(prompt_ids) == len(self.said):
            self.spoken = [0] * len(prompt_ids)
            self.rows = list(range(len(prompt_ids)))
        else:
            self.rows = [r for r in self.rows if self.spoken[r] < len(self.said[r])]
        texts = []
        for row in self.rows:
            texts.append(self.said[row][self.spoken[row]] + "<eos>")
            self.spoken[row] += 1
        return [self.processing_class(text)["input_ids"] for text in texts], None


def test_an_environment_notes_states_and_rewards_of_the_turns_that_called_it(tmp_path):
    tokenizer = tiny.tokenizer()
    tokenizer.chat_template = (Path(trl.__file__).parent / "chat_templates" / "qwen3.jinja").read_text()
    tokenizer.model_max_length = 4096
    model = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=4096,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )
    trainer = Scripted(
        model,
        None,
        config(tmp_path, per_device_train_batch_size=GROUP, max_completion_length=600),
        Dataset.from_dict({"prompt": [[{"role": "user", "content": "go"}]] * 2}),
        processing_class=tokenizer,
        environment_factory=Doors,
        credit="gigpo",
        credit_reward="reward",
        credit_lint_every=1,
    )
    trainer.train()
    batch = trainer.credit_last.credit.batch
    by_row = np.split(np.arange(batch.layout.S), np.cumsum(np.bincount(batch.layout.rollout))[:-1])
    assert [batch["reward"][rows].tolist() for rows in by_row] == [[1, 2, 0.25], [5, 0.25], [0, 3, 0.25], [0.25]]
    keys = batch.keys["state"]
    assert [[keys[s] for s in batch["state"][rows]] for rows in by_row] == [
        [0, 1, None], [0, None], [None, 0, None], [None]
    ]  # fmt: skip
    assert batch["outcome"].tolist() == [2, 2, 1, 0]
    assert trainer.state.log_history[0]["credit/lint_errors"] == 0
    assert issubclass(Scripted, GRPOTrainer)
    assert scripted()([None] * 2) == [1.0, 0.0]
