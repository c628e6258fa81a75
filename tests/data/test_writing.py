"""Records to files and back: equal values, equal bytes, whole files or none."""

import gzip
import json
import os
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stepcredit.data.batch import Batch
from stepcredit.data.columns import TABLE
from stepcredit.data.reading import Reading, read
from stepcredit.data.records import Rollout, Step, Tokens, ToolCall
from stepcredit.data.writing import AdvantageWriter, Writer, write
from stepcredit.errors import DataError

SUFFIXES = [".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet"]

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
number = st.none() | st.floats(allow_nan=False, allow_infinity=False)
key = st.none() | text | st.integers(-(2**70), 2**70) | st.booleans() | st.floats(allow_nan=False, allow_infinity=False)
anything = st.recursive(key, lambda s: st.lists(s, max_size=3) | st.dictionaries(text, s, max_size=3), max_leaves=6)
names = text.filter(lambda t: t not in {*Rollout.__struct_fields__, *Step.__struct_fields__, "schema_version"})
extra = st.dictionaries(names, anything, max_size=3)
count = st.none() | st.integers(-(2**63), 2**63 - 1)


@st.composite
def tokens(draw):
    n = draw(st.integers(0, 3))
    lists = {f: st.lists(number, min_size=n, max_size=n) for f in ("logp", "value", "reward")}
    lists |= {f: st.lists(st.integers(-9, 9), min_size=n, max_size=n) for f in ("id", "source")}
    chosen = draw(st.fixed_dictionaries({}, optional=lists))
    return Tokens(n=draw(st.sampled_from([None, n])), **chosen)


steps = st.builds(
    Step,
    id=st.none(),
    **dict.fromkeys(("agent", "state", "action", "observation", "next_state"), key),
    text=st.none() | text,
    tool_calls=st.lists(st.builds(ToolCall, name=text, arguments=anything, id=st.none() | text), max_size=2),
    reward=number,
    match=st.none() | st.booleans(),
    evidence=st.dictionaries(text, number | st.lists(number, max_size=2), max_size=2),
    credit=st.dictionaries(text, number, max_size=2),
    tokens=st.none() | tokens(),
    extra=extra,
)
rollouts = st.builds(
    Rollout,
    group=text | st.integers(-(2**70), 2**70),
    rollout=text | st.integers(),
    outcome=number,
    task=st.none() | text,
    rewards=st.dictionaries(text, number, max_size=2),
    weight=st.none() | st.floats(0, 9),
    batch=count,
    policy_version=count,
    prefix=st.lists(text, max_size=2),
    steps=st.lists(steps, max_size=3),
    final_state=key,
    extra=extra,
)
batches = st.lists(rollouts, min_size=1, max_size=4, unique_by=lambda r: (r.group, r.rollout))


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(records=batches)
def test_what_was_written_is_read_and_writes_the_same_bytes(tmp_path_factory, suffix, records):
    path = tmp_path_factory.getbasetemp() / f"there{suffix}"
    write(records, path)
    back = list(Reading(path))
    assert back == records
    for old, new in zip(records, back, strict=True):
        assert list(old.extra) == list(new.extra)
        assert [list(s.extra) for s in old.steps] == [list(s.extra) for s in new.steps]
    again = tmp_path_factory.getbasetemp() / f"again{suffix}"
    write(back, again)
    assert again.read_bytes() == path.read_bytes()


def names_in(folder):
    return [p.name for p in folder.iterdir()]


def some(n=3, **more):
    return [
        Rollout(group="a", rollout=i, outcome=1.0, steps=[Step(text="x", tokens=Tokens(n=2))], **more) for i in range(n)
    ]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_bytes_do_not_depend_on_how_rollouts_come_in_batches(tmp_path, suffix):
    records = some(9)
    write(records, tmp_path / f"whole{suffix}")
    with Writer(tmp_path / f"parts{suffix}") as out:
        out.write(records[:2])
        out.write(Batch.from_records(records[2:5]))
        out.write(iter(records[5:]))
    assert (tmp_path / f"whole{suffix}").read_bytes() == (tmp_path / f"parts{suffix}").read_bytes()


def test_parquet_is_cut_into_row_groups_by_content_alone(tmp_path, monkeypatch):
    monkeypatch.setattr("stepcredit.data.writing._ROW_GROUP", 8)
    records = some(7)
    write(records, tmp_path / "whole.parquet")
    with Writer(tmp_path / "parts.parquet") as out:
        for r in records:
            out.write([r])
    assert pq.ParquetFile(tmp_path / "whole.parquet").num_row_groups == 4
    assert (tmp_path / "whole.parquet").read_bytes() == (tmp_path / "parts.parquet").read_bytes()
    assert list(Reading(tmp_path / "whole.parquet")) == records


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(records=batches)
def test_a_batch_of_records_gives_them_back(records):
    for r in records:
        r.prefix = []
        r.batch, r.policy_version = (None if v is None else abs(v) // 2 for v in (r.batch, r.policy_version))
        r.rewards = {f"my_{n}": v for n, v in r.rewards.items()}
        for step in r.steps:
            step.evidence = {f"my_{n}": v for n, v in step.evidence.items() if not isinstance(v, list)}
            step.credit = {f"my_{n}": v for n, v in step.credit.items()}
    assert Batch.from_records(records).to_records() == records


def test_both_kinds_of_file_carry_the_schema_version(tmp_path):
    write(some(), tmp_path / "x.jsonl")
    write(some(), tmp_path / "x.parquet")
    assert json.loads((tmp_path / "x.jsonl").read_text().splitlines()[0])["schema_version"] == 1
    table = pq.read_table(tmp_path / "x.parquet")
    assert table.schema.metadata[b"stepcredit.schema_version"] == b"1"
    pq.write_table(table.replace_schema_metadata({"stepcredit.schema_version": "7"}), tmp_path / "x.parquet")
    with pytest.raises(DataError, match="another version"):
        read(tmp_path / "x.parquet")


def test_parquet_keeps_numbers_as_columns(tmp_path):
    write(some(2), tmp_path / "x.parquet")
    table = pq.read_table(tmp_path / "x.parquet", columns=["group", "outcome"]).to_pydict()
    assert table == {"group": ['"a"', '"a"'], "outcome": [1.0, 1.0]}


def test_a_parquet_of_ours_that_was_edited_badly_is_named(tmp_path):
    write(some(2), tmp_path / "x.parquet")
    table = pq.read_table(tmp_path / "x.parquet")
    pq.write_table(table.set_column(0, "group", pa.array(['"a"', "a"])), tmp_path / "x.parquet")
    with pytest.raises(DataError, match=r"x.parquet, row 2: field 'group' must hold JSON text"):
        read(tmp_path / "x.parquet")


def test_gzip_holds_no_time_and_no_name(tmp_path):
    write(some(), tmp_path / "a.jsonl.gz")
    packed = (tmp_path / "a.jsonl.gz").read_bytes()
    assert packed[3:8] == bytes(5)  # no name, time 0
    assert gzip.decompress(packed).count(b"\n") == 3


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_error_leaves_what_was_there_and_nothing_else(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    path.write_bytes(b"before")
    with pytest.raises(RuntimeError, match="mine"), Writer(path) as out:
        out.write(some())
        raise RuntimeError("mine")
    assert path.read_bytes() == b"before"
    assert names_in(tmp_path) == [path.name]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.skipif(not hasattr(os, "fork"), reason="limits of file size are a matter of POSIX")
def test_a_full_disk_is_a_clear_error_and_leaves_no_half_file(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    code = f"""
import os, resource, signal
from stepcredit.data.records import Rollout
from stepcredit.data.writing import write
from stepcredit.errors import DataError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
    write((Rollout(group=os.urandom(3000).hex(), rollout=i) for i in range(300)), {str(path)!r})
except DataError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert "File too large" in done.stdout
    assert path.name in done.stdout
    assert done.stderr == ""
    assert names_in(tmp_path) == []


def test_a_kill_leaves_what_was_there(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_bytes(b"before")
    code = f"""
import os, signal
from stepcredit.data.records import Rollout
from stepcredit.data.writing import Writer
with Writer({str(path)!r}) as out:
    out.write([Rollout(group="x" * 1_000_000, rollout=0)])
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == -9
    assert path.read_bytes() == b"before"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names are a matter of POSIX")
def test_a_pipe_is_written_to_and_never_replaced(tmp_path):
    path = tmp_path / "pipe.jsonl"
    os.mkfifo(path)
    end = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    try:
        write(some(), path)
        assert path.is_fifo()
        assert os.read(end, 1 << 16).count(b"\n") == 3
    finally:
        os.close(end)


def test_links_are_followed(tmp_path):
    (tmp_path / "real.jsonl").write_text("old")
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "real.jsonl")
    write(some(), tmp_path / "link.jsonl")
    assert (tmp_path / "link.jsonl").is_symlink()
    assert len(read(tmp_path / "real.jsonl").records) == 3


def test_what_cannot_be_written_is_said(tmp_path):
    for path, says in [
        (tmp_path / "x.json", "does not say what to write"),
        (tmp_path / "x.gz", "does not say what to write"),
        (tmp_path / "x", "does not say what to write"),
        (tmp_path / "none" / "x.jsonl", "no such folder"),
    ]:
        with pytest.raises(DataError, match=says):
            write(some(), path)
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(DataError, match="is a folder"):
        write(some(), tmp_path / "folder.jsonl")
    with pytest.raises(DataError, match="there are no rollouts"):
        write([], tmp_path / "x.jsonl")
    assert names_in(tmp_path) == ["folder.jsonl"]


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
@pytest.mark.parametrize(
    "bad",
    [{"task": "\ud800"}, {"extra": {"x": {1, (2, 3j)}}}, {"extra": {"x": object()}}, {"outcome": float("nan")}],
)
def test_what_json_cannot_hold_is_named_with_its_rollout(tmp_path, suffix, bad):
    with pytest.raises(DataError, match=r"rollout 'r'|cannot be written as Parquet"):
        write([Rollout(group="g", rollout="r", **bad)], tmp_path / f"x{suffix}")
    assert names_in(tmp_path) == []


def test_advantages_are_lines_for_a_trainer_and_nan_is_null(tmp_path):
    with AdvantageWriter(tmp_path / "a.jsonl") as out:
        out.write([("p", "x", np.array([0.5, np.nan]))])
        out.write([(2, 0, [1, None]), (2, 1, [])])
    assert [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()] == [
        {"row": 0, "group": "p", "rollout": "x", "advantages": [0.5, None]},
        {"row": 1, "group": 2, "rollout": 0, "advantages": [1.0, None]},
        {"row": 2, "group": 2, "rollout": 1, "advantages": []},
    ]
    with pytest.raises(DataError, match="not finite"), AdvantageWriter(tmp_path / "b.jsonl.gz") as out:
        out.write([("p", 0, [0.0]), ("p", 1, [np.inf])])
    with pytest.raises(DataError, match="suffix"):
        AdvantageWriter(tmp_path / "b.parquet")
    assert names_in(tmp_path) == ["a.jsonl"]


def _with_every_column():
    """A batch from records that then got a value in every column of evidence of the table."""
    rollouts = [
        Rollout(group="p", rollout="a", outcome=1.0, steps=[Step(text="x", tokens=Tokens(n=2)), Step(text="y")]),
        Rollout(group="p", rollout="b", outcome=0.0, steps=[Step(text="z", tokens=Tokens(n=1))]),
        Rollout(group="q", rollout="c", outcome=1.0, steps=[Step(text="w", tokens=Tokens(n=1))]),
    ]
    batch = Batch.from_records(rollouts)
    rng = np.random.default_rng(0)
    made = {}
    for c in TABLE:
        if c.name in ("group", "batch", "rollout", "parent", "given_row", "token_step", "root_state"):
            continue
        size = getattr(batch.layout, c.axis)
        if c.kind == "float":
            made[c.name] = rng.integers(0, 9, (size, 2) if c.wide else size) / 8
        elif c.kind == "id":
            made[c.name] = [f"key {i}" for i in rng.integers(0, 2, size)]
        else:
            made[c.name] = rng.integers(-1, 2, (size, 2) if c.wide else size)
    return batch.with_columns(**made)


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_every_column_of_the_table_comes_back_from_a_file(tmp_path, suffix):
    batch = _with_every_column()
    path = tmp_path / f"all{suffix}"
    write(batch, path)
    back = read(path)
    for name, values in batch.columns.items():
        assert name in back, name
        if name in batch.keys:
            keys = [batch.keys[name][i] for i in values]
            assert [back.keys[name][i] for i in back[name]] == keys, name
        else:
            np.testing.assert_array_equal(back[name], values, err_msg=name)
            assert back[name].dtype.kind == values.dtype.kind, name


def test_facts_about_a_task_must_agree_between_its_rollouts():
    rollouts = [Rollout(group="p", rollout=i, evidence={"prior_value": 0.25 * i}, steps=[Step()]) for i in range(2)]
    with pytest.raises(DataError, match="rollouts of group 'p' differ"):
        Batch.from_records(rollouts)


def test_evidence_of_a_rollout_keeps_to_its_axis():
    with pytest.raises(DataError, match="the name of another column"):
        Batch.from_records([Rollout(group="p", rollout=0, evidence={"value": 1.0}, steps=[Step()])])
    with pytest.raises(DataError, match="must be a number"):
        Batch.from_records([Rollout(group="p", rollout=0, evidence={"pivot": "two"}, steps=[Step()])])
