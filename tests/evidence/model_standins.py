"""Models that say what a test tells them to, and count what they are asked."""

import numpy as np

from stepcredit.data.batch import Batch
from stepcredit.data.records import Rollout, Step
from stepcredit.protocols import Sample


def batch(*rollouts, group="g", task="Q", outcomes=None, gold="4", observations=None):
    """Rollouts given as lists of step texts; a tuple is (text, observation)."""
    records = []
    for i, steps in enumerate(rollouts):
        made = [Step(text=s[0], observation=s[1]) if isinstance(s, tuple) else Step(text=s) for s in steps]
        outcome = None if outcomes is None else outcomes[i]
        records.append(
            Rollout(
                group=group, rollout=i, task=task, outcome=outcome, steps=made, extra={"gold": gold} if gold else {}
            )
        )
    return Batch.from_records(records)


class Scripted:
    """A sampler that goes through a list of texts per prompt, round and round."""

    def __init__(self, texts, default=("?",)):
        self.texts, self.default, self.asked, self.options = texts, default, [], []
        self.at = {}

    def __call__(self, prompts, *, n=1, max_tokens=256, temperature=1.0, stop=()):
        self.options.append({"n": n, "max_tokens": max_tokens, "temperature": temperature, "stop": stop})
        out = []
        for prompt in prompts:
            self.asked.append(prompt)
            texts, at = self.texts.get(prompt, self.default), self.at.get(prompt, 0)
            picked = [texts[(at + i) % len(texts)] for i in range(n)]
            self.at[prompt] = at + n
            out.append([t if t is None or isinstance(t, Sample) else Sample(t) for t in picked])
        return out


class Table:
    """A forcer (or entropies, hidden states) that looks up (prefix, continuation), or asks a function of both."""

    def __init__(self, table):
        self.table, self.asked = table, []

    def __call__(self, prefixes, continuations):
        pairs = list(zip(prefixes, continuations, strict=True))
        self.asked += pairs
        return [self.table(p, c) if callable(self.table) else self.table[p, c] for p, c in pairs]


def equal(answers, references):
    """A verifier: the same text is right, "?" cannot be told."""
    return np.array([np.nan if a == "?" else float(a == r) for a, r in zip(answers, references, strict=True)])
