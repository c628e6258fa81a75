"""REINFORCE++: returns per token, whitened over the batch."""

from stepcredit import ops
from stepcredit.credit.card import Card
from stepcredit.data.layout import Floats, Layout

BIBTEX = """@article{hu2025reinforcepp,
  title={REINFORCE++: A Simple and Efficient Approach for Aligning Large Language Models},
  author={Hu, Jian},
  journal={arXiv:2501.03262}, year={2025}}"""

CARD = Card(
    title="REINFORCE++",
    paper="arXiv:2501.03262",
    bibtex=BIBTEX,
    code="https://github.com/OpenRLHF/OpenRLHF, https://github.com/verl-project/verl",
    evidence="official code executed",
    per="token",
    needs="token rewards (or step rewards, or an outcome)",
    bias="The baseline is the mean return of the batch's tokens: action-independent, but prompts of other difficulty "
    "are in it, so rollouts of an easy prompt are praised for their prompt, and long rollouts weigh more. With gamma "
    "< 1 reaching success in fewer tokens earns more.",
    departures="Tokens that the policy did not sample are no rows: nothing is discounted or cut at them, as in verl. "
    "The KL penalty in the reward is the caller's (put it into token_reward).",
    holds=frozenset({"scale"}),
    waives={
        "other_prompts": "mean and spread are those of the batch",
        "equal_rollouts": "a token is compared with all tokens of the batch, those of its own rollout included",
    },
)


def reinforce_plus_plus(layout: Layout, token_reward: Floats, *, gamma: float = 1.0) -> Floats:
    """Credit of a token: its return, compared with those of all sampled tokens of the batch.

        A_k = (G_k - mean) / sqrt(sample variance + 1e-8)
        G_k = r_k + gamma * G_{k+1}

    Args:
        token_reward: [K] reward received after each token; NaN = unknown: not judged, nor are the tokens before it.
        gamma: discount per sampled token.

    Returns:
        [K] credit, in units of the batch's spread; NaN for a token of no step.

    >>> import numpy as np
    >>> two = Layout(np.array([0, 1]), np.array([0, 1]), token_step=np.array([0, 0, 1]))
    >>> reinforce_plus_plus(two, np.array([0.0, 1.0, 0.0])).round(4)
    array([ 0.5774,  0.5774, -1.1547])
    """
    paths = ops.token_paths(layout)
    value = ops.merge_tokens(layout, paths, ops.scan(token_reward[paths.rows], gamma, paths.left))
    return ops.whiten(value, ops.token_batch(layout))
