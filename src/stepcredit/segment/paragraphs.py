"""One paragraph, one step; code blocks and displays stay whole."""

import re

from stepcredit.segment._blocks import blocks, inside
from stepcredit.segment._spans import BLANK, LINE_END, Spans, between, trimmed

_BLANK_LINES = re.compile(rf"{LINE_END}{BLANK}*+{LINE_END}\s*+")


def paragraphs(text: str) -> Spans:
    r"""[n, 2] what stands between blank lines, without the white space around it.

    A line is blank if it holds nothing but white space. Blank lines inside fenced code (``` or ~~~; to the end of the
    text if never closed) and inside LaTeX displays (\[..\], $$..$$, \begin{align}..\end{align} and the like; not if
    never closed) do not cut. Gaps hold white space only. One step alone gives one span.

    Left out: HTML blocks, indented code, and lists, whose items are paragraphs if blank lines stand between them.

    >>> paragraphs("Let x = 1.\nThen\n \nso\n\n```\na\n\nb\n```\nends.").tolist()
    [[0, 15], [18, 20], [22, 40]]
    """
    cuts = [match.span() for match in _BLANK_LINES.finditer(text)]
    kept = ~inside((start for start, _ in cuts), blocks(text))
    return trimmed(text, between((cut for cut, keep in zip(cuts, kept.tolist(), strict=True) if keep), len(text)))
