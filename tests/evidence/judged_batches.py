"""Rollouts for judges, and judges that answer by rule."""

import numpy as np

import stepcredit as sc
from stepcredit.data import Layout
from stepcredit.data.records import ToolCall


def rollout(name, *steps, group="p", outcome=None, task="What is 2 + 2 * 3?", **extra):
    """A record; a step is a text, a (text, observation) pair, or a Step."""
    made = []
    for step in steps:
        if isinstance(step, sc.Step):
            made.append(step)
        else:
            text, observation = step if isinstance(step, tuple) else (step, None)
            made.append(sc.Step(text=text, observation=observation))
    return sc.Rollout(group=group, rollout=name, outcome=outcome, task=task, steps=made, extra=extra)


def batch(*rollouts):
    return sc.Batch.from_records(rollouts)


def call(name, **arguments):
    return sc.Step(text="", tool_calls=[ToolCall(name=name, arguments=arguments)], observation="found")


def tree():
    """Two rollouts that share their first step."""
    first = sc.Step(id="a", text="shared", observation="seen")
    left = sc.Rollout(group="p", rollout=0, outcome=1.0, task="t", steps=[first, sc.Step(text="left")])
    right = sc.Rollout(group="p", rollout=1, outcome=0.0, task="t", prefix=["a"], steps=[sc.Step(text="right")])
    return batch(left, right)


class Scripted:
    """A judge that gives these replies in turn, the last one for ever; it keeps what it was asked."""

    def __init__(self, *replies):
        self.replies, self.prompts = list(replies), []

    def __call__(self, prompts):
        out = []
        for prompt in prompts:
            reply = self.replies[min(len(self.prompts), len(self.replies) - 1)]
            self.prompts.append(prompt)
            out.append(reply(prompt) if callable(reply) else reply)
        return out


def tokens(steps, group=0):
    """A layout of one rollout whose steps have so many tokens."""
    return Layout([group], [0] * len(steps), token_step=np.repeat(np.arange(len(steps)), steps))
