"""A real GRPO trainer on a model of 90,000 parameters, with rollouts that are written down where a test needs them."""

import os

os.environ.update(HF_HUB_OFFLINE="1", TRL_EXPERIMENTAL_SILENCE="1")

import pytest

from conftest import required

try:
    import torch
    import transformers
    import trl
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer
    from trl.trainer import grpo_trainer
except ImportError:
    if required("trl"):
        raise
    pytest.skip("trl is not installed", allow_module_level=True)

import numpy as np

from stepcredit.errors import LayoutError
from stepcredit.integrations.trl import CreditGRPOTrainer
from stepcredit.llm import tiny

# What transformers says about names that TRL 1.16 uses; nothing else is let through.
quiet = [
    pytest.mark.filterwarnings("ignore:`gradient_checkpointing` is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
]

# Two turns with a tool's reply between them, one turn, two turns, one turn: masks of the rows of one prompt.
MASKS = [[1, 1, 0, 1, 1], [1, 1, 1], [1, 0, 0, 1], [1, 1]]
STATES = [["start", "open"], ["start"], ["start", "open"], ["start"]]
REWARDS = [1.0, 0.0, 0.0, 0.0]
GROUP = len(MASKS)


def config(folder, **settings):
    return GRPOConfig(
        **{
            "output_dir": str(folder),
            "use_cpu": True,
            "bf16": False,
            "gradient_checkpointing": False,
            "report_to": "none",
            "save_strategy": "no",
            "disable_tqdm": True,
            "per_device_train_batch_size": 2 * GROUP,
            "per_device_eval_batch_size": 2 * GROUP,
            "num_generations": GROUP,
            "max_completion_length": 12,
            "max_steps": 1,
            "logging_steps": 1,
            "learning_rate": 1e-2,
            "lr_scheduler_type": "constant",
            **settings,
        }
    )


def rollouts(masks=MASKS, **extra):
    """A rollout_func of these masks, over and over; `extra` holds a list per row of one prompt, or a function of
    the row."""

    def rollout_func(prompts, trainer):
        first = trainer.accelerator.process_index * len(prompts)
        rows = [(first + i) % len(masks) for i in range(len(prompts))]
        ids = [[3 + (7 * row + 3 * t) % 90 for t in range(len(masks[row]))] for row in rows]
        return {
            "prompt_ids": [trainer.processing_class(prompt)["input_ids"] for prompt in prompts],
            "completion_ids": ids,
            "logprobs": [[0.0] * len(x) for x in ids],
            "env_mask": [masks[row] for row in rows],
            **{k: [v[row] for row in rows] for k, v in extra.items()},
        }

    return rollout_func


def scripted(values=REWARDS):
    """A reward function that gives these numbers to the rows of each prompt."""

    def reward(completions, **kwargs):
        return [values[i % len(values)] for i in range(len(completions))]

    return reward


def dataset(n=4, **columns):
    return Dataset.from_dict({"prompt": [f"{chain.task}\n" for chain in tiny.data(n, 0)], **columns})


def make(folder, reward=None, *, kind=CreditGRPOTrainer, data=None, rollout_func=None, **given):
    """A trainer; arguments of the config and of credit mixed."""
    own = {k: given.pop(k) for k in list(given) if k.startswith("credit") or k == "peft_config"}
    model, tokenizer = tiny.build(0, steps=1)
    if given.get("beta"):  # the reference is read from where the model was
        saved = tiny.save(folder / "model", model, tokenizer)
        model = transformers.AutoModelForCausalLM.from_pretrained(saved)
    return kind(
        model,
        reward or scripted(),
        config(folder, **given),
        dataset() if data is None else data,
        dataset(2),
        processing_class=tokenizer,
        rollout_func=rollout_func,
        **own,
    )


def batch_of(trainer):
    """The first batch as the loss gets it, rows in their order."""
    trainer.model.train()
    batch = trainer._prepare_inputs(next(iter(trainer.get_train_dataloader())))
    if "credit_row" not in batch:
        return batch
    order = torch.argsort(batch["credit_row"])
    return {k: v[order] if torch.is_tensor(v) and v.ndim else v for k, v in batch.items()}


def loss_of(trainer, batch):
    trainer.current_gradient_accumulation_steps = 1
    with torch.no_grad():
        return float(trainer._compute_loss(trainer.model, batch))


def weights(trainer):
    return torch.cat([p.detach().flatten().clone() for p in trainer.model.parameters()])


def spread_run(folder, rows):
    """Two steps of three groups, `rows` rows on each process; leaves what the loss got, the weights, and what is said
    of a row that does not fit on the last process, in files."""

    def reward(completions, row, **kwargs):
        return [[1.0, 0.0, 0.5, None][r] for r in row]

    gain = [[0.1, 0.9], [0.4], [0.8, None], None]
    trainer = make(folder, reward, credit="a2tgpo", loss_type="dapo", max_steps=2, per_device_train_batch_size=rows,
                   credit_lint_every=1, ddp_find_unused_parameters=False,
                   rollout_func=rollouts(gain=gain, row=list(range(GROUP))))  # fmt: skip
    batch = batch_of(trainer)
    rank = trainer.accelerator.process_index
    told = {name: values.numpy() for name, values in batch.items()}
    np.savez(folder / f"rank{rank}.npz", **told, all=trainer.credit_last.advantages)
    trainer._buffered_inputs = None
    trainer.train()
    assert trainer.state.log_history[0]["credit/lint_errors"] == 0
    np.save(folder / f"weights{rank}.npy", weights(trainer).numpy())
    for wrong in ({"gain": [[0.1]] * GROUP}, {"credit": [{"group": 0}] * GROUP}):

        def broken(prompts, trainer, wrong=wrong):
            last = rank == trainer.accelerator.num_processes - 1
            return rollouts(**{"gain": gain, "row": list(range(GROUP)), **(wrong if last else {})})(prompts, trainer)

        trainer.rollout_func = broken
        try:
            batch_of(trainer)
        except LayoutError as error:
            (folder / f"{next(iter(wrong))}{rank}.txt").write_text(str(error))


# Everything that needs an optional package comes from here, so that its absence is met in one place.
__all__ = [
    "GROUP", "MASKS", "REWARDS", "STATES", "CreditGRPOTrainer", "Dataset", "GRPOTrainer", "batch_of", "config",
    "dataset", "grpo_trainer", "loss_of", "make", "quiet", "rollouts", "scripted", "spread_run", "torch",
    "transformers", "trl", "weights",
]  # fmt: skip
