"""Events `gen_ai.evaluation.result` of OpenTelemetry's GenAI conventions, as OTLP's JSON of logs: a line a rollout,
which an OTLP receiver takes at /v1/logs.

A score becomes an event with its name, value, label and explanation, linked by trace, span and response to the step
that it is about, where the step's `origin` tells them in OpenTelemetry's form (32 and 16 hexadecimal digits); other ids
stand in `stepcredit.trace` and `stepcredit.span`. What the conventions have no word for begins with `stepcredit.`:
kind, group, rollout, step, by, error, confidence. Rollouts without a score have no line.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from stepcredit.data.exports import as_json
from stepcredit.data.exports._scores import Score, kinds, scores
from stepcredit.data.records import Origin, Rollout

SUFFIXES = (".jsonl", ".json")
_TRACE, _SPAN = re.compile(r"[0-9a-f]{32}"), re.compile(r"[0-9a-f]{16}")


def lines(rollouts: Iterable[Rollout], *, what: str = "credit,blame") -> Iterator[bytes]:
    """An ExportLogsServiceRequest a rollout.

    Args:
        what: kinds of scores, with commas between: credit, blame, reward, evidence.
    """
    wanted = kinds(what)
    for rollout in rollouts:
        records = [_record(score, rollout) for score in scores(rollout, wanted)]
        if records:
            scope = {"scope": {"name": "stepcredit"}, "logRecords": records}
            yield as_json({"resourceLogs": [{"resource": {"attributes": []}, "scopeLogs": [scope]}]})


def _record(score: Score, rollout: Rollout) -> dict[str, Any]:
    step = None if score.step is None or not 0 <= score.step < len(rollout.steps) else rollout.steps[score.step]
    origin = (None if step is None else step.origin) or _any_origin(rollout)
    span = None if step is None or step.origin is None else step.origin.id
    told = {
        "gen_ai.evaluation.name": score.name,
        "gen_ai.evaluation.score.value": score.value,
        "gen_ai.evaluation.score.label": score.label,
        "gen_ai.evaluation.explanation": score.comment,
        "gen_ai.response.id": None if step is None else origin.response,
        "stepcredit.kind": score.kind,
        "stepcredit.group": rollout.group,
        "stepcredit.rollout": rollout.rollout,
        "stepcredit.step": score.step,
        **{f"stepcredit.{k}": v for k, v in score.more.items()},
    }
    record: dict[str, Any] = {"eventName": "gen_ai.evaluation.result"}
    if step is not None and origin.start is not None:
        record["timeUnixNano"] = str(round((origin.start + (origin.seconds or 0.0)) * 1e9))
    if origin.trace is not None and _TRACE.fullmatch(origin.trace):
        record["traceId"] = origin.trace
    else:
        told["stepcredit.trace"] = origin.trace
    if span is not None and _SPAN.fullmatch(span):
        record["spanId"] = span
    else:
        told["stepcredit.span"] = span
    record["attributes"] = [{"key": k, "value": _any(v)} for k, v in told.items() if v is not None]
    return record


def _any_origin(rollout: Rollout) -> Origin:
    """The origin of the first step that tells its trace: all of a rollout have one."""
    return next((Origin(trace=s.origin.trace) for s in rollout.steps if s.origin and s.origin.trace), Origin())


def _any(value: Any) -> dict[str, Any]:
    """OTLP's AnyValue."""
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"doubleValue": value} if isinstance(value, float) else {"stringValue": str(value)}
