"""Steps in tags: <p1>..</p1>, a decision and an answer, the phases of a response."""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from stepcredit.segment._marked import Outside, marked
from stepcredit.segment._spans import Spans, between, trimmed


def tagged(text: str, *, tags: Sequence[str] = ("p#",), starts: Sequence[str] = (), outside: Outside = "own") -> Spans:
    r"""[n, 2] steps that stand in tags, tags included, without the white space around them.

    A step reaches from an opening tag to the next closing tag of its name; tags inside it mean nothing, and an opening
    tag that is never closed, like a closing one that was never opened, is text. Names are case-sensitive.

    Args:
        tags: names; "#" stands for a number, so that "p#" is <p1>, <p2>, ...
        starts: literal texts that begin a phase, such as "Ranking:", for responses whose phases have no closing tags.
            The first place of each, in the order given and outside of tags, cuts; the text itself is of the phase that
            it begins.
        outside: what stands outside of tags is a step of its own ("own"), or belongs to no step ("drop").

    Gaps hold white space, and with "drop" the text outside of tags. One step alone gives one span. Text without a tag
    is one step with "own", none with "drop".

    As published: the answers of subproblems, `tags=("p#",), outside="drop"` (SCRL, arXiv:2605.22074: tokens outside
    carry no credit; a missing tag is a fault of format that its reward has to see, not the cut); a mode decision and an
    answer, `tags=("judge", "think", "answer")` (KAT Step-SRPO, arXiv:2507.08297; its tags are not known);
    candidates and their ranking, `tags=(), starts=("Ranking:",)` (F-GRPO, arXiv:2605.12995; its boundary is not known).

    >>> text = "So <p1>4</p1> and <p2>6</p2>."
    >>> [text[a:b] for a, b in tagged(text)]
    ['So', '<p1>4</p1>', 'and', '<p2>6</p2>', '.']
    >>> [text[a:b] for a, b in tagged(text, outside="drop")]
    ['<p1>4</p1>', '<p2>6</p2>']
    >>> text = "a, b, c. Ranking: b, a"
    >>> [text[a:b] for a, b in tagged(text, tags=(), starts=("Ranking:",))]
    ['a, b, c.', 'Ranking: b, a']
    """
    inner = list(tag_spans(text, tags))
    if not starts:
        return marked(text, inner, outside)
    cuts = _phases(text, starts, inner)
    if not inner:
        return trimmed(text, between(((at, at) for at in cuts), len(text)))
    pieces = marked(text, inner, outside).tolist()
    return trimmed(text, (part for piece in pieces for part in _split(piece, cuts)))


def tag_spans(text: str, tags: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Each stretch from an opening tag to the next closing tag of its name, tags included, from left to right."""
    names = "|".join(re.escape(tag).replace(r"\#", r"\d{1,6}") for tag in tags)
    if not names:
        return
    found = list(re.finditer(rf"<(/?)({names})>", text))
    closing: dict[str, int] = {}
    ends = []
    for mark in reversed(found):
        if mark[1]:
            closing[mark[2]] = mark.end()
        ends.append(closing.get(mark[2]))
    done = 0
    for mark, end in zip(found, reversed(ends), strict=True):
        if not mark[1] and end is not None and mark.start() >= done:
            yield mark.start(), end
            done = end


def _phases(text: str, starts: Sequence[str], inner: list[tuple[int, int]]) -> list[int]:
    """Where each phase begins: the first place of its text behind the phase before, outside of tags."""
    free = between(inner, len(text))
    cuts: list[int] = []
    behind = 0
    for literal in starts:
        at = next((p for a, b in free if (p := text.find(literal, max(a, behind), b)) >= 0), -1) if literal else -1
        if at >= 0:
            cuts.append(at)
            behind = at + len(literal)
    return cuts


def _split(piece: tuple[int, int], cuts: list[int]) -> list[tuple[int, int]]:
    start, end = piece
    edges = [start, *(c for c in cuts if start < c < end), end]
    return list(pairwise(edges))
