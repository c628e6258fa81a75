"""ExIt: draw again the tasks, and the partial histories, whose rollouts differ most."""

from typing import Literal

import numpy as np

from stepcredit.credit.card import Card, Preset
from stepcredit.credit.selection import Selection
from stepcredit.data.layout import Floats, Layout
from stepcredit.ops import cell_variance, ranks

CARD = Card(
    title="ExIt: Exploratory Iteration (Bootstrapping Task Spaces for Self-Improvement)",
    paper="arXiv:2509.04575",
    bibtex="""@article{jiang2025exit,
  title={Bootstrapping Task Spaces for Self-Improvement},
  author={Jiang, Minqi and Lupu, Andrei and Bachrach, Yoram},
  journal={arXiv:2509.04575}, year={2025}}""",
    evidence="secondary text",
    per="task",
    needs="one outcome per rollout, several rollouts from each starting history",
    bias="Variance is largest where half of the rollouts succeed. With outcomes of many values it grows with their "
    "scale: prompts of one domain crowd out those of another unless outcomes are brought to one scale first.",
    departures="The divisor of the variance is taken to be n, and the floor to be 0: neither is in the texts at hand. "
    "The buffer of histories (its size, what it evicts), the chance of a fresh task, the instruction to diverge and "
    "the bonus for diverse answers belong to the caller, to evidence and to the reward.",
    pools={"draw": "share"},
)

PRESETS = {
    "share": Preset({"draw": "share"}, "ExIt: chance in proportion to the variance"),
    "rank": Preset(
        {"draw": "rank"},
        "ExIt's rank-based alternative, with the 1 / rank of prioritized level replay",
        waives={"other_prompts": "a rank is among all prompts of the batch"},
    ),
}


def exit(
    layout: Layout,
    outcome: Floats,
    *,
    floor: float = 0.0,
    draw: Literal["variance", "share", "rank"] = "variance",
) -> Selection:
    """Rate every starting history by the variance of its rollouts' outcomes. No rollout is left out.

        priority_g = var_g  (population), 0 where var_g <= floor

    Args:
        outcome: [R] verdict on each rollout; NaN = unknown, left out of the variance.
        floor: variance up to which a history is not drawn again.
        draw: "variance"; or chances that sum to 1 over the training batch: in proportion to the variance ("share"), or
            to 1 / rank of the variance ("rank"; equal ones share their mean rank).

    Returns:
        Selection with priority [G]; NaN for a prompt without a known outcome.

    >>> two = Layout(group=np.array([0, 0, 1, 1]), rollout=np.arange(4))
    >>> exit(two, np.array([1.0, 0.0, 1.0, 1.0])).priority
    array([0.25, 0.  ])
    """
    priority = cell_variance(outcome, layout.group)
    priority[priority <= floor] = 0.0
    if draw != "variance":
        batch = np.zeros(layout.G, np.int64)
        batch[layout.group] = layout.batches
        if draw == "rank":
            for b in np.unique(batch):
                mine = np.flatnonzero((batch == b) & (priority > 0))
                priority[mine] = 1.0 / (1.0 + ranks(-priority[mine]))
        total = np.bincount(batch, weights=np.nan_to_num(priority), minlength=1)[batch]
        np.divide(priority, total, out=priority, where=total > 0)
    return Selection(np.zeros(layout.R, np.int64), priority=priority)
