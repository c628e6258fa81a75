"""Credit inside slime (and, one number per row, its fork miles), by two of slime's function flags.

    # my_credit.py, on PYTHONPATH
    from stepcredit.integrations.slime import SlimeCredit
    credit = SlimeCredit("gigpo", gamma=0.95)
    post_process, advantages = credit.post_process, credit.advantages

    --custom-reward-post-process-path my_credit.post_process --custom-advantage-function-path my_credit.advantages

`post_process` sees the samples of all groups where they are generated; it puts one number per response token in the
place of the group-normalized reward (raw rewards are logged as before). `advantages` brings these numbers to the
trainer's ranks, cut for context parallelism. Do not set --normalize-advantages unless you want them whitened.

Group: `sample.group_index`. Rollout: `sample.rollout_id`, where several samples share one (its parts, in order).
Turns: runs of ones in `sample.loss_mask`. Columns: `sample.metadata["stepcredit"] = {"state": [...], "reward":
[...]}`, one entry per turn, `token_*` one per sampled token, columns of the rollout one value ("outcome", where the
reward of the sample is not that of the rollout); "turns": [3, 5], tokens by turn, where two turns touch.
`rollout_log_probs` are `token_old_logp`. Values of a critic and of a reference model come too late to be seen here:
methods that need `token_value` or `token_ref_logp` are not served.

Not judged: the advantage is 0 and `sample.loss_mask` is set to 0. slime has no field for clip_scale or loss_weight.

miles has no --custom-advantage-function-path, so each sample has one number: write one sample per turn (with one
rollout_id), or use a method that gives a rollout one number; anything else is refused. Its estimator must be one that
takes the reward as it stands: --advantage-estimator grpo, gspo or cispo.
"""

from collections import Counter
from collections.abc import Sequence
from importlib import import_module
from itertools import chain
from typing import Any

from stepcredit.errors import StepCreditError
from stepcredit.integrations._padded import Padded
from stepcredit.integrations._rows import (
    KEY,
    Row,
    RowCredit,
    assign_rows,
    assigner,
    refuse_extras,
    side,
    turns_of,
    widened,
)

_CARRY = f'in slime, write it to sample.metadata["{KEY}"] in your generate function: a list with one entry per turn'
_ONE_NUMBER = ("grpo", "gspo", "cispo")


class SlimeCredit:
    """One credit method with its options, as slime's hooks.

    Args:
        method: a name of `stepcredit methods`. options: its own; and `reward`, `lint_every`, `fail_on`.

    Attributes:
        last: what the latest call made (stats, report).
    """

    def __init__(self, method: str, **options: Any) -> None:
        self.assign = assigner(method, _CARRY, options)
        self.last: Padded | None = None

    def post_process(self, args: Any, samples: Sequence[Any]) -> tuple[list[float], list[Any]]:
        """`--custom-reward-post-process-path`: raw rewards, and each sample's advantages in the place of its reward.

        Raises:
            LayoutError, MissingColumn, LintFailed. StepCreditError: a sample needs more numbers than the trainer takes.
        """
        flat: list[Any] = list(chain.from_iterable(s if isinstance(s, list) else [s] for s in samples))
        masks = [[1] * s.response_length if s.loss_mask is None else list(s.loss_mask) for s in flat]
        shared = Counter(s.rollout_id for s in flat if s.rollout_id is not None)
        parts = any(count > 1 for count in shared.values())
        raw = [s.get_reward_value(args) for s in flat]
        rows = [_row(s, mask, value, parts) for s, mask, value in zip(flat, masks, raw, strict=True)]
        credits, self.last = assign_rows(self.assign, rows)
        refuse_extras(self.last, "slime")
        per_token = getattr(args, "custom_advantage_function_path", None) is not None
        if not per_token and args.advantage_estimator not in _ONE_NUMBER:
            raise StepCreditError(
                f"--advantage-estimator {args.advantage_estimator} computes its own numbers from these",
                hint=f"one of {', '.join(_ONE_NUMBER)}; in slime give --custom-advantage-function-path",
            )
        tensor = import_module("torch").tensor
        out: list[Any] = []
        for at, (sample, mask, credit) in enumerate(zip(flat, masks, credits, strict=True)):
            sample.loss_mask = [int(kept) for kept in widened(credit.keep, mask, False)]
            out.append(tensor(widened(credit.advantages, mask, 0.0)) if per_token else _one_number(credit, at))
        return raw, out

    def advantages(self, args: Any, rollout_data: dict[str, Any]) -> None:
        """`--custom-advantage-function-path`: sets `advantages` and `returns`, one tensor per sample.

        Raises:
            StepCreditError: the rewards are not those of `post_process`.
        """
        out = []
        lengths = zip(rollout_data["total_lengths"], rollout_data["response_lengths"], strict=True)
        for values, like, (total, length) in zip(rollout_data["rewards"], rollout_data["kl"], lengths, strict=True):
            if getattr(values, "shape", None) != (length,):
                raise StepCreditError(
                    f"a sample with {length} response tokens has no advantage per token; got {values!r:.80}",
                    hint="give --custom-reward-post-process-path, the post_process of the same SlimeCredit",
                )
            if len(like) != length:
                cut = import_module("slime.backends.megatron_utils.cp_utils").slice_log_prob_with_cp
                values = cut(values, total, length)
            out.append(values.to(like))
        rollout_data["advantages"] = out
        rollout_data["returns"] = [values.clone() for values in out]


def _row(sample: Any, mask: Sequence[int], outcome: float | None, parts: bool) -> Row:
    columns = side(sample.metadata)
    turns = columns.pop("turns", None) or turns_of(mask)
    if sample.rollout_log_probs is not None:
        logps = zip(sample.rollout_log_probs, mask, strict=True)
        columns.setdefault("token_old_logp", [logp for logp, sampled in logps if sampled])
    name = sample.rollout_id if sample.rollout_id is not None else f"sample {sample.index}"
    return Row(sample.group_index, turns, outcome, name if parts else None, columns)


def _one_number(credit: RowCredit, at: int) -> float:
    kept = {value for value, keep in zip(credit.advantages, credit.keep, strict=True) if keep}
    if len(kept) > 1:
        raise StepCreditError(
            f"sample {at} has {len(kept)} different numbers, and this trainer takes one per sample",
            hint="slime: give --custom-advantage-function-path; miles: write one sample per turn, with one rollout_id",
        )
    return kept.pop() if kept else 0.0
