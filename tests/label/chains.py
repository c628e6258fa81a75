"""Chains of steps with one wrong step at a known place, and who completes them."""

import numpy as np

from stepcredit.data.records import Rollout, Step
from stepcredit.label.run import label
from stepcredit.protocols import Sample


class Chains:
    """Solutions of `size` steps whose first wrong step is drawn evenly. A completion of a prefix without it is right
    with chance `ability`; of one with it never."""

    def __init__(self, size, ability, count=200, seed=0):
        self.size, self.ability = size, ability
        self.rng = np.random.default_rng([seed, size])
        self.first = self.rng.integers(0, size, count).tolist()

    def rollouts(self):
        return [
            Rollout(
                group=str(i),
                rollout=i,
                task=f"Chain {i}",
                outcome=0.0,
                steps=[Step(text=f"step {t}{' wrong' if t == first else ''}") for t in range(self.size)],
            )
            for i, first in enumerate(self.first)
        ]

    def sampler(self, prompts, *, n=1, max_tokens=256, temperature=1.0, stop=()):
        chance = np.array([0.0 if "wrong" in p else self.ability for p in prompts])
        right = self.rng.random((len(prompts), n)) < chance[:, None]
        return [[Sample("right" if r else "no") for r in row] for row in right]

    def verifier(self, answers, references):
        return np.array([float(a.endswith("right")) for a in answers])

    def search(self, system, **options):
        """(share of first errors found, share not known, completions a chain)."""
        models = {"sampler": self.sampler, "verifier": self.verifier}
        found = {one.rollout: one for _, unit in label(self.rollouts(), system, models, **options) for one in unit}
        said = [found[i].first_error for i in range(len(self.first))]
        hit = np.mean([a == b for a, b in zip(said, self.first, strict=True)])
        calls = np.mean([one.spent.get("sample", 0) for one in found.values()])
        return float(hit), said.count(None) / len(said), float(calls)
