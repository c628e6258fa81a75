"""`kill -9` at any moment, and start again: the same file in the end, and nothing that was answered is asked again."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter

import model_server as fake
import pytest

from stepcredit.llm.store import Store

pytest.importorskip("aiohttp")

PLANS, AT_ONCE = 60, 8
CODE = """
import os, sys
from stepcredit.llm.client import Client
from stepcredit.llm.drive import drive
from stepcredit.llm.requests import Ask, Continue

def plan(i):
    (drafts,) = yield [Continue(f"task {i}", n=2)]
    verdicts = yield [Ask(f"task {i}: {d.text}") for d in drafts]
    return f"{i} {[d.text for d in drafts]} {verdicts}"

url, store, out = sys.argv[1:]
with Client(url, "a-model", api="completions", concurrency=AT_ONCE, store=store, run="r", answer_tokens=5) as client:
    found = dict(drive(map(plan, range(PLANS)), {"sampler": client.sampler, "judge": client.judge}))
with open(out + ".part", "w") as file:
    file.write("\\n".join(found[i] for i in range(len(found))))
os.replace(out + ".part", out)
""".replace("AT_ONCE", str(AT_ONCE)).replace("PLANS", str(PLANS))


@pytest.fixture(scope="module")
def server():
    with fake.running() as server:
        yield server


def start(server, folder):
    args = [sys.executable, "-c", CODE, server.url, str(folder / "s.db"), str(folder / "out.txt")]
    return subprocess.Popen(args, stderr=subprocess.PIPE)


def name(body):
    return json.dumps(body, sort_keys=True)


def journaled(folder):
    """How many answers are in the file, whoever wrote them."""
    if not (folder / "s.db").exists():
        return 0
    file = sqlite3.connect(folder / "s.db")
    try:
        return file.execute("SELECT count(*) FROM replies").fetchone()[0]
    except sqlite3.OperationalError:  # the tables are not there yet
        return 0
    finally:
        file.close()


@pytest.fixture(scope="module")
def undisturbed(server, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    process = start(server, folder)
    assert process.communicate()[1] == b"" and process.returncode == 0
    return (folder / "out.txt").read_bytes()


def test_killed_at_20_random_moments_it_ends_as_if_undisturbed(server, undisturbed, tmp_path):
    rng, kills = random.Random(4), 0
    server.seen.clear()
    server.delay = 0.02
    targets = sorted(rng.sample(range(3 * PLANS - 10), 20))
    for target in targets:
        process = start(server, tmp_path)
        before = len(server.seen)
        while process.poll() is None and journaled(tmp_path) < target:
            time.sleep(rng.random() * 0.004)
        # Also in the middle of importing, of the first requests, of a commit.
        time.sleep(rng.random() * 0.03)
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
        process.communicate()
        assert before <= len(server.seen)
    last = start(server, tmp_path)
    assert last.communicate()[1] is not None and last.returncode == 0
    assert kills >= 15
    assert (tmp_path / "out.txt").read_bytes() == undisturbed
    store = Store(tmp_path / "s.db", run="r")
    events = store.count()
    asked = Counter(map(name, server.seen))
    repeated = sum(asked.values()) - len(asked)
    # A request came twice only if a process was killed with its first one under way.
    assert events["answered"] == len(asked) == 3 * PLANS
    assert repeated <= events["lost"] <= kills * AT_ONCE
    assert events["sent"] == events["answered"] + events["lost"]
    assert store.spent().calls == events["sent"] >= len(server.seen)
    store.close()


def test_each_process_leaves_no_more_under_way_than_it_may_have(server, tmp_path):
    server.delay = 0.3
    process = start(server, tmp_path)
    while process.poll() is None and (not (tmp_path / "s.db").exists() or server.now < AT_ONCE):
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    store = Store(tmp_path / "s.db", run="r")
    assert store.lost[0] == AT_ONCE
    store.close()
    server.delay = 0.0
