"""One sentence, one step."""

import re
from bisect import bisect_right
from collections.abc import Sequence

from stepcredit.segment._blocks import blocks, inside
from stepcredit.segment._sentence_rules import ends_sentence
from stepcredit.segment._spans import BLANK, LINE_END, Spans, between, trimmed

_CLOSERS = r"""(?:["'”’»›)\]}」』）】》〉*_`$]|\\[)\]])*+"""
_STOP = re.compile(rf"(?:(?P<wide>[。！？｡．]++)|(?P<narrow>[.!?…।॥؟۔]++)){_CLOSERS}")
_LINES = re.compile(rf"{LINE_END}\s*+")
_BLANK_LINES = re.compile(rf"{LINE_END}{BLANK}*+{LINE_END}\s*+")


def sentences(text: str, *, lines: bool = True, abbreviations: Sequence[str] = ()) -> Spans:
    r"""[n, 2] sentences, each with its stop and what closes after it, without the white space around them.

    A sentence ends at . ! ? … (and the stops of Hindi, Arabic and Urdu) before white space, with the quotes, brackets
    and emphasis marks that close right after the stop; at 。！？ anywhere; and at a line end. A stop does not end one

    - inside a number, a version, an address or a file name ("3.14", "v1.2.3", "x.org/a?b"): no white space follows;
    - after an abbreviation ("Dr.", "e.g.", "et al."), if what follows goes on: "etc.", "Inc.", "a.m." and the like end
      a sentence where the next word is capitalized, "U.S." where it is a word that often begins sentences, "No." and
      "Fig." unless a number follows, titles and "e.g." never;
    - after initials ("J. K. Rowling", "George W. Bush");
    - after the number of a list item or a step ("1. Add", "Step 2. Halve", "a. x"), where it begins the sentence;
    - after an ellipsis, or "..!", or a quote that ends in ! or ?, if a small letter follows ("Hmm... so it is");
    - after a factorial ("5! ways"), unless a capital follows.

    Fenced code and LaTeX displays are not cut (see `paragraphs` for what those are). Gaps hold white space only. One
    step alone gives one span. Left out: sentences inside brackets inside a sentence, and languages whose words are not
    set apart by spaces and whose stops are none of these.

    Args:
        lines: a line end ends a sentence, as models write; False: only a blank line does, for text that was wrapped.
        abbreviations: further ones that never end a sentence, without their last dot, in any case.

    >>> text = "Dr. Lee paid $3.50 (i.e. half). \"Why?\" he asked. 1. Add."
    >>> [text[a:b] for a, b in sentences(text)]
    ['Dr. Lee paid $3.50 (i.e. half).', '"Why?" he asked.', '1. Add.']
    """
    more = frozenset(a.casefold() for a in abbreviations)
    hard = [m.span() for m in (_LINES if lines else _BLANK_LINES).finditer(text)]
    shown = blocks(text)
    hard = _outside(hard, shown)
    soft = _outside([m.span() for m in _STOP.finditer(text)], shown)
    opens = [*shown[:, 0].tolist(), len(text)]
    cuts, begin, at = [], 0, 0
    for start, end in soft:
        end = min(end, opens[bisect_right(opens, start, hi=len(opens) - 1)])
        while at < len(hard) and hard[at][0] <= start:
            begin = hard[at][1]
            at += 1
        if ends_sentence(text, begin, start, end, more):
            cuts.append((end, end))
            begin = end
    return trimmed(text, between(sorted(cuts + hard), len(text)))


def _outside(cuts: list[tuple[int, int]], shown: Spans) -> list[tuple[int, int]]:
    hidden = inside((start for start, _ in cuts), shown).tolist()
    return [cut for cut, hide in zip(cuts, hidden, strict=True) if not hide]
