"""Rollouts and models of a few words, for label systems."""

import numpy as np

from stepcredit.data.records import Rollout, Step
from stepcredit.label.run import label
from stepcredit.protocols import Sample


def rollout(*steps, outcome=0.0, name=0, group="p", **extra):
    made = [s if isinstance(s, Step) else Step(text=s) for s in steps]
    return Rollout(group=group, rollout=name, task="Q", outcome=outcome, steps=made, extra={"reference": "24", **extra})


class Completer:
    """Of a prefix of t steps, `right[t]` of every 8 completions are right, those that come first; None = it fails; of a
    list the next one each time, the last one for ever.

    asked: the number of steps of each prefix that was to be completed, in order.
    """

    def __init__(self, *right):
        self.right, self.asked = right, []

    def sampler(self, prompts, *, n=1, max_tokens=256, temperature=1.0, stop=()):
        out = []
        for prompt in prompts:
            done = prompt.count("\n") - 1
            self.asked.append(done)
            right = self.right[done]
            if isinstance(right, list):
                right = right[min(self.asked.count(done), len(right)) - 1]
            out.append(None if right is None else [self._said(i, right) for i in range(n)])
        return out

    def _said(self, i, right):
        return Sample("so 24" if i % 8 < right else "so 7")


def solves(answers, references):
    return np.array([float(a.endswith(r)) for a, r in zip(answers, references, strict=True)])


def labelled(system, given, models, /, **options):
    given = [given] if isinstance(given, Rollout) else given
    ended = dict(label(given, system, {"verifier": solves, **models}, **options))
    found = [one for place in sorted(ended) for one in ended[place]]
    return found[0] if len(found) == 1 else found


class Writer:
    """Writes from tables: prefix -> next steps, and prefix -> the rest of a solution. Prefixes without the task.

    stops: when it is asked for one step. An entry None fails. greedy: the temperatures that it was asked at for the
    rest.
    """

    def __init__(self, steps, rests=None):
        self.steps, self.rests, self.heats = steps, rests or {}, []

    def sampler(self, prompts, *, n=1, max_tokens=256, temperature=1.0, stop=()):
        out = []
        for prompt in prompts:
            known = self.steps if stop else self.rests
            self.heats += [] if stop else [temperature]
            texts = known.get(prompt.partition("\n")[2])
            out.append(None if texts is None else [self._sample(texts[i % len(texts)]) for i in range(n)])
        return out

    def _sample(self, text):
        return Sample(text, ("x",), np.array([-0.5]), ended=text.startswith("so"))
