"""What the runs left, as the files in tests/data/traces, without paths of a machine.

python keep.py otlp CAPTURE OUT            requests to an OTLP receiver, as OTLP's JSON (needs opentelemetry-proto)
python keep.py sdk SPANS OUT               the SDK's own JSON of spans
python keep.py phoenix SPANS OUT           the same as rows of Phoenix's table of spans (shape by its documentation)
python keep.py langfuse CAPTURE OUT        a trace as Langfuse's API 3 returns it (needs langfuse<4: its own types)
python keep.py langfuse-rows CAPTURE OUT   observations and scores as its API 5 returns them (needs langfuse>=5)
python keep.py langsmith CAPTURE OUT       runs and feedback, a row each
python keep.py langsmith-nested CAPTURE OUT
python keep.py inspect LOG OUT             a log, .json or .eval (repacked by deflate, which any zip reader knows)
"""

import base64
import json
import re
import sys
import zipfile
from pathlib import Path

PATHS = re.compile(r"(/[\w.-]+)+/(?=[\w.-]+\.py|tests|site-packages)")
DROPPED = ("exception.stacktrace", "traceback", "traceback_ansi", "platform", "runtime_version")
DROPPED += ("task_file", "packages")


def tidy(value):
    if isinstance(value, dict):
        return {k: tidy(v) for k, v in value.items() if k not in DROPPED}
    if isinstance(value, list):
        return [tidy(v) for v in value if not (isinstance(v, dict) and v.get("key") in DROPPED)]
    if isinstance(value, str):
        return PATHS.sub("", value.partition("\n\nTraceback")[0])
    return value


def lines(path):
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def write(rows, out):
    text = "".join(json.dumps(tidy(row)) + "\n" for row in rows)
    Path(out).write_text(text, encoding="utf-8")


def hexed(value):
    if isinstance(value, list):
        return [hexed(v) for v in value]
    if not isinstance(value, dict):
        return value
    ids = ("traceId", "spanId", "parentSpanId")
    return {k: base64.b64decode(v).hex() if k in ids else hexed(v) for k, v in value.items()}


def requests(path):
    from google.protobuf.json_format import MessageToDict
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    for row in lines(path):
        if "base64" in row:
            message = (ExportLogsServiceRequest if row["path"].endswith("logs") else ExportTraceServiceRequest)()
            message.ParseFromString(base64.b64decode(row["base64"]))
            yield hexed(MessageToDict(message))


def otlp(path, out):
    write(requests(path), out)


def sdk(path, out):
    write(lines(path), out)


def phoenix(path, out):
    rows = []
    for span in lines(path):
        row = {
            "name": span["name"],
            "span_kind": span["attributes"].pop("openinference.span.kind"),
            "parent_id": (span["parent_id"] or "")[2:] or None,
            "start_time": span["start_time"],
            "end_time": span["end_time"],
            "status_code": span["status"]["status_code"],
            "status_message": span["status"].get("description", ""),
            "events": span["events"],
            "context.span_id": span["context"]["span_id"][2:],
            "context.trace_id": span["context"]["trace_id"][2:],
        }
        messages = {}
        for key, value in span["attributes"].items():
            found = re.fullmatch(r"(llm\.(?:in|out)put_messages)\.(\d+)\.(.+)", key)
            if not found:
                row[f"attributes.{key}"] = value
                continue
            name, number, rest = found.groups()
            message = messages.setdefault(name, {}).setdefault(int(number), {})
            call = re.fullmatch(r"message\.tool_calls\.(\d+)\.(.+)", rest)
            if call:
                message.setdefault("message.tool_calls", {}).setdefault(int(call[1]), {})[call[2]] = value
            else:
                message[rest] = value
        for name, told in messages.items():
            listed = [told[i] for i in sorted(told)]
            for message in listed:
                if "message.tool_calls" in message:
                    message["message.tool_calls"] = list(message["message.tool_calls"].values())
            row[f"attributes.{name}"] = listed
        rows.append(row)
    write(rows, out)


def observed(path):
    """The spans of the Langfuse client as observations, and the scores that it sent."""
    found = []
    for request in requests(path):
        for resource in request["resourceSpans"]:
            for scope in resource["scopeSpans"]:
                for span in scope["spans"]:
                    at = {a["key"]: next(iter(a["value"].values())) for a in span["attributes"]}
                    kept = {k.removeprefix("langfuse.observation."): v for k, v in at.items()}
                    found.append((span, kept))
    scores = [s for row in lines(path) if row["path"].endswith("/scores") for s in row["body"]]
    return found, scores


def read(text):
    try:
        return json.loads(text)
    except (TypeError, ValueError):
        return text


def observation(span, kept):
    return {
        "id": span["spanId"],
        "traceId": span["traceId"],
        "type": kept["type"].upper(),
        "name": span["name"],
        "startTime": when(span["startTimeUnixNano"]),
        "endTime": when(span["endTimeUnixNano"]),
        "parentObservationId": span.get("parentSpanId"),
        "model": kept.get("model.name"),
        "input": read(kept.get("input")),
        "output": read(kept.get("output")),
        "level": kept.get("level", "DEFAULT"),
        "statusMessage": kept.get("status_message"),
        "usageDetails": {k: v for k, v in (read(kept.get("usage_details")) or {}).items() if isinstance(v, int)},
        "costDetails": {},
        "environment": "default",
    }


def when(nanoseconds):
    from datetime import UTC, datetime

    return datetime.fromtimestamp(int(nanoseconds) / 1e9, UTC).isoformat().replace("+00:00", "Z")


def langfuse(path, out):
    from langfuse.api import TraceWithFullDetails

    found, scores = observed(path)
    root = next(span for span, _ in found if "parentSpanId" not in span)
    now = when(root["endTimeUnixNano"])
    usage = {"usage": {"input": 0, "output": 0, "total": 0, "unit": "TOKENS"}}
    usage |= {"modelParameters": None, "metadata": None}
    told = {
        "id": root["traceId"],
        "timestamp": when(root["startTimeUnixNano"]),
        "name": root["name"],
        "sessionId": "chat-17",
        "metadata": {"task_id": "weather-2"},
        "tags": [],
        "public": False,
        "environment": "default",
        "htmlPath": "/project/p/traces/" + root["traceId"],
        "latency": 0.1,
        "totalCost": 0.0,
        "observations": [{**observation(*one), **usage} for one in found],
        "scores": [
            {"dataType": "NUMERIC", "source": "API", "createdAt": now, "updatedAt": now, "environment": "default", **s}
            | ({"stringValue": "False"} if s.get("dataType") == "BOOLEAN" else {})
            for s in scores
        ],
    }
    checked = json.loads(TraceWithFullDetails.parse_obj(told).json(by_alias=True))
    Path(out).write_text(json.dumps(tidy(checked), indent=1) + "\n", encoding="utf-8")


def langfuse_rows(path, out):
    from langfuse.api import ObservationV2, ScoreV3_Boolean, ScoreV3_Numeric
    from langfuse.api.core.pydantic_utilities import parse_obj_as

    def checked(of, row):
        parse_obj_as(of, row)
        return {k: v for k, v in row.items() if v is not None}

    found, scores = observed(path)
    rows = [checked(ObservationV2, {**observation(*one), "projectId": "p", "sessionId": "chat-17"}) for one in found]
    root = next(span for span, _ in found if "parentSpanId" not in span)
    now = when(root["endTimeUnixNano"])
    shared = {"projectId": "p", "source": "API", "environment": "default", "createdAt": now, "updatedAt": now}
    for score in scores:
        score = dict(score)
        trace, observation_id = score.pop("traceId"), score.pop("observationId", None)
        subject = {"kind": "trace", "id": trace}
        if observation_id:
            subject = {"kind": "observation", "id": observation_id, "traceId": trace}
        of = ScoreV3_Boolean if score.get("dataType") == "BOOLEAN" else ScoreV3_Numeric
        kind = "BOOLEAN" if of is ScoreV3_Boolean else "NUMERIC"
        rows.append(checked(of, {**shared, **score, "dataType": kind, "subject": subject}))
    write(rows, out)


def runs(path):
    found, feedback = {}, []
    for row in lines(path):
        body = row.get("body") or {}
        if "run_id" in body:
            feedback.append(body)
        elif "id" in body:
            found.setdefault(body["id"], {}).update({k: v for k, v in body.items() if v not in (None, {}, [])})
    for run in found.values():
        run["extra"].pop("runtime", None)
        run["extra"]["metadata"] = {k: v for k, v in run["extra"]["metadata"].items() if not k.startswith("LANGSMITH")}
        run |= {"parent_run_id": run.get("parent_run_id"), "status": "error" if run.get("error") else "success"}
        run.setdefault("inputs", {})
    return list(found.values()), feedback


def langsmith(path, out):
    found, feedback = runs(path)
    write(found[::-1] + feedback, out)


def langsmith_nested(path, out):
    found, feedback = runs(path)
    by_id = {run["id"]: {**run, "child_runs": []} for run in found}
    for run in by_id.values():
        if run["parent_run_id"]:
            by_id[run["parent_run_id"]]["child_runs"].append(run)
    for told in feedback:
        stats = {"n": 1, "avg": told["score"], "values": {}, "comments": [told["comment"]]}
        by_id[told["run_id"]]["feedback_stats"] = {told["key"]: stats}
    root = next(run for run in by_id.values() if not run["parent_run_id"])
    root["reference_example_id"] = "7f0e7c9a-2c55-4f0e-9d5a-000000000001"
    Path(out).write_text(json.dumps(tidy(root), indent=1) + "\n", encoding="utf-8")


def inspect(path, out):
    if path.endswith(".json"):
        log = tidy(json.loads(Path(path).read_text(encoding="utf-8")))
        log["eval"].pop("model_args", None)
        Path(out).write_text(json.dumps(log, indent=1) + "\n", encoding="utf-8")
        return
    from inspect_ai.log import read_eval_log, write_eval_log

    whole = Path(out).with_suffix(".whole.eval")
    write_eval_log(read_eval_log(path), str(whole), format="eval")
    from zipfile_zstd import ZipFile  # noqa: F401 - teaches zipfile the packing of inspect_ai

    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for info in old.infolist():
            value = tidy(json.loads(old.read(info)))
            for holder in (value, value.get("eval", {})) if isinstance(value, dict) else ():
                isinstance(holder, dict) and holder.pop("model_args", None)
            new.writestr(info.filename, json.dumps(value))
    whole.unlink()


if __name__ == "__main__":
    globals()[sys.argv[1].replace("-", "_")](sys.argv[2], sys.argv[3])
