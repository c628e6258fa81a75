"""Rollouts of one task, labelled with models that are small functions."""

from stepcredit.data.records import Rollout, Step
from stepcredit.label.run import label


def rollout(*steps, name=0, outcome=None, task="Q", observation=None, **extra):
    made = [Step(text=s, observation=observation) for s in steps]
    return Rollout(group="p", rollout=name, task=task, outcome=outcome, steps=made, extra=extra)


def told(system, *rollouts, options=None, **models):
    """The labels of these rollouts and of what was drawn with them, in order."""
    ended = dict(label(rollouts, system, models, **(options or {})))
    return [one for place in sorted(ended) for one in ended[place]]


class Says:
    """A judge that says these replies in turn, the last one for ever; it remembers what it was asked."""

    def __init__(self, *replies):
        self.replies, self.asked = list(replies), []

    def __call__(self, prompts):
        out = []
        for prompt in prompts:
            self.asked.append(prompt)
            out.append(self.replies.pop(0) if len(self.replies) > 1 else self.replies[0])
        return out
