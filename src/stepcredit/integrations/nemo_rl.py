"""Credit inside NeMo-RL: an advantage estimator object.

NeMo-RL makes its estimator by a closed function, in the driver; so, in your copy of `examples/run_grpo.py`:

    from stepcredit.integrations.nemo_rl import install
    install("gigpo", gamma=0.95)                       # before grpo_train(...)

Group: the tokens of the prompt. Outcome: the reward. Turns: runs of ones in the token mask. Columns: the environment
returns them in its metadata, which becomes `extra_env_info[row]["stepcredit"] = {"state": [...], ...}`, lists with one
entry per turn, the earlier turns' included (NeMo's synchronous rollouts keep no metadata of the turn that ends an
episode: write its entries a turn ahead; rewards of steps go there too, as NeMo adds them up). Policy log-probs are
`token_old_logp`, those of the reference `token_ref_logp`. So every method is served but those that need a tree or a
critic. `grpo_sync` with a data plane hands over no columns: only outcome methods are served.

Not judged: NeMo's estimators cannot write its token mask, so this is an error, unless unjudged="zero". There is no
field for clip_scale or loss_weight.
"""

from importlib import import_module
from typing import Any

from stepcredit.integrations._grids import assign_grid
from stepcredit.integrations._rows import KEY, Unjudged, assigner, patched, refuse_dropped, refuse_extras, side

_CARRY = f'in NeMo-RL, return it in your environment\'s metadata: {{"{KEY}": {{...}}}}, a list with one entry per turn'


class CreditEstimator:
    """What NeMo-RL calls an advantage estimator, by any method.

    Args:
        method: a name of `stepcredit methods`. options: its own; and `reward`, `lint_every`, `fail_on`.
        unjudged: "raise", or "zero": such tokens keep an advantage of 0.

    Attributes:
        last_metrics: numbers of the latest call, which NeMo-RL logs in asynchronous training.
    """

    def __init__(self, method: str, *, unjudged: Unjudged = "raise", **options: Any) -> None:
        self.assign, self.unjudged = assigner(method, _CARRY, options), unjudged
        self.last_metrics: dict[str, float] = {}

    def compute_advantage(
        self,
        prompt_ids: Any,
        rewards: Any,
        mask: Any,
        repeated_batch: Any = None,
        logprobs_policy: Any = None,
        logprobs_reference: Any = None,
        **_: Any,
    ) -> Any:
        """[B, L] advantages.

        Args:
            prompt_ids: [B] or [B, P]. rewards: [B]. mask: [B, L]. repeated_batch: may hold `extra_env_info`.

        Raises:
            LayoutError, MissingColumn, LintFailed. StepCreditError: tokens that are not judged.
        """
        infos = (repeated_batch or {}).get("extra_env_info")
        grid = assign_grid(
            self.assign,
            mask != 0,
            group=[tuple(ids) if isinstance(ids, list) else ids for ids in prompt_ids.tolist()],
            outcome=rewards.tolist(),
            sides=[side(info) for info in infos] if infos is not None else (),
            tokens={"token_old_logp": logprobs_policy, "token_ref_logp": logprobs_reference},
        )
        refuse_extras(grid.out, "NeMo-RL")
        dropped = refuse_dropped(grid.rows, "NeMo-RL", self.unjudged)
        stats = {**grid.out.stats, "tokens_not_judged": float(dropped)}
        self.last_metrics = {f"stepcredit/{name}": value for name, value in stats.items()}
        return grid.advantages.to(rewards.dtype)


def install(method: str, *, unjudged: Unjudged = "raise", **options: Any) -> None:
    """Put a CreditEstimator in the place of the one that NeMo-RL's GRPO makes, in this process.

    Raises:
        StepCreditError: another version of NeMo-RL.
    """
    estimator = CreditEstimator(method, unjudged=unjudged, **options)
    patched(import_module("nemo_rl.algorithms.grpo"), "_create_advantage_estimator", lambda master_config: estimator)
