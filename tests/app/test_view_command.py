"""`stepcredit view` as people start it: a server that ends cleanly, files from elsewhere, one page, labels."""

import http.server
import json
import re
import signal
import socket
import threading
from contextlib import contextmanager

import pytest
from cli_runner import runner, started
from view_kit import Asking, needed, save, some

from stepcredit.app.view import download
from stepcredit.app.view.marks import Mark, Marks
from stepcredit.data import read
from stepcredit.errors import DataError

needed()


@pytest.fixture
def run(monkeypatch, capsys):
    return runner(monkeypatch, capsys)


@pytest.fixture
def good(tmp_path):
    return save(tmp_path / "runs.jsonl", some())


@contextmanager
def viewing(tmp_path, *argv):
    """The command in a process of its own, and a way to ask it; ended if it still runs."""
    process = started("view", *argv, "--no-open", "--cache", tmp_path / "cache")
    try:
        line = process.stdout.readline()
        found = re.search(r"http://([0-9.]+):([0-9]+)/", line)
        assert found, process.stderr.read()
        yield process, Asking(found[1], int(found[2]))
    finally:
        process.kill()
        process.communicate()


def read_through(ask):
    while not (state := ask.get("/api/state"))["reading"]["done"]:
        pass
    return state


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_it_serves_until_it_is_interrupted_and_leaves_a_whole_index(tmp_path, good, number, status):
    with viewing(tmp_path, good, "--port", 0) as (process, ask):
        assert read_through(ask)["counts"]["runs"] == 5
        assert ask.get("/api/runs")["total"] == 5 and ask("/").status == 200
        assert any("read 5 runs of 2 tasks" in line for line in iter(process.stderr.readline, ""))
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
        assert process.returncode == status and "Traceback" not in err + out
    (index,) = (tmp_path / "cache").iterdir()
    assert not index.name.startswith(".") and {f.name for f in tmp_path.iterdir()} == {"runs.jsonl", "cache"}


def test_interrupted_while_it_reads_it_leaves_nothing(tmp_path, good):
    with viewing(tmp_path, good, "--port", 0) as (process, ask):
        assert ask.get("/api/state")["reading"]["done"] is False, "the page is there before the runs are"
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_port_that_is_taken_is_left_to_its_owner(tmp_path, good):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with viewing(tmp_path, good, "--port", port) as (process, ask):
            assert ask.port != port and ask.get("/api/state")["mode"] == "server"
            process.send_signal(signal.SIGINT)
            assert f"port {port} is taken" in process.communicate(timeout=30)[1]


def test_marks_are_kept_beside_the_data_under_the_name_of_the_rater(tmp_path, good):
    with viewing(tmp_path, good, "--port", 0, "--rater", "anna") as (_, ask):
        token = read_through(ask)["token"]
        sent = {"id": 1, "step": 1, "label": -1}
        assert ask("/api/marks", sent, X_Stepcredit_Token=token, Content_Type="application/json").status == 200
    assert [(m.rater, m.rollout) for m in Marks([tmp_path / "runs.jsonl.marks"]).all()] == [("anna", "bad")]


@pytest.mark.parametrize(
    ("text", "message"), [('{"what": "is this"}\n', "runs.jsonl"), ("", "the file is empty"), (None, "no such file")]
)
def test_files_that_are_none_end_it_with_an_error(tmp_path, text, message):
    file = tmp_path / "runs.jsonl"
    if text is not None:
        file.write_text(text)
    process = started("view", file, "--no-open", "--port", 0, "--cache", tmp_path / "cache")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2 and message in err and "error: " in err and "Traceback" not in err
    assert not (tmp_path / "cache").exists() or list((tmp_path / "cache").iterdir()) == []


def test_one_page_and_labels_need_no_server(run, tmp_path, good):
    Marks([tmp_path / "other.marks"]).add(Mark(group="p", rollout="bad", step=1, rater="ben", label=-1))
    argv = ("--cache", tmp_path / "cache", "--marks", tmp_path / "mine.marks", "--marks", tmp_path / "other.marks")
    ran = run("view", good, *argv, "--export", tmp_path / "page.html", "--export-labels", tmp_path / "labels.jsonl")
    assert ran.status == 0, ran.err
    assert "1 runs with labels" in ran.err and (tmp_path / "page.html").read_text().startswith("<!doctype html")
    (rollout,) = read(tmp_path / "labels.jsonl").to_records()
    assert rollout.steps[1].evidence["label"] == -1.0 and rollout.blame[-1].by == "ben"


def test_an_export_is_without_secrets_unless_told_otherwise(run, tmp_path):
    secret, runs = "sk-" + "abcdefghijklmnopqrstuvwxyz012345", some()
    runs[0].steps[0].text = f"key {secret}"
    good = save(tmp_path / "runs.jsonl", runs)
    told = run("view", good, "--export", tmp_path / "a.html", "--cache", tmp_path / "cache")
    assert "taken out: 1 API key" in told.err and secret not in (tmp_path / "a.html").read_text()
    run("view", good, "--export", tmp_path / "b.html", "--cache", tmp_path / "cache", "--no-redact", "--limit", 99)
    assert secret in (tmp_path / "b.html").read_text()


def test_standard_input_is_read_and_found_again(run, tmp_path, good):
    for _ in range(2):
        ran = run(
            "view", "-", "--export", tmp_path / "page.html", "--cache", tmp_path / "cache", stdin=good.read_bytes()
        )
        assert ran.status == 0, ran.err
    assert len(list((tmp_path / "cache").iterdir())) == 1
    assert "<title>standard input" in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize(
    "argv", [["--limit", "0"], ["--method", "nope"], ["--normalize", "case"], ["--format", "nope"]]
)
def test_options_that_are_none_are_errors(run, tmp_path, good, argv):
    ran = run("view", good, "--export", tmp_path / "page.html", "--cache", tmp_path / "cache", *argv)
    assert ran.status == 2 and not (tmp_path / "page.html").exists()


@pytest.mark.parametrize("page", ["no/page.html", "."])
def test_a_place_that_cannot_be_written_is_known_before_the_work(run, tmp_path, good, page):
    ran = run("view", good, "--export", tmp_path / page, "--cache", tmp_path / "cache")
    assert ran.status == 2 and not (tmp_path / "cache").exists()


class _Web(http.server.BaseHTTPRequestHandler):
    body, told = b"", None

    def do_GET(self):
        if self.path.startswith("/away"):
            self.send_response(302)
            self.send_header("Location", "file:///etc/passwd")
            self.end_headers()
            return
        self.send_response(404 if self.path.startswith("/missing") else 200)
        if self.told is not None:
            self.send_header("Content-Length", str(self.told))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_):
        pass


@pytest.fixture
def web(good):
    kind = type("Web", (_Web,), {"body": good.read_bytes()})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        server.kind = kind
        server.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield server
        server.shutdown()


def test_an_address_is_fetched_and_its_secrets_are_not_shown(run, tmp_path, web):
    address = f"{web.url}/logs/runs.jsonl?token=abc123"
    ran = run("view", address, "--export", tmp_path / "page.html", "--cache", tmp_path / "cache")
    assert ran.status == 0, ran.err
    state = json.loads(re.search(r'data-path="/api/state">(.*?)</script>', (tmp_path / "page.html").read_text())[1])
    assert state["counts"]["runs"] == 5 and state["title"] == "runs.jsonl"
    assert state["source"] == f"{web.url}/logs/runs.jsonl" and "abc123" not in (tmp_path / "page.html").read_text()


def test_what_cannot_be_fetched_is_an_error(web):
    for path, message in (("/missing", "answers 404"), ("/away", "is not allowed")):
        with pytest.raises(DataError, match=message), download.downloaded(web.url + path):
            pass
    with pytest.raises(DataError, match="too large"), download.downloaded(web.url, most_bytes=100):
        pass
    web.kind.told = 10_000_000
    with pytest.raises(DataError, match="broke off"), download.downloaded(web.url):
        pass
    with pytest.raises(DataError, match="too large"), download.downloaded(web.url, most_bytes=9_999_999):
        pass
    with pytest.raises(DataError, match="cannot be fetched"), download.downloaded("http://127.0.0.1:1/x"):
        pass


def test_a_fetched_file_goes_when_it_is_no_longer_needed(web):
    with download.downloaded(f"{web.url}/../../etc/..%2fx.jsonl") as at:
        assert at.read_bytes() == web.kind.body and "stepcredit-view-" in at.parent.name
    assert not at.exists()
