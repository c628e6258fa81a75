"""The OpenAI wire format: bodies to requests, samples to bodies."""

import json
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from stepcredit.errors import StepCreditError
from stepcredit.protocols import Sample

LOWEST = -9999.0  # what -inf is on the wire: JSON has no word for it
MOST_CHOICES, MOST_PROMPTS, MOST_TOP = 1024, 2048, 20

Kind = Literal["completions", "chat"]


class WireError(StepCreditError):
    """What is sent back instead of a reply. status: of HTTP; kind, code: as OpenAI names them."""

    def __init__(self, status: int, message: str, *, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.param = status, code, param

    def body(self) -> dict[str, Any]:
        """The JSON of the error."""
        kind = {401: "authentication_error", 404: "not_found_error"}.get(self.status)
        kind = kind or ("invalid_request_error" if self.status < 500 else "server_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}


@dataclass(frozen=True)
class WireRequest:
    """One request, checked.

    kind: which endpoint. prompts: of completions. messages: of a chat; with `goes_on` the last one is what the model
    has written so far. logprobs: None = not asked for, else how many of the likeliest tokens to tell. echo: begin with
    the prompt. body: all that was sent.
    """

    kind: Kind
    model: str | None
    prompts: tuple[str, ...] = ()
    messages: tuple[Mapping[str, Any], ...] = ()
    n: int = 1
    max_tokens: int = 16
    temperature: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int | None = None
    logprobs: int | None = None
    echo: bool = False
    stream: bool = False
    goes_on: bool = False
    body: Mapping[str, Any] = field(default_factory=dict, repr=False)


def request(kind: Kind, body: Any) -> WireRequest:
    """A body as a request.

    Raises:
        WireError: 400, naming the field.
    """
    if not isinstance(body, dict):
        raise WireError(400, "the body is no JSON object")
    chat = kind == "chat"
    limit = body.get("max_completion_tokens") if body.get("max_tokens") is None else body["max_tokens"]
    found = WireRequest(
        kind,
        _get(body, "model", str, None),
        () if chat else _prompts(body),
        _messages(body) if chat else (),
        n=_within("n", _get(body, "n", int, 1), 1, MOST_CHOICES),
        max_tokens=_within(
            "max_tokens", _get({"max_tokens": limit}, "max_tokens", int, 1024 if chat else 16), 0, 1 << 20
        ),
        temperature=float(_within("temperature", _get(body, "temperature", (int, float), 1.0), 0, 100)),
        stop=_stop(body),
        seed=_get(body, "seed", int, None),
        logprobs=_top(body, chat),
        echo=not chat and _get(body, "echo", bool, False),
        stream=_get(body, "stream", bool, False),
        goes_on=chat and _get(body, "continue_final_message", bool, False),
        body=body,
    )
    if found.goes_on and found.messages[-1]["role"] != "assistant":
        raise WireError(400, "continue_final_message: the last message is not the assistant's", param="messages")
    if found.max_tokens == 0 and not found.echo:
        raise WireError(400, "max_tokens: 0 only with echo", param="max_tokens")
    return found


def _get(body: Mapping[str, Any], name: str, kind: Any, default: Any) -> Any:
    value = body.get(name)
    if value is None:
        return default
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise WireError(400, f"{name}: got {type(value).__name__}", param=name)
    return value


def _within(name: str, value: Any, low: float, high: float) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise WireError(400, f"{name}: expected {low} to {high}", param=name)
    return value


def _prompts(body: Mapping[str, Any]) -> tuple[str, ...]:
    given = body.get("prompt")
    prompts = [given] if isinstance(given, str) else given
    if not isinstance(prompts, list) or not prompts or not all(isinstance(p, str) for p in prompts):
        raise WireError(400, "prompt: expected a text or a list of texts (token ids are not read)", param="prompt")
    if len(prompts) > MOST_PROMPTS:
        raise WireError(400, f"prompt: at most {MOST_PROMPTS}; got {len(prompts)}", param="prompt")
    return tuple(prompts)


def _messages(body: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    given = body.get("messages")
    if not isinstance(given, list) or not given:
        raise WireError(400, "messages: expected a list of at least one", param="messages")
    for i, one in enumerate(given):
        if not isinstance(one, dict) or not isinstance(one.get("role"), str):
            raise WireError(400, f"messages[{i}]: expected an object with a role", param="messages")
        text_of(one, i)
    return tuple(given)


def text_of(message: Mapping[str, Any], place: int = 0) -> str:
    """The text of a message; its content may be parts.

    Raises:
        WireError: 400, a part that is no text.
    """
    content = message.get("content")
    if content is None or isinstance(content, str):
        return content or ""
    parts = content if isinstance(content, list) else [None]
    texts = [p.get("text") if isinstance(p, dict) else None for p in parts]
    if not all(isinstance(t, str) for t in texts):
        raise WireError(400, f"messages[{place}].content: expected text, or parts that are text", param="messages")
    return "".join(map(str, texts))


def _stop(body: Mapping[str, Any]) -> tuple[str, ...]:
    given = body.get("stop") or []
    stop = [given] if isinstance(given, str) else given
    if not isinstance(stop, list) or not all(isinstance(s, str) for s in stop):
        raise WireError(400, "stop: expected a text or a list of texts", param="stop")
    return tuple(s for s in stop if s)


def _top(body: Mapping[str, Any], chat: bool) -> int | None:
    if not chat:
        told = _get(body, "logprobs", int, None)
        return None if told is None else int(_within("logprobs", told, 0, MOST_TOP))
    if not _get(body, "logprobs", bool, False):
        return None
    return int(_within("top_logprobs", _get(body, "top_logprobs", int, 0), 0, MOST_TOP))


def reply(asked: WireRequest, samples: Sequence[Sequence[Sample]], model: str) -> dict[str, Any]:
    """Samples, n per prompt, as the body of a reply."""
    choices = [_choice(asked, one) for per_prompt in samples for one in per_prompt]
    for i, one in enumerate(choices):
        one["index"] = i
    chat = asked.kind == "chat"
    return {
        "id": ("chatcmpl-" if chat else "cmpl-") + uuid.uuid4().hex,
        "object": "chat.completion" if chat else "text_completion",
        "created": int(time.time()),
        "model": model,
        "choices": choices,
        "usage": _usage(samples),
    }


def _usage(samples: Sequence[Sequence[Sample]]) -> dict[str, int] | None:
    """What was read and written; None where the model does not say."""
    read = [per_prompt[0].read for per_prompt in samples if per_prompt]
    written = [len(s.tokens) if s.written is None else s.written for per_prompt in samples for s in per_prompt]
    if None in read:
        return None
    total = sum(r or 0 for r in read)
    return {"prompt_tokens": total, "completion_tokens": sum(written), "total_tokens": total + sum(written)}


def _choice(asked: WireRequest, sample: Sample) -> dict[str, Any]:
    told = asked.logprobs is not None and sample.logp is not None
    one: dict[str, Any] = {"index": 0, "finish_reason": "stop" if sample.finished else "length"}
    if sample.ended or not sample.finished:
        one["stop_reason"] = None
    elif sample.ended is False and len(asked.stop) == 1:
        one["stop_reason"] = asked.stop[0]
    if asked.kind == "chat":
        one["message"] = {"role": "assistant", "content": sample.text}
        one["logprobs"] = {"content": list(_chat_logprobs(asked, sample)), "refusal": None} if told else None
    else:
        one["text"] = sample.text
        one["logprobs"] = _logprobs(asked, sample) if told else None
    return one


def _number(value: Any) -> float | None:
    return None if value is None or value != value else max(float(value), LOWEST)


def _tops(asked: WireRequest, sample: Sample, i: int) -> list[tuple[str, float]]:
    if i >= len(sample.top_tokens):
        return []
    pairs = zip(sample.top_tokens[i], sample.top_logp[i].tolist(), strict=True)
    return [(token, max(value, LOWEST)) for token, value in pairs][: asked.logprobs]


def _chat_logprobs(asked: WireRequest, sample: Sample) -> Iterator[dict[str, Any]]:
    values = [] if sample.logp is None else sample.logp.tolist()
    for i, (token, value) in enumerate(zip(sample.tokens, values, strict=True)):
        top = [{"token": t, "logprob": v, "bytes": list(t.encode())} for t, v in _tops(asked, sample, i)]
        yield {"token": token, "logprob": _number(value), "bytes": list(token.encode()), "top_logprobs": top}


def _logprobs(asked: WireRequest, sample: Sample) -> dict[str, Any]:
    offsets, at = [], 0
    for token in sample.tokens:
        offsets.append(at)
        at += len(token)
    values = [] if sample.logp is None else sample.logp.tolist()
    tops = [dict(_tops(asked, sample, i)) or None for i in range(len(sample.tokens))]
    return {
        "tokens": list(sample.tokens),
        "token_logprobs": [_number(v) for v in values],
        "top_logprobs": tops if asked.logprobs else None,
        "text_offset": offsets,
    }


def chunks(body: Mapping[str, Any], *, usage: bool) -> Iterator[str]:
    """The body of a reply as server-sent events: line by line of its text, then why it ended, then [DONE]."""
    chat = body["object"] == "chat.completion"
    head = {k: v for k, v in body.items() if k not in ("choices", "usage")}
    head["object"] = "chat.completion.chunk" if chat else "text_completion"

    def event(choices: Sequence[Any], **more: Any) -> str:
        return f"data: {json.dumps({**head, 'choices': choices, **more})}\n\n"

    for choice in body["choices"]:
        index = choice["index"]
        message = choice.get("message") or {}
        text = (message.get("content") if chat else choice["text"]) or ""
        logprobs = choice.get("logprobs")
        if chat:
            rest = {k: v for k, v in message.items() if k not in ("content", "tool_calls")}
            calls = [{"index": i, **call} for i, call in enumerate(message.get("tool_calls") or [])]
            rest |= {"tool_calls": calls} if calls else {}
            yield event([{"index": index, "delta": {**rest, "content": ""}, "finish_reason": None}])
        for part in [text] if logprobs else text.splitlines(keepends=True):
            said = {"delta": {"content": part}} if chat else {"text": part}
            yield event([{"index": index, **said, "logprobs": logprobs, "finish_reason": None}])
        end = {k: v for k, v in choice.items() if k in ("finish_reason", "stop_reason")}
        yield event([{"index": index, **({"delta": {}} if chat else {"text": ""}), "logprobs": None, **end}])
    if usage:
        yield event([], usage=body.get("usage"))
    yield "data: [DONE]\n\n"
