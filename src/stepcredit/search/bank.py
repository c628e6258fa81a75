"""Solved problems, step by step, found again by what a new step says: for policies that show examples."""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np

from stepcredit.data.layout import Floats, Ints
from stepcredit.data.reading import read
from stepcredit.data.records import Rollout
from stepcredit.errors import StepCreditError
from stepcredit.protocols import Embedder

_WORD = re.compile(r"\b\w\w+\b")


@dataclass(frozen=True)
class Solved:
    """A problem and a right way through it.

    observations: what the environment answered to each step; thoughts: why each step was taken; template: what kind of
    problem it is and how such are solved. Empty where there are none.
    """

    problem: str
    steps: tuple[str, ...]
    observations: tuple[str | None, ...] = ()
    thoughts: tuple[str, ...] = ()
    template: str = ""

    def __post_init__(self) -> None:
        for name in ("observations", "thoughts"):
            if len(getattr(self, name)) not in (0, len(self.steps)):
                raise StepCreditError(
                    f"{len(getattr(self, name))} {name} for {len(self.steps)} steps", hint="one per step, or none"
                )

    def upto(self, step: int) -> str:
        """The problem and its steps, the one of this index marked as the key step."""
        lines = [f"{s}   <- key step" if i == step else s for i, s in enumerate(self.steps)]
        return "\n".join([self.problem.strip(), *lines])


class Hit(NamedTuple):
    """A step of the bank that was found: whose, which, and how like."""

    solved: int
    step: int
    likeness: float


class Likeness:
    """Cosine of texts to a fixed list of texts: by an encoder, or by TF-IDF as scikit-learn has it.

    tfidf(w) = count(w) * (ln((1 + n) / (1 + df(w))) + 1), rows of length 1; words of two letters or more
    """

    def __init__(self, texts: Iterable[str], embedder: Embedder | None = None) -> None:
        held = list(texts)
        self.n, self._embedder = len(held), embedder
        self._points = np.asarray(embedder(held), float) if embedder and held else np.zeros((0, 1))
        self._idf: dict[str, float] = {}
        self._where: dict[str, tuple[Ints, Floats]] = {}
        if embedder is None:
            counts = [Counter(_words(t)) for t in held]
            seen = Counter(w for c in counts for w in c)
            self._idf = {w: math.log((1 + self.n) / (1 + df)) + 1 for w, df in seen.items()}
            at: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
            for i, c in enumerate(counts):
                for word, weight in self._weights(c).items():
                    at[word].append((i, weight))
            self._where = {w: (np.array([i for i, _ in a]), np.array([x for _, x in a])) for w, a in at.items()}

    def to(self, text: str) -> Floats:
        """[texts] cosine of each to this one; 0 to one without a word in common."""
        if self._embedder is not None:
            return np.asarray(self._points @ self._embedder([text])[0] if self.n else np.zeros(0), float)
        out = np.zeros(self.n)
        for word, weight in self._weights(Counter(_words(text))).items():
            rows, theirs = self._where[word]
            out[rows] += weight * theirs
        return out

    def _weights(self, count: Mapping[str, int]) -> dict[str, float]:
        raw = {w: n * self._idf[w] for w, n in count.items() if w in self._idf}
        length = math.sqrt(sum(x * x for x in raw.values()))
        return {w: x / length for w, x in raw.items()}


class StepBank:
    """Solved problems. embedder: compares texts; None: TF-IDF over the bank."""

    def __init__(self, solved: Iterable[Solved], embedder: Embedder | None = None) -> None:
        self.solved = tuple(solved)
        self.embedder = embedder
        self.places = [(i, t) for i, one in enumerate(self.solved) for t in range(len(one.steps))]
        self._indices: dict[str, Likeness] = {}

    @classmethod
    def of(cls, given: "StepBank | str | Path | None", who: str) -> "StepBank":
        """The bank itself, or one of the rollouts in a file.

        Raises:
            StepCreditError: none is given; in the file no rollout has an outcome of 1.
        """
        if given is None:
            raise StepCreditError(
                f"{who} shows solved steps and has no bank of them",
                hint="bank=StepBank.from_rollouts(...), or the file of rollouts that succeeded",
            )
        if isinstance(given, StepBank):
            return given
        bank = cls.from_rollouts(read(given).records or ())
        if not bank.solved:
            raise StepCreditError(f"no rollout in {given} succeeded: there is nothing to show", hint="outcomes of 1")
        return bank

    @classmethod
    def from_rollouts(cls, rollouts: Iterable[Rollout], embedder: Embedder | None = None, least: float = 1.0) -> Self:
        """Of the rollouts with an outcome of at least `least`; a thought is `thought` of a step's further fields."""
        kept = [r for r in rollouts if r.outcome is not None and r.outcome >= least and r.steps]
        return cls((_solved(r) for r in kept), embedder)

    def steps_like(self, text: str, k: int = 1, floor: float = -1.0, *, by: str = "steps", but: str = "") -> list[Hit]:
        """The k steps most like a text, the most alike first, of equals the first in the bank.

        Args:
            floor: least likeness. by: "steps", or "thoughts" that go with them. but: a problem that is left out.

        Raises:
            StepCreditError: by="thoughts" and a step has none.
        """
        if by == "thoughts" and any(not one.thoughts for one in self.solved):
            raise StepCreditError("steps of the bank have no thoughts", hint="search.policies.trad.with_thoughts(bank)")
        texts = lambda: (getattr(self.solved[i], by)[t] for i, t in self.places)  # noqa: E731
        allowed = [self.solved[i].problem.strip() != but.strip() for i, _ in self.places]
        found = _nearest(self._index(by, texts).to(text), allowed, k, floor)
        return [Hit(*self.places[j], likeness) for j, likeness in found]

    def problems_like(
        self, text: str, k: int = 1, floor: float = -1.0, *, by: str = "problem", but: str = ""
    ) -> list[Solved]:
        """The k solved problems most like a text, by "problem" or by "template".

        Raises:
            StepCreditError: by="template" and a problem has none.
        """
        if by == "template" and any(not one.template for one in self.solved):
            raise StepCreditError(
                "problems of the bank have no template", hint="search.policies.r2_llms.with_templates(bank)"
            )
        texts = lambda: (getattr(one, by) for one in self.solved)  # noqa: E731
        allowed = [one.problem.strip() != but.strip() for one in self.solved]
        found = _nearest(self._index(by, texts).to(text), allowed, k, floor)
        return [self.solved[j] for j, _ in found]

    def replaced(self, solved: Iterable[Solved]) -> "StepBank":
        """The same bank with these problems."""
        return StepBank(solved, self.embedder)

    def _index(self, by: str, texts: Callable[[], Iterable[str]]) -> Likeness:
        if by not in self._indices:
            self._indices[by] = Likeness(texts(), self.embedder)
        return self._indices[by]


def _solved(rollout: Rollout) -> Solved:
    steps = rollout.steps
    texts = tuple(s.text or ("" if s.action is None else str(s.action)) for s in steps)
    seen = tuple(None if s.observation is None else str(s.observation) for s in steps)
    thoughts = tuple(str(s.extra.get("thought") or "") for s in steps)
    one = Solved(rollout.task or "", texts, seen if any(o is not None for o in seen) else ())
    return replace(one, thoughts=thoughts) if all(thoughts) else one


def _nearest(likeness: Floats, allowed: Collection[bool], k: int, floor: float) -> list[tuple[int, float]]:
    fit = np.where(list(allowed), likeness, -math.inf) if likeness.size else likeness
    order = np.argsort(-fit, kind="stable")[: max(k, 0)].tolist()
    return [(j, float(fit[j])) for j in order if fit[j] >= floor and fit[j] > -math.inf]


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())
