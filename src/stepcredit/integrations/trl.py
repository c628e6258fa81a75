"""TRL's GRPO trainer with one advantage per token, by any credit method.

    from stepcredit.integrations.trl import CreditGRPOTrainer

    trainer = CreditGRPOTrainer(model, reward_funcs, args, data, credit="gigpo", credit_options={"gamma": 0.95})

All else is TRL's: generation, rewards, the eight losses, logging, checkpoints. Turns are the runs of tokens that the
policy sampled; what is known about them comes from `rollout_func`, the dataset, or environments (docs/guides/trl.md).
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from stepcredit.credit.run import RewardFrom
from stepcredit.errors import LayoutError, MissingColumn, StepCreditError
from stepcredit.integrations import _checkpoint, _trl_batch, _trl_setup
from stepcredit.integrations._padded import Assigner, LintFailed, Padded
from stepcredit.integrations._side import EnvironmentLog
from stepcredit.lint import check
from stepcredit.lint.rule import Severity
from stepcredit.plugins import extra

_trl = extra("trl", "CreditGRPOTrainer", name="trl")
GRPOTrainer: Any = _trl.GRPOTrainer
_trl_setup.supported(_trl.__version__, GRPOTrainer)
_Base: Any = object
_RIDE = ("completion_ids", "advantages", "credit_clip_scale")

__all__ = ["CreditGRPOTrainer", "CreditMixin", "LintFailed"]


class CreditMixin(_Base):  # type: ignore[misc]
    """Put before GRPOTrainer, or before a class made from it: the advantages of its loss become credit per token.

    Args:
        credit: a name of `stepcredit methods`, with or without a preset. credit_options: the method's own.
        credit_columns: what else to take from rows, beside the columns that the method takes: names, or
            {column: key of the row}.
        credit_reward: where turn rewards and outcomes disagree: "reward", "outcome" or "sum".
        credit_lint_every: look at what the loss is about to use at generations 1, 1 + k, 1 + 2k, ...; 0 = never.
        credit_fail_on: stop the run (after a checkpoint) on a finding of this severity or graver; "never" only counts.
        credit_resume: "same": a checkpoint of another method or of other options is an error; "change": go on.
        args, kwargs: the trainer's own.

    Raises:
        UnknownName: no such method or option. MissingColumn: the method takes what nothing here carries.
        StepCreditError: a setting that would have no effect, a loss that cannot carry what the method returns.
    """

    def __init__(
        self,
        *args: Any,
        credit: str = "grpo",
        credit_options: Mapping[str, Any] | None = None,
        credit_columns: Sequence[str] | Mapping[str, str] = (),
        credit_reward: RewardFrom | None = None,
        credit_lint_every: int = 50,
        credit_fail_on: Severity | Literal["never"] = "error",
        credit_resume: Literal["same", "change"] = "same",
        **kwargs: Any,
    ) -> None:
        if not isinstance(self, GRPOTrainer):
            raise StepCreditError(
                f"{type(self).__name__} is no GRPOTrainer: CreditMixin needs a loss that takes one advantage per token",
                hint="class Mine(CreditMixin, GRPOTrainer); for RLOO: CreditGRPOTrainer(..., credit='rloo')",
            )
        _trl_setup.check_choices(credit_reward, credit_fail_on, credit_resume)
        self.credit = Assigner(
            credit, reward=credit_reward, lint_every=0, carry=_trl_setup.CARRY, options=credit_options
        )
        self.credit_lint_every, self.credit_fail_on, self.credit_resume = (
            credit_lint_every, credit_fail_on, credit_resume,
        )  # fmt: skip
        self.credit_last: Padded | None = None
        self.credit_columns = (credit_columns,) if isinstance(credit_columns, str) else tuple(credit_columns)
        self._credit_keys = _trl_setup.keys(self.credit, credit_columns)
        self._credit_calls, self._credit_seconds = 0, 0.0
        self._credit_logs: list[EnvironmentLog] = []
        self._credit_sampled: Sequence[Sequence[int]] = ()
        self._credit_seen: _trl_batch.Seen | None = None
        self._credit_sent: dict[str, Any] | None = None
        super().__init__(*args, **kwargs)
        _trl_setup.check_setup(self, self.credit, self._credit_keys)
        if self.rollout_func is not None:
            self.rollout_func = self._credit_checked(self.rollout_func)

    epsilon_low: Any
    epsilon_high: Any

    # What generation brings

    def _credit_fit(self, rows: int, completion_ids: Any, mask: Any, also: Mapping[str, Any]) -> None:
        """Stop on every process where lists do not fit on one of them."""
        wrong = _trl_batch.unfit(rows, completion_ids, mask, also, self._credit_keys)
        for process, told in enumerate(_trl_batch.gather_objects([wrong])):
            if told is not None:
                self._credit_stop(LayoutError(f"process {process}: {told[0]}", hint=told[1]))

    def _credit_checked(self, rollout_func: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(rollout_func)
        def checked(prompts: Any, *rest: Any, **given: Any) -> Any:
            out = rollout_func(prompts, *rest, **given)
            self._credit_fit(len(prompts), out.get("completion_ids", prompts), out.get("env_mask"), out)
            return out

        return checked

    def _generate(self, prompts: list[Any]) -> Any:
        made = super()._generate(prompts)
        self._credit_fit(len(prompts), made[1], made[2], {})
        self._credit_sampled = made[2] or [[1] * len(ids) for ids in made[1]]
        return made

    def _tool_call_loop(self, prompts: Any, prompt_ids: Any, completion_ids: Any, completions: Any, *rest: Any) -> Any:
        def now(row: int) -> int:
            turns = [message for message in completions[row] if message.get("role") != "tool"]
            return len(turns) - 1

        self._credit_logs = [
            EnvironmentLog(env, lambda row=row: now(row))  # type: ignore[misc]
            for row, env in enumerate(self.environments or ())
        ]
        for row, log in enumerate(self._credit_logs):
            for tools in (self._sync_tool_dicts, self._async_tool_dicts):
                tools[row] = {name: log.watch(tool) for name, tool in tools[row].items()}
        out = super()._tool_call_loop(prompts, prompt_ids, completion_ids, completions, *rest)
        for log in self._credit_logs:
            log.note()
        return out

    def _calculate_rewards(self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: Any) -> Any:
        rewards = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        logs = self._credit_logs or [EnvironmentLog(env, lambda: 0) for env in self.environments or ()]
        self._credit_seen = _trl_batch.Seen(inputs, rewards, self._credit_sampled, logs)
        return rewards

    # Credit

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        self._credit_logs, self._credit_seen = [], None
        out = super()._generate_and_score_completions(inputs)
        began = time.perf_counter()
        mode = "train" if self.model.training else "eval"
        try:
            given = _trl_batch.given(self, self.credit, self._credit_keys, self._credit_seen, out, mode)
            padded = self.credit(**given)
            _trl_setup.check_loss(self.loss_type, padded, self.credit.method)
        except MissingColumn as error:
            self._credit_stop(_trl_setup.lacking(error, self.beta, self._credit_seen))
        except StepCreditError as error:
            self._credit_stop(_trl_batch.renamed(error))
        self._credit_place(out, padded, mode)
        self._credit_seconds += time.perf_counter() - began
        return out

    def _credit_place(self, out: dict[str, Any], padded: Padded, mode: str) -> None:
        """Put credit where the loss reads it, with the number of each row riding along."""
        rows, width = out["completion_mask"].shape
        first, device = self.accelerator.process_index * rows, out["advantages"].device
        own = (slice(first, first + rows), slice(width))

        def mine(values: Any, dtype: torch.dtype) -> torch.Tensor:
            return torch.as_tensor(values[own], dtype=dtype, device=device)

        before = _trl_batch.loss_mask(out)
        mask = mine(padded.mask, before.dtype) * before
        weight = 1.0 if padded.loss_weight is None else padded.loss_weight
        out["advantages"] = mine(padded.advantages * weight, out["advantages"].dtype) * mask
        if _trl_batch.any_of(not torch.equal(mask, before)):
            # Not completion_mask: that one is the attention mask too.
            out["tool_mask"] = mask
            out["num_items_in_batch"] = self.accelerator.gather(mask.sum()).sum()
        if padded.clip_scale is not None:
            out["credit_clip_scale"] = mine(padded.clip_scale, out["advantages"].dtype)
        out["credit_row"] = torch.arange(first, first + rows, device=device)
        self.credit_last = padded
        kept = {name: out[name] for name in _RIDE if name in out}
        self._credit_sent = {"mode": mode, "first": first, "tensors": {**kept, "mask": mask}}
        for name in ("judged", "zero", "mean", "spread", "lowest", "highest", "dead_groups", "steps"):
            self._metrics[mode][f"credit/{name}"].append(padded.stats[name])
        if "compared" in padded.stats:
            self._metrics[mode]["credit/compared"].append(padded.stats["compared"])
        _trl_batch.show(self._logs["advantages"], padded)

    # What the loss takes

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        inputs = super()._prepare_inputs(generation_batch)
        sent, self._credit_sent = self._credit_sent, None
        if sent is not None:
            began = time.perf_counter()
            self._credit_look(sent, self._buffered_inputs if sent["mode"] == "train" else [inputs])
            self._credit_seconds += time.perf_counter() - began
        return inputs

    def _credit_look(self, sent: Mapping[str, Any], pieces: Sequence[Mapping[str, Any]]) -> None:
        """See that every row of what was shuffled and split has its own credit; run the linter where it is due."""
        row = torch.cat([piece["credit_row"] for piece in pieces])
        order = torch.argsort(row)
        was = sent["tensors"]
        given = {name: [piece[name] for piece in pieces] for name in _RIDE if name in was}
        given["mask"] = [_trl_batch.loss_mask(piece) for piece in pieces]
        taken = {name: torch.cat(values)[order] for name, values in given.items()}
        rows = len(was["mask"])
        if not torch.equal(row[order] - sent["first"], torch.arange(rows, device=row.device)):
            self._credit_stop(StepCreditError(f"{rows - len(row)} rows were dropped between credit and loss"))
        for name, values in taken.items():
            if not torch.equal(values, was[name]):
                at = (values != was[name]).any(1).nonzero().flatten() + sent["first"]
                self._credit_stop(
                    StepCreditError(
                        f"the loss is about to use {name} of other rows: rows {at.tolist()[:5]} are not what they were",
                        hint="something shuffles some of the tensors and not the others: report it, with versions",
                    )
                )
        if sent["mode"] == "train":
            self._credit_calls += 1
            if self.credit_lint_every and (self._credit_calls - 1) % self.credit_lint_every == 0:
                self._credit_lint(taken)

    def _credit_lint(self, taken: Mapping[str, torch.Tensor]) -> None:
        padded = self.credit_last
        assert padded is not None
        values, mask = (_trl_batch.across(self.accelerator, taken[name]) for name in ("advantages", "mask"))
        at = (padded.credit.batch["token_row"], padded.credit.batch["token_position"])
        tokens = np.where(mask[at] == 1, values[at], np.nan)
        if padded.loss_weight is not None:
            weight = padded.loss_weight[at]
            tokens = np.divide(tokens, weight, out=np.zeros_like(tokens), where=weight > 0)
        report = check(replace(padded.credit, values=tokens, per="token", extras={}))
        for severity in ("error", "warning"):
            count = sum(f.severity == severity for f in report.findings)
            self._metrics["train"][f"credit/lint_{severity}s"].append(float(count))
        if report.exit_code(self.credit_fail_on):
            self._credit_stop(_trl_batch.renamed(LintFailed(report, self.credit.method)))

    def _compute_loss(self, model: Any, inputs: Any) -> Any:
        scale = inputs.get("credit_clip_scale")
        if scale is None:
            return super()._compute_loss(model, inputs)
        usual: tuple[Any, Any] = self.epsilon_low, self.epsilon_high
        self.epsilon_low, self.epsilon_high = (epsilon * scale for epsilon in usual)
        try:
            return super()._compute_loss(model, inputs)
        finally:
            self.epsilon_low, self.epsilon_high = usual

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log, with the share of the training steps' time that credit took since the last log."""
        spent = sum(self._metrics["train"].get("step_time", ()))
        if self.model.training and spent:
            self._metrics["train"]["credit/share_of_step_time"] = [self._credit_seconds / spent]
            self._credit_seconds = 0.0
        super().log(logs, start_time)

    # Checkpoints

    def train(self, resume_from_checkpoint: str | bool | None = None, *args: Any, **kwargs: Any) -> Any:
        """Train; a checkpoint that is damaged, or of another credit, is an error before anything is loaded."""
        folder = _trl_batch.checkpoint_folder(resume_from_checkpoint, self.args.output_dir)
        if folder is not None:
            _checkpoint.whole(folder)
            self._credit_calls = _checkpoint.load(folder, self.credit, change=self.credit_resume == "change")
        return super().train(resume_from_checkpoint, *args, **kwargs)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        if self.args.should_save:
            folder = Path(self._get_output_dir(trial=trial)) / f"checkpoint-{self.state.global_step}"
            _checkpoint.save(folder, self.credit, self._credit_calls)

    def _credit_stop(self, error: StepCreditError) -> None:
        """Raise, after a checkpoint of the last step where the run writes any."""
        if self.model.training and self.state.global_step and self.args.save_strategy != "no":
            self._save_checkpoint(self.model, None)
            error.add_note(
                f"training stopped after step {self.state.global_step}, which is saved in {self.args.output_dir}"
            )
        raise error


class CreditGRPOTrainer(CreditMixin, GRPOTrainer):  # type: ignore[misc]
    """`trl.GRPOTrainer` with credit per token; arguments as it takes them, and those of `CreditMixin`."""
