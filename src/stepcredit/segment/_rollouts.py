"""Records cut into finer steps by a text segmenter, batches by one that takes tokens."""

import inspect
from collections.abc import Callable
from typing import Any, Literal

import msgspec
import numpy as np

from stepcredit.data.batch import Batch
from stepcredit.data.layout import Ints
from stepcredit.data.records import Rollout, Step
from stepcredit.errors import DataError, LayoutError, StepCreditError
from stepcredit.ops import token_paths

Within = Literal["rollout", "step"]


def cut(rollout: Rollout, segmenter: Callable[..., Any], **options: Any) -> Rollout:
    """The rollout with every step that has text cut into the segmenter's steps.

    A new step holds its part of the text, white space between parts left out. What is known of the whole old step goes
    where it happened: state, id, reasoning, images and agent to the first part (agent to all), observation, replies,
    reward, next state, tool calls and origin to the last. Evidence, credit, match and action of a step that was really
    cut are dropped: they speak of another unit. A step without text, or in which the segmenter finds no more than one
    step, stays as it is.

    Raises:
        StepCreditError: the segmenter does not take text. DataError: a step to be cut carries token lists (cut those
            with `token_steps` and `Batch.resegment`), or is shared by several rollouts.
    """
    if (takes := first_parameter(segmenter)) != "text":
        raise StepCreditError(f"segmenter {segmenter.__name__!r} takes {takes}; to cut the text of steps give another")
    steps: list[Step] = []
    for t, step in enumerate(rollout.steps):
        spans = segmenter(step.text, **options).tolist() if step.text else []
        if len(spans) < 2:
            steps.append(step)
            continue
        if step.tokens is not None or step.id is not None:
            what = "carries tokens" if step.tokens is not None else "is shared by its id"
            raise DataError(
                f"the step {what} and cannot be cut as text",
                rollout=rollout.rollout,
                step=t,
                hint="map spans to tokens with stepcredit.segment.token_steps, then Batch.resegment",
            )
        text = step.text or ""
        parts = [Step(text=text[a:b], agent=step.agent) for a, b in spans]
        parts[0] = msgspec.structs.replace(parts[0], state=step.state, reasoning=step.reasoning, images=step.images)
        parts[-1] = msgspec.structs.replace(
            parts[-1],
            observation=step.observation,
            replies=step.replies,
            origin=step.origin,
            reward=step.reward,
            next_state=step.next_state,
            tool_calls=step.tool_calls,
            extra=step.extra,
        )
        steps += parts
    return msgspec.structs.replace(rollout, steps=steps)


def cut_tokens(batch: Batch, segmenter: Callable[..., Any], *, within: Within = "rollout", **options: Any) -> Batch:
    """The batch with its steps cut anew by a segmenter that takes tokens, as `Batch.resegment` does.

    Args:
        segmenter: one whose first parameter is `tokens` (it is given how many there are) or a column of tokens
            (`token_logp`, `token_entropy`, ...).
        within: what it is given at a time: the tokens of a "rollout", or of a "step", so that no new step crosses an
            old one.
        options: the segmenter's own.

    Raises:
        StepCreditError: it takes text or messages. MissingColumn: the batch holds no such column. LayoutError: rollouts
        share steps, or the segmenter does not return one step number per token.

    >>> from stepcredit.data import Layout
    >>> from stepcredit.segment.equal_cuts import equal_cuts
    >>> batch = Batch(Layout([0, 0], [0, 0, 1], token_step=[0, 0, 1, 1, 1, 2, 2]), {})
    >>> cut_tokens(batch, equal_cuts, length=3).layout.token_step.tolist()
    [0, 0, 0, 1, 1, 2, 2]
    >>> cut_tokens(batch, equal_cuts, length=3, within="step").layout.token_step.tolist()
    [0, 0, 1, 1, 1, 2, 2]
    """
    takes = first_parameter(segmenter)
    if takes != "tokens" and not takes.startswith("token_"):
        raise StepCreditError(
            f"segmenter {segmenter.__name__!r} takes {takes}, which a batch does not hold for it",
            hint="call it yourself, then segment.token_steps and Batch.resegment",
        )
    if batch.layout.is_tree:
        raise LayoutError("steps that rollouts share cannot be cut anew")
    values = None if takes == "tokens" else batch[takes]
    number = np.full(batch.layout.K, -1, np.int64)
    used = 0
    for rows in _stretches(batch, within):
        made = np.asarray(segmenter(rows.size if values is None else values[rows], **options))
        if made.shape != rows.shape or made.dtype.kind not in "iu":
            raise LayoutError(
                f"segmenter {segmenter.__name__!r} gave {made.dtype} {made.shape} for {rows.size} tokens",
                hint="one step number per token",
            )
        number[rows] = np.where(made < 0, -1, made + used)
        used += int(made.max(initial=-1)) + 1
    return batch.resegment(number)


def first_parameter(segmenter: Callable[..., Any]) -> str:
    """What a segmenter takes: the name of its first parameter."""
    return next(iter(inspect.signature(segmenter).parameters))


def _stretches(batch: Batch, within: Within) -> list[Ints]:
    """Token rows of each rollout in order, or of each step of it."""
    lay = batch.layout
    paths = token_paths(lay)
    key = paths.rollout if within == "rollout" else lay.tokens[paths.rows]
    edges = np.flatnonzero(np.diff(key)) + 1
    return [rows for rows in np.split(paths.rows, edges) if rows.size]
