"""Credit inside verl's v1 trainer, on a real TransferQueue: what agent loops put there, rollouts of many rows, masks.

Rows are written by verl's own agent-loop worker and read, credited and written back by the trainer's own method; only
the model, its servers and its workers are not there.
"""

import asyncio
import math

import numpy as np
import pytest
from verl_data import full, load_verl

import stepcredit as sc

# ray and its logging leave sockets and files to the collector.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def queue(torch):
    load_verl()
    import ray
    import transfer_queue as tq

    ray.init(num_cpus=16, include_dashboard=False, log_to_driver=False)
    tq.init()
    yield tq
    tq.close()
    ray.shutdown()


@pytest.fixture
def worker():
    """An agent-loop worker, without its servers."""
    from verl.trainer.ppo.v1 import AgentLoopWorkerTQ

    real = AgentLoopWorkerTQ.__ray_metadata__.modified_class
    made = object.__new__(real)
    made.reward_loop_worker_handles, made.processor, made.distillation_enabled = None, None, False
    return made


class Run:
    """One step of the trainer from sampled rows to advantages."""

    def __init__(self, queue, worker):
        self.queue, self.worker = queue, worker
        self.keys, self.metrics = [], {}

    def put(self, uid, sample, *outputs, score):
        """The outputs of one agent loop: (mask, what it attached to extra_fields) each."""
        from verl.experimental.agent_loop.agent_loop import AgentLoopMetrics, AgentLoopOutput

        made = [
            AgentLoopOutput(
                prompt_ids=[1, 2, 3],
                response_ids=list(range(len(mask))),
                response_mask=mask,
                num_turns=2,
                metrics=AgentLoopMetrics(),
                extra_fields={**extra, "reward_extra_info": {"acc": score}},
            )
            for mask, extra in outputs
        ]
        made[-1].reward_score = score
        put = self.worker._agent_loop_postprocess(
            made, False, uid=uid, session_id=sample, global_steps=1, raw_prompt="?"
        )
        asyncio.run(put)
        self.keys += [f"{uid}_{sample}_{i}" for i in range(len(made))]

    def meta(self, order=None):
        tags = self.queue.kv_list(partition_id="train")["train"]
        keys = self.keys if order is None else [self.keys[i] for i in order]
        return self.queue.KVBatchMeta(keys=keys, tags=[tags[k] for k in keys], partition_id="train")

    def trainer(self, method, **settings):
        """verl's trainer, without the workers that its constructor starts."""
        from verl.trainer.ppo.v1 import PPOTrainerSync

        trainer = object.__new__(PPOTrainerSync)
        trainer.config = full(adv_estimator=method, **settings)
        return trainer

    def step(self, method, meta=None, loss="vanilla", **settings):
        trainer = self.trainer(method, **settings)
        trainer.config.actor_rollout_ref.actor.policy_loss.loss_mode = loss
        return trainer._compute_advantage(meta or self.meta(), self.metrics)

    def read(self, name, keys=None):
        rows = self.queue.kv_batch_get(keys=keys or self.keys, partition_id="train", select_fields=[name])[name]
        return [row.tolist() for row in rows.unbind()]


@pytest.fixture
def run(queue, worker):
    yield Run(queue, worker)
    keys = list(queue.kv_list("train").get("train", {}))
    if keys:
        queue.kv_clear(keys=keys, partition_id="train")


def state(*states):
    return {"stepcredit": {"state": list(states)}}


def near(rows, expected):
    assert [len(r) for r in rows] == [len(r) for r in expected]
    for got, want in zip(rows, expected, strict=True):
        assert got == pytest.approx(want, abs=1e-5)


def doors(run):
    run.put("p", 0, ([1, 1, 0, 1], state("door", "hall")), score=1.0)
    run.put("p", 1, ([1, 1, 1], state("door")), score=0.0)


def test_states_of_an_agent_loop_reach_the_method(run):
    doors(run)
    out = run.step("stepcredit.gigpo", stepcredit={"gamma": 1.0, "spread": "none", "lint_every": 1})
    assert out.keys == run.keys
    near(run.read("advantages"), [[1, 1, 0, 0.5], [-1, -1, -1]])
    near(run.read("returns"), [[1, 1, 0, 0.5], [-1, -1, -1]])
    assert run.metrics["stepcredit/judged"] == 1
    assert run.metrics["stepcredit/steps"] == 1.5
    assert run.metrics["stepcredit/lint_errors"] == 0


def test_the_outputs_of_one_agent_loop_are_one_rollout(run):
    """A context reset, a sub-agent: each output is a row with a copy of the score. Rows come in any order."""
    run.put("p", 0, ([1, 1], state("door")), ([1, 0, 1], state("hall", "yard")), score=1.0)
    run.put("p", 1, ([1, 1, 1], state("door")), score=0.0)
    run.step("stepcredit.gigpo", run.meta([1, 2, 0]), stepcredit={"gamma": 0.5, "spread": "none"})
    batch = sc.from_arrays(
        group=["p", "p"],
        response_mask=np.array([[1, 0, 1, 0, 1], [1, 0, 0, 0, 0]]),
        state=[["door", "hall", "yard"], ["door"]],
        outcome=[1, 0],
    )
    a, b, c, d = sc.assign(batch, "gigpo", gamma=0.5, spread="none").steps
    near(run.read("advantages"), [[a, a], [b, 0, c], [d, d, d]])


def test_grpo_on_rollouts_of_many_rows_is_verls(run):
    rng = np.random.default_rng(0)
    for sample in range(4):
        outputs = [([1] * int(rng.integers(1, 4)), {}) for _ in range(int(rng.integers(1, 4)))]
        run.put("p", sample, *outputs, score=float(rng.normal()))
    order = rng.permutation(len(run.keys)).tolist()
    run.step("grpo", run.meta(order))
    expected = run.read("advantages")
    run.step("stepcredit.grpo@verl", run.meta(order))
    near(run.read("advantages"), expected)
    assert any(any(row) for row in expected)


def test_a_failed_reward_leaves_both_masks_of_the_queue(run):
    """The loss is a sum over response_mask, divided by the sum of loss_mask."""
    doors(run)
    run.put("p", 2, ([1, 0, 1, 1, 1], state("door", "yard")), score=math.nan)
    out = run.step("stepcredit.grpo@verl")
    assert out.keys == run.keys
    for name in ("response_mask", "loss_mask"):
        assert run.read(name) == [[1, 1, 0, 1], [1, 1, 1], [0, 0, 0, 0, 0]]
    advantages = run.read("advantages")
    assert advantages[2] == [0] * 5
    assert run.metrics["stepcredit/tokens_not_judged"] == 4
    assert all(math.isfinite(v) for row in advantages for v in row)


def loss_and_gradient(run, torch, logps):
    """verl's actor loss on the rows of the queue, as its engines call it."""
    from tensordict import TensorDict
    from verl.workers.config import ActorConfig
    from verl.workers.utils.losses import ppo_loss

    fields = ["prompts", "responses", "response_mask", "loss_mask", "advantages"]
    data = run.queue.kv_batch_get(keys=run.keys, partition_id="train", select_fields=fields)
    logps = [row.clone().requires_grad_() for row in logps[: len(run.keys)]]
    nested = torch.nested.as_nested_tensor([torch.cat([torch.zeros(2), row, torch.zeros(1)]) for row in logps],
                                           layout=torch.jagged)  # fmt: skip
    data["old_log_probs"] = torch.nested.as_nested_tensor([row.detach() - 0.1 for row in logps], layout=torch.jagged)
    data["prompts"] = torch.nested.as_nested_tensor([torch.zeros(3, dtype=torch.long) for _ in logps],
                                                    layout=torch.jagged)  # fmt: skip
    given = TensorDict({name: data[name] for name in (*fields, "old_log_probs")}, batch_size=len(run.keys))
    for name, value in {"dp_size": 1, "batch_num_tokens": data["loss_mask"].values().sum().item(),
                        "global_batch_size": len(run.keys)}.items():  # fmt: skip
        given.set_non_tensor(name, value)
    config = ActorConfig(strategy="fsdp", rollout_n=1, ppo_micro_batch_size_per_gpu=1, loss_agg_mode="token-mean")
    loss, _ = ppo_loss(config, {"log_probs": nested}, given)
    loss.backward()
    return loss.item(), [row.grad.tolist() for row in logps]


def test_the_loss_is_that_of_the_batch_without_the_failed_rollout(run, torch):
    logps = [torch.tensor([-1.0, -0.5, -2.0, -0.3]), torch.tensor([-0.7, -0.2, -1.1]), torch.full((5,), -1.0)]
    doors(run)
    run.step("stepcredit.grpo@verl")
    expected, gradient = loss_and_gradient(run, torch, logps)
    run.put("p", 2, ([1, 0, 1, 1, 1], state("door", "yard")), score=math.nan)
    run.step("stepcredit.grpo@verl")
    loss, with_failed = loss_and_gradient(run, torch, logps)
    assert loss == pytest.approx(expected)
    near(with_failed[:2], gradient)
    assert with_failed[2] == [0] * 5
    assert any(gradient[0])


def test_all_judged_leaves_the_masks_alone(run):
    doors(run)
    run.step("stepcredit.grpo@verl")
    assert run.read("response_mask") == [[1, 1, 0, 1], [1, 1, 1]]


def test_rows_that_fill_the_batch_up_are_no_rollouts(run):
    """verl adds rows of one masked token; a method that pools over the batch must not see them."""
    from verl.trainer.ppo.padding_utils import upsample_batch_to_divisible_size

    doors(run)
    run.put("q", 0, ([1, 1], state("yard")), score=1.0)
    meta = upsample_batch_to_divisible_size(run.meta(), 8, eos_token_id=0)
    assert len(meta) == 8
    run.step("stepcredit.gigpo@trinity", meta)
    filled = run.read("advantages", meta.keys)
    assert filled[3:] == [[0.0]] * 5
    run.step("stepcredit.gigpo@trinity", run.meta())
    near(filled[:3], run.read("advantages"))
    assert run.metrics["stepcredit/steps"] == pytest.approx(4 / 3)


def test_a_critic_and_the_reference_are_columns(run, torch):
    from tensordict import TensorDict

    doors(run)
    values = torch.nested.as_nested_tensor([torch.tensor([0.5, 0.4, 9.0, 0.2]), torch.tensor([0.5, 0.4, 0.3])],
                                           layout=torch.jagged)  # fmt: skip
    run.queue.kv_batch_put(keys=run.keys, partition_id="train", fields=TensorDict({"values": values}, batch_size=2))
    run.step("gae", lam=0.9)
    expected, target = run.read("advantages"), run.read("returns")
    run.step("stepcredit.gae_token@verl", lam=0.9, stepcredit={"lam": 0.9})
    ours, returns = run.read("advantages"), run.read("returns")
    for row, mask in enumerate(run.read("response_mask")):
        for t, sampled in enumerate(mask):
            if sampled:
                assert ours[row][t] == pytest.approx(expected[row][t], abs=1e-5)
                assert returns[row][t] == pytest.approx(target[row][t], abs=1e-5)


def test_entropies_are_fetched_where_a_method_takes_them(run, torch):
    from tensordict import TensorDict

    for sample, score in enumerate((1.0, 0.0)):
        extra = {"stepcredit": {"token_plan": [1, 0, 0, 0] + [0] * sample}}
        run.put("p", sample, ([1, 1, 0, 1][: 4 - sample] + [1] * sample * 2, extra), score=score)
    entropy = torch.nested.as_nested_tensor([torch.tensor([0.1, 0.9, 0.0, 0.2]), torch.rand(5)], layout=torch.jagged)
    fields = TensorDict({"entropy": entropy}, batch_size=2)
    run.queue.kv_batch_put(keys=run.keys, partition_id="train", fields=fields)
    run.step("stepcredit.hicra", stepcredit={"entropy_top": 0.5})
    assert all(any(row) for row in run.read("advantages"))


def test_tokens_that_verl_rejects_do_not_cut_turns(run, torch):
    """Its rollout correction takes tokens out of the mask first; the whole mask says where turns are."""
    from tensordict import TensorDict

    doors(run)
    old = torch.nested.as_nested_tensor([torch.full((4,), -1.0), torch.full((3,), -1.0)], layout=torch.jagged)
    far = [torch.full((4,), -1.0), torch.tensor([-1.0, -9.0, -1.0])]
    fields = {"old_log_probs": old, "rollout_log_probs": torch.nested.as_nested_tensor(far, layout=torch.jagged)}
    run.queue.kv_batch_put(keys=run.keys, partition_id="train", fields=TensorDict(fields, batch_size=2))
    settings = {
        "rollout_correction.rollout_rs": "token_k1",
        "rollout_correction.rollout_rs_threshold": 2.0,
        "rollout_correction.bypass_mode": False,
    }
    run.step("stepcredit.gigpo", **settings, stepcredit={"gamma": 1.0, "spread": "none"})
    assert run.read("response_mask") == [[1, 1, 0, 1], [1, 0, 1]]
    near(run.read("advantages"), [[1, 1, 0, 0.5], [-1, -1, -1]])


def test_a_missing_column_names_what_the_loop_can_attach(run):
    run.put("p", 0, ([1, 1, 0, 1], {"room": "hall"}), score=1.0)
    run.put("p", 1, ([1, 1, 1], {"room": "yard"}), score=0.0)
    with pytest.raises(sc.MissingColumn, match=r'state(.|\n)*extra_fields\["stepcredit"\]'):
        run.step("stepcredit.gigpo")
    with pytest.raises(sc.UnknownName, match="room"):
        run.step("stepcredit.gigpo", stepcredit={"columns.state": "rom"})


def test_what_a_reward_function_returns_can_be_mapped(run):
    doors(run)
    run.step("stepcredit.dr_grpo", stepcredit={"columns.outcome": "acc"})
    near(run.read("advantages"), [[0.5, 0.5, 0, 0.5], [-0.5] * 3])


def test_what_is_misspelt_stops_the_trainer_before_it_starts(run):
    from verl.trainer.ppo.v1 import PPOTrainerSync

    with pytest.raises(sc.UnknownName, match="gigpo"):
        PPOTrainerSync(full(adv_estimator="stepcredit.gigpoo"))
    with pytest.raises(sc.UnknownName, match="gamma"):
        PPOTrainerSync(full(adv_estimator="stepcredit.gigpo", stepcredit={"gama": 0.9}))


WEIGHING = """
from stepcredit.credit import Card, Result

CARD = Card(title="Weighs turns", paper="", bibtex="", evidence="derived", needs="an outcome", bias="", departures="")


def weighing(layout, outcome):
    turn = layout.turn.astype(float)
    return Result(outcome[layout.rollout], loss_weight=1 + turn)
"""


def test_a_method_in_a_file_of_yours_weighs_the_loss(run, tmp_path):
    file = tmp_path / "weighing.py"
    file.write_text(WEIGHING)
    doors(run)
    run.step(f"stepcredit.{file}", stepcredit={"lint_every": 0})
    near(run.read("advantages"), [[1, 1, 0, 2], [0, 0, 0]])


def test_weights_do_not_travel_where_the_loss_is_not_linear_in_advantages(run, tmp_path):
    file = tmp_path / "weighing.py"
    file.write_text(WEIGHING)
    doors(run)
    with pytest.raises(sc.StepCreditError, match=r"loss_weight(.|\n)*'kl_cov'"):
        run.step(f"stepcredit.{file}", loss="kl_cov", stepcredit={"lint_every": 0})
    run.step(f"stepcredit.{file}", loss="kl_cov", stepcredit={"lint_every": 0, "drop": ["loss_weight"]})
    near(run.read("advantages"), [[1, 1, 0, 1], [0, 0, 0]])


def test_steps_that_a_method_does_not_train_on_leave_the_masks(run):
    """R3L: a retry trains from its pivot on."""
    run.put("p", 0, ([1, 1, 0, 1], {"stepcredit": {"pivot": 1}}), score=1.0)
    run.put("p", 1, ([1, 1, 1], {"stepcredit": {"pivot": 0}}), score=0.0)
    run.step("stepcredit.r3l")
    assert run.read("response_mask") == run.read("loss_mask") == [[0, 0, 0, 1], [1, 1, 1]]


def test_a_clip_range_per_token_has_no_place(run):
    run.put("p", 0, ([1, 1, 0, 1], {"stepcredit": {"gain": [0.3, 0.1]}}), score=1.0)
    run.put("p", 1, ([1, 1, 1], {"stepcredit": {"gain": [0.2]}}), score=0.0)
    with pytest.raises(sc.StepCreditError, match=r"clip_scale(.|\n)*drop=\[clip_scale\]"):
        run.step("stepcredit.a2tgpo")
    run.step("stepcredit.a2tgpo", stepcredit={"drop": ["clip_scale"]})
    assert any(run.read("advantages")[0])


def test_workers_of_ray_load_it_and_its_errors_come_back(queue):
    import ray

    @ray.remote
    def registered():
        from verl.trainer.ppo.core_algos import ADV_ESTIMATOR_REGISTRY

        return sorted(n for n in ADV_ESTIMATOR_REGISTRY if n.startswith("stepcredit."))

    @ray.remote
    def wrong():
        import verl.trainer.ppo.ray_trainer as trainer

        trainer.compute_advantage(data=type("Data", (), {"batch": {"response_mask": 0}})(),
                                  adv_estimator="stepcredit.gigpoo", config=None)  # fmt: skip

    names = ray.get(registered.remote())
    assert "stepcredit.gigpo@verl-agent" in names
    assert len(names) > 100
    with pytest.raises(ray.exceptions.RayError, match="did you mean 'gigpo'"):
        ray.get(wrong.remote())
