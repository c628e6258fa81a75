"""Variance: learn from prompts whose outcomes differ, as the code of DAPO has it."""

from typing import Literal

import numpy as np

from stepcredit.credit.card import Card, Preset
from stepcredit.credit.selection import Selection
from stepcredit.data.layout import Floats, Layout
from stepcredit.ops import cell_variance

CARD = Card(
    title="Dynamic sampling by spread: prompts whose outcomes differ",
    paper="arXiv:2503.14476",
    bibtex="""@article{yu2025dapo,
  title={DAPO: An Open-Source LLM Reinforcement Learning System at Scale},
  author={Yu, Qiying and Zhang, Zheng and Zhu, Ruofei and Yuan, Yufeng and Zuo, Xiaochen and Yue, Yu and others},
  journal={arXiv:2503.14476}, year={2025}}""",
    code="https://github.com/verl-project/verl-recipe (dapo)",
    evidence="official code executed",
    per="rollout",
    needs="one outcome per rollout, several rollouts per prompt",
    bias="Prompts are chosen by the outcomes that they are then learned from. A threshold above 0 is in units of the "
    "outcome, and leaves out prompts that are rarely solved or rarely failed.",
    departures="None from the code's rule; it draws further prompts until a batch is full and drops the surplus, which "
    "the caller does here. Equal outcomes spread by exactly 0 here. A rollout of unknown outcome leaves alone. DAPO's "
    "paper asks for 0 < accuracy < 1 instead: `dapo`.",
)

PRESETS = {
    "verl": Preset({}, "verl-recipe dapo_ray_trainer, filter_groups: np.std > 0, or a single rollout. The defaults"),
}


def variance(
    layout: Layout, outcome: Floats, *, threshold: float = 0.0, lone: Literal["keep", "drop"] = "keep"
) -> Selection:
    """Keep the prompts whose outcomes spread.

        keep g  where  std_g > threshold  (population)

    Args:
        outcome: [R] verdict on each rollout; NaN = unknown: the rollout leaves and counts in no spread.
        threshold: spread that has to be passed, in units of the outcome.
        lone: what becomes of the only (judged) rollout of a prompt.

    >>> two = Layout(group=np.array([0, 0, 1, 1, 2]), rollout=np.arange(5))
    >>> variance(two, np.array([1.0, 0.0, 0.5, 0.5, 1.0])).keep
    array([ True,  True, False, False,  True])
    """
    unknown = np.isnan(outcome)
    judged = np.bincount(layout.group, weights=~unknown, minlength=layout.G)[layout.group]
    close = np.sqrt(cell_variance(outcome, layout.group))[layout.group] <= threshold
    why = np.where(close, 2, 0)
    why[judged == 1] = 0 if lone == "keep" else 3
    why[unknown] = 1
    reasons = ("its outcome is unknown", "the outcomes of its prompt spread too little", "it is alone in its prompt")
    return Selection(why, reasons)
