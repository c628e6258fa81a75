"""Texts that are nearly the same: one that stands for each, by shared words or characters, by difflib, by vectors."""

from collections.abc import Callable, Sequence
from difflib import SequenceMatcher
from hashlib import blake2b
from itertools import combinations
from typing import Literal

import numpy as np

from stepcredit.data.encode import encode
from stepcredit.data.layout import Floats, Ints

Shingle = Literal["word", "char"]

HASHES = 128
SLEA_PREFIX, SLEA_COMPARED = 300, 500
_MISSED = 1e-6


def components(n: int, pairs: Sequence[tuple[int, int]]) -> Ints:
    """[n] smallest row that each row is joined with, through any chain of pairs.

    >>> components(4, [(3, 1), (1, 2)])
    array([0, 1, 1, 1])
    """
    parent = list(range(n))
    for i, j in pairs:
        while parent[i] != i:
            parent[i] = i = parent[parent[i]]
        while parent[j] != j:
            parent[j] = j = parent[parent[j]]
        parent[max(i, j)] = min(i, j)
    for i in range(n):  # parents are smaller: by now they are roots
        parent[i] = parent[parent[i]]
    return np.array(parent, np.int64)


def shingles(text: str, kind: Shingle, size: int) -> frozenset[str]:
    """Runs of `size` words or characters of a text; a shorter text is one run."""
    parts: Sequence[str] = text.split() if kind == "word" else text
    joiner = " " if kind == "word" else ""
    if len(parts) <= size:
        return frozenset([joiner.join(parts)])
    return frozenset(joiner.join(parts[i : i + size]) for i in range(len(parts) - size + 1))


def jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    """Shared part of two sets; 1 for two empty ones."""
    return len(a & b) / len(a | b) if a or b else 1.0


def by_minhash(texts: Sequence[str], threshold: float, *, kind: Shingle = "char", size: int = 5) -> list[str]:
    """[n] the text that stands for each: joined, through any chain, are texts whose shingles have a Jaccard index of at
    least `threshold`, and the smallest stands for them, so their order does not matter.

    MinHash only proposes pairs; each is decided by its exact index. A pair at the threshold is not proposed with a
    chance below 1e-6.
    """
    distinct = sorted(set(texts))
    sets = [shingles(t, kind, size) for t in distinct]
    pairs = [(i, j) for i, j in _candidates(sets, threshold) if jaccard(sets[i], sets[j]) >= threshold]
    return _joined(texts, distinct, pairs)


def by_vectors(texts: Sequence[str], embed: Callable[[Sequence[str]], Floats], threshold: float) -> list[str]:
    """[n] the text that stands for each: joined, through any chain, are texts whose unit vectors have a product of at
    least `threshold`, and the smallest stands for them."""
    distinct = sorted(set(texts))
    points = np.asarray(embed(distinct)) if distinct else np.zeros((0, 1))
    pairs: list[tuple[int, int]] = []
    for i in range(len(distinct)):
        near = np.flatnonzero(points[i + 1 :] @ points[i] >= threshold) + i + 1
        pairs += [(i, j) for j in near.tolist()]
    return _joined(texts, distinct, pairs)


def by_ratio(texts: Sequence[str], threshold: float) -> list[str]:
    """[n] the text that stands for each, in the order given: the first of those that stand for themselves whose difflib
    ratio with it is at least `threshold`, else itself. Another order may give other groups."""
    return _greedy(texts, threshold, key=lambda text: "", cut=None)


def by_slea(texts: Sequence[str], threshold: float) -> list[str]:
    """[n] as `by_ratio`, among texts with the same first 300 characters (blanks around them aside) only, and by the
    ratio of the first 500."""
    return _greedy(texts, threshold, key=lambda text: text.strip()[:SLEA_PREFIX], cut=SLEA_COMPARED)


def _joined(texts: Sequence[str], distinct: Sequence[str], pairs: Sequence[tuple[int, int]]) -> list[str]:
    stands = {t: distinct[h] for t, h in zip(distinct, components(len(distinct), pairs).tolist(), strict=True)}
    return [stands[t] for t in texts]


def _greedy(texts: Sequence[str], threshold: float, key: Callable[[str], str], cut: int | None) -> list[str]:
    found: dict[str, str] = {}
    heads: dict[str, list[tuple[str, SequenceMatcher[str]]]] = {}
    for text in dict.fromkeys(texts):
        mine = heads.setdefault(key(text), [])
        head = next((h for h, matcher in mine if _alike(matcher, text[:cut], threshold)), None)
        if head is None:
            mine.append((text, SequenceMatcher(None, "", text[:cut])))
        found[text] = text if head is None else head
    return [found[t] for t in texts]


def _alike(matcher: SequenceMatcher[str], text: str, threshold: float) -> bool:
    matcher.set_seq1(text)
    # The first two are upper bounds of the third, and cheap.
    return (
        matcher.real_quick_ratio() >= threshold and matcher.quick_ratio() >= threshold and matcher.ratio() >= threshold
    )


def _candidates(sets: Sequence[frozenset[str]], threshold: float) -> list[tuple[int, int]]:
    """Pairs that may be similar: equal in all rows of some band of their MinHash signatures."""
    if len(sets) < 2:
        return []
    rows = 1
    while rows < 16 and (1 - threshold ** (rows + 1)) ** (HASHES // (rows + 1)) <= _MISSED:
        rows += 1
    signatures = _signatures(sets)
    seen: set[tuple[int, int]] = set()
    for start in range(0, HASHES - rows + 1, rows):
        band, _ = encode(map(tuple, signatures[:, start : start + rows].tolist()))
        order = np.argsort(band, kind="stable")
        for bucket in np.split(order, np.flatnonzero(np.diff(band[order])) + 1):
            seen.update(combinations(bucket.tolist(), 2))
    return sorted(seen)


def _signatures(sets: Sequence[frozenset[str]]) -> Ints:
    """[n, HASHES] smallest value of each hash function over a set. Fixed functions: the same on every machine."""
    ids, keys = encode([s for one in sets for s in sorted(one)])
    digests = (blake2b(str(k).encode("utf-8", "surrogatepass"), digest_size=8).digest() for k in keys)
    values = np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)
    start = np.concatenate(([0], np.cumsum([len(one) for one in sets])))[:-1]
    seeds = _mixed(np.arange(1, HASHES + 1, dtype=np.uint64))
    out = [np.minimum.reduceat(_mixed(values ^ seed)[ids], start) for seed in seeds]
    return np.stack(out, axis=1).astype(np.int64)


def _mixed(x: np.ndarray[tuple[int, ...], np.dtype[np.uint64]]) -> np.ndarray[tuple[int, ...], np.dtype[np.uint64]]:
    """SplitMix64: a permutation of the 64-bit numbers."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
