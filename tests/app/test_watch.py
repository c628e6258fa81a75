"""`stepcredit watch`: a real receiver, asked over HTTP."""

import gzip
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from conftest import skip_or_fail
from stepcredit.app._watch_runs import Runs, summary
from stepcredit.app._watch_server import Log, running
from stepcredit.app.watch import tell
from stepcredit.data import Reading
from stepcredit.errors import DataError

TRACES = Path(__file__).parents[1] / "data" / "traces"
SPANS = json.loads((TRACES / "otel_openllmetry.jsonl").read_text())
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module", autouse=True)
def aiohttp():
    try:
        import aiohttp
    except ImportError:
        skip_or_fail("aiohttp", "aiohttp is not installed")
    return aiohttp


@pytest.fixture
def log(tmp_path):
    made = Log(tmp_path / "traces.jsonl")
    yield made
    made.close()


def post(url, body, path="/v1/traces", **headers):
    """(status, body) of a request."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    sent = {**JSON, **{k.replace("_", "-"): v for k, v in headers.items()}}
    connection.request("POST", path, body if isinstance(body, bytes) else json.dumps(body).encode(), sent)
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


def test_what_is_acknowledged_is_on_disk_and_can_be_read_at_once(log):
    taken = []
    with running(log, taken.append) as url:
        assert post(url, SPANS) == (200, b"{}")
        reading = Reading(log.path)
        (one,) = reading
        assert (reading.format, len(one.steps)) == ("otel", 4)
    assert taken == [SPANS]


def test_gzip_logs_and_names_in_snake_case_are_taken(log):
    with running(log) as url:
        assert post(url, gzip.compress(json.dumps(SPANS).encode()), Content_Encoding="gzip")[0] == 200
        logs = {"resource_logs": [{"scopeLogs": [{"logRecords": []}]}]}
        assert post(url, logs, "/v1/logs")[0] == 200
    assert [next(iter(json.loads(line))) for line in log.path.read_text().splitlines()] == [
        "resourceSpans",
        "resourceLogs",
    ]


@pytest.mark.parametrize(
    ("body", "headers", "status", "says"),
    [
        (b"{", {}, 400, "no JSON"),
        (b"[]", {}, 400, "no list resourceSpans"),
        (b'{"resourceSpans": {}}', {}, 400, "no list resourceSpans"),
        (b"{}", {"Content_Type": "text/plain"}, 415, "cannot read 'text/plain'"),
        (b"not gzip", {"Content_Encoding": "gzip"}, 400, "no gzip"),
        (gzip.compress(b"{}", mtime=0)[:-4], {"Content_Encoding": "gzip"}, 400, "ends too early"),
        (b"{}", {"Content_Encoding": "br"}, 415, "cannot unpack 'br'"),
        (b"{}", {"Host": "evil.example"}, 403, "not for 'evil.example'"),
        (b"{}", {"Origin": "https://evil.example"}, 403, "not for 'evil.example'"),
        (b"{}", {"Origin": "null"}, 403, "not for 'null'"),
    ],
)
def test_what_is_refused_leaves_no_trace(log, body, headers, status, says):
    with running(log) as url:
        found, told = post(url, body, **headers)
    assert (found, says in told.decode()) == (status, True)
    assert log.path.read_bytes() == b""


def test_a_request_that_is_too_long_is_refused_also_when_packed(log):
    bomb = gzip.compress(b'{"resourceSpans": [' + b" " * 3_000_000 + b"]}")
    with running(log, most_bytes=1 << 20) as url:
        status, told = post(url, bomb, Content_Encoding="gzip")
        assert post(url, b" " * 2_000_000)[0] == 413
    assert (status, b"export smaller batches" in told) == (413, True)


def test_a_key_is_asked_for_where_there_is_one(log):
    with running(log, key="k") as url:
        assert post(url, SPANS)[0] == 401
        assert post(url, SPANS, Authorization="Bearer k")[0] == 200


def test_another_name_can_be_allowed(log):
    with running(log, hosts=["box"]) as url:
        assert post(url, SPANS, Host="box:4318")[0] == 200


def test_requests_at_once_are_each_one_line(log):
    with running(log) as url:
        threads = [threading.Thread(target=post, args=(url, SPANS)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [json.loads(line) for line in log.path.read_text().splitlines()] == [SPANS] * 8


def test_protobuf_is_taken(log):
    try:
        from google.protobuf.json_format import ParseDict
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
    except ImportError:
        skip_or_fail("otlp", "opentelemetry-proto is not installed")
    import base64

    def packed(value):
        if isinstance(value, list):
            return [packed(v) for v in value]
        if not isinstance(value, dict):
            return value
        ids = ("traceId", "spanId", "parentSpanId")
        return {k: base64.b64encode(bytes.fromhex(v)).decode() if k in ids else packed(v) for k, v in value.items()}

    message = ParseDict(packed(SPANS), ExportTraceServiceRequest())
    kind = "application/x-protobuf"
    with running(log) as url:
        assert post(url, message.SerializeToString(), Content_Type=kind) == (200, b"")
        assert post(url, b"\xff\xff\xff", Content_Type=kind)[0] == 400
    (one,) = Reading(log.path)
    (other,) = Reading(TRACES / "otel_openllmetry.jsonl")
    assert one == other


def test_without_the_package_protobuf_is_refused_with_the_way_out(log, monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.proto.collector.trace.v1.trace_service_pb2", None)
    with running(log) as url:
        status, told = post(url, b"", Content_Type="application/x-protobuf")
    assert status == 415
    assert b"pip install 'stepcredit[watch]'" in told


def test_a_real_exporter_sends_to_it(log):
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    except ImportError:
        skip_or_fail("otlp", "opentelemetry-exporter-otlp-proto-http is not installed")
    said = json.dumps([{"role": "assistant", "parts": [{"type": "text", "content": "42"}]}])
    with running(log) as url:
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=f"{url}/v1/traces")))
        with provider.get_tracer("t").start_as_current_span("chat m") as span:
            span.set_attributes({"gen_ai.operation.name": "chat", "gen_ai.output.messages": said})
        provider.shutdown()
    (one,) = Reading(log.path)
    assert [s.text for s in one.steps] == ["42"]
    assert len(one.rollout) == 32


def test_a_request_that_a_crash_cut_off_is_removed(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_bytes(json.dumps(SPANS).encode() + b"\n" + json.dumps(SPANS).encode()[:500])
    log = Log(path)
    log.add(SPANS)
    log.close()
    assert log.cut == 500
    assert [json.loads(line) for line in path.read_text().splitlines()] == [SPANS, SPANS]


def test_a_whole_line_without_its_end_is_kept(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text(json.dumps(SPANS))
    log = Log(path)
    log.add(SPANS)
    log.close()
    assert [json.loads(line) for line in path.read_text().splitlines()] == [SPANS, SPANS]


@pytest.mark.parametrize("text", ['{"group": 1, "rollout": 2, "steps": []}\n', "notes", '{"a": 1}'])
def test_a_file_of_something_else_is_left_alone(tmp_path, text):
    path = tmp_path / "t.jsonl"
    path.write_text(text)
    with pytest.raises(DataError, match=r"not one of received spans|malformed"):
        Log(path)
    assert path.read_text() == text


def test_two_receivers_do_not_share_a_file(log):
    with pytest.raises(DataError, match="another process adds"):
        Log(log.path)


def test_where_it_cannot_write_is_told(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        Log(tmp_path / "none" / "t.jsonl")
    with pytest.raises(DataError, match=r"must end in \.jsonl"):
        Log(tmp_path / "t.txt")


def test_what_could_not_be_written_is_not_acknowledged(log, monkeypatch):
    taken = []

    def full(descriptor):
        raise OSError(28, "No space left on device")

    with running(log, taken.append) as url:
        post(url, SPANS)
        size = log.path.stat().st_size
        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", full)
            status, told = post(url, SPANS)
        assert (status, b"No space left" in told) == (503, True)
        assert log.path.stat().st_size == size
        assert post(url, SPANS)[0] == 200
    assert len(taken) == 2


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def parts():
    """The request as two: the spans below the root, and the root."""
    spans = SPANS["resourceSpans"][0]["scopeSpans"]
    below = [{"spans": [s for s in scope["spans"] if "parentSpanId" in s]} for scope in spans]
    root = [{"spans": [s for s in scope["spans"] if "parentSpanId" not in s]} for scope in spans]
    return [{"resourceSpans": [{"scopeSpans": part}]} for part in (below, root)]


def test_a_run_ends_when_its_root_came_and_then_nothing():
    clock = Clock()
    runs = Runs(wait=2, idle=60, clock=clock)
    below, root = parts()
    runs.take(below)
    clock.now = 10
    assert list(runs.ended()) == []
    runs.take(root)
    clock.now = 11
    assert list(runs.ended()) == []
    clock.now = 12.5
    ((rollout, odd),) = runs.ended()
    assert (len(rollout.steps), odd, runs.open) == (4, "", 0)
    runs.take(root)
    assert (list(runs.ended(all=True)), runs.late) == ([], 1)


def test_a_run_whose_root_does_not_come_ends_after_a_while():
    clock = Clock()
    runs = Runs(wait=2, idle=60, clock=clock)
    runs.take(parts()[0])
    clock.now = 61
    ((rollout, odd),) = runs.ended()
    assert (len(rollout.steps), odd) == (4, "its root span did not come")


def test_a_line_tells_the_run_and_the_verdict():
    runs = Runs()
    runs.take(SPANS)
    said = []
    tell(runs, threading.Lock(), True, True, said.append)
    (line,) = said
    assert line.startswith("reporter ")
    assert "4 steps" in line and "1 tool failures" in line and "'What is the weather in Lyon" in line
    assert "| step 1 (reporter)" in line


def test_no_text_of_a_run_drives_the_terminal():
    runs = Runs()
    runs.take(json.loads(json.dumps(SPANS).replace("What is the weather", "\\\\u001b[31m\\\\u202e weather")))
    ((rollout, odd),) = runs.ended(all=True)
    assert "\x1b" in rollout.task
    assert "\x1b" not in summary(rollout, odd) and "\u202e" not in summary(rollout, odd)


def test_the_command_runs_and_ends_by_ctrl_c(tmp_path):
    out = tmp_path / "traces.jsonl"
    code = "from stepcredit.app.watch import watch; import typer; typer.run(watch)"
    command = [sys.executable, "-c", code, "-o", str(out), "--port", "0", "--wait", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        url = process.stdout.readline().strip()
        assert post(url, SPANS)[0] == 200
        told = process.stdout.readline()
        assert "4 steps" in told and "step 1 (reporter)" in told
    finally:
        process.send_signal(signal.SIGINT)
        _, notes = process.communicate(timeout=60)
    assert process.returncode == 0, notes
    assert "8 spans, 1 runs" in notes
    (one,) = Reading(out)
    assert len(one.steps) == 4


def test_a_killed_receiver_keeps_what_it_acknowledged(tmp_path):
    out = tmp_path / "traces.jsonl"
    code = "from stepcredit.app.watch import watch; import typer; typer.run(watch)"
    command = [sys.executable, "-c", code, "-o", str(out), "--port", "0", "--no-diagnose"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    url = process.stdout.readline().strip()
    acknowledged = 0

    def send():
        nonlocal acknowledged
        try:
            while post(url, SPANS)[0] == 200:
                acknowledged += 1
        except OSError:
            return

    sender = threading.Thread(target=send)
    sender.start()
    while acknowledged < 5:
        time.sleep(0.01)
    process.kill()
    process.communicate()
    sender.join()
    log = Log(out)
    log.close()
    kept = [json.loads(line) for line in out.read_text().splitlines()]
    assert acknowledged <= len(kept) <= acknowledged + 1
    assert all(k == SPANS for k in kept)


def test_of_many_runs_that_end_at_once_each_has_a_verdict():
    clock = Clock()
    runs = Runs(wait=2, idle=60, clock=clock)
    text = json.dumps(SPANS)
    (trace,) = {s["traceId"] for scope in SPANS["resourceSpans"][0]["scopeSpans"] for s in scope["spans"]}
    for k in range(40):
        runs.take(json.loads(text.replace(trace, f"{k:032x}")))
    clock.now = 5
    ended = list(runs.ended())
    words = [runs.verdict(rollout) for rollout, _ in ended]
    assert len(words) == 40 and set(words) == {words[-1]} and "no verdict" not in words[0]


def test_spans_that_come_after_their_run_was_told_are_told_once(capsys):
    clock = Clock()
    runs, lock = Runs(wait=2, idle=3, clock=clock), threading.Lock()
    below, root = parts()
    lines = []
    runs.take(below)
    clock.now = 4
    tell(runs, lock, False, False, lines.append)
    assert lines[0].endswith("its root span did not come") and capsys.readouterr().err == ""
    runs.take(root)
    tell(runs, lock, False, False, lines.append)
    assert "1 spans came after their run was told" in capsys.readouterr().err
    tell(runs, lock, False, True, lines.append)
    assert (len(lines), capsys.readouterr().err) == (1, "")
