"""A real verl run, on the CPU: its main, trainer, TransferQueue, agent loops, FSDP engine; credit from our plugin.

What stands in is in verl_cpu.py: the GPU's platform, and vLLM (transformers samples the tokens).
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from verl_data import load_verl

HERE = Path(__file__).parent
TOKENS = ["<pad>", "<eos>", "<unk>", *"0123456789", *"+=", *"abcdefgh", "Ċ", "Ġ"]


@pytest.fixture
def folder(torch, transformers, tmp_path):
    """A model of one layer, its tokenizer, and prompts."""
    load_verl()
    import pyarrow as pa
    import pyarrow.parquet as pq
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = Tokenizer(models.WordLevel({t: i for i, t in enumerate(TOKENS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>"
    )
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
    tokenizer.save_pretrained(tmp_path / "model")
    torch.manual_seed(0)
    config = transformers.Qwen2Config(
        vocab_size=len(TOKENS), hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=64, eos_token_id=1, pad_token_id=0, bos_token_id=1,
    )  # fmt: skip
    transformers.Qwen2ForCausalLM(config).save_pretrained(tmp_path / "model")
    rows = [
        {
            "data_source": "doors",
            "prompt": [{"role": "user", "content": f"{a}+{b}="}],
            "reward_model": {"style": "rule", "ground_truth": ""},
            "extra_info": {"index": 4 * a + b},
        }
        for a in range(4)
        for b in range(4)
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "prompts.parquet")
    (tmp_path / "loops.yaml").write_text("- name: doors\n  _target_: verl_cpu.TwoDoors\n")
    return tmp_path


def train(folder, *overrides, steps):
    """Metrics of each step, as verl's console logger prints them."""
    actor, rollout = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"
    command = [
        f"data.train_files={folder}/prompts.parquet", f"data.val_files={folder}/prompts.parquet",
        "data.train_batch_size=4", "data.max_prompt_length=8", "data.max_response_length=8",
        "data.dataloader_num_workers=0",
        f"actor_rollout_ref.model.path={folder}/model", "actor_rollout_ref.model.use_remove_padding=False",
        "+actor_rollout_ref.model.override_config.attn_implementation=eager",
        f"{actor}.strategy=fsdp2", f"{actor}.fsdp_config.model_dtype=fp32", f"{actor}.optim.lr=1e-2",
        f"{actor}.ppo_mini_batch_size=4", f"{actor}.ppo_micro_batch_size_per_gpu=4",
        f"{rollout}.name=vllm", f"{rollout}.n=4", f"{rollout}.tensor_model_parallel_size=1",
        f"{rollout}.calculate_log_probs=False", f"{rollout}.log_prob_micro_batch_size_per_gpu=4",
        f"{rollout}.agent.num_workers=1", f"{rollout}.agent.default_agent_loop=doors",
        f"{rollout}.agent.agent_loop_config_path={folder}/loops.yaml", "reward.num_workers=1",
        "trainer.device=cpu", "trainer.n_gpus_per_node=1", "trainer.nnodes=1", "trainer.logger=[console]",
        "trainer.val_before_train=False", "trainer.save_freq=-1", "trainer.test_freq=-1",
        f"trainer.total_training_steps={steps}", "trainer.total_epochs=20",
        "+ray_kwargs.ray_init.num_cpus=32", "+ray_kwargs.ray_init.num_gpus=1",
        "+ray_kwargs.ray_init.include_dashboard=False",
    ]  # fmt: skip
    env = {
        **os.environ,
        "PYTHONPATH": str(HERE),
        "VERL_USE_EXTERNAL_MODULES": "verl_cpu",
        "VERL_PLATFORM": "cpu_for_tests",
        "VERL_ENGINE_DEVICE": "cuda",
        "OMP_NUM_THREADS": "1",
    }
    out = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "verl.trainer.main_ppo", *command, *overrides],
        capture_output=True, text=True, cwd=folder, env=env,
    )  # fmt: skip
    text = out.stdout + out.stderr
    lines = re.findall(r"step:\d+ - .*", text)
    assert lines or out.returncode, text[-4000:]
    return [dict(re.findall(r"([\w/]+):([-+.\deE]+|nan)\b", line)) for line in lines], text


def test_a_run_learns_from_the_credit_of_states(folder):
    """Two doors, each opened by ten tokens of thirty: chance opens both in one rollout of nine."""
    steps, text = train(
        folder, "algorithm.adv_estimator=stepcredit.gigpo@verl-agent", "+algorithm.stepcredit.lint_every=1", steps=24
    )
    assert len(steps) == 24, text[-4000:]
    for metrics in steps:
        assert float(metrics["stepcredit/judged"]) == 1
        assert float(metrics["stepcredit/steps"]) == 2
        assert float(metrics["stepcredit/lint_errors"]) == 0
        live = float(metrics["stepcredit/dead_groups"]) < 1
        assert (float(metrics["actor/grad_norm"]) > 0) == live
    score = [float(m["critic/score/mean"]) for m in steps]
    assert sum(score[-5:]) / 5 > 0.5 > sum(score[:5]) / 5
