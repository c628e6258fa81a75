"""Credit on a Ray cluster that really runs: the bytes of one process, whatever the files, whatever dies."""

import gzip
import io
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import stepcredit as sc
from conftest import skip_or_fail
from stepcredit.app.cli import main
from stepcredit.credit import assign as assign_credit
from stepcredit.credit import get
from stepcredit.credit.compare import compare
from stepcredit.data import AdvantageWriter, Reading, Writer
from stepcredit.errors import DataError, StepCreditError
from stepcredit.integrations import _ray_work
from stepcredit.integrations import ray as on_ray
from stepcredit.integrations._ray_compare import Summary

STEPS = 60  # of a shard: enough shards of small files


@pytest.fixture(scope="session")
def cluster():
    """Ray in this process: two CPUs, the smallest object store."""
    try:
        import ray
    except ImportError:
        skip_or_fail("ray", "ray is not installed")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(
        address="local",
        num_cpus=2,
        object_store_memory=80 << 20,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="error",
    )
    yield ray
    ray.shutdown()


def made(groups=30, seed=0, **fields):
    """Records of groups of uneven sizes, 1 to 6 rollouts of 1 to 9 steps."""
    draw = random.Random(seed)
    for g in range(groups):
        for r in range(draw.randint(1, 6)):
            steps = [
                {"state": f"s{draw.randrange(4)}", "action": f"a{draw.randrange(3)}", "observation": f"o{t} über"}
                for t in range(draw.randint(1, 9))
            ]
            yield {"group": f"g{g}", "rollout": r, "outcome": draw.randrange(2), "steps": steps, **fields}


def lines(rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def alone(path, out, method="gigpo", steps=STEPS, **given):
    """One process: names of the files written, the reading."""
    out.mkdir(exist_ok=True)
    suffix = given.pop("suffix", ".jsonl")
    reading = Reading(path, **given)
    with Writer(out / f"rollouts{suffix}") as writer, AdvantageWriter(out / "advantages.jsonl") as exporter:
        for batch in reading.stream(steps=steps):
            credit = assign_credit(batch, method)
            writer.write(credit.onto(batch))
            exporter.write(credit.rows())
    return reading


def spread(ray, path, out, method="gigpo", steps=STEPS, states=None, **given):
    """The same on the cluster: the reading, the work, the shards."""
    out.mkdir(exist_ok=True)
    suffix = given.pop("suffix", ".jsonl")
    reading = Reading(path, **given)
    files = {"output": out / f"rollouts{suffix}", "advantages": out / "advantages.jsonl"}
    work = on_ray.Sharded(ray, reading, [method], states=states, steps=steps, **files)
    return reading, work, list(work.shards())


def same_files(a, b):
    names = sorted(p.name for p in a.iterdir())
    assert names == sorted(p.name for p in b.iterdir()) and names
    for name in names:
        assert (a / name).read_bytes() == (b / name).read_bytes(), name


def interleaved(rows):
    return [r for i in range(6) for r in rows if r["rollout"] == i]


FILES = {
    "uneven groups": lambda rows: lines(rows),
    "interleaved groups": lambda rows: lines(interleaved(rows)),
    "blank lines, no last newline": lambda rows: b"\n\n" + lines(rows).replace(b"\n", b"\r\n\n").rstrip(),
    "a byte order mark": lambda rows: b"\xef\xbb\xbf" + lines(rows),
    "one group": lambda rows: lines({**r, "group": 1, "rollout": i} for i, r in enumerate(rows)),
    "names of two types": lambda rows: lines([*rows, *({**r, "group": int(r["group"][1:])} for r in rows)]),
    "gzip": lambda rows: gzip.compress(lines(rows)),
    "gzip, interleaved": lambda rows: gzip.compress(lines(interleaved(rows))),
    "zstd": lambda rows: pa.compress(lines(rows), "zstd", asbytes=True),
    "a JSON array": lambda rows: json.dumps(rows, indent=1).encode(),
    "a JSON array, interleaved": lambda rows: json.dumps(interleaved(rows)).encode(),
}


@pytest.mark.parametrize("kind", FILES)
def test_the_files_written_are_those_of_one_process(cluster, tmp_path, kind):
    path = tmp_path / "runs.json"
    path.write_bytes(FILES[kind](list(made())))
    one = alone(path, tmp_path / "one")
    reading, work, shards = spread(cluster, path, tmp_path / "many")
    same_files(tmp_path / "one", tmp_path / "many")
    assert (reading.rows, reading.skipped) == (one.rows, [])
    assert len(shards) > 3 or kind == "one group"
    assert bool(work.told()) == (kind.startswith(("gzip", "zstd", "a JSON array")))


def test_several_files_that_share_a_group_are_one_set(cluster, tmp_path):
    rows = list(made())
    for i, part in enumerate((rows[:33], rows[33:50], rows[50:])):
        (tmp_path / f"{i}.jsonl").write_bytes(lines(part))
    names = [tmp_path / f"{i}.jsonl" for i in (2, 0, 1)]
    alone(names, tmp_path / "one")
    spread(cluster, names, tmp_path / "many")
    same_files(tmp_path / "one", tmp_path / "many")


@pytest.mark.parametrize("order", [list, interleaved])
@pytest.mark.parametrize("ours", [True, False])
def test_parquet_is_read_by_row_groups(cluster, tmp_path, monkeypatch, order, ours):
    path, rows = tmp_path / "runs.parquet", order(list(made()))
    if ours:
        monkeypatch.setattr("stepcredit.data.writing._ROW_GROUP", 70)
        sc.write([sc.Rollout(**{**r, "steps": [sc.Step(**s) for s in r["steps"]]}) for r in rows], path)
        monkeypatch.undo()
    else:
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=300)
    alone(path, tmp_path / "one")
    _, work, shards = spread(cluster, path, tmp_path / "many")
    same_files(tmp_path / "one", tmp_path / "many")
    assert not work.told() and len(shards) > 3
    assert (pq.ParquetFile(path).num_row_groups > 3) == ours


@pytest.mark.parametrize("suffix", [".jsonl.gz", ".jsonl.zst", ".parquet"])
def test_every_kind_of_file_is_written_alike(cluster, tmp_path, monkeypatch, suffix):
    path = tmp_path / "runs.jsonl"
    path.write_bytes(lines(made()))
    monkeypatch.setattr("stepcredit.data.writing._ROW_GROUP", 100)  # several row groups, none of them a shard
    alone(path, tmp_path / "one", suffix=suffix)
    spread(cluster, path, tmp_path / "many", suffix=suffix)
    same_files(tmp_path / "one", tmp_path / "many")
    if suffix == ".parquet":
        assert pq.ParquetFile(tmp_path / "many" / "rollouts.parquet").num_row_groups > 3


def test_a_format_whose_rows_depend_on_others_is_read_by_one_and_credited_by_all(cluster, tmp_path):
    path = tmp_path / "chats.jsonl"
    chat = [
        {"role": "user", "content": "?"},
        {"role": "assistant", "content": "a"},
        {"role": "assistant", "content": "b"},
    ]
    path.write_bytes(lines({"messages": chat, "prompt_id": i // 5, "reward": i % 3} for i in range(90)))
    alone(path, tmp_path / "one", method="grpo", steps=20)
    _, work, shards = spread(cluster, path, tmp_path / "many", method="grpo", steps=20)
    same_files(tmp_path / "one", tmp_path / "many")
    assert len(shards) == 9
    assert "one process read" in work.told()[0]


def test_the_credit_that_comes_back_can_be_used(cluster, tmp_path):
    path = tmp_path / "runs.jsonl"
    path.write_bytes(lines(made()))
    expected = [assign_credit(b, "gigpo", gamma=0.9) for b in sc.stream(path, steps=STEPS)]
    got = list(on_ray.assign(path, "gigpo", steps=STEPS, gamma=0.9))
    assert len(got) == len(expected) > 3
    for mine, theirs in zip(got, expected, strict=True):
        assert np.array_equal(mine.values, theirs.values, equal_nan=True)
        assert list(mine.rows()) == list(theirs.rows())
        assert mine.by_rollout() == theirs.by_rollout()
        assert mine.notes == theirs.notes and mine.options == theirs.options
    assert cluster.is_initialized()  # a connection that was there stays


def test_standard_input_is_handed_out(cluster, tmp_path, monkeypatch):
    path = tmp_path / "runs.jsonl"
    path.write_bytes(lines(interleaved(list(made()))))
    alone(path, tmp_path / "one")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(path.read_bytes())))
    _, work, _ = spread(cluster, "-", tmp_path / "many")
    same_files(tmp_path / "one", tmp_path / "many")
    assert "<stdin>" in work.told()[0]


def test_shards_under_way_are_bounded(cluster, tmp_path):
    path = tmp_path / "runs.jsonl"
    path.write_bytes(lines(made(groups=60)))
    work = on_ray.Sharded(cluster, Reading(path), ["gigpo"], steps=STEPS)
    handed = []
    pieces = iter(work._parts)
    work._parts = (handed.append(p.number) or p for p in pieces)
    for shard in work._each(_ray_work.run, work._job):
        assert max(handed) < shard.number + 4 + 1  # twice two CPUs, and this one
    assert len(handed) > 10


# What goes wrong in a row.

BAD = {
    "not JSON": b'{"group": "g7", "rollout": 0, "outcome": \n',
    "a wrong type": b'{"group": "g7", "rollout": 99, "outcome": "yes"}\n',
    "no group": b'{"rollout": 3, "outcome": 1}\n',
    "no object": b"[1, 2]\n",
    "bad UTF-8": b'{"group": "g7", "rollout": 99, "task": "\xff"}\n',
    "NaN": b'{"group": "g7", "rollout": 99, "outcome": NaN}\n',
    "twice": b'{"group": "g29", "rollout": 0, "outcome": 1}\n{"group": "g29", "rollout": 0, "outcome": 1}\n',
}


def broken(path, kind, where):
    """A file with one bad row: first, in the middle, or last."""
    good = lines(made()).splitlines(keepends=True)
    at = {"first": 1, "middle": len(good) // 2, "last": len(good)}[where]
    path.write_bytes(b"".join([*good[:at], BAD[kind], *good[at:]]))


@pytest.mark.parametrize("where", ["first", "middle", "last"])
@pytest.mark.parametrize("kind", BAD)
def test_a_bad_row_is_the_error_of_one_process(cluster, tmp_path, kind, where):
    broken(tmp_path / "runs.jsonl", kind, where)
    with pytest.raises(DataError) as one:
        alone(tmp_path / "runs.jsonl", tmp_path / "one")
    with pytest.raises(DataError) as many:
        spread(cluster, tmp_path / "runs.jsonl", tmp_path / "many")
    assert str(many.value) == str(one.value)
    assert (many.value.row, many.value.hint) == (one.value.row, one.value.hint)
    assert list((tmp_path / "many").iterdir()) == []


@pytest.mark.parametrize("where", ["first", "middle", "last"])
@pytest.mark.parametrize("kind", BAD)
def test_bad_rows_that_are_skipped_are_counted_as_in_one_process(cluster, tmp_path, kind, where):
    broken(tmp_path / "runs.jsonl", kind, where)
    one = alone(tmp_path / "runs.jsonl", tmp_path / "one", on_error="skip")
    reading, _, _ = spread(cluster, tmp_path / "runs.jsonl", tmp_path / "many", on_error="skip")
    same_files(tmp_path / "one", tmp_path / "many")
    assert [e.message for e in reading.skipped] == [e.message for e in one.skipped] != []
    assert (reading.rows, reading.left_out) == (one.rows, one.left_out)


@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_an_archive_that_ends_early_is_told_as_in_one_process(cluster, tmp_path, on_error):
    path = tmp_path / "runs.jsonl.gz"
    path.write_bytes(gzip.compress(lines(made(groups=200)))[:-200])
    if on_error == "raise":
        with pytest.raises(DataError) as one:
            alone(path, tmp_path / "one")
        with pytest.raises(DataError) as many:
            spread(cluster, path, tmp_path / "many")
        assert str(many.value) == str(one.value)
        return
    one = alone(path, tmp_path / "one", on_error="skip")
    reading, _, _ = spread(cluster, path, tmp_path / "many", on_error="skip")
    same_files(tmp_path / "one", tmp_path / "many")
    assert [str(e) for e in reading.skipped] == [str(e) for e in one.skipped] and len(one.skipped) >= 1
    assert reading.rows == one.rows


def test_no_usable_row_is_the_error_of_one_process(cluster, tmp_path):
    path = tmp_path / "runs.jsonl"
    path.write_bytes(b'{"group": "p", "rollout": 0, "outcome": "x"}\n' * 3)
    with pytest.raises(DataError) as one:
        alone(path, tmp_path / "one", on_error="skip")
    with pytest.raises(DataError) as many:
        spread(cluster, path, tmp_path / "many", on_error="skip")
    assert str(many.value) == str(one.value)


def test_a_shard_without_a_usable_row_is_passed_over(cluster, tmp_path):
    path = tmp_path / "runs.jsonl"
    bad = b'{"group": "p", "rollout": 0, "outcome": "x", "steps": [%s]}\n' % b",".join([b"{}"] * STEPS)
    for name, data in (("first", bad + lines(made())), ("last", lines(made()) + bad)):
        path.write_bytes(data)
        reading, _, shards = spread(cluster, path, tmp_path / name, on_error="skip")
        assert len(reading.skipped) == 1 and reading.rows == len(list(made())) + 1 and len(shards) > 3
    same_files(tmp_path / "first", tmp_path / "last")


def test_other_names_for_fields_are_mapped(cluster, tmp_path):
    path = tmp_path / "runs.jsonl"
    path.write_bytes(
        lines({"steps": r["steps"], "info": {"id": r["group"]}, "n": r["rollout"], "won": 1} for r in made())
    )
    given = {"format": "stepcredit", "map": {"group": "info.id", "rollout": "n", "outcome": "won"}}
    alone(path, tmp_path / "one", method="grpo", **given)
    spread(cluster, path, tmp_path / "many", method="grpo", **given)
    same_files(tmp_path / "one", tmp_path / "many")


# Workers that die, shards that fail.

FAULTY = """
import os, signal, time
from pathlib import Path
FOLDER = Path({folder!r})

def once(rollout):
    # The first worker to come here says who it is, and waits for its end.
    if rollout.group == "g9":
        try:
            with (FOLDER / "pid").open("x") as file:
                file.write(str(os.getpid()))
        except FileExistsError:
            pass
        else:
            time.sleep(60)
    return [s.state for s in rollout.steps]

def always(rollout):
    if rollout.group == "g9":
        with (FOLDER / "dead").open("a") as file:
            file.write("x")
        os.kill(os.getpid(), signal.SIGKILL)
    return [s.state for s in rollout.steps]

def wrong(rollout):
    if rollout.group == "g9":
        raise KeyError("the ninth")
    return [s.state for s in rollout.steps]
"""


@pytest.fixture
def faulty(tmp_path):
    (tmp_path / "faulty.py").write_text(FAULTY.format(folder=str(tmp_path)))
    (tmp_path / "runs.jsonl").write_bytes(lines(made()))
    return tmp_path


def test_the_shard_of_a_killed_worker_runs_again(cluster, faulty):
    killed = []

    def kill():
        while not killed:
            with suppress(OSError, ValueError):
                killed.append(int((faulty / "pid").read_text()))
                os.kill(killed[0], signal.SIGKILL)
            time.sleep(0.02)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    alone(faulty / "runs.jsonl", faulty / "one")
    _, work, shards = spread(cluster, faulty / "runs.jsonl", faulty / "many", states=f"{faulty}/faulty.py:once")
    killer.join(10)
    same_files(faulty / "one", faulty / "many")
    assert work.restarts == 1 and "ran again" in work.told()[-1]
    assert [s.number for s in shards] == list(range(len(shards)))
    assert killed[0] not in {s.pid for s in shards if s.number > 3}


def test_a_shard_that_kills_its_worker_three_times_is_an_error_with_its_rows(cluster, faulty):
    numbers = [i for i, r in enumerate(made(), 1) if r["group"] == "g9"]
    with pytest.raises(StepCreditError, match="failed 3 times: its worker was lost") as told:
        spread(cluster, faulty / "runs.jsonl", faulty / "many", states=f"{faulty}/faulty.py:always")
    first, last = map(int, str(told.value).partition("rows ")[2].partition(")")[0].split(" to "))
    assert f"{faulty}/runs.jsonl" in str(told.value)
    assert first <= numbers[0] and numbers[-1] <= last < first + 40
    assert (faulty / "dead").read_text() == "xxx"
    assert list((faulty / "many").iterdir()) == []


def test_an_error_that_is_not_ours_is_told_with_the_rows_and_the_cause(cluster, faulty):
    with pytest.raises(StepCreditError, match=r"(?s)rows \d+ to \d+\) failed 3 times.*the ninth"):
        spread(cluster, faulty / "runs.jsonl", faulty / "many", states=f"{faulty}/faulty.py:wrong")


def test_the_workers_are_other_processes(cluster, tmp_path):
    (tmp_path / "runs.jsonl").write_bytes(lines(made(groups=300)))
    _, work, _ = spread(cluster, tmp_path / "runs.jsonl", tmp_path / "many")
    assert work.workers and os.getpid() not in work.workers
    assert work.peak > 10 << 20


# What cannot be done.


def test_a_method_that_needs_the_whole_batch_is_refused(cluster, tmp_path):
    (tmp_path / "runs.jsonl").write_bytes(lines(made()))
    with pytest.raises(StepCreditError, match="reinforce_plus_plus cannot be computed shard by shard"):
        list(on_ray.assign(tmp_path / "runs.jsonl", "reinforce_plus_plus"))


def test_a_file_that_changed_is_not_read(cluster, tmp_path):
    path = tmp_path / "runs.jsonl"
    path.write_bytes(lines(made()))
    work = on_ray.Sharded(cluster, Reading(path), ["gigpo"], steps=STEPS)
    path.write_bytes(lines(made(groups=20)))
    with pytest.raises(StepCreditError, match="has changed"):
        list(work.shards())


def test_a_shard_in_a_stopped_loop_leaves_no_file(cluster, tmp_path):
    (tmp_path / "runs.jsonl").write_bytes(lines(made()))
    out = tmp_path / "out" / "credited.jsonl"
    out.parent.mkdir()
    credits = on_ray.assign(tmp_path / "runs.jsonl", "gigpo", steps=STEPS, output=out)
    next(credits)
    credits.close()
    assert list(out.parent.iterdir()) == []


# Methods side by side.


def side_by_side(ray, path, methods=(), **given):
    """The comparison as the command makes it, with small shards."""
    work = on_ray.Sharded(ray, Reading(path), methods, compare=True, steps=STEPS, **given)
    summary = Summary()
    shards = 0
    for shard in work.shards(work.present()):
        summary.add(shard.credits, shard.compared)
        shards += 1
    return summary, shards


def test_a_comparison_over_shards_is_that_of_the_whole(cluster, tmp_path):
    path = tmp_path / "runs.jsonl"
    path.write_bytes(lines(made(groups=20)))
    whole = compare(sc.read(path))
    summary, shards = side_by_side(cluster, path)
    parts = summary.comparison()
    pooled = {r.method for r in whole.rows} - {r.method for r in parts.rows}
    assert "reinforce_plus_plus" in pooled and shards > 3 and len(parts.rows) > 10
    assert all("other_prompts" in get(m).waives for m in pooled)
    assert parts.skipped == {**whole.skipped, **{m: parts.skipped[m] for m in pooled}}
    kept = [i for i, r in enumerate(whole.rows) if r.method not in pooled]
    np.testing.assert_allclose(parts.correlation, whole.correlation[np.ix_(kept, kept)], atol=1e-9)
    for mine, theirs in zip(parts.rows, (whole.rows[i] for i in kept), strict=True):
        assert mine.method == theirs.method
        np.testing.assert_allclose(
            [mine.spread, mine.zero, mine.unjudged], [theirs.spread, theirs.zero, theirs.unjudged], atol=1e-9
        )
        assert mine.merge.keys() == theirs.merge.keys()
        for label, merge in mine.merge.items():
            np.testing.assert_allclose(merge, theirs.merge[label], atol=1e-12)


def test_methods_of_trees_run_if_any_shard_is_a_tree(cluster, tmp_path):
    path = tmp_path / "runs.jsonl"
    rows = list(made(groups=12))
    plain = side_by_side(cluster, _saved(path, rows))[0].comparison()
    steps = [{"id": "a", "state": "s0"}, {"id": "b", "state": "s1"}]
    tree = [
        {"group": "t", "rollout": 0, "outcome": 1, "steps": steps},
        {"group": "t", "rollout": 1, "outcome": 0, "prefix": ["a"], "steps": [{"id": "c", "state": "s2"}]},
    ]
    summary, _ = side_by_side(cluster, _saved(path, [*rows, *tree]))
    whole = compare(sc.read(path))
    found = {r.method for r in summary.comparison().rows} - {r.method for r in plain.rows}
    assert found and found <= {r.method for r in whole.rows}
    assert all("tree" in plain.skipped[m] for m in found)


def _saved(path, rows):
    path.write_bytes(lines(rows))
    return path


# The command.


@pytest.fixture
def command(monkeypatch, capsys):
    def run(*argv):
        monkeypatch.setattr(sys, "argv", ["stepcredit", *map(str, argv)])
        capsys.readouterr()
        status = 0
        try:
            main()
        except SystemExit as error:
            status = error.code or 0
        return (status, *capsys.readouterr())

    return run


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """120 tasks, 240,000 steps: three shards of the usual size. The last tasks have rewards, the others none."""
    folder = tmp_path_factory.mktemp("large")
    even = [{"group": g, "rollout": r, "outcome": r, "steps": [{"state": t % 7} for t in range(1000)]}
            for g in range(120) for r in range(2)]  # fmt: skip
    uneven = [{**r, "weight": 1.0} if r["group"] > 100 else r for r in even]
    return _saved(folder / "even.jsonl", even), _saved(folder / "uneven.jsonl", uneven)


@pytest.mark.parametrize("which", [0, 1])
def test_the_command_writes_and_says_the_same(cluster, command, large, tmp_path, which):
    said = []
    for name, more in (("one", []), ("many", ["--ray", "local"])):
        (tmp_path / name).mkdir()
        files = ["-o", tmp_path / name / "o.jsonl", "--advantages", tmp_path / name / "a.jsonl"]
        said.append(command("assign", large[which], "-M", "gigpo", "--set", "gamma=0.9", *files, "--json", *more))
    same_files(tmp_path / "one", tmp_path / "many")
    (status, out, err), many = said
    assert (status, out) == (many[0], many[1]) and status == 0
    assert err.replace("/one/", "/many/") == many[2]
    assert ("read again" in err) == bool(which)


def test_the_command_segments_as_it_does_in_one_process(cluster, command, tmp_path):
    text = "Step 1: add.\n\nStep 2: carry.\n\nStep 3: done."
    path = _saved(
        tmp_path / "runs.jsonl",
        [{"group": i // 2, "rollout": i % 2, "outcome": i % 2, "steps": [{"text": text}]} for i in range(8)],
    )
    for name, more in (("one", []), ("many", ["--ray", "local"])):
        (tmp_path / name).mkdir()
        status, _, err = command(
            "assign", path, "-M", "grpo", "--segment", "paragraphs", "-o", tmp_path / name / "o.jsonl", *more
        )
        assert status == 0 and "cut no step" not in err, err
    same_files(tmp_path / "one", tmp_path / "many")
    assert "one process read" in err


def test_the_command_compares(cluster, command, large):
    one, many = (
        command("compare", large[1], "-M", "gigpo", "-M", "grpo", "--json", *m) for m in ([], ["--ray", "local"])
    )
    assert one[0] == many[0] == 0
    mine, theirs = json.loads(many[1]), json.loads(one[1])
    assert [r.pop("seconds") > 0 for r in (*mine["rows"], *theirs["rows"])] == [True] * 4
    assert [r["method"] for r in mine["rows"]] == ["gigpo", "grpo"]
    np.testing.assert_allclose(mine["correlation"], theirs["correlation"], atol=1e-9)
    for a, b in zip(mine["rows"], theirs["rows"], strict=True):
        for name in ("agreement", "spread", "zero", "unjudged"):
            assert a[name] == pytest.approx(b[name], abs=1e-9)


def test_the_command_refuses_a_report(cluster, command, large, tmp_path):
    for name in ("assign", "compare"):
        status, _, err = command(name, large[0], "--report", tmp_path / "page.html", "--ray", "local")
        assert status == 2 and "--report needs all rollouts in one process" in err
    assert not (tmp_path / "page.html").exists()


def test_ray_is_started_and_stopped_where_there_is_none(tmp_path):
    path = _saved(tmp_path / "runs.jsonl", made())
    argv = ["assign", path, "-M", "gigpo", "-o", tmp_path / "o.jsonl", "--ray", "local"]
    ran = subprocess.run([sys.executable, "-m", "stepcredit", *argv], capture_output=True, text=True)
    assert ran.returncode == 0 and len((tmp_path / "o.jsonl").read_text().splitlines()) == len(list(made()))
    assert all(line.startswith(("read ", "note: ", "rollouts with")) for line in ran.stderr.splitlines())


def test_a_terminated_command_leaves_no_file(large, tmp_path):
    argv = [
        "assign",
        *[large[0]] * 4,
        "-M",
        "gigpo",
        "--on-error",
        "skip",
        "-o",
        tmp_path / "o.jsonl",
        "--ray",
        "local",
    ]
    with subprocess.Popen([sys.executable, "-m", "stepcredit", *argv], stderr=subprocess.DEVNULL) as command:
        while command.poll() is None and not list(tmp_path.iterdir()):
            time.sleep(0.05)
        command.terminate()
        assert command.wait() == 143
    assert list(tmp_path.iterdir()) == []


def test_a_cluster_that_is_not_there_is_named(tmp_path):
    path = _saved(tmp_path / "runs.jsonl", made())
    argv = ["assign", path, "-M", "gigpo", "--ray", "127.0.0.1:1"]
    ran = subprocess.run([sys.executable, "-m", "stepcredit", *argv], capture_output=True, text=True)
    assert ran.returncode == 2 and "no Ray at '127.0.0.1:1'" in ran.stderr
