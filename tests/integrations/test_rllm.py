"""rLLM: contract of its published signatures (9beb6e0f, 0.3.0-pre); rLLM is not on PyPI.

By hand at that commit: the hook through rLLM's own `transform_episodes_to_trajectory_groups`,
`collect_reward_and_advantage_from_trajectory_groups`, Tinker transform and verl transform.
"""

import sys
from types import ModuleType
from types import SimpleNamespace as Object

import numpy as np
import pytest

import stepcredit as sc
from stepcredit.integrations.rllm import TrajectoryCredit, credit_hook, spread_on_verl

GIGPO = {"gamma": 1.0, "spread": "none"}


def step(ids, state=None, reward=0.0):
    metadata = None if state is None else {"stepcredit": {"state": state}}
    return Object(response_ids=ids, logprobs=[-1.0] * len(ids), reward=reward, metadata=metadata, advantage=None)


def trajectory(uid, reward, steps):
    return Object(uid=uid, name="agent", reward=reward, steps=steps, metadata=None)


def group(states=True):
    s, u = ("s", "u") if states else (None, None)
    first = trajectory("a", 1.0, [step([1, 2], s), step([3, 4, 5], u, 1.0)])
    return Object(group_id="t:agent", task_id="t", trajectories=[first, trajectory("b", 0.0, [step([1, 2], s)])])


def test_each_step_has_a_list_as_long_as_its_response():
    held = group()
    hook = credit_hook("gigpo", base=lambda episodes, config, filtering: episodes, **GIGPO)
    assert hook([held], None) == [held]
    assert [[s.advantage for s in t.steps] for t in held.trajectories] == [[[1.0] * 2, [0.5] * 3], [[-1.0] * 2]]


def test_a_method_without_its_state_names_the_place_for_it():
    with pytest.raises(sc.MissingColumn, match=r'step\.metadata\["stepcredit"\]'):
        TrajectoryCredit("gigpo")([group(states=False)])


def test_steps_have_no_loss_mask_so_what_is_not_judged_is_refused():
    held = group()
    held.trajectories[1].reward = None
    with pytest.raises(sc.StepCreditError, match="rLLM has no loss mask"):
        TrajectoryCredit("dr_grpo")([held])
    hook = credit_hook("dr_grpo", base=lambda episodes, *_: episodes, unjudged="zero")
    hook([held], None)
    assert held.trajectories[1].steps[0].advantage == [0.0, 0.0]
    assert hook.credit.last.stats["judged"] == pytest.approx(2 / 3)


def test_one_task_at_a_time_is_no_batch():
    with pytest.raises(sc.StepCreditError, match="rLLM hands over one task"):
        TrajectoryCredit("reinforce_plus_plus")([group()])


def verl_batch(torch, responses, mask, uids, **more):
    held = {"response_mask": torch.tensor(mask), "responses": torch.tensor(responses), "traj_rewards": "kept"}
    return Object(batch=held, non_tensor_batch={"step_ids": np.array(uids, dtype=object), **more})


def test_rows_of_the_verl_backend_are_found_by_their_tokens(torch):
    held = group()
    TrajectoryCredit("gigpo", **GIGPO)([held])
    batch = verl_batch(
        torch,
        [[1, 2, 9, 3, 4, 5], [1, 2, 0, 0, 0, 0], [3, 4, 5, 0, 0, 0], [1, 2, 0, 0, 0, 0]],
        [[1, 1, 0, 1, 1, 1], [1, 1, 0, 0, 0, 0], [1, 1, 1, 0, 0, 0], [1, 1, 0, 0, 0, 0]],
        ["a", "b", "a", "b"],
        is_pad_step=np.array([False, False, False, True]),
    )
    out = spread_on_verl(batch, [held])
    assert out.batch["advantages"].tolist() == [
        [1, 1, 0, 0.5, 0.5, 0.5], [-1, -1, 0, 0, 0, 0], [0.5, 0.5, 0.5, 0, 0, 0], [0] * 6,
    ]  # fmt: skip
    assert out.batch["token_level_rewards"] == "kept"


def test_a_row_of_other_tokens_is_refused(torch):
    held = group()
    TrajectoryCredit("gigpo", **GIGPO)([held])
    with pytest.raises(sc.LayoutError, match="row 0 holds tokens that are no run"):
        spread_on_verl(verl_batch(torch, [[7, 7]], [[1, 1]], ["a"]), [held])


def test_lists_by_token_are_joined_over_steps_and_may_be_missing():
    held = group()
    held.trajectories[0].steps[0].metadata["stepcredit"]["token_value"] = [0.1, 0.2]
    out = TrajectoryCredit("dr_grpo")([held])
    assert out.credit.batch["token_value"].tolist()[:2] == [0.1, 0.2]
    assert np.isnan(out.credit.batch["token_value"][2:]).all()


def test_the_verl_backend_gets_the_function_that_reads_lists(monkeypatch):
    backend = ModuleType("rllm.trainer.verl.verl_backend")
    backend.update_dataproto_with_advantages = None
    monkeypatch.setitem(sys.modules, backend.__name__, backend)
    credit_hook("dr_grpo", base=lambda episodes, *_: episodes)([group()], None)
    assert backend.update_dataproto_with_advantages is spread_on_verl
