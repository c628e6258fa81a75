"""A mask that claims more sampled tokens than there are."""

import numpy as np

from stepcredit.data.layout import Bools, Ints
from stepcredit.lint.rule import Finding, NotChecked, Rule

RULE = Rule(
    title="more mask than tokens",
    bug="huggingface/trl#5144: after re-tokenization the tool mask was longer than the completion",
    why="mask and tokens are shifted against one another, so credit lands on neighbors or on padding",
    mend="build mask and token ids in one pass; keep sampled ids and never re-tokenize decoded text",
)


def mask_beyond_tokens(
    mask: Bools,
    row: Ints,
    position: Ints,
    rows: int,
    length: Ints | None = None,
    attention: Bools | None = None,
) -> list[Finding] | NotChecked:
    if length is None and attention is None:
        return NotChecked("needs length or attention_mask")
    out = []
    if length is not None:
        sampled = np.bincount(row[mask], minlength=rows)
        at = np.flatnonzero(sampled > length)
        if at.size:
            r = at[0]
            message = (
                f"{at.size} rows have more sampled tokens in the mask than tokens: row {r} {sampled[r]} of {length[r]}"
            )
            out.append(Finding(message, at.size, {"row": at}))
    if attention is not None:
        at = np.flatnonzero(mask & ~attention)
        if at.size:
            message = f"{at.size} entries are sampled in the mask, but padding in the attention mask"
            out.append(Finding(message, at.size, {"row": row[at], "position": position[at]}))
    return out
