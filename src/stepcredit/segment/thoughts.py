"""A reasoner's text: one paragraph of its thinking, one step; its answer, one step."""

import re

from stepcredit.segment._spans import Spans, as_spans, trimmed
from stepcredit.segment.paragraphs import paragraphs

_END = re.compile(r"</think(?:ing)?>")


def thoughts(text: str) -> Spans:
    r"""[n, 2] the paragraphs of the thinking, then all that follows it as the last step.

    The thinking ends with the last closing tag </think> (or </thinking>), which belongs to its last paragraph; an
    opening tag belongs to the first. What follows is the answer, blank lines and all: one step, so that the outcome
    can stay on it. Text without a closing tag is cut into its paragraphs (`paragraphs` says what those are and what
    stays whole). Gaps hold white space only. One step alone gives one span, unless it is an answer of paragraphs.

    A thought in the sense of TP-GRPO, arXiv:2507.23317 (secondary text), is a run of such steps that a judge labeled
    alike; which ones those are, the labels say, not the text.

    >>> text = "<think>\nTry 3.\n\nNo, 4.\n</think>\n\nIt is 4.\n\nDone."
    >>> [text[a:b] for a, b in thoughts(text)]
    ['<think>\nTry 3.', 'No, 4.\n</think>', 'It is 4.\n\nDone.']
    """
    end = max((m.end() for m in _END.finditer(text)), default=len(text))
    thinking = paragraphs(text[:end]).tolist()
    return as_spans([*thinking, *trimmed(text, [(end, len(text))]).tolist()])
