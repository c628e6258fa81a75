"""WebSTAR: a judge scores every action of an agent before it is taken; steps above the threshold are kept."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.errors import StepCreditError
from stepcredit.evidence._prompts import Part, Unreadable, quoted, shown, spoken
from stepcredit.evidence._prompts.turn import read_value, value_prompt
from stepcredit.label.labels import Labels, first_wrong
from stepcredit.label.systems._asking import NAN, asked
from stepcredit.label.work import Work
from stepcredit.llm.requests import Failed, Plan
from stepcredit.shelf import PlanCard

CARD = PlanCard(
    title="WebSTAR: Scalable Data Synthesis for Computer Use Agents with Step-Level Filtering",
    paper="arXiv:2512.10962",
    bibtex="""@misc{he2025webstar,
  title={WebSTAR: Scalable Data Synthesis for Computer Use Agents with Step-Level Filtering},
  author={He, Yifei and Chawla, Pranit and Souri, Yaser and Som, Subhojit and Song, Xia}, year={2025},
  eprint={2512.10962}, archivePrefix={arXiv}}""",
    evidence="official code read",
    asks=("judge",),
    needs="what the agent saw and did, as text; the outcome, if rollouts that failed are to be left out",
    cost="a question to the judge per step; two with rewrite=True",
    departures="Text instead of screenshots. The question and its reading are those of the evidence "
    "`judge_turn@webstar`. A score outside 0..10 is no score; the code lets 15 pass. A step whose question failed is "
    "not judged; the code drops the rollout (drop=True).",
    code="https://github.com/yifei-he/CUAStepFiltering",
)

PRESETS = {
    "code": Preset(
        {"retries": 20, "drop": True, "rewrite": True},
        "yifei-he/CUAStepFiltering (code read): 20 tries, thoughts rewritten, a failed call drops the rollout",
    ),
    "right-alone": Preset({"gate": "right"}, "the code's switch for rollouts whose outcome is right"),
}


def webstar(
    work: Work,
    *,
    threshold: float = 5.0,
    history: int = 3,
    gate: Literal["none", "right"] = "none",
    rewrite: bool = False,
    drop: bool = False,
    retries: int = 0,
) -> Plan[Labels]:
    """label_t = [score_t > threshold], score_t in 0..10 the judge's; value_t = score_t / 10.

    `facts` hold `scores`, `targets` (the steps to train on: those above the threshold), and the rewritten `thoughts`.

    Args:
        history: how many thoughts before the step the judge sees; actions and results of all of them. gate: "right",
            a rollout whose outcome is not known to be right is not asked about. rewrite: the judge also writes, without
            hindsight, why the action of each step is taken. drop: where one question fails no step is judged.
        retries: how often a question that failed, or whose reply cannot be read, is asked again.

    Raises:
        StepCreditError: history < 0.
    """
    if history < 0:
        raise StepCreditError(f"history must be at least 0; got {history}")
    size = len(work.steps)
    if gate == "right" and not (work.outcome is not None and work.outcome >= 0.5):
        return work.labels(reasons=("the outcome is not right",) * size, facts={"targets": []})
    seen = [_before(work, t, history) for t in range(size)]
    steps = [shown(step) for step in work.record.steps]
    prompts = [value_prompt(before, step) for before, step in zip(seen, steps, strict=True)]
    said = yield from asked(work, prompts, read_value, retries=retries)
    facts: dict[str, Any] = {}
    failed = [one for one in said if isinstance(one, Failed)]
    if rewrite:
        wanted = [thought_prompt(before, step) for before, step in zip(seen, steps, strict=True)]
        thoughts = yield from asked(work, wanted, read_thought, retries=retries)
        failed += [one for one in thoughts if isinstance(one, Failed)]
        facts["thoughts"] = [None if isinstance(one, Failed) else one for one in thoughts]
    scores = [NAN if isinstance(one, Failed) else float(one) for one in said]
    if drop and failed:
        why = (f"a question about the rollout failed: {failed[0].reason}",) * size
        return work.labels(reasons=why, facts={**facts, "targets": []})
    label, value = kept(scores, threshold), np.array(scores) / 10
    reasons = tuple(one.reason if isinstance(one, Failed) else None for one in said)
    facts |= {
        "scores": [None if np.isnan(s) else int(s) for s in scores],
        "targets": np.flatnonzero(label == 1).tolist(),
    }
    return work.labels(label=label, value=value, first_error=first_wrong(label), reasons=reasons, facts=facts)


def kept(scores: Sequence[float], threshold: float = 5.0) -> np.ndarray:
    """[T] 1 above the threshold, 0 at it or below, NaN where there is no score.

    >>> kept([9, 3, 7, 5, 8]).tolist()
    [1.0, 0.0, 1.0, 0.0, 1.0]
    """
    s = np.asarray(scores, float)
    return np.where(np.isnan(s), np.nan, (s > threshold).astype(float))


def _before(work: Work, t: int, history: int) -> list[Part]:
    """The task, and what was done and seen before step t."""
    out: list[Part] = [("task", work.record.task or "")]
    for i, step in enumerate(work.record.steps[:t]):
        if i >= t - history:
            out.append((f"step {i + 1}", shown(step)))
        else:
            out.append((f"action of step {i + 1}", str(step.action) if step.action is not None else shown(step)))
        if step.observation is not None:
            out.append((f"result of step {i + 1}", str(step.observation)))
    return out


def thought_prompt(before: Sequence[Part], step: str) -> str:
    """Asks why the action of a step is taken, in the agent's words and without hindsight."""
    return f"""Write the thought of an agent that leads to the step in question.

{quoted(*before, ("the step in question", step))}

In the first person, in one paragraph: how things stand, what follows from it, what to do now. Use only what the agent \
knows at this moment, and come to this very action, not to another one. Write it between these marks:
<thought>...</thought>"""


def read_thought(reply: str) -> str:
    """The text of the thought.

    Raises:
        Unreadable: there is none.
    """
    _, opened, rest = spoken(reply).rpartition("<thought>")
    text, closed, _ = rest.partition("</thought>")
    if not (opened and closed) or text.strip() in ("", "..."):
        raise Unreadable("no <thought>")
    return text.strip()
