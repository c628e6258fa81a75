"""MA-RLHF: a macro action of several tokens is one step of GAE."""

from typing import Literal

import numpy as np

from stepcredit import ops
from stepcredit.credit.card import Card, Preset
from stepcredit.data.layout import Floats, Layout
from stepcredit.ops.tokens import Pooling

CARD = Card(
    title="MA-RLHF: Reinforcement Learning from Human Feedback with Macro Actions",
    paper="arXiv:2410.02743",
    bibtex="""@inproceedings{chai2025marlhf,
  title={MA-RLHF: Reinforcement Learning from Human Feedback with Macro Actions},
  author={Chai, Yekun and Sun, Haoran and Fang, Huang and Wang, Shuohuan and Sun, Yu and Wu, Hua},
  booktitle={ICLR}, year={2025}}""",
    code="https://github.com/ernie-research/MA-RLHF",
    evidence="official code executed",
    per="segment",
    needs="macro actions as steps (Batch.resegment), token rewards (or step rewards, or an outcome) and a critic's "
    "value before each sampled token",
    bias="The baseline is the pooled value of the macro action's own prefixes: all but the first follow tokens of it, "
    "so it depends on the action. With rewards='pooled' a reward on the last of n tokens counts 1 / n.",
    departures="The paper adds up the rewards of a macro action (as a reimplementation quotes it); the code pools them "
    "like the values: preset official. The code pools what is left of a whole micro-batch and cuts all rows where its "
    "first row is cut: it is right for one row at a time, as here. Its last macro action is always the last token "
    "alone, so that the final reward is not averaged with others: cut the steps so. Where n-grams end right before "
    "that token, it lists the place twice, and its recursion runs through an empty macro action of value 0; here a "
    "macro action without sampled tokens is passed over and gets 0. Its pooling 'unit' (the last token) indexes a "
    "dimension that is not there.",
    waives={"equal_rollouts": "a macro action is compared with its value, not with other rollouts"},
)

PRESETS = {
    "official": Preset(
        {"rewards": "pooled"}, "MA-RLHF dschat/rlhf/ppo_trainer.py, value_function equal, macro actions as cut"
    ),
}


def ma_rlhf(
    layout: Layout,
    token_reward: Floats,
    token_value: Floats,
    *,
    pooling: Pooling = "mean",
    rewards: Literal["sum", "pooled"] = "sum",
    gamma: float = 1.0,
    lam: float = 0.95,
) -> Floats:
    """Credit of a macro action: the discounted sum of the surprises from here on, macro action by macro action.

        A_m = d_m + gamma * lam * A_{m+1}
        d_m = R_m + gamma * V_{m+1} - V_m        V after the last macro action is 0
        R_m = sum of the rewards of its tokens, V_m = their values, pooled

    Args:
        token_reward: [K] reward received after each token (in the paper with the KL penalty in it).
        token_value: [K] value of the prefix that ends before each token.
        pooling: "mean" of the macro action's tokens, its "last" one, or the mean with weights 1, 1/2, 1/3 ... by
            "position".
        rewards: R_m is the "sum" of its tokens' rewards (paper), or "pooled" like the values (code).
        gamma: discount per macro action. lam: 0 trusts the values, 1 the returns.

    Returns:
        [S] credit, in units of the reward.

    >>> macros = Layout(np.array([0]), np.zeros(3, int), token_step=np.array([0, 0, 1, 1, 2]))
    >>> reward, value = np.array([-0.01, -0.02, 0, -0.03, 1]), np.array([0.2, 0.3, 0.4, 0.4, 0.6])
    >>> ma_rlhf(macros, reward, value).round(5)
    array([0.6425, 0.55  , 0.4   ])
    """
    some = layout.along(layout.step_tokens) > 0
    left = ops.scan(some.astype(float), 1.0, layout.paths.left)[some].astype(int) - 1
    earned = ops.step_sum(layout, token_reward) if rewards == "sum" else ops.step_pool(layout, token_reward, pooling)
    value = ops.step_pool(layout, token_value, pooling)
    credit = np.zeros(some.size)
    credit[some] = ops.gae(layout.along(earned)[some], layout.along(value)[some], left, gamma, lam)
    return layout.merge(credit)
