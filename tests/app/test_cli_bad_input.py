"""The command on what it cannot use: one clear error, status 2, no traceback, nothing half written."""

import gzip
import json
import os

import numpy as np
import pytest
from cli_runner import rollout, runner, save, started, two_tasks


@pytest.fixture
def run(monkeypatch, capsys):
    return runner(monkeypatch, capsys)


@pytest.fixture
def good(tmp_path):
    return two_tasks(tmp_path / "runs.jsonl")


def lines(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def row(text):
    """A good row, then one with this text among its fields."""
    return lines(rollout()) + '{"group": "p", "rollout": 1, ' + text + "}\n"


def step(text):
    return row('"outcome": 1, "steps": [{' + text + "}]")


HOSTILE = "\x1b[31mred\x1b]0;title\x07\u202eturned\x9b1m\x00\r\nerror: forged\u2028"
HUGE = "1" + "0" * 400

CONTENT = {
    "empty": ("", "the file is empty"),
    "blank": ("\n\n", "the file holds no rows"),
    "empty list": ("[]", "the file holds no rows"),
    "no fields": ("{}\n", "no format fits; got fields none"),
    "unknown fields": (lines({"question": "?", "answer": 4}), "no format fits; got fields question, answer"),
    "text": ("hello\n", "row 1: malformed JSON in column 1"),
    "cut off": (row('"outcome": 1')[:-9], "row 2: malformed JSON"),
    "several indented": (json.dumps(rollout(), indent=2) + "\n" + json.dumps(rollout(), indent=2), "jq -c"),
    "indented and cut off": (json.dumps(rollout(), indent=2)[:-9], "row 1: malformed JSON in line"),
    "numbers": ("1\n2\n", "row 1: a row must be an object; got 1"),
    "mixed list": ('[{"group": 1, "rollout": 1}, 7]', "row 2: a row must be an object; got 7"),
    "null": ("null\n", "a row must be an object"),
    "binary": (bytes(range(256)) * 20, "the file is binary"),
    "zeros": (b"\0" * 5000, "the file is binary"),
    "UTF-16": (lines(rollout()).encode("utf-16"), "the file is UTF-16"),
    "not UTF-8": (lines(rollout()).encode() + b'{"group": "\xff"}\n', "row 2: invalid UTF-8"),
    "lone surrogate": ('{"group": "\\ud800", "rollout": 1}\n', "row 1: malformed JSON"),
    "zip": (b"PK\x03\x04abc", "the zip archive is broken"),
    "pickle": (b"\x80\x04abc", "a pickle"),
    "no Parquet": (b"PAR1" + b"x" * 99 + b"PAR1", "not readable as Parquet"),
    "gzip cut off": (gzip.compress(lines(rollout(), rollout(rollout=1)).encode())[:-9], "the compressed data ends"),
    "brackets": ("[" * 10_000 + "\n", "nested too deeply"),
    "nested": (row('"x": ' + "[" * 10_000 + "]" * 10_000), "row 2: JSON nested too deeply"),
    "nested objects": ('{"a":' * 10_000 + "1" + "}" * 10_000, "nested too deeply"),
    "a long line": ("x" * 5_000_000, "row 1: malformed JSON in column 1"),
    "same name twice": (lines(rollout(), rollout()), "row 2, rollout 0: group 'p' holds two rollouts of this name"),
    "group true": (row('"group": true'), "row 2, rollout 1: field 'group' has the wrong type; got True"),
    "group 1.5": (row('"group": 1.5'), "field 'group' has the wrong type; got 1.5"),
    "group null": (row('"group": null'), "field 'group' has the wrong type; got null"),
    "no rollout": (lines(rollout(), {"group": "p"}), "row 2: field 'rollout' is missing"),
    "other schema": (row('"schema_version": 9'), "written by another version"),
    "steps null": (row('"steps": null'), "field 'steps' has the wrong type; got null"),
    "steps object": (row('"steps": {"a": 1}'), "field 'steps' has the wrong type"),
    "outcome NaN": (row('"outcome": NaN'), "row 2: NaN is not JSON"),
    "outcome Infinity": (row('"outcome": -Infinity'), "row 2: -Infinity is not JSON"),
    "outcome 1e999": (row('"outcome": 1e999'), "row 2: malformed JSON: Number out of range"),
    "outcome huge": (row(f'"outcome": {HUGE}'), "field 'outcome': Number out of range"),
    "outcome too large": (row('"outcome": 1e308'), "numbers too large to compute with"),
    "outcome text": (row('"outcome": "1"'), "field 'outcome' has the wrong type; got 1, expected float | null"),
    "outcome true": (row('"outcome": true'), "field 'outcome' has the wrong type; got True"),
    "weight negative": (row('"weight": -1'), "weight must not be negative"),
    "weight 1e999": (row('"weight": 1e999'), "Number out of range"),
    "batch huge": (row(f'"batch": {10**30}'), "field 'batch': Expected `int` <= 9223372036854775807"),
    "reward NaN": (step('"reward": NaN'), "row 2: NaN is not JSON"),
    "reward 1e999": (step('"reward": 1e999'), "Number out of range"),
    "reward text": (step('"reward": "1"'), "step 0: field 'reward' has the wrong type"),
    "evidence text": (
        step('"evidence": {"value": "high"}'),
        "field \"evidence['value']\" has the wrong type; got high",
    ),
    "evidence 1e999": (step('"evidence": {"value": 1e999}'), "Number out of range"),
    "evidence list": (
        step('"evidence": {"value": [1, 2]}'),
        "evidence 'value' is one number per step; got a list of 2",
    ),
    "evidence outcome": (step('"evidence": {"outcome": 1}'), "has the name of a column of another kind"),
    "credit NaN": (step('"credit": {"grpo": NaN}'), "NaN is not JSON"),
    "match 1": (step('"match": 1'), "step 0: field 'match' has the wrong type"),
    "state list": (step('"state": [1]'), "step 0: field 'state' has the wrong type; got [1]"),
    "text number": (step('"text": 5'), "step 0: field 'text' has the wrong type; got 5"),
    "token id huge": (step(f'"tokens": {{"id": [{10**30}]}}'), "field 'tokens.id[0]': Expected `int` <= 92233"),
    "token logp NaN": (step('"tokens": {"logp": [NaN]}'), "NaN is not JSON"),
    "token lists": (step('"tokens": {"id": [1], "logp": [1, 2]}'), "token lists must have one length"),
    "token count": (step('"tokens": {"n": 1000000000000000}'), "out of memory"),
    "unknown prefix": (row('"prefix": ["x"]'), "prefix names step 'x'"),
    "hostile name": (lines(rollout(HOSTILE, HOSTILE), rollout(HOSTILE, HOSTILE)), "holds two rollouts of this name"),
    "hostile field": (lines({HOSTILE: 1}), "no format fits"),
    "hostile evidence": (lines(rollout(steps=[{"evidence": {HOSTILE: "x"}}])), "has the wrong type"),
}


def of_one_line(err):
    """The error, which must be alone on its line (a hint may follow) and drive no terminal."""
    assert "Traceback" not in err and "a bug" not in err
    assert all(c in "\n\t" or c.isprintable() for c in err), repr(err)
    starts = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(starts) == 1, err
    return starts[0]


@pytest.mark.parametrize("name", CONTENT)
def test_a_bad_file_is_one_clear_error(run, tmp_path, name):
    content, expected = CONTENT[name]
    path, out = tmp_path / "bad.jsonl", tmp_path / "out.jsonl"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    ran = run("assign", path, "-M", "grpo", "-o", out)
    assert (ran.status, ran.out) == (2, "")
    assert expected in of_one_line(ran.err) + ran.err
    assert not out.exists()


COMMANDS = [["compare"], ["lint"], ["state", "--from", "last"], ["convert", "-o", "out.jsonl"], ["assign", "--json"]]


@pytest.mark.parametrize("name", ["empty", "text", "binary", "gzip cut off", "outcome NaN", "nested", "hostile name"])
@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c[0])
def test_every_command_says_so(run, tmp_path, monkeypatch, command, name):
    monkeypatch.chdir(tmp_path)
    content, expected = CONTENT[name]
    (tmp_path / "bad.jsonl").write_bytes(content if isinstance(content, bytes) else content.encode())
    ran = run(*command, "bad.jsonl")
    assert (ran.status, ran.out) == (2, "") and expected in of_one_line(ran.err)


ARGUMENTS = {
    "no such file": ("assign nope.jsonl", "nope.jsonl: no such file"),
    "no match": ("assign *.nope", "*.nope: no file matches"),
    "folder without data": ("assign empty", "a folder without data files"),
    "not readable": ("assign /proc/self/mem", "/proc/self/mem:"),
    "nothing on stdin": ("assign -", "<stdin>: the file is empty"),
    "format": ("assign runs.jsonl -f veril", "no format named 'veril'"),
    "other format": ("assign runs.jsonl -f openai_chat", "the row is neither a chat, a message nor a logged call"),
    "map without value": ("assign runs.jsonl --map outcome", "--map 'outcome': expected NAME=VALUE"),
    "map from nothing": ("assign runs.jsonl --map outcome=reward", "there is no field 'reward'"),
    "map to nothing": ("assign runs.jsonl --map outcom=group", "did you mean 'outcome'?"),
    "set without value": ("assign runs.jsonl --set gamma", "--set 'gamma': expected NAME=VALUE"),
    "set unknown": ("assign runs.jsonl --set gama=1", "did you mean 'gamma'?"),
    "set text": ("assign runs.jsonl --set gamma=x", "option gamma='x' of gigpo"),
    "set nan": ("assign runs.jsonl --set gamma=nan", "option gamma='nan' of gigpo"),
    "set 1e999": ("assign runs.jsonl --set gamma=1e999", "Number out of range"),
    "set no choice": ("assign runs.jsonl --set spread=foo", "one of: sample, population"),
    "method": ("assign runs.jsonl -M gigp", "did you mean 'gigpo'"),
    "preset": ("assign runs.jsonl -M gigpo@verl", "no preset of gigpo named 'verl'"),
    "method's file": ("assign runs.jsonl -M nope.py", "no file 'nope.py'"),
    "method's column": ("assign runs.jsonl -M gae", "gae needs column 'value'"),
    "methods and advantages": ("assign runs.jsonl -M grpo -M gigpo --advantages a.jsonl", "give one --method"),
    "segment": ("assign runs.jsonl --segment line", "no segmenter named 'line'"),
    "segment of messages": ("assign runs.jsonl --segment tool_calls", "takes messages"),
    "rewards disagree": ("assign rewards.jsonl", "--reward on the command line"),
    "states": ("compare runs.jsonl --states lst", "no source of states named 'lst'"),
    "normalize": ("compare runs.jsonl --states last --normalize cas", "no normalizer named 'cas'"),
    "normalize alone": ("compare runs.jsonl --normalize case", "--states last"),
    "from": ("state runs.jsonl --from lst", "no source of states named 'lst'"),
    "from no column": ("state runs.jsonl --from column:nope", "needs column 'nope'"),
    "from no file": ("state runs.jsonl --from nope.py:f", "no Python file 'nope.py'"),
    "from no function": ("state runs.jsonl --from states.py:nope", "no function in states.py named 'nope'"),
    "from too few": ("state runs.jsonl --from states.py:few", "must return one key per step"),
    "from failing": ("state runs.jsonl --from states.py:fails", "ZeroDivisionError: division by zero"),
    "from broken": ("state runs.jsonl --from broken.py:f", "broken.py, line 1"),
    "output without states": ("state runs.jsonl -o out.jsonl", "--from last"),
    "lint without credit": ("lint runs.jsonl", "no credit in runs.jsonl"),
    "lint other credit": ("lint runs.jsonl -M grpo", "stepcredit assign --method grpo"),
    "lint severity": ("lint runs.jsonl --fail-on bad", "one of: error, warning, info, never"),
    "method to explain": ("methods gigp", "did you mean 'gigpo'"),
    "output's suffix": ("convert runs.jsonl -o x.csv", "expected a suffix: .jsonl"),
    "evidence output's suffix": ("evidence runs.jsonl --kind state -o x.csv", "expected a suffix: .jsonl"),
    "output's folder": ("convert runs.jsonl -o nope/x.jsonl", "nope: there is no such folder"),
    "output a folder": ("convert runs.jsonl -o folder.jsonl", "folder.jsonl: is a folder"),
    "report's folder": ("compare not-yet-read.jsonl --report nope/page.html", "nope: there is no such folder"),
    "report a folder": ("compare runs.jsonl --report empty", "empty: is a folder"),
    "advantages' suffix": ("assign runs.jsonl --advantages x.parquet", "expected a suffix: .jsonl"),
    "demo into a file": ("demo --tasks 2 -o runs.jsonl", "runs.jsonl: File exists"),
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_bad_arguments_are_one_clear_error(run, good, tmp_path, monkeypatch, name):
    command, expected = ARGUMENTS[name]
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "rewards.jsonl", rollout(outcome=1, steps=[{"state": "s", "reward": 0.5}]))
    (tmp_path / "empty").mkdir()
    (tmp_path / "folder.jsonl").mkdir()
    (tmp_path / "states.py").write_text("def few(rollout): return []\ndef fails(rollout): return 1 / 0\n")
    (tmp_path / "broken.py").write_text("def f(:\n")
    before = sorted(tmp_path.rglob("*"))
    ran = run(*command.split())
    assert (ran.status, ran.out) == (2, "")
    assert expected in ran.err and "Traceback" not in ran.err
    assert ran.err.startswith("error: ") or "\nerror: " in ran.err
    assert [p for p in sorted(tmp_path.rglob("*")) if "__pycache__" not in p.parts] == before


@pytest.mark.parametrize("command", ["assign", "assign runs.jsonl --nope", "nope", "assign runs.jsonl --reward x"])
def test_usage_errors_show_the_usage(run, good, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    ran = run(*command.split())
    assert ran.status == 2 and "Usage: stepcredit" in ran.err and "Error: " in ran.err and ran.out == ""


ARRAYS = {
    "no advantages": ({"outcome": [1.0]}, "no array 'advantages'; got outcome"),
    "unknown name": ({"advantages": [[1.0]], "mask": [[1]]}, "takes (a.npz) named 'mask'"),
    "text": ({"advantages": ["a", "b"]}, "array 'advantages' must hold numbers"),
    "complex": ({"advantages": [[1j]]}, "array 'advantages' must hold numbers"),
    "a number": ({"advantages": 3.0}, "a.npz: advantages must be [B, T]"),
    "other shape": ({"advantages": [[1.0]], "response_mask": [[1], [1]]}, "response_mask has 2 rows"),
    "objects": ({"advantages": np.array([[1], [1, 2]], dtype=object)}, "not readable as plain arrays"),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_bad_arrays_to_lint_are_one_clear_error(run, tmp_path, monkeypatch, name):
    arrays, expected = ARRAYS[name]
    monkeypatch.chdir(tmp_path)
    np.savez("a.npz", **arrays)
    ran = run("lint", "a.npz")
    assert (ran.status, ran.out) == (2, "") and expected in of_one_line(ran.err)


@pytest.mark.parametrize("content, expected", [(None, "no such file"), (b"hello", "not an .npz file")])
def test_what_is_no_npz_is_said(run, tmp_path, content, expected):
    path = tmp_path / "a.npz"
    if content is not None:
        path.write_bytes(content)
    assert expected in of_one_line(run("lint", path).err)


def test_skipping_every_row_is_an_error_that_shows_the_first(run, tmp_path):
    path = save(tmp_path / "x.jsonl", rollout(outcome="yes"), rollout(rollout=1, outcome="no"))
    ran = run("assign", path, "--on-error", "skip")
    assert ran.status == 2
    assert "no row can be used; the first: " in ran.err and "got yes" in ran.err


GOOD = {
    "byte order mark": lambda data: b"\xef\xbb\xbf" + data,
    "CRLF": lambda data: data.replace(b"\n", b"\r\n"),
    "no last newline": lambda data: data.rstrip(b"\n"),
    "blank lines": lambda data: data.replace(b"\n", b"\n\n \n"),
    "gzip without a suffix": gzip.compress,
    "a JSON array": lambda data: b"[" + data.strip().replace(b"\n", b",") + b"]",
}


@pytest.mark.parametrize("name", GOOD)
def test_files_that_only_look_odd_are_read(run, good, tmp_path, name):
    odd = tmp_path / "odd.jsonl"
    odd.write_bytes(GOOD[name](good.read_bytes()))
    assert run("assign", odd, "--json").json() == run("assign", good, "--json").json()


def test_names_of_many_kinds_stay_apart(run, tmp_path):
    names = [1, "1", -1, 10**30, "", HOSTILE, "true", "群"]
    runs = save(tmp_path / "x.jsonl", *(rollout(g, r, r, 1) for g in names for r in (0, 1, 2)))
    ran = run("assign", runs, "-M", "grpo", "--set", "spread=none", "--json")
    assert ran.json()[0]["rollouts"] == 24 and ran.json()[0]["highest"] == 1.0
    assert f"of {len(names)} tasks" in ran.err


def test_a_hostile_name_drives_no_terminal(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    steps = [{"state": HOSTILE, "text": HOSTILE, "observation": HOSTILE, "credit": {HOSTILE: 0.5}}]
    save(tmp_path / "x.jsonl", *(rollout(HOSTILE, f"{r}{HOSTILE}", r, steps) for r in range(2)))
    for command in (
        "compare x.jsonl",
        "compare x.jsonl --json",
        "lint x.jsonl",
        "lint x.jsonl --json",
        "state x.jsonl",
    ):
        ran = run(*command.split())
        assert ran.status in (0, 1)
        assert all(c in "\n\t" or c.isprintable() for c in ran.out + ran.err), command
        assert not any(line.startswith("error: forged") for line in (ran.out + ran.err).splitlines())


def test_a_file_whose_name_is_no_text(good, tmp_path):
    odd = os.fsencode(tmp_path) + b"/\xff\x1b[31m.jsonl"
    with open(odd, "wb") as file:  # noqa: PTH123
        file.write(good.read_bytes() + b"7\n")
    process = started("assign", os.fsdecode(odd))
    _, err = process.communicate(timeout=30)
    assert process.returncode == 2 and "row 9: a row must be an object" in of_one_line(err)


def test_more_than_fits_into_memory_is_an_error_that_says_so(good):
    process = started("bench", "speed", "--steps", 10**13)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2 and "error: out of memory" in err and "Traceback" not in err


WRITES = {
    "assign --advantages": ("assign", "--method", "grpo", "--advantages"),
    "assign --report": ("assign", "--method", "grpo", "--report"),
    "compare": ("compare", "--report"),
    "convert": ("convert", "-o"),
    "convert --to": ("convert", "--to", "csv", "-o"),
    "diagnose": ("diagnose", "-o"),
    "label": ("label", "--method", "math_shepherd", "--verifier", "exact", "-o"),
    "label combine": ("label", "combine", "--distinct", "-o"),
    "select": ("select", "--selector", "dapo", "-o"),
    "view": ("view", "--export"),
}


@pytest.mark.parametrize("command", WRITES)
def test_no_command_writes_over_what_it_reads(run, good, command):
    before = good.read_bytes()
    name = good.parent / "." / ".." / good.parent.name / good.name
    ran = run(*WRITES[command], name, good)
    assert ran.status == 2 and f"{name} is both what is read and" in ran.err, ran.err
    assert good.read_bytes() == before and [p.name for p in good.parent.iterdir()] == [good.name]


ADDS = (("assign", "-M", "grpo"), ("evidence", "--kind", "state"), ("state", "--from", "last"))


@pytest.mark.parametrize("command", ADDS, ids=lambda argv: argv[0])
def test_columns_are_added_onto_our_own_records_alone(run, good, tmp_path, command):
    assert run(*command, good, "-o", good).status == 0
    segmented = run(*command, good, "-o", good, "--segment", "lines")
    skipped = run(*command, good, "-o", good, "--on-error", "skip")
    log = tmp_path / "logs" / "log.jsonl"
    log.parent.mkdir()
    said = [{"role": "user", "content": "2 + 2?"}, {"role": "assistant", "content": "4"}]
    log.write_text(lines({"messages": said, "reward": 1}, {"messages": said, "reward": 0}))
    before = log.read_bytes()
    for ran in (segmented, skipped, run(*command, log.parent, "-o", log)):
        assert ran.status == 2 and "is both what is read and output" in ran.err, ran.err
    assert log.read_bytes() == before
