"""How much of a training step CreditGRPOTrainer takes, and how much memory, beside TRL's GRPOTrainer.

python tools/bench_trl.py                     a model of 90,000 parameters and one of 10 million
python tools/bench_trl.py --method gigpo --rows 64 --tokens 128 --steps 6

The smaller the model, the larger the share: a step of the first is a worst case that nobody trains. Rollouts are
written down (no generation), which makes it worse still; `with generation` samples them by the model.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import warnings

os.environ.update(HF_HUB_OFFLINE="1", TRL_EXPERIMENTAL_SILENCE="1")

WIDTHS = {"90,000": (64, 2), "10 million": (448, 4)}


def rollouts(rows, tokens, turns):
    """A rollout_func: `turns` turns of equal length with three tokens of a tool after each."""

    def rollout_func(prompts, trainer):
        turn = max(tokens // turns - 3, 1)
        mask = ([1] * turn + [0] * 3) * turns
        ids = [[3 + (5 * row + t) % 90 for t in range(len(mask))] for row in range(len(prompts))]
        return {
            "prompt_ids": [trainer.processing_class(prompt)["input_ids"] for prompt in prompts],
            "completion_ids": ids,
            "logprobs": [[0.0] * len(mask)] * len(prompts),
            "env_mask": [mask] * len(prompts),
            "state": [[f"s{t % 3}" for t in range(turns)]] * len(prompts),
        }

    return rollout_func


def measure(size, kind, args):
    """Run in a process of its own, for its own peak of memory: (seconds a step, share, MiB)."""
    command = [sys.executable, __file__, "--one", size, "--kind", kind]
    for name in ("method", "rows", "tokens", "turns", "steps", "lint_every", "generate"):
        value = getattr(args, name)
        if value is not False:
            command += [f"--{name.replace('_', '-')}"] + ([] if value is True else [str(value)])
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip().splitlines()[-1]
    return [float(x) for x in out.split()]


def one(args):
    warnings.simplefilter("ignore")
    import torch
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    from stepcredit.integrations.trl import CreditGRPOTrainer
    from stepcredit.llm import tiny

    torch.set_num_threads(1)
    width, layers = WIDTHS[args.one]
    model, tokenizer = tiny.build(0, steps=1, width=width, layers=layers)
    model.config.max_position_embeddings = 4096
    with tempfile.TemporaryDirectory() as folder:
        config = GRPOConfig(
            folder, use_cpu=True, bf16=False, gradient_checkpointing=False, report_to="none", save_strategy="no",
            per_device_train_batch_size=args.rows, num_generations=8, max_completion_length=args.tokens,
            max_steps=args.steps, logging_steps=1, disable_tqdm=True,
        )  # fmt: skip
        credit = {"credit": args.method, "credit_lint_every": args.lint_every} if args.kind == "credit" else {}
        trainer = (CreditGRPOTrainer if credit else GRPOTrainer)(
            model,
            lambda completions, **kwargs: [float(i % 8 == 0) for i in range(len(completions))],
            config,
            Dataset.from_dict({"prompt": [c.task for c in tiny.data(args.rows // 8 * args.steps, 0)]}),
            processing_class=tokenizer,
            rollout_func=None if args.generate else rollouts(args.rows, args.tokens, args.turns),
            **credit,
        )
        trainer.train()
    logs = [row for row in trainer.state.log_history if "step_time" in row][1:]
    step = sum(row["step_time"] for row in logs) / len(logs)
    spent = sum(row["step_time"] * row.get("credit/share_of_step_time", 0) for row in logs) / len(logs)
    # ru_maxrss is in KiB on Linux.
    print(step, spent, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", default="gigpo")
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--turns", type=int, default=8)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--lint-every", type=int, default=50)
    parser.add_argument("--generate", action="store_true", help="sample the completions; for methods of outcomes")
    parser.add_argument("--one", choices=WIDTHS, help=argparse.SUPPRESS)
    parser.add_argument("--kind", default="credit", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        one(args)
        return
    print(f"{args.method}: {args.rows} rows of {args.tokens} tokens, {args.turns} turns; one CPU thread")
    print(f"{'parameters':<12}{'step, s':>10}{'credit, s':>12}{'share':>9}{'plain, s':>10}{'peak MiB':>10}{'plain':>8}")
    for size in WIDTHS:
        step, spent, memory = measure(size, "credit", args)
        plain, _, less = measure(size, "plain", args)
        print(f"{size:<12}{step:>10.3f}{spent:>12.4f}{spent / step:>9.2%}{plain:>10.3f}{memory:>10.0f}{less:>8.0f}")


if __name__ == "__main__":
    main()
