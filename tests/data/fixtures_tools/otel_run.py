"""Spans of one run, recorded by a real instrumentation of the OpenAI client and sent to an OTLP/HTTP receiver.

MODEL_URL=... OTLP=http://127.0.0.1:4318/v1/traces python otel_run.py genai|events|traceloop|openinference

genai: attributes of the GenAI conventions 1.41 set through the SDK. events: opentelemetry-instrumentation-openai-v2
2.3b0. traceloop: opentelemetry-instrumentation-openai 0.62.4 and 0.40.7. openinference:
openinference-instrumentation-openai 0.1.66.
"""

import json
import os
import sys
from contextlib import contextmanager
from pathlib import Path

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Status, StatusCode

how = sys.argv[1]
if how == "events":
    os.environ["OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"] = "true"

provider = TracerProvider()
if "OTLP" in os.environ:
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=os.environ["OTLP"])))
if "SPANS" in os.environ:  # the SDK's own JSON of a span, a line each
    from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

    lines = Path(os.environ["SPANS"]).open("w", encoding="utf-8")  # noqa: SIM115 - open to the end
    as_line = lambda span: span.to_json(indent=None) + "\n"  # noqa: E731
    provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(out=lines, formatter=as_line)))
trace.set_tracer_provider(provider)
tracer = trace.get_tracer("fixtures")

if how == "openinference":
    from openinference.instrumentation.openai import OpenAIInstrumentor

    OpenAIInstrumentor().instrument(tracer_provider=provider)
elif how == "traceloop":
    from opentelemetry.instrumentation.openai import OpenAIInstrumentor

    OpenAIInstrumentor().instrument(tracer_provider=provider)
elif how == "events":
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor

    logs = LoggerProvider()
    sent = OTLPLogExporter(endpoint=os.environ["OTLP"].replace("traces", "logs"))
    logs.add_log_record_processor(SimpleLogRecordProcessor(sent))
    OpenAIInstrumentor().instrument(tracer_provider=provider, logger_provider=logs)

NAMES = {
    "openinference": {"kind": "openinference.span.kind", "agent": "AGENT", "tool": "TOOL"},
    "traceloop": {"kind": "traceloop.span.kind", "agent": "agent", "tool": "tool"},
}.get(how, {"kind": "gen_ai.operation.name", "agent": "invoke_agent", "tool": "execute_tool"})


def told(kind, name, what, result):
    if how == "openinference":
        return {"tool.name": name, "input.value": json.dumps(what.get("arguments")), "output.value": result}
    if how == "traceloop":
        return {
            "traceloop.entity.name": name,
            "traceloop.entity.input": json.dumps(what.get("arguments")),
            "traceloop.entity.output": result,
        }
    if kind == "agent":
        return {"gen_ai.agent.name": name, "gen_ai.conversation.id": "c-17"}
    return {
        "gen_ai.tool.name": name,
        "gen_ai.tool.call.id": what["id"],
        "gen_ai.tool.call.arguments": json.dumps(what["arguments"]),
        "gen_ai.tool.call.result": result,
    }


@contextmanager
def around(kind, name, **what):
    title = f"{NAMES[kind]} {name}" if how in ("genai", "events") else name
    with tracer.start_as_current_span(title, attributes={NAMES["kind"]: NAMES[kind]}) as span:
        span.set_attributes({k: v for k, v in told(kind, name, what, "").items() if v})
        try:
            yield lambda result: span.set_attributes(told(kind, name, what, result))
        except LookupError as error:
            span.set_status(Status(StatusCode.ERROR, str(error)))
            raise


import agent  # noqa: E402


class Recorded:
    """The client, with a span around each call as the GenAI conventions have it."""

    def __init__(self, model):
        self.chat = self.completions = self
        self._model = model

    def create(self, **asked):
        with tracer.start_as_current_span("chat scripted-1") as span:
            answer = self._model.chat.completions.create(**asked)
            said = answer.choices[0]
            span.set_attributes(
                {
                    "gen_ai.operation.name": "chat",
                    "gen_ai.provider.name": "openai",
                    "gen_ai.request.model": "scripted-1",
                    "gen_ai.response.id": answer.id,
                    "gen_ai.usage.input_tokens": answer.usage.prompt_tokens,
                    "gen_ai.usage.output_tokens": answer.usage.completion_tokens,
                    "gen_ai.input.messages": json.dumps([parts(m) for m in asked["messages"]]),
                    "gen_ai.output.messages": json.dumps(
                        [{**parts(said.message.model_dump()), "finish_reason": said.finish_reason}]
                    ),
                }
            )
            if said.message.content and "umbrella" in said.message.content:
                result = {"gen_ai.evaluation.name": "helpful", "gen_ai.evaluation.score.value": 0.0}
                result |= {"gen_ai.evaluation.score.label": "fail", "gen_ai.evaluation.explanation": "nobody asked"}
                span.add_event("gen_ai.evaluation.result", result)
        return answer


def parts(message):
    if message["role"] == "tool":
        answer = {"type": "tool_call_response", "id": message["tool_call_id"], "response": message["content"]}
        return {"role": "tool", "parts": [answer]}
    out = [{"type": "text", "content": message["content"]}] if message.get("content") else []
    for call in message.get("tool_calls") or ():
        function = call["function"]
        out.append(
            {
                "type": "tool_call",
                "id": call["id"],
                "name": function["name"],
                "arguments": json.loads(function["arguments"]),
            }
        )
    return {"role": message["role"], "parts": out}


if how == "genai":
    plain = agent.client
    agent.client = lambda: Recorded(plain())

agent.run(around)
provider.shutdown()
