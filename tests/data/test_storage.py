"""Rows of files: every container, and every way a file can be wrong."""

import gzip
import io
import json
import os
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepcredit.data.storage import Source, rows, sources
from stepcredit.errors import DataError

LINES = b'{"a": 1}\n{"a": 2}\n'


def values(path, **options):
    return [row.value["a"] for row in rows(path, **options)]


def lenient(path):
    skipped = []
    return values(path, bad=skipped.append), skipped


def zstd(data):
    out = pa.BufferOutputStream()
    with pa.CompressedOutputStream(out, "zstd") as stream:
        stream.write(data)
    return out.getvalue().to_pybytes()


CONTAINERS = {
    "lines": LINES,
    "no newline at the end": LINES[:-1],
    "carriage returns": LINES.replace(b"\n", b"\r\n"),
    "byte order mark": b"\xef\xbb\xbf" + LINES,
    "blank lines": b"\n" + LINES.replace(b"\n", b"\n \n\n"),
    "gzip": gzip.compress(LINES, mtime=0),
    "two gzip members": gzip.compress(LINES[:9], mtime=0) + gzip.compress(LINES[9:], mtime=0),
    "zstd": zstd(LINES),
    "array": b' [{"a": 1},\n {"a": 2}]\n',
    "array in gzip": gzip.compress(b'\xef\xbb\xbf[{"a": 1}, {"a": 2}]', mtime=0),
}


@pytest.mark.parametrize("content", CONTAINERS.values(), ids=CONTAINERS.keys())
def test_containers_are_told_by_content_not_by_name(tmp_path, content):
    path = tmp_path / "rows.anything"
    path.write_bytes(content)
    assert values(path) == [1, 2]


def test_parquet_times_and_nan_become_plain_values(tmp_path):
    table = pa.table({"a": [1.5, float("nan")], "when": pa.array([0, 1], pa.timestamp("s"))})
    pq.write_table(table, tmp_path / "x.jsonl")
    assert [r.value for r in rows(tmp_path / "x.jsonl")] == [
        {"a": 1.5, "when": "1970-01-01T00:00:00"},
        {"a": None, "when": "1970-01-01T00:00:01"},
    ]


def test_row_numbers_are_lines_of_the_file(tmp_path):
    (tmp_path / "x").write_bytes(b'\n{"a": 1}\n\n{"a": 2}')
    assert [r.number for r in rows(tmp_path / "x")] == [2, 4]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b" \n\n", "holds no rows"),
        (gzip.compress(b"", mtime=0), "holds no rows"),
        (b"\x89PNG\r\n\x1a\n\0\0\0", "binary"),
        (b"PK\x03\x04rest", "zip"),
        (b"BZh91AY", "bzip2"),
        ("{}".encode("utf-16"), "UTF-16"),
        (b"PAR1 not parquet at all", "Parquet"),
        (b'{"a": 1', "column 8"),
        (b"{'a': 1}", "column 2"),
        (b"a,b\n1,2", "malformed JSON"),
        (b'{"a": NaN}', "null for not judged"),
        (b'{"a": [1, -Infinity]}', "column 11"),
        (b'{"a": 1e999}', "out of range"),
        (b'{"a": "\\ud800"}', "malformed"),
        (b"[1]", "must be an object"),
        (b"3", "must be an object"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'{"a": "\xff"}', "invalid UTF-8 in column 8"),
        (b'[{"a": 1}, {"a": NaN}]', "NaN"),
        (b'[{"a": 1}, ', "line|column"),
        (b'{"a": ' + b"9" * 5000 + b"}", "malformed"),
        (b"\x1f\x8b not gzip", "compressed data"),
        (b"\x28\xb5\x2f\xfdnot zstd", "compressed data"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_wrong_is_said_with_file(tmp_path, content, says):
    path = tmp_path / "bad.jsonl"
    path.write_bytes(content)
    with pytest.raises(DataError, match=says) as error:
        list(rows(path))
    assert "bad.jsonl" in str(error.value)


def test_bad_rows_are_named_and_the_others_survive(tmp_path):
    (tmp_path / "x").write_bytes(b'{"a": 1}\nnonsense\n{"a": NaN}\n[]\n{"a": 2}\n')
    good, skipped = lenient(tmp_path / "x")
    assert good == [1, 2]
    assert [e.row for e in skipped] == [2, 3, 4]


def test_nan_reads_as_null_where_the_format_allows_it(tmp_path):
    (tmp_path / "x").write_bytes(b'{"a": NaN}\n{"a": 1}\n')
    assert values(tmp_path / "x", nan=True) == [None, 1]


@pytest.mark.parametrize("pack", [gzip.compress, zstd])
def test_rows_before_a_break_in_compressed_data_are_usable(tmp_path, pack):
    lines = b"".join(b'{"a": %d, "noise": "%s"}\n' % (i, os.urandom(40).hex().encode()) for i in range(20_000))
    packed = pack(lines)
    (tmp_path / "x").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(DataError, match="ends or breaks"):
        values(tmp_path / "x")
    good, skipped = lenient(tmp_path / "x")
    assert good == list(range(len(good)))
    assert 5_000 < len(good) < 20_000
    assert len(skipped) == 1
    assert skipped[0].row == len(good) + 1


def test_a_very_long_line_is_read(tmp_path):
    with (tmp_path / "x").open("wb") as f:
        f.write(b'{"a": "')
        for _ in range(100):
            f.write(b"x" * 1_000_000)
        f.write(b'"}\n{"a": "short"}\n')
    assert [len(v) for v in values(tmp_path / "x")] == [100_000_000, 5]


def test_missing_file_folder_and_permission(tmp_path):
    with pytest.raises(DataError, match=r"no such file\n.*relative to another folder"):
        list(rows(tmp_path / "none"))
    (tmp_path / "runs_of_may.jsonl").write_text("{}\n")
    with pytest.raises(DataError, match=r"no such file\n.*did you mean .*runs_of_may\.jsonl\?"):
        list(rows(tmp_path / "runs_of_my.jsonl"))
    with pytest.raises(DataError, match="folder"):
        list(rows(tmp_path))
    path = tmp_path / "locked"
    path.write_bytes(LINES)
    path.chmod(0)
    if not os.access(path, os.R_OK):
        with pytest.raises(DataError, match="permission"):
            list(rows(path))


def test_any_error_of_the_system_names_the_file(tmp_path, monkeypatch):
    (tmp_path / "x").write_bytes(LINES)

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(DataError, match=r"x: permission denied"):
        list(rows(tmp_path / "x"))


@pytest.mark.parametrize("content", [LINES, gzip.compress(LINES, mtime=0), b'[{"a": 1}, {"a": 2}]'])
def test_standard_input_can_be_read_twice(monkeypatch, content):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    (source,) = sources("-")
    assert values(source) == values(source) == [1, 2]


def test_folders_and_globs_sort_numbers_as_numbers(tmp_path):
    for name in ("10.jsonl", "2.jsonl", "1.jsonl", ".hidden.jsonl", "notes.txt"):
        (tmp_path / name).write_bytes(LINES)
    names = ["1.jsonl", "2.jsonl", "10.jsonl"]
    assert [s.path.name for s in sources(tmp_path)] == names
    assert [s.path.name for s in sources(str(tmp_path / "[0-9]*.jsonl"))] == names
    assert [s.path.name for s in sources([tmp_path / "2.jsonl", tmp_path / "1.jsonl"])] == ["2.jsonl", "1.jsonl"]
    with pytest.raises(DataError, match="no file matches"):
        sources(str(tmp_path / "*.parquet"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="without data files"):
        sources(tmp_path / "empty")


def test_a_name_with_glob_signs_is_a_name_if_it_exists(tmp_path):
    (tmp_path / "run[1].jsonl").write_bytes(LINES)
    assert [s.path.name for s in sources(str(tmp_path / "run[1].jsonl"))] == ["run[1].jsonl"]


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_give_rows_or_a_data_error(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any-bytes"
    path.write_bytes(content)
    try:
        for row in rows(Source(path, "any")):
            json.dumps(row.value)
    except DataError as error:
        assert "any" in str(error)


@pytest.mark.parametrize("zone", [None, "UTC"])
def test_times_of_nanoseconds_as_pandas_writes_them_are_read(tmp_path, zone):
    path = tmp_path / "a.parquet"
    at = pa.array([1_700_000_000_123_456_789, None], pa.timestamp("ns", zone))
    pq.write_table(pa.table({"a": [1, 2], "at": at}), path)
    first, second = (row.value for row in rows(path))
    assert first["at"].startswith("2023-11-14T22:13:20.123456") and second == {"a": 2, "at": None}


@pytest.mark.parametrize("name", ["runs.csv", "RUNS.TSV"])
def test_a_table_of_text_is_refused_with_a_way_out(tmp_path, name):
    path = tmp_path / name
    path.write_text("task,outcome\na,1\n")
    with pytest.raises(DataError, match=r"(?s)table of text.*JSON Lines.*read_csv"):
        list(rows(path))
    path.write_text('{"task": "a"}\n')
    assert [row.value for row in rows(path)] == [{"task": "a"}]
