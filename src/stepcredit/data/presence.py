"""Which fields occur anywhere in a file, so that a part of it can have the columns of the whole."""

from collections.abc import Sequence
from operator import attrgetter
from secrets import token_hex
from typing import Any

import numpy as np

from stepcredit.data.batch import Batch
from stepcredit.data.records import TOKEN_FIELDS, Rollout, Step, Tokens

_ROLLOUT = {n: attrgetter(n) for n in ("outcome", "weight", "batch", "policy_version", "final_state")}
_STEP = {
    n: attrgetter(n) for n in ("agent", "state", "action", "observation", "next_state", "reward", "match", "tokens")
}
_TOKEN = {n: attrgetter(n) for n in TOKEN_FIELDS}
_EVIDENCE, _CREDIT = attrgetter("evidence"), attrgetter("credit")


class Presence:
    """The fields met so far, as a rollout that has each of them."""

    def __init__(self) -> None:
        self._rollout: dict[str, Any] = {}
        self._rewards: dict[str, Any] = {}
        self._facts: dict[str, Any] = {}
        self._step: dict[str, Any] = {}
        self._evidence: dict[str, Any] = {}
        self._credit: dict[str, Any] = {}
        self._tokens: dict[str, Any] = {}

    def add(self, rollout: Rollout) -> None:
        """Take note of the fields of a rollout."""
        _first([rollout], _ROLLOUT, self._rollout)
        self._rewards.update(rollout.rewards)
        self._facts.update({n: v for n, v in rollout.evidence.items() if v is not None})
        steps = rollout.steps
        _first(steps, _STEP, self._step)
        for get, known in ((_EVIDENCE, self._evidence), (_CREDIT, self._credit)):
            for named in filter(None, map(get, steps)):
                for name, value in named.items():
                    if known.get(name) is None:
                        known[name] = value
        if "tokens" in self._step and len(self._tokens) < len(_TOKEN):
            _first([s.tokens for s in steps if s.tokens is not None], _TOKEN, self._tokens)

    def batch(self, rollouts: Sequence[Rollout]) -> Batch:
        """The batch of these rollouts, with a column, missing throughout, for every field that only others have."""
        tokens = Tokens(n=1, **{n: v[:1] or [0] for n, v in self._tokens.items()}) if "tokens" in self._step else None
        step = Step(**{**self._step, "tokens": tokens}, evidence=self._evidence, credit=self._credit)
        whole = {"rewards": self._rewards, "evidence": self._facts, **self._rollout}
        rest = Rollout(group="", rollout=token_hex(), steps=[step], **whole)
        return Batch.from_records([*rollouts, rest]).take(np.arange(len(rollouts)))


def _first(of: Sequence[Any], fields: dict[str, Any], known: dict[str, Any]) -> None:
    """Of each field that is not known yet, a value that is there."""
    for name, get in fields.items():
        if name not in known:
            values = list(map(get, of))
            if values.count(None) < len(values):
                known[name] = next(v for v in values if v is not None)
