"""Steps that begin where a reasoner turns: However, Wait, So ..."""

import re
from collections.abc import Sequence

from stepcredit.errors import StepCreditError
from stepcredit.segment._spans import Spans, between, trimmed, whole
from stepcredit.segment.sentences import sentences

MARKERS = ("However", "Therefore", "So", "But", "Wait")
"""As the paper's team names them, with "and so on" after them."""


def markers(
    text: str,
    *,
    words: Sequence[str] = MARKERS,
    inside: bool = True,
    distance: int = 100,
    skip: int = 0,
    lines: bool = True,
) -> Spans:
    """[n, 2] steps, each from a sentence with a marker word to the next such sentence, without white space around them.

    Args:
        words: the markers, in the case given, as whole words (or phrases).
        inside: a marker anywhere in a sentence cuts before that sentence; False: only one that begins it.
        distance: fewest characters from one cut (or the beginning) to the next; a nearer one is passed over.
        skip: no cut before this character: the restatement of the problem, with which reasoners begin, is of the first
            step.
        lines: as in `sentences`.

    Gaps hold white space only. One step alone gives one span. Text without a marker is one step.

    Raises:
        StepCreditError: no words, or a negative distance.

    Source: VSRM, arXiv:2508.10293 (a text by the authors' team: marker words, skipped restatement, least distance, the
    cut moved to where the sentence begins). The paper counts tokens; its numbers and its full list are not known.

    >>> text = "We need x. Half of 8 is 4. Wait, it says 6. So x = 3."
    >>> [text[a:b] for a, b in markers(text, distance=5)]
    ['We need x. Half of 8 is 4.', 'Wait, it says 6.', 'So x = 3.']
    >>> [text[a:b] for a, b in markers(text, distance=20)]
    ['We need x. Half of 8 is 4.', 'Wait, it says 6. So x = 3.']
    """
    if not words or not all(map(str.strip, words)) or distance < 0 or skip < 0:
        raise StepCreditError(
            f"words={list(words)}, distance={distance}, skip={skip}", hint="some words; distances of 0 or more"
        )
    listed = "|".join(map(whole, words))
    pattern, opening = re.compile(listed), re.compile(rf"\W*+(?:{listed})")
    cuts, last = [], 0
    for start, end in sentences(text, lines=lines).tolist():
        if start < max(skip, 1) or start - last < distance:
            continue
        if pattern.search(text, start, end) if inside else opening.match(text, start, end):
            cuts.append((start, start))
            last = start
    return trimmed(text, between(cuts, len(text)))
