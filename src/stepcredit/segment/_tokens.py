"""From characters to tokens."""

from codecs import getincrementaldecoder
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from stepcredit.data.layout import Ints
from stepcredit.errors import DataError, LayoutError, StepCreditError
from stepcredit.segment._spans import Spans, check_pairs, check_spans


def token_offsets(tokens: Sequence[str] | Sequence[bytes]) -> Spans:
    """[K, 2] where each token stands in the text that the tokens make together, in characters.

    Give bytes where a token may hold part of a character: servers return them beside the text of a token, and the
    parts of one character all get that character's place. Texts decoded one token at a time will not do there, since
    each part decodes to U+FFFD. A character cut short at the very end counts as one. Raises DataError if the bytes
    are not UTF-8 otherwise.

    >>> token_offsets(["2+2", "=4"]).tolist()
    [[0, 3], [3, 5]]
    >>> token_offsets([b"2", b"\\xe2\\x82", b"\\xac"]).tolist()
    [[0, 1], [1, 2], [1, 2]]
    """
    ends = np.cumsum([len(token) for token in tokens], dtype=np.int64)
    starts = np.append(0, ends)[: len(ends)]
    data = b"".join(token for token in tokens if isinstance(token, bytes))
    if not data:
        return np.stack([starts, ends], axis=1)
    if len(data) != ends[-1]:
        raise DataError("tokens are str and bytes mixed", expected="one of the two")
    try:
        getincrementaldecoder("utf-8")().decode(data)
    except UnicodeDecodeError as error:
        token = int(np.searchsorted(ends, error.start, side="right"))
        raise DataError(f"token {token} breaks off a character or is no UTF-8", got=tokens[token]) from None
    first_byte = np.frombuffer(data, dtype=np.uint8) & 0xC0 != 0x80
    characters = np.append(0, np.cumsum(first_byte))
    last = np.where(starts < ends, characters[ends], characters[starts])
    begins = np.append(first_byte, True)[starts] | (starts == ends)
    return np.stack([characters[starts] - ~begins, last], axis=1)


def token_steps(spans: ArrayLike, offsets: ArrayLike) -> Ints:
    """[K] the step that each token belongs to, -1 for none.

    A token belongs to the step it shares most characters with; of equals, to the earliest. The start of the token
    would be the wrong guide: the first word of a step often comes as one token with the white space before it, and
    would be lost to its step. A token that shares no character with a step has none: white space between steps, unless
    the spans are tiled first, and tokens of no width, as tokenizers give for <s> and padding.

    Args:
        spans: [n, 2] characters of each step.
        offsets: [K, 2] characters of each token, as `return_offsets_mapping=True` or `token_offsets` gives. If no
            start and no end is less than the one before, neither is a step, tokens without a step left out.

    Raises LayoutError if the shapes are not these, or spans overlap or are out of order.

    >>> token_steps([[0, 4], [6, 9]], [[0, 0], [0, 5], [5, 9], [9, 9]]).tolist()
    [-1, 0, 1, -1]
    """
    starts, ends = check_spans(spans).T
    begin, end = check_pairs(offsets, "offsets").T
    first = np.searchsorted(ends, begin, side="right")
    count = (np.searchsorted(starts, end, side="left") - first).clip(0)
    token = np.repeat(np.arange(len(begin)), count)
    step = np.arange(len(token)) + np.repeat(first - np.cumsum(count) + count, count)
    shared = np.minimum(ends[step], end[token]) - np.maximum(starts[step], begin[token])
    order = np.lexsort((step, -shared, token))
    token, step, shared = token[order], step[order], shared[order]
    best = (np.diff(token, prepend=-1) > 0) & (shared > 0)
    out = np.full(len(begin), -1, dtype=np.int64)
    out[token[best]] = step[best]
    return out


def token_spans(token_step: ArrayLike, steps: int) -> Spans:
    """[n, 2] half-open range of token positions from the first to the last token of each step.

    A step without a token gets an empty range where the step before it ends. Tokens of no step (-1) inside a step lie
    inside its range. Raises LayoutError if steps are not in order along the tokens, or a token names a step that is
    not there.

    >>> token_spans([-1, 0, 0, -1, 2, -1], 3).tolist()
    [[1, 3], [3, 3], [4, 5]]
    """
    token_step = np.asarray(token_step, dtype=np.int64)
    (at,) = np.nonzero(token_step >= 0)
    step = token_step[at]
    if (bad := np.diff(step) < 0).any():
        token = int(at[1:][bad][0])
        raise LayoutError(f"token {token} is of step {token_step[token]}, but tokens of a later step stand before it")
    if len(step) and step[-1] >= steps:
        raise LayoutError(f"token {at[-1]} is of step {step[-1]}, expected a step below {steps}")
    first = np.searchsorted(step, np.arange(steps), side="left")
    last = np.searchsorted(step, np.arange(steps), side="right")
    place = np.concatenate([[0], at + 1])
    return np.stack([np.where(first < last, np.append(at, 0)[first], place[last]), place[last]], axis=1)


def separator_ids(vocabulary: Sequence[str], *, separator: str = "\n\n") -> Ints:
    r"""[m] ids of the tokens whose text contains the separator; the text of token i stands at place i.

    For Hugging Face: `[tokenizer.decode([i]) for i in range(len(tokenizer))]`, once per tokenizer. Only "\n" is
    a line end here, as in the method this serves. Raises StepCreditError for an empty separator.

    >>> separator_ids(["a", ".\n\n", "\n", "\n\n"]).tolist()
    [1, 3]
    """
    if not separator:
        raise StepCreditError("the separator is empty", hint='a token id is cut after its text, such as "\\n\\n"')
    return np.array([i for i, text in enumerate(vocabulary) if separator in text], dtype=np.int64)


def cut_after(ids: ArrayLike, separators: ArrayLike) -> Spans:
    """[n, 2] token ranges that cover the response, cut after every token that is a separator.

    The separator belongs to the step that it closes; the last step ends with the response. A separator spread over
    two tokens cuts nothing, and one token with two separators cuts once. A response that ends in a separator has no
    empty step after it; the released code counts one more there, on the same token.

    Args:
        ids: [K] token ids of the response.
        separators: [m] ids to cut after, such as `separator_ids` gives.

    Source: PURE, arXiv:2504.15275 (released code).

    >>> cut_after([7, 3, 9, 9, 3], [3]).tolist()
    [[0, 2], [2, 5]]
    """
    ids = np.asarray(ids, dtype=np.int64)
    ends = np.nonzero(np.isin(ids, np.asarray(separators, dtype=np.int64)))[0] + 1
    edges = np.unique(np.concatenate([[0], ends, [len(ids)]]))
    return np.stack([edges[:-1], edges[1:]], axis=1)
