"""TRL's trainer with credit per turn, on rollouts in a text world: what a run adds to `CreditGRPOTrainer`."""

import json
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stepcredit.errors import StepCreditError
from stepcredit.integrations.trl import CreditGRPOTrainer
from stepcredit.ops import wilson
from stepcredit.plugins import extra
from stepcredit.train import model as models
from stepcredit.train.attempts import Pivots, attempts, pivots_of
from stepcredit.train.config import Config
from stepcredit.train.experience import Lessons
from stepcredit.train.kept import Kept
from stepcredit.train.rollouts import Played, Player, summary
from stepcredit.train.sides import given
from stepcredit.train.transcript import Transcript
from stepcredit.train.watch import Watch

TrainerCallback: Any = extra("transformers", "training", name="train").TrainerCallback
_WRITING, _NEED = ".writing", "training"
_FEWEST_VALID = 0.05
_TRAIN, _EVAL = 1, 2


def outcome_reward(completions: Sequence[Any], outcome: Sequence[float | None], **_: Any) -> list[float | None]:
    """The reward function: the outcome that the rollout came to; None where the episode broke."""
    return list(outcome)


class Trainer(CreditGRPOTrainer):
    """See the module.

    Args:
        config, player, taken, lessons, pivots, watch, kept: of the run; taken: the columns that the method gets.
        kwargs: of CreditGRPOTrainer, without reward functions and rollout function.
    """

    control: Any

    def __init__(
        self,
        *,
        config: Config,
        player: Player,
        taken: Sequence[str],
        lessons: Lessons | None,
        pivots: Pivots | None,
        watch: Watch,
        kept: Kept | None,
        **kwargs: Any,
    ) -> None:
        self.config, self.player, self.taken = config, player, taken
        self.lessons, self.pivots, self.watch, self.kept = lessons, pivots, watch, kept
        self.evaluated = -1
        self._played: list[Played] = []
        self._writing, self.rehearsal = False, False
        super().__init__(reward_funcs=outcome_reward, rollout_func=self._roll, callbacks=[_Told(self)], **kwargs)

    def _roll(self, prompts: Sequence[str], trainer: Any) -> dict[str, list[Any]]:
        """TRL's rollout_func: a prompt names a task, and rows of one task stand side by side."""
        n, step = self.num_generations, self.state.global_step
        tasks = [int(prompt.rpartition(" ")[2]) for prompt in prompts[::n]]
        rollouts = attempts(
            self.player,
            self.accelerator.unwrap_model(self.model),
            tasks,
            n,
            # Of the step, not of a running generator: what is drawn after a resume is what would have been drawn.
            seed=[self.config.seed, _TRAIN, step],
            temperature=self.config.rl.temperature,
            pivots=self.pivots,
        )
        if not self.rehearsal:
            self._look(rollouts)
        for name, value in summary(rollouts).items():
            self._metrics["train"][f"rollouts/{name}"].append(value)
        if self.pivots is not None:
            self._metrics["train"]["rollouts/retried"].append(float(np.mean([one.pivot >= 0 for one in rollouts])))
        if self.lessons is not None:
            self.lessons.learn(rollouts)
        self._played = rollouts
        return given(self.config, rollouts, self.taken)

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        out = super()._generate_and_score_completions(inputs)
        if self.kept is not None and self.credit_last is not None:
            self.kept.add(self.state.global_step, self._played, self.credit_last)
        return out

    def _look(self, rollouts: Sequence[Played]) -> None:
        """Stop where nothing can be learned."""
        broken = [one for one in rollouts if one.outcome is None]
        if len(broken) == len(rollouts):
            raise StepCreditError(
                f"step {self.state.global_step + 1}: the world broke in every rollout: {broken[0].failure}",
                hint="mend the world, or world.seconds if it only was too slow",
            )
        if broken:
            self.watch.warn(
                f"the world broke in {len(broken)} of {len(rollouts)} rollouts, such as: {broken[0].failure}"
            )
        turns = [turn for one in rollouts for turn in one.turns]
        valid = sum(turn.valid for turn in turns)
        if len(turns) >= 20 and valid < _FEWEST_VALID * len(turns):
            wrote = next(turn.action for turn in turns if not turn.valid)
            self._credit_stop(
                StepCreditError(
                    f"step {self.state.global_step + 1}: {valid} of {len(turns)} turns were actions that the world "
                    f"takes; the model wrote, for instance, {wrote[:120]!r}",
                    hint="more warmup.steps or warmup.demonstrations, a lower loss.learning_rate, a higher "
                    "rl.max_action_tokens",
                )
            )

    # Evaluation

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Play the tasks that training never meets; logged as the trainer logs."""
        began, given = time.perf_counter(), self.config.eval
        first = self.config.world.train_tasks
        tasks = [first + i for i in range(self.config.world.eval_tasks)]
        per_play = max(self.config.rows // given.rollouts, 1)
        model = self.accelerator.unwrap_model(self.model)
        was, self.evaluated = self.model.training, self.state.global_step
        rollouts: list[Played] = []
        for at in range(0, len(tasks), per_play):
            rollouts += attempts(
                self.player,
                model,
                tasks[at : at + per_play],
                given.rollouts,
                seed=[self.config.seed, _EVAL, at],
                temperature=0.0 if given.greedy else self.config.rl.temperature,
            )
        told = summary(rollouts)
        known = [one.outcome >= 1 - 1e-9 for one in rollouts if one.outcome is not None]
        low, high = wilson(float(sum(known)), len(known)) if known else (float("nan"), float("nan"))
        metrics = {f"eval_{name}": value for name, value in told.items()}
        metrics |= {"eval_success_low": float(low), "eval_success_high": float(high)}
        metrics["eval_seconds"] = time.perf_counter() - began
        self.model.eval()
        self.log(metrics)
        self.model.train(was)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    # What can go wrong

    def training_step(self, *args: Any, **kwargs: Any) -> Any:
        """A step of the trainer; a loss that is no number ends the run before it reaches the weights."""
        loss = super().training_step(*args, **kwargs)
        torch = extra("torch", "training", name="train")
        # A single sum: one transfer from the device, and a number that is not finite anywhere makes it so.
        total = sum(p.grad.abs().sum() for p in self.model.parameters() if p.grad is not None)
        if not torch.isfinite(loss) or not torch.isfinite(torch.as_tensor(total)):
            raise StepCreditError(
                f"step {self.state.global_step + 1}: the loss diverged (loss {float(loss)}, sum of gradients "
                f"{float(total)})",
                hint=f"a lower loss.learning_rate, or loss.beta above 0; {last_checkpoint_told(self.args.output_dir)}",
            )
        return loss

    # Checkpoints: whole or not at all

    def _get_output_dir(self, trial: Any) -> str:
        folder: str = super()._get_output_dir(trial)
        return str(Path(folder) / _WRITING) if self._writing else folder

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        root, name = Path(self.args.output_dir), f"checkpoint-{self.state.global_step}"
        shutil.rmtree(root / _WRITING, ignore_errors=True)
        self._writing = True
        try:
            super()._save_checkpoint(model, trial)
            if self.lessons is not None:
                self.lessons.save(root / _WRITING / name)
        finally:
            self._writing = False
        shutil.rmtree(root / name, ignore_errors=True)
        (root / _WRITING / name).replace(root / name)
        shutil.rmtree(root / _WRITING, ignore_errors=True)
        for old in checkpoints(root)[: -self.config.checkpoints.keep]:
            shutil.rmtree(old)


class _Told(TrainerCallback):  # type: ignore[misc]
    """Passes on what the trainer logs, and ends a run whose time is over."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == 0:
            self.trainer.evaluate()

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        steps = -(-state.global_step // self.trainer.config.loss.iterations)
        self.trainer.watch.log(state.global_step, steps * self.trainer.config.rows, logs or {})

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        limit = self.trainer.config.rl.seconds
        aligned = state.global_step % self.trainer.config.loss.iterations == 0
        if limit is not None and aligned and self.trainer.watch.seconds() >= limit:
            control.should_training_stop = control.should_save = True
        return control


def checkpoints(folder: Path) -> list[Path]:
    """Checkpoints, oldest first."""
    found = [p for p in folder.glob("checkpoint-*") if p.is_dir() and p.name.rpartition("-")[2].isdecimal()]
    return sorted(found, key=lambda p: int(p.name.rpartition("-")[2]))


def last_checkpoint_told(folder: str) -> str:
    """Where to go on from, for an error."""
    found = checkpoints(Path(folder))
    return (
        f"the last good checkpoint is {found[-1]}, --resume goes on from it" if found else "there is no checkpoint yet"
    )


def step_of(checkpoint: Path) -> int:
    """The step that a checkpoint holds."""
    return int(json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))["global_step"])


def assembled(
    config: Config,
    world: Any,
    model: Any,
    words: Any,
    taken: Mapping[str, str],
    lessons: Lessons | None,
    watch: Watch,
    folder: Path,
    kept: Kept | None = None,
) -> Trainer:
    """The trainer of a run, put together from its parts."""
    torch, datasets = extra("torch", _NEED, name="train"), extra("datasets", _NEED, name="train")
    torch.set_num_threads(config.threads)
    player = Player(
        world.episode,
        Transcript(words),
        most_turns=min(config.rl.max_turns or world.horizon, world.horizon),
        most_tokens=config.rl.max_tokens,
        turn_tokens=config.rl.max_action_tokens,
        seconds=config.world.seconds,
        forks=config.retry is not None,
        lessons=lessons or (lambda first: ""),
    )
    names = [f"{world.name} {task}" for task in _tasks(config)]
    trainer = Trainer(
        config=config,
        player=player,
        taken=list(taken),
        lessons=lessons,
        pivots=pivots_of(config.retry) if config.retry is not None else None,
        watch=watch,
        kept=kept,
        model=model,
        processing_class=words,
        args=_arguments(config, folder),
        train_dataset=datasets.Dataset.from_dict({"prompt": names}),
        eval_dataset=datasets.Dataset.from_dict({"prompt": names[:1]}),
        peft_config=models.lora(config),
        credit=config.method.name,
        credit_options=config.method.options,
        credit_reward=config.method.reward,
        credit_columns=["final_state"] if "next_state" in taken else [],
    )
    callback = extra("transformers", _NEED, name="train").PrinterCallback
    trainer.remove_callback(callback)
    return trainer


def _tasks(config: Config) -> Iterable[int]:
    """Tasks of every batch of rollouts, in order: the same for a run that is longer."""
    for batch in range(-(-config.rl.steps // config.loss.iterations)):
        random = np.random.default_rng([config.seed, 3, batch])
        yield from random.integers(config.world.train_tasks, size=config.rl.tasks_per_step).tolist()


def _arguments(config: Config, folder: Path) -> Any:
    torch, trl = extra("torch", _NEED, name="train"), extra("trl", _NEED, name="train")
    loss, rl, part = config.loss, config.rl, config.loss.rows_per_pass or config.rows
    try:
        return trl.GRPOConfig(
            output_dir=str(folder),
            use_cpu=not torch.cuda.is_available(),
            bf16=False,
            seed=config.seed,
            report_to=list(config.trackers) or "none",
            disable_tqdm=True,
            max_steps=rl.steps,
            per_device_train_batch_size=part,
            gradient_accumulation_steps=config.rows // part,
            per_device_eval_batch_size=config.rows,
            num_generations=rl.rollouts_per_task,
            max_completion_length=rl.max_tokens,
            temperature=rl.temperature,
            shuffle_dataset=False,
            loss_type=loss.type,
            beta=loss.beta,
            epsilon=loss.clip,
            epsilon_high=loss.clip_high,
            num_iterations=loss.iterations,
            learning_rate=loss.learning_rate,
            lr_scheduler_type="constant",
            gradient_checkpointing=False,
            logging_steps=1,
            eval_strategy="steps",
            eval_steps=config.eval.every,
            save_strategy="steps",
            save_steps=config.checkpoints.every,
        )
    except ValueError as error:
        raise StepCreditError(f"loss: {error}") from None
