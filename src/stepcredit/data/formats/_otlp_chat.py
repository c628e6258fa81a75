"""What the attributes and events of a span say of models and tools, by the conventions that are in use.

Known are: OpenTelemetry's GenAI conventions (messages as attributes, or as events of the span or of the log; the older
events, a message each), OpenLLMetry's `gen_ai.prompt.N`, OpenInference, the attributes of the Langfuse client and of
the Vercel AI SDK.
"""

from collections.abc import Mapping
from typing import Any

from stepcredit.data.formats._otlp import Event, Told, nested
from stepcredit.data.formats._spans import Kind, Mark, Said, Span, Used, as_count, as_number, as_text, decoded
from stepcredit.data.formats._spans_messages import chat, spoken

_OPERATIONS: dict[str, Kind] = {
    "chat": "model",
    "text_completion": "model",
    "completion": "model",
    "generate_content": "model",
    "responses": "model",
    "inference": "model",
    "execute_tool": "tool",
    "invoke_agent": "agent",
    "create_agent": "agent",
    "invoke_workflow": "agent",
}
_KINDS: dict[str, Kind] = {"llm": "model", "generation": "model", "tool": "tool", "agent": "agent"}
_MESSAGE_EVENTS = ("gen_ai.system.message", "gen_ai.user.message", "gen_ai.assistant.message", "gen_ai.tool.message")
RESULT = "gen_ai.evaluation.result"


def kind_of(attributes: Mapping[str, Any], name: str) -> Kind:
    """What a span is: a call of a model, of a tool, an agent, or something else."""
    for key in ("openinference.span.kind", "traceloop.span.kind", "langfuse.observation.type"):
        if isinstance(attributes.get(key), str):
            found = _KINDS.get(attributes[key].lower())
            if found or not key.startswith("traceloop"):
                return found or "other"
    operation = attributes.get("gen_ai.operation.name")
    if isinstance(operation, str):
        return _OPERATIONS.get(operation, "other")
    vercel = attributes.get("ai.operationId")
    if isinstance(vercel, str):
        return (
            "tool" if vercel == "ai.toolCall" else "model" if vercel.endswith((".doGenerate", ".doStream")) else "other"
        )
    if "gen_ai.tool.name" in attributes or "gen_ai.tool.call.id" in attributes:
        return "tool"
    if attributes.get("llm.request.type") in ("chat", "completion") or "gen_ai.request.model" in attributes:
        return "other" if attributes.get("llm.request.type") in ("embedding", "rerank") else "model"
    return "other"


def agent_of(attributes: Mapping[str, Any], name: str, kind: Kind) -> str | None:
    """The agent that a span names."""
    for key in ("gen_ai.agent.name", "agent.name", "graph.node.id"):
        if isinstance(attributes.get(key), str) and attributes[key]:
            return str(attributes[key])
    if kind != "agent":
        return None
    told = attributes.get("traceloop.entity.name")
    return as_text(told) or name.removeprefix("invoke_agent ") or None


def said(span: Span) -> Said:
    """What went into the model and came out, from attributes and events."""
    told: Told = span.raw
    at = told.attributes
    given, answer = _messages(at, told.events)
    return Said(
        given=given,
        said=answer,
        model=_first(
            at, "gen_ai.response.model", "gen_ai.request.model", "llm.model_name", "langfuse.observation.model.name"
        ),
        response=_first(at, "gen_ai.response.id", "ai.response.id") or _id_of(at.get("output.value")),
        input_tokens=_count(at, "gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt"),
        output_tokens=_count(
            at, "gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.token_count.completion"
        ),
        cost=as_number(at.get("llm.cost.total", at.get("gen_ai.usage.cost"))),
    )


def used(span: Span) -> Used:
    """A tool's name, arguments and result."""
    told: Told = span.raw
    at = told.attributes
    name = _first(at, "gen_ai.tool.name", "tool.name", "ai.toolCall.name", "traceloop.entity.name")
    wrapped = decoded(at.get("traceloop.entity.input"))
    arguments = next(
        (
            at[n]
            for n in ("gen_ai.tool.call.arguments", "ai.toolCall.args", "input.value", "langfuse.observation.input")
            if n in at
        ),
        wrapped,
    )
    names = ("gen_ai.tool.call.result", "output.value", "ai.toolCall.result", "langfuse.observation.output")
    result = next((at[n] for n in (*names, "traceloop.entity.output") if n in at), None)
    if result is None:
        result = next((e.attributes.get("content") for e in told.events if e.name == "gen_ai.tool.message"), None)
    return Used(
        name=name or told.name.removeprefix("execute_tool ").removesuffix(".tool") or "tool",
        call=_first(at, "gen_ai.tool.call.id", "tool.id", "tool_call.id", "ai.toolCall.id"),
        arguments=decoded(arguments),
        result="" if result == "" else as_text(result),
    )


def mark_of(event: Event, told: Mapping[str, Any], span: str | None) -> Mark | None:
    """An event of an evaluation as a mark; None: another event, or one that says nothing."""
    if event.name != RESULT:
        return None
    at = event.attributes
    name = as_text(at.get("gen_ai.evaluation.name"))
    value = as_number(at.get("gen_ai.evaluation.score.value"))
    label = as_text(at.get("gen_ai.evaluation.score.label"))
    comment = as_text(at.get("gen_ai.evaluation.explanation"))
    if name is None or (value is None and label is None and comment is None):
        return None
    ours = {k.removeprefix("stepcredit."): v for k, v in at.items() if k.startswith("stepcredit.")}
    kind = as_text(ours.pop("kind", None))
    response = _first(at, "gen_ai.response.id")
    by = as_text(ours.pop("by", None))
    return Mark(name, value, label, comment, by, span or None, response, kind, ours)


def annotations(attributes: Mapping[str, Any], span: str) -> list[Mark]:
    """Annotations that OpenInference keeps among a span's attributes."""
    out = []
    for prefix in ("annotations", "evaluations"):
        given = nested(attributes, prefix)
        for one in given if isinstance(given, list) else [given] if isinstance(given, Mapping) else ():
            inner = one.get("annotation", one.get("evaluation", one)) if isinstance(one, Mapping) else {}
            if isinstance(inner, Mapping) and isinstance(inner.get("name"), str):
                label, comment = as_text(inner.get("label")), as_text(inner.get("explanation"))
                by = as_text(inner.get("annotator_kind"))
                out.append(Mark(inner["name"], as_number(inner.get("score")), label, comment, by, span))
    return out


def _messages(at: Mapping[str, Any], events: list[Event]) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """(messages given, message said)."""
    given = [m for n in ("gen_ai.system_instructions", "gen_ai.input.messages") for m in _given(at.get(n), n)]
    answer = spoken(at["gen_ai.output.messages"]) if at.get("gen_ai.output.messages") else None
    for event in events:
        if event.name.startswith("gen_ai.") and "operation.details" in event.name:
            inner = event.attributes | (event.body if isinstance(event.body, dict) else {})
            if not given:
                names = ("gen_ai.system_instructions", "gen_ai.input.messages")
                given = [m for n in names for m in _given(inner.get(n), n)]
            answer = answer or (
                spoken(inner["gen_ai.output.messages"]) if inner.get("gen_ai.output.messages") else None
            )
    if given or answer:
        return given, answer
    for prompt, completion in (("gen_ai.prompt", "gen_ai.completion"), ("llm.prompts", "llm.completions")):
        told, made = nested(at, prompt), nested(at, completion)
        if told or made:
            return chat(_flat(told)), spoken(_flat(made))
    told, made = nested(at, "llm.input_messages"), nested(at, "llm.output_messages")
    if told or made:
        return chat(_flat(told)), spoken(_flat(made))
    told, made = _of_events(events, at)
    if told or made:
        return told, made
    if "ai.prompt.messages" in at or "ai.response.text" in at or "ai.response.toolCalls" in at:
        message = {
            "role": "assistant",
            "content": at.get("ai.response.text"),
            "tool_calls": at.get("ai.response.toolCalls"),
        }
        return chat(at.get("ai.prompt.messages")), spoken(message)
    for one, other in (("langfuse.observation.input", "langfuse.observation.output"), ("input.value", "output.value")):
        if one in at or other in at:
            return chat(at.get(one)), spoken(at.get(other))
    return [], None


def _given(value: Any, name: str) -> list[dict[str, Any]]:
    if not value:
        return []
    if name.endswith("instructions"):
        value = decoded(value)
        return chat({"role": "system", "parts": value if isinstance(value, list) else [value]})
    return chat(value)


def _flat(value: Any) -> Any:
    """Messages of OpenInference ({"message": {...}}), and of OpenLLMetry, as plain ones."""
    if isinstance(value, Mapping):
        value = [value] if "message" in value or "role" in value or "content" in value else list(value.values())
    if not isinstance(value, list):
        return value
    out = []
    for one in value:
        inner = one.get("message", one) if isinstance(one, Mapping) else one
        if isinstance(inner, Mapping) and isinstance(inner.get("contents"), list):
            parts = [p.get("message_content", p) if isinstance(p, Mapping) else p for p in inner["contents"]]
            inner = {**inner, "contents": parts}
        if isinstance(inner, Mapping) and "role" not in inner:
            inner = {**inner, "role": "user"}
        out.append(inner)
    return out


def _of_events(events: list[Event], at: Mapping[str, Any]) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """The older events, a message each, of the span or of the log."""
    listed = decoded(at.get("events"))  # Pydantic AI keeps them in an attribute
    found = [
        (str(e.get("event.name", "")), dict(e))
        for e in (listed if isinstance(listed, list) else ())
        if isinstance(e, dict)
    ]
    found += [(e.name, {**e.attributes, **(e.body if isinstance(e.body, dict) else {})}) for e in events]
    given: list[dict[str, Any]] = []
    answer = None
    for name, told in found:
        told = {k: decoded(v) if k in ("tool_calls", "message", "gen_ai.event.content") else v for k, v in told.items()}
        if isinstance(told.get("gen_ai.event.content"), dict):
            told |= told["gen_ai.event.content"]
        if name in _MESSAGE_EVENTS:
            given += chat({**told, "role": told.get("role") or name.split(".")[1]})
        elif name == "gen_ai.choice" and answer is None:
            inner = told.get("message")
            answer = spoken({"role": "assistant", **(inner if isinstance(inner, dict) else {**told, "content": inner})})
        elif name == "gen_ai.content.prompt":
            given += chat(_flat(decoded(told.get("gen_ai.prompt"))))
        elif name == "gen_ai.content.completion":
            answer = answer or spoken(_flat(decoded(told.get("gen_ai.completion"))))
    return given, answer


def _first(at: Mapping[str, Any], *names: str) -> str | None:
    return next((text for n in names if (text := as_text(at.get(n))) is not None), None)


def _count(at: Mapping[str, Any], *names: str) -> int | None:
    return next((count for n in names if (count := as_count(at.get(n))) is not None), None)


def _id_of(value: Any) -> str | None:
    """The id of a response of OpenAI that is kept whole."""
    inner = decoded(value)
    return as_text(inner.get("id")) if isinstance(inner, dict) and "choices" in inner else None
