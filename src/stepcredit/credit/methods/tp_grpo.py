"""TP-GRPO: thoughts of like verdict are rewarded by how often the prompt is solved, and the answer's target is kept."""

from typing import Literal

import numpy as np

from stepcredit.credit.card import Card
from stepcredit.data.layout import Floats, Layout
from stepcredit.ops import cell_mean, center, runs, scan
from stepcredit.ops.center import Spread

CARD = Card(
    title="TP-GRPO: Smarter Not Harder, Generative Process Evaluation with Intrinsic-Signal Driving and "
    "Ability-Adaptive Reward Shaping",
    paper="arXiv:2507.23317 (ICLR 2026)",
    bibtex="""@inproceedings{he2026smarter,
  title={Smarter Not Harder: Generative Process Evaluation with Intrinsic-Signal Driving and Ability-Adaptive Reward
    Shaping},
  author={He, Tao and Mu, Rongchuan and Liao, Lizi and Cao, Yixin and Li, Yang and Luo, Yijia and Wang, Weixun and
    Liu, Ming and Qin, Bing},
  booktitle={ICLR}, year={2026}}""",
    code="https://github.com/cs-holder/tp_grpo (not to be had)",
    evidence="secondary text",
    needs="one outcome per rollout, a verdict on each step (`label`), several rollouts per prompt; the last step is "
    "the answer",
    bias="The baseline of the outcome is the prompt's mean: action-independent, but it holds the rollout's own. Length "
    "is not rewarded: rewards of thoughts cancel, so that a step gets what it would get alone. A wrong step of a right "
    "answer is charged more the easier the prompt is. A step of a wrong answer that the answer does not use gets 0, "
    "whatever it is worth.",
    departures="Known from a published summary of the ICLR paper: the rewards, their sum and the two propositions on "
    "what comes out. That the thought of the answer has no reward of its own follows from the propositions. alpha, "
    "spread and epsilon are not published: 1, sample spread and 1e-4 (TRL, on which the authors built) here. A verdict "
    "on the answer is not read: it is the outcome.",
    cost="a language model's verdict on each step: about one call per rollout",
    waives={"equal_rollouts": "a wrong step of a right answer is charged whatever the other rollouts did"},
)


def tp_grpo(
    layout: Layout,
    outcome: Floats,
    label: Floats,
    *,
    alpha: float = 1.0,
    unit: Literal["thought", "step"] = "thought",
    spread: Spread = "sample",
    eps: float = 1e-4,
) -> Floats:
    """Credit of a step: how its rollout did, plus the rewards of its thought and of those that follow.

        A_t = z_i + sum of p over the thoughts from this step's on, the answer's left out
        z_i = center(R_i)   among the rollouts of the prompt
        p   = +-alpha * acc   in a right answer (+ right thought, - wrong thought), acc = share of right answers
        p   = +-z_i           in a wrong answer (+ thought that it uses: wrong; - thought that it does not use)

    A thought is a stretch of steps of one verdict, and the last step is of the answer's. So thoughts alternate, and
    what comes out is z_i for the steps that are what the answer is; z_i - alpha * acc for wrong steps of a right
    answer; 0 for steps that a wrong answer does not use.

    Args:
        outcome: [R] verdict on each rollout, right if above 0; NaN = unknown, left out of the statistics, not judged.
        label: [S] below 0 = wrong (in a wrong rollout: the wrong answer uses it), else right (not used); NaN = not
            judged: no reward, and it parts no thoughts. The last step's is not read.
        alpha: weight of the rewards of thoughts in right answers.
        unit: what is rewarded: a "thought", or each "step" (the paper's ablation, in which many steps add up).
        spread: of the comparison of outcomes. eps: added to it.

    Returns:
        [S] credit. With unit="step" nothing before a step that is not judged is judged either.

    >>> import numpy as np
    >>> two = Layout(group=np.array([0, 0]), rollout=np.array([0, 0, 0, 1, 1, 1]))
    >>> label = np.array([1.0, -1.0, 1.0, -1.0, 1.0, -1.0])
    >>> tp_grpo(two, np.array([1.0, -1.0]), label, alpha=0.5, spread="none")
    array([ 1.  ,  0.75,  1.  , -1.  ,  0.  , -1.  ])
    """
    paths = layout.paths
    rollout, last = paths.rollout, paths.left == 0
    z, solved = center(outcome, layout.group, spread=spread, eps=eps), outcome > 0
    accuracy = cell_mean(np.where(np.isnan(outcome), np.nan, solved), layout.group)
    pay = np.where(solved, alpha * accuracy[layout.group], z)[rollout]
    verdict = layout.along(label)
    right = np.where(np.isnan(verdict), np.nan, np.where(verdict < 0, -1.0, 1.0))
    agrees = np.where(last, 1.0, np.where(solved[rollout], right, -right))
    judged, ends = ~np.isnan(agrees), ~last
    if unit == "thought":
        agrees = scan(np.where(judged, agrees, 0.0), np.where(judged, 0.0, 1.0), paths.left)
        run = runs(paths, agrees)
        ends = np.append(run[1:] != run[:-1], np.ones(min(run.size, 1), bool)) & ~last
    ahead = scan(np.where(ends, pay * agrees, 0.0), 1.0, paths.left)
    return layout.merge(np.where(judged, z[rollout] + ahead, np.nan))
