"""CAPO: a judge names the wrong steps several times; a vote of the critiques decides."""

from functools import partial
from typing import Literal

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.data.layout import Floats
from stepcredit.evidence._prompts.steps import read_wrong, wrong_steps_prompt
from stepcredit.label._judge_first import story
from stepcredit.label.labels import Labels, first_wrong
from stepcredit.label.systems._asking import votes
from stepcredit.label.work import Work
from stepcredit.llm.requests import Failed, Plan
from stepcredit.shelf import PlanCard

Vote = Literal["intersection", "majority", "strict_majority", "union", "mean"]

CARD = PlanCard(
    title="CAPO: Towards Enhancing LLM Reasoning through Generative Credit Assignment",
    paper="arXiv:2508.02298",
    bibtex="""@misc{xie2025capo,
  title={CAPO: Towards Enhancing LLM Reasoning through Generative Credit Assignment},
  author={Xie, Guofu and Shi, Yunsheng and Tian, Hongtao and Yao, Ting and Zhang, Xiao and Xu, Jun},
  year={2025}, eprint={2508.02298}, archivePrefix={arXiv}}""",
    evidence="secondary text",
    asks=("judge",),
    needs="a right answer, if the judge is to be told it",
    cost="k questions to the judge per solution",
    departures="The prompt is ours. A critique that failed or cannot be read has no vote; a third-party port takes it "
    "as one that finds nothing wrong (preset port).",
    code="https://github.com/andyclsr/CAPO",
)

PRESETS = {
    "majority": Preset({"vote": "majority"}, "CAPO for 7B models (secondary text): half of the critiques or more"),
    "greedy": Preset(
        {"k": 1}, "CAPO's single deterministic critique (secondary text): set the judge's temperature to 0"
    ),
    "port": Preset(
        {"vote": "strict_majority", "unread": "right"},
        "a third-party port: more than half; what cannot be read finds nothing wrong",
    ),
}


def capo(
    work: Work,
    *,
    k: int = 4,
    vote: Vote = "intersection",
    tell: bool = True,
    unread: Literal["no_vote", "right"] = "no_vote",
    retries: int = 0,
) -> Plan[Labels]:
    """label_t = 0 where step t is in the voted set of wrong steps, c_t of the k critiques naming it, else 1.

        intersection  c_t = k        majority  c_t >= k / 2        strict_majority  c_t > k / 2
        union         c_t >= 1       mean      label_t = 1 - c_t / k

    value_t = 1 - c_t / k. `facts` hold c and k.

    Args:
        k: critiques. tell: whether the judge is told the right answer, where there is one. unread: a critique that
            cannot be read has no vote, or finds all steps right. retries: how often it is asked again.

    Raises:
        StepCreditError: k < 1.
    """
    size = len(work.steps)
    prompt = wrong_steps_prompt(story(work, tell=tell))
    said = yield from votes(work, prompt, partial(read_wrong, size=size), k, retries=retries)
    told = [one for one in said if not isinstance(one, Failed)]
    n = k if unread == "right" else len(told)
    named = np.array([sum(one[t] < 0 for one in told) for t in range(size)], float)
    facts = {"named": named.astype(int).tolist(), "critiques": n, "failed": k - len(told)}
    if not told:
        why = next(one.reason for one in said if isinstance(one, Failed))
        return work.labels(reasons=(why,) * size, facts=facts)
    label = voted(named, n, vote)
    return work.labels(label=label, value=1 - named / n, first_error=first_wrong(label), facts=facts)


def voted(named: Floats, k: int, vote: Vote) -> Floats:
    """[T] labels by how many of k critiques name each step.

    >>> voted(np.array([4, 3, 2, 1, 0]), 4, "majority").tolist()
    [0.0, 0.0, 0.0, 1.0, 1.0]
    """
    if vote == "mean":
        return np.asarray(1 - named / k)
    wrong = {
        "intersection": named == k,
        "majority": 2 * named >= k,
        "strict_majority": 2 * named > k,
        "union": named >= 1,
    }
    return np.where(wrong[vote] & (named > 0), 0.0, 1.0)
