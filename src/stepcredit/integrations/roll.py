"""Credit inside ROLL's agentic pipeline: another `agentic_compute_advantage`.

ROLL has a closed list of estimators, called in the driver; so, in your copy of `start_agentic_pipeline.py`:

    from stepcredit.integrations.roll import install
    install("gigpo", gamma=0.95)                       # before pipeline.run(); with adv_estimator: grpo

Group: `traj_group_id`. Rollout: `traj_id`, its rows in the order of `step`. Outcome: `episode_scores`. Rewards of
steps: `step_scores`. State: `state_hash`, of environment managers that write one row per step. (ROLL's own gigpo pools
equal hashes of different prompts and its proxy manager writes "step_<n>" there; here states are compared within a
group.) Turns: runs of ones in `response_mask`. More columns: your environment manager writes
`non_tensor_batch["stepcredit"] = np.array([{"score": [...]}], dtype=object)`, a dict per row, lists with one entry per
turn. `values`, `old_log_probs`, `ref_log_probs` are `token_value`, `token_old_logp`, `token_ref_logp`. So every method
is served but those that need a tree.

Not judged: the advantage is 0 and `response_mask` is set to 0. There is no field for clip_scale or loss_weight.
`advantage_clip` is applied to our numbers; `whiten_advantages`, `add_token_level_kl` and OPD would be lost, and are
refused. ROLL's own estimator still runs (its metrics stay).
"""

from collections.abc import Callable
from functools import wraps
from importlib import import_module
from typing import Any

import numpy as np

from stepcredit.errors import StepCreditError
from stepcredit.integrations._grids import assign_grid
from stepcredit.integrations._rows import KEY, assigner, patched, refuse_extras, side, turns_of

_CARRY = f'in ROLL, write it in your environment manager: non_tensor_batch["{KEY}"], a dict of columns per row'
_LOST = ("whiten_advantages", "add_token_level_kl", "use_opd", "is_pure_opd")


def with_credit(original: Callable[..., Any], method: str, **options: Any) -> Callable[..., Any]:
    """ROLL's `agentic_compute_advantage` with advantages by a method.

    Args:
        method: a name of `stepcredit methods`. options: its own; and `reward`, `lint_every`, `fail_on`.
    """
    assign = assigner(method, _CARRY, options)

    @wraps(original)
    def compute(data: Any, *args: Any, **given: Any) -> Any:
        config = given.get("pipeline_config")
        lost = [name for name in _LOST if given.get(name) or getattr(config, name, False)]
        if lost:
            raise StepCreditError(f"credit by a method would lose ROLL's {', '.join(lost)}", hint="switch it off")
        reference = getattr(config, "enable_reference", True)  # without one, ROLL copies the policy's log-probs
        data = original(data, *args, **given)
        mask = data.batch["response_mask"][:, 1:]
        held = data.non_tensor_batch
        grid = assign_grid(
            assign,
            mask,
            group=list(held["traj_group_id"]),
            outcome=[None if value is None else float(value) for value in held["episode_scores"]],
            rollout=list(held["traj_id"]),
            place=[int(step) for step in held["step"]] if "step" in held else None,
            sides=[_side(held, at, len(turns_of(row))) for at, row in enumerate(mask.tolist())],
            tokens={
                "token_value": data.batch.get("values"),
                "token_old_logp": data.batch.get("old_log_probs"),
                "token_ref_logp": data.batch.get("ref_log_probs") if reference else None,
            },
        )
        refuse_extras(grid.out, "ROLL")
        advantages, clip = grid.advantages.to(data.batch["advantages"]), given.get("advantage_clip")
        data.batch["raw_advantages"] = advantages.clone()
        data.batch["advantages"] = advantages if clip is None else advantages.clamp(-clip, clip)
        if "values" not in data.batch:
            data.batch["returns"] = advantages.clone()
        kept = data.batch["response_mask"].clone()
        kept[:, 1:] *= grid.keep.to(kept)
        data.batch["response_mask"] = kept
        return data

    return compute


def _side(held: Any, at: int, turns: int) -> dict[str, Any]:
    columns = side({KEY: held[KEY][at]} if KEY in held else None)
    for name, field in (("reward", "step_scores"), ("state", "state_hash")):
        if field in held:
            value = held[field][at]
            listed = list(value) if np.ndim(value) else [value]
            if name == "reward" or len(listed) == turns:
                columns.setdefault(name, listed)
    return columns


def install(method: str, **options: Any) -> None:
    """Put `with_credit` in the place of ROLL's function, in this process.

    Raises:
        StepCreditError: another version of ROLL.
    """
    module = import_module("roll.pipeline.agentic.agentic_pipeline")
    name = "agentic_compute_advantage"
    patched(module, name, with_credit(getattr(module, name), method, **options))
