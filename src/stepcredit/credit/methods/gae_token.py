"""GAE per token: what PPO trainers compute from a critic's values."""

from stepcredit import ops
from stepcredit.credit.card import Card, Preset
from stepcredit.data.layout import Floats, Layout

CARD = Card(
    title="GAE: Generalized Advantage Estimation, a sampled token as the unit",
    paper="arXiv:1506.02438",
    bibtex="""@inproceedings{schulman2016gae,
  title={High-Dimensional Continuous Control Using Generalized Advantage Estimation},
  author={Schulman, John and Moritz, Philipp and Levine, Sergey and Jordan, Michael and Abbeel, Pieter},
  booktitle={ICLR}, year={2016}}""",
    code="https://github.com/verl-project/verl",
    evidence="official code executed",
    per="token",
    needs="token rewards (or step rewards, or an outcome) and a critic's value before each sampled token",
    bias="The baseline is the value of the prefix, fixed before the token: action-independent. A wrong value biases "
    "the credit where lam < 1. With gamma < 1 reaching success in fewer tokens earns more.",
    departures="Tokens that the policy did not sample are no rows: nothing is discounted or cut at them, as in verl. "
    "After the last token the value is 0. verl drops a reward that stands on a token outside its mask; here it must "
    "stand on a sampled token.",
    cost="a critic trained beside the policy, and one forward of it per rollout",
    pools={"whiten": True},
    waives={"equal_rollouts": "a token is compared with its value, not with other rollouts"},
)

PRESETS = {
    "verl": Preset(
        {"whiten": True},
        "verl 0.9.1 core_algos.compute_gae_advantage_return",
    ),
}


def gae_token(
    layout: Layout,
    token_reward: Floats,
    token_value: Floats,
    *,
    gamma: float = 1.0,
    lam: float = 0.95,
    whiten: bool = False,
) -> Floats:
    """Credit of a token: the discounted sum of the surprises from here on, along the rollout's sampled tokens.

        A_k = d_k + gamma * lam * A_{k+1}
        d_k = r_k + gamma * V_{k+1} - V_k        V after the last token is 0

    Args:
        token_reward: [K] reward received after each token.
        token_value: [K] value of the prefix that ends before each token.
        gamma: discount per sampled token. lam: 0 trusts the values, 1 the returns.
        whiten: minus the mean, over sqrt(sample variance + 1e-8), over all sampled tokens of a batch.

    Returns:
        [K] credit; NaN for a token of no step.

    >>> import numpy as np
    >>> one = Layout(group=np.array([0]), rollout=np.array([0, 0]), token_step=np.array([0, 1, 1]))
    >>> gae_token(one, np.array([0.0, 0.0, 1.0]), np.array([0.4, 0.5, 0.7])).round(5)
    array([0.56075, 0.485  , 0.3    ])
    """
    paths = ops.token_paths(layout)
    walked = ops.gae(token_reward[paths.rows], token_value[paths.rows], paths.left, gamma, lam)
    advantage = ops.merge_tokens(layout, paths, walked)
    return ops.whiten(advantage, ops.token_batch(layout)) if whiten else advantage
