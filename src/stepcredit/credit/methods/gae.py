"""GAE per step: how much better a step and what followed went than its value said."""

from typing import Literal

import numpy as np

from stepcredit import ops
from stepcredit.credit.card import Card, Preset
from stepcredit.data.layout import Floats, Ints, Layout
from stepcredit.errors import MissingColumn
from stepcredit.ops.center import EpsAt

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
    "0: a rollout cut short by a length limit is not bootstrapped. truncation='zero' is VL-DAC's reading of one: "
    "its last step gets 0.",
    cost="a critic trained beside the policy, and one forward of it per rollout",
    pools={"whiten": True},
    waives={"equal_rollouts": "a step is compared with its value, not with other rollouts"},
)

PRESETS = {
    "whitened": Preset(
        {"whiten": True},
        "PPO as trainers run it: over the spread of the batch",
    ),
    "vl_dac": Preset(
        {"gamma": 0.99, "truncation": "zero", "whiten": True, "eps_at": "spread"},
        "VL-DAC a2c_ppo_acktr/storage.py compute_returns with proper time limits, algo/ppo.py; whole rollouts (the "
        "value after a buffer that ends inside one is not here)",
        system="vl_dac",
        title="VL-DAC: Vision-Language Decoupled Actor-Critic",
        paper="arXiv:2508.04280",
        bibtex="""@article{bredis2025vldac,
  title={Enhancing Vision-Language Model Training with Reinforcement Learning in Synthetic Worlds for Real-World
    Success},
  author={Bredis, George and Dereka, Stanislav and Sinii, Viacheslav and others},
  journal={arXiv:2508.04280}, year={2025}}""",
        code="https://github.com/corl-team/VL-DAC",
        needs="step rewards (or an outcome), a critic's value before each step, which rollouts a limit cut "
        "(`truncated`)",
        evidence="official code executed",
    ),
}


def gae(
    layout: Layout,
    reward: Floats,
    value: Floats,
    truncated: Ints | None = None,
    *,
    gamma: float = 1.0,
    lam: float = 0.95,
    truncation: Literal["end", "zero"] = "end",
    whiten: bool = False,
    eps_at: EpsAt = "variance",
) -> Floats:
    """Credit of a step: the discounted sum of the surprises from here on.

        A_t = d_t + gamma * lam * A_{t+1}
        d_t = r_t + gamma * V_{t+1} - V_t        V after the last step is 0

    Args:
        reward: [S] reward received after each step.
        value: [S] expected return before each step.
        truncated: [R] 1 = the rollout was cut by a limit, 0 = it was not, -1 = not known; only for truncation="zero".
        gamma: discount per step. lam: 0 trusts the values, 1 the returns.
        truncation: a rollout cut by a limit ends like any other ("end"), or its last step has A = 0, so that nothing is
            learned of what the cut took away ("zero").
        whiten: minus the mean, over sqrt(sample variance + 1e-8), over all steps of a batch.
        eps_at: where 1e-8 is added: to the "variance" under the root, or to the "spread".

    Returns:
        [S] credit, in units of the reward unless whitened.

    Raises:
        MissingColumn: truncation="zero" without truncated.

    >>> import numpy as np
    >>> one = Layout(group=np.array([0]), rollout=np.array([0, 0, 0]))
    >>> gae(one, np.array([0.0, 0.0, 1.0]), np.array([0.4, 0.5, 0.7])).round(5)
    array([0.56075, 0.485  , 0.3    ])
    """
    r, v, paths = layout.along(reward), layout.along(value), layout.paths
    if truncation == "zero":
        if truncated is None:
            raise MissingColumn(
                "gae with truncation='zero' (vl_dac) needs column 'truncated' [R] (was the rollout cut by a limit)",
                hint="give 0 for rollouts that ended by themselves, or set truncation='end'",
            )
        cut = np.where(paths.left == 0, truncated[paths.rollout], 0)
        r = np.where(cut < 0, np.nan, np.where(cut > 0, v + 0.0 * r, r))
    advantage = layout.merge(ops.gae(r, v, paths.left, gamma, lam))
    return ops.center(advantage, layout.batches[layout.rollout], eps=1e-8, eps_at=eps_at) if whiten else advantage
