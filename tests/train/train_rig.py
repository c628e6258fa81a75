"""A tiny policy in a world of two by two, and what is needed to see it train."""

import os

os.environ.update(HF_HUB_OFFLINE="1", TRL_EXPERIMENTAL_SILENCE="1")

import pytest

from conftest import skip_or_fail

try:
    import peft  # noqa: F401
    import torch
    import trl  # noqa: F401
    import yaml
except ImportError as error:
    skip_or_fail("train", f"{error.name} is not installed")

from stepcredit.train.config import decode

# What transformers says about names that TRL 1.16 uses; nothing else is let through.
quiet = [
    pytest.mark.filterwarnings("ignore:`gradient_checkpointing` is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
]

TINY = {
    "world": {"name": "key_door_rooms", "options": {"size": 2, "horizon": 6}, "train_tasks": 20, "eval_tasks": 4},
    "model": {"size": {"layers": 1, "width": 32, "heads": 2, "vocabulary": 320}},
    "warmup": {"demonstrations": 60, "noise": 0.2, "steps": 90, "batch_size": 16, "learning_rate": 0.015},
    "rl": {"steps": 4, "tasks_per_step": 2, "rollouts_per_task": 4, "max_tokens": 256, "max_action_tokens": 6},
    "eval": {"every": 4},
    "checkpoints": {"every": 2, "keep": 2},
    "rollouts": {"every": 1},
}


def settings(folder, **given):
    """The raw settings, with sections updated."""
    raw = {name: dict(section) for name, section in TINY.items()} | {"output": str(folder)}
    for name, value in given.items():
        raw[name] = {**raw.get(name, {}), **value} if isinstance(value, dict) else value
    return raw


def config(folder, **given):
    return decode(yaml.safe_dump(settings(folder, **given)))


def weights(folder):
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder)
    return torch.cat([p.detach().flatten() for p in model.parameters()])


__all__ = ["TINY", "config", "quiet", "settings", "torch", "weights", "yaml"]
