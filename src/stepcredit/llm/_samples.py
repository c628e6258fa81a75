"""Replies as a plan hears them."""

from collections.abc import Sequence

import numpy as np

from stepcredit.data.layout import Floats
from stepcredit.llm.wire import Draft, Reply
from stepcredit.protocols import Sample


def samples_of(replies: Sequence[Reply]) -> list[Sample]:
    """The samples of a call and of those that made up for missing ones.

    `read` is on the first sample of a call alone, 0 on its others, which were read for nothing: so sums are right.
    `written` is the server's count where the call has one sample, else the number of its tokens, None if not told.
    """
    found = []
    for reply in replies:
        for i, draft in enumerate(reply.drafts):
            written = reply.written if len(reply.drafts) == 1 else None
            if written is None and draft.logp is not None:
                written = len(draft.tokens)
            read = 0 if i and reply.read is not None else reply.read
            found.append(_sample(draft, read, written))
    return found


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
