"""atropos 0.4: per-token advantages in the groups that an environment sends."""

import numpy as np
import pytest
from peer_packages import peer

import stepcredit as sc
from stepcredit.integrations.atropos import GroupCredit

GIGPO = {"gamma": 1.0, "spread": "none"}


def group(**more):
    return {
        "tokens": [[5, 6, 7, 8, 9], [5, 6, 7]],
        "masks": [[-100, 6, 7, -100, 9], [-100, 6, 7]],
        "scores": [1.0, 0.0],
        **more,
    }


def test_advantages_are_as_long_as_tokens():
    out = GroupCredit("gigpo", **GIGPO)(group(), state=[["s", "u"], ["s"]])
    assert out["advantages"] == [[0, 1, 1, 0, 0.5], [0, -1, -1]]
    assert out["masks"] == group()["masks"]
    assert out["scores"] == [1.0, 0.0]


def test_what_is_not_judged_is_masked():
    held = group(tokens=[[5, 6]] * 3, masks=[[-100, 6]] * 3, scores=[1.0, None, 0.0])
    out = GroupCredit("dr_grpo")(held)
    assert out["masks"] == [[-100, 6], [-100, -100], [-100, 6]]
    assert out["advantages"] == [[0, 0.5], [0, 0], [0, -0.5]]


def test_rewards_of_messages_are_rewards_of_steps():
    def talk(*rewards):
        return [{"role": "user", "content": "", "reward": None}] + [
            {"role": "assistant", "content": "", "reward": r} for r in rewards
        ]

    credit = GroupCredit("step_grpo")
    credit(group(messages=[talk(0.25, 0.75), talk(0.0)], inference_logprobs=[[1, 2, 3, 4, 5], [1, 2, 3]]))
    assert credit.last.credit.batch["reward"].tolist() == [0.25, 0.75, 0.0]
    assert credit.last.credit.batch["token_old_logp"].tolist() == [2, 3, 5, 2, 3]


def test_lists_of_groups_and_none_pass():
    credit = GroupCredit("dr_grpo")
    assert credit(None) is None
    assert [one and one["advantages"] for one in credit([group(), None])] == [
        [[0, 0.5, 0.5, 0, 0.5], [0, -0.5, -0.5]],
        None,
    ]


def test_a_missing_state_names_the_call_and_pooling_is_refused():
    with pytest.raises(sc.MissingColumn, match=r"credit\(group, state="):
        GroupCredit("gigpo")(group())
    with pytest.raises(sc.StepCreditError, match="atropos hands over one group"):
        GroupCredit("reinforce_plus_plus")


def test_a_trainer_gets_the_group_from_atropos_own_server():
    server, client = peer("atroposlib.api.server"), peer("fastapi.testclient")
    out = GroupCredit("gigpo", **GIGPO)(group(), state=[["s", "u"], ["s"]])
    trainer = {"wandb_group": "", "wandb_project": "", "batch_size": 2, "max_token_len": 9, "checkpoint_dir": "",
               "save_checkpoint_interval": 1, "starting_step": 0, "num_steps": 1}  # fmt: skip
    http = client.TestClient(server.app)
    assert http.post("/register", json=trainer).status_code == 200
    assert http.get("/batch").json()["batch"] is None
    assert http.post("/scored_data", json=out).json()["status"] == "received"
    received = http.get("/batch").json()["batch"][0]
    assert received["advantages"] == out["advantages"]
    assert received["masks"] == out["masks"]


def test_the_environments_own_lengths_agree_with_the_mask():
    base = peer("atroposlib.envs.base")
    assert "advantages" in base.ScoredDataGroup.__annotations__
    out = GroupCredit("dr_grpo")(group())
    assert [sum(m != -100 for m in mask) for mask in out["masks"]] == [np.count_nonzero(a) for a in out["advantages"]]
