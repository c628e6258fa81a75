"""Logs of the OpenAI and Anthropic clients and of LiteLLM: real clients, whose HTTP is answered by a script in memory.

python chats_run.py FOLDER    (openai 3.57, anthropic 2.14, litellm, httpx2)
"""

import json
import os
import sys
from pathlib import Path

import anthropic
import httpx2
import openai
from anthropic.types import Message
from openai.types.chat import ChatCompletion
from openai.types.responses import Response

OUT = Path(sys.argv[1])
QUESTION = "How many seats are left on flight HAT045 in business class?"
SYSTEM = "You work for an airline. Use the tools."
TOOL = {"type": "object", "properties": {"flight": {"type": "string"}, "cabin": {"type": "string"}}}


def save(name, rows):
    OUT.joinpath(name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def wire(log, answers, key):
    """A transport that gives the next answer and logs both halves; an answer may be an HTTP error."""

    def handle(request):
        body = json.loads(request.content)
        status, answer = answers.pop(0)
        log.append({"timestamp": f"2026-11-02T10:00:{len(log):02d}Z", key: body, "response": answer})
        if status != 200:
            log[-1] |= {"response": None, "error": answer["error"]}
        return httpx2.Response(status, json=answer)

    return httpx2.Client(transport=httpx2.MockTransport(handle))


# /chat/completions


def completion(number, message, reason="stop", logprobs=None):
    choice = {"index": 0, "finish_reason": reason, "message": {"role": "assistant", **message}, "logprobs": logprobs}
    usage = {"prompt_tokens": 60 + 20 * number, "completion_tokens": 9, "total_tokens": 69 + 20 * number}
    made = ChatCompletion.model_validate(
        {
            "id": f"chatcmpl-{number}",
            "object": "chat.completion",
            "created": 1793613600 + number,
            "model": "scripted-1-2026",
            "choices": [choice],
            "usage": usage,
        }
    )
    return 200, made.model_dump(mode="json")


def asks(number, cabin):
    function = {"name": "seats", "arguments": json.dumps({"flight": "HAT045", "cabin": cabin})}
    return {"content": None, "tool_calls": [{"id": f"call_{number}", "type": "function", "function": function}]}


def token(text, logp):
    return {"token": text, "logprob": logp, "bytes": None, "top_logprobs": []}


def chat_runs():
    overloaded = 503, {"error": {"message": "The server is overloaded", "type": "server_error"}}
    good = [
        completion(0, asks(0, "business"), "tool_calls"),
        overloaded,
        completion(1, {"content": "4 seats."}, logprobs={"content": [token("4", -0.1), token(" seats.", -0.5)]}),
    ]
    bad = [
        completion(2, asks(2, "economy"), "tool_calls"),
        completion(3, {"content": "<think>Economy it was.</think>19 seats."}),
        completion(4, {"content": "I am sorry: I looked in economy."}),
    ]
    logs = []
    for answers, replies in ((good, ["4", None]), (bad, ["19", None, None])):
        log = []
        client = openai.OpenAI(api_key="none", base_url="http://x/v1", http_client=wire(log, answers, "request"))
        client = client.with_options(max_retries=1)
        messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": QUESTION}]
        tools = [{"type": "function", "function": {"name": "seats", "parameters": TOOL}}]
        for reply in replies:
            made = client.chat.completions.create(model="scripted-1", messages=messages, tools=tools, logprobs=True)
            said = made.choices[0].message.model_dump(exclude_none=True)
            if said.get("content"):  # as chat templates do
                said["content"] = said["content"].partition("</think>")[2] or said["content"]
            messages.append(said)
            if said.get("tool_calls"):
                messages.append({"role": "tool", "tool_call_id": said["tool_calls"][0]["id"], "content": reply})
            elif answers:
                messages.append({"role": "user", "content": "Business, I said."})
        logs.append(log)
    mixed = [row for pair in zip(*logs, strict=True) for row in pair]
    save("openai_chat_log.jsonl", mixed)
    OUT.joinpath("openai_chat_messages.json").write_text(json.dumps(messages, indent=1), encoding="utf-8")
    first = logs[0][0]
    save("openai_chat_stored.jsonl", [{**first["response"], "messages": first["request"]["messages"]}])


def litellm_runs():
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    import litellm
    from litellm.integrations.custom_logger import CustomLogger

    rows = []

    class Keep(CustomLogger):
        def log_success_event(self, kwargs, response_obj, start_time, end_time):
            rows.append(json.loads(json.dumps(kwargs["standard_logging_object"], default=str)))

    litellm.callbacks = [Keep()]
    messages = [{"role": "user", "content": QUESTION}]
    for text in ("Which class?", "4 seats."):
        made = litellm.completion(model="openai/gpt-4o", messages=messages, mock_response=text, api_key="none")
        messages += [{"role": "assistant", "content": made.choices[0].message.content}]
        messages += [{"role": "user", "content": "Business."}]
    for _ in range(100):
        if len(rows) == 2:
            break
        __import__("time").sleep(0.1)
    rows.sort(key=lambda row: row["startTime"])
    kept = ("id", "trace_id", "call_type", "stream", "response_cost", "status", "total_tokens", "prompt_tokens")
    kept += ("completion_tokens", "startTime", "endTime", "model", "messages", "response", "error_str")
    save("openai_chat_litellm.jsonl", [{k: row[k] for k in kept if k in row} for row in rows])


# /responses


def response(number, output, previous=None):
    usage = {"input_tokens": 40 + number, "output_tokens": 8, "total_tokens": 48 + number}
    usage |= {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 3}}
    base = {
        "id": f"resp_{number}",
        "object": "response",
        "created_at": 1793613600 + number,
        "model": "scripted-1-2026",
        "output": output,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "status": "completed",
        "previous_response_id": previous,
        "usage": usage,
    }
    try:
        made = Response.model_validate(base)
    except ValueError:
        usage["input_tokens_details"]["cache_write_tokens"] = 0
        made = Response.model_validate(base)
    return 200, made.model_dump(mode="json", exclude_none=True)


def thought(number, text):
    return {"type": "reasoning", "id": f"rs_{number}", "summary": [{"type": "summary_text", "text": text}]}


def words(number, text):
    part = {"type": "output_text", "text": text, "annotations": []}
    return {"type": "message", "id": f"msg_{number}", "role": "assistant", "status": "completed", "content": [part]}


def called(number, cabin):
    arguments = json.dumps({"flight": "HAT045", "cabin": cabin})
    return {"type": "function_call", "id": f"fc_{number}", "call_id": f"call_{number}", "name": "seats"} | {
        "arguments": arguments
    }


def response_runs():
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    search["action"] = {"type": "search", "query": "HAT045 seats"}
    code = {
        "type": "code_interpreter_call",
        "id": "ci_1",
        "status": "completed",
        "container_id": "c",
        "code": "20 - 16",
    }
    code["outputs"] = [{"type": "logs", "logs": "4"}]
    answers = [
        response(0, [thought(0, "I must look it up."), called(0, "business")]),
        response(1, [search, words(1, "Let me count.")], "resp_0"),
        response(2, [code, words(2, "4 seats.")], "resp_1"),
    ]
    log = []
    client = openai.OpenAI(api_key="none", base_url="http://x/v1", http_client=wire(log, answers, "request"))
    ask = {"model": "scripted-1", "instructions": SYSTEM}
    made = client.responses.create(**ask, input=QUESTION)
    result = {"type": "function_call_output", "call_id": "call_0", "output": "error: no such table"}
    made = client.responses.create(**ask, input=[result], previous_response_id=made.id)
    made = client.responses.create(**ask, input="And now?", previous_response_id=made.id)
    save("openai_responses_log.jsonl", log)
    shot = {"type": "computer_call_output", "call_id": "cu_1"}
    shot["output"] = {"type": "computer_screenshot", "image_url": "data:image/png;base64,AAAA"}
    click = {"type": "computer_call", "id": "cu", "call_id": "cu_1", "status": "completed", "pending_safety_checks": []}
    click["action"] = {"type": "click", "x": 3, "y": 4, "button": "left"}
    user = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": QUESTION}]}
    items = [user, thought(5, "Look."), click, shot, words(6, "4 seats."), {"type": "item_reference", "id": "msg_0"}]
    OUT.joinpath("openai_responses_items.json").write_text(json.dumps(items, indent=1), encoding="utf-8")


# /messages


def message(number, content, reason="end_turn"):
    usage = {"input_tokens": 50 + number, "output_tokens": 7, "cache_read_input_tokens": 10}
    made = Message.model_validate(
        {
            "id": f"msg_{number}",
            "type": "message",
            "role": "assistant",
            "model": "scripted-1-2026",
            "content": content,
            "stop_reason": reason,
            "stop_sequence": None,
            "usage": usage,
        }
    )
    return 200, made.model_dump(mode="json", exclude_none=True)


def anthropic_runs():
    thinking = {"type": "thinking", "thinking": "I must look it up.", "signature": "c2ln"}
    use = {"type": "tool_use", "id": "toolu_0", "name": "seats", "input": {"flight": "HAT045", "cabin": "business"}}
    answers = [
        message(0, [thinking, {"type": "text", "text": "A moment."}, use], "tool_use"),
        message(1, [{"type": "text", "text": "I cannot see it."}]),
    ]
    log = []
    client = anthropic.Anthropic(api_key="none", base_url="http://x", http_client=wire(log, answers, "request"))
    messages = [{"role": "user", "content": QUESTION}]
    ask = {"model": "scripted-1", "max_tokens": 99, "system": [{"type": "text", "text": SYSTEM}]}
    tools = [{"name": "seats", "input_schema": TOOL}]
    made = client.messages.create(**ask, messages=messages, tools=tools)
    messages.append({"role": "assistant", "content": [b.model_dump(exclude_none=True) for b in made.content]})
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
    result = {"type": "tool_result", "tool_use_id": "toolu_0", "is_error": True}
    result["content"] = [{"type": "text", "text": "no such table"}, picture]
    messages.append({"role": "user", "content": [result, {"type": "text", "text": "Hurry."}]})
    made = client.messages.create(**ask, messages=messages, tools=tools)
    save("anthropic_messages_log.jsonl", log)
    messages.append({"role": "assistant", "content": made.content[0].text})
    save(
        "anthropic_messages_chat.jsonl",
        [{"task_id": "HAT045", "passed": False, "system": SYSTEM, "messages": messages}],
    )


if __name__ == "__main__":
    chat_runs()
    response_runs()
    anthropic_runs()
    litellm_runs()
