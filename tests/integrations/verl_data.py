"""Batches as verl's trainers make them: random, with tool spans between turns and padding behind."""

import warnings
from copy import deepcopy
from functools import cache

import numpy as np

from conftest import skip_or_fail


def load_verl():
    """verl with its trainers, or a counted skip."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its optional engines are not installed
        try:
            import verl
            import verl.trainer.ppo.ray_trainer
            import verl.trainer.ppo.v1
        except ImportError as error:
            skip_or_fail("verl", f"verl cannot be imported ({error})")
    return verl


def random_mask(rng, rows, width):
    """[B, T] one to four turns of 1 to 4 tokens, tool spans of 1 to 3 between them, padding behind."""
    mask = np.zeros((rows, width), np.int64)
    for row in mask:
        at = 0
        for _ in range(rng.integers(1, 5)):
            size = rng.integers(1, 5)
            row[at : at + size] = 1
            at += size + rng.integers(1, 4)
    return mask


def random_tensors(torch, seed, *, prompts=4, n=4, width=28, dense=False):
    """Arguments of an advantage estimator; rewards stand on the last sampled token, or (dense) on any."""
    rng = np.random.default_rng(seed)
    mask = random_mask(rng, prompts * n, width)
    rewards = np.zeros(mask.shape)
    last = width - 1 - mask[:, ::-1].argmax(1)
    rewards[np.arange(len(mask)), last] = rng.normal(size=len(mask)).round(2)
    if dense:
        rewards += mask * rng.normal(size=mask.shape).round(2)
    uid = np.array([f"p{i // n}" for i in range(prompts * n)], dtype=object)
    order = rng.permutation(len(uid))
    return {
        "token_level_rewards": torch.tensor(rewards[order], dtype=torch.float32),
        "response_mask": torch.tensor(mask[order]),
        "index": uid[order],
    }


def proto(verl, torch, given, *, lists=None, meta_info=None, **tensors):
    """The DataProto that a trainer hands to `compute_advantage`."""
    from tensordict import TensorDict

    rewards = given["token_level_rewards"]
    batch = {
        "token_level_rewards": rewards,
        "token_level_scores": rewards,
        "response_mask": given["response_mask"],
        **tensors,
    }
    lists = {name: objects(values) for name, values in (lists or {}).items()}
    return verl.DataProto(
        batch=TensorDict(batch, batch_size=[len(rewards)]),
        non_tensor_batch={"uid": given["index"], **lists},
        meta_info=meta_info or {},
    )


def objects(values):
    out = np.empty(len(values), dtype=object)
    out[:] = values
    return out


@cache
def config():
    """verl's real trainer config, as hydra composes it."""
    from hydra import compose, initialize_config_module

    with initialize_config_module("verl.trainer.config", version_base=None):
        return compose("ppo_trainer")


def full(**settings):
    """verl's config with settings of `algorithm`, and those of `algorithm.stepcredit`, as overrides would set them."""
    from omegaconf import OmegaConf, open_dict

    out = deepcopy(config())
    with open_dict(out):
        ours = settings.pop("stepcredit", {})
        for key, value in settings.items():
            OmegaConf.update(out, f"algorithm.{key}", value)
        for key, value in ours.items():
            OmegaConf.update(out, f"algorithm.stepcredit.{key}", value, force_add=True)
    return out


def algorithm(**settings):
    """The node `algorithm` of it."""
    return full(**settings).algorithm
