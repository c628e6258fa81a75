"""SPA-RL: the outcome, handed out to the steps that contributed to it, and a bonus for actions that were executable."""

from typing import Literal

import numpy as np

from stepcredit import ops
from stepcredit.credit.card import Card, Preset
from stepcredit.data.layout import Floats, Ints, Layout
from stepcredit.errors import MissingColumn

CARD = Card(
    title="SPA-RL: Reinforcing LLM Agents via Stepwise Progress Attribution",
    paper="arXiv:2505.20732",
    bibtex="""@article{wang2025spa,
  title={SPA-RL: Reinforcing LLM Agents via Stepwise Progress Attribution},
  author={Wang, Hanlin and Leong, Chak Tou and Wang, Jiashuo and Wang, Jian and Li, Wenjie},
  journal={arXiv:2505.20732}, year={2025}}""",
    code="https://github.com/WangHanLinHenry/SPA-RL-Agent",
    evidence="official code executed",
    per="token",
    needs="what each step contributed to the outcome (a regressor whose parts sum to it), whether each action could be "
    "executed, a critic's values per token; outcomes for the released path",
    bias="The baseline is the critic's value of the prefix, fixed before the token: action-independent. Nothing ties a "
    "contribution to what caused it: the regressor is fitted to the sum only. The bonus for executable actions "
    "rewards length; without a critic nothing is subtracted at all.",
    departures="The released code does not use the contributions: its data script overwrites them by the outcome minus "
    "the mean of the prompt's others, and its trainer multiplies turn t of T by T - t - 1, so the last turn earns "
    "nothing (presets released-data and released). Its recursion runs through the observation tokens between turns as "
    "tokens of value 0; here they are no rows. The KL penalty is the caller's. alpha and beta are from its scripts.",
    cost="one forward pass of the regressor per rollout; a critic",
    pools={"whiten": True},
    waives={"equal_rollouts": "a token is compared with its value, not with other rollouts"},
)

PRESETS = {
    "released-data": Preset(
        {"attribution": "rollout"},
        "SPA-RL-Agent prm/rl_data_org.py: what it feeds its trainer",
        columns={"contribution": "outcome"},  # which is not read: the outcome takes its place
    ),
    "released": Preset(
        {"attribution": "rollout", "turns_left": True, "whiten": True},
        "SPA-RL-Agent prm/rl_data_org.py and ppo/step_ppotrainer.py, advantages by TRL 0.10.1",
        columns={"contribution": "outcome"},
    ),
}


def spa_rl(
    layout: Layout,
    contribution: Floats,
    grounded: Ints | None = None,
    outcome: Floats | None = None,
    token_value: Floats | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 0.5,
    attribution: Literal["contribution", "rollout"] = "contribution",
    turns_left: bool = False,
    gamma: float = 1.0,
    lam: float = 0.95,
    whiten: bool = False,
) -> Floats:
    """Credit of a token: what its step and the later ones earn beyond the critic's value; without a critic, all of it.

        A_k = d_k + gamma * lam * A_{k+1},  d_k = r_k + gamma * V_{k+1} - V_k      with token_value
        A_k = r_k + gamma * A_{k+1}                                                without
        r_k = alpha * c_t + beta * g_t on the last token of step t, else 0

    Args:
        contribution: [S] c_t, the step's part of the outcome.
        grounded: [S] g_t, 1 = the action could be executed, 0 = it could not, -1 = not known: not judged, nor are the
            tokens before. None: no bonus.
        outcome: [R] verdict on each rollout; only for attribution="rollout".
        token_value: [K] a critic's value of the prefix before each token.
        alpha, beta: weights of the two rewards.
        attribution: "rollout" puts the outcome minus the mean of the prompt's other outcomes (the outcome itself, if
            there are none) in the place of every c_t.
        turns_left: multiplies the rewards of a step by the number of steps that follow it.
        gamma: discount per sampled token. lam: 0 trusts the values, 1 the returns.
        whiten: minus the mean, over sqrt(sample variance + 1e-8), over all sampled tokens of a batch.

    Returns:
        [K] credit, in units of the outcome unless whitened; NaN for a token of no step. A step without sampled tokens
        has nowhere to put its reward.

    Raises:
        MissingColumn: attribution="rollout" without outcomes.

    >>> one = Layout(group=np.array([0]), rollout=np.zeros(4, int))
    >>> c, g = np.array([0.2, -0.05, 0.3, 0.45]), np.array([1, 0, 1, 1])
    >>> spa_rl(one, c, g, gamma=0.0)
    array([ 0.7 , -0.05,  0.8 ,  0.95])
    """
    paths = ops.token_paths(layout)
    if attribution == "rollout":
        share = _among_others(layout, outcome)[paths.rollout]
    else:
        share = ops.to_tokens(layout, contribution)[paths.rows]
    r = alpha * share
    if grounded is not None:
        r = r + beta * ops.to_tokens(layout, np.where(grounded < 0, np.nan, grounded))[paths.rows]
    if turns_left:
        r = r * np.repeat(layout.paths.left, layout.step_tokens[layout.paths.rows])
    r = np.where(ops.on_last_token(layout, np.ones(layout.S))[paths.rows] > 0, r, 0.0)
    if token_value is None:
        walked = ops.scan(r, gamma, paths.left)
    else:
        walked = ops.gae(r, token_value[paths.rows], paths.left, gamma, lam)
    credit = ops.merge_tokens(layout, paths, walked)
    return ops.whiten(credit, ops.token_batch(layout)) if whiten else credit


def _among_others(layout: Layout, outcome: Floats | None) -> Floats:
    """[R] outcome minus the mean of the others."""
    if outcome is None:
        raise MissingColumn("spa_rl with attribution='rollout' needs column 'outcome'", hint="it is your verdict")
    return ops.center(outcome, layout.group, location="others", spread="none", lone="raw")
