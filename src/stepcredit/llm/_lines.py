"""A distribution over texts as a language model sees it: token by token, each given what stands before it."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from stepcredit.data.layout import Floats

_PIECE = re.compile(r"\w+(?=\n)|\w*\W|\w+")
_LAST = "\U0010ffff"


def pieces(text: str) -> list[str]:
    """Tokens: letters and digits with the one other character behind them ("10 ", "-", " ", "4 "); a line end is one.

    No token begins another that could stand in its place, so that where a text was cut says nothing about what follows.
    """
    return _PIECE.findall(text)


@dataclass(frozen=True, slots=True)
class Written:
    """A text with what a `Sample` tells about it; entries are per token."""

    text: str
    tokens: tuple[str, ...]
    logp: Floats
    entropy: Floats
    top_logp: tuple[Floats, ...]
    top_tokens: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class _Group:
    """Texts low to high that go on with the same token."""

    token: str
    low: int
    high: int
    mass: float


class Lines:
    """What may come next.

    Args:
        texts: in ascending order, each once. p: [A] how likely each is.
        top: how many of the likeliest tokens `written` tells.
    """

    def __init__(self, texts: Sequence[str], p: Floats, top: int) -> None:
        self.texts, self.p, self._top = texts, p, top
        self._ways: dict[tuple[int, int, int], list[_Group]] = {}
        self._written: dict[int, Written] = {}
        self._edges: dict[float, list[float]] = {}

    @cached_property
    def places(self) -> dict[str, int]:
        """Where each text stands."""
        return {text: i for i, text in enumerate(self.texts)}

    def span(self, beginning: str) -> tuple[int, int]:
        """The texts that begin so, as low and high."""
        return bisect_left(self.texts, beginning), bisect_right(self.texts, beginning + _LAST)

    def after(self, beginning: str) -> "Lines | None":
        """What may follow the beginning of a text; None where none begins so."""
        low, high = self.span(beginning)
        p = self.p[low:high]
        if not p.sum() > 0:
            return None
        return Lines([t[len(beginning) :] for t in self.texts[low:high]], p / p.sum(), self._top)

    def pick(self, u: float, temperature: float) -> int:
        """The text in which u, uniform on [0, 1), falls. The temperature is that of every token."""
        edges = self._edges.get(temperature)
        if edges is None:
            edges = self._edges[temperature] = np.cumsum(self.tempered(temperature)).tolist()
        return min(bisect_right(edges, u * edges[-1]), len(edges) - 1)

    def tempered(self, temperature: float) -> Floats:
        """[A] how likely each text is where every token is drawn at a temperature; 0 = the likeliest each time."""
        if temperature == 1:
            return self.p
        found = np.zeros_like(self.p)
        open_ = [(0, len(self.texts), 0, 1.0)]
        while open_:
            low, high, at, chance = open_.pop()
            if high - low == 1:
                found[low] = chance
                continue
            ways = self._next(low, high, at)
            mass = np.array([w.mass for w in ways])
            if temperature == 0:
                share = (np.arange(len(ways)) == mass.argmax()).astype(float)
            else:
                with np.errstate(divide="ignore"):
                    share = np.exp((np.log(mass) - np.log(mass.max())) / temperature)
                share /= share.sum()
            open_ += [
                (w.low, w.high, at + len(w.token), chance * s) for w, s in zip(ways, share.tolist(), strict=True) if s
            ]
        return found

    def written(self, i: int) -> Written:
        """A text with the log-probability of its tokens, and what else could have stood there."""
        found = self._written.get(i)
        if found is None:
            found = self._written[i] = self._tell(i)
        return found

    def log_chance(self, beginning: str, given: str = "") -> float:
        """log P(a text begins so | it begins as given)."""
        (a, b), (c, d) = self.span(beginning), self.span(given)
        mass = float(self.p[a:b].sum())
        return float(np.log(mass / self.p[c:d].sum())) if mass > 0 else -np.inf

    def _tell(self, i: int) -> Written:
        text, low, high, at = self.texts[i], 0, len(self.texts), 0
        tokens, logp, entropy = [], [], []
        top: list[tuple[Floats, tuple[str, ...]]] = []
        while at < len(text):
            ways = self._next(low, high, at)
            mine = next(w for w in ways if w.low <= i < w.high)
            p = np.array([w.mass for w in ways])
            p /= p.sum()
            tokens.append(mine.token)
            logp.append(float(np.log(p[ways.index(mine)])))
            entropy.append(abs(float((p[p > 0] * np.log(p[p > 0])).sum())))
            if self._top:
                best = [int(k) for k in np.argsort(-p, kind="stable")[: self._top] if p[k] > 0]
                top.append((_fixed(np.log(p[best])), tuple(ways[k].token for k in best)))
            low, high, at = mine.low, mine.high, at + len(mine.token)
        return Written(
            text,
            tuple(tokens),
            _fixed(np.array(logp)),
            _fixed(np.array(entropy)),
            tuple(values for values, _ in top),
            tuple(words for _, words in top),
        )

    def _next(self, low: int, high: int, at: int) -> list[_Group]:
        """The tokens that can follow the first `at` characters, which texts low to high share."""
        found = self._ways.get((low, high, at))
        if found is None:
            found = self._ways[low, high, at] = list(self._groups(low, high, at))
        return found

    def _groups(self, low: int, high: int, at: int) -> Iterator[_Group]:
        begin = low
        while begin < high:
            match = _PIECE.match(self.texts[begin], at)
            token = match[0] if match else ""
            end = begin + 1
            while end < high and self.texts[end].startswith(token, at):
                end += 1
            yield _Group(token, begin, end, float(self.p[begin:end].sum()))
            begin = end


def _fixed(values: Floats) -> Floats:
    values.flags.writeable = False
    return values
