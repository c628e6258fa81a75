"""slime and miles: contract of their published signatures (624b824a8, 0.3.1; 31f1ca961). They need a GPU to install.

By hand at these commits: `post_process` inside slime's own `_convert_samples_to_train_data`, `advantages` inside its
own `compute_advantages_and_returns`; `post_process` inside miles' `convert_samples_to_train_data`.
"""

from types import SimpleNamespace as Object

import pytest

import stepcredit as sc
from stepcredit.integrations.slime import SlimeCredit

SLIME = Object(custom_advantage_function_path="my_credit.advantages", advantage_estimator="grpo")
MILES = Object(advantage_estimator="grpo")


def sample(group, reward, mask, index=0, rollout=None, logps=None, **columns):
    return Object(
        group_index=group, index=index, rollout_id=rollout, reward=reward, loss_mask=mask, response_length=len(mask),
        rollout_log_probs=logps, metadata={"stepcredit": columns}, get_reward_value=lambda args: reward,
    )  # fmt: skip


def samples():
    return [
        sample(0, 1.0, [1, 1, 0, 1], 0, state=["s", "u"]),
        sample(0, 0.0, [1, 1, 1, 0], 1, state=["s"]),
    ]


def test_both_hooks_bring_one_number_per_response_token(torch):
    credit = SlimeCredit("gigpo", gamma=1.0, spread="none")
    raw, rewards = credit.post_process(SLIME, samples())
    assert raw == [1.0, 0.0]
    assert [r.tolist() for r in rewards] == [[1.0, 1.0, 0.0, 0.5], [-1.0, -1.0, -1.0, 0.0]]
    kl = [torch.zeros(4, dtype=torch.bfloat16)] * 2
    data = {"rewards": rewards, "kl": kl, "response_lengths": [4, 4], "total_lengths": [9, 9]}
    credit.advantages(SLIME, data)
    assert [a.tolist() for a in data["advantages"]] == [r.tolist() for r in rewards]
    assert data["advantages"][0].dtype == torch.bfloat16
    assert data["returns"][0] is not data["advantages"][0]


def test_what_is_not_judged_leaves_the_samples_loss_mask(torch):
    held = [sample(0, value, [1, 0, 1]) for value in (1.0, None, 0.0)]
    SlimeCredit("dr_grpo").post_process(SLIME, held)
    assert [s.loss_mask for s in held] == [[1, 0, 1], [0, 0, 0], [1, 0, 1]]


def test_a_sample_without_loss_mask_is_one_turn(torch):
    held = samples()
    held[1].loss_mask = None
    _, rewards = SlimeCredit("dr_grpo").post_process(SLIME, held)
    assert rewards[1].tolist() == [-0.5] * 4


def test_turns_that_touch_are_told_by_their_lengths(torch):
    held = [sample(0, 1.0, [1, 1, 1], turns=[1, 2], state=["s", "u"]), sample(0, 0.0, [1], state=["s"])]
    _, rewards = SlimeCredit("gigpo", gamma=1.0, spread="none").post_process(SLIME, held)
    assert rewards[0].tolist() == [1.0, 0.5, 0.5]


def test_siblings_of_a_rollout_are_its_parts(torch):
    held = [
        sample(0, 1.0, [1], 0, 7, state=["s"]),
        sample(0, 1.0, [1], 1, 7, state=["u"]),
        sample(0, 0.0, [1], 2, 8, state=["s"]),
    ]
    _, rewards = SlimeCredit("gigpo", gamma=1.0, spread="none").post_process(MILES, held)
    assert rewards == [1.0, 0.5, -1.0]


def test_miles_takes_one_number_per_sample():
    with pytest.raises(sc.StepCreditError, match="sample 0 has 2 different numbers"):
        SlimeCredit("gigpo", gamma=1.0, spread="none").post_process(MILES, samples())
    with pytest.raises(sc.StepCreditError, match="advantage-estimator ppo computes its own"):
        SlimeCredit("dr_grpo").post_process(Object(advantage_estimator="ppo"), samples())


def test_advantages_without_the_other_hook_name_its_flag():
    data = {"rewards": [0.5], "kl": [[0.0] * 3], "response_lengths": [3], "total_lengths": [5]}
    with pytest.raises(sc.StepCreditError, match="--custom-reward-post-process-path"):
        SlimeCredit("dr_grpo").advantages(SLIME, data)


def test_a_missing_state_names_the_metadata():
    held = [sample(0, 1.0, [1]), sample(0, 0.0, [1])]
    with pytest.raises(sc.MissingColumn, match=r'sample\.metadata\["stepcredit"\]'):
        SlimeCredit("gigpo").post_process(SLIME, held)
