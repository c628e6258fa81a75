"""Files to batches: options, order, errors, bounded memory."""

import json
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import stepcredit.data.reading as module
from stepcredit.data.reading import Reading, read, stream
from stepcredit.errors import DataError, UnknownName


def save(path, *records):
    path.write_text("".join(json.dumps(r) + "\n" for r in records))
    return path


def record(group, rollout, steps=1, **more):
    return {"group": group, "rollout": rollout, "steps": [{"text": str(i)} for i in range(steps)]} | more


def names(batch):
    return [(r.group, r.rollout) for r in batch.records]


def test_a_file_of_records_is_a_batch_in_its_order(tmp_path):
    path = save(tmp_path / "x.jsonl", record("b", 0, outcome=1), record("a", 0, 2), record("b", 1, mine=[1]))
    batch = read(path)
    assert names(batch) == [("b", 0), ("a", 0), ("b", 1)]
    assert batch.layout.steps.tolist() == [1, 2, 1]
    assert batch.records[2].extra == {"mine": [1]}
    assert batch.notes == ()


def test_map_names_our_fields(tmp_path):
    row = {"prompt": "p", "info": {"reward": 0.5}, "rollout": 3, "steps": []}
    path = save(tmp_path / "x.jsonl", row)
    batch = read(path, map={"group": "prompt", "outcome": "info.reward"})
    assert (batch.records[0].group, batch.records[0].outcome) == ("p", 0.5)
    with pytest.raises(DataError, match=r"no field 'task'.*expected one of: prompt, info, rollout, steps"):
        read(path, map={"group": "task"})
    with pytest.raises(UnknownName, match="field to map to named 'outcom'"):
        read(path, map={"group": "prompt", "outcom": "info.reward"})


def test_wrong_format_option_and_choice_are_named(tmp_path):
    path = save(tmp_path / "x.jsonl", record("a", 0))
    with pytest.raises(UnknownName, match="'stepcredit'"):
        read(path, format="stepcredits")
    with pytest.raises(UnknownName, match="option of format 'tau_bench'"):
        read(path, format="tau_bench", read="get_")
    with pytest.raises(UnknownName, match="on_error"):
        read(path, on_error="ignore")
    with pytest.raises(DataError, match="nothing to read"):
        read([])


def test_skip_lists_what_was_left_out_and_the_batch_says_it(tmp_path):
    path = save(tmp_path / "x.jsonl", record("a", 0), record("a", 1, outcome="high"), record("a", 0), record("a", 2))
    reading = Reading(path, on_error="skip")
    batch = reading.read()
    assert names(batch) == [("a", 0), ("a", 2)]
    assert [e.row for e in reading.skipped] == [2, 3]
    assert "outcome" in str(reading.skipped[0])
    assert "two rollouts of this name" in str(reading.skipped[1])
    assert (reading.rows, reading.bytes) == (4, path.stat().st_size)
    assert "2 rows left out" in batch.notes[0]


@pytest.mark.parametrize("how", [lambda p: read(p), lambda p: list(Reading(p)), lambda p: list(stream(p, steps=2))])
def test_one_name_twice_is_an_error_with_its_row(tmp_path, how):
    path = save(tmp_path / "x.jsonl", record("a", 0), record("b", 0), record("b", 1), record("a", 0))
    with pytest.raises(DataError, match=r"x.jsonl, row 4, rollout 0: group 'a' holds two"):
        how(path)


def test_a_file_of_bad_rows_only_is_an_error_even_when_skipping(tmp_path):
    (tmp_path / "x.jsonl").write_text("nonsense\nmore\n")
    with pytest.raises(DataError, match="row 1"):
        read(tmp_path / "x.jsonl", on_error="skip")


def test_nan_is_refused_in_records(tmp_path):
    (tmp_path / "x.jsonl").write_text('{"group": 1, "rollout": 0, "outcome": NaN}\n')
    with pytest.raises(DataError, match="write null for not judged"):
        read(tmp_path / "x.jsonl")


def groups_of(batches):
    return [{g for g, _ in names(b)} for b in batches]


def test_groups_that_stand_together_stream_in_order_without_a_note(tmp_path):
    path = save(tmp_path / "x.jsonl", *(record(g, i, 2) for g in "abcd" for i in range(2)))
    batches = list(stream(path, steps=8))
    assert groups_of(batches) == [{"a", "b"}, {"c", "d"}]
    assert all(not b.notes for b in batches)


def test_groups_that_do_not_are_sorted_on_disk_and_a_note_says_so(tmp_path):
    path = save(tmp_path / "x.jsonl", *(record(g, i, 2, outcome=i, mine={"x": g}) for i in range(3) for g in "abc"))
    batches = list(stream(path, steps=6))
    assert [names(b) for b in batches] == [[(g, i) for i in range(3)] for g in "abc"]
    assert all("sorted on disk" in b.notes[0] for b in batches)
    whole = {(r.group, r.rollout): r for r in read(path).records}
    assert {(r.group, r.rollout): r for b in batches for r in b.records} == whole


@settings(deadline=None)
@given(order=st.lists(st.sampled_from(["a", "b", "c", 1, "1"]), min_size=1, max_size=12), steps=st.integers(1, 6))
def test_a_stream_holds_whole_groups_and_every_rollout_once(tmp_path_factory, order, steps):
    path = save(tmp_path_factory.getbasetemp() / "s.jsonl", *(record(g, i, i % 3) for i, g in enumerate(order)))
    batches = list(stream(path, steps=steps))
    assert sorted((n for b in batches for n in names(b)), key=lambda n: n[1]) == list(
        zip(order, range(99), strict=False)
    )
    for i, b in enumerate(groups_of(batches)):
        assert all(b.isdisjoint(other) for other in groups_of(batches)[:i])
    for b in batches:
        assert sum(max(len(r.steps), 1) for r in b.records) <= steps or len({r.group for r in b.records}) == 1


@pytest.mark.parametrize("together", [True, False])
def test_streaming_needs_memory_for_a_batch_not_for_the_file(tmp_path, together):
    order = [(g, i) for g in range(200) for i in range(10)]
    if not together:
        order.sort(key=lambda n: n[1])
    path = save(tmp_path / "x.jsonl", *(record(g, i, 5, mine="x" * 2000) for g, i in order))

    def peak(steps):
        tracemalloc.start()
        count = sum(b.layout.R for b in stream(path, steps=steps))
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert count == 2000
        return used

    peak(100)
    assert peak(100) < peak(10_000) / 4


def test_a_file_that_fits_is_read_once(tmp_path, monkeypatch):
    path = save(tmp_path / "x.jsonl", record("a", 0), record("b", 0), record("a", 1))
    passes = []
    original = module.Reading._pass
    monkeypatch.setattr(module.Reading, "_pass", lambda self: passes.append(1) or original(self))
    assert len(list(stream(path, steps=3))) == 1
    assert passes == [1]


@pytest.mark.parametrize("together", [True, False])
def test_a_batch_whose_rows_are_all_skipped_is_passed_over(tmp_path, together):
    """Group a is bad throughout; what is left is read, group by group."""
    rows = [
        {"group": g, "rollout": i, "outcome": "x" if g == "a" else 1, "steps": [{}] * 2} for g in "abc" for i in (0, 1)
    ]
    if not together:
        rows = rows[::2] + rows[1::2]
    file = tmp_path / "runs.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    batches = list(Reading(file, on_error="skip").stream(steps=4))
    assert [batch.group_name(0) for batch in batches] == ["b", "c"]
    with pytest.raises(DataError, match="no row can be used"):
        file.write_text("".join(json.dumps(row) + "\n" for row in rows if row["group"] == "a"))
        list(Reading(file, on_error="skip").stream(steps=2))
