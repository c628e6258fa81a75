"""The store: what was committed stays, what was under way is counted, and nobody is kept out."""

import sqlite3
import subprocess
import sys
import threading

import pytest

from stepcredit.errors import StepCreditError
from stepcredit.llm.budget import Use
from stepcredit.llm.store import Entry, Store


def sent(i, attempt=None):
    return Entry(b"%d" % i, i if attempt is None else attempt, "sent", Use(1, 10, 20))


def answered(i, reply=b"yes"):
    return Entry(b"%d" % i, i, "answered", Use(1, 3, 4), reply)


def run(code, *args):
    return subprocess.run([sys.executable, "-c", code, *map(str, args)], capture_output=True, text=True)


DIES = """
import os, sys
from stepcredit.llm.budget import Use
from stepcredit.llm.store import Entry, Store
store = Store(sys.argv[1], run="r")
store.write([Entry(b"1", 1, "sent", Use(1, 10, 20)), Entry(b"2", 2, "sent", Use(1, 10, 20))])
store.write([Entry(b"1", 1, "answered", Use(1, 3, 4), b"yes")])
os.kill(os.getpid(), 9)
"""


def test_what_a_killed_process_had_under_way_is_told_once_at_its_worst(tmp_path):
    assert run(DIES, tmp_path / "s.db").returncode == -9
    store = Store(tmp_path / "s.db", run="r")
    assert store.lost == (1, Use(1, 10, 20))
    assert store.get([b"1", b"2"]) == {b"1": b"yes"}
    assert store.spent() == Use(2, 13, 24)
    again = Store(tmp_path / "s.db", run="r")
    assert again.lost == (0, Use()) and again.spent() == Use(2, 13, 24)
    again.close(), store.close()


def test_what_a_living_process_has_under_way_is_its_own_business(tmp_path):
    one = Store(tmp_path / "s.db")
    one.write([sent(1)])
    two = Store(tmp_path / "s.db")
    assert two.lost == (0, Use())
    one.write([answered(1)])
    assert two.get([b"1"]) == {b"1": b"yes"}
    one.close(), two.close()


WRITES = """
import sys
from stepcredit.llm.budget import Use
from stepcredit.llm.store import Entry, Store
store = Store(sys.argv[1], run="both")
for i in range(300):
    store.write([Entry(sys.argv[2].encode() + b"%d" % i, i, "answered", Use(1, 1, 1), b"x" * 100)])
store.close()
"""


def test_two_processes_write_to_one_file_at_once(tmp_path):
    several = [
        subprocess.Popen([sys.executable, "-c", WRITES, str(tmp_path / "s.db"), name], stderr=subprocess.PIPE)
        for name in "ab"
    ]
    for process in several:
        assert process.communicate()[1] == b"" and process.returncode == 0
    store = Store(tmp_path / "s.db", run="both")
    assert store.spent() == Use(600, 600, 600)
    assert len(store.get([b"%s%d" % (n, i) for n in (b"a", b"b") for i in range(300)])) == 600
    store.close()


def test_threads_share_a_store(tmp_path):
    store = Store(tmp_path / "s.db")

    def work(name):
        for i in range(100):
            store.write([Entry(b"%d-%d" % (name, i), name * 100 + i, "answered", Use(1), b"r")])
            assert store.get([b"%d-%d" % (name, i)])

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    [t.start() for t in threads], [t.join() for t in threads]
    assert store.count() == {"answered": 800}
    store.close()


def test_the_first_answer_stays(tmp_path):
    store = Store(tmp_path / "s.db")
    store.write([answered(1)])
    store.write([answered(1, b"no")])
    assert store.get([b"1"]) == {b"1": b"yes"}
    store.close()


def test_without_a_path_replies_are_kept_in_memory():
    store = Store()
    store.write([sent(1), answered(1)])
    assert store.get([b"1"]) == {b"1": b"yes"} and store.get([b"2"]) == {}
    store.close()


def test_many_keys_are_looked_up_at_once(tmp_path):
    store = Store(tmp_path / "s.db")
    store.write([answered(i) for i in range(2000)])
    assert len(store.get([b"%d" % i for i in range(3000)])) == 2000
    store.close()


def full(store, pages):
    """As a disk with no room: SQLite itself says that the file may not grow."""
    store._file.execute(f"PRAGMA max_page_count = {pages}")


def test_when_the_disk_is_full_nothing_is_sent_and_nothing_that_was_paid_is_lost(tmp_path):
    store = Store(tmp_path / "s.db")
    store.write([sent(1), sent(2)])
    full(store, store._file.execute("PRAGMA page_count").fetchone()[0])
    big = b"x" * 100_000
    with pytest.raises(StepCreditError, match=r"cannot be written: .*full; 1 replies are still in memory"):
        store.write([answered(1, big)])
    assert store.get([b"1"]) == {b"1": big}  # whoever waits for it gets it
    with pytest.raises(StepCreditError, match="cannot be written"):
        store.check_room()
    full(store, 1_000_000)
    store.write([answered(2, big)])
    store.check_room()
    store.close()
    again = Store(tmp_path / "s.db")
    assert again.get([b"1", b"2"]) == {b"1": big, b"2": big}
    assert again.count() == {"sent": 2, "answered": 2}
    again.close()


def test_a_request_that_cannot_be_noted_is_not_noted_later(tmp_path):
    store = Store(tmp_path / "s.db")
    store._file.execute("PRAGMA query_only = 1")
    with pytest.raises(StepCreditError, match="cannot be written"):
        store.write([sent(1)])
    store._file.execute("PRAGMA query_only = 0")
    store.write([answered(2)])
    assert store.count() == {"answered": 1}
    store.close()


def test_a_file_that_cannot_be_used_says_so(tmp_path):
    with pytest.raises(StepCreditError, match=r"cannot be opened.*\n.*hint: is the disk full"):
        Store(tmp_path / "no" / "s.db")
    (tmp_path / "text.db").write_text("no database " * 100)
    with pytest.raises(StepCreditError, match="not a database"):
        Store(tmp_path / "text.db")
    newer = sqlite3.connect(tmp_path / "newer.db")
    newer.execute("PRAGMA user_version = 99")
    newer.close()
    with pytest.raises(StepCreditError, match="newer stepcredit"):
        Store(tmp_path / "newer.db")


@pytest.mark.parametrize("version", [0, 1, 99])
def test_a_database_of_something_else_stays_as_it_is(tmp_path, version):
    path = tmp_path / "other.db"
    other = sqlite3.connect(path)
    other.executescript(f"CREATE TABLE people (name); PRAGMA user_version = {version};")
    other.close()
    before = path.read_bytes()
    with pytest.raises(StepCreditError, match="is a database of something else"):
        Store(path)
    assert path.read_bytes() == before


def test_a_closed_store_says_so(tmp_path):
    store = Store(tmp_path / "s.db")
    store.close()
    store.close()
    with pytest.raises(StepCreditError, match="closed"):
        store.get([b"1"])
