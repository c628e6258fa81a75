"""Replay on planted faults. By an exact sampler: tries with the first k steps kept succeed with the chance that the
world's values say, so that what is measured is the method and its number of tries, not the model. And in a world of two
agents that can be stepped: which of them it was.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stepcredit.bench.suite import Table
from stepcredit.bench.suites._agentprocessbench import between
from stepcredit.bench.suites._diagnose_planted import told_silent
from stepcredit.bench.suites._diagnose_real import Answers, drawn, fixed, scored
from stepcredit.bench.suites._planted import KINDS, LUCK, SLIP, Plant, made, plants
from stepcredit.data.records import Rollout
from stepcredit.diagnose.case import Case
from stepcredit.diagnose.episodes import EnvReplay
from stepcredit.diagnose.metrics import place
from stepcredit.diagnose.replay import Tries
from stepcredit.diagnose.run import diagnose
from stepcredit.envs import text
from stepcredit.envs.play import expert, noisy
from stepcredit.llm.requests import Plan, draw_of

ASKED: Mapping[str, tuple[str, dict[str, Any]]] = {
    "counterfactual_replay, 4 tries": ("counterfactual_replay", {"n": 4}),
    "counterfactual_replay, 16 tries": ("counterfactual_replay", {"n": 16}),
    "counterfactual_replay, 64 tries": ("counterfactual_replay", {"n": 64}),
    "counterfactual_replay@largest, 16 tries": ("counterfactual_replay@largest", {"n": 16}),
    "decisive_search, 8 tries": ("decisive_search", {"batch": 4, "most": 8}),
    "decisive_search, 32 tries": ("decisive_search", {"batch": 8, "most": 32}),
    "decisive_search, 128 tries": ("decisive_search", {"batch": 16, "most": 128}),
}
"""What is measured: name -> (method, options)."""
WORLD, OPTIONS = "hand_off", {"horizon": 8}
SIBLINGS = 8
LAST, RANDOM = "last step", "random step (expected)"
CDC = "cdc_mas, 16 tries in the world"


@dataclass
class ExactReplay:
    """Tries that succeed with chance V(k, s_k), the value of the state after the first k steps. spent: tries.

    plants: by the group of their runs.
    """

    plants: Mapping[Any, Plant]
    seed: int = 0
    spent: int = 0

    def tries(self, case: Case, kept: Sequence[int], n: int, *, draw: int = 0) -> Plan[list[Tries]]:
        """As of `stepcredit.diagnose.replay.Replayer`; nobody is asked."""
        yield from ()
        self.spent += n * len(kept)
        return [Tries(float(self._won(case.rollout, k, n, draw)), n) for k in kept]

    def cost(self, case: Case, kept: Sequence[int], n: int) -> dict[str, int]:
        """As of `stepcredit.diagnose.replay.Replayer`."""
        return {"tries": n * len(kept)}

    def _won(self, rollout: Rollout, k: int, n: int, draw: int) -> int:
        one = self.plants[rollout.group]
        run = one.failed
        if k == len(run.action):
            return 0
        kind = one.world.name.rpartition("/")[0]
        chance = float(np.clip(made(kind, one.seed).value[k, run.state[k]], 0, 1))
        return int(np.random.default_rng([self.seed, draw_of(rollout.group, k, draw)]).binomial(n, chance))


def cell(kind: str, seeds: int, names: Iterable[str], seed: int) -> dict[str, Any]:
    """What each method says of the plants of a kind, and how many tries it took."""
    found = plants(kind, range(seeds), 0)
    runs = [one.rollouts(0, "states")[0] for one in found]
    by_group = {run.group: one for run, one in zip(runs, found, strict=True)}
    out = {}
    for name in names:
        method, options = ASKED[name]
        replayer = ExactReplay(by_group, seed)
        told = diagnose(runs, [method], options={method: {**options, "replayer": replayer}})
        said = [place(d.verdicts[method].status, d.verdicts[method].step) for d in told]
        out[name] = {"said": said, "tries": replayer.spent / max(len(runs), 1)}
    return {"step": [one.step for one in found], "size": [len(one.failed.action) for one in found], "said": out}


def rows(values: Mapping[str, Any], draws: int, seed: int) -> list[dict[str, Any]]:
    """A row for each kind of luck and method. values: kind of world -> what `cell` returns."""
    out = []
    for luck in ("all", *LUCK):
        cells = [c for kind, c in values.items() if luck in ("all", KINDS[kind].luck) and c["step"]]
        if not cells:
            continue
        step, size = (np.array([x for c in cells for x in c[key]], np.int64) for key in ("step", "size"))
        none: list[None] = [None] * step.size
        told: dict[str, Answers] = {}
        tries: dict[str, float] = {}
        for name in cells[0]["said"]:
            told[name] = fixed(
                np.array([x for c in cells for x in c["said"][name]["said"]], np.int64), step, none, none
            )
            tries[name] = float(
                np.average([c["said"][name]["tries"] for c in cells], weights=[len(c["step"]) for c in cells])
            )
        told[LAST] = fixed(size - 1, step, none, none)
        told[RANDOM] = drawn(size.tolist(), step, [[None] * int(k) for k in size], none)
        found = scored(told, LAST, np.arange(step.size), draws, seed)
        out += [{"part": "replay", "luck": luck, "tries": tries.get(row["method"], 0.0), **row} for row in found]
    return out


def table(found: Sequence[Mapping[str, Any]]) -> Table:
    """Found exactly, by luck, with the tries it took."""
    at = {(row["method"], row["luck"]): row for row in found}
    shown = []
    for name in dict.fromkeys(row["method"] for row in found):
        both = at[name, "all"]
        cells: list[Any] = [name, f"{both['tries']:.0f}"]
        for luck in ("all", *LUCK):
            row = at.get((name, luck))
            cells += ["–", "–"] if row is None else [f"{row['exact']:.3f}", between(row["exact_interval"])]
        sure = "–" if both["precision"] != both["precision"] else f"{both['precision']:.3f}"
        shown.append([*cells, f"{both['near']:.3f}", f"{both['named']:.3f}", sure])
    heads = [text for name in ("all", "no chance", "chance", "steps run out") for text in (name, "90%")]
    note = (
        f"{found[0]['runs']} faults, found exactly; no siblings. tries: how often a run was carried on, per run. The "
        "sampler is exact: tries succeed with the chance that the world's values say. named: share of the runs of "
        "which a step is named; of these: exact among them."
    )
    columns = ["method", "tries", *heads, "within 1", "named", "of these"]
    return Table("Planted faults, by replay with an exact sampler", columns, shown, note)


def agent_cell(seeds: int, names: Sequence[str], seed: int) -> dict[str, Any]:
    """Who it was in a world of a planner and a worker: what methods say with siblings, and what replay in the world
    says without."""
    found = plants(WORLD, range(seeds), SIBLINGS)
    groups = [one.rollouts(SIBLINGS, "states") for one in found]
    agents = [members[0].steps[one.step].agent for members, one in zip(groups, found, strict=True)]
    said: dict[str, Any] = {}
    runs = [run for members in groups for run in members]
    for name in names:
        told = list(diagnose(runs, [name], chosen=lambda run: run.rollout == "0"))
        said[name] = _said(told, name)
    number = {members[0].group: one.seed for members, one in zip(groups, found, strict=True)}
    world = text.get(WORLD)(**OPTIONS)
    replayer = EnvReplay(world.episode, noisy(expert, SLIP, seed), seed=lambda run: number[run.group])
    alone = [members[0] for members in groups]
    told = list(diagnose(alone, ["cdc_mas"], options={"cdc_mas": {"replayer": replayer, "n": 16}}))
    said[CDC] = _said(told, "cdc_mas")
    return {
        "step": [one.step for one in found],
        "agent": agents,
        "speakers": [[step.agent for step in members[0].steps] for members in groups],
        "said": said,
    }


def _said(told: Sequence[Any], name: str) -> dict[str, Any]:
    verdicts = [one.verdicts[name] for one in told]
    return {"said": [place(v.status, v.step) for v in verdicts], "agent": [v.agent for v in verdicts]}


def agent_rows(one: Mapping[str, Any], draws: int, seed: int) -> list[dict[str, Any]]:
    """A row a method, and one for each agent always blamed."""
    step, agents, speakers = np.array(one["step"], np.int64), one["agent"], one["speakers"]
    told = {n: fixed(np.array(x["said"], np.int64), step, x["agent"], agents) for n, x in one["said"].items()}
    names = list(told)
    for agent in sorted({name for who in speakers for name in who}):
        first = np.array([who.index(agent) if agent in who else -2 for who in speakers], np.int64)
        told[f"always the {agent}"] = fixed(first, step, [agent] * step.size, agents)
    told[RANDOM] = drawn([len(who) for who in speakers], step, speakers, agents)
    rows = scored(told, RANDOM, np.arange(step.size), draws, seed)
    return [
        {"part": "agents", "kind": "method" if row["method"] in names else "baseline", **row}
        for row in sorted(rows, key=lambda row: (row["method"] not in names, -row["agent"]))
    ]


def agent_table(found: Sequence[Mapping[str, Any]]) -> Table:
    """Who it was, and when."""
    shown = [
        [
            row["method"],
            f"{row['agent']:.3f}",
            between(row["agent_interval"]),
            f"{row['exact']:.3f}",
            between(row["exact_interval"]),
            f"{row['named']:.3f}",
        ]
        for row in found
        if row["named"] > 0
    ]
    note = (
        f"{found[0]['runs']} runs of a planner and a worker ({WORLD}). Methods that ask no model see {SIBLINGS} other "
        f"runs of the task; {CDC.partition(',')[0]} sees the run alone, and the world. An agent 'always' blamed is "
        "blamed for its first step."
    )
    columns = ["method", "agent", "90%", "step exact", "90%", "named"]
    return Table("Planted faults: which of two agents", columns, shown, note + told_silent(found))
