"""What a trainer is told about rollouts beside their tokens, and what methods can be served so."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from stepcredit.credit import get as get_method
from stepcredit.data import Batch
from stepcredit.data.columns import column
from stepcredit.errors import MissingColumn, StepCreditError
from stepcredit.evidence import get as get_evidence
from stepcredit.evidence import names as evidence_names
from stepcredit.evidence.run import gather
from stepcredit.integrations._padded import _MADE_OF, serves
from stepcredit.train.config import Config
from stepcredit.train.rollouts import Played

PLAYED = ("state", "reward", "outcome", "action", "observation", "final_state", "truncated", "token_id")
"""Columns that every rollout has."""
POLICY = ("token_old_logp", "token_logp", "token_entropy")
REFERENCE = ("token_ref_logp", "token_logratio")


def columns(config: Config, *, agents: bool) -> dict[str, str]:
    """Column -> where it comes from, for what this run can carry."""
    have = dict.fromkeys(PLAYED, "the rollouts") | dict.fromkeys(POLICY, "the policy, by one more forward pass")
    if agents:
        have["agent"] = "the world"
    if config.loss.beta > 0:
        have |= dict.fromkeys(REFERENCE, "the reference model (loss.beta)")
    if config.retry is not None:
        have["pivot"] = f"retry, {config.retry.pivot}"
    for one in config.evidence:
        kind = get_evidence(one.kind)
        have |= dict.fromkeys(kind.card.adds, f"evidence {one.kind}")
    made = {name: of for name, of in _MADE_OF.items() if name not in have and set(of) & set(have)}
    return have | {name: f"made of {of[0]}" for name, of in made.items()}


def check(config: Config, *, agents: bool) -> dict[str, str]:
    """The columns that the method gets, and from where.

    Raises:
        UnknownName: no such method, option or evidence. MissingColumn: the method takes what nothing here carries.
        StepCreditError: evidence that asks a model, a retry that the method cannot use.
    """
    found = get_method(config.method.name)
    found.check_options(config.method.options)
    for one in config.evidence:
        kind = get_evidence(one.kind)
        if kind.models:
            free = [n for n in evidence_names() if not get_evidence(n).models]
            raise StepCreditError(
                f"evidence {one.kind} asks for a {kind.models[0]}, which rollouts of this run do not bring",
                hint=f"kinds that ask no model: {', '.join(free)}",
            )
        kind.check_options(one.options)
    have = columns(config, agents=agents)
    lacking = [name for name in found.needs if name not in have]
    if lacking:
        known = column(lacking[0])
        what = f" ({known.doc})" if known else ""
        beta = " loss.beta above 0 keeps a reference model;" if lacking[0] in REFERENCE else ""
        raise MissingColumn(
            f"method {config.method.name} needs {lacking[0]!r}{what}, which nothing here carries",
            hint=f"{beta} methods that run as it is: {', '.join(serves(have))}".strip(),
        )
    if config.retry is not None and "pivot" not in (*found.needs, *found.uses):
        raise StepCreditError(
            f"retry: {config.method.name} takes no `pivot`: it would learn twice from the turns that a retry replays",
            hint="method r3l takes it",
        )
    return {n: have[n] for n in (*found.needs, *found.uses) if n in have}


def evidence(config: Config, rollouts: Sequence[Played], taken: Sequence[str]) -> dict[str, list[Any]]:
    """Column -> a value per rollout, or a list with one entry per turn: what evidence tells of these rollouts.

    Args:
        taken: columns that the method takes; others are not returned.
    """
    if not config.evidence:
        return {}
    batch = Batch.from_records([one.record(n) for n, one in enumerate(rollouts)])
    for one in config.evidence:
        batch = gather(batch, one.kind, **one.options)
    wanted = {n for one in config.evidence for n in get_evidence(one.kind).card.adds} & set(taken)
    return {name: _per_rollout(batch, name) for name in sorted(wanted) if name in batch}


def _per_rollout(batch: Batch, name: str) -> list[Any]:
    values, known = np.asarray(batch[name]), column(name)
    axis = batch.axis(name)
    if axis == "R":
        return list(values.tolist())
    if axis != "S":
        raise StepCreditError(f"evidence column {name!r} says nothing of turns or rollouts: it cannot be carried here")
    ids = known is not None and known.kind == "id"
    out: list[list[Any]] = [[] for _ in range(batch.layout.R)]
    for rollout, value in zip(batch.layout.rollout.tolist(), values.tolist(), strict=True):
        # An id below 0 is missing: comparable with no other.
        out[rollout].append(None if ids and value < 0 else value)
    return out


def given(config: Config, rollouts: Sequence[Played], taken: Sequence[str]) -> dict[str, list[Any]]:
    """Keys of a TRL `rollout_func`: tokens, and what is known beside them. A rollout that broke has no reward."""
    broken = [one.outcome is None for one in rollouts]
    out: dict[str, list[Any]] = {
        "prompt_ids": [one.prompt for one in rollouts],
        "completion_ids": [one.ids for one in rollouts],
        "logprobs": [one.logps for one in rollouts],
        "env_mask": [one.mask for one in rollouts],
        "outcome": [one.outcome for one in rollouts],
        "reward": [None if bad else [t.reward for t in one.turns] for one, bad in zip(rollouts, broken, strict=True)],
        "state": [[t.state for t in one.turns] for one in rollouts],
        "action": [[t.action for t in one.turns] for one in rollouts],
        "observation": [[t.observation for t in one.turns] for one in rollouts],
        "agent": [[t.agent for t in one.turns] for one in rollouts],
        "final_state": [one.final_state for one in rollouts],
        "truncated": [one.cut for one in rollouts],
    }
    if config.retry is not None:
        out["pivot"] = [one.pivot for one in rollouts]
    return out | evidence(config, rollouts, taken)
