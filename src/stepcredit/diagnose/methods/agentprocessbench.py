"""AgentProcessBench's judge: one answer that labels every step right, neutral or wrong."""

import json
import re
from typing import Any, Literal

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.data.layout import Floats
from stepcredit.diagnose._judging import NAN, Judge, Question, Said, blamed, block, not_judged, voted
from stepcredit.diagnose._log import CUT, Log, prompt_of
from stepcredit.diagnose._whole import most_per_window
from stepcredit.diagnose.case import Case, Verdict
from stepcredit.diagnose.methods.carried import BIBTEX, propagate
from stepcredit.evidence._prompts import Unreadable, spoken
from stepcredit.llm.requests import Failed, Plan
from stepcredit.shelf import PlanCard

CARD = PlanCard(
    title="AgentProcessBench: Diagnosing Step-Level Process Quality in Tool-Using Agents",
    paper="arXiv:2603.14465",
    bibtex=BIBTEX,
    evidence="official code read",
    asks=("judge",),
    needs="nothing",
    cost="one question per vote, with an answer that grows with the run; one per window with a limit",
    departures="The wording is ours, steps are numbered from 0 (the code uses positions of messages), and the answer "
    "stands in a tag that the log cannot contain. A step without a label is not judged; the code gives it 0.",
    code="https://github.com/RUCBM/AgentProcessBench",
)

PRESETS = {
    "official": Preset(
        {"form": "json", "missing": "neutral", "retries": 0, "cut": None},
        "the published code: the last fenced JSON, else the whole reply, else the last balanced braces; a step whose "
        "label is missing or none of the three is neutral",
    ),
    "carried": Preset(
        {"carry": "here"},
        "derived: the judge labels every step for itself and says which correct an error; code carries errors on",
    ),
}

_TASK = """Label every step of a run of one or more agents on a task.
1: right, and it brings the task forward: a good call of a tool, a right reading of what came back, a question that \
had to be asked, a correction, a check with a purpose. 0: it explores, repeats or hardly matters, or fails for a cause \
outside. -1: it is wrong, made up, against the rules, or repeats unchanged what has failed.
Judge each step by what could be known then, not by how the run ended.{carry}"""
_CARRIED = """ Once a step is -1, later steps that rest on it are -1 too, until the agent sees and corrects the error, \
or goes on without it."""
_ALONE = """ Judge each step for itself: one that goes on correctly from an earlier error is not wrong for that. Say \
besides which steps correct an earlier error, or go on without it."""
_BLOCK = "First go through the steps one by one. Then end with one JSON object in this form:\n<TAG>\n{form}\n</TAG>"
_JSON = "First go through the steps one by one. Then end with a ```json block that holds one object in this \
form:\n{form}"
_FORM = """{{"labels": {{"{first}": LABEL, ...}}, "final": LABEL, "reasons": {{"{first}": "WORDS", ...}}{corrects}}}
with a label for each of the steps {first} to {last}, the run's as a whole (1 or -1) as "final", and a short reason \
for every -1"""


def agentprocessbench(
    case: Case,
    *,
    form: Literal["block", "json"] = "block",
    missing: Literal["unknown", "neutral"] = "unknown",
    carry: Literal["judge", "here"] = "judge",
    tell: bool = False,
    cut: int | None = CUT,
    limit: int | None = None,
    votes: int = 1,
    retries: int = 1,
    seed: int = 0,
) -> Plan[Verdict]:
    """score_t = (1 - l_t) / 2 of the labels l_t in {-1, 0, 1}; to blame is the first step with -1.

    carry "here": errors are carried on by `carried.propagate`, until a step that the judge says to correct them.

    Args:
        form: of the answer: "block", JSON in a tag; "json", the last JSON of the reply.
        missing: a step without a label is "unknown" (NaN), and a reply without any cannot be read; or "neutral" (0).
        carry: who carries errors on: the "judge", or code "here".
        tell: the judge is told the right answer, where it is known.
        cut, limit, votes, retries, seed: as in `all_at_once`.
    """
    log = Log(case, tell, True, cut, limit)

    def one(judge: Judge) -> Plan[Verdict]:
        windows = log.windows()
        said = yield from judge.ask([_question(log, a, b, form, carry, missing) for a, b in windows])
        labels = np.full(len(case.steps), NAN)
        reasons, corrects, final = dict[int, str](), set[int](), list[int | None]()
        failed = {f"{a}-{b}": x.reason for (a, b), x in zip(windows, said, strict=True) if isinstance(x, Failed)}
        for (a, b), report in zip(windows, said, strict=True):
            if isinstance(report, Failed):
                continue
            labels[a : b + 1] = _labels(report, a, b, 0.0 if missing == "neutral" else NAN)
            reasons |= {t: r for t in range(a, b + 1) if (r := _word(report.get("reasons"), t))}
            corrects |= {t for t in range(a, b + 1) if _lists(report.get("corrects"), t)}
            final.append(_label(report.get("final")))
        if carry == "here":
            labels = propagate(labels, [t in corrects for t in range(len(labels))])
        return _verdict(log, labels, reasons, failed, final)

    return (yield from voted(case, one, votes=votes, retries=retries, seed=seed))


def _verdict(
    log: Log, labels: Floats, reasons: dict[int, str], failed: dict[str, str], final: list[int | None]
) -> Verdict:
    told: dict[str, Any] = {"labels": [None if x != x else int(x) for x in labels.tolist()], "final": final}
    told |= {"failed": failed} if failed else {}
    scores = (1 - labels) / 2
    wrong = np.flatnonzero(labels == -1)
    left = int(np.isnan(labels).sum())
    if not wrong.size:
        if left:
            why = next(iter(failed.values()), f"{left} of {labels.size} steps have no label")
            return not_judged(log, why, scores, **told)
        return blamed(log, Said(None, None, None, "no step is labeled wrong"), scores, **told)
    first = int(wrong[0])
    verdict = blamed(log, Said(first, None, None, reasons.get(first)), scores, **told)
    verdict.remarks.update(reasons)
    return verdict


def _question(log: Log, first: int, last: int, form: str, carry: str, missing: str) -> Question[dict[str, Any]]:
    corrects = ', "corrects": [NUMBERS]' if carry == "here" else ""
    task = _TASK.format(carry=_ALONE if carry == "here" else _CARRIED)
    if (first, last) != (0, len(log.case.steps) - 1):
        task += f" Shown are steps {first} to {last}; the others are judged apart."
    told = _FORM.format(first=first, last=last, corrects=corrects)
    end = (_JSON if form == "json" else _BLOCK).replace("{form}", told)
    prompt, tag = prompt_of(task, [*log.head(), *log.parts(first, last)], end)

    def read(reply: str) -> dict[str, Any]:
        report = lenient(spoken(reply) if form == "json" else block(reply, tag))
        if missing == "unknown" and np.isnan(_labels(report, first, last, NAN)).all():
            raise Unreadable("it labels none of the steps")
        return report

    return Question(prompt, read)


_FENCED = re.compile(r"```json\s*(.*?)\s*```", re.IGNORECASE | re.DOTALL)


def lenient(text: str) -> dict[str, Any]:
    """The JSON object of a reply: the last fenced one, else the whole text, else the last balanced braces.

    Raises:
        Unreadable: there is none.

    >>> lenient('I see {two}. {"labels": {"0": 1}} Done.')
    {'labels': {'0': 1}}
    """
    fenced = _FENCED.findall(text)
    for found in (fenced[-1] if fenced else None, text, _balanced(text)):
        try:
            made = json.loads(found) if found else None
        except (ValueError, RecursionError):
            continue
        if isinstance(made, dict):
            return made
    raise Unreadable("it holds no JSON object")


def _balanced(text: str) -> str | None:
    end, depth = text.rfind("}"), 0
    for i in range(end, -1, -1):
        depth += {"}": 1, "{": -1}.get(text[i], 0)
        if depth == 0:
            return text[i : end + 1]
    return None


def _labels(report: dict[str, Any], first: int, last: int, else_: float) -> Floats:
    given = report.get("labels", report.get("step_labels"))
    found = given if isinstance(given, dict) else {}
    read = [_label(found.get(str(t))) for t in range(first, last + 1)]
    return np.array([else_ if x is None else float(x) for x in read])


def _label(given: Any) -> int | None:
    if isinstance(given, str) and given.strip() in ("-1", "0", "1", "+1"):
        return int(given)
    number = isinstance(given, int | float) and not isinstance(given, bool)
    return int(given) if number and given in (-1, 0, 1) else None


def _word(given: Any, t: int) -> str | None:
    said = given.get(str(t)) if isinstance(given, dict) else None
    return said.strip() if isinstance(said, str) and said.strip() else None


def _lists(given: Any, t: int) -> bool:
    return isinstance(given, list) and any(x in (t, str(t)) and not isinstance(x, bool) for x in given)


cost_of = most_per_window
