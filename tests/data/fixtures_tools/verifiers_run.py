"""Traces of verifiers, built through its message graph: a rollout with a failed call, and one with a second branch.

python verifiers_run.py FOLDER    (verifiers 0.4.0)
"""

import json
import sys
from pathlib import Path

from verifiers.v1.configs.agent import WireAgentConfig
from verifiers.v1.graph import prepare_turn
from verifiers.v1.task import WireTaskData
from verifiers.v1.trace import AgentInfo, Error, ModelCall, TimeSpan, TraceTask, WireTrace
from verifiers.v1.types import (
    AssistantMessage,
    Response,
    SystemMessage,
    ToolCall,
    ToolMessage,
    TurnTokens,
    Usage,
    UserMessage,
)

OUT = Path(sys.argv[1])
SYSTEM, QUESTION = SystemMessage(content="Use the tools."), UserMessage(content="How many seats are left?")


def trace(name):
    data = WireTaskData(idx=3, prompt="How many seats are left?", answer="4")
    task = TraceTask(type="Seats", data=data, key="seats-3", hash="abc")
    config = WireAgentConfig.model_validate({"harness": {"id": "default"}, "model": "scripted-1"})
    return WireTrace(id=name, task=task, agent=AgentInfo(config=config, name="solver"))


def turn(trace, prompt, said, number):
    tokens = TurnTokens(prompt_ids=list(range(5)), completion_ids=[7, 8], completion_logprobs=[-0.25, -0.5])
    usage = Usage(prompt_tokens=30, completion_tokens=2, cached_input_tokens=5, cost=0.001)
    made = Response(
        id=f"r{number}",
        created=0,
        model="scripted-1",
        message=said,
        finish_reason="stop",
        usage=usage,
        tokens=tokens if number == 0 else None,
    )
    node = prepare_turn(trace, prompt).commit(made)
    time = TimeSpan(start=1793613600.0 + number, end=1793613601.5 + number)
    trace.calls.append(ModelCall(node=node, model="scripted-1", usage=usage, time=time))
    return [*prompt, said]


def finished(trace, score):
    trace.record_reward("correct", score)
    trace.record_reward("style", 0.5, weight=0.2)
    trace.is_completed = trace.ok = True
    trace.stop_condition = "agent_completed"
    record = trace.to_record()
    record["timing"]["start"] = 1793613600.0
    for i, node in enumerate(record["nodes"]):
        node["timestamp"] = 1793613600.0 + i
    return record


call = ToolCall(id="c0", name="seats", arguments='{"flight": "HAT045"}')
first = trace("a")
messages = turn(first, [SYSTEM, QUESTION], AssistantMessage(reasoning_content="Look.", tool_calls=[call]), 0)
first.calls.append(ModelCall(model="scripted-1", error=Error(type="ProviderError", message="overloaded")))
messages = turn(first, [*messages, ToolMessage(tool_call_id="c0", content="4")], AssistantMessage(content="4"), 1)
second = trace("b")
messages = turn(second, [SYSTEM, QUESTION], AssistantMessage(content="I ask another."), 0)
turn(second, [UserMessage(content="Seats?")], AssistantMessage(content="9"), 1)
turn(second, [*messages, UserMessage(content="It said 9.")], AssistantMessage(content="9"), 2)
with OUT.joinpath("verifiers.jsonl").open("w", encoding="utf-8") as file:
    for record in (finished(first, 1.0), finished(second, 0.0)):
        file.write(json.dumps(record) + "\n")
