"""Results as verifiers wrote them before v1, in the shape of `state_to_output` (commit a60a606e); that package is no
longer in the wheel.

python verifiers_results.py FOLDER
"""

import json
import sys
from pathlib import Path

PROMPT = [{"role": "system", "content": "Use the tools."}, {"role": "user", "content": "How many seats are left?"}]
CALL = {"id": "c0", "type": "function", "function": {"name": "seats", "arguments": "{}"}}
GOOD = [
    {"role": "assistant", "content": "", "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c0", "content": "4"},
    {"role": "assistant", "content": "4 seats."},
]
BAD = [{"role": "assistant", "content": "9 seats."}]


def row(completion, reward):
    return {
        "example_id": 3,
        "prompt": PROMPT,
        "completion": completion,
        "answer": "4",
        "reward": reward,
        "error": None,
        "timing": {"total_ms": 12.0},
        "is_completed": True,
        "is_truncated": False,
        "stop_condition": "no_tools_called",
        "metrics": {"correct": reward},
        "tool_defs": [],
        "correct": reward,
    }


lines = [json.dumps(row(GOOD, 1.0)), json.dumps(row(BAD, 0.0))]
Path(sys.argv[1], "verifiers_results.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
