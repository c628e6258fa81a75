"""CDC-MAS: Shapley values say which agent is to blame, the effect of putting single steps right says when."""

import re
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.data.layout import Floats
from stepcredit.diagnose._judging import Judge, Question, block, fields, told_in
from stepcredit.diagnose._log import CUT, Log, plain, prompt_of, speaker
from stepcredit.diagnose.case import Case, Verdict
from stepcredit.diagnose.episodes import EnvReplay
from stepcredit.diagnose.methods.agents import BIBTEX
from stepcredit.diagnose.outcomes import succeeded
from stepcredit.diagnose.shapley import (
    agent_edges,
    ancestors,
    chain,
    coalitions,
    dataflow_graph,
    members,
    orders,
    shapley_along,
    shapley_exact,
)
from stepcredit.errors import StepCreditError
from stepcredit.evidence._prompts import Part, Unreadable
from stepcredit.llm.requests import Failed, Plan, draw_of
from stepcredit.shelf import PlanCard

CARD = PlanCard(
    title="Automatic Failure Attribution and Critical Step Prediction Method for Multi-Agent Systems Based on Causal "
    "Inference",
    paper="arXiv:2509.08682",
    bibtex=BIBTEX,
    evidence="derived",
    asks=(),
    may_ask=("judge", "sampler"),
    needs="steps that say who took them; a judge, or a world with an expert (replayer=EnvReplay(...))",
    cost="a value for every coalition of agents (2^n - 1, or along random orders), then one for every step of the \
agent",
    departures="Read from the abstract and notes. v(S) is the chance of success with the steps of the agents in S put "
    "right and the others as logged. The causal discovery over step features (tests, features, levels) is not "
    "published: a step's effect is asked for directly, ATE_t = P(success | do(step t right)) - P(success | as it was); "
    "the latter is 0, as the run failed. Judge and simulator are the same model, which its authors are criticized for.",
)

PRESETS = {
    "agents": Preset({"steps": "none"}, "derived: only who, by Shapley values; the step is the agent's first"),
    "blind": Preset({"tell": False}, "without the right answer"),
}


class _Value(NamedTuple):
    """A chance of success; the change that brings it, where a judge says so."""

    p: float
    fix: str | None = None


def cdc_mas(
    case: Case,
    *,
    replayer: EnvReplay | None = None,
    n: int = 16,
    exact: int = 5,
    permutations: int = 8,
    steps: Literal["agent", "all", "none"] = "agent",
    product: bool = True,
    flow: Literal["data", "chain"] = "data",
    tell: bool = True,
    cut: int | None = CUT,
    limit: int | None = None,
    retries: int = 1,
    seed: int = 0,
) -> Plan[Verdict]:
    """Who: phi_i, the Shapley values of v(S); blame_i = phi_i * (v({i}) - v({})). When: the earliest step of that agent
    with the largest ATE_t.

        v(S) = P(success | do(steps of S right), others as logged),   v({}) = 0, as the run failed

    Candidates are the agents that the end of the run rests on, through who used what of whom. Scores are ATE_t. The
    confidence is blame_i over the sum of all that is positive.

    Args:
        replayer: simulates in a world whose expert puts steps right; None: the judge says how likely it is.
        n: tries of each value, in a world. exact: most agents for which all coalitions are asked; for more, those along
            random orders, `permutations` of them.
        steps: whose steps are put right one by one: of the "agent" to blame, "all", or "none" (its first step is told).
        product: times the effect of putting i alone right; else phi_i alone.
        flow: who used what of whom, from names and numbers ("data"), or the next speaker read the one before ("chain").
        tell: the judge is told the right answer, where it is known.
        cut, retries, seed: as in `all_at_once`. limit: most characters of all steps; longer ones are cut in the middle.

    Raises:
        StepCreditError: n, exact or permutations < 1; retries < 0.
    """
    if min(n, exact, permutations) < 1 or retries < 0:
        raise StepCreditError(
            f"n, exact, permutations are at least 1, retries 0; got {n}, {exact}, {permutations}, \
{retries}"
        )
    who = [speaker(step) for step in case.steps]
    agents = _candidates(case, who, flow)
    if succeeded(case):
        return Verdict("clean", np.full(len(who), np.nan), reason="the run succeeded")
    if case.rollout.outcome is None:
        return case.unknown("the outcome of the run is not known, so that nobody can say what would have changed it")
    if not agents:
        return case.unknown("no step says who took it")
    ask = _Asking(Log(case, tell, True, cut, limit), Judge(retries, seed), replayer, n, seed, agents)
    drawn = None if len(agents) <= exact else orders(len(agents), permutations, seed)
    masks = coalitions(len(agents), drawn)
    if product:
        masks = sorted({*masks, *(1 << i for i in range(len(agents)))})
    named = [[agents[i] for i in members(m)] for m in masks if m]
    said = yield from ask.agents(named)
    values = {0: _Value(0.0), **dict(zip([m for m in masks if m], said, strict=True))}
    failed = next((v.reason for v in values.values() if isinstance(v, Failed)), None)
    if failed is not None:
        return case.unknown(f"the value of a coalition is not known: {failed}", **ask.told())
    v = {m: x.p for m, x in values.items() if isinstance(x, _Value)}
    phi = shapley_exact([v[m] for m in sorted(v)]) if drawn is None else shapley_along(v, len(agents), drawn).phi
    blame = phi * np.array([v[1 << i] for i in range(len(agents))]) if product else phi
    told = {
        "agents": agents,
        "shapley": [round(float(x), 6) for x in phi],
        "blame": [round(float(x), 6) for x in blame],
        "values": {" + ".join(agents[i] for i in members(m)) or "nobody": round(x, 6) for m, x in v.items()},
        "orders": "all" if drawn is None else len(drawn),
    }
    if not blame.max() > 0:
        none = "putting no agent right raises the chance of success"
        return Verdict("unknown", np.full(len(who), np.nan), reason=none, evidence=told | ask.told())
    return (yield from _when(case, ask, agents, blame, steps, told))


def _when(
    case: Case, ask: "_Asking", agents: list[str], blame: Floats, steps: str, told: dict[str, Any]
) -> Plan[Verdict]:
    """The step of the agent that is most to blame."""
    best = int(np.argmax(blame))
    agent, who = agents[best], [speaker(step) for step in case.steps]
    mine = [t for t, name in enumerate(who) if name == agent]
    wanted = [] if steps == "none" else mine if steps == "agent" else list(range(len(who)))
    said = yield from ask.steps(wanted)
    effect, remarks = np.full(len(who), np.nan), dict[int, str]()
    for t, one in zip(wanted, said, strict=True):
        if isinstance(one, _Value):
            effect[t] = one.p
            remarks |= {t: one.fix} if one.fix else {}
    known = [t for t in mine if not np.isnan(effect[t])]
    step = max(known, key=lambda t: (effect[t], -t)) if known else mine[0]
    if wanted and not known:
        reason = next(one.reason for one in said if isinstance(one, Failed))
        return case.unknown(
            f"{agent} is to blame, and the effect of its steps is not known: {reason}", **told, **ask.told()
        )
    share = f"{agent} bears {blame[best] / blame[blame > 0].sum():.0%} of the blame"
    when = f"; putting step {step} right raises the chance of success by {effect[step]:.0%}" if known else ""
    return Verdict(
        "found",
        effect,
        step=step,
        agent=agent,
        reason=share + when + (f". {remarks[step]}" if step in remarks else ""),
        confidence=float(blame[best] / blame[blame > 0].sum()),
        remarks=remarks,
        evidence=told | ask.told(),
    )


def cost_of(case: Case, **options: Any) -> dict[str, int]:
    """The most that it spends on a run."""
    who = [speaker(step) for step in case.steps]
    agents = _candidates(case, who, options["flow"])
    if succeeded(case) or case.rollout.outcome is None or not agents:
        return {}
    many = len(agents)
    exact = many <= options["exact"]
    values = (1 << many) - 1 if exact else min((1 << many) - 1, many * options["permutations"] + many)
    most = max(who.count(a) for a in agents)
    values += {"none": 0, "agent": most, "all": len(who)}[options["steps"]]
    if options["replayer"] is None:
        return {"questions": values * (1 + options["retries"])}
    found: dict[str, int] = options["replayer"].cost(case, range(values), options["n"])
    return found


def _candidates(case: Case, who: Sequence[str | None], flow: str) -> list[str]:
    """The agents that the end of the run rests on, in the order in which they first act."""
    last = next((name for name in reversed(who) if name is not None), None)
    if last is None:
        return []
    speaking = [name for name in who if name is not None]
    edges = chain(speaking) if flow == "chain" else agent_edges(dataflow_graph(case.steps), who)
    reached = {last, *ancestors(edges, last)}
    return [name for name in dict.fromkeys(speaking) if name in reached]


class _Asking:
    """What is asked of the judge or tried in the world."""

    def __init__(
        self, log: Log, judge: Judge, replayer: EnvReplay | None, n: int, seed: int, agents: Sequence[str]
    ) -> None:
        self.log, self.judge, self.replayer, self.n, self.seed = log, judge, replayer, n, seed
        self.number = {name: i for i, name in enumerate(agents, 1)}
        self.tried = 0

    def told(self) -> dict[str, Any]:
        """What was spent, as evidence."""
        if self.replayer is not None:
            return {"tries": self.tried}
        return {"calls": self.judge.calls, "replies": self.judge.replies}

    def agents(self, coalitions: Sequence[Sequence[str]]) -> Plan[list[_Value | Failed]]:
        """v of each coalition."""
        if self.replayer is None:
            asked = [f"every step that {self._numbers(names)} took" for names in coalitions]
            return (yield from self._judged(asked, [self._legend()]))
        puts = [lambda t, agent, names=frozenset(names): agent in names for names in coalitions]
        return (yield from self._tried(puts, 0))

    def steps(self, steps: Sequence[int]) -> Plan[list[_Value | Failed]]:
        """P(success) with each of these steps alone put right."""
        if self.replayer is None:
            return (yield from self._judged([f"step {t} alone" for t in steps]))
        return (yield from self._tried([lambda t, agent, step=step: t == step for step in steps], 1))

    def _numbers(self, names: Sequence[str]) -> str:
        return " and ".join(f"agent {self.number[name]}" for name in names)

    def _legend(self) -> Part:
        """Who is meant: names come from the log, and none stands in the question itself."""
        return "agents by number", "\n".join(f"agent {i}: {plain(name)}" for name, i in self.number.items())

    def _judged(self, asked: Sequence[str], more: Sequence[Part] = ()) -> Plan[list[_Value | Failed]]:
        return (yield from self.judge.ask([_question(self.log, what, more) for what in asked]))

    def _tried(self, puts: Sequence[Any], kind: int) -> Plan[list[_Value | Failed]]:
        assert self.replayer is not None
        found = yield from self.replayer.put_right(self.log.case, puts, self.n, draw=draw_of(self.seed, kind))
        self.tried += sum(one.told for one in found)
        return [
            _Value(one.won / one.told) if one.told else Failed(one.failed[0] if one.failed else "no tries")
            for one in found
        ]


_TASK = """A run of one or more agents on a task is shown.{outcome} Suppose that {what} had been right: what a careful \
expert in that place would have said or done, knowing only what could be known then. All other steps are taken by the \
same agents as before, who react to what has changed. Simulate how the run would have gone on, and say how likely it \
is that it would have reached its goal."""
_LISTED = " Agents are meant by their numbers in the list of them, whatever they are called."
_FORM = """First think it through. Then end with your answer in this form:
<TAG>
chance: ANSWER
fix: WORDS
</TAG>
ANSWER is a chance from 0 to 1. WORDS say the smallest change that would have done it, in at most 60 words."""
_CHANCE = re.compile(r"([01](?:\.\d{1,40})?|\.\d{1,40})\s*|(\d{1,3}(?:\.\d{1,40})?)\s*%", re.ASCII)


def _question(log: Log, what: str, more: Sequence[Part]) -> Question[_Value | Failed]:
    task = _TASK.format(outcome=log.outcome(), what=what) + (_LISTED if more else "")
    prompt, tag = prompt_of(task, [*log.head(), *more, *log.shrunk(0, len(log.case.steps) - 1)], _FORM)

    def read(reply: str) -> _Value | Failed:
        found = fields(block(reply, tag))
        number = _CHANCE.fullmatch(found.get("chance", "").strip())
        if number is None:
            raise Unreadable("it says no chance")
        p = float(number[1]) if number[1] is not None else float(number[2]) / 100
        if p > 1:
            raise Unreadable("it says a chance above 1")
        return _Value(p, told_in(found.get("fix")))

    return Question(prompt, read)
