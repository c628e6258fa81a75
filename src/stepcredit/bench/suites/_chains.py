"""Chains of steps with one known error, and a model that completes them: how many calls does it take to find it?

A solution has T steps. Its first wrong step e is drawn evenly. The model completes a prefix without an error rightly
with chance  skill^(steps left)  (each step that it still has to write is right with chance `skill`), one with an error
with chance  repair * skill^(steps left).  So values fall towards the front, as with real completers: an unlucky zero
names a step that is right (too early), a lucky repair passes one that is wrong (too late).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

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
    repair: float = 0.0
    seed: int = 0
    first_error: Ints = field(init=False)

    def __post_init__(self) -> None:
        self.first_error = np.random.default_rng([self.seed, self.length]).integers(0, self.length, self.count)
        self._asked: Counter[str] = Counter()

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
        """Completions: the rest in one line. The same prompt has the same luck, whoever asks: ways to search are
        compared on equal draws."""
        return [self._drawn(p, n) for p in prompts]

    def verifier(self, answers: Sequence[str], references: Sequence[str]) -> Floats:
        """Whether a completion ends in the right answer."""
        return np.array([a.endswith(RIGHT) for a in answers], float)

    def _drawn(self, prompt: str, n: int) -> list[Sample]:
        name = f"{self.seed}|{self.length}|{prompt}|{self._asked[prompt]}".encode()
        self._asked[prompt] += 1
        rng = np.random.default_rng(int.from_bytes(blake2b(name, digest_size=8).digest(), "big"))
        chance = self._chance(prompt)
        return [Sample(RIGHT if u < chance else WRONG, written=self.length) for u in rng.random(n).tolist()]

    def _chance(self, prompt: str) -> float:
        done = prompt.count("\nstep ")
        return (self.repair if "wrong" in prompt else 1.0) * self.skill ** (self.length - done)
