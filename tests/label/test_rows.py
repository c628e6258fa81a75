"""Rows of labels: what is written is read back, equal labels give equal bytes, bad rows say where they are."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from stepcredit.errors import DataError
from stepcredit.label.labels import Labels
from stepcredit.label.rows import LabelWriter, plain_row, read_labels, row_of, rows
from stepcredit.llm.drive import in_order

SUFFIXES = [".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet"]
NAN = np.nan


def made(label=(1, 0.25, NAN), *, group="p", rollout=0, first_error=1, won=(4, 1, 0), drawn=(4, 4, 0), **known):
    n = len(label)
    steps = ("one\nline", "zwölf 🙂", "")[:n]
    value = np.array([w / d if d else NAN for w, d in zip(won[:n], drawn[:n], strict=True)])
    counts = np.array(won[:n]), np.array(drawn[:n])
    why = (None,) * (n - 1) + ("the judge did not answer",)
    return Labels(group, rollout, "Task\n", steps, np.array(label, float), value, *counts, first_error, why, **known)


def same(a, b):
    arrays = ("label", "value", "won", "drawn")
    others = ("group", "rollout", "prompt", "steps", "first_error", "reasons", "outcome", "facts", "spent")
    return all(np.array_equal(getattr(a, n), getattr(b, n), equal_nan=True) for n in arrays) and all(
        getattr(a, n) == getattr(b, n) for n in others
    )


SEVERAL = [
    made(outcome=0.0, facts={"tree": [1, {"a": None}]}, spent={"sample": 8}),
    made((NAN, NAN, NAN), group=7, rollout="x/1", first_error=None, won=(0,) * 3, drawn=(0,) * 3),
    made((1.0,), first_error=-1, outcome=1.0, won=(4,), drawn=(4,), rollout=2),
    made((1.0, 1.0), first_error=None, rollout="1"),
]


def save(path, labels=SEVERAL, **options):
    with LabelWriter(path, {"system": "math_shepherd", "options": {"n": 4}}, **options) as out:
        out.write(labels)
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_written_is_read_back_and_again_gives_equal_bytes(tmp_path, suffix):
    first, again = save(tmp_path / f"a{suffix}"), tmp_path / f"b{suffix}"
    back = list(rows(first))
    assert all(same(a, b.to_labels()) for a, b in zip(SEVERAL, back, strict=True))
    assert back[0].provenance == {"system": "math_shepherd", "options": {"n": 4}}
    with LabelWriter(again) as out:
        for row in back:
            out.write([row.to_labels()], row.provenance)
    assert first.read_bytes() == again.read_bytes()


def test_a_row_holds_counts_and_booleans_and_null_for_what_was_not_judged():
    row = json.loads(json.dumps({f: getattr(row_of(SEVERAL[0]), f) for f in ("labels", "won", "drawn", "values")}))
    assert row == {"labels": [True, 0.25, None], "won": [4, 1, 0], "drawn": [4, 4, 0], "values": [1.0, 0.25, None]}


def test_plain_rows_are_true_and_false_up_to_the_first_step_that_was_not_judged(tmp_path):
    assert plain_row(SEVERAL[0]) == {
        "prompt": "Task\n",
        "completions": ["one\nline", "zwölf 🙂"],
        "labels": [True, False],
    }
    with LabelWriter(tmp_path / "a.jsonl", plain=True) as out:
        out.write(SEVERAL)
    assert out.left_out == 1
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert [set(line) for line in lines] == [{"prompt", "completions", "labels"}] * 3
    table = pq.read_table(save(tmp_path / "a.parquet", plain=True))
    assert table.column_names == ["prompt", "completions", "labels"]
    assert table.to_pylist() == lines


def test_plain_rows_are_read_with_their_first_error(tmp_path):
    back = read_labels(save(tmp_path / "a.jsonl", plain=True))
    assert [(one.first_error, one.rollout, one.group) for one in back] == [
        (1, 0, "Task\n"),
        (-1, 1, "Task\n"),
        (-1, 2, "Task\n"),
    ]


def test_rows_of_processbench_are_read(tmp_path):
    file = tmp_path / "pb.jsonl"
    file.write_text(
        json.dumps({"id": "gsm8k-1", "problem": "Q", "steps": ["a", "b", "c"], "label": 1, "generator": "m"})
    )
    (one,) = read_labels(file)
    assert (one.group, one.first_error, one.facts) == ("gsm8k-1", 1, {"generator": "m"})
    assert np.array_equal(one.label, [1, 0, NAN], equal_nan=True)


@pytest.mark.parametrize(
    "change, text",
    [
        ({"labels": [True]}, "labels must have one entry per step; got 1, expected 2"),
        ({"labels": [True, 2.0]}, "labels must be between 0 and 1"),
        ({"labels": [True, "x"]}, "field labels"),
        ({"won": [3, 0], "drawn": [2, 0]}, "won must be between 0 and drawn"),
        ({"won": [3, 0], "drawn": [2**64, 0]}, "won and drawn must be below"),
        ({"first_error": 2}, "first error 2"),
        ({"prompt": None}, "prompt"),
        ({"schema_version": 9}, "another version of the schema"),
    ],
)
def test_a_bad_row_says_where_it_is(tmp_path, change, text):
    good = {"group": "p", "rollout": 0, "prompt": "Q", "completions": ["a", "b"], "labels": [True, False]}
    file = tmp_path / "a.jsonl"
    file.write_text(json.dumps(good) + "\n" + json.dumps({**good, **change}) + "\n")
    with pytest.raises(DataError) as error:
        list(rows(file))
    assert text in error.value.message and error.value.where.startswith(f"{file}, row 2")


def test_after_an_error_there_is_no_file(tmp_path):
    with pytest.raises(RuntimeError), LabelWriter(tmp_path / "a.jsonl") as out:
        out.write(SEVERAL)
        raise RuntimeError
    with pytest.raises(DataError, match="cannot be written"), LabelWriter(tmp_path / "a.jsonl") as out:
        out.write([made(facts={"a": object()})])
    with pytest.raises(DataError, match="no labels to write"), LabelWriter(tmp_path / "a.jsonl"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_does_not_say_what_to_write_is_refused(tmp_path):
    with pytest.raises(DataError, match="does not say"):
        LabelWriter(tmp_path / "a.csv")


def test_what_ends_early_is_held_back():
    begun = []
    ended = ((place, begun.append(place) or place) for place in (2, 0, 3, 1))
    assert [(one, len(begun)) for one in in_order(ended)] == [(0, 2), (1, 4), (2, 4), (3, 4)]
