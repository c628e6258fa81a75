"""`stepcredit advise`: what rollouts look like, and which methods fit them."""

from typing import Annotated, Any

import typer

from stepcredit.app.console import note, print_json, say, share, table
from stepcredit.app.options import (
    Error,
    Format,
    Json,
    Map,
    Normalize,
    OnError,
    Rollouts,
    Segment,
    States,
    load,
    stated,
)
from stepcredit.bench.advice import Expected, Setting, expected, measured, nearest
from stepcredit.bench.entries import OURS
from stepcredit.bench.profile import Profile, profile
from stepcredit.credit import get, names
from stepcredit.credit.run import applicable
from stepcredit.data import Batch

FEW = 0.25  # with a smaller share of steps in shared states, methods that compare states have little to compare
SHOWN = 6


def advise(
    rollouts: Rollouts,
    states: States = None,
    normalize: Normalize = "",
    segment: Segment = None,
    format: Format = None,
    map: Map = [],  # noqa: B006
    on_error: Error = OnError.raise_,
    all: Annotated[bool, typer.Option("--all", help="Every method that was measured, not the best few.")] = False,
    json: Json = False,
) -> None:
    """Look at rollouts (how many per task, how long, how often they succeed, how often states come back, what columns
    they have) and say which methods fit them, why, and how right those were in the most similar settings measured.

    rho: rank correlation with the exact advantage. same: how often the better of two steps taken in the same state has
    more credit; 0.5 is chance. Your rollouts are none of those worlds: read the order, not the digits.

    Example: stepcredit advise runs.jsonl --states last
    """
    batch = load(rollouts, format, map, on_error, segment)
    batch = stated(batch, states, normalize)
    mine = profile(batch)
    near = nearest(mine, measured())
    able, lacking = _able(batch)
    order = expected([setting for _, setting in near], able)
    reasons = told(mine, batch)
    if json:
        print_json(
            {
                "profile": mine._asdict(),
                "nearest": [{"setting": one.name, "difference": far} for far, one in near],
                "methods": [one._asdict() for one in order],
                "not_measured": sorted(set(able) - {one.method for one in order}),
                "lacking": lacking,
                "reasons": reasons,
            }
        )
        return
    _print(mine, near, order if all else order[:SHOWN], reasons)
    unmeasured = sorted(set(able) - {one.method for one in order})
    if unmeasured:
        note(f"can run here, but were not measured in worlds: {', '.join(unmeasured)}")
    if lacking:
        note(f"cannot run here: {', '.join(lacking)}; stepcredit methods NAME says what each needs")


def _able(batch: Batch) -> tuple[list[str], dict[str, str]]:
    able, lacking = [], {}
    for name in names():
        method = get(name)
        why = applicable(method, batch)
        if why is not None:
            lacking[name] = why
            continue
        able.append(name)
        if name.startswith(OURS):
            able += [f"{name}@{preset}" for preset in method.presets]
    return able, lacking


def told(mine: Profile, batch: Batch) -> list[str]:
    """What about these rollouts decides, in sentences."""
    out = []
    if mine.rollouts < 2:
        out.append("One rollout per task: methods that compare rollouts give 0 or the bare outcome. Sample 4 or more.")
    if mine.mixed == mine.mixed and mine.mixed < 1:
        out.append(f"{share(1 - mine.mixed)} of the tasks have rollouts of equal outcome: there group methods give 0.")
    if "state" not in batch:
        out.append(
            "No states: all steps of a rollout get the same credit, whatever the method, unless it has other evidence. "
            "`--states last` makes states from observations; `stepcredit state` shows how much they merge."
        )
    elif mine.met < FEW:
        out.append(
            f"States seldom come back ({share(mine.met)} of the later steps are in a state that another rollout met): "
            "elsewhere methods that compare equal states do what they do without. Coarser states (`stepcredit state` "
            "shows how much they merge) or evidence (a judge, a process reward model, log-probabilities) tell more."
        )
    else:
        out.append(
            f"{share(mine.met)} of the later steps are in a state that another rollout of the task met, and "
            f"{share(mine.chosen)} took a step that another one took there: methods that compare states can tell steps "
            "apart."
        )
    if mine.back > 0.2:
        out.append(
            f"{share(mine.back)} of the steps are in a state that the rollout had been in before: states that are sets "
            "or summaries may hide what differs; compare `--states last` and `--states history`."
        )
    evidence = [n for n in ("value", "score", "votes", "gain", "token_logratio", "match", "label") if n in batch]
    if evidence:
        out.append(
            f"Evidence is there ({', '.join(evidence)}): methods that use it can tell steps apart without states."
        )
    if batch.layout.is_tree:
        out.append("Rollouts share steps (a tree): methods over trees use the branches as samples of one state.")
    return out


def _print(mine: Profile, near: list[tuple[float, Setting]], order: list[Expected], reasons: list[str]) -> None:
    rows: list[tuple[str, Any]] = [
        ("tasks", mine.tasks),
        ("rollouts per task", mine.rollouts),
        ("tasks with successes and failures", share(mine.mixed)),
        ("success", share(mine.success)),
        ("steps per rollout (median)", mine.steps),
        ("longest", mine.longest),
        ("steps in a state that another rollout met", share(mine.met)),
        ("steps that another rollout took there", share(mine.chosen)),
        ("steps back in a state", share(mine.back)),
    ]
    table(["your rollouts", ""], rows)
    say()
    for reason in reasons:
        say(reason)
    say()
    table(
        ["method", "rho", "90%", "same"],
        [[one.method, f"{one.rho:.2f}", f"{one.low:.2f} to {one.high:.2f}", f"{one.same:.2f}"] for one in order],
        title="in the most similar settings measured: " + ", ".join(one.name for _, one in near),
    )
    say("An entry @quality is a score to rank and filter steps with; it is no advantage, so its rho is low.")
