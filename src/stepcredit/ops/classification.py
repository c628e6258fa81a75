"""Verdicts of yes and no against the truth."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class Confusion(NamedTuple):
    """How often yes and no were said, and were true. missing: not judged, or truth unknown; in none of the others."""

    true_yes: int
    false_yes: int
    missed: int
    true_no: int
    missing: int

    @property
    def accuracy(self) -> float:
        """Share of the judged that are right."""
        return _share(self.true_yes + self.true_no, self.true_yes + self.true_no + self.false_yes + self.missed)

    @property
    def precision(self) -> float:
        """Share of the yeses said that are true."""
        return _share(self.true_yes, self.true_yes + self.false_yes)

    @property
    def recall(self) -> float:
        """Share of the true yeses that were said."""
        return _share(self.true_yes, self.true_yes + self.missed)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall: 2 TP / (2 TP + FP + FN)."""
        return _share(2 * self.true_yes, 2 * self.true_yes + self.false_yes + self.missed)


def confusion(said: ArrayLike, truth: ArrayLike) -> Confusion:
    """Counts of verdicts against the truth, entry by entry: 1 or True is yes, 0 no, NaN and negative numbers missing.

    >>> made = confusion([1] * 10 + [0] * 4, [1] * 8 + [0] * 2 + [1] * 4)
    >>> round(made.precision, 3), round(made.recall, 3), round(made.f1, 3)
    (0.8, 0.667, 0.727)
    """
    a, b = np.asarray(said, float), np.asarray(truth, float)
    known = (a >= 0) & (b >= 0)
    yes, true = a[known] > 0, b[known] > 0
    return Confusion(
        int(np.sum(yes & true)),
        int(np.sum(yes & ~true)),
        int(np.sum(~yes & true)),
        int(np.sum(~yes & ~true)),
        int(np.sum(~known)),
    )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
