"""Small files in the shapes of formats that are no agents' traces, made up.

python other_formats.py FOLDER
"""

import json
import sys
from pathlib import Path

OUT = Path(sys.argv[1])
CALL = {"id": "c0", "type": "function", "function": {"name": "search", "arguments": '{"query": "x"}'}}
RUN = [
    {"role": "system", "content": "Use the tools."},
    {"role": "user", "content": "How many seats are left?"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c0", "name": "search", "content": '[{"contents": "HAT045\\n4 seats", "id": 1}]'},
    {"role": "assistant", "content": "4 seats."},
]
STEP = {
    "text": "a",
    "action": "go",
    "observation": "hall",
    "reward": 0.5,
    "evidence": {"value": 0.4},
    "tokens": {"n": 2},
}
FILES = {
    "stepcredit.jsonl": [
        {"group": "p", "rollout": 0, "outcome": 1, "steps": [STEP, {"text": "b"}], "blame": [{"by": "me", "step": 1}]},
        {"group": "p", "rollout": 1, "outcome": None, "steps": [STEP], "context": [{"role": "user", "content": "q"}]},
    ],
    "tau_bench.jsonl": [
        {"task_id": 0, "trial": t, "reward": r, "info": {"task": {"instruction": "cancel"}}, "traj": RUN}
        for t, r in enumerate((1.0, 0.0))
    ],
    "trl_completions.jsonl": [
        {"step": 1, "prompt": RUN[:2], "completion": RUN[2:], "correct": 1.0, "advantage": 0.5},
        {"step": 1, "prompt": RUN[:2], "completion": RUN[4:], "correct": 0.0, "advantage": -0.5},
    ],
    "verl_rollout.jsonl": [
        {"input": "q", "output": "a\n\nb", "gts": "4", "score": 1.0, "step": 1},
        {"input": "q", "output": "c", "gts": "4", "score": 0.0, "step": 1},
    ],
    "game24_cot.jsonl": [
        {
            "puzzle": "1 5 6 9",
            "rollouts": ["9 - 6 = 3 (left: 1 3 5)\n5 - 1 = 4 (left: 3 4)\nAnswer: no", "1 + 5 = 6 (left: 6 6 9)"],
            "correct": [0, 1],
        }
    ],
    "agentprocessbench.jsonl": [
        {
            "query_index": 5,
            "sample_index": s,
            "question": "How many?",
            "messages": RUN,
            "step_labels": {"2": 1, "4": -1},
            "final_label": -1,
        }
        for s in range(2)
    ],
}
for name, rows in FILES.items():
    OUT.joinpath(name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
