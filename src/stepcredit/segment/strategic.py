"""Phrases with which a reasoner steers itself, and what lies between them."""

import re
from collections.abc import Sequence

from stepcredit.segment._marked import Outside, marked
from stepcredit.segment._spans import Spans, whole

PHRASES = (
    *("let me think about", "let me check", "let me verify", "let me reconsider", "let me try", "let's consider"),
    *("let's check", "let's verify", "let's try", "let's see if", "let's start by", "let's break this down"),
    *("first, we need to", "we need to find", "the next step is", "the key is to", "the key idea is", "our goal is to"),
    *("on the other hand", "alternatively, we can", "another way to", "another approach is", "what if we"),
    *("if this is true", "in this case", "consider the case", "case by case", "without loss of generality"),
    *("it follows that", "this means that", "this implies that", "we can conclude that", "putting it all together"),
    *("wait, but", "but wait", "hold on", "go back to", "going back to", "start over", "that's not right"),
    *("that doesn't work", "this is a contradiction", "double check", "to double-check", "to make sure that"),
)
"""Our own list, of deduction, branching, backtracking and checking. Mine your own: `strategic_phrases`."""


def strategic(text: str, *, phrases: Sequence[str] = PHRASES, outside: Outside = "own") -> Spans:
    """[n, 2] strategic phrases, and the stretches between them, without the white space around them.

    A phrase is found in any case, with any white space between its words, not inside a longer word. Matches that
    overlap or touch are one stretch: a character counts once, however many phrases it is in.

    Args:
        phrases: what to find.
        outside: what stands between phrases is a step of its own ("own"), or belongs to no step ("drop": what is left
            are the planning stretches, see `strategic_phrases`).

    Gaps hold white space, and with "drop" the text between phrases. One step alone gives one span.

    Source: HICRA, arXiv:2509.03646 (secondary text: planning tokens are those inside a match of a strategic gram;
    matched on the text, not on token ids, which differ with a leading blank and with case).

    >>> text = "x is 3. Wait, but let me check: 3+3=6."
    >>> [text[a:b] for a, b in strategic(text)]
    ['x is 3.', 'Wait, but', 'let me check', ': 3+3=6.']
    """
    return marked(text, phrase_matches(text, phrases), outside)


def phrase_matches(text: str, phrases: Sequence[str]) -> list[tuple[int, int]]:
    """Stretches covered by matches of the phrases, in order; those that overlap or touch are one."""
    pattern = phrase_pattern(phrases)
    if pattern is None:
        return []
    merged: list[tuple[int, int]] = []
    at = 0
    while found := pattern.search(text, at):
        start, end = found.span(1)
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
        at = start + 1
    return merged


def phrase_pattern(phrases: Sequence[str]) -> re.Pattern[str] | None:
    """A pattern whose group 1 is the longest of the phrases that stands at a place; None without phrases."""
    listed = sorted({whole(p) for p in phrases if p.strip()}, key=lambda p: (-len(p), p))
    return re.compile(f"({'|'.join(listed)})", re.IGNORECASE) if listed else None
