"""Chains of steps with one known error, and a model that completes them: how many calls does it take to find it?

A solution has T steps. Its first wrong step e is drawn evenly. The model completes a prefix without an error rightly
with chance  skill^(steps left)  (each step that it still has to write is right with chance `skill`), and never repairs
one. So values fall towards the front, as with real completers, and an unlucky zero misleads whoever trusts it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from stepcredit.data.layout import Floats, Ints
from stepcredit.data.records import Rollout, Step
from stepcredit.protocols import Sample

RIGHT, WRONG = "Answer: right", "Answer: wrong"


@dataclass
class Chains:
    """Solutions and the model that completes them; `sampler` and `verifier` are those of `protocols`."""

    length: int
    skill: float
    count: int
    seed: int = 0
    first_error: Ints = field(init=False)

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng([self.seed, self.length])
        self.first_error = self._rng.integers(0, self.length, self.count)

    def rollouts(self) -> list[Rollout]:
        """The solutions; each is a task of its own, and failed."""
        return [
            Rollout(
                group=str(i),
                rollout=str(i),
                task=f"Chain {i} of {self.length} steps",
                outcome=0.0,
                steps=[Step(text=f"step {t} {'wrong' if t == e else 'right'}") for t in range(self.length)],
            )
            for i, e in enumerate(self.first_error.tolist())
        ]

    def sampler(
        self,
        prompts: Sequence[str],
        *,
        n: int = 1,
        max_tokens: int = 256,
        temperature: float = 1.0,
        stop: Sequence[str] = (),
    ) -> list[list[Sample]]:
        """Completions: the rest in one line."""
        chance = np.array([self._chance(p) for p in prompts])
        right = self._rng.random((len(prompts), n)) < chance[:, None]
        return [[Sample(RIGHT if r else WRONG, written=self.length) for r in row] for row in right.tolist()]

    def verifier(self, answers: Sequence[str], references: Sequence[str]) -> Floats:
        """Whether a completion ends in the right answer."""
        return np.array([a.endswith(RIGHT) for a in answers], float)

    def _chance(self, prompt: str) -> float:
        done = prompt.count("\nstep ")
        return 0.0 if "wrong" in prompt else self.skill ** (self.length - done)
