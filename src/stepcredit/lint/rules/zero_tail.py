"""Credit that ends, or begins, in the middle of a turn."""

import numpy as np

from stepcredit.data.layout import Floats, Ints
from stepcredit.lint.rule import Declared, Finding, Rule, unless_declared

RULE = Rule(
    title="credit covers only a part of a turn",
    bug="verl-project/verl#7956: advantages of a resampled row were cut to the length of another; "
    "NovaSky-AI/SkyRL#1492: a last step's mask over the tokens of an earlier step",
    why="the numbers belong to another row or mask: what is 0 here is somebody else's padding",
    mend="index advantages and masks by the same rows; build the tensor from each row's own mask",
)

LEAST = 4


def zero_tail(
    value: Floats,
    turn_start: Ints,
    turn_tokens: Ints,
    turn_row: Ints,
    position: Ints,
    token: Ints,
    method: Declared | None = None,
) -> list[Finding]:
    if value.size == 0:
        return []
    on = value != 0
    n = np.add.reduceat(on.astype(np.int64), turn_start)
    mixed = np.flatnonzero((n > 0) & (n < turn_tokens))
    if mixed.size < LEAST:
        return []
    index = np.arange(value.size)
    first = np.minimum.reduceat(np.where(on, index, value.size), turn_start)[mixed]
    last = np.maximum.reduceat(np.where(on, index, -1), turn_start)[mixed]
    start, size, n = turn_start[mixed], turn_tokens[mixed], n[mixed]
    high = np.maximum.reduceat(np.where(on, value, -np.inf), turn_start)[mixed]
    low = np.minimum.reduceat(np.where(on, value, np.inf), turn_start)[mixed]
    one_block = last - first + 1 == n
    flat = high - low <= 1e-6 * np.maximum(np.abs(high), np.abs(low))
    # Methods that blank single tokens (separators, confident ones) leave holes, not a cut.
    if not (one_block & flat).all():
        return []
    cut = mixed[size - n >= 2]
    if cut.size < mixed.size / 2:
        return []
    edge = np.where(first == start, last + 1, first)[size - n >= 2]
    message = (
        f"{cut.size} of {turn_start.size} turns have one number on a part of their tokens and exactly 0 on the rest"
    )
    where = {"row": turn_row[cut], "position": position[token[edge]]}
    return [Finding(message, cut.size, where, unless_declared(method, "error") if _blanks(method) else None)]


def _blanks(method: Declared | None) -> bool:
    return method is not None and method.per == "token"
