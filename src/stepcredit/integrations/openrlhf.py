"""Credit inside OpenRLHF: its experience maker with another `compute_advantages_and_returns`.

OpenRLHF has a closed list of estimators; its trainer is a Ray actor, so the class is put in place by a setup hook of
the workers, in a script of yours that stands for `python -m openrlhf.cli.train_ppo_ray` (copy its argument parser):

    # my_credit.py, on PYTHONPATH of the workers
    from stepcredit.integrations.openrlhf import install
    def setup():
        install("gigpo", gamma=0.95)

    # run.py
    ray.init(runtime_env={"worker_process_setup_hook": "my_credit.setup"})
    train(args)                                        # openrlhf.cli.train_ppo_ray.train

Group: runs of `rollout.n_samples_per_prompt` in the order of the prompts, as OpenRLHF has it. Outcome: `rewards`.
Turns: runs of ones in `action_mask`. Columns: your AgentExecutor's `execute` returns them as its "label" (the only
field of its answer that reaches the trainer as it is): {"label": <the label>, "stepcredit": {"state": [...], "reward":
[...], "turns": [3, 5]}}, lists with one entry per turn; "turns", tokens by turn, is only needed where two turns touch.
Log-probs of the actor are `token_old_logp`, of the reference `token_ref_logp`, of the critic `token_value`. So every
method is served but those that need a tree.

Not judged: the advantage is 0 and `action_mask` is set to False. There is no field for clip_scale or loss_weight. A KL
penalty within the reward would be lost, so it is refused: use `algo.kl.use_loss`, or an init_coef of 0.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from stepcredit.errors import StepCreditError
from stepcredit.integrations._grids import assign_grid
from stepcredit.integrations._rows import KEY, assigner, patched, refuse_extras, side

_CARRY = f'in OpenRLHF, return "label": {{"label": ..., "{KEY}": {{...}}}} from your AgentExecutor\'s execute()'


def with_credit(maker: type, method: str, **options: Any) -> type:
    """A subclass of OpenRLHF's RemoteExperienceMaker whose advantages come from a method.

    Args:
        method: a name of `stepcredit methods`. options: its own; and `reward`, `lint_every`, `fail_on`.
    """
    assign = assigner(method, _CARRY, options)
    parent: Any = maker

    def compute_advantages_and_returns(self: Any, experiences: list[Any]) -> list[Any]:
        if any(bool((e.kl != 0).any()) for e in experiences) and self.kl_ctl.value > 0:
            raise StepCreditError(
                "OpenRLHF puts the KL penalty into the reward, where credit by a method would lose it",
                hint="--algo.kl.use_loss, or --algo.kl.init_coef 0",
            )
        experiences = parent.compute_advantages_and_returns(self, experiences)
        width = max(e.action_mask.shape[1] for e in experiences)
        samples = self.args.rollout.n_samples_per_prompt
        grid = assign_grid(
            assign,
            _joined(experiences, "action_mask", width),
            group=[at // samples for e in experiences for at in e.index],
            outcome=[value for e in experiences for value in e.rewards.flatten().tolist()],
            sides=[side(label if isinstance(label, Mapping) else None) for e in experiences for label in e.labels],
            tokens={
                "token_value": _joined(experiences, "values", width),
                "token_old_logp": _joined(experiences, "action_log_probs", width),
                "token_ref_logp": _joined(experiences, "base_action_log_probs", width),
            },
        )
        refuse_extras(grid.out, "OpenRLHF")
        done = 0
        for e in experiences:
            rows, wide = e.action_mask.shape
            advantages = grid.advantages[done : done + rows, :wide].to(e.advantages)
            if e.values is None:
                e.returns = advantages.clone()
            e.advantages = advantages
            e.action_mask = (e.action_mask.bool() & grid.keep[done : done + rows, :wide]).to(e.action_mask)
            done += rows
        return experiences

    body = {"compute_advantages_and_returns": compute_advantages_and_returns, "__doc__": f"Credit by {method}."}
    return type(f"Credit{maker.__name__}", (maker,), body)


def _joined(experiences: list[Any], name: str, width: int) -> Any:
    values = [getattr(e, name) for e in experiences]
    if any(value is None for value in values):
        return None
    torch = import_module("torch")
    return torch.cat([torch.nn.functional.pad(value, (0, width - value.shape[1])) for value in values])


def install(method: str, **options: Any) -> None:
    """Put `with_credit` in the place of OpenRLHF's experience maker, in this process.

    Raises:
        StepCreditError: another version of OpenRLHF.
    """
    module = import_module("openrlhf.trainer.ppo_trainer")
    patched(module, "RemoteExperienceMaker", with_credit(module.RemoteExperienceMaker, method, **options))
