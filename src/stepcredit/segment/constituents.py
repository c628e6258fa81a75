"""Macro actions that are phrases of the text."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from stepcredit.data.layout import Ints
from stepcredit.errors import StepCreditError
from stepcredit.segment._lengths import from_lengths, positive


def constituents(phrases: Sequence[Any], *, cutoff: int = 5, last_alone: bool = True) -> Ints:
    """[K] macro action of each token, given how a parser brackets each sentence.

    From the top of each sentence down: a phrase of fewer than `cutoff` tokens is a macro; a larger one is taken apart;
    a lone word that is reached so joins the macro before it, or begins one with its neighbors if none is before it in
    the sentence. Each sentence begins a macro.

    Args:
        phrases: one entry per sentence. A word is the number of its tokens, a phrase a list of words and phrases;
            `[[2, [1, 1]]]` is one sentence of four tokens. A phrase that holds one word alone is that word.
        cutoff: as above.
        last_alone: the last token is a macro of its own.

    Which parser, and how its words come to tokens, is the caller's; K is the sum of all words. Tokens after the last
    sentence (an end token) are one more entry: `[..., [1]]`.

    Raises:
        StepCreditError: a word without tokens, or something that is neither word nor phrase.

    Source: MA-RLHF, arXiv:2410.02743 (official code executed on single sentences; `cutoff` has no default there). Its
    code begins the first macro of a sentence anew behind leading lone words, as here.

    >>> we_saw_a_cat = [1, [1, [1, 2]]]
    >>> constituents([we_saw_a_cat, [1]], cutoff=5).tolist()
    [0, 1, 1, 1, 1, 2]
    >>> constituents([we_saw_a_cat, [1]], cutoff=4).tolist()
    [0, 0, 1, 1, 1, 2]
    """
    size = positive(cutoff, "cutoff")
    lengths = [n for sentence in phrases for n in _macros(sentence, size)]
    return from_lengths(lengths, sum(lengths), last_alone=last_alone)


def _macros(sentence: Any, cutoff: int) -> list[int]:
    """Tokens of each macro of a sentence."""
    made: list[int] = []
    left = [sentence]
    while left:
        node = left.pop()
        words = _words(node)
        if len(words) == 1 and made:
            made[-1] += words[0]
        elif len(words) == 1 or sum(words) < cutoff:
            made.append(sum(words))
        else:
            left += reversed(node)
    return made


def _words(node: Any) -> list[int]:
    """Tokens of each word below a node, from left to right."""
    found, left = [], [node]
    while left:
        one = left.pop()
        if isinstance(one, list | tuple):
            left += reversed(one)
        elif isinstance(one, int | np.integer) and not isinstance(one, bool) and one > 0:
            found.append(int(one))
        else:
            raise StepCreditError(f"{one!r} is no word", hint="a word is the number of its tokens, 1 or more")
    return found
