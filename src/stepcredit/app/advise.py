"""`stepcredit advise`: what rollouts look like, and which methods fit them."""

from typing import Annotated, Any

import numpy as np
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
from stepcredit.bench.advice import FAR, Expected, Setting, expected, measured, nearest
from stepcredit.bench.entries import ours
from stepcredit.bench.profile import Profile, profile
from stepcredit.credit import get, names
from stepcredit.credit.run import applicable
from stepcredit.data import Batch

EVIDENCE = (
    *("gain", "match", "score", "label", "votes", "value", "next_value", "answer_prob", "contribution", "logratio"),
    *("token_logratio", "token_value"),
)
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

    rho: rank correlation with the exact advantage inside a task; mean, least and most over three settings. same: how
    often the better of two steps taken in the same state has more credit; 0.5 is chance. The settings are small worlds
    with exact truth, your rollouts are none of them: read the order, not the digits.

    Example: stepcredit advise runs.jsonl --states last
    """
    batch = load(rollouts, format, map, on_error, segment)
    batch = stated(batch, states, normalize)
    mine = profile(batch)
    near = nearest(mine, measured())
    able, lacking = _able(batch, mine)
    order = expected([setting for _, setting in near], able)
    reasons = told(mine, batch, near[0][0])
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


def _able(batch: Batch, mine: Profile) -> tuple[list[str], dict[str, str]]:
    """Methods that can run here and would say something, and why others cannot."""
    able, lacking = [], {}
    for name in names():
        method = get(name)
        why = applicable(method, batch)
        if why is None and mine.success != mine.success:
            why = f"{name} needs outcomes that differ"
        if why is None and mine.rollouts < 2 and name != "reinforce_plus_plus":
            why = f"{name} compares the rollouts of a task, and here is one of each"
        if why is not None:
            lacking[name] = why
            continue
        able.append(name)
        if ours(name):
            able += [f"{name}@{preset}" for preset in method.presets]
    return able, lacking


def told(mine: Profile, batch: Batch, far: float) -> list[str]:
    """What about these rollouts decides, in sentences; `far`: how much the nearest setting differs."""
    out = []
    if mine.success != mine.success:
        out.append("No two outcomes differ (or none is known): there is nothing that credit could be given for.")
    if mine.rollouts < 2:
        out.append("One rollout per task: there is nothing to compare it with. Sample 4 or more of each.")
    if mine.mixed == mine.mixed and mine.mixed < 1:
        out.append(f"{share(1 - mine.mixed)} of the tasks have rollouts of equal outcome: there group methods give 0.")
    if "state" not in batch:
        out.append(
            "No states: methods that have outcomes alone give all steps of a rollout the same credit. "
            "`--states last` makes states from observations; `stepcredit state` shows how much they merge."
        )
    elif mine.met != mine.met:
        out.append("No rollout has a second step: there are no later states to compare.")
    elif mine.met < FEW:
        out.append(
            f"States seldom come back ({share(mine.met)} of the later steps are in a state that another rollout met): "
            "elsewhere methods that compare states guess. On such rollouts of search agents, whose steps people "
            "judged, giving all steps the outcome (`grpo`) agreed with people as well as any of them or better (docs: "
            "leaderboard, people). Coarser states (`stepcredit state` shows how much they merge) or evidence (values, "
            "scores of a process reward model, log-probabilities) tell more."
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
    evidence: dict[str, list[str]] = {}
    for name in names():
        if applicable(get(name), batch) is None:
            for column in get(name).needs:
                if column in EVIDENCE and column in batch and not np.isnan(batch[column]).all():
                    evidence.setdefault(column, []).append(name)
    if evidence:
        which = "; ".join(f"{column} ({', '.join(methods)})" for column, methods in sorted(evidence.items()))
        out.append(f"Evidence about steps is there: {which}. It can tell steps apart without states.")
    if batch.layout.is_tree:
        out.append("Rollouts share steps (a tree): methods over trees use the branches as samples of one state.")
    if far > FAR:
        out.append(
            f"None of the settings measured is much like this (the nearest differs by {far:.1f}, {FAR:g} is far): take "
            "the table below for a hint."
        )
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
    if not order:
        return
    table(
        ["method", "rho", "least, most", "same"],
        [[one.method, f"{one.rho:.2f}", f"{one.least:.2f}, {one.most:.2f}", f"{one.same:.2f}"] for one in order],
        title="in the most similar settings measured: " + ", ".join(f"{one.name} ({far:.1f})" for far, one in near),
    )
    say(
        "In brackets how much a setting differs from your rollouts. An entry @quality is a score to rank and filter "
        "steps with; it is no advantage, so its rho is low."
    )
