"""GAE per step: how much better a step and what followed went than its value said."""

from stepcredit import ops
from stepcredit.credit.card import Card, Preset
from stepcredit.data.layout import Floats, Layout

CARD = Card(
    title="GAE: Generalized Advantage Estimation, a step as the unit",
    paper="arXiv:1506.02438",
    bibtex="""@inproceedings{schulman2016gae,
  title={High-Dimensional Continuous Control Using Generalized Advantage Estimation},
  author={Schulman, John and Moritz, Philipp and Levine, Sergey and Jordan, Michael and Abbeel, Pieter},
  booktitle={ICLR}, year={2016}}""",
    code="https://github.com/verl-project/verl",
    evidence="official code executed",
    needs="step rewards (or an outcome) and the value of the state before each step",
    bias="The baseline is the value of the state, fixed before the action: action-independent. A wrong value biases "
    "the credit where lam < 1. With gamma < 1 reaching success in fewer steps earns more.",
    departures="The paper's unit is a time step; here it is a step of the rollout. After the last step the value is "
    "0: a rollout cut short by a length limit is not bootstrapped.",
    cost="a critic trained beside the policy, and one forward of it per rollout",
    pools={"whiten": True},
    waives={"equal_rollouts": "a step is compared with its value, not with other rollouts"},
)

PRESETS = {
    "whitened": Preset(
        {"whiten": True},
        "PPO as trainers run it: over the spread of the batch",
    ),
}


def gae(
    layout: Layout, reward: Floats, value: Floats, *, gamma: float = 1.0, lam: float = 0.95, whiten: bool = False
) -> Floats:
    """Credit of a step: the discounted sum of the surprises from here on.

        A_t = d_t + gamma * lam * A_{t+1}
        d_t = r_t + gamma * V_{t+1} - V_t        V after the last step is 0

    Args:
        reward: [S] reward received after each step.
        value: [S] expected return before each step.
        gamma: discount per step. lam: 0 trusts the values, 1 the returns.
        whiten: minus the mean, over sqrt(sample variance + 1e-8), over all steps of a batch.

    Returns:
        [S] credit, in units of the reward unless whitened.

    >>> import numpy as np
    >>> one = Layout(group=np.array([0]), rollout=np.array([0, 0, 0]))
    >>> gae(one, np.array([0.0, 0.0, 1.0]), np.array([0.4, 0.5, 0.7])).round(5)
    array([0.56075, 0.485  , 0.3    ])
    """
    advantage = layout.merge(ops.gae(layout.along(reward), layout.along(value), layout.paths.left, gamma, lam))
    return ops.whiten(advantage, layout.batches[layout.rollout]) if whiten else advantage
