"""One line, one step."""

import re

from stepcredit.segment._spans import Spans, as_spans

# From the first character that is not white space to the last one on the same line.
_LINE = re.compile(r"\S(?:[^\r\n]*\S)?")


def lines(text: str) -> Spans:
    r"""[n, 2] the lines that are not blank, without the white space around them.

    A line ends at CR LF, LF or a lone CR. Gaps hold white space only. A line of a code block or of a LaTeX display is
    a line like any other; `paragraphs` keeps those whole. One step alone gives one span.

    >>> lines("Steps:\n 10 - 4 = 6 (left: 5 6 6)\r\n\nAnswer: none").tolist()
    [[0, 6], [8, 32], [35, 47]]
    """
    return as_spans(match.span() for match in _LINE.finditer(text))
