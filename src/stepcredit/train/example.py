"""A config with a word on every setting, for a world: `stepcredit train --example WORLD`."""

import inspect
from typing import Any

from stepcredit.envs import text as worlds

_TEXT = """\
# stepcredit train THIS_FILE [--dry-run] [--resume]. What is left out has the value that stands here.
output: train-out            # checkpoints, metrics.jsonl, rollouts.jsonl, the model, its curve
seed: 0
threads: 1                   # of PyTorch; small models are slower on several

model:
  path: null                 # a folder or an id of the Hugging Face hub; null: a small Llama is built for the world
  size: {{layers: 2, width: 128, heads: 4, vocabulary: 512}}
  lora: null                 # {{r: 8, alpha: 16, dropout: 0.0, targets: []}}; targets []: every linear layer
  dtype: float32             # or bfloat16

world:
  name: {name}
  options: {options}
  train_tasks: 200           # tasks 0 to 199; the next eval_tasks are met by the evaluation alone
  eval_tasks: 50
  seconds: 30.0              # longest time for one step of all episodes together; null: no limit

warmup:                      # imitation of the world's expert, loss on its actions alone
  demonstrations: 400        # 0: none; only with a model.path
  noise: 0.3                 # chance of another action in place of the expert's
  steps: 300
  seconds: null
  batch_size: 32
  learning_rate: 3e-3

method:                      # stepcredit methods
  name: gigpo
  options: {{}}                # gamma: 0.95
  reward: null               # where turn rewards and outcome disagree: reward, outcome, sum

evidence: []                 # kinds that ask no model: [{{kind: state, options: {{near: minhash}}}}]

loss:                        # TRL's
  type: dapo                 # grpo, bnpo, dr_grpo, dapo, cispo, sapo, luspo, vespo
  beta: 0.0                  # above 0 keeps a reference model
  learning_rate: 1e-3        # 1e-6 to 1e-5 for a model of billions of parameters
  clip: 0.2
  clip_high: null            # null: as clip
  iterations: 1              # updates per batch of rollouts
  rows_per_pass: null        # rollouts in one forward pass; null: all of a step

rl:
  steps: 100                 # updates
  seconds: null              # ends the run before, with a checkpoint
  tasks_per_step: 8
  rollouts_per_task: 8
  max_turns: null            # null: the world's horizon
  max_tokens: 512            # of a whole transcript; one that grows beyond is ended
  max_action_tokens: 16
  temperature: 1.0

eval:
  every: 20                  # steps
  rollouts: 1                # of each task
  greedy: true

checkpoints: {{every: 20, keep: 2}}
rollouts: {{every: 10}}        # those of every 10th step, with their credit: rollouts.jsonl; 0: none
trackers: []                 # tensorboard, trackio, wandb
experience: null             # {{lessons: 1, size: 200}}: what worked before, in the prompts of tasks alike
retry: null                  # {{pivot: sibling}} or {{pivot: FILE.py:FUNCTION}}; for method r3l
"""


def example(world: str) -> str:
    """The config as YAML text.

    Raises:
        UnknownName: no such world.
    """
    parameters = inspect.signature(worlds.get(world)).parameters.values()
    plain = [p for p in parameters if isinstance(p.default, str | int | float | bool | None)]
    options = ", ".join(f"{p.name}: {_yaml(p.default)}" for p in plain)
    return _TEXT.format(name=world, options=f"{{{options}}}")


def _yaml(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return repr(value)
