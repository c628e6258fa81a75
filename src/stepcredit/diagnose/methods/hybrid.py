"""Hybrid: the agent from one look at the whole run, the step from that agent's steps one by one."""

from collections import Counter
from typing import Any

from stepcredit.credit.card import Preset
from stepcredit.diagnose._judging import Judge, Question, Said, known_agent, most_questions, not_judged, voted
from stepcredit.diagnose._log import CUT, Log, speaker
from stepcredit.diagnose._whole import Form, question, whole
from stepcredit.diagnose.case import Case, Verdict
from stepcredit.diagnose.methods.all_at_once import BIBTEX, TASK
from stepcredit.diagnose.methods.step_by_step import Unread, in_order
from stepcredit.diagnose.metrics import agent_name
from stepcredit.llm.requests import Plan
from stepcredit.shelf import PlanCard

CARD = PlanCard(
    title="Who&When: hybrid of all at once and step by step",
    paper="arXiv:2505.00212",
    bibtex=BIBTEX,
    evidence="paper",
    asks=("judge",),
    needs="steps that say who took them",
    cost="one question, then at most one per step of the agent that it names, per vote",
    departures="The published code does not hold it. The judge sees all steps, and is asked about those of the agent.",
)

PRESETS = {"blind": Preset({"tell": False}, "without the right answer")}


def hybrid(
    case: Case,
    *,
    tell: bool = True,
    form: Form = "block",
    unread: Unread = "stop",
    cut: int | None = CUT,
    limit: int | None = None,
    votes: int = 1,
    retries: int = 1,
    seed: int = 0,
) -> Plan[Verdict]:
    """`all_at_once` names the agent; `step_by_step` goes through the steps of that agent alone.

    Args:
        tell, form, cut, limit, votes, retries, seed: as in `all_at_once`. unread: as in `step_by_step`.
    """
    log = Log(case, tell, True, cut, limit)

    def one(judge: Judge) -> Plan[Verdict]:
        def ask(first: int, last: int) -> Question[Said]:
            return question(log, first, last, TASK, form=form)

        who = yield from whole(log, judge, ask)
        if who.status != "found":
            return who
        agent = known_agent(case, who.agent)
        if agent is None:
            return not_judged(log, f"the judge blames {who.agent or 'nobody by name'}, who takes no step of this run")
        mine = [t for t, s in enumerate(case.steps) if agent_name(speaker(s)) == agent_name(agent)]
        verdict = yield from in_order(log, judge, mine, form, unread)
        verdict.evidence.update({"agent": agent, "all_at_once": who.step, "steps": mine})
        return verdict

    return (yield from voted(case, one, votes=votes, retries=retries, seed=seed))


def cost_of(case: Case, **options: Any) -> dict[str, int]:
    """The most that it spends on a run."""
    log = Log(case, cut=options["cut"], limit=options["limit"])
    takes = Counter(agent_name(who) for step in case.steps if (who := speaker(step)) is not None)
    return most_questions(len(log.windows()) + max(takes.values(), default=0), options)
