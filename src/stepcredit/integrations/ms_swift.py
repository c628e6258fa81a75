"""Credit inside ms-swift's GRPO: its trainer with another last stage of scoring.

    # plugin.py; swift rlhf --rlhf_type grpo --external_plugins plugin.py ...
    from stepcredit.integrations.ms_swift import install
    install("gigpo", gamma=0.95)

Group: runs of `num_generations` samples as ms-swift has them; with a dynamic number of samples the `prompt_id`, and
samples of one `request_id` are the parts of one rollout. Outcome: the weighted sum of the reward functions; unknown
where none gave a number. Turns: the lists of `response_token_ids`, else runs of ones in the completion mask. Columns:
a multi-turn scheduler returns them in `rollout_infos["stepcredit"] = {"state": [...], "reward": [...]}`, lists with
one entry per turn. `old_per_token_logps`, `ref_per_token_logps` are `token_old_logp`, `token_ref_logp`. So every
method is served but those that need a tree or a critic. Samples of all processes are gathered.

Not judged: the advantage is 0, `completion_mask` is set to False, `num_items_in_batch` counts the rest. There is no
field for clip_scale or loss_weight. `kl_in_reward`, teachers and sequence parallelism are refused: our numbers replace
theirs. The Megatron and Ray back ends have trainers of their own, which this does not reach.
"""

from importlib import import_module
from typing import Any

from stepcredit.errors import StepCreditError
from stepcredit.integrations._rows import (
    KEY,
    Row,
    assign_rows,
    assigner,
    patched,
    refuse_extras,
    side,
    turns_of,
)

_CARRY = (
    f'in ms-swift, return it from your multi-turn scheduler: rollout_infos["{KEY}"], a list with one entry per turn'
)


def with_credit(trainer: type, method: str, **options: Any) -> type:
    """A subclass of ms-swift's GRPOTrainer whose advantages come from a method.

    Args:
        method: a name of `stepcredit methods`. options: its own; and `reward`, `lint_every`, `fail_on`.
    """
    assign = assigner(method, _CARRY, options)
    parent: Any = trainer

    def _postprocess_batch(self: Any, samples: list[Any], batch_encoded_inputs: list[dict[str, Any]]) -> None:
        _refuse(self)
        parent._postprocess_batch(self, samples, batch_encoded_inputs)
        gather = import_module("accelerate.utils").gather_object
        chunks = self.split_by_mini_batches(samples)
        batches = [encoded["grpo_batch"] for encoded in batch_encoded_inputs]
        before = sum(gather([len(samples)])[: self.accelerator.process_index])
        rewards = self._rewards_per_func * self.reward_weights.unsqueeze(0)
        known = (~rewards.isnan()).any(1).tolist()
        outcomes = [value if any_ else None for value, any_ in zip(rewards.nansum(1).tolist(), known, strict=True)]
        local: list[Row] = []
        for chunk, batch in zip(chunks, batches, strict=True):
            for at, sample in enumerate(chunk):
                local.append(_row(self, sample, batch, at, before + len(local), outcomes))
        credits, out = assign_rows(assign, gather(local))
        refuse_extras(out, "ms-swift")
        dropped, left = sum(credit.dropped for credit in credits), iter(credits[before:])
        for batch in batches:
            mask = batch.completion_mask.bool()
            rows = [next(left) for _ in range(len(mask))]
            advantages = batch.advantages * 0
            advantages[mask] = advantages.new_tensor([value for row in rows for value in row.advantages])
            keep = mask.clone()
            keep[mask] = mask.new_tensor([kept for row in rows for kept in row.keep])
            batch.advantages, batch.completion_mask = advantages, keep.to(batch.completion_mask)
            if dropped and batch.num_items_in_batch is not None:
                batch.num_items_in_batch = batch.num_items_in_batch - dropped
        mode = "train" if self.model.training else "eval"
        for name, value in out.stats.items():
            self._metrics[mode][f"stepcredit/{name}"].append(value)

    body = {"_postprocess_batch": _postprocess_batch, "__doc__": f"{trainer.__name__} with credit by {method}."}
    return type(f"Credit{trainer.__name__}", (trainer,), body)


def _refuse(trainer: Any) -> None:
    lost = {
        "kl_in_reward": trainer.kl_in_reward and trainer.beta != 0.0,
        "a teacher": trainer._has_teacher,
        "sequence_parallel_size": trainer.template.sequence_parallel_size > 1,
    }
    for name, used in lost.items():
        if used:
            raise StepCreditError(f"credit by a method cannot be joined with ms-swift's {name}", hint="switch it off")


def _row(trainer: Any, sample: Any, batch: Any, at: int, place: int, outcomes: list[float | None]) -> Row:
    mask = batch.completion_mask[at].bool()
    columns = side(sample.rollout_infos)
    lengths = [sum(m) for m in sample.response_loss_mask] or [len(ids) for ids in sample.response_token_ids]
    turns = lengths if sum(lengths) == int(mask.sum()) else turns_of(mask.tolist())
    for name, values in (("token_old_logp", batch.old_per_token_logps), ("token_ref_logp", batch.ref_per_token_logps)):
        if values is not None:
            columns.setdefault(name, values[at][mask].float().tolist())
    if trainer.dynamic_num_samples:
        return Row(sample.prompt_id, turns, outcomes[place], sample.request_id, columns)
    many = trainer.num_generations if trainer.model.training else trainer.num_generations_eval
    return Row(place // many, turns, outcomes[place], None, columns)


def install(method: str, **options: Any) -> None:
    """Put `with_credit` in the place of ms-swift's GRPOTrainer, in this process.

    Raises:
        StepCreditError: another version of ms-swift.
    """
    module = import_module("swift.rlhf_trainers")
    patched(module, "GRPOTrainer", with_credit(module.GRPOTrainer, method, **options))
