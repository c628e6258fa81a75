"""Text cut at stretches that are marked, and what becomes of the rest."""

from collections.abc import Iterable
from typing import Literal

from stepcredit.segment._spans import Spans, between, trimmed

Outside = Literal["own", "drop"]


def marked(text: str, stretches: Iterable[tuple[int, int]], outside: Outside) -> Spans:
    """Ordered stretches, trimmed; what lies outside them as steps of its own, or as gaps."""
    inner = list(stretches)
    if outside == "drop":
        return trimmed(text, inner)
    outer = between(inner, len(text))
    pieces = [piece for pair in zip(outer, [*inner, (0, 0)], strict=True) for piece in pair][:-1]
    return trimmed(text, pieces)
