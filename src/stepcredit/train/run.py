"""A training run from its config to its last file, and the plan of one."""

import errno
import inspect
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zlib import crc32

import msgspec
import numpy as np

from stepcredit.envs import text as worlds
from stepcredit.errors import DataError, StepCreditError, UnknownName
from stepcredit.integrations import _checkpoint
from stepcredit.plugins import extra
from stepcredit.train import model as models
from stepcredit.train import sides, warmup
from stepcredit.train.attempts import pivots_of
from stepcredit.train.config import Config, changed
from stepcredit.train.curve import draw
from stepcredit.train.experience import Lessons
from stepcredit.train.kept import FILE as ROLLOUTS
from stepcredit.train.kept import Kept
from stepcredit.train.transcript import Transcript
from stepcredit.train.watch import Watch, read

CONFIG, METRICS, START, CHECKPOINTS, MODEL = "config.json", "metrics.jsonl", "start", "checkpoints", "model"
_NEED = "training"
_FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
_SAY_FULL = ("No space left", "File too large", "Disk quota", "failed writing file")


@contextmanager
def _silent() -> Iterator[Callable[[], object]]:
    yield lambda: None


@dataclass
class Screen:
    """Who looks on. line: told of every line of metrics. warn, note: of what somebody should know. work: label, total
    -> a context that gives `advance`."""

    line: Callable[[Mapping[str, Any]], object] = lambda line: None
    warn: Callable[[str], object] = lambda text: None
    note: Callable[[str], object] = lambda text: None
    work: Callable[[str, int], AbstractContextManager[Callable[[], object]]] = lambda label, total: _silent()


def train(config: Config, *, resume: bool = False, screen: Screen | None = None) -> dict[str, Any]:
    """Train as the config says; what came of it.

    Args:
        resume: go on from the newest checkpoint in the output folder; where there is none, begin.

    Raises:
        StepCreditError: of the config; the folder is in use; a checkpoint is damaged; nothing can be learned.
    """
    screen = screen or Screen()
    world, taken = check(config)
    folder = Path(config.output)
    checkpoint = _claim(folder, config, resume)
    with _explained(folder):
        (folder / CONFIG).write_bytes(msgspec.json.format(msgspec.json.encode(config), indent=1) + b"\n")
        lessons = Lessons(config.experience) if config.experience is not None else None
        model, words = _start(config, world, folder / START, lessons, screen)
        step = -1 if checkpoint is None else _number(checkpoint)
        if lessons is not None and checkpoint is not None:
            lessons.load(checkpoint)
        watch = Watch(folder / METRICS, after=step, tell=screen.line, warn=screen.warn)
        kept = _kept(config, folder / ROLLOUTS, step)
        trainer = _trainer(config, world, model, words, taken, lessons, watch, folder / CHECKPOINTS, kept)
        watch.begin()
        trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
        if trainer.evaluated != trainer.state.global_step:
            trainer.evaluate()
        trainer.player.close()
        models.save(folder / MODEL, models.whole(trainer.accelerator.unwrap_model(trainer.model)), words)
    return _result(folder, screen)


def check(config: Config) -> tuple[Any, dict[str, str]]:
    """The world, and the columns that the method gets with where they come from.

    Raises:
        StepCreditError: of what the config names. MissingExtra: a package is not installed.
    """
    world = _world(config)
    taken = sides.check(config, agents=_names_agents(world))
    for tracker in config.trackers:
        try:
            extra(tracker, "", name="train")
        except ImportError:
            raise StepCreditError(
                f"trackers: {tracker} is not installed", hint=f"pip install {tracker}, or leave it out"
            ) from None
    models.lora(config)
    if config.retry is not None:
        pivots_of(config.retry)
    return world, taken


def _names_agents(world: Any) -> bool:
    episode = world.episode()
    episode.reset(seed=0)
    named = getattr(episode, "agent", None) is not None
    episode.close()
    return named


def _world(config: Config) -> Any:
    make = worlds.get(config.world.name)
    known = inspect.signature(make).parameters
    for name in config.world.options:
        if name not in known:
            raise UnknownName(f"option of world {config.world.name}", name, known)
    try:
        return make(**config.world.options)
    except TypeError as error:
        raise StepCreditError(f"world.options: {error}") from None


def _claim(folder: Path, config: Config, resume: bool) -> Path | None:
    """The checkpoint to go on from; None: begin.

    Raises:
        StepCreditError: the folder holds something else, or a run with other settings.
    """
    if not folder.exists() or not any(folder.iterdir()):
        folder.mkdir(parents=True, exist_ok=True)
        return None
    file = folder / CONFIG
    if not resume:
        raise StepCreditError(
            f"output: {folder} is not empty",
            hint="--resume goes on with the run in it" if file.exists() else "another folder",
        )
    if not file.exists():
        raise StepCreditError(f"output: {folder} holds no run: there is no {CONFIG} in it", hint="another folder")
    differs = changed(json.loads(file.read_text(encoding="utf-8")), config)
    if differs:
        raise StepCreditError(
            f"{folder} holds a run with other settings: {'; '.join(differs)}",
            hint="give it what it had, or another output",
        )
    found = _checkpoints(folder / CHECKPOINTS)
    return _whole(found) if found else None


def _checkpoints(folder: Path) -> list[Path]:
    from stepcredit.train.trainer import checkpoints

    return checkpoints(folder)


def _number(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def _whole(found: list[Path]) -> Path:
    last, older = found[-1], found[-2] if len(found) > 1 else None
    hint = f"rm -r {last}, and --resume goes on from " + (str(older) if older else "the warm start")
    for name in ("trainer_state.json", "optimizer.pt", "rng_state.pth", _checkpoint.FILE):
        if not (last / name).exists():
            raise DataError("is missing: the checkpoint is not whole", file=last / name, hint=hint)
    try:
        _checkpoint.whole(last)
    except DataError as error:
        raise DataError(error.what, file=error.file, hint=hint) from None
    return last


def _start(
    config: Config, world: Any, folder: Path, lessons: Lessons | None, screen: Screen, *, write: bool = True
) -> tuple[Any, Any]:
    """The model that reinforcement learning starts from: the one in the folder, or made now and written there."""
    if folder.is_dir():
        if lessons is not None:
            lessons.load(folder)
        return models.load(folder, config.model.dtype)
    torch, given = extra("torch", _NEED, name="train"), config.warmup
    runs = warmup.demonstrations(world, given, config.world.train_tasks, config.seed) if given.demonstrations else []
    if config.model.path is None:
        if not runs:
            raise StepCreditError("warmup.demonstrations: 0, and a model that is built here learns to read from them")
        words = models.tokenizer_of(warmup.texts(runs), config.model.size.vocabulary)
        model = models.build(config.model.size, words, seed=config.seed, longest=config.rl.max_tokens)
        model = model.to(getattr(torch, config.model.dtype))
    else:
        model, words = models.load(config.model.path, config.model.dtype)
    models.fits(model, config)
    if lessons is not None:
        for run in runs:
            if run.outcome is not None and run.outcome >= 1:
                lessons.teach(run.task or "", [str(step.action) for step in run.steps])
    told: dict[str, Any] = {"steps": 0, "loss": None}
    if runs and given.steps:
        adapter = models.lora(config) if config.model.path is not None else None
        if adapter is not None:
            model = extra("peft", "model.lora", name="train").get_peft_model(model, adapter)
        model = model.to("cuda" if torch.cuda.is_available() else "cpu")
        data = warmup.examples(runs, Transcript(words), config.rl.max_tokens, _by_halves(lessons))
        with screen.work("steps of imitation", given.steps) as advance, torch.random.fork_rng():
            torch.manual_seed(config.seed)
            loss = warmup.imitate(
                model, data, given, pad=words.pad_token_id, seed=config.seed, advance=lambda _: advance()
            )
        model = models.whole(model)
        told = {"steps": given.steps, "loss": loss}
        screen.note(f"warm start: {len(data):,} demonstrations, loss {loss:.3f} per token of an action")
    if write:
        models.save(folder, model, words, told)
        if lessons is not None:
            lessons.save(folder)
        # Reads what it wrote: the reference model of the trainer is read from there too.
        return models.load(folder, config.model.dtype)
    return model, words


def _by_halves(lessons: Lessons | None) -> Callable[[str], str]:
    """Lessons for half of the tasks: the model learns to read prompts with and without."""
    return lambda first: lessons(first) if lessons is not None and crc32(first.encode()) % 2 else ""


def _kept(config: Config, file: Path, after: int) -> Kept:
    tries = config.rl.rollouts_per_task
    return Kept(file, config.rollouts.every, iterations=config.loss.iterations, tries=tries, after=after)


def _trainer(config: Config, *parts: Any) -> Any:
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    from stepcredit.train.trainer import assembled

    return assembled(config, *parts)


def _result(folder: Path, screen: Screen) -> dict[str, Any]:
    lines = read(folder / METRICS)
    told = [line for line in lines if "eval_success" in line]
    shares = [line["credit/share_of_step_time"] for line in lines if line.get("credit/share_of_step_time") is not None]
    try:
        pictures = draw({folder.name: lines}, [folder / "curve.svg", folder / "curve.png"])
    except ImportError as error:
        screen.note(str(error).replace("\n  hint:", ";"))
        pictures = []
    first, last = told[0], told[-1]
    return {
        "model": str(folder / MODEL),
        "metrics": str(folder / METRICS),
        "kept": str(folder / ROLLOUTS) if (folder / ROLLOUTS).exists() else None,
        "curve": [str(p) for p in pictures],
        "steps": last["step"],
        "rollouts": last["rollouts"],
        "seconds": last["seconds"],
        "success_before": first["eval_success"],
        "success": last["eval_success"],
        "interval": [last["eval_success_low"], last["eval_success_high"]],
        "share_of_time_in_credit": float(np.mean(shares)) if shares else None,
    }


def plan(config: Config, *, screen: Screen | None = None) -> dict[str, Any]:
    """What a run would be: everything is checked, the model is built, one batch is played and credited, one update
    computed and thrown away. Nothing is written.

    Raises:
        StepCreditError: as `train`.
    """
    screen = screen or Screen()
    world, taken = check(config)
    with TemporaryDirectory() as temporary, _explained(Path(temporary)):
        short = msgspec.structs.replace(config.warmup, steps=min(3, config.warmup.steps), seconds=None)
        lessons = Lessons(config.experience) if config.experience is not None else None
        at: list[float] = []

        @contextmanager
        def clock(label: str, total: int) -> Iterator[Callable[[], object]]:
            at.append(time.perf_counter())
            yield lambda: at.append(time.perf_counter())

        brief = msgspec.structs.replace(config, warmup=short)
        model, words = _start(brief, world, Path(temporary) / START, lessons, Screen(work=clock))
        imitation = float(np.min(np.diff(at))) if len(at) > 1 else 0.0
        trainer = _trainer(config, world, model, words, taken, lessons, Watch(None), Path(temporary) / CHECKPOINTS)
        trainer.rehearsal = True
        total, trains = models.parameters(trainer.model)
        trainer.model.train()
        began = time.perf_counter()
        batch = trainer._prepare_inputs(next(iter(trainer.get_train_dataloader())))
        rolled = time.perf_counter() - began
        trainer.current_gradient_accumulation_steps = trainer.args.gradient_accumulation_steps
        trainer.compute_loss(trainer.model, batch).backward()
        step = rolled + (time.perf_counter() - began - rolled) * trainer.args.gradient_accumulation_steps
        trainer.player.close()
    steps, iterations = config.rl.steps, config.loss.iterations
    evaluations = steps // config.eval.every + 1
    seconds = {
        "warmup": min(imitation * config.warmup.steps, config.warmup.seconds or np.inf),
        "learning": min(step * steps, config.rl.seconds or np.inf),
        "evaluation": rolled * evaluations * config.world.eval_tasks * config.eval.rollouts / config.rows,
    }
    return {
        "parameters": total,
        "trained": trains,
        "vocabulary": len(words),
        "tokens_per_rollout": float(
            (batch["prompt_mask"].sum() + batch["completion_mask"].sum()) / len(batch["prompt_mask"])
        ),
        "rollouts": config.rows * -(-steps // iterations),
        "columns": taken,
        "at_most_seconds": {n: round(float(s), 1) for n, s in seconds.items()},
        "eval_tasks_met_in_training": _met(world, config),
    }


def _met(world: Any, config: Config) -> float:
    """Share of the evaluation's tasks that read as one of training does: small worlds have few tasks."""
    episode, seen, first = world.episode(), set(), config.world.train_tasks
    for task in range(first):
        seen.add(episode.reset(seed=task)[0])
    met = [episode.reset(seed=first + i)[0] in seen for i in range(config.world.eval_tasks)]
    episode.close()
    return float(np.mean(met))


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """Errors of the machine in words that help."""
    kept = "what was learned until the last checkpoint is kept: --resume"
    try:
        yield
    except StepCreditError:
        raise
    except Exception as error:
        said = str(error)
        # The writers of weights say it in their own ways.
        if getattr(error, "errno", None) in _FULL or any(words in said for words in _SAY_FULL):
            file = getattr(error, "filename", None) or folder
            raise StepCreditError(
                f"the disk is full: {file}", hint=f"make room, or a lower checkpoints.keep; {kept}"
            ) from None
        if not isinstance(error, MemoryError) and "out of memory" not in said and "can't allocate" not in said:
            raise
        raise StepCreditError(
            f"out of memory: {said.splitlines()[0] if said else 'no more could be had'}",
            hint=f"a lower loss.rows_per_pass (then rl.tasks_per_step, rl.max_tokens), model.lora, or bfloat16; {kept}",
        ) from None
