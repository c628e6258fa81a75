"""A search that nobody waits for ends: in the engine, between blocks of texts, and in the server when the page goes."""

import socket
import threading
import time

import pytest
from view_kit import full, needed, save, serving, some

from stepcredit.app.view.answers import Head
from stepcredit.app.view.building import Order
from stepcredit.app.view.looking import Looking
from stepcredit.app.view.memory import Memory
from stepcredit.app.view.query import Query
from stepcredit.app.view.rows import part
from stepcredit.app.view.stopping import Stop, Stopped
from stepcredit.app.view.store import Store, cache_folder
from stepcredit.app.view.words import places
from stepcredit.data import Batch

needed()


@pytest.fixture
def query(tmp_path):
    root = cache_folder(tmp_path / "cache")
    rollouts = [full(f"task {g}", 0, 0.0, "look", "go") for g in range(3)]
    store = Store(Order((str(save(tmp_path / "runs.jsonl", rollouts)),), methods=("grpo",)), root)
    store.here()
    made = Query(store.folder, root)
    yield made
    made.close()
    store.drop()


def test_a_statement_of_the_engine_is_interrupted_and_the_next_one_answers(query):
    stop = Stop()
    endless = "SELECT count(*) AS n FROM range(100000000000) AS a WHERE sin(a.range) > 2 AND len($files) > 0"
    threading.Timer(0.2, stop.set).start()
    with pytest.raises(Stopped):
        query._rows(endless, ("runs", None), stop)
    assert query.find("about go", 10)["total"] == 3


def test_what_was_stopped_before_does_not_begin(query):
    stop = Stop()
    stop.set()
    with pytest.raises(Stopped):
        query.find("about go", 10, stop)
    with pytest.raises(Stopped):
        places(query._paths("words", None), "about", 10, stop)
    memory = Memory([part(Batch.from_records(some()), [], names=[])], Head())
    with pytest.raises(Stopped):
        memory.find("about", 10, stop)


def test_an_error_of_the_work_itself_stays_what_it_is():
    with pytest.raises(OSError, match="no disk"), Stop().during(lambda: None):
        raise OSError("no disk")


class Slow(Memory):
    """Searches until it is stopped."""

    def __init__(self):
        super().__init__([part(Batch.from_records(some()), [], names=[])], Head())
        self.began, self.ended = threading.Event(), threading.Event()

    def find(self, words, limit, stop=None):
        if words == "quick":
            return super().find(words, limit, stop)
        self.began.set()
        try:
            while True:
                stop.look()
                time.sleep(0.01)
        finally:
            self.ended.set()


def test_the_server_stops_searching_when_the_page_has_gone():
    slow = Slow()
    with serving(Looking(slow)) as ask:
        with socket.create_connection(("127.0.0.1", ask.port)) as wire:
            wire.sendall(b"GET /api/search?q=never HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert slow.began.wait(30) and not slow.ended.is_set()
        assert slow.ended.wait(30)
        assert ask.get("/api/search?q=quick") == {"hits": [], "total": 0, "cut": False}
