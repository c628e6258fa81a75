"""PPR: judged turns, shifted by the outcome so that their sign is the outcome's, summed ahead."""

from typing import Literal

import numpy as np

from stepcredit import ops
from stepcredit.credit.card import Card, Preset
from stepcredit.data.layout import Floats, Layout

CARD = Card(
    title="PPR: Hybrid Reward Normalization for Process-supervised Non-verifiable Agentic Tasks",
    paper="arXiv:2509.25598",
    bibtex="""@article{xu2025hybrid,
  title={Hybrid Reward Normalization for Process-supervised Non-verifiable Agentic Tasks},
  author={Xu, Peiran and Li, Zhuohao and Xing, Xiaoying and Zhang, Guannan and Li, Debiao and Shi, Kunyu},
  journal={arXiv:2509.25598}, year={2025}}""",
    code="https://github.com/Zhuohao-Li/ppr",
    evidence="official code executed",
    needs="a judge's score of each turn but the last (0 to 1), one outcome per rollout; a critic's `value` before each "
    "turn if there is one",
    bias="The baseline is the critic's value, fixed before the action: action-independent; without a critic there is "
    "none, and every turn of a right answer is praised. The shift favors length in right answers (each turn adds its "
    "score) and brevity in wrong ones (each turn costs 1 minus its score).",
    departures="A turn is the unit; the authors put its reward on its last token and run GAE over tokens. In the "
    "released code a turn whose judge failed keeps score 0 and is shifted like the others, so that in a wrong answer "
    "the judge's failure costs a full point (unjudged='zero'); here it has no reward and no credit. The code reads the "
    "outcome at the last marked turn but writes it on the last token: where they differ it counts as 0 in the shift; "
    "here the outcome is the rollout's. KL in the reward is the caller's.",
    cost="one judge call per turn but the last; a critic, unless the plain return will do",
    pools={"whiten": True},
    waives={"equal_rollouts": "a turn is compared with its value, or with nothing, not with other rollouts"},
)

PRESETS = {
    "official": Preset(
        {"unjudged": "zero", "whiten": True},
        "ppr main_ppo.py RewardManager, then verl's GAE, which whitens (a turn as the unit)",
    ),
}


def ppr(
    layout: Layout,
    outcome: Floats,
    score: Floats,
    value: Floats | None = None,
    *,
    baseline: float = 1.0,
    gamma: float = 1.0,
    lam: float = 1.0,
    unjudged: Literal["skip", "zero"] = "skip",
    whiten: bool = False,
) -> Floats:
    """Credit of a turn: its score and those that follow, each shifted by how the rollout ended.

        A_t = d_t + gamma * lam * A_{t+1},   d_t = x_t + gamma * V_{t+1} - V_t      (with a critic)
        A_t = x_t + gamma * A_{t+1}                                                 (without)
        x_t = score_t + R_i - baseline on every turn but the last, x = R_i on the last

    Args:
        outcome: [R] verdict on each rollout, 0 or 1; NaN = unknown: not judged.
        score: [S] how well the turn was done, 0 to 1; the last turn's is not read. NaN = not judged.
        value: [S] expected return before each turn (of these rewards); None: no critic.
        baseline: what a score must reach, together with the outcome, to count as good.
        gamma: discount per turn. lam: 1 trusts the returns, 0 the critic (which must be there).
        unjudged: a turn without a score has no reward, and no credit ("skip": the judge failed, which says nothing of
            the turn, and turns before it keep what else is known of them); or its score is "zero", as released.
        whiten: minus the mean, over sqrt(sample variance + 1e-8), over all sampled tokens of a batch.

    Returns:
        [S] credit, in units of the outcome unless whitened.

    >>> import numpy as np
    >>> two = Layout(group=np.array([0, 0]), rollout=np.array([0, 0, 0, 1, 1, 1]))
    >>> score = np.array([0.75, 0.5, np.nan, 0.75, 0.5, np.nan])
    >>> ppr(two, np.array([1.0, 0.0]), score)
    array([ 2.25,  1.5 ,  1.  , -0.75, -0.5 ,  0.  ])
    """
    paths = layout.paths
    last, own = paths.left == 0, np.asarray(outcome, float)[paths.rollout]
    judged = last | ~np.isnan(layout.along(score)) | (unjudged == "zero")
    x = np.where(last, own, np.nan_to_num(layout.along(score)) + own - baseline)
    x = np.where(judged, x, 0.0 * own)
    if value is None:
        walked = ops.scan(x, gamma, paths.left)
    else:
        walked = ops.gae(x, layout.along(value), paths.left, gamma, lam)
    credit = layout.merge(np.where(judged, walked, np.nan))
    return ops.whiten(credit, layout.batches[layout.rollout], weight=layout.step_tokens) if whiten else credit
