"""ms-swift 4.6: its own GRPO trainer's last stage of scoring, with real samples and batches; no model is run."""

from collections import defaultdict
from types import SimpleNamespace as Object

import pytest
from peer_packages import peer

import stepcredit as sc
from stepcredit.integrations.ms_swift import install, with_credit

GIGPO = {"gamma": 1.0, "spread": "none"}


@pytest.fixture
def swift(torch):
    return peer("swift.rlhf_trainers.grpo_trainer"), peer("swift.rl_core.data")


def trainer_of(swift, torch, method, rewards, dynamic=False, **options):
    """A trainer without a model: what `_postprocess_batch` of ms-swift reads, and nothing else."""
    trainer = object.__new__(with_credit(swift[0].GRPOTrainer, method, **options))
    trainer.__dict__.update(
        model=Object(training=True), template=Object(sequence_parallel_size=1), args=Object(steps_per_generation=2),
        accelerator=Object(process_index=0, num_processes=1, device=torch.device("cpu")),
        num_generations=2, num_generations_eval=2, dynamic_num_samples=dynamic, beta=0.0, kl_in_reward=False,
        advantage_estimator="grpo", scale_rewards="none", reward_weights=torch.ones(1), reward_func_names=["right"],
        advantage_reweight=None, sdar_loss_coef=0.0, use_teacher_api=False, _rewards_per_func=torch.tensor(rewards),
        _metrics={"train": defaultdict(list)}, _logs={"advantages": [], "rewards": defaultdict(list)},
        _teacher_use_disable_adapter=False, teacher_model=None,
    )  # fmt: skip
    return trainer


def sample(swift, ids, state=None, prompt="p", request="r"):
    infos = {} if state is None else {"stepcredit": {"state": state}}
    return swift[1].GRPOSample(
        messages=[], response_token_ids=ids, rollout_infos=infos, prompt_id=prompt, request_id=request
    )


def batch(swift, torch, mask, items=None):
    made = swift[1].GRPOBatch(
        completion_mask=torch.tensor(mask, dtype=torch.bool),
        truncated_mask=torch.zeros(len(mask), dtype=torch.bool),
        seq_lengths=torch.tensor([len(row) for row in mask]),
    )
    made.num_items_in_batch = items
    return {"grpo_batch": made}


@pytest.fixture
def no_teacher(swift, monkeypatch):
    monkeypatch.setattr(swift[0].GRPOTrainer, "_has_teacher", False, raising=False)


def test_each_mini_batch_gets_the_numbers_of_its_tokens(swift, torch, no_teacher):
    trainer = trainer_of(swift, torch, "gigpo", [[1.0], [0.0]], **GIGPO)
    samples = [sample(swift, [[1, 2], [3]], ["s", "u"]), sample(swift, [[1]], ["s"])]
    batches = [batch(swift, torch, [[1, 1, 0, 1]]), batch(swift, torch, [[0, 1]])]
    trainer._postprocess_batch(samples, batches)
    assert [b["grpo_batch"].advantages.tolist() for b in batches] == [[[1, 1, 0, 0.5]], [[0, -1]]]
    assert trainer._metrics["train"]["stepcredit/judged"] == [1.0]
    assert [float(s.advantages) for s in samples] == [0.5, -0.5]  # ms-swift's own, still logged


def test_what_is_not_judged_leaves_the_mask_and_its_count(swift, torch, no_teacher):
    nan = float("nan")
    trainer = trainer_of(swift, torch, "dr_grpo", [[1.0], [nan]])
    batches = [batch(swift, torch, [[1, 1]], torch.tensor(4)), batch(swift, torch, [[1, 1]], torch.tensor(4))]
    trainer._postprocess_batch([sample(swift, [[1, 2]]), sample(swift, [[1, 2]])], batches)
    assert [b["grpo_batch"].completion_mask.tolist() for b in batches] == [[[True, True]], [[False, False]]]
    assert [int(b["grpo_batch"].num_items_in_batch) for b in batches] == [2, 2]


def test_samples_of_a_request_are_parts_of_a_rollout(swift, torch, no_teacher, monkeypatch):
    monkeypatch.setattr(
        swift[0].GRPOTrainer, "_get_last_indices", lambda self, ids: torch.tensor([1, 2]), raising=False
    )
    trainer = trainer_of(swift, torch, "gigpo", [[1.0], [1.0], [0.0]], dynamic=True, **GIGPO)
    trainer.args.steps_per_generation = 1
    samples = [
        sample(swift, [[1]], ["s"], request="a"),
        sample(swift, [[1]], ["u"], request="a"),
        sample(swift, [[1]], ["s"], request="b"),
    ]
    batches = [batch(swift, torch, [[1], [1], [1]])]
    trainer._postprocess_batch(samples, batches)
    assert batches[0]["grpo_batch"].advantages.tolist() == [[1.0], [0.5], [-1.0]]


def test_what_our_numbers_would_replace_is_refused(swift, torch, no_teacher):
    trainer = trainer_of(swift, torch, "dr_grpo", [[1.0], [0.0]])
    trainer.kl_in_reward, trainer.beta = True, 0.1
    with pytest.raises(sc.StepCreditError, match="ms-swift's kl_in_reward"):
        trainer._postprocess_batch([], [])


def test_a_missing_state_names_rollout_infos(swift, torch, no_teacher):
    trainer = trainer_of(swift, torch, "gigpo", [[1.0], [0.0]])
    trainer.args.steps_per_generation = 1
    with pytest.raises(sc.MissingColumn, match=r'rollout_infos\["stepcredit"\]'):
        trainer._postprocess_batch([sample(swift, [[1]])] * 2, [batch(swift, torch, [[1], [1]])])


def test_the_trainer_that_ms_swift_makes_is_ours(swift, monkeypatch):
    package = peer("swift.rlhf_trainers")
    monkeypatch.setattr(package, "GRPOTrainer", package.GRPOTrainer)
    install("gigpo", **GIGPO)
    factory = peer("swift.trainers.trainer_factory").TrainerFactory
    made = factory.get_cls(Object(rlhf_type="grpo"), factory.TRAINER_MAPPING)
    assert made.__name__ == "CreditGRPOTrainer"
