"""Qwen2.5-Math-PRM: completions and a judge name the first error; where they disagree the solution is left out."""

import re
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.data.layout import Floats
from stepcredit.errors import StepCreditError
from stepcredit.label._judge_first import judge_first
from stepcredit.label.combine import consensus
from stepcredit.label.labels import NONE, Labels, first_wrong, until
from stepcredit.label.work import Work
from stepcredit.llm.requests import Failed, Plan
from stepcredit.shelf import PlanCard

CARD = PlanCard(
    title="The Lessons of Developing Process Reward Models in Mathematical Reasoning",
    paper="arXiv:2501.07301",
    bibtex="""@misc{zhang2025lessons,
  title={The Lessons of Developing Process Reward Models in Mathematical Reasoning},
  author={Zhang, Zhenru and Zheng, Chujie and Wu, Yangzhen and Zhang, Beichen and Lin, Runji and Yu, Bowen and others},
  year={2025}, eprint={2501.07301}, archivePrefix={arXiv}}""",
    evidence="secondary text",
    asks=("sampler", "verifier", "judge"),
    needs="a reference answer, or a verifier that needs none; a judge",
    cost="n completions of every prefix up to the first that none saves, and one question to the judge per solution",
    departures="The judge's prompt is ours: the paper's was not to be had. The judge names the first wrong step in one "
    "reply. A known outcome is the last step's share, without completions. Where the completions could not be told the "
    "judge is not asked.",
)

PRESETS = {
    "soft": Preset({"kind": "soft"}, "the paper's soft labels, worse than hard ones once filtered (secondary text)"),
    "vl_prm": Preset(
        {"n": 16, "decide": "judge", "sections": True},
        "the data card of VL-PRM300K: 16 completions; an error that the judge names stands, no error only where the "
        "completions find none",
        system="vl_prm",
        title="Training Vision-Language Process Reward Models for Test-Time Scaling in Multimodal Reasoning: Key "
        "Insights and Lessons Learned",
        paper="arXiv:2509.23250",
        bibtex="""@misc{ong2025vlprm,
  title={Training Vision-Language Process Reward Models for Test-Time Scaling in Multimodal Reasoning: Key Insights and
    Lessons Learned},
  author={Ong, Brandon and Pala, Tej Deep and Toh, Vernon and Tjhi, William Chandra and Poria, Soujanya},
  year={2025}, eprint={2509.23250}, archivePrefix={arXiv}}""",
        evidence="secondary text",
        code="https://github.com/theogbrand/vlprm",
        needs="a reference answer, or a verifier that needs none; a judge; headings (perception, reasoning) above the "
        "steps",
        departures="Prefixes behind the first that none saves are not completed. Models here read text: what is not "
        "in the steps, such as the image, must be in the prompt that they make of it.",
    ),
}
_HEADING = re.compile(
    r"(?im)^\W*(?:\d+[.)]\W*)?(perception|visual elements?|reasoning)(?: (?:steps?|part|section))?\W*?(?:[:\]]|$)"
)


def qwen_prm_lessons(
    work: Work,
    *,
    n: int = 8,
    kind: Literal["hard", "soft"] = "hard",
    threshold: float = 0.0,
    decide: Literal["consensus", "judge"] = "consensus",
    tell: bool = False,
    retries: int = 0,
    sections: bool = False,
) -> Plan[Labels]:
    """Kept where e_mc = e_judge, e_mc = the first t with c_t / n <= threshold; 1 before it, 0 at it, none behind it.

    Args:
        n: completions of each prefix. kind: "soft", value_t instead of 1 and 0. threshold: of the completions.
        decide: "consensus", a solution whose annotators disagree, or one of whom did not answer, is not judged, and
            `facts` say kept=False and why; "judge", the first error that the judge names stands, and none where
            completions found none either.
        tell: whether the judge is told the right answer. retries: how often a judge whose reply failed or could not be
            read is asked again.
        sections: `facts` say of each step whether it stands in the part on perception or on reasoning.

    Raises:
        StepCreditError: n < 1.
    """
    if n < 1:
        raise StepCreditError(f"n must be at least 1; got {n}")
    for t in range(len(work.steps)):
        (share,) = yield from work.probe(t, n)
        if not share > threshold:
            break
    shares = work.shares()
    value = until(shares, ~(shares > threshold))
    found = _labels(work, value, first_wrong(np.where(np.isnan(value), np.nan, (value > threshold).astype(float))))
    said: int | Failed = Failed("not asked: completions could not be told")
    if found.first_error is not None:
        said = yield from judge_first(work, tell=tell, retries=retries)
    facts: dict[str, Any] = {"completions": found.first_error, "judge": None if isinstance(said, Failed) else said}
    if sections:
        facts["sections"] = sections_of(work.steps)
    judged = _labels(work, value, None if isinstance(said, Failed) else said)
    trusted = decide == "judge" and judged.first_error not in (None, NONE)
    made = consensus([judged if trusted else found, judged])
    if isinstance(made, str):
        if isinstance(said, Failed):
            made = next((r for r in work.reasons() if r), said.reason) if found.first_error is None else said.reason
        facts |= {"kept": False, "reason": made}
        return work.labels(value=value, reasons=(made,) * len(value), facts=facts)
    label = np.where(np.isnan(made.label), np.nan, value) if kind == "soft" else made.label
    return work.labels(label=label, value=value, first_error=made.first_error, facts={**facts, "kept": True})


def sections_of(steps: Sequence[str]) -> list[str | None]:
    """What part each step stands in, "perception" or "reasoning", by the last heading; None before the first.

    A heading is a line of its own, or ends in a colon.

    >>> sections_of(["Perception:", "A triangle.", "[Reasoning]\\nIts angles sum to 180."])
    ['perception', 'perception', 'reasoning']
    """
    now: str | None = None
    out = []
    for step in steps:
        for word in _HEADING.findall(step):
            now = "reasoning" if word.lower() == "reasoning" else "perception"
        out.append(now)
    return out


def _labels(work: Work, value: Floats, first: int | None) -> Labels:
    return work.labels(value=value, first_error=first)
