"""The envelopes of OpenTelemetry: OTLP's JSON (traces and logs), and the JSON that its Python SDK makes of one span."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from stepcredit.data.formats._spans import as_number, as_text, as_time

_ENVELOPES = ("resourceSpans", "resource_spans", "resourceLogs", "resource_logs")
_SCALARS = ("stringValue", "intValue", "doubleValue", "boolValue", "bytesValue")
_SCALARS_TOO = ("string_value", "int_value", "double_value", "bool_value", "bytes_value")
_KNOWN = {*_SCALARS, *_SCALARS_TOO, "arrayValue", "array_value", "kvlistValue", "kvlist_value"}


class Event(NamedTuple):
    """An event of a span, or a log record that belongs to one."""

    name: str
    attributes: dict[str, Any]
    body: Any = None


class Told(NamedTuple):
    """A span as it was exported."""

    trace: str
    id: str
    parent: str | None
    name: str
    start: float | None
    end: float | None
    error: str | None
    attributes: dict[str, Any]
    events: list[Event]
    resource: dict[str, Any]


def envelope(row: Mapping[str, Any]) -> bool:
    """Whether a row is one of these shapes. Never raises."""
    return any(isinstance(row.get(name), list) for name in _ENVELOPES) or any(_sdk(r) or _bare(r) for r in paged(row))


def keys(row: Mapping[str, Any]) -> Iterator[str]:
    """Names of the attributes of the spans in a row. Never raises."""
    for told, _, _ in spans(row):
        yield from told.attributes if told is not None else ()


def spans(row: Mapping[str, Any]) -> Iterator[tuple[Told | None, Event | None, tuple[str, str]]]:
    """The spans, and the log records, of a row, each with its trace and its span. What is no span is passed over."""
    for one in paged(row):
        if _sdk(one) or _bare(one):
            told = _of_sdk(one) if _sdk(one) else _span(one, {})
            yield told, None, (told.trace, told.id)
        elif annotation(one):
            yield None, _annotation(one), (as_text(one.get("trace_id")) or "", as_text(one.get("span_id")) or "")
    for resource, scope in _scopes(row, ("resourceSpans", "resource_spans"), ("scopeSpans", "scope_spans")):
        for span in _list(scope, "spans"):
            told = _span(span, resource)
            yield told, None, (told.trace, told.id)
    for _, scope in _scopes(row, ("resourceLogs", "resource_logs"), ("scopeLogs", "scope_logs")):
        for record in _list(scope, "logRecords", "log_records"):
            attributes = attributes_of(record.get("attributes"))
            name = _get(record, "eventName", "event_name") or attributes.get("event.name") or ""
            place = as_text(_get(record, "traceId", "trace_id")) or "", as_text(_get(record, "spanId", "span_id")) or ""
            yield None, Event(str(name), attributes, value_of(record.get("body"))), place


def attributes_of(given: object) -> dict[str, Any]:
    """Attributes by name: OTLP's list of keys and values, or an object."""
    if isinstance(given, Mapping):
        return {str(k): value_of(v) for k, v in given.items()}
    out = {}
    for pair in given if isinstance(given, list) else ():
        if isinstance(pair, Mapping) and isinstance(pair.get("key"), str):
            out[pair["key"]] = value_of(pair.get("value"))
    return out


def value_of(value: Any) -> Any:
    """What an AnyValue holds; another value is itself."""
    if isinstance(value, Mapping) and len(value) > 1 and all(v is None or k in _KNOWN for k, v in value.items()):
        value = {k: v for k, v in value.items() if v is not None}  # Phoenix writes all kinds, the others null
        if not value:
            return None
    if not isinstance(value, Mapping) or len(value) != 1:
        return value
    for name in (*_SCALARS, *_SCALARS_TOO):
        if name in value:
            inner = value[name]
            return int(inner) if name[:3] == "int" and isinstance(inner, str) and _whole(inner) else inner
    for name in ("arrayValue", "array_value"):
        if name in value:
            return [value_of(v) for v in _list(value[name], "values", any_kind=True)]
    for name in ("kvlistValue", "kvlist_value"):
        if name in value:
            return attributes_of(_list(value[name], "values"))
    return value


def nested(attributes: Mapping[str, Any], prefix: str) -> Any:
    """What stands under a prefix: `a.0.b: 1` as [{"b": 1}]; None: nothing.

    >>> nested({"in.0.message.role": "user", "in.1": {"message.role": "tool"}, "other": 1}, "in")
    [{'message': {'role': 'user'}}, {'message': {'role': 'tool'}}]
    """
    if prefix in attributes:
        return _deep(attributes[prefix])
    start = prefix + "."
    inner = {k[len(start) :]: v for k, v in attributes.items() if k.startswith(start)}
    return _deep(inner) if inner else None


def _deep(value: Any) -> Any:
    if isinstance(value, list):
        return [_deep(v) for v in value]
    if not isinstance(value, Mapping):
        return value
    tree: dict[str, Any] = {}
    for key, inner in value.items():
        *path, last = str(key).split(".")
        at = tree
        for part in path:
            below = at.get(part)
            if not isinstance(below, dict):
                below = at[part] = {}
            at = below
        if not isinstance(at.get(last), dict):
            at[last] = inner
    return _lists({k: _deep(v) for k, v in tree.items()})


def _lists(tree: dict[str, Any]) -> Any:
    if tree and all(k.isdecimal() and len(k) < 7 for k in tree):
        return [tree[k] for k in sorted(tree, key=int)]
    return tree


def annotation(row: Mapping[str, Any]) -> bool:
    """Whether a row is an annotation of a span or a trace, as Phoenix exports them beside its spans. Never raises."""
    return "annotator_kind" in row and any(k in row for k in ("result", "result.score", "result.label"))


def _annotation(row: Mapping[str, Any]) -> Event:
    """An annotation as the event of an evaluation."""
    result = row.get("result")
    inner = result if isinstance(result, Mapping) else {k[7:]: v for k, v in row.items() if k.startswith("result.")}
    told = {
        "name": _get(row, "name", "annotation_name"),
        "score.value": inner.get("score"),
        "score.label": inner.get("label"),
        "explanation": inner.get("explanation"),
    }
    by = row.get("annotator_kind")
    return Event(
        "gen_ai.evaluation.result", {f"gen_ai.evaluation.{k}": v for k, v in told.items()} | {"stepcredit.by": by}
    )


def paged(row: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The spans in a row: itself; those of a page (`{"data": [...], "next_cursor": ...}`); those of a table that was
    written column by column, as pandas does unless told otherwise."""
    ids, page = row.get("context.trace_id"), row.get("data")
    if isinstance(page, list) and "next_cursor" in row:
        yield from (one for one in page if isinstance(one, Mapping))
    elif isinstance(ids, Mapping):
        columns = [(name, values) for name, values in row.items() if isinstance(values, Mapping)]
        for at in ids:
            yield {name: values.get(at) for name, values in columns}
    else:
        yield row


def _bare(row: Mapping[str, Any]) -> bool:
    """A span of OTLP without its envelope."""
    named = isinstance(_get(row, "traceId", "trace_id"), str) and isinstance(_get(row, "spanId", "span_id"), str)
    return (
        named
        and isinstance(row.get("attributes"), list)
        and ("startTimeUnixNano" in row or "start_time_unix_nano" in row)
    )


def _sdk(row: Mapping[str, Any]) -> bool:
    context = row.get("context")
    whole = isinstance(context, Mapping) and "trace_id" in context and isinstance(row.get("attributes"), Mapping)
    return whole or ("context.trace_id" in row and "context.span_id" in row)


def _of_sdk(row: Mapping[str, Any]) -> Told:
    """A span as the SDK writes it, or as Phoenix does: whole, or a row of a table with dots in its columns."""
    context, status, resource = row.get("context"), row.get("status"), row.get("resource")
    if not isinstance(context, Mapping):
        context = {"trace_id": row.get("context.trace_id"), "span_id": row.get("context.span_id")}
    if not isinstance(status, Mapping):
        status = {"status_code": row.get("status_code"), "description": row.get("status_message")}
    attributes = {k[11:]: value_of(v) for k, v in row.items() if k.startswith("attributes.") and v is not None}
    attributes |= attributes_of(row.get("attributes"))
    if isinstance(row.get("span_kind"), str):
        attributes.setdefault("openinference.span.kind", row["span_kind"])
    return Told(
        trace=_identity(context.get("trace_id")),
        id=_identity(context.get("span_id")),
        parent=_identity(row.get("parent_id")) or None,
        name=as_text(row.get("name")) or "",
        start=as_time(row.get("start_time")),
        end=as_time(row.get("end_time")),
        error=(as_text(status.get("description")) or "error") if status.get("status_code") == "ERROR" else None,
        attributes=attributes,
        events=_events(row.get("events")),
        resource=attributes_of(resource.get("attributes")) if isinstance(resource, Mapping) else {},
    )


def _span(span: Mapping[str, Any], resource: dict[str, Any]) -> Told:
    status = span.get("status")
    code = status.get("code") if isinstance(status, Mapping) else None
    failed = code in (2, "2", "STATUS_CODE_ERROR", "ERROR")
    return Told(
        trace=as_text(_get(span, "traceId", "trace_id")) or "",
        id=as_text(_get(span, "spanId", "span_id")) or "",
        parent=as_text(_get(span, "parentSpanId", "parent_span_id")),
        name=as_text(span.get("name")) or "",
        start=as_time(_get(span, "startTimeUnixNano", "start_time_unix_nano")),
        end=as_time(_get(span, "endTimeUnixNano", "end_time_unix_nano")),
        error=(as_text(status.get("message")) or "error") if failed and isinstance(status, Mapping) else None,
        attributes=attributes_of(span.get("attributes")),
        events=_events(span.get("events")),
        resource=resource,
    )


def _events(given: object) -> list[Event]:
    events = (e for e in given if isinstance(e, Mapping)) if isinstance(given, list) else ()
    return [Event(as_text(e.get("name")) or "", attributes_of(e.get("attributes"))) for e in events]


def _scopes(
    row: Mapping[str, Any], outer: tuple[str, str], inner: tuple[str, str]
) -> Iterator[tuple[dict[str, Any], Mapping[str, Any]]]:
    for one in _list(row, *outer):
        resource = one.get("resource")
        shared = attributes_of(resource.get("attributes")) if isinstance(resource, Mapping) else {}
        for scope in _list(one, *inner, "instrumentationLibrarySpans"):
            yield shared, scope


def _list(holder: object, *names: str, any_kind: bool = False) -> list[Any]:
    """The objects of a list field; [] where there is none."""
    given = _get(holder, *names) if isinstance(holder, Mapping) else None
    return [v for v in given if any_kind or isinstance(v, Mapping)] if isinstance(given, list) else []


def _get(holder: Mapping[str, Any], *names: str) -> Any:
    return next((holder[n] for n in names if holder.get(n) is not None), None)


def _identity(value: object) -> str:
    return (as_text(value) or "").removeprefix("0x")


def _whole(text: str) -> bool:
    number = as_number(text)
    return number is not None and text.lstrip("+-").isdecimal() and len(text) < 30
