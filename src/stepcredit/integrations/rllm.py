"""Credit inside rLLM: `step.advantage`, a list with one number per response token, set by rLLM's grouping hook.

    from stepcredit.integrations.rllm import credit_hook

    trainer = AgentTrainer(..., traj_grouping_hook=credit_hook("gigpo", gamma=0.95))

    rllm.algorithm.use_precomputed_advantage=true            # in the configuration; else rLLM overwrites the numbers

A trajectory is a rollout, its group the TrajectoryGroup, its outcome `trajectory.reward`; each Step is a turn.
Columns: `step.metadata["stepcredit"] = {"state": ..., "score": ...}`, one value per step, `token_*` a list; of the
rollout or the task: `trajectory.metadata["stepcredit"]`. `step.reward` is the reward of steps where one is not 0;
logprobs are `token_old_logp`. So every method is served but those that need a tree.

rLLM calls the hook on validation episodes too, where nothing reads the numbers; and in asynchronous training with one
task at a time, where methods that pool over tasks are refused. There, keep `filter_uniform_groups` off: rLLM takes the
absolute value of each advantage and fails on lists.

rLLM's Tinker backend reads the lists. Its verl backend would read one number per trajectory: the hook puts
`spread_on_verl` in the place of rLLM's own function in that backend.

Not judged: rLLM's steps have no loss mask, so this is an error, unless unjudged="zero" (Tinker's losses sum over the
tokens: there an advantage of 0 adds nothing). rLLM has no field for clip_scale or loss_weight.
"""

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from stepcredit.errors import LayoutError
from stepcredit.integrations._padded import Padded
from stepcredit.integrations._rows import (
    KEY,
    Row,
    Unjudged,
    assign_rows,
    assigner,
    by_turn,
    patched,
    per_step,
    refuse_dropped,
    refuse_extras,
    refuse_part,
    side,
)

_CARRY = f'in rLLM, write it to step.metadata["{KEY}"] of every step, in your workflow or agent flow'
_VERL = "rllm.trainer.verl.verl_backend"


class TrajectoryCredit:
    """One credit method with its options, for rLLM's TrajectoryGroups.

    Args:
        method: a name of `stepcredit methods`. options: its own; and `reward`, `lint_every`, `fail_on`.
        unjudged: "raise", or "zero": tokens not judged keep an advantage of 0.

    Attributes:
        last: what the latest call made; `last.stats["judged"]` is the share of steps that were judged.
    """

    def __init__(self, method: str, *, unjudged: Unjudged = "raise", **options: Any) -> None:
        self.assign, self.unjudged = assigner(method, _CARRY, options), unjudged
        self.last: Padded | None = None

    def __call__(self, groups: Sequence[Any]) -> Padded | None:
        """Set `advantage` of every step; None where no step holds tokens.

        Raises:
            LayoutError, MissingColumn, LintFailed. StepCreditError: what rLLM cannot carry.
        """
        held = [(g, t) for g in groups for t in g.trajectories]
        if not any(step.response_ids for _, t in held for step in t.steps):
            return None
        if len({group.task_id for group in groups}) == 1:
            refuse_part(self.assign, "rLLM", "one task (asynchronous training does)")
        whole = any(step.reward for _, t in held for step in t.steps)
        rows = [_row(group.group_id, trajectory, whole) for group, trajectory in held]
        credits, out = assign_rows(self.assign, rows)
        refuse_extras(out, "rLLM")
        refuse_dropped(credits, "rLLM", self.unjudged)
        for (_, trajectory), row, credit in zip(held, rows, credits, strict=True):
            for step, values in zip(trajectory.steps, by_turn(credit.advantages, row.turns), strict=True):
                step.advantage = values
        self.last = out
        return out


def credit_hook(
    method: str, *, base: Callable[..., Any] | None = None, unjudged: Unjudged = "raise", **options: Any
) -> Callable[..., Any]:
    """A `traj_grouping_hook` that groups as `base` does and credits the groups; its `credit` is the TrajectoryCredit.

    Args:
        base: a grouping hook; default: rLLM's own. Others: as TrajectoryCredit takes them.
    """
    credit = TrajectoryCredit(method, unjudged=unjudged, **options)

    def hook(episodes: Any, transform_config: Any, compact_filtering_config: Any = None) -> Any:
        group = base or import_module("rllm.trainer.algorithms.transform")._default_traj_grouping_hook
        groups = group(episodes, transform_config, compact_filtering_config)
        if _VERL in sys.modules:
            patched(sys.modules[_VERL], "update_dataproto_with_advantages", spread_on_verl)
        credit(groups)
        return groups

    hook.credit = credit  # type: ignore[attr-defined]
    return hook


def _row(group: str, trajectory: Any, rewards: bool) -> Row:
    steps = trajectory.steps
    columns = {**per_step([side(step.metadata) for step in steps]), **side(trajectory.metadata)}
    for name in [n for n in columns if n.startswith("token_")]:
        lists = zip(columns[name], steps, strict=True)
        columns[name] = [v for part, step in lists for v in part or [None] * len(step.response_ids)]
    if rewards:
        columns.setdefault("reward", [step.reward for step in steps])
    if all(len(step.logprobs) == len(step.response_ids) for step in steps):
        columns.setdefault("token_old_logp", [logp for step in steps for logp in step.logprobs])
    return Row(group, [len(step.response_ids) for step in steps], trajectory.reward, None, columns)


def spread_on_verl(batch: Any, container: Sequence[Any], mode: str = "broadcast") -> Any:
    """rLLM's `update_dataproto_with_advantages`, for lists: each row of the batch has the numbers of its own tokens.

    A row is a run of a trajectory's steps, merged; it is found by its tokens.

    Raises:
        LayoutError: a row whose sampled tokens are no run of whole steps of its trajectory.
    """
    if mode != "broadcast":
        raise LayoutError(f"mode must be 'broadcast'; got {mode!r}")
    torch = import_module("torch")
    steps = {t.uid: t.steps for item in container for t in item.trajectories}
    mask, responses = batch.batch["response_mask"], batch.batch["responses"]
    advantages = torch.zeros(mask.shape, dtype=torch.float32)
    padding = batch.non_tensor_batch.get("is_pad_step", np.zeros(len(mask), bool))
    for at, uid in enumerate(map(str, batch.non_tensor_batch["step_ids"])):
        sampled = mask[at].bool().cpu()
        if padding[at] or not sampled.any():
            continue
        found = _run(responses[at].cpu()[sampled].tolist(), steps.get(uid, []))
        if found is None:
            raise LayoutError(f"row {at} holds tokens that are no run of whole steps of trajectory {uid}")
        advantages[at, sampled] = torch.tensor(found, dtype=torch.float32)
    advantages = advantages.to(mask.device)
    batch.batch.update({"advantages": advantages, "returns": advantages.clone()})
    batch.batch["token_level_scores"] = batch.batch["token_level_rewards"] = batch.batch["traj_rewards"]
    return batch


def _run(tokens: list[int], steps: Sequence[Any]) -> list[float] | None:
    """Advantages of the run of steps that sampled these tokens; the row may be cut at its end."""
    for first in range(len(steps)):
        ids: list[int] = []
        values: list[float] = []
        for step in steps[first:]:
            ids += step.response_ids
            values += step.advantage
            if len(ids) >= len(tokens):
                break
        if ids[: len(tokens)] == tokens:
            return values[: len(tokens)]
    return None
