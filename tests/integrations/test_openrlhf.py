"""OpenRLHF 0.11: contract of its published signatures (3c3be623); it needs flash-attn and vLLM, which need a GPU.

By hand at that commit and with the wheel 0.11.2 (these two packages as empty modules): the same on OpenRLHF's own
Experience and RemoteExperienceMaker, and `install` in its own `ppo_trainer`.
"""

from types import SimpleNamespace as Object

import pytest

import stepcredit as sc
from stepcredit.integrations.openrlhf import with_credit

GIGPO = {"gamma": 1.0, "spread": "none"}


class Maker:
    """What the adapter uses of RemoteExperienceMaker: args, kl_ctl, and one method that sets advantages."""

    args = Object(rollout=Object(n_samples_per_prompt=2))

    def __init__(self, kl=0.0):
        self.kl_ctl = Object(value=kl)

    def compute_advantages_and_returns(self, experiences):
        for e in experiences:
            e.advantages = e.returns = e.action_mask.float() * 9
        return experiences


def experience(torch, index, rewards, mask, labels):
    made = Object(index=index, rewards=torch.tensor(rewards), action_mask=torch.tensor(mask, dtype=torch.bool),
                  labels=labels, values=None, kl=torch.zeros(len(mask), len(mask[0])))  # fmt: skip
    made.action_log_probs = torch.zeros(made.action_mask.shape)
    made.base_action_log_probs = None
    return made


def label(*states):
    return {"label": "42", "stepcredit": {"state": list(states)}}


def test_experiences_of_different_width_and_order_share_their_groups(torch):
    experiences = [
        experience(torch, [2, 1], [1.0, 0.0], [[1, 1, 0, 1], [1, 0, 0, 0]], [label("s", "u"), label("s")]),
        experience(torch, [0, 3], [1.0, 0.0], [[1, 1], [0, 1]], [label("s"), label("s")]),
    ]
    with_credit(Maker, "gigpo", **GIGPO)().compute_advantages_and_returns(experiences)
    assert [e.advantages.tolist() for e in experiences] == [[[1, 1, 0, 0.5], [-1, 0, 0, 0]], [[1, 1], [0, -1]]]
    assert [e.returns.tolist() for e in experiences] == [e.advantages.tolist() for e in experiences]


def test_what_is_not_judged_leaves_the_action_mask(torch):
    held = experience(torch, [0, 1], [1.0, float("nan")], [[1, 1], [0, 1]], ["42", "42"])
    with_credit(Maker, "dr_grpo")().compute_advantages_and_returns([held])
    assert held.action_mask.tolist() == [[True, True], [False, False]]


def test_a_penalty_within_the_reward_is_not_lost_silently(torch):
    held = experience(torch, [0, 1], [1.0, 0.0], [[1], [1]], ["", ""])
    held.kl += 0.5
    with pytest.raises(sc.StepCreditError, match="KL penalty into the reward"):
        with_credit(Maker, "dr_grpo")(kl=0.1).compute_advantages_and_returns([held])


def test_a_missing_state_names_the_label(torch):
    held = experience(torch, [0, 1], [1.0, 0.0], [[1], [1]], ["", ""])
    with pytest.raises(sc.MissingColumn, match="AgentExecutor"):
        with_credit(Maker, "gigpo")().compute_advantages_and_returns([held])
