"""Math-Shepherd: complete every prefix many times; a step is right if a completion still is."""

from typing import Literal

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.errors import StepCreditError
from stepcredit.label.labels import Labels, first_wrong, until
from stepcredit.label.work import Work
from stepcredit.llm.requests import Plan
from stepcredit.shelf import PlanCard

CARD = PlanCard(
    title="Math-Shepherd: Verify and Reinforce LLMs Step-by-step without Human Annotations",
    paper="arXiv:2312.08935",
    bibtex="""@inproceedings{wang2024mathshepherd,
  title={Math-Shepherd: Verify and Reinforce LLMs Step-by-step without Human Annotations},
  author={Wang, Peiyi and Li, Lei and Shao, Zhihong and Xu, R. X. and Dai, Damai and Li, Yifei and others},
  booktitle={ACL}, year={2024}}""",
    evidence="secondary text",
    asks=("sampler", "verifier"),
    needs="a reference answer, or a verifier that needs none",
    cost="n completions of every prefix; none behind the first that no completion saves with stop='first_zero'",
    departures="A verdict that cannot be told is left out of the count. A known outcome is the last step's label, "
    "without samples.",
)

PRESETS = {
    "soft": Preset({"kind": "soft"}, "soft estimation: the share of right completions"),
    "first-zero": Preset(
        {"stop": "first_zero"}, "the same until the first prefix without a right completion (Qwen's, SCAN's reading)"
    ),
}


def math_shepherd(
    work: Work,
    *,
    n: int = 8,
    kind: Literal["hard", "soft"] = "hard",
    threshold: float = 0.0,
    stop: Literal["never", "first_zero"] = "never",
) -> Plan[Labels]:
    """value_t = c_t / n, c_t of n completions behind step t are right; label_t = [value_t > threshold], or value_t.

    Args:
        n: completions of each prefix. kind: "hard" or "soft" labels. threshold: of hard labels.
        stop: "never", every prefix is completed, labels need not fall; "first_zero", in order, until none is right.

    Raises:
        StepCreditError: n < 1.
    """
    if n < 1:
        raise StepCreditError(f"n must be at least 1; got {n}")
    steps = range(len(work.steps))
    if stop == "never":
        yield from work.probe(steps, n)
    else:
        for t in steps:
            (share,) = yield from work.probe(t, n)
            if share == 0:
                break
    value = work.shares()
    if stop == "first_zero":  # the last step's outcome was not looked at either
        value = until(value, value == 0)
    hard = np.where(np.isnan(value), np.nan, (value > threshold).astype(float))
    return work.labels(label=hard if kind == "hard" else value, value=value, first_error=first_wrong(hard))
