"""OpenTelemetry traces of agents: OTLP's JSON (an ExportTraceServiceRequest a line or a file, with its logs beside), or
the JSON that the Python SDK makes of a span.

Read are the GenAI conventions up to 1.41 (messages as attributes or events; `execute_tool`, `invoke_agent`), the older
events (`gen_ai.user.message`, `gen_ai.choice`), OpenLLMetry's `gen_ai.prompt.N`, and what the Langfuse client and the
Vercel AI SDK write.

- rollout: a trace, by its id; with by=session all traces of a session or conversation. Memory holds all the spans of
  the files: those of a trace may stand anywhere.
- step: a span of a call of a model, parents before their children, then by start. agent: of the span, else of the
  nearest one around it that names one. origin: span, trace, response, model, time, tokens.
- replies: what the next call that goes on from this one was sent, with what spans of tools tell: name, result, failure.
  observation: their text; of a tool within which another agent takes steps, what that agent was sent, and the result
  after the last of these steps.
- group: attribute `stepcredit.group`, `task.id` or `task_id` (or the one named by group=), else a hash of the opening;
  `session` is kept among the other fields: a session is no task.
- scores: events `gen_ai.evaluation.result`. Of a step: evidence, and blame where the label says right or wrong; of the
  trace: rewards, and the outcome where one is called outcome, correct, success (or as outcome= says, which may also
  name an attribute of spans: a number, or a word such as pass and fail; that of the root counts). Without a score of
  a trace whose root span failed the outcome is 0.
- not known: states, rewards of steps, tokens.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from stepcredit.data.formats._otlp import envelope, keys
from stepcredit.data.formats._otlp_read import read
from stepcredit.data.records import Rollout
from stepcredit.data.rows import Rows

FIELDS = ("resourceSpans", "resourceLogs", "context", "attributes")


def fits(first: Mapping[str, Any], path: str) -> bool:
    """An envelope of OTLP, or a span of the SDK, without OpenInference's attributes."""
    return envelope(first) and not any(k.startswith("openinference.") for k in keys(first))


def rollouts(rows: Rows, *, by: str = "trace", group: str = "", outcome: str = "") -> Iterator[Rollout]:
    """One rollout a trace.

    Args:
        by: "trace", or "session": all traces of a session or conversation are one rollout.
        group: the attribute that names the task.
        outcome: the score of a trace that is its outcome, or the attribute of its spans.
    """
    yield from read(rows, by=by, group=group, outcome=outcome)
