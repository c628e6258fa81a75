"""Credit of one verl batch: columns in, advantages, returns and what leaves the loss mask out."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from stepcredit.credit import assign
from stepcredit.data import scatter
from stepcredit.data.layout import Bools, Floats
from stepcredit.errors import StepCreditError
from stepcredit.integrations._padded import Assigner, Padded
from stepcredit.integrations._verl_rows import Rows, columns
from stepcredit.integrations._verl_settings import Asked

# Losses of verl that are positively homogeneous in the advantage, token by token: w * loss(A) = loss(w * A) for w >= 0.
# clip_cov and kl_cov choose tokens by comparing advantages, geo_mean averages them over a sequence, dro adds a term.
WEIGHTABLE = frozenset({"vanilla", "dppo_tv", "dppo_kl", "gspo", "sapo", "gpg", "cispo"})

_KEPT: dict[str, Assigner] = {}


@dataclass(frozen=True, eq=False)
class Filled:
    """[B, T] advantages and returns; lost: sampled tokens that must leave the loss mask; stats: for a tracker."""

    advantages: Floats
    returns: Floats
    lost: Bools
    stats: Mapping[str, float]


def assigner(asked: Asked, carry: str) -> Assigner:
    """The one Assigner of a method and its settings in this process: it counts calls for the linter."""
    key = repr((asked.name, sorted(asked.options.items(), key=str), asked.settings, carry))
    if key not in _KEPT:
        settings = asked.settings
        _KEPT[key] = Assigner(
            asked.name,
            reward=settings.reward,
            lint_every=settings.lint_every,
            fail_on=settings.fail_on,
            carry=carry,
            options=asked.options,
        )
    return _KEPT[key]


def fill(rows: Rows, asked: Asked, *, carry: str, can_mask: bool, loss: str | None = None) -> Filled:
    """Credit of all rows.

    Args:
        carry: where a user can put a column, for errors. can_mask: whether the caller can change the loss mask.
        loss: the policy loss of the run, where it is known.

    Raises:
        StepCreditError: what is missing, does not fit, or has no place in verl's loss.
    """
    critic = "values" in rows.tensors
    given = columns(rows, asked, critic=critic)
    mask = rows.mask if given["turn_ids"] is None else given["turn_ids"] >= 0
    given["response_mask"] = mask  # the shape of what comes back
    out = assigner(asked, carry)(**given)
    sampled = np.asarray(mask) == 1
    advantages = out.advantages * _weight(out, asked, loss or asked.settings.loss)
    returns, kept = advantages, out.mask
    if critic:
        target = _critic_target(out, asked, advantages.shape)
        kept = kept & ~np.isnan(target)
        returns = np.where(kept, target, 0.0)
    lost = sampled & ~kept
    _no_place_for(lost, sampled, asked, can_mask)
    if asked.settings.not_judged == "zero":
        lost = np.zeros_like(lost)
    stats = {**out.stats, "tokens_not_judged": float(np.sum(sampled & ~kept))}
    return Filled(np.where(kept, advantages, 0.0), returns, lost, stats)


def _critic_target(out: Padded, asked: Asked, shape: tuple[int, ...]) -> Floats:
    """[B, T] the lambda-return from the critic's values, as verl's own GAE sets it; NaN where it is unknown."""
    batch = out.credit.batch
    gae = assign(batch, "gae_token", reward=asked.settings.reward, gamma=asked.gamma, lam=asked.lam)
    return scatter(batch, gae.tokens + batch["token_value"], (shape[0], shape[1]))


def _weight(out: Padded, asked: Asked, loss: str | None) -> Floats | float:
    """What multiplies the advantages: the method's loss_weight, where the loss is one in which that is the same."""
    drop = asked.settings.drop
    if out.clip_scale is not None and "clip_scale" not in drop and np.any(out.clip_scale != 1):
        raise StepCreditError(
            f"{asked.name} scales the clip range of each token (clip_scale), and no policy loss of verl takes that",
            hint="+algorithm.stepcredit.drop=[clip_scale] trains with verl's one clip range",
        )
    if out.loss_weight is None or "loss_weight" in drop or np.all(out.loss_weight == 1):
        return 1.0
    if loss is None:
        raise StepCreditError(
            f"{asked.name} weighs the loss of each token (loss_weight); this seat does not see the run's policy loss",
            hint="+algorithm.stepcredit.loss=vanilla (your actor.policy_loss.loss_mode), or drop=[loss_weight]",
        )
    if loss not in WEIGHTABLE or np.any(out.loss_weight < 0):
        why = "negative weights" if loss in WEIGHTABLE else f"policy loss {loss!r}"
        raise StepCreditError(
            f"{asked.name} weighs the loss of each token (loss_weight); with {why} that is not the same as weighing "
            "advantages, which is all that verl's loss takes",
            hint=f"policy losses: {', '.join(sorted(WEIGHTABLE))}; or +algorithm.stepcredit.drop=[loss_weight]",
        )
    return out.loss_weight


def _no_place_for(lost: Bools, sampled: Bools, asked: Asked, can_mask: bool) -> None:
    count, all_ = int(lost.sum()), int(sampled.sum())
    if not count or asked.settings.not_judged == "zero":
        return
    said = (
        f"{asked.name} did not judge {count} of {all_} sampled tokens in {int(lost.any(1).sum())} of {len(lost)} rows"
    )
    if count == all_:
        raise StepCreditError(
            f"{said}: nothing is left to train on", hint="are rewards NaN? did the reward function fail?"
        )
    if asked.settings.not_judged == "error":
        raise StepCreditError(
            said, hint="not_judged=mask takes them out of the loss, not_judged=zero keeps them with 0"
        )
    if not can_mask:
        raise StepCreditError(
            f"{said}, and a registered estimator cannot take them out of verl's loss mask",
            hint="+algorithm.stepcredit.not_judged=zero keeps them in it with 0: they count in the mean of the loss",
        )
