"""Diagnosis of real runs against people: Who&When (one step and agent per failed log), AgentProcessBench (a label per
step). What methods see holds no trace of what people said; baselines that never look stand beside them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from msgspec.structs import replace

from stepcredit.bench.paired import interval, weights
from stepcredit.bench.suites._agentprocessbench import files, said
from stepcredit.data.layout import Floats, Ints
from stepcredit.data.reading import Reading
from stepcredit.data.records import REFERENCES, Rollout
from stepcredit.diagnose import metrics
from stepcredit.diagnose.case import Case, Group, Verdict
from stepcredit.diagnose.metrics import NONE, UNKNOWN, place
from stepcredit.diagnose.run import METHODS
from stepcredit.errors import StepCreditError

BASELINES = ("constant", "random_step", "last_step")
"""Members that never look; here their expectation is measured, under names that say what they are."""


def methods(chosen: Sequence[str]) -> list[str]:
    """Methods that ask nobody, not even with some options, or those of the chosen ones that do not.

    Raises:
        UnknownName: no such method.
    """
    names = chosen or [name for name in METHODS.names() if name not in BASELINES]
    cards = {name: METHODS.get(name).card for name in names}
    return [name for name in names if not (cards[name].asks or cards[name].may_ask)]


def blind(rollout: Rollout) -> Rollout:
    """A rollout without what people said of it: the right answer alone is left of what the file adds."""
    known = {k: v for k, v in rollout.extra.items() if k in REFERENCES}
    steps = [replace(step, evidence={}, extra={}) for step in rollout.steps]
    return replace(rollout, blame=[], evidence={}, extra=known, steps=steps)


def verdicts(groups: Iterable[Sequence[Rollout]], names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Of each method what it says of every rollout, in their order, as plain data; or why it failed.

    Returns:
        name -> {"said": [R] whole numbers of `metrics`, "agent": [R], "scores": [R] lists}, or {"error": text}.
    """
    out: dict[str, dict[str, Any]] = {name: {"said": [], "agent": [], "scores": []} for name in names}
    planners = {name: METHODS.get(name) for name in names}
    for members in groups:
        group = Group(members)
        for name, planner in planners.items():
            if "error" in out[name]:
                continue
            try:
                for i in range(len(members)):
                    _add(out[name], planner.function(Case(group, i), **planner.check_options({})))
            except StepCreditError as error:  # its failure is a row, the others go on
                out[name] = {"error": error.message}
    return out


def _add(to: dict[str, Any], verdict: Verdict) -> None:
    to["said"].append(place(verdict.status, verdict.step))
    to["agent"].append(verdict.agent)
    to["scores"].append([None if x != x else float(x) for x in verdict.scores.tolist()])


def who_and_when(path: str, names: Sequence[str]) -> dict[str, Any]:
    """The logs of a file: truth, sizes, speakers, and what each method says."""
    logs = list(Reading(path, format="who_and_when"))
    truth = [log.blame[0] for log in logs]
    return {
        "step": [int(one.step if one.step is not None else UNKNOWN) for one in truth],
        "agent": [None if one.agent is None else str(one.agent) for one in truth],
        "speakers": [[None if s.agent is None else str(s.agent) for s in log.steps] for log in logs],
        "methods": verdicts(([blind(log)] for log in logs), names),
    }


def people(path: str, judges: str, names: Sequence[str]) -> dict[str, Any]:
    """The rollouts of a subset of AgentProcessBench: people's labels, recorded judges', and what each method says."""
    rollouts = sorted(Reading(path, format="agentprocessbench"), key=lambda r: str(r.group))
    groups: dict[Any, list[Rollout]] = {}
    for one in rollouts:
        groups.setdefault(one.group, []).append(one)
    rollouts = [one for members in groups.values() for one in members]
    messages = [[step.extra["message"] for step in one.steps] for one in rollouts]
    labels = [[step.evidence.get("label") for step in one.steps] for one in rollouts]
    recorded = {}
    for name, file in files(Path(judges)).items():
        told: Mapping[Any, Any] = said(file)
        mine = [told.get((one.group, one.rollout)) for one in rollouts]
        recorded[name] = [
            [None if one is None else _none(one.labels.get(m)) for m in ms]
            for one, ms in zip(mine, messages, strict=True)
        ]
    return {
        "question": [i for i, members in enumerate(groups.values()) for _ in members],
        "outcome": [one.outcome for one in rollouts],
        "labels": labels,
        "judges": recorded,
        "methods": verdicts(([blind(one) for one in members] for members in groups.values()), names),
    }


def _none(x: float | None) -> float | None:
    return None if x is None or x != x else x


class Answers(NamedTuple):
    """What somebody says of each run, perhaps by chance: [F] chances to be right exactly, within 1 step (near), within
    3 (far), about the agent, for the substring scorer (legacy); to be unknown; to name a step at all.
    """

    exact: Floats
    near: Floats
    far: Floats
    agent: Floats
    legacy: Floats
    unknown: Floats
    named: Floats


def fixed(step: Ints, truth: Ints, agents: Sequence[str | None], true_agents: Sequence[str | None]) -> Answers:
    """Of one answer for each run."""
    exact, near, far = (metrics.within(step, truth, k) for k in (0, 1, 3))
    texts = [[int(x) if x >= 0 else None for x in xs.tolist()] for xs in (step, truth)]
    agent = metrics.same_agent(agents, true_agents)
    unknown, named = (step == UNKNOWN).astype(float), (step >= 0).astype(float)
    return Answers(exact, near, far, agent, metrics.legacy(*texts), unknown, named)


def drawn(
    sizes: Sequence[int], truth: Ints, speakers: Sequence[Sequence[str | None]], agents: Sequence[Any]
) -> Answers:
    """Of a step drawn evenly: the mean over all steps."""
    every = []
    for size, true, who, agent in zip(sizes, truth.tolist(), speakers, agents, strict=True):
        steps = np.arange(size)
        one = fixed(steps, np.full(size, true), list(who), [agent] * size)
        every.append([float(np.mean(x)) for x in one])
    return Answers(*np.array(every, float).T)


def scored(
    rows: Mapping[str, Answers], reference: str, clusters: Ints, draws: int, seed: int
) -> Iterator[dict[str, Any]]:
    """A row each: value and 90% interval of every score; "precision": exact / named; "minus": the difference in "exact"
    to a baseline, paired."""
    weight = weights(int(clusters.max()) + 1, draws, seed)[:, clusters]
    at = {name: {k: _mean(weight, x) for k, x in one._asdict().items()} for name, one in rows.items()}
    for name, scores in at.items():
        row: dict[str, Any] = {"method": name, "runs": int(clusters.size)}
        for score, values in scores.items():
            row |= {score: float(values[0]), f"{score}_interval": interval(values[1:])}
        sure = np.divide(scores["exact"], scores["named"], out=np.full(len(weight), np.nan), where=scores["named"] > 0)
        row |= {"precision": float(sure[0]), "precision_interval": interval(sure[1:])}
        gap = scores["exact"] - at[reference]["exact"]
        yield row | {"minus": float(gap[0]), "minus_interval": interval(gap[1:]), "minus_which": reference}


def _mean(weight: Floats, x: Floats) -> Floats:
    known = ~np.isnan(x)
    total = weight[:, known].sum(1)
    out: Floats = np.divide(weight[:, known] @ x[known], total, out=np.full(total.shape, np.nan), where=total > 0)
    return out


def left_out(truth: Ints) -> Ints:
    """[F] the most common truth among the other runs, the smallest of several."""
    kinds, at = np.unique(truth, return_inverse=True)
    count = np.bincount(at)[None, :] - (at[:, None] == np.arange(kinds.size))
    best: Ints = kinds[count.argmax(1)]
    return best


def first_wrong(labels: Sequence[Sequence[float | None]]) -> Ints:
    """[R] the first step with label -1 of each run; NONE where there is none."""
    return np.array([next((t for t, x in enumerate(one) if x == -1), NONE) for one in labels], np.int64)
