"""The index: what is kept is what was read, unfinished work is never used, two at once are safe."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import msgspec
import pytest
from view_kit import HOSTILE, full, needed, save, some

from stepcredit.app.view.building import Order
from stepcredit.data.records import Message, Rollout, Step, replies_of
from stepcredit.data.storage import sources
from stepcredit.errors import DataError, StepCreditError

needed()

try:
    import fcntl
except ImportError:
    fcntl = None

from stepcredit.app.view import files, judging, store  # noqa: E402
from stepcredit.app.view.answers import Head, disagreements  # noqa: E402
from stepcredit.app.view.files import read_head  # noqa: E402
from stepcredit.app.view.memory import Memory  # noqa: E402
from stepcredit.app.view.query import Query  # noqa: E402
from stepcredit.app.view.rows import part  # noqa: E402
from stepcredit.app.view.store import Store, cache_folder, identity, tidy  # noqa: E402
from stepcredit.credit import assign  # noqa: E402
from stepcredit.data import Batch  # noqa: E402


@pytest.fixture
def opened(tmp_path):
    """Makes an index of rollouts, or of a file, and asks it."""
    root, queries = cache_folder(tmp_path / "cache"), []

    def open_(what, **options):
        path = save(tmp_path / "runs.jsonl", what) if isinstance(what, list) else what
        options = {"methods": ("gigpo", "grpo"), "diagnose": ("contrast",), **options}
        made = Store(Order((str(path),), **options), root)
        made.here()
        queries.append(Query(made.folder, root))
        queries[-1].store = made
        return queries[-1]

    yield open_
    for query in queries:
        query.close()
        query.store.drop()


def test_the_table_of_runs_has_a_column_for_each_fact(opened):
    table = opened(some()).runs()
    columns = table["columns"]
    assert table["total"] == 5
    assert columns["group"] == ["p", "p", "p", "q", "q"]
    assert columns["rollout"] == ["good", "bad", "7", "x", "empty"]
    assert columns["gid"] == [0, 0, 0, 1, 1]
    assert columns["outcome"] == [1, 0, 0, 0, None]
    assert columns["steps"] == [3, 3, 3, 1, 0]
    assert columns["tokens"] == [45, 45, 45, 15, None]
    assert columns["cost"] == [0.75, 0.75, 0.75, 0.25, None]
    assert columns["seconds"] == [4, 4, 4, 2, None]
    assert columns["agents"][0] == ["planner", "coder"] and columns["tools"][0] == ["act"]
    assert columns["worst"][:3] == [None, 1, 2], "what did not fail has no step to blame"
    assert columns["worst_by"][1] == "contrast"
    assert columns["task"][0] == "Do p."
    assert set(map(len, columns.values())) == {5}


def test_a_run_tells_credit_verdicts_siblings_and_where_it_parted(opened):
    query = opened(some())
    run = query.run(1)
    assert run["context"] == [
        {"role": "system", "content": "You act.", "name": None, "call": None, "error": None, "images": []}
    ]
    assert run["n"] == 3 and run["numbers"]["agent"] == ["planner", "coder", "planner"]
    assert run["numbers"]["evidence"] == {"value": [0.5, 0.5, 0.5]}
    batch = Batch.from_records(some())
    for method in ("gigpo", "grpo"):
        assert run["credit"][method]["values"] == pytest.approx(assign(batch, method).steps[3:6].tolist(), rel=1e-5)
    assert [b["by"] for b in run["blame"]] == ["contrast", "people"]
    assert run["blame"][1]["kind"] == "people" and run["blame"][1]["step"] == 0
    assert run["jumps"]["divergence"] == {"step": 1, "sibling": 0, "sibling_step": 1}
    assert [s["id"] for s in run["siblings"]] == [0, 2]
    assert (run["prev"], run["next"]) == (0, 2)
    assert query.run(99) is None and query.run(-1) is None


def test_files_and_memory_answer_the_same(opened):
    query = opened(some())
    batch = Batch.from_records(some())
    credits = sorted([assign(batch, m) for m in ("gigpo", "grpo")], key=lambda c: c.method)
    made = part(batch, credits, names=[c.method for c in credits])
    judging.judge(made, batch.records, ("contrast",))
    judging.lint(made, batch, credits, named=True)
    memory = Memory([made], query.head)
    assert msgspec.json.encode(memory.runs()) == msgspec.json.encode(query.runs())
    for id in range(5):
        assert msgspec.json.encode(memory.page(id, 0, 99)) == msgspec.json.encode(query.page(id, 0, 99))
        mine, its = memory.run(id), query.run(id)
        for name in mine.keys() - {"credit", "numbers"}:
            assert mine[name] == its[name], name
        for method, told in mine["credit"].items():
            assert told["values"] == pytest.approx(its["credit"][method]["values"], rel=1e-6)
    assert memory.counts() == query.counts()


def test_the_records_come_back_whole(opened):
    rollouts = some()
    query = opened(rollouts)
    for gid, mine in ((0, rollouts[:3]), (1, rollouts[3:])):
        ids, back = query.rollouts(gid)
        assert back == mine
        assert ids == [i for i, r in enumerate(rollouts) if r in mine]


def test_steps_of_a_shared_beginning_stand_in_each_run(opened):
    root = Rollout(group="t", rollout=0, outcome=1.0, steps=[Step(id="a", text="one"), Step(id="b", text="two")])
    branch = Rollout(group="t", rollout=1, outcome=0.0, prefix=["a"], steps=[Step(text="other")])
    query = opened([root, branch], methods=("grpo",), diagnose=("contrast",))
    assert [s["text"] for s in query.page(1, 0, 9)["steps"]] == ["one", "other"]
    run = query.run(1)
    assert run["n"] == 2 and len(run["credit"]["grpo"]["values"]) == 2
    assert run["jumps"]["divergence"] == {"step": 1, "sibling": 0, "sibling_step": 1}
    assert run["jumps"]["worst"] == 1 and len(run["blame"][0]["scores"]) == 2


def test_tasks_in_many_parts_are_found_again(opened):
    rollouts = [full(f"task {g}", r, float(r), "look", "go") for g in range(7) for r in range(2)]
    query = opened(rollouts, steps=8)
    assert len(query.kept.first) - 1 > 1
    assert query.counts() == {"groups": 7, "runs": 14, "steps": 28}
    assert query.columns()["group"] == [r.group for r in rollouts]
    for id, rollout in enumerate(rollouts):
        assert query.run(id)["group"] == rollout.group
        assert [m["rollout"] for m in query.mates(query.get(id).gid)] == ["0", "1"]
        assert query.page(id, 1, 2)["steps"][0]["text"] == rollout.steps[1].text
    assert query.find("about go", 500)["total"] == 14


def test_a_method_that_compares_tasks_is_left_out_where_they_are_not_together(opened):
    rollouts = [full(f"task {g}", r, float(r), "look", "go") for g in range(7) for r in range(2)]
    told = {m["name"]: m["skipped"] for m in opened(rollouts, steps=8, methods=()).head.methods}
    assert told["grpo"] is None and "compares tasks" in told["reinforce_plus_plus"]
    whole = {m["name"]: m["skipped"] for m in opened(rollouts, methods=()).head.methods}
    assert whole["reinforce_plus_plus"] is None


def test_long_texts_are_cut_and_fetched_whole(opened):
    long, image = "é" * 50_000, "data:image/png;base64," + "A" * 60_000
    rollout = full("p", 0, 0.0, "look")
    rollout.task = long
    rollout.steps[0].text = long
    rollout.steps[0].images = ["data:image/png;base64,AA==", image]
    rollout.steps[0].tool_calls[0].arguments = {"patch": long}
    rollout.steps[0].extra = {"big": long, "small": 1}
    query = opened([rollout])
    (step,) = query.page(0, 0, 9)["steps"]
    assert step["text"] == long[:20_000] and step["cut"]["text"] == 50_000
    assert step["images"] == ["data:image/png;base64,AA==", "data:image/png;base64,"]
    assert step["cut"].keys() == {"text", "images.1", "calls.0", "extra.big"}
    assert query.text(0, 0, "text") == long
    assert query.text(0, 0, "images.1") == image
    assert json.loads(query.text(0, 0, "calls.0")) == {"patch": long}
    assert query.text(0, 0, "extra.big") == long
    assert query.text(0, -1, "task") == long and query.run(0)["cut"] == {"task": 50_000}
    for field in ("nothing", "images.9", "images.x", "calls.", "__class__", "../../etc/passwd", "extra.no"):
        assert query.text(0, 0, field) is None
    assert query.text(0, 5, "text") is None and query.text(9, 0, "text") is None


def test_a_message_of_20_mb_leaves_pages_small(opened, tmp_path):
    rollouts = [full("p", i, float(i), "look", "go") for i in range(2)]
    rollouts[0].steps[1].observation = None
    rollouts[0].steps[1].replies = [Message(role="tool", content="x" * 20_000_000 + "needle"), Message(role="user")]
    query = opened(rollouts, methods=("grpo",), diagnose=())
    page = query.page(0, 0, 9)
    assert len(msgspec.json.encode(page)) < 50_000
    assert page["steps"][1]["cut"] == {"replies.0": 20_000_006}
    assert query.text(0, 1, "replies.0").endswith("needle")
    assert max(f.stat().st_size for f in query.folder.iterdir()) < 5_000_000


@pytest.mark.parametrize(
    "words", ["100%", "a_b", "back\\slash", "O'Brien", '"; DROP TABLE x; --', "漢字", "É", HOSTILE[:20], "%", "_"]
)
def test_a_search_takes_every_sign_as_it_is(opened, words):
    there = full("p", 0, 0.0, "look")
    there.steps[0].text = f"before {words} after"
    query = opened([there, full("p", 1, 0.0, "aXb 1000")], methods=("grpo",), diagnose=())
    found = query.find(words, 10)
    assert [(h["id"], h["step"], h["where"]) for h in found["hits"]] == [(0, 0, "text")]
    assert found["hits"][0]["snippet"] == ["before ", words, " after"] and found["total"] == 1


def test_a_search_looks_into_thoughts_tool_calls_replies_and_tasks(opened):
    query = opened(some())
    for words, where in (
        ("BECAUSE of 2", "reasoning"),
        ("act take 1", "calls"),
        ("saw drop", "observation"),
        ("do q", "task"),
    ):
        assert {h["where"] for h in query.find(words, 50)["hits"]} == {where}
    assert query.find("", 50) == {"hits": [], "total": 0, "cut": False}
    few = query.find("about", 2)
    assert len(few["hits"]) == 2 and few["cut"] and few["total"] == 10


def test_the_engine_can_read_nothing_else(opened, tmp_path):
    query = opened(some())
    other = tmp_path / "other.csv"
    other.write_text("a,b\n1,2\n")
    for statement in (f"SELECT * FROM '{other}'", f"COPY (SELECT 1) TO '{tmp_path}/out.csv'", "SET threads = 1"):
        with pytest.raises(query._error):
            query._engine.execute(statement)


def test_odd_texts_and_numbers_survive(opened, tmp_path):
    path = tmp_path / "odd.jsonl"
    odd = {"nul": "a\0b", "huge": 10**30, "name": "漢字 \U0001f600"}
    row = {
        "group": 1,
        "rollout": "é",
        "outcome": 0,
        "task": HOSTILE,
        "x": odd,
        "steps": [{"text": "a\0b", "y": odd}, {}],
    }
    path.write_text(json.dumps(row) + "\n")
    query = opened(path, methods=("grpo",))
    run, page = query.run(0), query.page(0, 0, 9)
    assert run["task"] == HOSTILE and run["extra"]["x"] == {**odd, "huge": str(10**30)}
    assert page["steps"][0]["text"] == "a\0b" and page["steps"][0]["extra"]["y"]["name"] == odd["name"]
    msgspec.json.encode([run, page, query.runs()])


def test_halves_of_characters_become_the_replacement_sign(tmp_path):
    step = Step(text="\ud83d!", agent="\ud800", extra={"\ud800": ["\udfff", 10**30]}, observation="\ud800")
    batch = Batch.from_records([Rollout(group="\ud800", rollout=0, outcome=0.0, task="\ud800?", steps=[step])])
    credits = [assign(batch, "grpo")]
    made = part(batch, credits, names=["grpo"])
    kept = files.Kept(head=Head(), first=[0, 1], notes=[{}], groups=1, steps=1, done=True)
    files.write_steps(tmp_path, 0, made)
    files.write_runs(tmp_path, 0, made)
    files.write_head(tmp_path, kept)
    query = Query(tmp_path, tmp_path)
    assert query.columns()["task"] == ["\ufffd?"] and query.columns()["group"] == ["\ufffd"]
    (step,) = query.page(0, 0, 1)["steps"]
    assert step["text"] == "\ufffd!" and step["extra"] == {"\ufffd": ["\ufffd", str(10**30)]}
    query.close()


def test_nan_in_a_file_is_unknown_and_bad_rows_are_told(opened, tmp_path):
    path = tmp_path / "bad.jsonl"
    good = json.dumps({"group": "p", "rollout": 1, "outcome": 1, "steps": [{"text": "x"}]})
    path.write_text(f'{good}\n{{"group": "p", "rollout": 2, "outcome": NaN, "steps": []}}\n{{"tor\n')
    with pytest.raises(DataError, match="row 2"):
        opened(path)
    query = opened(path, on_error="skip", methods=("grpo",))
    assert query.counts()["runs"] == 1 and any("2 rows left out" in n for n in query.head.notes)


def test_secrets_are_taken_out_where_asked_for(opened):
    secret = "sk-" + "abcdefghijklmnopqrstuvwxyz012345"
    rollouts = [full("p", i, float(i), "look", "go", text=f"my key is {secret}") for i in range(2)]
    rollouts[0].context = [Message(role="user", content=f"use {secret}")]
    query = opened(rollouts, redact=True)
    told = msgspec.json.encode([query.runs(), query.run(0), query.page(0, 0, 9), query.head, query.rollouts(0)])
    assert secret.encode() not in told and b"[removed: API key" in told
    assert query.head.redacted == {"API key": 5}
    assert not any(secret.encode() in f.read_bytes() for f in query.folder.iterdir())
    assert secret in opened(rollouts).page(0, 0, 1)["steps"][0]["text"]


def test_the_index_is_found_again_until_file_or_options_change(tmp_path):
    path, root = save(tmp_path / "runs.jsonl", some()), cache_folder(tmp_path / "cache")
    order = Order((str(path),), methods=("grpo",))
    first = Store(order, root)
    assert not first.ready
    first.here()
    again = Store(order, root)
    assert again.ready and again.folder == first.folder
    assert identity(Order((str(path),), methods=("gigpo",))) != identity(order)
    os.utime(path, ns=(1, 1))
    assert not Store(order, root).ready
    for one in (first, again):
        one.drop()
    assert first.folder.exists(), "a whole index outlives those who use it"


def test_two_at_once_make_one_index(tmp_path):
    path, root = save(tmp_path / "runs.jsonl", some()), cache_folder(tmp_path / "cache")
    stores = [Store(Order((str(path),), methods=("grpo",)), root) for _ in range(3)]
    threads = [threading.Thread(target=s.here) for s in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {s.folder for s in stores} == {stores[0].folder} and all(s.ready for s in stores)
    assert [f for f in root.iterdir() if f.name.startswith(".")] == []
    query = Query(stores[1].folder, root)
    assert query.counts()["runs"] == 5
    query.close()
    for one in stores:
        one.drop()


@pytest.mark.skipif(fcntl is None, reason="locks of files are a matter of POSIX")
def test_who_sweeps_between_any_two_steps_of_who_makes_takes_nothing(tmp_path, monkeypatch):
    path, root = save(tmp_path / "runs.jsonl", some()), cache_folder(tmp_path / "cache")
    lock, swept = fcntl.flock, []

    def flock(file, how):
        if how == fcntl.LOCK_SH:
            swept.append(tidy(root, most=1))
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    made = Store(Order((str(path),), methods=("grpo",)), root)
    made.here()
    again = Store(Order((str(path),), methods=("grpo",)), root)
    assert len(swept) >= 3 and again.ready and read_head(again.folder).done
    for one in (made, again):
        one.drop()
    tidy(root, most=1)
    assert list(root.iterdir()) == []


def waited(made, until):
    end = time.monotonic() + 60
    while time.monotonic() < end:
        kept = made.look()
        if until(kept):
            return kept
        time.sleep(0.02)
    raise AssertionError("nothing came")


def test_a_process_of_its_own_makes_it_while_others_look(tmp_path):
    path, root = save(tmp_path / "runs.jsonl", some()), cache_folder(tmp_path / "cache")
    made = Store(Order((str(path),), methods=("grpo",), diagnose=("combined",)), root, "my runs")
    made.start()
    kept = waited(made, lambda k: k is not None and k.done)
    assert kept.head.title == "my runs" and kept.first == [0, 5] and made.ready
    made.drop()


def test_what_was_killed_is_never_used_and_swept_away(tmp_path):
    path, root = save(tmp_path / "runs.jsonl", some()), cache_folder(tmp_path / "cache")
    order = Order((str(path),), methods=("grpo",))
    made = Store(order, root)
    made.start()
    made._process.send_signal(signal.SIGKILL)
    with pytest.raises(StepCreditError, match="ended before it was done"):
        waited(made, lambda k: False)
    half = made.folder
    assert half.exists() and not Store(order, root).ready
    tidy(root)
    assert half.exists(), "in use until the one who waits lets go"
    made._held.close()
    tidy(root)
    assert not half.exists()


def test_no_module_of_the_folder_where_it_is_started_is_run(tmp_path, monkeypatch):
    here = tmp_path / "traces"
    here.mkdir()
    for name in ("rich", "msgspec", "json"):
        (here / f"{name}.py").write_text("raise SystemExit('run')\n")
    monkeypatch.chdir(here)
    made = Store(Order((str(save(here / "runs.jsonl", some())),)), cache_folder(tmp_path / "cache"))
    made.start()
    assert waited(made, lambda k: k is not None and k.done).first == [0, 5]
    made.drop()


def test_an_error_of_the_process_is_told_with_its_hint(tmp_path):
    path, root = tmp_path / "runs.jsonl", cache_folder(tmp_path / "cache")
    path.write_text('{"what": "is this"}\n')
    made = Store(Order((str(path),)), root)
    made.start()
    with pytest.raises(StepCreditError, match=r"runs\.jsonl"):
        waited(made, lambda k: False)
    folder = made.folder
    made.drop()
    assert not folder.exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="limits of file size are a matter of POSIX")
def test_a_full_disk_is_a_clear_error_and_leaves_nothing(tmp_path):
    path = save(tmp_path / "runs.jsonl", [full("p", i, 0.0, *(os.urandom(900).hex(),) * 9) for i in range(9)])
    code = f"""
import resource, signal
from pathlib import Path
from stepcredit.app.view.building import Order
from stepcredit.app.view.store import Store, cache_folder
from stepcredit.errors import DataError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
made = Store(Order(({str(path)!r},), methods=("grpo",)), cache_folder(Path({str(tmp_path / "cache")!r})))
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    made.here()
except DataError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "File too large" in done.stdout
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_half_written_head_is_no_index(tmp_path):
    (tmp_path / "head.json").write_text('{"head": {"ti')
    assert read_head(tmp_path) is None
    with pytest.raises(StepCreditError, match="no index"):
        Query(tmp_path, tmp_path)


def test_the_least_recently_used_go_first_and_those_in_use_stay(tmp_path):
    root = cache_folder(tmp_path / "cache")
    stores = []
    for k in range(4):
        path = save(tmp_path / f"{k}.jsonl", some())
        stores.append(Store(Order((str(path),), methods=("grpo",)), root))
        stores[-1].here()
        os.utime(stores[-1].folder, (k, k))
    for made in stores[1:]:
        made.drop()
    tidy(root, most=3)
    assert [s.folder.exists() for s in stores] == [True, False, True, True]
    tidy(root, most_bytes=1)
    assert [s.folder.exists() for s in stores] == [True, False, False, False]
    stores[0].drop()


def test_standard_input_is_no_identity():
    assert sources("-")[0].path is None
    with pytest.raises(DataError, match="standard input"):
        identity(Order(("-",)))
    assert store.MOST > 1


def test_methods_disagree_where_one_blames_what_another_credits():
    credit = {"a": [1.0, -2.0, 0.0, None], "b": [-0.5, -1.0, 1.0, 1.0], "flat": [0.0, 0.0, 0.0, 0.0]}
    assert disagreements(credit) == [0]
    assert disagreements({"a": [1.0, -1.0]}) == []
    assert disagreements({"a": [1.0] * 50, "b": [-1.0] * 50}, most=3) == [0, 1, 2]


def test_replies_keep_their_content_once(opened):
    rollout = full("p", 0, 0.0, "look")
    query = opened([rollout], methods=("grpo",))
    (step,) = query.page(0, 0, 1)["steps"]
    assert step["observation"] is None and step["replies"][0]["content"] == "saw look"
    assert replies_of(query.steps(0, 0, 1)[0])[0].content == "saw look"


def test_where_a_method_was_asked_and_cannot_tell_credit_names_no_step(opened):
    runs = [msgspec.structs.replace(r, blame=[]) for r in some()[:3]]
    asked = opened(runs, diagnose=("horizon",)).columns()
    assert asked["worst"][:3] == [None] * 3, "`horizon` names no step by position alone"
    nobody = opened(runs, diagnose=()).columns()
    assert nobody["worst"][1] is not None and nobody["worst_by"][1] == "gigpo"


def test_the_credit_of_the_file_stands_first_and_is_shown_as_it_is(opened):
    runs = [full("p", i, float(i == 0), "look", "take", "go") for i in range(3)]
    for run in runs:
        for t, step in enumerate(run.steps):
            step.credit = {"mine": None if t == 1 else -0.25 * t, "gigpo": 7.0}
    query = opened(runs)
    assert [m["name"] for m in query.head.methods][:3] == ["mine of the file", "gigpo of the file", "gigpo"]
    assert query.head.methods[0]["doc"] == "as it stands in the rows, not computed here"
    credit = query.run(1)["credit"]
    assert credit["mine of the file"]["values"] == [0.0, None, -0.5]
    assert credit["gigpo of the file"]["values"] == [7.0] * 3 != credit["gigpo"]["values"]


def test_a_process_that_ends_while_it_is_looked_at_is_told_by_its_own_words(tmp_path, monkeypatch):
    (tmp_path / "runs.jsonl").write_text('{"what": "is this"}\n')
    made = Store(Order((str(tmp_path / "runs.jsonl"),)), cache_folder(tmp_path / "cache"))
    made.start()
    here, heads = read_head, []

    def late(folder):
        """As if the process wrote and ended right after a first look."""
        heads.append(here(folder) if heads or made._process.poll() is not None else None)
        if len(heads) == 1:
            made._process.wait()
        return heads[-1]

    monkeypatch.setattr(store, "read_head", late)
    with pytest.raises(StepCreditError, match=r"runs\.jsonl.*no format fits"):
        waited(made, lambda k: False)
    made.drop()
