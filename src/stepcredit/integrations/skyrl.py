"""Credit inside SkyRL, two ways.

**A trainer class**, which sees turns and columns (recommended):

    from stepcredit.integrations.skyrl import with_credit

    class Experiment(BasePPOExp):
        def get_trainer(self, cfg, **rest):
            return with_credit(RayPPOTrainer, "gigpo", gamma=0.95)(cfg=cfg, **rest)

Turns: runs of ones in `loss_mask`. Rollouts: rows, or in step-wise mode runs of rows up to `is_last_step`; there every
row gets its own credit, where SkyRL spreads the last row's. Group: the uid. Outcome: the sum of a row's rewards, in
step-wise mode of the last row's. Rewards by token are summed by turn. Columns: `env.get_metrics()` returns
{"stepcredit": {"state": [...], ...}}, lists with one entry per turn of the rollout. Values of the critic are
`token_value`, rollout logprobs `token_old_logp`, those of the reference `token_ref_logp`. So every method is served
but those that need a tree. `generator.merge_stepwise_output` loses columns.

Not judged: the advantage is 0 and `loss_mask` is set to 0. SkyRL has no field for clip_scale or loss_weight. The
configured `advantage_estimator` still runs (its metrics stay, with a critic its returns too); ours replaces its
numbers.

**A registered estimator**, for single-turn tasks: SkyRL gives it rewards and a response mask that is 1 on tool output
too, so it can tell neither turns nor columns, and can take no token out of the loss.

    from stepcredit.integrations.skyrl import register
    register("rloo")                       # then trainer.algorithm.advantage_estimator=stepcredit
"""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from stepcredit.errors import LayoutError
from stepcredit.integrations._grids import assign_grid
from stepcredit.integrations._rows import (
    KEY,
    Unjudged,
    assigner,
    refuse_dropped,
    refuse_extras,
    side,
    turns_of,
)

_CARRY = f'in SkyRL, return it from your environment\'s get_metrics(): {{"{KEY}": {{...}}}}, and use with_credit'
_SINGLE = (
    "a registered estimator gets neither turns nor columns from SkyRL: use stepcredit.integrations.skyrl.with_credit"
)


def with_credit(trainer: type, method: str, **options: Any) -> type:
    """A subclass of a SkyRL trainer whose advantages come from a method.

    Args:
        trainer: `skyrl.train.trainer.RayPPOTrainer` or a subclass.
        method: a name of `stepcredit methods`. options: its own; and `reward`, `lint_every`, `fail_on`.
    """
    assign = assigner(method, _CARRY, options)
    parent: Any = trainer

    def convert_to_training_input(self: Any, generator_output: Mapping[str, Any], uids: list[str]) -> Any:
        data = parent.convert_to_training_input(self, generator_output, uids)
        if generator_output.get("env_metrics") is not None:
            data.metadata[KEY] = [side(metrics) for metrics in generator_output["env_metrics"]]
        return data

    def compute_advantages_and_returns(self: Any, data: Any) -> Any:
        data = parent.compute_advantages_and_returns(self, data)
        rows = len(data.metadata["uids"]) - data.metadata.get("pad_size", 0)
        last = data.metadata["is_last_step"][:rows] if self.cfg.generator.step_wise_trajectories else [True] * rows
        rollout = [sum(last[:at]) for at in range(rows)]
        mask = data["loss_mask"][:rows] != 0
        sums = data["rewards"][:rows].sum(-1).tolist()
        ends = [at for at, end in enumerate(last) if end]
        given = data.metadata.get(KEY)
        grid = assign_grid(
            assign,
            mask,
            group=data.metadata["uids"][:rows],
            outcome=[sums[ends[r]] for r in rollout],
            rollout=None if all(last) else rollout,
            sides=_sides(given, rollout, [len(turns_of(row)) for row in mask.tolist()]) if given else (),
            rewards=data["rewards"][:rows],
            tokens={
                "token_value": _rows(data, "values", rows),
                "token_old_logp": _rows(data, "rollout_logprobs", rows),
                "token_ref_logp": _rows(data, "base_action_log_probs", rows),
            },
        )
        refuse_extras(grid.out, "SkyRL")
        data["advantages"][:rows] = grid.advantages.to(data["advantages"])
        data["loss_mask"][:rows] *= grid.keep.to(data["loss_mask"])
        if data.get("values") is None:
            data["returns"] = data["advantages"].clone()
        self.all_metrics.update({f"stepcredit/{name}": value for name, value in grid.out.stats.items()})
        return data

    body = {
        "convert_to_training_input": convert_to_training_input,
        "compute_advantages_and_returns": compute_advantages_and_returns,
        "__doc__": f"{trainer.__name__} with credit by {method}.",
    }
    return type(f"Credit{trainer.__name__}", (trainer,), body)


def _rows(data: Any, name: str, rows: int) -> Any:
    values = data.get(name)
    return None if values is None else values[:rows]


def _sides(given: Sequence[dict[str, Any]], rollout: Sequence[int], turns: Sequence[int]) -> list[dict[str, Any]]:
    """Columns of a rollout, which its last row has, cut for its rows.

    Raises:
        LayoutError: a list that has not one entry per turn of the rollout.
    """
    out = [dict(columns) for columns in given]
    for r in dict.fromkeys(rollout):
        rows = [at for at, of in enumerate(rollout) if of == r]
        if len(rows) == 1:
            continue
        total = sum(turns[at] for at in rows)
        for name, values in given[rows[-1]].items():
            of_steps = isinstance(values, list | tuple)
            if name == "turns" or name.startswith("token_") or (of_steps and len(values) != total):
                raise LayoutError(
                    f"column {name!r} of rollout {r} cannot be cut into its {len(rows)} rows: expected one value, or "
                    f"one for each of its {total} turns"
                )
            done = 0
            for at in rows:
                out[at][name] = values[done : done + turns[at]] if of_steps else values
                done += turns[at]
    return out


def register(method: str, *, name: str = "stepcredit", unjudged: Unjudged = "raise", **options: Any) -> None:
    """Register a method as SkyRL's advantage estimator `name`; for single-turn tasks.

    Args:
        method, options: as with_credit takes them. unjudged: "raise", or "zero": such tokens keep an advantage of 0.
    """
    assign = assigner(method, _SINGLE, options)

    def estimator(
        token_level_rewards: Any, response_mask: Any, index: Sequence[str], values: Any = None, **_: Any
    ) -> tuple[Any, Any]:
        outcome = token_level_rewards.sum(-1).tolist()
        grid = assign_grid(
            assign, response_mask != 0, group=list(index), outcome=outcome, tokens={"token_value": values}
        )
        refuse_extras(grid.out, "SkyRL")
        refuse_dropped(grid.rows, "SkyRL's registered estimators", unjudged)
        advantages = grid.advantages.to(token_level_rewards)
        return advantages, advantages if values is None else advantages + values * (response_mask != 0)

    utils = import_module("skyrl.backends.skyrl_train.utils.ppo_utils")
    utils.AdvantageEstimatorRegistry.register(name, estimator)
