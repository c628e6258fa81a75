"""Lessons of successful rollouts, found again by the text of a task and put before it (as SLEA-RL does)."""

import re
from collections.abc import Sequence
from pathlib import Path
from zlib import crc32

import numpy as np

from stepcredit.data.layout import Floats
from stepcredit.evidence.experience_library import Library, render
from stepcredit.train.config import Experience
from stepcredit.train.rollouts import Played

FILE = "library.json"
_WORD = re.compile(r"\w+|[^\w\s]")
_WIDTH = 1024


def bag_of_words(texts: Sequence[str]) -> Floats:
    """[n, 1024] an Embedder that asks no model: how often each word occurs, by its hash, rows of length 1.

    >>> a, b, c = bag_of_words(["the red door", "the red key", "go west"])
    >>> bool(a @ b > a @ c)
    True
    """
    out = np.zeros((len(texts), _WIDTH))
    for row, text in zip(out, texts, strict=True):
        for word in _WORD.findall(text.lower()):
            row[crc32(word.encode()) % _WIDTH] += 1
    return np.asarray(out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12))


class Lessons:
    """What worked, by task. A lesson is the shortest successful rollout of a task in a step: what was done, and where.

    Args:
        given: how many lessons a prompt gets, how many are kept.
    """

    def __init__(self, given: Experience) -> None:
        self.given = given
        self.kept = self._empty()

    def _empty(self) -> Library:
        # Tasks of one world read alike: only what is all but equal is known already.
        return Library(golden=self.given.size, similar=0.98, embedder=bag_of_words)

    def __call__(self, first: str) -> str:
        """What to put before a task that reads so; "" where nothing is known."""
        return render(self.kept.best("golden", first, self.given.lessons))

    def learn(self, rollouts: Sequence[Played]) -> None:
        """Take in what succeeded."""
        best: dict[int, Played] = {}
        for one in rollouts:
            if one.outcome is not None and one.outcome >= 1 - 1e-9 and one.turns:
                before = best.get(one.task)
                if before is None or len(one.turns) < len(before.turns):
                    best[one.task] = one
        for one in best.values():
            self.teach(one.first, [turn.action for turn in one.turns])

    def teach(self, first: str, actions: Sequence[str]) -> None:
        """Take in what was done in a task that reads so."""
        text = f"{', '.join(actions)}. Task: {' '.join(first.split())}"
        self.kept.add("golden", "method", text, 1.0 / (1 + len(actions)))

    def save(self, folder: Path) -> None:
        """Write what is known into a checkpoint."""
        self.kept.save(folder / FILE)

    def load(self, folder: Path) -> None:
        """Know what a checkpoint holds.

        Raises:
            DataError: the file is damaged.
        """
        self.kept = Library.load(folder / FILE, embedder=bag_of_words)
