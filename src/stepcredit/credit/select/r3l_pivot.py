"""R3L's pivotal credit: learn only from the steps after the point where a retry left its first attempt."""

import numpy as np

from stepcredit.credit.card import Card
from stepcredit.credit.selection import Selection
from stepcredit.data.layout import Ints, Layout
from stepcredit.ops import since

CARD = Card(
    title="R3L: Reflect-then-Retry Reinforcement Learning (pivotal credit)",
    paper="arXiv:2601.03715",
    bibtex="""@article{shi2026r3l,
  title={R$^3$L: Reflect-then-Retry Reinforcement Learning with Language-Guided Exploration, Pivotal Credit, and
    Positive Amplification},
  author={Shi, Weijie and Chen, Yanxi and Li, Zexi and Pan, Xuchen and Sun, Yuchang and Xu, Jiajie and others},
  journal={arXiv:2601.03715}, year={2026}}""",
    code="https://github.com/shiweijiezero/R3L",
    evidence="official code executed",
    needs="for a retry and for the attempt it started from, the step at which they part (`pivot`)",
    bias="None of its own: no outcome is looked at. Steps before the pivot learn nothing, good or bad.",
    departures="None. The code masks the first attempt in place, only after a retry took place: give it a pivot only "
    "then. Advantages are the method `r3l`, which masks too if it is given `pivot`.",
)


def r3l_pivot(layout: Layout, pivot: Ints) -> Selection:
    """Steps before the pivot leave the loss; every rollout stays.

        train_mask_t = [t >= pivot_i]

    Args:
        pivot: [R] index of the step from which the rollout is new; 0 or -1 = all of it is.

    Returns:
        Selection with train_mask [S]. A step that rollouts share trains if it is at or after the pivot of one of them.

    >>> two = Layout(group=np.array([0, 0]), rollout=np.array([0, 0, 1, 1]))
    >>> r3l_pivot(two, np.array([1, -1])).train_mask
    array([False,  True,  True,  True])
    """
    return Selection(np.zeros(layout.R, np.int64), train_mask=since(layout, pivot))
