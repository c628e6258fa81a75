"""Chats as tracers and clients write them, as messages in one shape: {"role", "content", "tool_calls", "name",
"tool_call_id", "reasoning", "error"}.

Read are: OpenAI's chats and responses, Anthropic's blocks, the parts of OpenTelemetry's conventions, messages of
LangChain (also serialized), Gemini's contents, and plain text.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from stepcredit.data.formats._spans import as_text, decoded

_ROLES = {
    "ai": "assistant",
    "model": "assistant",
    "human": "user",
    "function": "tool",
    "AIMessage": "assistant",
    "AIMessageChunk": "assistant",
    "HumanMessage": "user",
    "SystemMessage": "system",
    "ToolMessage": "tool",
    "FunctionMessage": "tool",
    "ChatMessage": "user",
}
_LANGCHAIN = ("ai", "human", "system", "tool", "function", "AIMessageChunk")
_DEEPEST = 8
Message = dict[str, Any]


def chat(value: object, role: str = "user") -> list[Message]:
    """The messages that a value holds; what is no chat is one message of this role, with it as text."""
    return _merged(_chat(value, role, 0))


def _chat(value: object, role: str, depth: int) -> list[Message]:
    value = decoded(value)
    if value is None or value in ("", [], {}):
        return []
    if depth > _DEEPEST:
        return [{"role": role, "content": as_text(value)}]
    if isinstance(value, list):
        if all(isinstance(one, Mapping | list) for one in value):
            return [m for one in value for m in _chat(one, role, depth + 1)]
        return [{"role": role, "content": as_text(value)}]
    if not isinstance(value, Mapping):
        return [{"role": role, "content": as_text(value)}]
    if "choices" in value and isinstance(value["choices"], list):
        first = value["choices"][0] if value["choices"] else None
        inner = (first.get("message") or first.get("text")) if isinstance(first, Mapping) else first
        return _chat(inner, "assistant", depth + 1)
    if isinstance(value.get("generations"), list):
        first = value["generations"]
        while isinstance(first, list) and first:
            first = first[0]
        inner = (first.get("message") or first.get("text")) if isinstance(first, Mapping) else None
        return _chat(inner, "assistant", depth + 1)
    if not _is_message(value):
        for name in ("messages", "contents", "input", "prompt", "prompts", "output", "message", "text", "content"):
            if value.get(name) and (name == "messages" or len(value) == 1 or not isinstance(value[name], str)):
                before = _chat(value.get("system"), "system", depth + 1) if name == "messages" else []
                return before + _chat(value[name], role, depth + 1)
        return [{"role": role, "content": as_text(value)}]
    return _message(value, role)


def spoken(value: object) -> Message | None:
    """What the model wrote: the first message of the assistant; None: nothing was recorded."""
    found = chat(value, "assistant")
    own = next((m for m in found if m["role"] == "assistant"), None)
    return own if own is not None or not found else {**found[0], "role": "assistant"}


def _is_message(value: Mapping[str, Any]) -> bool:
    typed = value.get("type")
    return (
        isinstance(value.get("role"), str)
        or value.get("lc") == 1
        or typed in ("function_call", "function_call_output", "reasoning", "message")
        or (typed in _LANGCHAIN and ("content" in value or "data" in value))
    )


def _message(value: Mapping[str, Any], role: str) -> list[Message]:
    typed = value.get("type")
    if value.get("lc") == 1:
        path, inner = value.get("id"), value.get("kwargs")
        named = path[-1] if isinstance(path, list) and path else None
        value = {"role": _ROLES.get(str(named), role), **(inner if isinstance(inner, Mapping) else {})}
    elif typed in _LANGCHAIN and not isinstance(value.get("role"), str):
        inner = value.get("data")
        value = {**(inner if isinstance(inner, Mapping) else value), "role": typed}
    elif typed == "function_call":
        call = {
            "id": value.get("call_id"),
            "function": {"name": value.get("name"), "arguments": value.get("arguments")},
        }
        return [{"role": "assistant", "content": None, "tool_calls": [call], "joins": True}]
    elif typed == "function_call_output":
        return [{"role": "tool", "tool_call_id": value.get("call_id"), "content": _text(value.get("output"))}]
    elif typed == "reasoning" and not isinstance(value.get("role"), str):
        thought = _text(value.get("summary")) or _text(value.get("content"))
        return [{"role": "assistant", "content": None, "reasoning": thought, "joins": True}]
    said = str(value.get("role") or role)
    made = _Made(_ROLES.get(said, said))
    made.take(value)
    if typed == "message":
        made.message["joins"] = made.message["role"] == "assistant"
    return made.all()


class _Made:
    """A message in the making, and the results of tools that stand in it (Anthropic, Gemini: in one of the user)."""

    def __init__(self, role: str) -> None:
        self.message: Message = {"role": role, "content": None}
        self.results: list[Message] = []
        self.content: list[Any] = []
        self.calls: list[Message] = []
        self.thoughts: list[str] = []

    def take(self, value: Mapping[str, Any]) -> None:
        """Read a message with `content`, `parts`, `tool_calls`."""
        for name in ("parts", "contents", "content"):
            given = decoded(value.get(name)) if name != "content" else value.get(name)
            if isinstance(given, list):
                for part in given:
                    self.part(part)
            elif given is not None and not (isinstance(given, str) and not given and self.content):
                self.content.append({"type": "text", "text": as_text(given) or ""})
        calls = decoded(value.get("tool_calls") or [])
        extra = value.get("additional_kwargs")
        if not calls and isinstance(extra, Mapping):
            calls = extra.get("tool_calls") or []
        for call in calls.values() if isinstance(calls, Mapping) else calls if isinstance(calls, list) else ():
            self.call(call)
        if not calls and isinstance(value.get("function_call"), Mapping):
            self.call(value["function_call"])
        for name in ("reasoning_content", "reasoning"):
            if isinstance(value.get(name), str):
                self.thoughts.append(value[name])
        call_id = value.get("tool_call_id") or (value.get("id") if self.message["role"] == "tool" else None)
        self.message |= {
            k: v for k, v in (("tool_call_id", as_text(call_id)), ("name", as_text(value.get("name")))) if v
        }
        error = value.get("error")
        if self.message["role"] == "tool" and isinstance(value.get("function"), str):
            self.message["name"] = value["function"]
        if value.get("status") == "error" or value.get("is_error") is True or isinstance(error, Mapping):
            self.message["error"] = True
        if isinstance(error, Mapping) and not any(p.get("text") for p in self.content):
            self.content = [{"type": "text", "text": as_text(error.get("message")) or ""}]

    def call(self, given: object) -> None:
        """Take a tool call in any of its shapes."""
        if not isinstance(given, Mapping):
            return
        inner = given.get("tool_call", given)
        inner = inner if isinstance(inner, Mapping) else given
        function = inner.get("function", inner)
        function = function if isinstance(function, Mapping) else inner
        told = function.get("name") or function.get("toolName") or inner.get("function")
        name = told if isinstance(told, str) else None
        if name is None:
            return
        names = ("arguments", "args", "input")
        arguments = next((function[n] for n in names if function.get(n) is not None), None)
        identity = next((inner[n] for n in ("id", "call_id", "toolCallId") if inner.get(n)), None)
        self.calls.append({"id": as_text(identity), "function": {"name": name, "arguments": arguments}})

    def part(self, part: object) -> None:
        """Take a part of a content."""
        if not isinstance(part, Mapping):
            self.content.append({"type": "text", "text": as_text(part) or ""})
            return
        typed = str(part.get("type", ""))
        if typed in ("tool_call", "tool_use", "tool-call", "toolCall"):
            self.call(part)
        elif "functionCall" in part or "function_call" in part:
            self.call(part.get("functionCall") or part.get("function_call"))
        elif typed in ("tool_call_response", "tool_result", "tool-result") or "functionResponse" in part:
            self.result(part)
        elif typed in ("reasoning", "thinking"):
            thought = next((part[n] for n in ("content", "thinking", "text", "reasoning") if part.get(n)), None)
            self.thoughts += [as_text(thought) or ""] if thought else []
        elif (address := _image(part)) is not None:
            self.content.append({"type": "image_url", "image_url": {"url": address}})
        else:
            inner = part.get("text", part.get("content"))
            inner = inner.get("text", inner) if isinstance(inner, Mapping) else inner
            if inner is None and typed in ("", "text"):
                inner = "" if typed else dict(part)
            made = {"type": "text", "text": as_text(inner) or ""} if inner is not None else {"type": typed}
            self.content.append(made)

    def result(self, part: Mapping[str, Any]) -> None:
        """Take the result of a tool, which is a message of its own."""
        inner = part.get("functionResponse", part)
        inner = inner if isinstance(inner, Mapping) else part
        given = next((inner[n] for n in ("response", "result", "content", "output") if inner.get(n) is not None), None)
        identity = next((inner[n] for n in ("id", "tool_use_id", "toolCallId") if inner.get(n)), None)
        made: Message = {"role": "tool", "tool_call_id": as_text(identity), "content": _text(given)}
        made |= {"name": as_text(inner.get("name"))} if inner.get("name") else {}
        made |= {"error": True} if inner.get("is_error") is True else {}
        self.results.append(made)

    def all(self) -> list[Message]:
        """The results first, then the message, where it holds anything besides."""
        plain = all(p.get("type") == "text" for p in self.content)
        if self.content:
            texts = (p["text"] for p in self.content) if plain else ()
            self.message["content"] = "".join(texts) if plain else self.content
        if self.calls:
            self.message["tool_calls"] = self.calls
        if self.thoughts:
            self.message["reasoning"] = "\n".join(self.thoughts)
        bare = not self.content and not self.calls and not self.thoughts
        return self.results if self.results and bare else [*self.results, self.message]


def _image(part: Mapping[str, Any]) -> str | None:
    """The address of an image, in the shapes that are in use."""
    typed = str(part.get("type", ""))
    given = part.get("image_url", part.get("image"))
    if isinstance(given, Mapping):
        given = given.get("url") or given.get("image")
        given = given.get("url") if isinstance(given, Mapping) else given
    source = part.get("source")
    if typed == "image" and isinstance(source, Mapping):
        if isinstance(source.get("data"), str):
            return f"data:{source.get('media_type', 'image/png')};base64,{source['data']}"
        given = source.get("url")
    if typed == "blob" and str(part.get("modality", "image")) == "image" and isinstance(part.get("content"), str):
        return f"data:{part.get('mime_type', 'image/png')};base64,{part['content']}"
    if typed == "uri" and part.get("modality") == "image":
        given = part.get("uri")
    return given if isinstance(given, str) else None


def _text(value: object) -> str | None:
    """A result as text: of parts, their text."""
    if isinstance(value, list) and value and all(isinstance(v, Mapping) for v in value):
        texts = [as_text(v.get("text", v.get("content"))) for v in value]
        if all(t is not None for t in texts):
            return "".join(t or "" for t in texts)
    if isinstance(value, Mapping) and len(value) == 1 and isinstance(value.get("result"), str):
        return str(value["result"])
    return "" if value == "" else as_text(value)


def _merged(messages: list[Message]) -> list[Message]:
    """Items of OpenAI's responses that make one turn of the assistant, as one message."""
    out: list[Message] = []
    for message in messages:
        joins = message.pop("joins", False)
        last = out[-1] if out else None
        if joins and last is not None and last.get("open"):
            last["content"] = _joined(last.get("content"), message.get("content"), "")
            last["tool_calls"] = [*last.get("tool_calls", ()), *message.get("tool_calls", ())]
            last["reasoning"] = _joined(last.get("reasoning"), message.get("reasoning"), "\n")
        else:
            out.append({**message, "open": True} if joins else message)
    for message in out:
        if message.pop("open", False):
            for name in ("tool_calls", "reasoning"):
                if not message.get(name):
                    message.pop(name, None)
    return out


def _joined(a: Any, b: Any, between: str) -> Any:
    if a is None or b is None:
        return b if a is None else a
    return a + between + b if isinstance(a, str) and isinstance(b, str) else a


def fingerprint(message: Mapping[str, Any]) -> bytes:
    """Equal for one turn of the assistant, as its model's output and as part of later inputs; ids left aside, as some
    tracers lose them."""
    calls = []
    for call in message.get("tool_calls") or ():
        function = call["function"]
        calls.append([function["name"], decoded(function["arguments"])])
    content = message.get("content")
    text = content.strip() if isinstance(content, str) else content
    return msgspec.json.encode([text or None, calls], enc_hook=str, order="deterministic")
