"""Replies as a plan hears them."""

from collections.abc import Sequence

import numpy as np

from stepcredit.data.layout import Floats
from stepcredit.llm.wire import Draft, Reply
from stepcredit.protocols import Sample


def samples_of(replies: Sequence[Reply]) -> list[Sample]:
    """The samples of a call and of those that made up for missing ones.

    `read` is on the first sample of a call alone, 0 on its others, which were read for nothing: so sums are right.
    `written` is the server's count, which it gives for a call: of several samples each has its part by length, so that
    the sum is right; where the server does not count, the number of the tokens that it told, else None.
    """
    found = []
    for reply in replies:
        for i, (draft, part) in enumerate(zip(reply.drafts, _parts(reply), strict=True)):
            written = len(draft.tokens) if part is None and draft.logp is not None else part
            read = 0 if i and reply.read is not None else reply.read
            found.append(_sample(draft, read, written))
    return found


def _parts(reply: Reply) -> list[int | None]:
    """The server's count of written tokens, shared out among the samples."""
    if reply.written is None:
        return [None] * len(reply.drafts)
    if all(d.logp is not None for d in reply.drafts) and len(reply.drafts) > 1:
        weights = np.array([len(d.tokens) for d in reply.drafts], float)
    else:
        weights = np.array([len(d.text) for d in reply.drafts], float)
    edges = np.cumsum([0.0, *(weights + 1e-9)])
    whole = np.round(edges / edges[-1] * reply.written).astype(int)
    return [int(n) for n in np.diff(whole)]


def _sample(draft: Draft, read: int | None, written: int | None) -> Sample:
    if draft.logp is None:
        return Sample(draft.text, finished=draft.finished, ended=draft.ended, read=read, written=written)
    return Sample(
        draft.text,
        draft.tokens,
        np.array(draft.logp, float),
        tuple(np.array([x for _, x in row], float) for row in draft.top),
        draft.finished,
        tuple(tuple(t for t, _ in row) for row in draft.top),
        ended=draft.ended,
        read=read,
        written=written,
    )


def forced_of(reply: Reply) -> Floats:
    """The log-probabilities of a Force."""
    return np.array(reply.drafts[0].logp or (), float)
