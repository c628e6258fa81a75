"""The scan behind the full-text search."""

import random

import pyarrow as pa

from stepcredit.app.view import words

RNG = random.Random(0)
SIGNS = "abAB é Éß İ0"


def rows_of(count, of=0):
    fields = {n: None if RNG.random() < 0.3 else "".join(RNG.choices(SIGNS, k=RNG.randrange(12))) for n in words.PLACES}
    return [
        {"run": of + i // 3, "step": i % 3, **fields, "text": "".join(RNG.choices(SIGNS, k=9))} for i in range(count)
    ]


def write(path, *blocks):
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, words.schema()) as out:
        for rows in blocks:
            out.write_batch(words.block(rows))
    return path


def by_hand(rows, wanted):
    out = []
    for row in rows:
        found = [n for n in words.PLACES if row[n] and wanted.lower() in row[n].lower()]
        out += [(row["run"], row["step"], found[0])] if found else []
    return out


def test_every_step_that_holds_the_words_is_found_once_in_order(tmp_path):
    blocks = [rows_of(30), rows_of(30, 10), rows_of(1, 20)]
    files = [write(tmp_path / "a", *blocks[:2]), write(tmp_path / "b", blocks[2])]
    every = [row for rows in blocks for row in rows]
    for wanted in ("a", "AB", "é", "É", "ß", " ", "ab ", "İ", "nowhere"):
        assert words.places(files, wanted, 1000) == by_hand(every, wanted)


def test_words_do_not_match_across_texts_or_steps(tmp_path):
    row = {"run": 0, "step": 0, "text": "on", "reasoning": "e", "calls": None, "observation": "on"}
    file = write(tmp_path / "a", [row, {**row, "step": 1}])
    assert words.places([file], "one", 9) == [] == words.places([file], "onon", 9)
    assert words.places([file], "", 9) == []


def test_a_search_ends_once_there_is_enough(tmp_path):
    row = {"run": 0, "text": "here", "reasoning": None, "calls": None, "observation": None}
    file = write(tmp_path / "a", *([{**row, "step": k}] for k in range(200)))
    assert words.places([file], "here", 7)[:7] == [(0, k, "text") for k in range(7)]
    assert len(words.places([file], "here", 7)) == 7


def test_half_of_a_character_is_a_sign_like_another(tmp_path):
    row = {"run": 0, "step": 0, "text": "a\ud800b", "reasoning": None, "calls": None, "observation": None}
    assert words.places([write(tmp_path / "a", [row])], "A\ud800B", 9) == [(0, 0, "text")]
