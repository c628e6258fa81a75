"""Groups of one."""

import numpy as np

from stepcredit.data.layout import Floats, Ints
from stepcredit.lint.rule import Declared, Finding, NotChecked, Rule

RULE = Rule(
    title="a lone rollout keeps its raw outcome",
    bug="rllm-org/rllm#605, PR#776: each rollout got a group id of its own, and verl keeps the raw reward of a group "
    "of one",
    why="nothing is subtracted: any positive outcome is reinforced, however easy the task",
    mend="check the group ids; sample the task again, leave the rollout out, or give it 0",
    severity="warning",
)


def lone_rollout(
    credit: Floats,
    rollout_group: Ints,
    group_size: Ints,
    centers: bool,
    uniform: bool,
    scale: float,
    rollout_outcome: Floats | None = None,
    method: Declared | None = None,
) -> list[Finding] | NotChecked:
    alone = np.flatnonzero((group_size[rollout_group] == 1) & np.isfinite(credit))
    if alone.size == 0:
        return []
    if not uniform:
        return NotChecked("needs credit that is one number per rollout")
    # Whitening over tokens moves all credit by a small constant.
    told = alone[np.abs(credit[alone]) > 0.1 * scale]
    raw = False
    if rollout_outcome is not None and told.size:
        raw = bool(np.allclose(credit[told], rollout_outcome[told], rtol=1e-3))
    everyone = bool(np.all(group_size <= 1))
    if not told.size or not (centers or (raw and everyone)):
        message = (
            f"{alone.size} of {int(np.sum(group_size > 0))} groups have a single rollout: nothing to compare it with"
        )
        return [Finding(message, alone.size, {"rollout": alone, "group": rollout_group[alone]}, "info")]
    message = f"{told.size} rollouts are alone in their group and have credit {_range(credit[told])}"
    message += ", their raw outcome" if raw else ""
    message += "; no group has two rollouts" if everyone else "; the other groups average 0"
    meant = method is not None and (method.options.get("lone") == "raw" or "other_prompts" in method.waives)
    where = {"rollout": told, "group": rollout_group[told]}
    return [Finding(message, told.size, where, "info" if meant else None)]


def _range(x: Floats) -> str:
    return f"{x.min():.4g}" if x.min() == x.max() else f"{x.min():.4g} to {x.max():.4g}"
