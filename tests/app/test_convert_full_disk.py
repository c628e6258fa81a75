"""A disk that runs full while rollouts are converted: the error names the file that was asked for, and none is left."""

import io
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from stepcredit.data.storage import Source, sources
from stepcredit.errors import DataError

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="limits of file size are a matter of POSIX")
LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
from stepcredit.app.cli import main
sys.argv = ["stepcredit", "convert", *sys.argv[1:]]
main()
"""


def rows(path, groups):
    lines = [
        {"group": g, "rollout": i, "outcome": 0, "steps": [{"text": str(list(os.urandom(900)))} for _ in range(9)]}
        for i, g in enumerate(groups)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def convert(tmp_path, *args):
    """What the command says where no file may have more than 20 kB, and the files that it leaves."""
    waits = tmp_path / "waits"
    waits.mkdir()
    env = {**os.environ, "TMPDIR": str(waits)}
    done = subprocess.run([sys.executable, "-c", LIMITED, *map(str, args)], capture_output=True, text=True, env=env)
    assert done.returncode == 2, done.stderr
    assert list(waits.iterdir()) == []
    return done.stderr, sorted(p.name for p in tmp_path.iterdir() if p != waits)


@pytest.mark.parametrize("name", ["out.jsonl", "out.jsonl.gz", "out.jsonl.zst", "out.parquet"])
def test_a_full_disk_is_named_by_the_file_that_was_asked_for(tmp_path, name):
    said, left = convert(tmp_path, rows(tmp_path / "in.jsonl", "aabb"), "-o", tmp_path / name)
    assert f"{name}: File too large" in said and left == ["in.jsonl"]


def test_so_is_a_full_disk_of_the_temporary_file_in_which_rows_wait(tmp_path):
    said, left = convert(tmp_path, rows(tmp_path / "in.jsonl", "aabb"), "-o", tmp_path / "out.csv", "--to", "csv")
    assert "out.csv: File too large, in the folder" in said and "TMPDIR" in said and left == ["in.jsonl"]


def test_and_one_of_the_temporary_file_in_which_groups_are_sorted(tmp_path):
    said, left = convert(tmp_path, rows(tmp_path / "in.jsonl", "abab"), "-o", tmp_path / "out.jsonl.gz")
    assert "out.jsonl.gz: File too large, in the folder" in said and left == ["in.jsonl"]


@pytest.mark.skipif(not os.access("/dev/full", os.W_OK), reason="no /dev/full")
@pytest.mark.parametrize("name", ["out.jsonl", "out.jsonl.gz", "out.jsonl.zst", "out.parquet"])
def test_a_device_that_takes_nothing_is_named_as_it_was_given(tmp_path, name):
    (tmp_path / name).symlink_to("/dev/full")
    said, left = convert(tmp_path, rows(tmp_path / "in.jsonl", "aabb"), "-o", tmp_path / name)
    assert f"{name}: " in said and "No space left on device" in said and left == ["in.jsonl", name]


def test_standard_input_that_cannot_be_copied_is_told_by_the_folder_and_never_read_by_half(monkeypatch):
    class Full(io.BytesIO):
        def readinto(self, buffer):
            raise OSError(28, "No space left on device")

        def read(self, size=-1):
            raise OSError(28, "No space left on device")

    class Given:
        buffer = Full()

    monkeypatch.setattr(sys, "stdin", Given)
    (source,) = sources("-")
    assert isinstance(source, Source)
    before = set(Path(tempfile.gettempdir()).glob("tmp*"))
    for _ in range(2):
        with pytest.raises(DataError, match=r"<stdin>: No space left on device, in the folder .* it is copied"):
            source.open()
    assert set(Path(tempfile.gettempdir()).glob("tmp*")) <= before
