"""`make train-demo`: the run of examples/train-demo.yaml and its outcome-only twin, and their curves in one picture.

    python tools/train_demo.py [--picture docs/images/train-demo.svg] [--only-picture]

A run that is there already goes on from where it stands. Each takes about ten minutes on one free core.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from stepcredit.ops import wilson
from stepcredit.train.config import load
from stepcredit.train.curve import draw
from stepcredit.train.watch import read

EXAMPLES = Path(__file__).parent.parent / "examples"
RUNS = {
    "gigpo: credit per turn": EXAMPLES / "train-demo.yaml",
    "grpo: credit per rollout": EXAMPLES / "train-demo-outcome.yaml",
}


def main() -> None:
    """Train both, draw them, print what came of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--picture", type=Path, default=Path("train-demo.svg"))
    parser.add_argument("--only-picture", action="store_true", help="draw the runs that are there")
    given = parser.parse_args()
    lines = {}
    for name, file in RUNS.items():
        if not given.only_picture:
            print(f"{name} ({file.name})", flush=True)
            subprocess.run([sys.executable, "-m", "stepcredit", "train", str(file), "--resume"], check=True)
        told = read(Path(load(file).output) / "metrics.jsonl")
        lines |= {name: told} if told else {}
    draw(lines, [given.picture], title="Two rooms and a locked door, 0.3 million parameters")
    for name, told in lines.items():
        evals = [line for line in told if line.get("eval_success") is not None]
        last = evals[-3:]
        won = sum(line["eval_success"] for line in last) / len(last)
        low, high = wilson(won * 100, 100)
        print(
            f"{name}: {evals[0]['eval_success']:.0%} -> {won:.0%} (mean of the last {len(last)} evaluations, of 100 "
            f"tasks: [{low:.0%}, {high:.0%}]), {evals[-1]['rollouts']:,} rollouts, {evals[-1]['seconds']:.0f} s"
        )
    print(f"picture: {given.picture}")


if __name__ == "__main__":
    main()
