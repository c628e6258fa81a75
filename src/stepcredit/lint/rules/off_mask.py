"""Credit on tokens that the policy did not sample."""

import numpy as np

from stepcredit.data.layout import Bools, Floats, Ints
from stepcredit.lint.rule import Finding, Rule, Severity

RULE = Rule(
    title="credit off the sampled mask",
    bug="unslothai/unsloth#5673, huggingface/trl PR#4975: the mask of environment or tool tokens was not applied in "
    "the loss",
    why="a loss that does not multiply by the mask pushes tokens the policy did not choose",
    mend="multiply the advantages by the response mask, tool and environment tokens included, before the loss",
)


def off_mask(
    advantage: Floats,
    mask: Bools,
    unjudged: Bools,
    row: Ints,
    position: Ints,
    rows: int,
    attention: Bools | None = None,
) -> list[Finding]:
    off = np.flatnonzero(~mask & ~unjudged & np.isfinite(advantage) & (advantage != 0))
    if off.size == 0:
        return []
    low, high, first, last = _sampled(advantage, mask, row, rows)
    r, a = row[off], advantage[off]
    missed = (low[r] == 0) & (high[r] == 0)
    tool = (off > first[r]) & (off < last[r])
    if attention is not None:
        tool |= attention[off] & (off > first[r]) & (first[r] >= 0)
    same = np.isclose(a, low[r]) & np.isclose(a, high[r])
    out = []
    if missed.any():
        at = off[missed]
        n = np.unique(row[at]).size
        message = f"{n} rows have credit off the mask ({at.size} entries) and none on their sampled tokens"
        out.append(Finding(message, at.size, {"row": row[at], "position": position[at]}, "error"))
    tool &= ~missed
    if tool.any():
        at = off[tool]
        severity: Severity = "error"
        message = f"{at.size} tool or environment tokens in {np.unique(row[at]).size} rows carry credit"
        if same[tool].all():
            severity = "warning"
            message += (
                ", the same number as their row's sampled tokens: harmless only if the loss multiplies by the mask"
            )
        out.append(Finding(message, at.size, {"row": row[at], "position": position[at]}, severity))
    rest = off[~missed & ~tool]
    if rest.size:
        largest = np.abs(advantage[rest]).max()
        message = f"{rest.size} entries outside the rows' sampled span are not 0 (largest {largest:.4g})"
        out.append(Finding(message, rest.size, {"row": row[rest], "position": position[rest]}, "info"))
    return out


def _sampled(advantage: Floats, mask: Bools, row: Ints, rows: int) -> tuple[Floats, Floats, Ints, Ints]:
    """Per row: lowest and highest credit of sampled entries, first and last such entry (-1: none)."""
    at = np.flatnonzero(mask & np.isfinite(advantage))
    low, high = np.full(rows, np.nan), np.full(rows, np.nan)
    first, last = np.full(rows, -1), np.full(rows, -1)
    if at.size:
        start = np.concatenate(([0], np.flatnonzero(np.diff(row[at])) + 1))
        owner = row[at[start]]
        low[owner], high[owner] = np.minimum.reduceat(advantage[at], start), np.maximum.reduceat(advantage[at], start)
        first[owner], last[owner] = at[start], at[np.append(start[1:], at.size) - 1]
    return low, high, first, last
