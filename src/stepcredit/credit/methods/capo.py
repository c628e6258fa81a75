"""CAPO: the outcome, less a penalty on the steps that critiques find wrong, compared over the tokens of the prompt."""

from typing import Literal

import numpy as np

from stepcredit.credit.card import Card
from stepcredit.data.layout import Floats, Layout
from stepcredit.ops import center
from stepcredit.ops.center import Spread

CARD = Card(
    title="CAPO: Towards Enhancing LLM Reasoning through Generative Credit Assignment",
    paper="arXiv:2508.02298",
    bibtex="""@article{xie2025capo,
  title={CAPO: Towards Enhancing LLM Reasoning through Generative Credit Assignment},
  author={Xie, Guofu and Shi, Yunsheng and Tian, Hongtao and Yao, Ting and Zhang, Xiao and Xu, Jun},
  journal={arXiv:2508.02298}, year={2025}}""",
    code="https://github.com/andyclsr/CAPO (announced, not released)",
    evidence="secondary text",
    needs="one outcome per rollout, verdicts of several critiques on each step, several rollouts per prompt; sampled "
    "tokens (a step counts as one without them)",
    bias="The baseline is a mean over the prompt's tokens: action-independent, but it holds the step's own reward and "
    "long rollouts weigh more in it, so that the sum over rollouts need not be 0. Rewards are not summed ahead: "
    "length is not rewarded. A wrong step costs the same wherever it stands, and one that many tokens write costs "
    "more in total.",
    departures="Spread and epsilon are not published: population spread and 1e-6 here. The paper does not say what a "
    "step without any verdict gets: it is not judged here (unjudged='right': no penalty, as re-implementations have "
    "it). One of them takes a strict majority (vote='strict') and gives the whole rollout the penalty of one wrong "
    "step; the latter is another method.",
    cost="k critiques per rollout by a large language model (4 in the paper; one call judges all steps)",
    holds=frozenset({"shift"}),
    waives={"equal_rollouts": "a step is also compared with the other steps of its rollout"},
)

Vote = Literal["intersection", "majority", "strict", "union", "average"]


def wrong_share(votes: Floats, vote: Vote) -> Floats:
    """[S, m] or [S] verdicts (below 0 = wrong) -> [S] how far the step is held to be wrong, 0 to 1; NaN: no verdict."""
    verdicts = votes if votes.ndim == 2 else votes[:, None]
    given = np.sum(~np.isnan(verdicts), axis=1)
    against = np.sum(verdicts < 0, axis=1)
    share: Floats = np.divide(against, given, out=np.full(given.shape, np.nan), where=given > 0)
    if vote == "average":
        return share
    held = {"intersection": share == 1, "majority": share >= 0.5, "strict": share > 0.5, "union": share > 0}[vote]
    return np.where(np.isnan(share), np.nan, held)


def capo(
    layout: Layout,
    outcome: Floats,
    votes: Floats,
    *,
    vote: Vote = "intersection",
    whole: float = 2.0,
    process: float = 1.0,
    spread: Spread = "population",
    eps: float = 1e-6,
    unjudged: Literal["nan", "right"] = "nan",
) -> Floats:
    """Credit of a step: its rollout's outcome, less a penalty if it is wrong, compared with the tokens of the prompt.

        A_t = (x_t - mean) / (std + eps)     mean and spread over the sampled tokens of the prompt's rollouts
        x_t = whole * R_i - process * w_t
        w_t = 1 if the votes hold step t to be wrong, else 0       (the share of votes against it for vote="average")

    Args:
        outcome: [R] verdict on each rollout, 0 or 1; NaN = unknown, left out of the statistics and not judged.
        votes: [S, m] verdicts on each step, one column per critique: below 0 = wrong, else right; NaN = that critique
            gave none, and is not counted. Without the column the runner gives `label`, as one critique.
        vote: a step is wrong if all say so ("intersection"), half or more ("majority"), more than half ("strict"), any
            ("union"); or to the share that says so ("average").
        whole, process: weights of the outcome and of the penalty; whole > process keeps every step of a right answer
            above every step of a wrong one.
        spread: "population" divides by the spread, "none" only centers. eps: added to the spread.
        unjudged: a step without any verdict is not judged and not counted ("nan"), or taken to be "right".

    Returns:
        [S] credit. A step without tokens is compared with the others', but not counted.

    >>> import numpy as np
    >>> two = Layout(group=np.array([0, 0]), rollout=np.array([0, 0, 1, 1]))
    >>> votes = np.array([[1.0, 1.0], [-1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]])
    >>> capo(two, np.array([1.0, 0.0]), votes, spread="none")
    array([ 1.25,  0.25, -0.75, -0.75])
    """
    wrong = wrong_share(votes, vote)
    if unjudged == "right":
        wrong = np.nan_to_num(wrong)
    x = whole * layout.merge(outcome[layout.paths.rollout]) - process * wrong
    return center(x, layout.step_group, spread=spread, eps=eps, weight=layout.step_tokens)
