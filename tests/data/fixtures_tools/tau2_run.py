"""Results of tau2-bench, made with its own types, which are on no package index.

PYTHONPATH=TAU2/src python tau2_run.py FOLDER    (a checkout of sierra-research/tau2-bench, commit a2c0247)
"""

import sys
from pathlib import Path

from tau2.data_model.simulation import Results

OUT = Path(sys.argv[1])


def said(role, turn, **more):
    return {"role": role, "turn_idx": turn, "timestamp": f"2026-11-02T10:00:{turn:02d}", **more}


def call(number, name, who, **arguments):
    return {"id": f"call_{number}", "name": name, "arguments": arguments, "requestor": who}


def got(number, turn, content, who="assistant", error=False):
    return said("tool", turn, id=f"call_{number}", content=content, requestor=who, error=error)


def simulation(name, trial, messages, reward, review):
    return {
        "id": name,
        "task_id": "12",
        "trial": trial,
        "start_time": "2026-11-02T10:00:00",
        "end_time": "2026-11-02T10:01:00",
        "duration": 60.0,
        "termination_reason": "user_stop",
        "agent_cost": 0.01,
        "reward_info": {"reward": reward, "reward_basis": ["DB"], "reward_breakdown": {"DB": reward}},
        "messages": messages,
        "review": review,
    }


usage = {"prompt_tokens": 120, "completion_tokens": 14}
raw = {"id": "chatcmpl-9", "model": "scripted-1-2026", "choices": []}
opening = said("assistant", 0, content="Hi! How can I help you today?")
wish = said("user", 1, content="My phone has no data.")
toggled = said("user", 4, content=None, tool_calls=[call(2, "toggle_data", "user")])
good = [
    opening,
    wish,
    said(
        "assistant",
        2,
        content=None,
        tool_calls=[call(1, "get_line", "assistant", line="L1")],
        usage=usage,
        raw_data=raw,
    ),
    got(1, 3, '{"data": false}'),
    toggled,
    got(2, 5, "Data is on.", "user"),
    said(
        "assistant", 6, tool_calls=[call(3, "refuel_data", "assistant", gb=2)], cost=0.004, generation_time_seconds=1.5
    ),
    got(3, 7, "Error: too much", error=True),
    said("assistant", 8, tool_calls=[call(4, "refuel_data", "assistant", gb=1)]),
    got(4, 9, "done"),
    said("assistant", 10, content="Done."),
    said("user", 11, content="###STOP###"),
]
bad = [opening, wish, said("assistant", 2, content="Please wait."), said("user", 3, content="I leave. ###STOP###")]
error = {
    "source": "agent",
    "error_tags": ["irrelevant_response"],
    "severity": "critical",
    "turn_idx": 2,
    "reasoning": "The agent did not look.",
    "correct_behavior": "Look up the line.",
}
small = {**error, "severity": "minor", "turn_idx": 3, "error_tags": [], "error_type": "content_error"}
of_user = {"source": "user", "severity": "minor", "turn_idx": 3, "reasoning": "Left early."}
review = {"summary": "It gave up.", "agent_error": True, "has_errors": True, "errors": [error, small, of_user]}
results = Results.model_validate(
    {
        "timestamp": "2026-11-02T10:02:00",
        "info": {
            "git_commit": "a2c0247",
            "num_trials": 2,
            "max_steps": 30,
            "max_errors": 5,
            "user_info": {"implementation": "user_simulator", "llm": "scripted-1"},
            "agent_info": {"implementation": "llm_agent", "llm": "scripted-1"},
            "environment_info": {"domain_name": "telecom", "policy": "Be kind."},
        },
        "tasks": [
            {
                "id": "12",
                "user_scenario": {"instructions": "Your data does not work."},
                "evaluation_criteria": {
                    "actions": [{"action_id": "a", "name": "refuel_data", "arguments": {"gb": 1}}],
                },
            }
        ],
        "simulations": [
            simulation("sim-0", 0, good, 1.0, {"summary": "Fine.", "has_errors": False}),
            simulation("sim-1", 1, bad, 0.0, review),
        ],
    }
)
OUT.joinpath("tau2.json").write_text(results.model_dump_json(exclude_none=True, indent=1) + "\n", encoding="utf-8")
one = results.simulations[1].model_dump_json(exclude_none=True, indent=1)
OUT.joinpath("tau2_simulation.json").write_text(one + "\n", encoding="utf-8")
