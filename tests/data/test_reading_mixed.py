"""Folders that mix formats, files of one object, archives of inspect_ai, and what stands around steps."""

import json
import zipfile
import zlib

import pyarrow as pa
import pytest

from stepcredit.data import Batch, Message, Reading, Rollout, Step, read, replies_of, write
from stepcredit.data.formats._fields import add_score
from stepcredit.data.storage import rows, sources
from stepcredit.errors import DataError, UnknownName

OURS = {"group": "p", "rollout": "a", "outcome": 1, "steps": [{"text": "x"}]}
TAU = {"task_id": 3, "trial": 0, "reward": 0, "traj": [{"role": "user", "content": "hi"}, {"role": "assistant"}]}


def folder(tmp_path, **files):
    for name, value in files.items():
        (tmp_path / name.replace("_", ".")).write_text(value if isinstance(value, str) else json.dumps(value, indent=2))
    return tmp_path


def test_a_folder_may_mix_formats(tmp_path):
    reading = Reading(folder(tmp_path, a_json=OURS, b_json=TAU, c_jsonl=json.dumps({**OURS, "rollout": "b"})))
    assert reading.format == "stepcredit, tau_bench"
    assert [(r.group, r.rollout) for r in reading] == [
        ("stepcredit/p", "a"),
        ("stepcredit/p", "b"),
        ("tau_bench/3", 0),
    ]
    assert reading.read().layout.R == 3 and reading.rows == 3


def test_equal_names_in_two_formats_are_two_tasks(tmp_path):
    at = folder(tmp_path, a_json={**OURS, "group": 3, "rollout": 0}, b_json=TAU)
    assert read(at).layout.G == 2


def test_mixed_groups_stream_as_one_file_does(tmp_path):
    reading = Reading(folder(tmp_path, a_json=OURS, b_json=TAU, c_jsonl=json.dumps({**OURS, "rollout": "b"})))
    assert [b.layout.R for b in reading.stream(steps=1)] == [2, 1]


def test_a_file_of_no_format_is_named_or_left_out(tmp_path):
    at = folder(tmp_path, a_json=OURS, z_json={"unrelated": 1})
    with pytest.raises(DataError, match="no format fits") as error:
        Reading(at)
    assert "z.json" in error.value.message
    left = Reading(at, on_error="skip")
    assert [r.rollout for r in left] == ["a"] and "z.json" in left.skipped[0].message


def test_options_reach_the_formats_that_have_them(tmp_path):
    at = folder(tmp_path, a_json=OURS, b_json=TAU)
    assert len(list(Reading(at, reads="get_"))) == 2
    with pytest.raises(UnknownName, match="nothing_such"):
        Reading(at, nothing_such=1)


def test_one_indented_object_is_one_row(tmp_path):
    path = folder(tmp_path, a_json=OURS) / "a.json"
    assert [(r.number, r.value) for r in rows(path)] == [(1, OURS)]


def test_a_broken_first_line_does_not_hide_the_others(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"group": \n' + json.dumps(OURS) + "\n")
    bad = []
    assert [r.value for r in rows(path, bad=bad.append)] == [OURS]
    assert bad[0].row == 1


def test_a_cut_object_is_an_error_with_its_place(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(OURS, indent=1)[:-8])
    with pytest.raises(DataError, match=r"malformed JSON in line \d+") as error:
        list(rows(path))
    assert error.value.row == 1


def test_folders_in_a_folder_are_read_where_it_has_no_files_itself(tmp_path):
    inner, hidden = tmp_path / "run" / "case", tmp_path / ".cache"
    inner.mkdir(parents=True)
    hidden.mkdir()
    (inner / "x.traj").write_text("{}")
    (hidden / "y.json").write_text("{}")
    assert [s.path.name for s in sources(tmp_path)] == ["x.traj"]


def archive(path, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, text in members.items():
            made.writestr(name.replace("__", "/") + ".json", text)
    return path


def test_an_eval_archive_gives_one_log_a_sample(tmp_path):
    path = archive(tmp_path / "a.eval", header='{"version": 2}', samples__1='{"id": 1}', samples__2='{"id": 2}')
    assert [r.value for r in rows(path)] == [{"version": 2, "samples": [{"id": n}]} for n in (1, 2)]


def zstd(path):
    """An archive repacked with zstd (method 93), which Python's zipfile does not write before 3.14."""
    with zipfile.ZipFile(path) as old:
        members = {i.filename: old.read(i) for i in old.infolist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as made:
        for name, data in members.items():
            made.writestr(name, pa.compress(data, "zstd", asbytes=True))
    raw = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as made:
        at = made.start_dir
        for info in made.infolist():
            data = members[info.filename]
            for head in (info.header_offset, at + 2):  # in the directory the same stands two bytes later
                raw[head + 8 : head + 10] = (93).to_bytes(2, "little")
                raw[head + 14 : head + 18] = zlib.crc32(data).to_bytes(4, "little")
                raw[head + 22 : head + 26] = len(data).to_bytes(4, "little")
            at += 46 + len(info.filename.encode()) + len(info.extra) + len(info.comment)
    path.write_bytes(raw)
    return path


def test_archives_packed_by_zstd_are_read_as_inspect_writes_them(tmp_path):
    path = archive(tmp_path / "a.eval", header='{"version": 2}', samples__1='{"id": 1}', samples__2='{"id": 2}')
    expected = [r.value for r in rows(path)]
    assert [r.value for r in rows(zstd(path))] == expected
    with zipfile.ZipFile(path) as made:
        assert {i.compress_type for i in made.infolist()} == {93}


def test_a_broken_sample_is_placed_and_the_others_are_read(tmp_path):
    path = archive(tmp_path / "a.eval", header="{}", samples__1="{oh", samples__2='{"id": 2}')
    bad = []
    assert [r.number for r in rows(path, bad=bad.append)] == [2]
    assert (bad[0].row, bad[0].file) == (1, str(path))


@pytest.mark.parametrize("members", [{"other": "{}"}, {"header": "[]", "samples__1": "{}"}])
def test_another_archive_says_what_it_is_not(tmp_path, members):
    with pytest.raises(DataError, match=r"zip archive|must be an object"):
        list(rows(archive(tmp_path / "a.zip", **members)))


def test_a_cut_archive_says_so(tmp_path):
    path = archive(tmp_path / "a.eval", header="{}", samples__1="{}")
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataError, match="zip archive is broken"):
        list(rows(path))


def test_replies_are_kept_and_a_sole_one_not_twice(tmp_path):
    (one,) = read(folder(tmp_path, b_json=TAU) / "b.json").to_records()
    assert one.context == [Message(role="user", content="hi")]
    step = Step(observation="4", replies=[Message(role="tool", name="sum", call="c", error=True)])
    assert replies_of(step) == [Message(role="tool", name="sum", content="4", call="c", error=True)]
    assert replies_of(Step(observation="x")) == []


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_everything_around_steps_survives_a_file(tmp_path, suffix):
    record = {
        **OURS,
        "context": [{"role": "system", "content": "be brief", "images": ["data:image/png;base64,AA=="]}],
        "blame": [{"by": "anna", "step": 0, "label": -1, "reason": "no", "evidence": {"n": [1, None]}}],
        "steps": [
            {
                "text": "x",
                "reasoning": "hm",
                "replies": [{"role": "tool", "content": "1", "call": "c"}, {"role": "user", "content": "2"}],
                "origin": {"id": "s1", "start": 1.5, "input_tokens": 3, "cost": 0.25},
            }
        ],
    }
    path = tmp_path / "a.json"
    path.write_text(json.dumps(record))
    first = read(path).to_records()
    write(read(path), tmp_path / f"b{suffix}")
    assert read(tmp_path / f"b{suffix}").to_records() == first
    assert isinstance(first[0], Rollout) and first[0].steps[0].origin.input_tokens == 3


def test_numbers_of_blame_and_origin_must_be_finite(tmp_path):
    for field in ({"blame": [{"by": "x", "confidence": 1e999}]}, {"steps": [{"origin": {"cost": 1e999}}]}):
        path = tmp_path / "a.json"
        path.write_text(json.dumps({**OURS, **field}).replace("Infinity", "1e999"))
        with pytest.raises(DataError):
            read(path)


def test_blame_of_a_step_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(DataError, match="blames a step that is not there"):
        read(folder(tmp_path, a_json={**OURS, "blame": [{"by": "anna", "step": 1}]}))


def test_half_a_surrogate_is_refused_also_beside_nan(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": NaN, "b": "\\ud800"}\n')
    with pytest.raises(DataError, match="malformed JSON"):
        list(rows(path, nan=True))


def test_scores_of_others_do_not_collide_with_columns(tmp_path):
    step = Step()
    for name, value in (("match", 1.0), ("helpful", 0.5), ("helpful", 0.25), ("outcome", 0.0), ("score", 0.75)):
        add_score(step, name, value)
    assert step.evidence == {
        "score.match": 1.0,
        "helpful": 0.5,
        "helpful.2": 0.25,
        "score.outcome": 0.0,
        "score": 0.75,
    }
    assert Batch.from_records([Rollout(group=1, rollout=1, steps=[step])])["score.match"].tolist() == [1.0]
