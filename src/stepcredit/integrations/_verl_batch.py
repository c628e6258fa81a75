"""Batches of verl's trainers in, advantages and returns in their place."""

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from stepcredit.data.tensors import plain
from stepcredit.errors import LayoutError, StepCreditError
from stepcredit.integrations._verl_credit import Filled, fill
from stepcredit.integrations._verl_rows import TOKEN_FIELDS, Rows
from stepcredit.integrations._verl_settings import Asked, read_settings, rejects_tokens

_ATTACH = 'in your agent loop: output.extra_fields["stepcredit"] = {"state": [...]}, one entry per turn'
_MAP = "or +algorithm.stepcredit.columns.COLUMN=FIELD for a field that the batch holds"
CARRY = {
    "estimator": "verl gives a registered estimator masks, rewards and uids only; `python -m stepcredit.integrations."
    "verl` says why the batch did not come along",
    "batch": f"{_ATTACH} {_MAP}; token_value needs critic.enable=True, token_ref_logp a reference policy",
}


@dataclass(eq=False)
class TrainerCall:
    """One call of the v1 trainer: what `compute_advantage` below it is not told."""

    trainer: Any
    meta: Any
    metrics: dict[str, Any]
    module: ModuleType
    lost: Any = None


CALL: ContextVar[TrainerCall | None] = ContextVar("stepcredit_verl_call", default=None)


def estimate(
    name: str,
    *,
    token_level_rewards: Any,
    response_mask: Any,
    config: Any = None,
    index: Any = None,
    batch: Any = None,
    non_tensor_batch: Any = None,
    **_: Any,
) -> tuple[Any, Any]:
    """An advantage estimator of verl, with what verl gives it: turns are runs of ones in the mask.

    Returns:
        advantages, returns: [B, T] tensors, 0 outside the mask.

    Raises:
        LayoutError: no uids. StepCreditError: what is missing, or not judged and cannot leave the mask.
    """
    asked = read_settings(name, config)
    _turns_are_whole(asked, config, {})
    rows = Rows(
        _uids(index, len(response_mask)),
        plain(response_mask),
        plain(token_level_rewards),
        tensors={} if batch is None else _tensors(batch, asked),
        lists={} if non_tensor_batch is None else dict(non_tensor_batch),
    )
    filled = fill(rows, asked, carry=CARRY["estimator"], can_mask=False)
    return _tensor(filled.advantages, response_mask), _tensor(filled.returns, response_mask)


def whole_batch(data: Any, name: str, config: Any) -> Any:
    """`compute_advantage` for a method of stepcredit: fills advantages and returns, and takes out of the loss mask what
    the method did not judge."""
    call = CALL.get()
    asked = read_settings(name, config)
    mask = data.batch["response_mask"]
    rows, real, loss = _rows(data, asked, config) if call is None else _queue_rows(data, asked, call)
    filled = fill(rows, asked, carry=CARRY["batch"], can_mask=True, loss=loss)
    shape = tuple(mask.shape)
    data.batch["advantages"] = _tensor(_onto(filled.advantages, real, shape), mask)
    data.batch["returns"] = _tensor(_onto(filled.returns, real, shape), mask)
    if filled.lost.any():
        lost = _tensor(_onto(filled.lost, real, shape), mask).bool()
        data.batch["response_mask"] = mask.masked_fill(lost, 0)
        if call is not None:
            call.lost = lost
    _say(filled, call, data)
    return data


def _rows(data: Any, asked: Asked, config: Any) -> tuple[Rows, Any, None]:
    lists = dict(data.non_tensor_batch)
    tensors = _tensors(data.batch, asked)
    _turns_are_whole(asked, config, {**tensors, **lists})
    mask = plain(data.batch["response_mask"])
    scores = data.batch.get("token_level_scores", None)
    rows = Rows(
        _uids(lists.get("uid"), len(mask)),
        mask,
        plain(data.batch["token_level_rewards"]),
        None if scores is None else plain(scores),
        tensors=tensors,
        lists=lists,
    )
    return rows, slice(None), None


def _queue_rows(data: Any, asked: Asked, call: TrainerCall) -> tuple[Rows, Any, str]:
    """Rows of the v1 trainer, without those that it added to fill the batch up."""
    meta = call.meta
    fields = ["uid", "extra_fields", "response_mask", *asked.settings.columns.values()]
    if "token_entropy" in asked.columns:
        fields += TOKEN_FIELDS["token_entropy"]
    attached = call.module.tq.kv_batch_get(
        keys=meta.keys, partition_id=meta.partition_id, select_fields=list(dict.fromkeys(fields))
    )
    real = np.array([not tag.get("is_padding", False) for tag in meta.tags], bool)
    at = np.flatnonzero(real)
    place = [key.rsplit("_", 2) for key in meta.keys]
    odd = next((key for key, parts in zip(meta.keys, place, strict=True) if len(parts) != 3), None)
    if odd is not None:
        raise LayoutError(f"key {odd!r} of the TransferQueue is not of the form UID_SAMPLE_OUTPUT")
    found = {name: _listed(attached[name]) for name in attached.keys() if name not in ("uid", "response_mask")}  # noqa: SIM118
    extra = [dict(row or {}) for row in found.pop("extra_fields", [{}] * len(real))]
    width = data.batch["response_mask"].shape[1]
    mask = np.zeros((len(real), width), np.int64)
    for row, sampled in enumerate(attached["response_mask"].unbind()):  # before verl's own rejection of tokens
        mask[row, : len(sampled)] = plain(sampled)
    rows = Rows(
        [data.non_tensor_batch["uid"][b] for b in at],
        mask[at],
        plain(data.batch["token_level_rewards"])[at],
        plain(data.batch["token_level_scores"])[at],
        rollout=["_".join(place[b][:2]) for b in at],
        step_index=np.array([int(place[b][2]) for b in at], np.int64),
        copied=True,
        tensors={n: plain(v)[at] for n, v in _tensors(data.batch, asked).items()},
        lists={n: [v[b] for b in at] for n, v in found.items()},
        extra=[extra[b] for b in at],
    )
    actor = call.trainer.config.actor_rollout_ref.actor
    return rows, at, actor.get("policy_loss", {}).get("loss_mode", "vanilla")


def _say(filled: Filled, call: TrainerCall | None, data: Any) -> None:
    stats = {f"stepcredit/{name}": value for name, value in filled.stats.items()}
    if call is not None:
        call.metrics.update(stats)
    else:
        data.meta_info["stepcredit"] = stats


def _tensors(batch: Any, asked: Asked) -> dict[str, Any]:
    """Tensors of the batch that the method, a critic or the config's columns may ask for."""
    wanted = {"values", *asked.settings.columns.values()}
    for name, fields in TOKEN_FIELDS.items():
        if name in asked.columns:
            wanted.update(fields)
    return {name: plain(batch[name]) for name in batch.keys() if name in wanted}  # noqa: SIM118


def _listed(values: Any) -> list[Any]:
    """One object per row of what a TransferQueue gives back: a nested tensor, or a stack of anything."""
    if hasattr(values, "unbind") and hasattr(values, "detach"):
        return [plain(v) for v in values.unbind()]
    return [getattr(v, "data", v) if type(v).__name__ == "NonTensorData" else v for v in list(values)]


def _uids(index: Any, rows: int) -> Sequence[Any]:
    if index is None:
        raise LayoutError(
            f"the batch of {rows} rows has no uid: nothing says which rollouts are of one prompt",
            hint='non_tensor_batch["uid"], which verl\'s trainers set; data.gen_batch_size alone does not',
        )
    return list(plain(index))


def _turns_are_whole(asked: Asked, config: Any, fields: Mapping[str, Any]) -> None:
    if rejects_tokens(config) and "turn_ids" not in asked.settings.columns:
        attached = fields.get("stepcredit")
        if attached is not None and all("turn_ids" in (row or {}) for row in attached):
            return
        raise StepCreditError(
            "algorithm.rollout_correction.rollout_rs took tokens out of the mask, whose runs of ones are the turns",
            hint="use the v1 trainer (trainer.use_v1=true), whose whole mask is read; or carry turn_ids",
        )


def _onto(values: Any, real: Any, shape: tuple[int, ...]) -> Any:
    out = np.zeros(shape, values.dtype)
    out[real] = values
    return out


def _tensor(values: Any, like: Any) -> Any:
    from torch import as_tensor, float32

    return as_tensor(values, dtype=float32, device=like.device)
