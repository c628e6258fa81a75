"""All at once: a judge reads the whole run and names the step and the agent."""

from stepcredit.credit.card import Preset
from stepcredit.diagnose._judging import Judge, Question, Said, voted
from stepcredit.diagnose._log import CUT, Log
from stepcredit.diagnose._whole import Form, most_per_window, question, whole
from stepcredit.diagnose.case import Case, Verdict
from stepcredit.llm.requests import Plan
from stepcredit.shelf import PlanCard

BIBTEX = """@inproceedings{zhang2025whoandwhen,
  title={Which Agent Causes Task Failures and When? On Automated Failure Attribution of {LLM} Multi-Agent Systems},
  author={Zhang, Shaokun and Yin, Ming and Zhang, Jieyu and Liu, Jiale and Han, Zhiguang and Zhang, Jingyang and
  Li, Beibin and Wang, Chi and Wang, Huazheng and Chen, Yiran and Wu, Qingyun},
  booktitle={ICML}, year={2025}}"""
CODE = "https://github.com/mingyin1/Agents_Failure_Attribution"

CARD = PlanCard(
    title="Who&When: all at once",
    paper="arXiv:2505.00212",
    bibtex=BIBTEX,
    evidence="official code read",
    asks=("judge",),
    needs="nothing; the right answer helps, where the file has one",
    cost="one question per vote; one per window with a limit",
    departures="The wording is ours. Steps are numbered (the published prompt explains how to count them and does not "
    "number them), the answer stands in a tag that the log cannot contain, and an error type is asked for. An answer "
    "that cannot be read, or names a step that was not shown, is no verdict.",
    code=CODE,
)

PRESETS = {
    "who-and-when": Preset(
        {"numbered": False, "form": "lines", "cut": None},
        "the published code: steps without numbers, three labelled lines, the first word of the agent's name",
    ),
    "blind": Preset({"tell": False}, "without the right answer"),
}

TASK = """A run of one or more agents on a task is shown. Find the decisive error: the earliest step \
that is wrong and without which, had it been right, the run would have reached its goal. Not the step where the damage \
shows, and not one that goes on correctly from what was wrong before it."""
_COUNT = " Steps are counted from 0: the first one shown is step {first}, the next one step {second}, and so on."


def all_at_once(
    case: Case,
    *,
    tell: bool = True,
    numbered: bool = True,
    form: Form = "block",
    cut: int | None = CUT,
    limit: int | None = None,
    votes: int = 1,
    retries: int = 1,
    seed: int = 0,
) -> Plan[Verdict]:
    """One question: which step is the decisive error, who took it, why?

    Args:
        tell: the judge is told the right answer, where it is known (that the run failed it is told in any case).
        numbered: steps are shown with their numbers. form: of the answer: "block", in a tag; "lines", the published.
        cut: most characters of one text of the log, the middle left out. limit: most characters of all steps of one
            question; a longer run is asked about in windows, and the earliest step that is blamed counts.
        votes: independent verdicts; the majority's share is the confidence (of one vote there is none).
        retries: how often a reply that failed or could not be read is asked for again. seed: other seeds, other draws.
    """
    log = Log(case, tell, numbered, cut, limit)

    def one(judge: Judge) -> Plan[Verdict]:
        def ask(first: int, last: int) -> Question[Said]:
            counting = "" if numbered else _COUNT.format(first=first, second=first + 1)
            return question(log, first, last, TASK + counting, form=form)

        return (yield from whole(log, judge, ask, as_named=form == "lines"))

    return (yield from voted(case, one, votes=votes, retries=retries, seed=seed))


cost_of = most_per_window
