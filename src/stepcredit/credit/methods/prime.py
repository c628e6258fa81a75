"""PRIME: dense rewards from an implicit process reward model, beside the outcome."""

import numpy as np

from stepcredit import ops
from stepcredit.credit.card import Card, Preset
from stepcredit.data.layout import Floats, Layout

CARD = Card(
    title="PRIME: Process Reinforcement through Implicit Rewards",
    paper="arXiv:2502.01456",
    bibtex="""@article{cui2025prime,
  title={Process Reinforcement through Implicit Rewards},
  author={Cui, Ganqu and Yuan, Lifan and Wang, Zefan and Wang, Hanbin and Li, Wendi and He, Bingxiang and others},
  journal={arXiv:2502.01456}, year={2025}}""",
    code="https://github.com/PRIME-RL/PRIME, https://github.com/verl-project/verl-recipe (prime)",
    evidence="official code executed",
    per="token",
    needs="log-ratio of an implicit PRM to its reference per sampled token, one outcome per rollout, several "
    "rollouts per prompt",
    bias="Both baselines are means over the prompt's rollouts: action-independent. A process reward is compared with "
    "mean token rewards, so that what is left sums up along the rollout: length is rewarded where the model's "
    "rewards are above that mean. Whitening weighs rollouts by their tokens.",
    departures="The scale is the largest return of the whole batch; the code takes that of one worker's shard. A "
    "lone rollout has nothing to be compared with and gets 0 before whitening (N / (N - 1) in the code). The model's "
    "online update, its filter of prompts and the option to score whole responses are not here.",
    cost="a forward of the implicit PRM and one of its reference per rollout; the PRM is trained beside the policy",
    waives={
        "other_prompts": "the scale of the process rewards and the whitening are those of the batch",
        "equal_rollouts": "a token is also compared with its rollout's mean",
    },
)

PRESETS = {
    "eurus": Preset(
        {"rm_coef": 1.0, "gt_coef": 1.0},
        "PRIME training/verl as executed: the coefficients of its script (5, 1) reach only logged scores",
    ),
    "verl-recipe": Preset({"beta": 0.05, "skip_last": True}, "verl-recipe prime, lambda 0: coefficients 5 and 5"),
}


def prime(
    layout: Layout,
    token_logratio: Floats,
    outcome: Floats,
    *,
    rm_coef: float = 5.0,
    gt_coef: float = 5.0,
    beta: float = 1.0,
    skip_last: bool = False,
    eps: float = 1e-6,
) -> Floats:
    """Credit of a token: what the implicit rewards and the outcome add up to from here on, each minus a baseline.

        A   = whiten(G) over the sampled tokens of the batch
        G_k = x_k + G_{k+1}
        x_k = rm_coef * N / (N - 1) * (r_k - mean_j m_j)  +  gt_coef * (R_i - mean of the other R_j) on the last token
        r_k = beta * q_k / (max |sum_{l >= k} beta * q_l| + eps)          the maximum over the batch
        m_j = mean of r over the tokens of rollout j of the prompt, of N

    Args:
        token_logratio: [K] q, log-probability under the implicit PRM minus that under its reference.
        outcome: [R] verdict on each rollout; NaN = unknown, left out everywhere and not judged.
        rm_coef, gt_coef: weights of the process rewards and of the outcome.
        beta: of the implicit PRM; it cancels but for eps.
        skip_last: whether a rollout's last token has no process reward (it still counts in m).
        eps: added to the scale.

    Returns:
        [K] credit, in units of the batch's spread; NaN for a token of no step.

    >>> two = Layout(np.array([0, 0]), np.array([0, 1]), token_step=np.array([0, 0, 0, 1, 1]))
    >>> prime(two, np.array([0.4, -0.2, 0.6, -0.5, 0.1]), np.array([1.0, 0.0])).round(4)
    array([ 0.8958,  0.4747,  0.7427, -1.3629, -0.7504])
    """
    paths = ops.token_paths(layout)
    rollout, last = paths.rollout, paths.left == 0
    q = np.where(np.isnan(outcome)[rollout], np.nan, beta * token_logratio[paths.rows])
    if skip_last:
        q = np.where(last, 0.0 * q, q)
    batch = layout.batches[rollout]
    r = q / (ops.max_abs(ops.scan(q, 1.0, paths.left), batch)[batch] + eps)
    n = np.bincount(rollout, minlength=layout.R)
    mean = np.bincount(rollout, weights=r, minlength=layout.R) / np.where(n > 0, n, np.nan)
    # center gives N / (N - 1) * (m_i - mean_j m_j): what is apart from the own mean is scaled alike.
    judged = np.bincount(layout.group, weights=~np.isnan(mean), minlength=layout.G)[layout.group]
    scale = np.divide(judged, judged - 1, out=np.zeros(layout.R), where=judged > 1)
    others = ops.center(mean, layout.group, location="others", spread="none")
    x = rm_coef * (scale[rollout] * (r - mean[rollout]) + others[rollout])
    verdict = ops.center(np.where(n > 0, outcome, np.nan), layout.group, location="others", spread="none")
    x += np.where(last, gt_coef * verdict[rollout], 0.0)
    value = ops.merge_tokens(layout, paths, ops.scan(x, 1.0, paths.left))
    return ops.whiten(value, ops.token_batch(layout))
