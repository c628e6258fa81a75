"""Credit inside tinker-cookbook's RL loop: another `assemble_training_data`, with an advantage per token.

    from stepcredit.integrations.tinker_cookbook import install
    install("gigpo", gamma=0.95)                       # before tinker_cookbook.rl.train.main(config)

A Trajectory is a rollout, its TrajectoryGroup the group, each Transition a turn. Outcome: the total reward, with the
group's final reward; rewards of steps: `transition.reward`, the final reward on the last. Columns: the environment
writes them to the step's logs, one scalar each: `logs={"stepcredit/state": "..."}`. Sampling log-probs are
`token_old_logp`. So every method is served but those that need a tree, a critic, a reference, or lists per token.

Not judged: advantage and mask are 0, as the cookbook does for turns that it does not train on (its losses sum over
tokens, so an advantage of 0 is out of the loss). There is no field for clip_scale or loss_weight. In training that
streams its groups, methods that pool over tasks are refused.
"""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from stepcredit.errors import LayoutError
from stepcredit.integrations._rows import KEY, Row, assign_rows, assigner, patched, per_step, refuse_extras, refuse_part

_PREFIX = f"{KEY}/"
_CARRY = f'in tinker-cookbook, write it to the logs of every StepResult: logs={{"{_PREFIX}<column>": value}}'


def assemble_with(method: str, **options: Any) -> Callable[..., Any]:
    """A function in the place of `tinker_cookbook.rl.data_processing.assemble_training_data`.

    Args:
        method: a name of `stepcredit methods`. options: its own; and `reward`, `lint_every`, `fail_on`.
    """
    assign = assigner(method, _CARRY, options)

    def assemble_training_data(trajectory_groups_P: Sequence[Any], advantages_P: Any = None) -> Any:
        if len(trajectory_groups_P) == 1:
            refuse_part(assign, "tinker-cookbook", "one group (streamed training does)")
        held = [(g, t) for g, group in enumerate(trajectory_groups_P) for t in range(len(group.trajectories_G))]
        totals = [group.get_total_rewards() for group in trajectory_groups_P]
        rows = [
            _row(g, trajectory_groups_P[g].trajectories_G[t], totals[g][t], trajectory_groups_P[g].final_rewards_G[t])
            for g, t in held
        ]
        credits, out = assign_rows(assign, rows)
        refuse_extras(out, "tinker-cookbook")
        to_data = import_module("tinker_cookbook.rl.data_processing").trajectory_to_data
        data: list[Any] = []
        metadata: list[dict[str, int]] = []
        for (g, t), credit in zip(held, credits, strict=True):
            made = to_data(trajectory_groups_P[g].trajectories_G[t], 1.0)
            _write(made, credit.advantages, credit.keep, trajectory_groups_P[g].trajectories_G[t])
            data += made
            metadata += [{"group_idx": g, "traj_idx": t} for _ in made]
        return data, metadata

    return assemble_training_data


def _row(group: int, trajectory: Any, total: float, final: float) -> Row:
    steps = trajectory.transitions
    logs = [{n.removeprefix(_PREFIX): v for n, v in s.logs.items() if n.startswith(_PREFIX)} for s in steps]
    columns = per_step(logs)
    rewards = [float(step.reward) for step in steps]
    if rewards:
        rewards[-1] += final
    columns.setdefault("reward", rewards)
    columns["token_old_logp"] = [logp for step in steps for logp in step.ac.logprobs]
    return Row(group, [len(step.ac.tokens) for step in steps], total, None, columns)


def _write(data: Sequence[Any], advantages: Sequence[float], keep: Sequence[bool], trajectory: Any) -> None:
    """Numbers of a trajectory's action tokens onto the action tokens of its datums, which stand in the same order."""
    torch = import_module("torch")
    tinker = import_module("tinker")
    masked = import_module("tinker_cookbook.rl.types").PARSE_ERROR_MASKED_METRIC_KEY
    trained: list[int] = []
    done = 0
    for step in trajectory.transitions:
        if float(step.metrics.get(masked, 0.0)) < 1.0:
            trained += range(done, done + len(step.ac.tokens))
        done += len(step.ac.tokens)
    places = [datum.loss_fn_inputs["mask"].to_torch() > 0 for datum in data]
    found = sum(int(place.sum()) for place in places)
    if found != len(trained):
        raise LayoutError(
            f"the datums of a trajectory train {found} tokens, its actions have {len(trained)}",
            hint="an action without any observation before it loses its first token; give every episode a prompt",
        )
    left = iter(trained)
    for datum, place in zip(data, places, strict=True):
        at = [next(left) for _ in range(int(place.sum()))]
        for name, values in (("advantages", advantages), ("mask", [float(k) for k in keep])):
            whole = torch.zeros(place.shape)
            whole[place] = torch.tensor([values[i] for i in at], dtype=torch.float32)
            datum.loss_fn_inputs[name] = tinker.TensorData.from_torch(whole)


def install(method: str, **options: Any) -> None:
    """Put `assemble_with` in the place of the cookbook's function, in its RL loop.

    Raises:
        StepCreditError: another version of tinker-cookbook.
    """
    patched(import_module("tinker_cookbook.rl.train"), "assemble_training_data", assemble_with(method, **options))
