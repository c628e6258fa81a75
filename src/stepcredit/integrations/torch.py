"""Credit for a home-grown PyTorch loop: padded tensors in, padded tensors out.

    from stepcredit.integrations.torch import CreditFunction

    credit = CreditFunction("gigpo", gamma=0.95)
    for batch in batches:                                    # [B, T] tensors of one training batch
        out = credit(group=batch["uid"], response_mask=batch["mask"], outcome=batch["reward"], state=batch["states"])
        ratio = (logp - batch["old_logp"]).exp()
        loss = -torch.min(ratio * out.advantages, ratio.clamp(0.8, 1.2) * out.advantages)
        loss = (loss * out.mask).sum() / out.mask.sum().clamp(min=1)

`out.mask` is the response mask without what the method did not judge. Numbers are computed by NumPy in float64 on the
CPU; two small copies per batch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch

from stepcredit.credit import Credit
from stepcredit.credit.run import RewardFrom
from stepcredit.integrations._padded import Assigner, LintFailed, Padded
from stepcredit.lint import Report, check
from stepcredit.lint.rule import Severity

__all__ = ["CreditFunction", "LintFailed", "TensorCredit", "assign", "check", "to_tensors"]


@dataclass(frozen=True, eq=False)
class TensorCredit:
    """`stepcredit.integrations._padded.Padded` as tensors on the device of the mask.

    advantages: [B, T] 0 outside `mask`. mask: [B, T] bool, what the loss may count. clip_scale: [B, T] multiplies the
    clip range. loss_weight: [B, T] multiplies the loss. None where the method has none.
    """

    advantages: torch.Tensor
    mask: torch.Tensor
    credit: Credit
    stats: Mapping[str, float]
    clip_scale: torch.Tensor | None = None
    loss_weight: torch.Tensor | None = None
    report: Report | None = None


class CreditFunction:
    """One credit method with its options, called on batch after batch; see the module's example.

    Args:
        method: a name of `stepcredit methods`. options: its own.
        reward, lint_every, fail_on: as `stepcredit.integrations._padded.Assigner` takes them.
        dtype: of the tensors returned.
    """

    def __init__(
        self,
        method: str,
        *,
        reward: RewardFrom | None = None,
        lint_every: int = 50,
        fail_on: Severity | Literal["never"] = "error",
        dtype: torch.dtype = torch.float32,
        **options: Any,
    ) -> None:
        self.assigner = Assigner(method, reward=reward, lint_every=lint_every, fail_on=fail_on, options=options)
        self.dtype = dtype

    def __call__(self, *, group: Any, response_mask: torch.Tensor, **columns: Any) -> TensorCredit:
        """Credit of one batch; arguments as `stepcredit.from_arrays` takes them, padded."""
        out = self.assigner(group=group, response_mask=response_mask, **columns)
        return to_tensors(out, response_mask.device, self.dtype)


def assign(
    method: str,
    *,
    group: Any,
    response_mask: torch.Tensor,
    options: Mapping[str, Any] | None = None,
    reward: RewardFrom | None = None,
    **columns: Any,
) -> TensorCredit:
    """`stepcredit.assign` on padded tensors, once; no linter."""
    out = Assigner(method, reward=reward, lint_every=0, options=options)(
        group=group, response_mask=response_mask, **columns
    )
    return to_tensors(out, response_mask.device, torch.float32)


def to_tensors(out: Padded, device: torch.device, dtype: torch.dtype) -> TensorCredit:
    """Padded arrays as tensors on a device."""

    def tensor(values: Any) -> torch.Tensor | None:
        return None if values is None else torch.as_tensor(values, dtype=dtype, device=device)

    advantages = torch.as_tensor(out.advantages, dtype=dtype, device=device)
    mask = torch.as_tensor(out.mask, device=device)
    return TensorCredit(
        advantages, mask, out.credit, out.stats, tensor(out.clip_scale), tensor(out.loss_weight), out.report
    )
