"""Credit that stands one place beside its tokens."""

import numpy as np

from stepcredit.data.layout import Bools, Floats, Ints
from stepcredit.lint.rule import Finding, NotChecked, Rule

RULE = Rule(
    title="credit shifted by one token",
    bug="PrimeIntellect-ai/prime-rl PR#1525 (review): log-probabilities were shifted by one, advantages and loss mask "
    "were not",
    why="each turn's first or last token is trained on nothing, and a token the policy did not sample on its "
    "neighbor's credit",
    mend="shift log-probabilities, advantages and mask together, or none of them",
)
LEAST = 4


def shifted_by_one(
    advantage: Floats, mask: Bools, row: Ints, position: Ints, token: Ints, turn_start: Ints, turn_tokens: Ints
) -> list[Finding] | NotChecked:
    if mask.all():
        return NotChecked("needs entries that are not sampled")
    begin = token[turn_start] if token.size else token
    end = token[turn_start + turn_tokens - 1] if token.size else token
    whole = (turn_tokens >= 2) & (end - begin == turn_tokens - 1)
    out: list[Finding] = []
    for inner, edge, side, gone, text in ((begin, end, -1, end, "before"), (end, begin, 1, begin, "after")):
        beside = np.clip(inner + side, 0, advantage.size - 1)
        fits = whole & (beside != inner) & (row[beside] == row[inner]) & (position[beside] == position[inner] + side)
        fits &= ~mask[beside]
        other = np.clip(edge + side, 0, advantage.size - 1)
        told = fits & ((advantage[inner] != 0) | (advantage[other] != 0))
        bad = told & np.isfinite(advantage[beside]) & (advantage[beside] != 0) & (advantage[gone] == 0)
        if told.sum() >= LEAST and bad.sum() >= 0.9 * told.sum():
            n, at = int(bad.sum()), np.flatnonzero(bad)
            lost = "last" if text == "before" else "first"
            message = (
                f"{n} of {int(told.sum())} turns have 0 on their {lost} token and credit on the token {text} the turn"
            )
            out.append(Finding(message, n, {"row": row[gone[at]], "position": position[gone[at]]}))
    return out
