"""P2S: where nobody of the prompt is right, how faithful the steps are to a gold chain stands in for the outcome."""

import numpy as np

from stepcredit.credit.card import Card
from stepcredit.data.layout import Floats, Layout
from stepcredit.ops import center, rollout_mean
from stepcredit.ops.center import Lone, Spread

CARD = Card(
    title="P2S: Probabilistic Process Supervision for General-Domain Reasoning Question Answering",
    paper="arXiv:2601.20649",
    bibtex="""@inproceedings{zhong2026p2s,
  title={P2S: Probabilistic Process Supervision for General-Domain Reasoning Question Answering},
  author={Zhong, Wenlin and Liu, Chengyuan and Wu, Yiquan and Tan, Bovin and Sun, Changlong and Wang, Yi and
    Liu, Xiaozhong and Kuang, Kun},
  booktitle={AAAI}, year={2026}}""",
    evidence="secondary text",
    needs="one outcome per rollout, what each step adds to the log-probability of a gold chain's rest (`gain`; on the "
    "last step the log-probability of the answer), several rollouts per prompt",
    bias="The baseline is the mean over the prompt's rollouts: action-independent, but it holds the rollout's own "
    "number. Each step of a rollout gets the same credit, whatever its own gain. A chain like the gold one is favored "
    "over another right one. Length is not rewarded.",
    departures="Not published: the slope of the sigmoid (2 over the whole rollout here), spread and epsilon (sample, "
    "1e-4), whether a badly formatted right rollout makes its prompt one with a right rollout (not here). The first "
    "phase, in which only the format counts, is the caller's.",
    cost="K chains sampled per prompt, and about one forward per pair of a step and a step of the gold chain",
)


def p2s(
    layout: Layout,
    outcome: Floats,
    gain: Floats,
    well_formed: Floats | None = None,
    *,
    slope: float = 2.0,
    solved: float = 1.0,
    spread: Spread = "sample",
    eps: float = 1e-4,
    lone: Lone = "zero",
) -> Floats:
    """Credit of every step of rollout i: how its reward compares with those of its prompt.

        A_i = center(x_i)   among the rollouts of the prompt
        x_i = -1 where the rollout is badly formatted; else R_i where some rollout of the prompt is right; else q_i
        q_i = sum w_t gain_t / sum w_t,   w_t = sigmoid(slope * (2 t / (n - 1) - 1)),   t = 0 .. n - 1

    Args:
        outcome: [R] R, verdict on each rollout; NaN = unknown, left out of the statistics and not judged.
        gain: [S] faithfulness of each step to a gold chain; NaN = not known, left out of q.
        well_formed: [R] 1 = the rollout keeps the format, 0 = it does not, -1 = not known: the rollout is not judged.
            None: all keep it.
        slope: how much later steps weigh more. solved: a rollout with at least this outcome is right.
        spread: "sample" divides by the spread, "none" only centers. eps: added to the spread.
        lone: what the only rollout of a prompt gets: "zero", "raw" (x), "nan".

    Returns:
        [S] credit, in units of the spread. A rollout that needs q and has no gain is not judged.

    >>> import numpy as np
    >>> two = Layout(group=np.array([0, 0]), rollout=np.array([0, 1]))
    >>> p2s(two, np.array([0.0, 0.0]), np.array([-0.5, -1.5]), spread="none")
    array([ 0.5, -0.5])
    """
    paths = layout.paths
    way = paths.turn / np.maximum(paths.turn + paths.left, 1)
    q = rollout_mean(layout, gain, weight=1 / (1 + np.exp(-slope * (2 * way - 1))))
    formed = np.ones(layout.R) if well_formed is None else np.where(well_formed < 0, np.nan, well_formed)
    right = np.bincount(layout.group, weights=(outcome >= solved) & (formed == 1), minlength=layout.G) > 0
    x = np.where(formed == 0, -1.0, np.where(right[layout.group], outcome, q))
    x = np.where(np.isnan(outcome + formed), np.nan, x)
    return layout.merge(center(x, layout.group, spread=spread, eps=eps, lone=lone)[paths.rollout])
