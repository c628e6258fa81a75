"""rollouts.jsonl of a training run: which steps, whole lines only, and what a run that goes on makes of it."""

import json
import resource

import pytest
from train_rig import config, quiet

from stepcredit.errors import DataError
from stepcredit.train import run
from stepcredit.train.kept import Kept, _append, cut

pytestmark = quiet


def line(version, **more):
    return json.dumps({"group": f"{version}/0", "rollout": "a", "policy_version": version, **more}) + "\n"


def kept(tmp_path, every, iterations=1):
    return Kept(tmp_path / "rollouts.jsonl", every, iterations=iterations, tries=2)


@pytest.mark.parametrize(
    ("every", "iterations", "wanted"),
    [
        (1, 1, range(13)),
        (5, 1, [0, 5, 10]),
        (0, 1, []),
        (1, 3, [0, 3, 6, 9, 12]),
        (5, 3, [0, 3, 9]),
        (6, 3, [0, 6, 12]),
    ],
)
def test_the_batch_that_every_so_many_steps_are_made_of_is_kept(tmp_path, every, iterations, wanted):
    one = kept(tmp_path, every, iterations)
    assert [step for step in range(0, 13, iterations) if one.wants(step)] == list(wanted)


def test_what_came_after_the_checkpoint_and_what_a_kill_cut_short_go(tmp_path):
    file = tmp_path / "rollouts.jsonl"
    file.write_text(line(0) + line(0) + line(2) + line(4)[:9])
    cut(file, 9)
    assert file.read_text() == line(0) + line(0) + line(2)
    cut(file, 2)
    assert file.read_text() == line(0) + line(0)
    cut(file, 0)
    assert file.read_text() == ""


@pytest.mark.parametrize("damaged", ["{]\n", '{"rollout": 1}\n', "\n", "\0\0\0\n"])
def test_a_damaged_line_before_the_last_is_named_and_nothing_is_lost(tmp_path, damaged):
    file = tmp_path / "rollouts.jsonl"
    file.write_text(line(0) + damaged + line(1))
    with pytest.raises(DataError, match=r"rollouts\.jsonl, row 2: is no rollout"):
        cut(file, 5)
    assert file.read_text() == line(0) + damaged + line(1)


def test_a_full_disk_leaves_whole_lines(tmp_path):
    file = tmp_path / "rollouts.jsonl"
    _append(file, line(0).encode())
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, usual[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            _append(file, line(1, task="x" * 6000).encode())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert file.read_text() == line(0)


def test_without_rollouts_there_is_no_file_and_a_run_may_go_on_with_other_ones(tmp_path):
    folder = tmp_path / "run"
    result = run.train(config(folder, rollouts={"every": 0}, rl={"steps": 2}))
    assert result["kept"] is None and not (folder / "rollouts.jsonl").exists()
    run.train(config(folder, rollouts={"every": 1}, rl={"steps": 3}), resume=True)
    rows = [json.loads(row) for row in (folder / "rollouts.jsonl").read_text().splitlines()]
    assert [row["policy_version"] for row in rows] == [2] * 8
