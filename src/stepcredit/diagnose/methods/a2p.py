"""A2P: a judge infers hidden causes, replaces an action, and predicts what would have followed, in one answer."""

from stepcredit.credit.card import Preset
from stepcredit.diagnose._judging import Judge, Question, Said, voted
from stepcredit.diagnose._log import CUT, Log
from stepcredit.diagnose._whole import Form, most_per_window, question, whole
from stepcredit.diagnose.case import Case, Verdict
from stepcredit.llm.requests import Plan
from stepcredit.shelf import PlanCard

CARD = PlanCard(
    title="Abduct, Act, Predict: Scaffolding Causal Inference for Automated Failure Attribution in Multi-Agent Systems",
    paper="arXiv:2509.10401",
    bibtex="""@misc{west2025a2p,
  title={Abduct, Act, Predict: Scaffolding Causal Inference for Automated Failure Attribution in Multi-Agent Systems},
  author={West, Alva and Weng, Yixuan and Zhu, Minjun and Lin, Zhen and Ning, Zhiyuan and Zhang, Yue},
  year={2025}, eprint={2509.10401}, archivePrefix={arXiv}}""",
    evidence="official code read",
    asks=("judge",),
    needs="the right answer (without one the judge predicts success by the task alone)",
    cost="one question per vote, with a long answer; one per window with a limit",
    departures="The wording is ours, and the answer stands in a tag that the log cannot contain. The judge is the "
    "simulator, as published: nothing is run again (`counterfactual_replay` does that).",
    code="https://github.com/ResearAI/A2P",
)

PRESETS = {
    "official": Preset({"form": "lines", "cut": None}, "the published code: three labelled lines and nothing else")
}

_TASK = """A run of one or more agents on a task is shown. Find the decisive error: the earliest step \
that, replaced by a right one, would have turned the run into a success. Work in three stages, in this order.
1. Abduct. For every step that looks suspicious infer the hidden cause behind it: knowledge that was not there, a \
wrong assumption, information that was not looked up. Choose the agent in whose steps the most plausible root cause \
lies.
2. Act. Choose the step to intervene on, and state the smallest concrete change of it that removes the cause: what \
should have been said or done instead.
3. Predict. With that change in place, and all before it as it was, go through the next {turns} steps as they would \
then have gone, and say whether the run would have come to the right result. If it would not, your hypothesis is \
wrong: go back to stage 1 with another one. If an earlier step would do as well, take the earlier one."""


def a2p(
    case: Case,
    *,
    tell: bool = True,
    form: Form = "block",
    turns: str = "3 to 5",
    words: int = 150,
    cut: int | None = CUT,
    limit: int | None = None,
    votes: int = 1,
    retries: int = 1,
    seed: int = 0,
) -> Plan[Verdict]:
    """One question in three stages: t* = min {t: outcome(do(a_t := a'_t)) = success}, the judge being the simulator.

    Args:
        turns: how many steps are to be predicted, in words. words: most of the reason.
        tell, form, cut, limit, votes, retries, seed: as in `all_at_once`.
    """
    log = Log(case, tell, True, cut, limit)

    def one(judge: Judge) -> Plan[Verdict]:
        def ask(first: int, last: int) -> Question[Said]:
            return question(log, first, last, _TASK.format(turns=turns), form=form, words=words)

        return (yield from whole(log, judge, ask, as_named=form == "lines"))

    return (yield from voted(case, one, votes=votes, retries=retries, seed=seed))


cost_of = most_per_window
