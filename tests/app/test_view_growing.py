"""Files that change while they are looked at: what is new is said, traces are read again when asked, trees at once."""

import json
import threading
import time
from pathlib import Path
from shutil import rmtree

import pytest
from view_kit import full, needed, save, serving, some

from stepcredit.app._watch_server import Log
from stepcredit.app.view import _tree_files, news
from stepcredit.app.view.answers import Head
from stepcredit.app.view.building import Order
from stepcredit.app.view.command import _Given, _sorted
from stepcredit.app.view.growing import Growing
from stepcredit.app.view.looking import Looking
from stepcredit.app.view.marks import Marks
from stepcredit.app.view.memory import Memory
from stepcredit.app.view.news import News
from stepcredit.app.view.store import Store, cache_folder

needed()
TRACES = Path(__file__).parents[1] / "data" / "traces"


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(news, "EVERY", 0.0)


@pytest.fixture
def opened(tmp_path):
    """Opens a folder as the command does."""
    looks = []

    def open_(folder, on_error="raise"):
        asked, given = Order((), methods=("grpo",), diagnose=("contrast",), on_error=on_error), [_Given(str(folder))]
        root = cache_folder(tmp_path / "cache")

        def anew():
            order, others = _sorted(given, asked)
            return Store(order, root), others

        store, others = anew()
        told = News([str(folder)], store.order.files, (p for paths in others.values() for p in paths))
        looks.append(Growing(store, Marks([tmp_path / "a.marks"]), others, anew=anew, news=told))
        store.start()
        return looks[-1]

    yield open_
    for look in looks:
        look.close()


def read(ask):
    while not (state := ask.get("/api/state"))["reading"]["done"]:
        time.sleep(0.01)
    return state


def again(ask):
    return ask("/api/again", {}, X_Stepcredit_Token=ask.look.token, Content_Type="application/json")


@pytest.fixture
def asking(opened):
    """A server of a folder, all read."""
    servers = []

    def ask_(folder, **options):
        look = opened(folder, **options)
        server = serving(look)
        ask = server.__enter__()
        servers.append(server)
        ask.look = look
        read(ask)
        return ask

    yield ask_
    for server in servers:
        server.__exit__(None, None, None)


def test_a_file_more_in_the_folder_is_news_and_is_read_when_somebody_says_so(tmp_path, asking):
    folder = tmp_path / "traces"
    folder.mkdir()
    save(folder / "b.jsonl", some()[:3])
    ask = asking(folder)
    first = ask.get("/api/news")
    assert (first["version"], first["traces"]) == (0, None)
    save(folder / "a.jsonl", [full("new", 0, 0.0, "look"), full("new", 1, 1.0, "take")])
    assert ask.get("/api/news")["traces"] == "1 file is new"
    assert ask.get("/api/runs")["total"] == 3, "nothing changes under the eyes of who looks"
    assert again(ask).status == 200
    state = read(ask)
    assert state["read"] == 1 and state["reading"]["error"] is None and state["counts"]["runs"] == 5
    assert ask.get("/api/runs")["columns"]["group"] == ["new", "new", "p", "p", "p"]
    assert ask.get("/api/news") == {**first, "version": 1}
    assert ask.get("/api/run/2")["group"] == "p" and ask("/api/group/0").status == 200


def test_a_page_of_before_cannot_mark_what_is_now_another_run(tmp_path, asking):
    folder = tmp_path / "traces"
    folder.mkdir()
    save(folder / "b.jsonl", some()[:3])
    ask = asking(folder)
    save(folder / "a.jsonl", [full("new", 0, 0.0, "look")])
    again(ask)
    read(ask)
    token = {"X_Stepcredit_Token": ask.look.token, "Content_Type": "application/json"}
    sent = ask("/api/marks", {"id": 0, "step": 0, "label": 1, "group": "p", "rollout": "good"}, **token)
    assert sent.status == 400 and "run 0 is now new / 0" in sent.json()["error"]
    assert ask.look.marks.all() == []


def test_reading_again_needs_the_token_of_the_page(tmp_path, asking):
    ask = asking(save(tmp_path / "runs.jsonl", some()))
    assert ask("/api/again", {}, Content_Type="application/json").status == 403
    assert ask.get("/api/news")["version"] == 0


def test_what_grew_changed_and_went_is_told_apart(tmp_path):
    for name in "abcd":
        (tmp_path / f"{name}.jsonl").write_text('{"x": 1}\n')
    told = News([str(tmp_path)], [], [tmp_path / "d.jsonl"])
    assert told.said() is None
    (tmp_path / "a.jsonl").write_text('{"x": 1}\n{"x": 2}\n')
    (tmp_path / "b.jsonl").write_text('{"y"}\n')
    (tmp_path / "c.jsonl").unlink()
    (tmp_path / "d.jsonl").write_text("what is read by itself is no news")
    assert told.said() == "1 file has grown, 1 file has changed, 1 file is gone"
    told.read()
    assert told.said() is None


def test_a_file_that_cannot_be_read_leaves_what_was_there(tmp_path, asking):
    path = save(tmp_path / "runs.jsonl", some())
    ask = asking(path)
    path.write_text('{"what": "is this"}\n')
    assert again(ask).status == 200
    state = read(ask)
    assert "were not read again" in state["reading"]["error"] and "runs.jsonl" in state["reading"]["error"]
    assert state["read"] == 0 and ask.get("/api/runs")["total"] == 5
    save(path, some()[:3])
    again(ask)
    assert read(ask)["read"] == 1 and ask.get("/api/runs")["total"] == 3
    path.unlink()
    assert again(ask).status == 400 and ask.get("/api/runs")["total"] == 3


def test_what_was_not_read_again_stays_news(tmp_path, asking):
    path = save(tmp_path / "runs.jsonl", some())
    ask = asking(path)
    path.unlink()
    assert again(ask).status == 400 and ask.get("/api/news")["traces"] == "1 file is gone"
    path.write_text(row(0))  # no runs: the index stays, and so does what it was made of
    again(ask)
    assert "were not read again" in read(ask)["reading"]["error"]
    assert ask.get("/api/news")["traces"] is not None
    save(path, some()[:3])
    assert ask.get("/api/news")["traces"] is not None
    again(ask)
    assert read(ask)["counts"]["runs"] == 3 and ask.get("/api/news")["traces"] is None


def test_a_cache_that_was_removed_is_made_again(tmp_path, asking):
    path = save(tmp_path / "runs.jsonl", some())
    ask = asking(path)
    rmtree(tmp_path / "cache")
    save(path, some()[:3])
    assert again(ask).status == 200
    while ask.get("/api/news")["version"] == 0:
        time.sleep(0.01)
    assert read(ask)["counts"]["runs"] == 3 and ask("/api/run/0/steps").status == 200


def test_answers_come_while_it_is_read_again(tmp_path, asking):
    path = save(tmp_path / "runs.jsonl", some())
    ask = asking(path)
    bad, stop = [], threading.Event()

    def keep_asking():
        while not stop.is_set():
            bad.extend(
                a.body for a in (ask("/api/runs"), ask("/api/run/1"), ask("/api/run/1/steps")) if a.status != 200
            )

    thread = threading.Thread(target=keep_asking)
    thread.start()
    try:
        for round in range(3):
            save(path, [full("p", i, float(i % 2), "look", "go") for i in range(5 + round)])
            again(ask)
            read(ask)
    finally:
        stop.set()
        thread.join()
    assert bad == [] and ask.get("/api/news")["version"] == 3 and ask.get("/api/runs")["total"] == 7


def test_spans_that_watch_adds_are_news_and_read_again(tmp_path, asking):
    begun = {"traceId": "a" * 32, "spanId": "b" * 16, "name": "run", "startTimeUnixNano": "1", "endTimeUnixNano": "2"}
    log = Log(tmp_path / "traces.jsonl")
    try:
        log.add({"resourceSpans": [{"scopeSpans": [{"spans": [begun]}]}]})
        ask = asking(log.path)
        assert ask.get("/api/state")["counts"]["runs"] == 0, "no run has begun"
        assert ask.get("/api/runs")["total"] == 0 and ask.get("/api/state")["reading"]["error"] is None
        log.add(json.loads((TRACES / "otel_openllmetry.jsonl").read_text()))
        assert ask.get("/api/news")["traces"] == "1 file has grown"
        again(ask)
        read(ask)
        assert ask.get("/api/runs")["total"] == 1 and ask.get("/api/run/0/steps")["steps"]
    finally:
        log.close()


def row(k):
    return json.dumps({"tree": k, "kind": "search", "task": f"t{k}", "nodes": [{"node": 0, "parent": None}]}) + "\n"


def test_trees_that_are_added_are_read_alone_and_the_page_is_told(tmp_path):
    path = tmp_path / "trees.jsonl"
    path.write_text("".join(map(row, range(500))) + '{"tree": 500, "nod')
    look = Looking(Memory([], Head()), None, {"trees": [path]})
    assert len(look.trees()) == 500
    stamp = look.news()["files"]
    assert look.news()["files"] == stamp
    with path.open("a") as file:
        file.write('es": [{"node": 0, "parent": null}]}\n' + row(501))
    assert len(look.trees()) == 502 and look.trees()[-1]["title"] == "t501" and look.news()["files"] != stamp
    assert look.tree("f0-501")["title"] == "t501" and look.state()["notes"] == []
    assert _tree_files.TreeFile.of(path).read < 1000, "what was known is not read again"
    path.write_text(row(9) * 600)
    assert {t["title"] for t in look.trees()} == {"t9"}, "a file that was written anew is no file that grew"


def test_a_training_log_that_grows_is_read_again(tmp_path):
    path = tmp_path / "metrics.jsonl"

    def line(k):
        return json.dumps({"step": k, "rollouts": 8, "seconds": 2.5, "outcome": 0.1 * k}) + "\n"

    path.write_text(line(0) + line(1))
    look = Looking(Memory([], Head()), None, {"dynamics": [tmp_path]})
    before = look.dynamics()
    with path.open("a") as file:
        file.write(line(2))
    assert len(look.dynamics()["checkpoints"]) == len(before["checkpoints"]) + 1
