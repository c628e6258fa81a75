"""Accuracy band: learn from prompts that are solved neither too rarely nor too often. DAPO's dynamic sampling, PRIME's
filter."""

from typing import Literal

import numpy as np

from stepcredit.credit.card import Card, Preset
from stepcredit.credit.selection import Selection
from stepcredit.data.layout import Floats, Ints, Layout
from stepcredit.errors import MissingColumn
from stepcredit.ops import cell_mean

CARD = Card(
    title="DAPO: Decoupled Clip and Dynamic sAmpling Policy Optimization (dynamic sampling)",
    paper="arXiv:2503.14476",
    bibtex="""@article{yu2025dapo,
  title={DAPO: An Open-Source LLM Reinforcement Learning System at Scale},
  author={Yu, Qiying and Zhang, Zheng and Zhu, Ruofei and Yuan, Yufeng and Zuo, Xiaochen and Yue, Yu and others},
  journal={arXiv:2503.14476}, year={2025}}""",
    code="https://github.com/verl-project/verl-recipe (dapo), https://github.com/PRIME-RL/PRIME",
    evidence="paper",
    per="rollout",
    needs="one outcome per rollout, several rollouts per prompt",
    bias="Prompts are chosen by the outcomes that they are then learned from: what is kept of a prompt that is nearly "
    "always solved (or failed) has more of the rare outcome than the policy.",
    departures="The paper asks that some rollout and not every one be right: a lone rollout leaves. Its code keeps "
    "prompts whose outcomes spread, and lone ones: `variance@verl`. Both draw further prompts until a batch is full, "
    "and drop the surplus; here the caller draws. A rollout of unknown outcome leaves alone.",
)

_PRIME_PAPER = "arXiv:2502.01456"
_PRIME_BIBTEX = """@article{cui2025prime,
  title={Process Reinforcement through Implicit Rewards},
  author={Cui, Ganqu and Yuan, Lifan and Wang, Zefan and Wang, Hanbin and Li, Wendi and He, Bingxiang and others},
  journal={arXiv:2502.01456}, year={2025}}"""
PRESETS = {
    "dapo": Preset({}, "DAPO, dynamic sampling: 0 < right rollouts < all of them. The defaults", system="dapo"),
    "prime": Preset(
        {"low": 0.2, "high": 0.8, "ends": "closed"},
        "PRIME training/verl ray_trainer.filter, the bounds of its main script",
        system="prime_filter",
        title="PRIME's online filter of prompts",
        paper=_PRIME_PAPER,
        bibtex=_PRIME_BIBTEX,
        evidence="official code executed",
    ),
    "prime-recipe": Preset(
        {"low": 0.2, "high": 0.8, "ends": "closed", "drop_truncated": True},
        "verl-recipe prime_ray_trainer.filter_and_downsample, its yaml: it fills up with prompts outside where too few "
        "are inside, which the caller does here",
        waives={"unknown_is_left_aside": "a rollout that was cut was cut, whatever its outcome"},
    ),
}


def accuracy_band(
    layout: Layout,
    outcome: Floats,
    truncated: Ints | None = None,
    *,
    low: float = 0.0,
    high: float = 1.0,
    ends: Literal["open", "closed"] = "open",
    solved: float = 1.0,
    drop_truncated: bool = False,
) -> Selection:
    """Keep the prompts whose share of solved rollouts lies in a band.

        keep g  where  low < a_g < high,   a_g = mean over i in g of [R_i >= solved]

    Args:
        outcome: [R] verdict on each rollout; NaN = unknown: the rollout leaves and counts in no share.
        truncated: [R] 1 = the rollout was cut by a limit, -1 = not known. Only for drop_truncated.
        low, high: the band.
        ends: do its ends belong to it ("closed") or not ("open")?
        solved: outcome from which a rollout counts as solved.
        drop_truncated: whether a prompt leaves when one of its rollouts was cut.

    Raises:
        MissingColumn: drop_truncated without `truncated`.

    >>> two = Layout(group=np.array([0, 0, 1, 1]), rollout=np.array([0, 1, 2, 3]))
    >>> accuracy_band(two, np.array([1.0, 0.0, 0.0, 0.0])).keep
    array([ True,  True, False, False])
    """
    unknown = np.isnan(outcome)
    rate = cell_mean(np.where(unknown, np.nan, outcome >= solved), layout.group)[layout.group]
    dust = 1e-9 if ends == "closed" else -1e-9
    why = np.zeros(layout.R, np.int64)
    if drop_truncated:
        if truncated is None:
            raise MissingColumn(
                "drop_truncated asks which rollouts were cut (column 'truncated')", hint="give it, or do not ask"
            )
        why[np.bincount(layout.group, weights=truncated == 1, minlength=layout.G)[layout.group] > 0] = 4
    why[rate > high + dust] = 3
    why[rate < low - dust] = 2
    why[unknown] = 1
    reasons = (
        "its outcome is unknown",
        "its prompt is solved too rarely",
        "its prompt is solved too often",
        "a rollout of its prompt was cut",
    )
    return Selection(why, reasons)
