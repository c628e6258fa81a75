"""Malformed traces: every importer reads them or says what is wrong, nothing else. More: tools/fuzz_traces.py."""

import json

import pytest
from mutations import DEEP, fixtures_by_format, generator, mutated, scratched, survive, survive_file

FORMATS = fixtures_by_format()
ALL = [row for files in FORMATS.values() for row in files[0]]
ROUNDS = 120


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_changed_rows_are_read_or_refused(name):
    rng = generator(f"rows {name}")
    read = sum(survive(name, mutated(rng.choice(FORMATS[name]), rng, ALL)) for _ in range(ROUNDS))
    assert read > 0


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_scratched_files_are_read_or_refused(name, tmp_path):
    rng = generator(f"bytes {name}")
    for i in range(ROUNDS // 6):
        path = tmp_path / f"{i}.jsonl"
        path.write_bytes(scratched(rng.choice(FORMATS[name]), rng))
        survive_file(name, path)


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_rows_of_another_format_are_refused(name):
    for row in ALL:
        survive(name, [json.loads(json.dumps(row))])


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_deep_nesting_anywhere_at_the_top_is_survived(name):
    for rows in FORMATS[name]:
        for field in rows[0]:
            survive(name, [rows[0] | {field: DEEP}, *rows[1:]])
