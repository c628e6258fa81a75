"""NeMo-RL 0.7: contract of its published estimators (7ea279abf); it does not install on a CPU from PyPI.

By hand at that commit: on NeMo's own BatchedDataDict, and equal to its own GRPOAdvantageEstimator.
"""

import pytest

import stepcredit as sc
from stepcredit.integrations.nemo_rl import CreditEstimator

MASK = [[0, 0, 1, 1, 0, 1], [0, 0, 0, 1, 1, 0]]


def given(torch, *states):
    infos = [{"stepcredit": {"state": list(s)}, "other": 1} for s in states] or [None, None]
    return {
        "prompt_ids": torch.tensor([[5, 6, 0], [5, 6, 0]]), "rewards": torch.tensor([1.0, 0.0]),
        "mask": torch.tensor(MASK), "repeated_batch": {"extra_env_info": infos},
        "logprobs_policy": torch.zeros(2, 6), "logprobs_reference": None,
    }  # fmt: skip


def test_turns_get_their_own_numbers(torch):
    estimator = CreditEstimator("gigpo", gamma=1.0, spread="none")
    out = estimator.compute_advantage(**given(torch, ["s", "u"], ["s"]))
    assert out.tolist() == [[0, 0, 1, 1, 0, 0.5], [0, 0, 0, -1, -1, 0]]
    assert estimator.last_metrics["stepcredit/judged"] == 1.0


def test_groups_are_equal_prompts(torch):
    held = given(torch)
    held["prompt_ids"] = torch.tensor([[5, 6, 0], [5, 7, 0]])
    assert CreditEstimator("dr_grpo").compute_advantage(**held).abs().sum() == 0
    held["prompt_ids"] = torch.tensor([3, 3])
    assert CreditEstimator("dr_grpo").compute_advantage(**held).unique().tolist() == [-0.5, 0, 0.5]


def test_a_batch_without_columns_serves_outcome_methods_alone(torch):
    held = {**given(torch), "repeated_batch": {"total_reward": 1}}
    assert CreditEstimator("rloo").compute_advantage(**held).unique().tolist() == [-1, 0, 1]
    with pytest.raises(sc.MissingColumn, match="environment's metadata"):
        CreditEstimator("gigpo").compute_advantage(**held)


def test_what_is_not_judged_is_refused_or_counted(torch):
    held = {**given(torch), "rewards": torch.tensor([1.0, float("nan")])}
    with pytest.raises(sc.StepCreditError, match="2 sampled tokens are not judged"):
        CreditEstimator("dr_grpo").compute_advantage(**held)
    estimator = CreditEstimator("dr_grpo", unjudged="zero")
    assert estimator.compute_advantage(**held)[1].tolist() == [0] * 6
    assert estimator.last_metrics["stepcredit/tokens_not_judged"] == 2


def test_zeros_of_a_skipped_forward_pass_are_no_log_probs(torch):
    held = given(torch)
    held["logprobs_policy"], held["logprobs_reference"] = torch.full((2, 6), -1.0), torch.zeros(2, 6)
    with pytest.raises(sc.MissingColumn, match="token_ref_logp"):
        CreditEstimator("prl").compute_advantage(**held)
    held["logprobs_reference"] = torch.full((2, 6), -1.5)
    assert CreditEstimator("prl").compute_advantage(**held).isfinite().all()
