"""Rows that log a call of a model: where request and response stand, which API they are of, what else is known."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from stepcredit.data.formats._claude_code import is_session
from stepcredit.data.formats._frameworks import framework, held
from stepcredit.data.formats._traces import a_map, a_str, real, seconds
from stepcredit.errors import DataError

OF_A_CALL = (  # fields that say of one call what a rollout of several does not share
    *(
        "id",
        "request_id",
        "timestamp",
        "created_at",
        "created",
        "time",
        "startTime",
        "start_time",
        "endTime",
        "end_time",
    ),
    *(
        "completionStartTime",
        "duration",
        "latency",
        "elapsed",
        "response_time",
        "response_cost",
        "cost",
        "usage",
        "model",
    ),
    *(
        "total_tokens",
        "prompt_tokens",
        "completion_tokens",
        "error",
        "error_str",
        "object",
        "choices",
        "call_type",
        "status",
    ),
    *("stream", "status_code"),
)
_HALVES = (
    ("request", "response"),
    ("kwargs", "response"),
    ("kwargs", "response_obj"),
    ("kwargs", "completion_response"),
    ("request_body", "response_body"),
    ("body", "response"),
    ("input", "output"),
    ("prompt", "response"),
)
_OTHERS = (
    *("steps", "step_labels", "schema_version", "termination_reason", "observations", "traceId", "trace_events"),
    *("run_type", "resourceSpans", "spans", "attributes", "epoch", "mistake_step", "mistake_agent", "nodes"),
    "trajectory_format",
)
_BLOCKS = {"tool_use", "tool_result", "thinking", "redacted_thinking", "server_tool_use", "web_search_tool_result"}
_ITEMS = {
    *("reasoning", "function_call", "function_call_output", "custom_tool_call", "custom_tool_call_output", "mcp_call"),
    *("computer_call", "computer_call_output", "web_search_call", "file_search_call", "code_interpreter_call"),
    *("image_generation_call", "local_shell_call", "local_shell_call_output", "mcp_list_tools"),
    *("mcp_approval_request", "mcp_approval_response", "item_reference"),
}
_ROLES = {"system", "developer", "user", "assistant", "tool", "function"}
EVALUATED = "eval.run.output_item"
CHAT, RESPONSES, ANTHROPIC = "openai_chat", "openai_responses", "anthropic_messages"


def dialect(row: Mapping[str, Any]) -> str | None:
    """The name of the format that a row of a chat or of a log is in; None: of another kind. Never raises."""
    if held(row) is not None or framework(row) or row.get("object") == EVALUATED:
        return CHAT
    if is_session(row):
        return ANTHROPIC
    if streamed(row):
        return CHAT if "object" in row else ANTHROPIC if row["type"] == "message_start" else RESPONSES
    if any(name in row for name in _OTHERS) or {"trace_id", "type"} <= row.keys():
        return None
    halves = logged(row)
    if halves is not None:
        return ANTHROPIC if halves[2] == ("result",) else _dialect_of_call(*halves[:2])
    messages, output = row.get("messages"), row.get("output")
    if isinstance(messages, list):
        return ANTHROPIC if "system" in row or has_blocks(messages) else CHAT
    if row.get("object") == "response" or (isinstance(output, list) and any(map(is_item, output))):
        return RESPONSES
    if is_item(row):
        return RESPONSES
    if isinstance(row.get("role"), str) and row["role"] in _ROLES and ("content" in row or "tool_calls" in row):
        return ANTHROPIC if "stop_reason" in row or has_blocks([row]) else CHAT
    return None


def streamed(value: object) -> bool:
    """Is this a piece of a streamed answer, or a list of them? Never raises."""
    if isinstance(value, list) and value:
        value = value[0]
    if not isinstance(value, Mapping):
        return False
    kind = value.get("type")
    response = isinstance(kind, str) and kind.startswith("response.") and "sequence_number" in value
    return response or kind == "message_start" or value.get("object") == "chat.completion.chunk"


def whole_answer(row: Mapping[str, Any]) -> None:
    """Refuse a row that holds an answer in pieces.

    Raises:
        DataError
    """
    if streamed(row) or any(streamed(row.get(reply)) for _, reply in _HALVES):
        raise DataError(
            "an answer that was streamed, in pieces",
            got=f"fields {', '.join(map(str, row))}",
            expected="the whole answer",
            hint="log what the client puts together: get_final_completion(), get_final_response() or "
            "get_final_message() of its stream",
        )


def logged(row: Mapping[str, Any]) -> tuple[Mapping[str, Any], Any, tuple[str, ...]] | None:
    """Request, response and the fields that hold them, if the row logs a call. Never raises."""
    for ask, reply in _HALVES:
        request, response = body(row.get(ask)), body(row.get(reply))
        loose = ask in ("input", "prompt")
        if loose and isinstance(request, list) and _is_said(request, response):
            return {"messages": request}, response, (ask, reply)
        if not isinstance(request, Mapping) or not (loose or reply in row or "error" in row):
            continue
        if "messages" in request and (not loose or _is_response(response) or _is_said(request["messages"], response)):
            return request, response, (ask, reply)
        if "input" in request and not loose:
            return request, response, (ask, reply)
    if isinstance(row.get("messages"), list):
        for reply in ("response", "output", "completion_response", "completion"):
            response = body(row.get(reply))
            if _is_response(response) or _is_said(row["messages"], response):
                return row, response, ("messages", reply)
        if isinstance(row.get("choices"), list):
            return row, row, ("messages", "choices")
    return _alone(row)


def _alone(row: Mapping[str, Any]) -> tuple[Mapping[str, Any], Any, tuple[str, ...]] | None:
    """A response without its request: a line of a batch's output, or a completion."""
    result = row.get("result")
    if "custom_id" in row and isinstance(result, Mapping) and isinstance(result.get("type"), str):
        return {}, result.get("message", result), ("result",)
    if "custom_id" in row and "response" in row and "error" in row:
        return {}, body(row["response"]), ("response",)
    if row.get("object") == "chat.completion" and isinstance(row.get("choices"), list):
        return {}, row, tuple(row)
    return None


def body(value: object) -> Any:
    """What a request or response holds: the `body` of one logged as HTTP, and what JSON text means."""
    for _ in range(3):
        if isinstance(value, Mapping) and isinstance(value.get("body"), Mapping | str):
            value = value["body"]
        elif isinstance(value, str) and value.lstrip().startswith("{"):
            try:
                value = json.loads(value)
            except (ValueError, RecursionError):
                return value
    return value


def has_blocks(messages: object) -> bool:
    """Does a message hold content blocks as Anthropic has them?"""
    for message in messages if isinstance(messages, list) else ():
        content = message.get("content") if isinstance(message, Mapping) else None
        for block in content if isinstance(content, list) else ():
            kind = block.get("type") if isinstance(block, Mapping) else None
            if isinstance(kind, str) and (kind in _BLOCKS or (kind == "image" and "source" in block)):
                return True
    return False


def is_item(value: object) -> bool:
    """Is this an item of the Responses API?"""
    if not isinstance(value, Mapping) or not isinstance(value.get("type"), str):
        return False
    content = value.get("content")
    if value["type"] != "message":
        return value["type"] in _ITEMS
    parts = content if isinstance(content, list) else ()
    kinds = [p.get("type") for p in parts if isinstance(p, Mapping)]
    return isinstance(value.get("role"), str) and (
        not parts or any(k in ("input_text", "output_text", "refusal") for k in kinds)
    )


def _is_said(messages: object, value: object) -> bool:
    """Is this what was said to messages that do not end with an answer?"""
    last = messages[-1] if isinstance(messages, list) and messages else None
    role = last.get("role") if isinstance(last, Mapping) else None
    if not isinstance(role, str) or role == "assistant":
        return False
    if isinstance(value, Mapping):
        return value.get("role") == "assistant" or isinstance(value.get("messages"), list)
    return isinstance(value, str) and bool(value)


def _is_response(value: object) -> bool:
    if not isinstance(value, Mapping):
        return False
    return isinstance(value.get("choices"), list) or value.get("object") == "response" or _is_anthropic(value)


def _is_anthropic(value: Mapping[str, Any]) -> bool:
    return value.get("type") == "message" and isinstance(value.get("content"), list)


def _dialect_of_call(request: Mapping[str, Any], response: object) -> str:
    if isinstance(response, Mapping):
        if isinstance(response.get("choices"), list):
            return CHAT
        if _is_anthropic(response):
            return ANTHROPIC
        if response.get("object") == "response" or isinstance(response.get("output"), list):
            return RESPONSES
    if "messages" not in request:
        return RESPONSES if request else CHAT
    return ANTHROPIC if "system" in request or has_blocks(request["messages"]) else CHAT


def failure(row: Mapping[str, Any], response: Any) -> str | None:
    """Why a call failed, in words; None: it did not."""
    wrong = (
        row.get("error") or row.get("error_str") or (response.get("error") if isinstance(response, Mapping) else None)
    )
    if isinstance(wrong, Mapping) and isinstance(wrong.get("error"), Mapping):
        wrong = wrong["error"]
    if not wrong and isinstance(response, Mapping) and response.get("type") in ("errored", "expired", "canceled"):
        wrong = response["type"]
    if isinstance(wrong, Mapping):
        wrong = wrong.get("message") or wrong.get("type") or str(dict(wrong))
    return str(wrong) if wrong else None


def clock(row: Mapping[str, Any], created: object) -> dict[str, Any]:
    """Where and when the call of a row was made, what it took and cost, as loggers name these."""
    inner = a_map(row.get("kwargs"))
    begun = _first(row, ("startTime", "start_time", "timestamp", "created_at", "time"), seconds)
    ended = _first(row, ("endTime", "end_time"), seconds)
    lasted = _first(row, ("duration", "latency", "elapsed", "response_time"), real)
    return {
        "id": a_str(row.get("request_id")) or (None if "choices" in row or "object" in row else a_str(row.get("id"))),
        "trace": a_str(row.get("trace_id")) or a_str(row.get("session_id")) or a_str(inner.get("litellm_trace_id")),
        "start": begun if begun is not None else seconds(created),
        "seconds": ended - begun if begun is not None and ended is not None and ended >= begun else lasted,
        "cost": real(row.get("response_cost", inner.get("response_cost", row.get("cost")))),
    }


def _first(row: Mapping[str, Any], names: tuple[str, ...], read: Callable[[object], float | None]) -> float | None:
    return next((v for name in names if (v := read(row.get(name))) is not None), None)
