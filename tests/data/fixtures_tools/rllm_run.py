"""An episode of rLLM in the two shapes that it writes: with its own types, which are on no package index.

python rllm_run.py FOLDER RLLM    (a checkout of rllm-org/rllm, commit 9beb6e0f)
"""

import importlib.util
import json
import sys
from pathlib import Path

OUT = Path(sys.argv[1])
spec = importlib.util.spec_from_file_location("rllm_types", Path(sys.argv[2]) / "rllm" / "types.py")
types = importlib.util.module_from_spec(spec)
sys.modules["rllm_types"] = types
spec.loader.exec_module(types)

SYSTEM = {"role": "system", "content": "Use the tools."}
QUESTION = {"role": "user", "content": "How many seats are left?"}
CALL = {"id": "c0", "type": "function", "function": {"name": "seats", "arguments": "{}"}}
ASKED = {"role": "assistant", "content": "", "tool_calls": [CALL]}
GOT = {"role": "tool", "tool_call_id": "c0", "content": "4"}
SAID = {"role": "assistant", "content": "4 seats."}

steps = [
    types.Step(
        id="s0",
        observation={"question": QUESTION["content"]},
        thought="Look.",
        action=types.Action(action=[{"name": "seats"}]),
        chat_completions=[SYSTEM, QUESTION, ASKED],
        prompt_ids=[1, 2],
        response_ids=[3, 4, 5],
        logprobs=[-0.1, -0.2, -0.3],
        weight_version=2,
        reward=0.25,
        mc_return=1.25,
    ),
    types.Step(
        id="s1",
        observation={"tool_outputs": {"c0": "4"}},
        model_response="4 seats.",
        action="4 seats.",
        chat_completions=[SYSTEM, QUESTION, ASKED, GOT, SAID],
        weight_version=2,
        reward=1.0,
        done=True,
    ),
]
judge = types.Step(id="s2", observation="Is '4 seats.' right?", model_response="yes", weight_version=2)
task = {"question": QUESTION["content"], "ground_truth": "4", "data_source": "seats"}
episode = types.Episode(
    id="seats-3:1",
    task=task,
    is_correct=True,
    trajectories=[
        types.Trajectory(uid="t0", name="solver", task=task, steps=steps, reward=1.0),
        types.Trajectory(uid="t1", name="judge", task=task, steps=[judge], reward=0.0),
    ],
    metrics={"steps": 3},
)
stored = episode.model_dump(mode="json") | {"eval_idx": 0}
OUT.joinpath("rllm.json").write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
logged = {  # as rllm/utils/episode_logger.py builds it
    "training_step": 4,
    "epoch": 0,
    "episode_id": "5d0c",
    "session_id": None,
    "task": task,
    "task_hash": "0a1b2c3d",
    "is_correct": False,
    "termination_reason": "env_done",
    "metrics": {},
    "metadata": {},
    "timing": {},
    "trajectories": [
        {
            "name": "solver",
            "uid": "t0",
            "reward": 0.0,
            "num_steps": 2,
            "timing": {},
            "steps": [
                {
                    "observation": step.observation,
                    "thought": step.thought,
                    "action": None,
                    "reward": 0.0,
                    "done": step.done,
                    "model_response": step.model_response,
                    "chat_completions": [],
                    "timing": {},
                }
                for step in steps
            ],
        }
    ],
}
OUT.joinpath("rllm_logger.json").write_text(json.dumps(logged, indent=1) + "\n", encoding="utf-8")
