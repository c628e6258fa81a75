"""Traces by OpenInference (Phoenix, Arize): OTLP's JSON with its attributes, or Phoenix's own export of spans, a row
each (JSON Lines or Parquet; columns `context.trace_id`, `span_kind`, `attributes.llm.input_messages`, ...).

Rollouts, steps, groups and options are as in the format `otel`. A step is a span of kind LLM; tools: TOOL; agents:
AGENT, or the attribute `graph.node.id`. Scores: `annotations` among the attributes of a span.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from stepcredit.data.formats._otlp import envelope, keys
from stepcredit.data.formats._otlp_read import read
from stepcredit.data.records import Rollout
from stepcredit.data.rows import Rows

FIELDS = ("resourceSpans", "context", "context.trace_id", "context.span_id", "attributes", "span_kind")


def fits(first: Mapping[str, Any], path: str) -> bool:
    """An envelope with OpenInference's attributes, or a row of Phoenix."""
    return envelope(first) and any(k.startswith("openinference.") for k in keys(first))


def rollouts(rows: Rows, *, by: str = "trace", group: str = "", outcome: str = "") -> Iterator[Rollout]:
    """One rollout a trace.

    Args:
        by: "trace", or "session": all traces of a session are one rollout.
        group: the attribute that names the task.
        outcome: the score of a trace that is its outcome.
    """
    yield from read(rows, by=by, group=group, outcome=outcome)
