"""`stepcredit train`: from a config to an agent that has learned by step credit."""

import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from stepcredit.app.console import err, note, print_json, progress, say, share, show, table
from stepcredit.app.options import Json
from stepcredit.errors import StepCreditError
from stepcredit.plugins import extra
from stepcredit.train.config import load


def train(
    config: Annotated[Path | None, typer.Argument(help="A YAML file; --example prints one.", metavar="CONFIG")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the newest checkpoint in the output.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything, play and credit one batch; write nothing.")
    ] = False,
    example: Annotated[
        str | None, typer.Option("--example", metavar="WORLD", help="Print a config with a word on every setting.")
    ] = None,
    json: Json = False,
) -> None:
    """Train an agent in a text world: a warm start by imitation, then reinforcement learning on TRL, with the credit of
    any method for every turn.

    Write what --example prints to a file, change it, and train from it.

    Example: stepcredit train --example key_door_rooms
    """
    if example is not None:
        from stepcredit.train.example import example as example_of

        typer.echo(example_of(example), nl=False)
        return
    if config is None:
        raise StepCreditError("which config?", hint="stepcredit train --example key_door_rooms > config.yaml")
    settings = load(config)
    _quiet()
    from stepcredit.train import run

    if dry_run:
        _show_plan(run.plan(settings, screen=run.Screen(warn=_warn)), json)
        return
    with progress("steps", settings.rl.steps) as advance:
        at = [0]

        def line(told: Mapping[str, Any]) -> None:
            advance(told["step"] - at[0])
            at[0] = told["step"]
            if "eval_success" in told and err.is_terminal:
                note(f"step {told['step']}: {_success(told)}", "")

        screen = run.Screen(line=line, warn=_warn, note=note, work=_work)
        result = run.train(settings, resume=resume, screen=screen)
    if json:
        print_json(result)
        return
    low, high = result["interval"]
    say(
        f"Success on tasks that training never met: {share(result['success_before'])} before, "
        f"{share(result['success'])} [{share(low)}, {share(high)}] after {result['rollouts']:,} rollouts "
        f"({result['steps']:,} steps, {show(result['seconds'])} s)."
    )
    if result["share_of_time_in_credit"] is not None:
        say(f"Share of a step's time spent on credit: {share(result['share_of_time_in_credit'])}.")
    for name in ("model", "metrics"):
        say(f"{name}: {result[name]}")
    if result["kept"] is not None:
        say(f"rollouts: {result['kept']} (stepcredit view {Path(result['kept']).parent})")
    for picture in result["curve"]:
        say(f"curve: {picture}")


def _success(told: Mapping[str, Any]) -> str:
    low, high = told["eval_success_low"], told["eval_success_high"]
    return f"success {share(told['eval_success'])} [{share(low)}, {share(high)}] after {told['rollouts']:,} rollouts"


def _show_plan(plan: Mapping[str, Any], json: bool) -> None:
    if json:
        print_json(plan)
        return
    seconds = plan["at_most_seconds"]
    say(
        f"Model: {plan['parameters']:,} parameters, {plan['trained']:,} of them trained; {plan['vocabulary']:,} tokens."
    )
    say(f"Rollouts: {plan['rollouts']:,}, {show(plan['tokens_per_rollout'])} tokens each before any warm start.")
    times = ", ".join(f"{name} {show(s)} s" for name, s in seconds.items())
    say(f"Time, if rollouts stay as long: {times}.")
    if plan["eval_tasks_met_in_training"]:
        say(
            f"{share(plan['eval_tasks_met_in_training'])} of the evaluation's tasks read as one of training does: "
            "the world has few tasks."
        )
    table(["column", "from"], list(plan["columns"].items()), title="What the method gets")


def _warn(text: str) -> None:
    note(f"warning: {text}", "yellow")


@contextmanager
def _work(label: str, total: int) -> Iterator[Any]:
    with progress(label, total) as advance:
        yield advance


def _quiet() -> None:
    """What the packages below say of themselves is not for this screen."""
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    # TRL 1.16 uses names that transformers has renamed.
    warnings.filterwarnings("ignore", r"`(is_)?gradient_checkpointing` is deprecated", FutureWarning)
    transformers = extra("transformers", "training", name="train")
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
