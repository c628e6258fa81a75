"""Warm start: imitation of demonstrations, the loss on the tokens of actions alone."""

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from stepcredit.data.records import Rollout
from stepcredit.envs.play import expert, noisy, play
from stepcredit.errors import StepCreditError
from stepcredit.plugins import extra
from stepcredit.train.config import Warmup
from stepcredit.train.transcript import Transcript

Example = tuple[list[int], list[int]]
"""Tokens of a transcript; 1 where they are an action's."""


def demonstrations(world: Any, given: Warmup, tasks: int, seed: int) -> list[Rollout]:
    """What the expert does, by chance another action that the world lists.

    Raises:
        StepCreditError: the world has no expert.
    """
    try:
        return play(world.episode, noisy(expert, given.noise, seed), [i % tasks for i in range(given.demonstrations)])
    except StepCreditError as error:
        raise StepCreditError(
            f"warmup.demonstrations: {error.message}", hint="demonstrations: 0 with a model.path that can act already"
        ) from None


def texts(runs: Sequence[Rollout]) -> list[str]:
    """All that is read and written in them."""
    out = []
    for run in runs:
        out.append(f"{run.task}\n>")
        out += [f" {step.action}\n{step.observation}\n>" for step in run.steps]
    return out


def examples(
    runs: Sequence[Rollout], transcript: Transcript, longest: int, lessons: Callable[[str], str]
) -> list[Example]:
    """Transcripts as the policy's own rollouts would read. One that is too long is cut before the turn that is."""
    out = []
    for run in runs:
        first = run.task or ""
        ids = transcript.prompt(first, lessons(first))
        mask = [0] * len(ids)
        for step in run.steps:
            action = transcript.action(str(step.action))
            if len(ids) + len(action) > longest:
                break
            reply = transcript.reply(str(step.observation), action)
            ids += action + reply
            mask += [1] * len(action) + [0] * len(reply)
        if any(mask):
            last = len(mask) - mask[::-1].index(1)
            out.append((ids[:last], mask[:last]))
    return out


def imitate(
    model: Any,
    data: Sequence[Example],
    given: Warmup,
    *,
    pad: int,
    seed: int,
    advance: Callable[[float], object] = lambda loss: None,
) -> float:
    """Train the model on the examples, in place; the mean loss of the last 20 steps.

    Raises:
        StepCreditError: there is no example, or the loss is not a number any more.
    """
    torch = extra("torch", "a warm start", name="train")
    if not data:
        raise StepCreditError("warmup: no demonstration holds an action that fits into rl.max_tokens")
    random = np.random.default_rng([seed, 1])
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=given.learning_rate, weight_decay=0.0, betas=(0.9, 0.99))
    device, began, losses = weights[0].device, time.monotonic(), []
    model.train()
    for i in range(given.steps):
        spent = time.monotonic() - began
        if given.seconds is not None and spent > given.seconds:
            break
        done = max(i / given.steps, spent / given.seconds if given.seconds else 0.0)
        rows = [data[j] for j in random.choice(len(data), min(given.batch_size, len(data)), replace=False)]
        for group in optimizer.param_groups:
            group["lr"] = (
                given.learning_rate * min(1.0, (i + 1) / 20) * (0.1 + 0.9 * (1 + math.cos(math.pi * done)) / 2)
            )
        loss = _loss(torch, model, rows, pad, device)
        if not torch.isfinite(loss):
            raise StepCreditError(
                f"warmup: the loss is {float(loss)} at step {i + 1}", hint="a lower warmup.learning_rate"
            )
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        losses.append(float(loss.detach()))
        advance(losses[-1])
    model.eval()
    return float(np.mean(losses[-20:])) if losses else float("nan")


def _loss(torch: Any, model: Any, rows: Sequence[Example], pad: int, device: Any) -> Any:
    longest = max(len(ids) for ids, _ in rows)
    ids = torch.tensor([x + [pad] * (longest - len(x)) for x, _ in rows], device=device)
    acts = torch.tensor([m + [0] * (longest - len(m)) for _, m in rows], device=device)
    real = torch.arange(longest, device=device) < torch.tensor([len(x) for x, _ in rows], device=device)[:, None]
    logits = model(input_ids=ids, attention_mask=real.long()).logits[:, :-1].float()
    wanted = torch.where(acts == 1, ids, -100)[:, 1:]
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), wanted.flatten())
