"""Steps between literal separators."""

import re

from stepcredit.errors import StepCreditError
from stepcredit.segment._spans import LINE_END, Spans, between, trimmed


def separator(text: str, *, separator: str = "\n\n") -> Spans:
    r"""[n, 2] what stands between separators, without the white space around it; pieces of white space are dropped.

    The separator is literal, but for one thing: a line end in it (written "\n" or "\r\n") stands for any line end of
    the text, so "\n\n" cuts CRLF text too. Separators are sought from the left and do not overlap. Code blocks and
    displays are cut like the rest. Gaps hold white space and separators. One step alone gives one span, unless its
    separator begins or ends with white space.

    A step tag such as "ки" closes the step before it; after `tile` it belongs to that step. To cut on token ids see
    `cut_after`. Raises StepCreditError for an empty separator.

    >>> separator("2+2=4 ки\n4*3=12 ки", separator="ки").tolist()
    [[0, 5], [9, 15]]
    >>> separator("one\r\n\r\ntwo\n\n\n\nthree").tolist()
    [[0, 3], [7, 10], [14, 19]]
    """
    if not separator:
        raise StepCreditError("the separator is empty", hint='give a text to cut at, such as "\\n\\n"')
    pattern = LINE_END.join(re.escape(part) for part in re.split(r"\r\n|\n", separator))
    return trimmed(text, between((match.span() for match in re.finditer(pattern, text)), len(text)))
