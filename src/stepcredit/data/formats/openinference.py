"""Traces by OpenInference (Phoenix, Arize): OTLP's JSON with its attributes, or Phoenix's own exports of spans: its
table (JSON Lines, JSON or Parquet; columns `context.trace_id`, `span_kind`, `attributes.llm.input_messages`, ...), what
`get_spans` of its client gives, and the pages of its `/spans` and `/spans/otlpv1`.

Rollouts, steps, groups and options are as in the format `otel`. A step is a span of kind LLM; tools: TOOL; agents:
AGENT, or the attribute `graph.node.id`. Scores: `annotations` among the attributes of a span, and Phoenix's export of
annotations where they name their `span_id`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from stepcredit.data.formats._otlp import annotation, envelope, keys, paged
from stepcredit.data.formats._otlp_read import read
from stepcredit.data.records import Rollout
from stepcredit.data.rows import Rows

FIELDS = ("resourceSpans", "context", "context.trace_id", "context.span_id", "attributes", "span_kind")


def fits(first: Mapping[str, Any], path: str) -> bool:
    """An envelope with OpenInference's attributes, or a row or page of Phoenix."""
    if any(map(annotation, paged(first))):
        return True
    return envelope(first) and any(k.startswith("openinference.") for k in keys(first))


def rollouts(rows: Rows, *, by: str = "trace", group: str = "", outcome: str = "") -> Iterator[Rollout]:
    """One rollout a trace.

    Args:
        by: "trace", or "session": all traces of a session are one rollout.
        group: the attribute that names the task.
        outcome: the score of a trace that is its outcome, or the attribute of its spans.
    """
    yield from read(rows, by=by, group=group, outcome=outcome)
