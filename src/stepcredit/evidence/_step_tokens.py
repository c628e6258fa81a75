"""What a model says of every token of every step, as lists per step and as a token column."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from stepcredit.data.batch import Batch
from stepcredit.data.layout import Floats, Ints
from stepcredit.errors import MissingColumn
from stepcredit.evidence import _queries, _texts
from stepcredit.protocols import Forcer

Ask = Callable[[Sequence[str], Sequence[str]], Sequence[Any]]


def per_step(ask: Ask, pairs: Sequence[tuple[str, str]], who: str) -> list[Floats]:
    """[S] what is said of each token of the step, every distinct question asked once; [NaN] where the reply failed,
    empty for a step without text."""
    distinct, which = _queries.once(pairs)
    some = [(p, c) for p, c in distinct if c]
    replies = iter(_queries.answered(ask([p for p, _ in some], [c for _, c in some]) if some else [], len(some), who))
    said = [next(replies) if c else () for _, c in distinct]
    read = [np.array([np.nan]) if r is None else np.asarray(r, float) for r in said]
    return [read[i] for i in which.tolist()]


def questions(
    batch: Batch, who: str, *, joiner: str, observations: bool, separators: bool = False
) -> list[tuple[str, str]]:
    """[S] (everything before the step, the step)."""
    lay = batch.layout
    before, _ = _texts.prefixes(batch, who, joiner=joiner, observations=observations)
    followed = np.zeros(lay.S, bool)
    followed[lay.previous[lay.previous >= 0]] = True
    out = []
    for s, step in enumerate(_texts.steps(batch, who)):
        at_once = separators and followed[s] and not (observations and step.observation is not None)
        text = step.text or ""
        out.append((before[s] + joiner if before[s] else "", text + joiner if at_once else text))
    return out


def forced(forcer: Forcer, pairs: Sequence[tuple[str, str]], who: str) -> list[Floats]:
    """[S] log-probabilities of each token of the step; nothing is asked of a step without text."""
    some = [pair for pair in pairs if pair[1]]
    found = iter(_queries.forced(forcer, some, who))
    return [next(found) if text else np.zeros(0) for _, text in pairs]


def of_column(batch: Batch, name: str, who: str) -> list[Floats]:
    """[S] a token column cut into steps, the tokens of each in their order.

    Raises:
        MissingColumn: it is not there.
    """
    if name not in batch or batch.layout.token_step is None:
        raise MissingColumn(
            f"{who} without a model reads column {name!r} [K] of sampled tokens; the batch holds: "
            + (", ".join(sorted(batch.columns)) or "none"),
            hint="give it the model that says it, or rollouts with tokens",
        )
    rows = _by_step(batch)
    return np.split(batch[name][rows], np.cumsum(batch.layout.step_tokens)[:-1]) if batch.layout.S else []


def with_column(batch: Batch, name: str, values: Sequence[Floats]) -> tuple[Batch, str]:
    """(the batch with a token column, "") or, where its tokens are not the model's, (the batch, why there is none). A
    batch without tokens gets the model's."""
    lay = batch.layout
    failed = [v.size == 1 and bool(np.isnan(v[0])) for v in values]
    made: dict[str, Any] = {}
    if lay.token_step is None:
        if any(failed):
            return batch, "; no token column: a reply failed, and its tokens are not known"
        if any(batch.axis(n) == "K" for n in batch.columns):
            return batch, "; no token column: the batch counts each step as one token"
        counts = [v.size for v in values]
        made[name] = np.concatenate([np.zeros(0), *values])
        tokens = replace(batch, layout=lay.with_tokens(np.repeat(np.arange(lay.S), counts)))
        return tokens.with_columns(axis="K", **made), ""
    want = lay.step_tokens.tolist()
    if any(v.size != n and not f for v, n, f in zip(values, want, failed, strict=True)):
        return batch, "; no token column: the model cuts the texts into other tokens than the batch holds"
    column = np.full(lay.K, np.nan)
    filled = [np.full(n, np.nan) if f else v for v, n, f in zip(values, want, failed, strict=True)]
    column[_by_step(batch)] = np.concatenate([np.zeros(0), *filled])
    made[name] = column
    return batch.with_columns(axis="K", **made), ""


def _by_step(batch: Batch) -> Ints:
    """Rows of the tokens of steps, step after step."""
    step = batch.layout.tokens
    return np.argsort(step, kind="stable")[int(np.sum(step < 0)) :]
