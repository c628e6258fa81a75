"""Character spans, and the gaps between them."""

import re
from collections.abc import Iterable
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from stepcredit.data.layout import Ints
from stepcredit.errors import LayoutError

Spans: TypeAlias = Ints
"""[n, 2] half-open ranges [start, end), in order, not overlapping."""

# Atomic: given back, the CR of a CR LF would pass for a line end of its own and make one line end two.
LINE_END = r"(?>\r\n|\r|\n)"
LINE_START = r"(?:\A|(?<=[\r\n]))"
BLANK = r"[^\S\r\n]"


def wide(character: str) -> bool:
    """Chinese, Japanese and Korean text goes on without spaces."""
    return "\u2e80" <= character <= "\u9fff" or "\uac00" <= character <= "\ud7af" or "\uff00" <= character <= "\uffef"


def whole(phrase: str) -> str:
    """A pattern for the phrase as whole words, with any white space between them."""
    words = phrase.split()
    start = "" if wide(words[0][0]) else r"(?<!\w)"
    end = "" if wide(words[-1][-1]) else r"(?!\w)"
    return start + r"\s+".join(map(re.escape, words)) + end


def trimmed(text: str, pieces: Iterable[tuple[int, int]]) -> Spans:
    """Pieces of the text without the white space at their ends; pieces of white space alone are dropped."""
    rows = []
    for start, end in pieces:
        piece = text[start:end]
        kept = piece.strip()
        if kept:
            left = start + len(piece) - len(piece.lstrip())
            rows.append((left, left + len(kept)))
    return as_spans(rows)


def between(cuts: Iterable[tuple[int, int]], length: int) -> list[tuple[int, int]]:
    """What lies before, between and after ordered cuts: n cuts, n + 1 pieces, empty ones included."""
    edges = [0]
    for start, end in cuts:
        edges += (start, end)
    edges.append(length)
    return list(zip(edges[::2], edges[1::2], strict=True))


def as_spans(rows: Iterable[tuple[int, int]]) -> Spans:
    return np.array(list(rows), dtype=np.int64).reshape(-1, 2)


def check_pairs(pairs: ArrayLike, name: str) -> Spans:
    """`pairs` as int64 [n, 2] with start <= end in every row, or LayoutError."""
    array = np.asarray(pairs)
    if array.size == 0:
        return np.zeros((0, 2), dtype=np.int64)
    if array.ndim != 2 or array.shape[1] != 2 or array.dtype.kind not in "iu":
        raise LayoutError(f"{name}: got {array.dtype} of shape {array.shape}, expected integers of shape [n, 2]")
    array = array.astype(np.int64)
    if (bad := (array[:, 0] > array[:, 1]) | (array[:, 0] < 0)).any():
        row = int(bad.argmax())
        raise LayoutError(f"{name}: row {row} is {array[row].tolist()}, expected 0 <= start <= end")
    return array


def check_spans(spans: ArrayLike) -> Spans:
    """`spans` as int64 [n, 2], in order and not overlapping, or LayoutError."""
    array = check_pairs(spans, "spans")
    if (bad := array[1:, 0] < array[:-1, 1]).any():
        row = int(bad.argmax())
        raise LayoutError(f"spans {row} and {row + 1} overlap or are out of order: {array[row : row + 2].tolist()}")
    return array


def gaps(spans: ArrayLike, length: int) -> Spans:
    """[m, 2] the ranges of [0, length) that no span covers, in order, none empty.

    Raises LayoutError if spans overlap, are out of order or end after `length`.

    >>> gaps([[2, 5], [5, 7]], 9).tolist()
    [[0, 2], [7, 9]]
    """
    array = check_spans(spans)
    _check_fits(array, length)
    edges = np.concatenate([[0], array.ravel(), [length]]).reshape(-1, 2)
    return edges[edges[:, 0] < edges[:, 1]]


def tile(spans: ArrayLike, length: int) -> Spans:
    """[n, 2] the same steps, stretched until they cover [0, length): a gap goes to the step before it.

    A separator then belongs to the step that it closes, and what stands before the first step belongs to the first.
    No spans stay no spans. Not for `thought_action`: its gaps hold environment text, which carries no credit.
    Raises LayoutError as `gaps` does.

    >>> tile([[2, 5], [6, 7]], 9).tolist()
    [[0, 6], [6, 9]]
    """
    array = check_spans(spans)
    _check_fits(array, length)
    if not len(array):
        return array
    starts = np.concatenate([[0], array[1:, 0]])
    return np.stack([starts, np.append(starts[1:], length)], axis=1)


def _check_fits(spans: Spans, length: int) -> None:
    if len(spans) and spans[-1, 1] > length:
        raise LayoutError(f"the last span is {spans[-1].tolist()}, which ends after the text: length {length}")
