"""Records cut into finer steps by a text segmenter."""

import inspect
from collections.abc import Callable
from typing import Any

import msgspec

from stepcredit.data.records import Rollout, Step
from stepcredit.errors import DataError, StepCreditError


def cut(rollout: Rollout, segmenter: Callable[..., Any], **options: Any) -> Rollout:
    """The rollout with every step that has text cut into the segmenter's steps.

    A new step holds its part of the text, white space between parts left out. What is known of the whole old step goes
    where it happened: state, id and agent to the first part (agent to all), observation, reward, next state and tool
    calls to the last. Evidence, credit, match and action of a step that was really cut are dropped: they speak of
    another unit. A step without text, or in which the segmenter finds no more than one step, stays as it is.

    Raises:
        StepCreditError: the segmenter does not take text. DataError: a step to be cut carries token lists (cut those
            with `token_steps` and `Batch.resegment`), or is shared by several rollouts.
    """
    if next(iter(inspect.signature(segmenter).parameters)) != "text":
        raise StepCreditError(f"segmenter {segmenter.__name__!r} takes messages; to cut the text of steps give another")
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
        parts[0] = msgspec.structs.replace(parts[0], state=step.state)
        parts[-1] = msgspec.structs.replace(
            parts[-1],
            observation=step.observation,
            reward=step.reward,
            next_state=step.next_state,
            tool_calls=step.tool_calls,
            extra=step.extra,
        )
        steps += parts
    return msgspec.structs.replace(rollout, steps=steps)
