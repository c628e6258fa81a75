"""Trajectories made with the models of Harbor, which validate them.

python atif_run.py FOLDER    (harbor 0.26)
"""

import sys
from pathlib import Path

from harbor.models.trajectories import Trajectory

OUT = Path(sys.argv[1])
PICTURE = {"type": "image", "source": {"media_type": "image/png", "path": "images/1.png"}}


def agent(name):
    return {"name": name, "version": "1.0", "model_name": "scripted-1"}


def step(number, source, message, **more):
    return {
        "step_id": number,
        "timestamp": f"2026-11-02T10:00:{number:02d}Z",
        "source": source,
        "message": message,
        **more,
    }


def call(number, name, **arguments):
    return {"tool_call_id": f"call_{number}", "function_name": name, "arguments": arguments}


def result(number, content, **more):
    return {"source_call_id": f"call_{number}", "content": content, **more}


def save(name, value):
    made = Trajectory.model_validate(value)
    OUT.joinpath(name).write_text(made.model_dump_json(exclude_none=True, indent=1) + "\n", encoding="utf-8")


inner = {
    "schema_version": "ATIF-v1.7",
    "trajectory_id": "sub-1",
    "agent": agent("searcher"),
    "steps": [
        step(1, "user", "Find the table of seats."),
        step(
            2,
            "agent",
            "It is seats.csv",
            tool_calls=[call(9, "ls", path="/")],
            observation={"results": [result(9, "seats.csv")]},
        ),
    ],
}
metrics = {"prompt_tokens": 50, "completion_tokens": 3, "cached_tokens": 10, "cost_usd": 0.002}
metrics |= {"completion_token_ids": [5, 6, 7], "logprobs": [-0.1, -0.2, -0.3]}
referring = [{"trajectory_id": "sub-1"}, {"trajectory_path": "sub-2.json"}]
save(
    "atif.json",
    {
        "schema_version": "ATIF-v1.7",
        "session_id": "run-7",
        "trajectory_id": "main-7",
        "agent": agent("terminus"),
        "notes": "made for tests",
        "steps": [
            step(1, "system", "You work in a terminal."),
            step(2, "user", [{"type": "text", "text": "How many seats are left?"}, PICTURE]),
            step(3, "agent", "Summary of what was before.", is_copied_context=True),
            step(
                4,
                "agent",
                "I ask for help.",
                reasoning_content="I do not know the table.",
                tool_calls=[call(1, "delegate", task="find"), call(2, "cat", path="seats.csv")],
                observation={
                    "results": [
                        result(1, "It is seats.csv", subagent_trajectory_ref=referring),
                        result(2, [{"type": "text", "text": "HAT045,4"}, PICTURE]),
                    ]
                },
                metrics=metrics,
                llm_call_count=1,
            ),
            step(5, "system", "You have one minute left."),
            step(6, "agent", "5 seats.", model_name="scripted-2"),
        ],
        "final_metrics": {"total_steps": 6, "total_cost_usd": 0.002},
        "subagent_trajectories": [inner],
    },
)
save(
    "atif_v1_0.json",
    {
        "schema_version": "ATIF-v1.0",
        "session_id": "run-8",
        "agent": agent("terminus"),
        "steps": [
            step(1, "user", "How many seats are left?"),
            step(2, "agent", "", tool_calls=[call(1, "ls")], observation={"results": [{"content": "seats.csv"}]}),
            step(3, "agent", "None."),
        ],
    },
)
