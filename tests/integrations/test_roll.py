"""ROLL 0.3: contract of its published function (8eb27cc2); it is not on PyPI.

By hand at that commit: the wrapper around ROLL's own `agentic_compute_advantage` on its own DataProto.
"""

from types import SimpleNamespace as Object

import numpy as np
import pytest

import stepcredit as sc
from stepcredit.integrations.roll import with_credit

GIGPO = {"gamma": 1.0, "spread": "none"}


def original(data, gamma, lambd, adv_estimator, advantage_clip=None, pipeline_config=None, **given):
    """What the wrapper uses: `advantages` and `returns` of the width of response_mask[:, 1:]."""
    data.batch["advantages"] = data.batch["returns"] = data.batch["response_mask"][:, 1:].float() * 9
    return data


def objects(values):
    out = np.empty(len(values), object)
    out[:] = values
    return out


def call(data, method, config=None, clip=None, **options):
    compute = with_credit(original, method, **options)
    return compute(data=data, gamma=1.0, lambd=1.0, adv_estimator="grpo", advantage_clip=clip, pipeline_config=config)


def step_rows(torch, **more):
    """One row per step, shuffled: step 1 of rollout a, step 0 of b, step 0 of a."""
    held = {
        "traj_group_id": objects(["p"] * 3), "traj_id": objects(["a", "b", "a"]), "step": objects([1, 0, 0]),
        "episode_scores": objects([1.0, 0.0, 1.0]), "step_scores": objects([1.0, 0.0, 0.0]),
        "state_hash": objects(["u", "s", "s"]), **more,
    }  # fmt: skip
    mask = torch.tensor([[0, 0, 1, 1], [0, 0, 1, 0], [0, 1, 1, 0]])
    return Object(batch={"response_mask": mask}, non_tensor_batch=held)


def test_step_rows_get_credit_by_their_place_in_the_rollout(torch):
    data = call(step_rows(torch), "gigpo", **GIGPO)
    assert data.batch["advantages"].tolist() == [[0, 0.5, 0.5], [0, -1, 0], [1, 1, 0]]
    assert data.batch["returns"].tolist() == data.batch["advantages"].tolist()


def test_one_row_of_many_turns_takes_lists_of_scores_and_columns(torch):
    held = {
        "traj_group_id": objects(["p", "p"]), "traj_id": objects(["a", "b"]), "episode_scores": objects([1.0, 0.0]),
        "step_scores": objects([[0.0, 1.0], [0.0]]),
        "stepcredit": objects([{"state": ["s", "u"]}, {"state": ["s"]}]),
    }  # fmt: skip
    mask = torch.tensor([[0, 1, 1, 0, 1], [0, 1, 0, 0, 0]])
    data = call(Object(batch={"response_mask": mask}, non_tensor_batch=held), "gigpo", clip=0.75, **GIGPO)
    assert data.batch["advantages"].tolist() == [[0.75, 0.75, 0, 0.5], [-0.75, 0, 0, 0]]
    assert data.batch["raw_advantages"].tolist() == [[1, 1, 0, 0.5], [-1, 0, 0, 0]]


def test_what_is_not_judged_leaves_the_response_mask(torch):
    data = step_rows(torch, episode_scores=objects([None, 0.0, None]), step_scores=objects([0.0] * 3))
    assert call(data, "dr_grpo", reward="outcome").batch["response_mask"].tolist() == [[0] * 4, [0, 0, 1, 0], [0] * 4]


def test_what_our_numbers_would_replace_is_refused(torch):
    with pytest.raises(sc.StepCreditError, match="ROLL's add_token_level_kl"):
        call(step_rows(torch), "dr_grpo", config=Object(add_token_level_kl=True))


def test_log_probs_that_roll_made_up_are_not_told(torch):
    """Without a recomputation ROLL fills the policy's with zeros, without a reference it copies the policy's."""

    def batch(old):
        made = step_rows(torch)
        made.batch.update(old_log_probs=torch.full((3, 3), old), ref_log_probs=torch.full((3, 3), -1.5))
        return made

    assert call(batch(-1.0), "prl").batch["advantages"].isfinite().all()
    with pytest.raises(sc.MissingColumn, match="token_old_logp"):
        call(batch(0.0), "prl")
    with pytest.raises(sc.MissingColumn, match="token_ref_logp"):
        call(batch(-1.0), "prl", config=Object(enable_reference=False))
