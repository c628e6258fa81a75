"""What hostile files and strangers on the wire did to the inspector and the receiver, and must not do again."""

import asyncio
import base64
import gzip
import json
import re
import socket

import pytest
from cli_runner import runner
from view_kit import needed, save, some

from stepcredit.app._watch_server import Log
from stepcredit.app._watch_server import application as receiver
from stepcredit.app._watch_server import listen as receive
from stepcredit.app.view import server
from stepcredit.app.view.answers import Head
from stepcredit.app.view.building import Order
from stepcredit.app.view.download import bare
from stepcredit.app.view.export import export, write_page
from stepcredit.app.view.looking import Looking
from stepcredit.app.view.marks import Marks
from stepcredit.app.view.memory import Memory
from stepcredit.app.view.query import Query
from stepcredit.app.view.store import Store, cache_folder
from stepcredit.data import read
from stepcredit.errors import DataError, StepCreditError

SECRET = "password=hunter2zz"
JUNK = (
    b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
)


def everything(path):
    """The text of a page, with what is packed in it."""
    text = path.read_text()
    packed = re.findall(r"data:(H4sI[A-Za-z0-9+/=]+)", text)
    return text + "".join(gzip.decompress(base64.b64decode(p)).decode() for p in packed)


def secrets(tmp_path):
    """A file whose names of evidence, and whose bad row, hold a secret."""
    steps = [{"text": "x", "evidence": {SECRET: 1.0}, "credit": {SECRET: 1.0}}]
    rows = [{"group": "g", "rollout": i, "outcome": i, "steps": steps} for i in range(2)]
    rows.append({"group": "g", "rollout": 3, "outcome": SECRET, "steps": []})
    path = tmp_path / "runs.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return path


def test_an_export_of_an_index_leaks_no_secret_by_names_of_evidence_or_notes_on_rows(tmp_path):
    needed()
    order = Order((str(secrets(tmp_path)),), on_error="skip", redact=True)
    store = Store(order, cache_folder(tmp_path / "cache"), "t", "s")
    store.here()
    query = Query(store.folder, store.root)
    try:
        export(tmp_path / "page.html", query, Marks([tmp_path / "m"]))
    finally:
        query.close()
        store.drop()
    assert "hunter2" not in everything(tmp_path / "page.html")


def test_a_page_of_a_batch_leaks_no_secret_by_names_of_evidence_or_notes_on_rows(tmp_path):
    page = write_page(tmp_path / "page.html", read(secrets(tmp_path), on_error="skip"))
    assert "hunter2" not in everything(page)


def send(host, port):
    answers = []
    for junk in JUNK:
        with socket.create_connection((host, port), timeout=20) as wire:
            wire.sendall(junk)
            answers.append(wire.recv(1000))
    return answers


@pytest.mark.parametrize("which", ["view", "watch"])
def test_junk_on_the_wire_is_answered_and_prints_no_traceback(tmp_path, which, capfd, caplog):
    needed()

    async def work():
        if which == "view":
            app = server.application(Looking(Memory([], Head()), Marks([tmp_path / "m"])))
            host, port, stop = await server.listen(app, "127.0.0.1", 0)
        else:
            url, stop = await receive(receiver(log, lambda request: None), "127.0.0.1", 0)
            host, port = "127.0.0.1", int(url.rpartition(":")[2])
        try:
            return await asyncio.to_thread(send, host, port)
        finally:
            await stop()

    log = Log(tmp_path / "w.jsonl")
    try:
        answers = asyncio.run(work())
    finally:
        log.close()
    assert all(b" 400 " in a for a in answers)
    assert "Traceback" not in capfd.readouterr().err and not caplog.records


def test_a_page_takes_no_place_of_a_file_that_is_none(tmp_path):
    path = secrets(tmp_path)
    before = path.read_bytes()
    with pytest.raises(DataError, match="is no page"):
        write_page(path, read(path, on_error="skip"))
    assert path.read_bytes() == before
    page = write_page(tmp_path / "page.html", read(path, on_error="skip"))
    assert write_page(page, read(path, on_error="skip")).read_text().startswith("<!doctype")


def test_a_port_that_no_machine_has_is_said_to_be_none(tmp_path):
    needed()
    app = server.application(Looking(Memory([], Head()), Marks([tmp_path / "m"])))
    with pytest.raises(StepCreditError, match="no port 99999"):
        asyncio.run(server.listen(app, "127.0.0.1", 99999))


def test_what_only_looks_like_an_address_is_an_error_that_names_no_password():
    with pytest.raises(DataError, match="is no address") as caught:
        bare("https://me:hunter2zz@[host/?token=x")
    assert "hunter2" not in str(caught.value)


def test_a_page_for_others_tells_no_folder_of_this_machine(monkeypatch, capsys, tmp_path):
    folder = tmp_path / "my traces"
    folder.mkdir()
    save(folder / "runs.jsonl", some())
    page = tmp_path / "page.html"
    assert runner(monkeypatch, capsys)("view", folder, "--export", page).status == 0
    assert str(tmp_path) not in page.read_text() and "my traces" in page.read_text()


def test_a_page_never_takes_the_place_of_the_traces(monkeypatch, capsys, tmp_path):
    traces = save(tmp_path / "runs.html", some())
    before = traces.read_bytes()
    ran = runner(monkeypatch, capsys)("view", traces, "--export", traces)
    assert ran.status == 2 and "both what is read and export" in ran.err and traces.read_bytes() == before


def test_labels_of_marks_that_are_not_there_name_the_file(monkeypatch, capsys, tmp_path):
    runs, marks = save(tmp_path / "runs.jsonl", some()), tmp_path / "mraks.jsonl"
    ran = runner(monkeypatch, capsys)("view", runs, "--marks", marks, "--export-labels", tmp_path / "labels.jsonl")
    assert ran.status == 2 and f"{marks}: there are no marks to make labels of: there is no such file" in ran.err
