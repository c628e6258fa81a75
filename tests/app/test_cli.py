"""The command on good files: what it prints and writes, for people, for scripts, and at the edges of a process."""

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import termios
import time

import numpy as np
import pytest
from cli_runner import rollout, runner, save, started, two_tasks

from stepcredit import assign, read
from stepcredit.app import options
from stepcredit.app.cli import app
from stepcredit.credit import names


@pytest.fixture
def run(monkeypatch, capsys):
    return runner(monkeypatch, capsys)


@pytest.fixture
def good(tmp_path):
    return two_tasks(tmp_path / "runs.jsonl")


def credits(path, method):
    rows = map(json.loads, path.read_text("utf-8").splitlines())
    return {(r["group"], r["rollout"]): [s["credit"][method] for s in r["steps"]] for r in rows}


# assign


def test_assign_writes_the_credit_of_every_method(run, good, tmp_path):
    out = tmp_path / "credited.jsonl"
    ran = run("assign", good, "-M", "grpo", "-M", "gigpo", "-o", out, "--json")
    assert ran.status == 0
    grpo, gigpo = ran.json()
    assert (grpo["method"], grpo["rollouts"], grpo["steps"], grpo["judged"]) == ("grpo", 8, 20, 20)
    assert gigpo["method"] == "gigpo" and gigpo["highest"] > grpo["highest"]
    batch = read(good)
    for method in ("grpo", "gigpo"):
        assert list(credits(out, method).values()) == assign(batch, method).by_rollout()


def test_assign_says_on_stderr_what_it_derived_and_what_to_do_next(run, good):
    ran = run("assign", good)
    assert ran.out.splitlines()[0].split("\t")[:4] == ["method", "rollouts", "steps", "judged"]
    assert ran.out.splitlines()[1].split("\t")[:4] == ["gigpo", "8", "20", "20"]
    assert len(ran.out.splitlines()) == 2
    assert "read 8 rollouts of 2 tasks, 20 steps (stepcredit)" in ran.err
    assert "note: reward: the outcome on each rollout's last step" in ran.err
    assert "Nothing was written: add -o" in ran.err


def test_assign_takes_options_and_counts_a_method_named_twice_once(run, good):
    plain = run("assign", good, "-M", "grpo", "-M", "grpo", "--json").json()
    other = run("assign", good, "-M", "grpo", "--set", "spread=none", "--json").json()
    assert [r["rollouts"] for r in plain] == [8]
    assert plain[0]["highest"] == pytest.approx(0.5 / (np.std([0, 1, 0, 1], ddof=1) + 1e-4))
    assert other[0]["highest"] == 0.5
    assert run("assign", good, "-M", "grpo", "--set", "eps=.5", "--json").json() != plain


def test_assign_makes_states_on_the_way(run, good, tmp_path):
    out = tmp_path / "out.jsonl"
    made = run("assign", good, "-M", "gigpo", "--states", "last", "-o", out)
    assert made.status == 0 and "state: last observation (exact)" in made.err
    assert read(out).records[0].steps[0].state == "start"
    assert "--states" in run("assign", good, "-M", "gigpo", "--normalize", "case").err


def test_a_demo_without_a_mixed_task_has_no_truth_to_tell_and_says_so(run, tmp_path):
    ran = run("demo", "-o", tmp_path / "d", "--tasks", "2", "--rollouts", "2", "--skill", "0")
    assert ran.status == 0 and "nan" not in ran.out
    assert any(line.split("\t")[:2] == ["grpo", "–"] for line in ran.out.splitlines())


def test_assign_for_a_trainer_one_number_per_token(run, tmp_path):
    steps = [{"tokens": {"n": 3}}, {"tokens": {"n": 1}}]
    runs = save(tmp_path / "runs.jsonl", *(rollout("p", r, r, steps) for r in range(2)))
    out = tmp_path / "advantages.jsonl"
    assert run("assign", runs, "-M", "grpo", "--set", "spread=none", "--advantages", out).status == 0
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [r["advantages"] for r in rows] == [[-0.5] * 4, [0.5] * 4]


def test_assign_onto_its_own_input_keeps_the_earlier_credit(run, good):
    run("assign", good, "-M", "grpo", "-o", good)
    run("assign", good, "-M", "gigpo", "-o", good)
    assert credits(good, "grpo") and credits(good, "gigpo")


def small_batches(monkeypatch, steps):
    stream = options.Files.stream
    monkeypatch.setattr(options.Files, "stream", lambda self, **given: stream(self, steps=steps, **given))


def test_interleaved_tasks_in_small_batches_get_the_same_credit(run, good, tmp_path, monkeypatch):
    rows = good.read_text().splitlines()
    mixed = tmp_path / "mixed.jsonl"
    mixed.write_text("\n".join(rows[i] for i in (0, 4, 1, 5, 6, 2, 3, 7)) + "\n")
    whole, parts = tmp_path / "whole.jsonl", tmp_path / "parts.jsonl"
    run("assign", mixed, "-M", "hgpo", "-o", whole)
    small_batches(monkeypatch, 8)
    ran = run("assign", mixed, "-M", "hgpo", "-o", parts)
    assert "groups are not together in the file" in ran.err
    assert credits(parts, "hgpo") == credits(whole, "hgpo")


FIELDS = {
    "outcome": [{"outcome": 1}, {"outcome": None}],
    "reward": [{"steps": [{"state": "s", "reward": 1.0}]}, {"steps": [{"state": "s"}]}],
    "score": [{"steps": [{"evidence": {"score": 0.5}}]}, {"steps": [{}]}],
    "tokens": [{"steps": [{"tokens": {"n": 2, "value": [0.1, 0.2]}}]}, {"steps": [{}]}],
    "votes": [{"steps": [{"evidence": {"votes": [1, 0]}}]}, {"steps": [{}]}],
}


@pytest.mark.parametrize("turned", [False, True], ids=["first", "later"])
@pytest.mark.parametrize("field, method", [("outcome", "gigpo"), ("reward", "gigpo"), ("score", "pure")])
def test_a_field_that_only_some_tasks_have_counts_alike_in_small_batches(
    run, tmp_path, monkeypatch, field, method, turned
):
    kinds = FIELDS[field][::-1] if turned else FIELDS[field]
    rows = [
        {**rollout(f"{k}{g}", r, r), "steps": [{"state": "s"}], **kind}
        for k, kind in enumerate(kinds)
        for g in range(3)
        for r in range(2)
    ]
    runs, whole, parts = save(tmp_path / "runs.jsonl", *rows), tmp_path / "whole.jsonl", tmp_path / "parts.jsonl"
    run("assign", runs, "-M", method, "--reward", "reward" if field == "reward" else "outcome", "-o", whole)
    small_batches(monkeypatch, 2)
    choice = "reward" if field == "reward" else "outcome"
    ran = run("assign", runs, "-M", method, "--reward", choice, "-o", parts)
    assert "some tasks have fields that others lack" in ran.err
    assert parts.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("field", ["tokens", "votes"])
def test_files_whose_tasks_differ_are_written_alike_in_small_batches(run, tmp_path, monkeypatch, field):
    rows = [{**rollout(f"{k}", r, r), **kind} for k, kind in enumerate(FIELDS[field]) for r in range(2)]
    runs, whole, parts = save(tmp_path / "runs.jsonl", *rows), tmp_path / "whole.jsonl", tmp_path / "parts.jsonl"
    run("assign", runs, "-M", "grpo", "-o", whole)
    small_batches(monkeypatch, 2)
    assert run("assign", runs, "-M", "grpo", "-o", parts).status == 0
    assert parts.read_bytes() == whole.read_bytes()


def test_what_gives_methods_nothing_to_go_by_is_said(run, tmp_path):
    lone = save(tmp_path / "lone.jsonl", rollout("a"), rollout("b", steps=0), rollout("c", outcome=None))
    said = run("assign", lone, "-M", "grpo").err
    assert "3 of 3 tasks have one rollout: there is nothing to compare it with" in said
    assert "1 of 3 rollouts have no steps" in said
    assert "1 of 3 rollouts have no outcome" in said and "--map outcome" not in said
    assert "steps hold nothing" not in said


def test_outcomes_that_stand_under_another_name_and_steps_that_nobody_reads_are_said(run, tmp_path):
    steps = [{"thought": "hm", "tool": "search"}, {"thought": "done"}]
    bare = save(tmp_path / "bare.jsonl", *(rollout("a", k, None, steps, grade=k) for k in range(2)))
    said = run("diagnose", bare).err
    assert "2 of 2 rollouts have no outcome: is it another field? --map outcome=FIELD" in said
    assert "steps hold nothing that is read (text, action, observation, ...), but thought, tool" in said
    assert "steps hold nothing" in run("assign", bare, "-M", "grpo", "--map", "outcome=grade").err


@pytest.mark.parametrize("command", [["assign"], ["assign", "--report", "page.html"], ["compare"], ["state"]])
def test_skipped_rows_are_counted_and_listed_once(run, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "x.jsonl", rollout(rollout=0), rollout(rollout=1), rollout(rollout=0))
    with (tmp_path / "x.jsonl").open("a") as file:
        file.write('{"group": "p", "rollout": 2, "outcome": NaN}\n')
    ran = run(*command, "x.jsonl", "--on-error", "skip")
    assert "skipped 2 of 4 rows" in ran.err
    assert ran.err.count("row 3, rollout 0: group 'p' holds two rollouts of this name") == 1
    assert ran.err.count("row 4: NaN is not JSON") == 1


def test_segment_says_where_it_cut_nothing(run, tmp_path):
    text = save(tmp_path / "text.jsonl", *(rollout("p", r, r, [{"text": "one\ntwo"}]) for r in range(2)))
    none = save(tmp_path / "none.jsonl", *(rollout("p", r, r) for r in range(2)))
    cut = run("assign", text, "-M", "grpo", "--segment", "lines", "--json")
    assert cut.json()[0]["steps"] == 4 and "cut no step" not in cut.err
    assert "--segment cut no step" in run("assign", none, "-M", "grpo", "--segment", "lines").err


# compare, state, lint, methods, convert, demo, bench


def test_compare_lists_who_agrees_and_who_could_not_run(run, good, tmp_path):
    page = tmp_path / "page.html"
    ran = run("compare", good, "--report", page)
    assert ran.out.splitlines()[0].split("\t")[:3] == ["method", "agreement", "spread"]
    assert "not run: gae needs column 'value'" in ran.err
    noted = next(line for line in ran.err.splitlines() if "reward: the outcome on each rollout's last step (" in line)
    assert "gigpo, " in noted and "hgpo, " in noted and "grpo, gui" not in noted
    assert page.read_text("utf-8").startswith("<!doctype html")
    found = run("compare", good, "--json").json()
    assert {r["method"] for r in found["rows"]} | found["skipped"].keys() == set(names())
    size = len(found["rows"])
    assert [len(line) for line in found["correlation"]] == [size] * size
    assert {"agreement", "spread", "zero", "unjudged", "merge", "seconds"} <= found["rows"][0].keys()


def test_a_format_takes_options_behind_its_name(run, tmp_path):
    chat = [{"role": "user", "content": "Hi"}]
    chat.append({"role": "assistant", "content": None, "tool_calls": [{"id": "1", "name": "buy", "arguments": "{}"}]})
    chat.append({"role": "tool", "tool_call_id": "1", "content": "failed: sold out"})
    chat.append({"role": "assistant", "content": "Sorry"})
    path = save(tmp_path / "tau.jsonl", [{"task_id": 0, "trial": t, "reward": t, "traj": chat} for t in (0, 1)])
    made = tmp_path / "ours.jsonl"
    for given, writes in (("tau_bench", 1), ("tau_bench:error=failed", 0)):
        assert run("convert", path, "-o", made, "--format", given).status == 0
        assert len(json.loads(read(made).records[0].final_state)) == writes
    assert "did you mean 'error'" in run("convert", path, "-o", made, "--format", "tau_bench:eror=x").err
    assert "NAME:OPTION=VALUE" in run("convert", path, "-o", made, "--format", "tau_bench:error").err


def test_compare_can_make_states_and_choose_methods(run, good):
    given = ("compare", good, "-M", "gigpo", "-M", "grpo", "-M", "gigpo", "--states", "last")
    ran = run(*given, "--normalize", "numbers", "--json")
    assert [r["method"] for r in ran.json()["rows"]] == ["gigpo", "grpo"]
    assert "state: last observation (numbers normalized)" in ran.err


def test_state_surveys_or_writes(run, good, tmp_path):
    rows = run("state", good, "--json").json()
    assert [r["states"] for r in rows][:2] == ["as given", "last (exact)"]
    assert {"cells", "merged", "singletons", "largest"} <= rows[0].keys()
    assert "last (case normalized)" in run("state", good, "--normalize", "case").out
    out = tmp_path / "states.jsonl"
    (row,) = run("state", good, "--from", "last", "-o", out, "--json").json()
    assert row == {"states": "last", "cells": 5, "merged": 1.0, "singletons": 0.0, "largest": 4}
    assert json.loads(out.read_text().splitlines()[0])["steps"][1]["state"] == "o0 seen"


def test_lint_fails_on_findings_and_only_from_the_severity_asked_for(run, good, tmp_path):
    out = tmp_path / "credited.jsonl"
    run("assign", good, "-M", "grpo", "-o", out)
    fine = run("lint", out, "--json")
    assert fine.status == 0 and fine.json()["grpo"]["worst"] is None
    bad = tmp_path / "bad.npz"
    np.savez(bad, advantages=[[np.nan, 1.0]], response_mask=[[1, 1]])
    ran = run("lint", bad, "--json")
    assert ran.status == 1 and ran.json()[str(bad)]["findings"][0]["rule"] == "non_finite"
    assert run("lint", bad, "--fail-on", "never").status == 0
    assert "non_finite" in run("lint", bad).out


def test_lint_knows_the_method_of_a_trainers_arrays(run, tmp_path):
    arrays = tmp_path / "a.npz"
    np.savez(arrays, advantages=[[1.0, 2.0]], response_mask=[[1, 1]], group=[0], outcome=[1.0])
    said = run("lint", arrays, "-M", "nope")
    assert said.status == 2 and "no credit method named 'nope'" in said.err
    assert run("lint", arrays, "-M", "gae_token").status in (0, 1)


def test_methods_lists_and_explains(run):
    listed = run("methods", "--json").json()
    assert {m["name"] for m in listed} > set(names())
    assert {"name", "kind", "per", "needs", "uses", "options", "waives", "paper"} <= listed[0].keys()
    assert len(run("methods", "--presets", "--json").json()) > len(listed)
    assert run("methods", "gigpo", "--json").json()["options"]["gamma"] == 0.95
    card = run("methods", "gigpo").out
    assert "Options (--set): gamma=0.95" in card and "gigpo@verl-agent" in card
    assert len(run("methods").out.splitlines()) == len(listed) + 1


def test_convert_from_standard_input_keeps_everything(run, good, tmp_path):
    packed, back = tmp_path / "runs.parquet", tmp_path / "back.jsonl"
    assert run("convert", "-", "-o", packed, stdin=good.read_bytes()).status == 0
    assert run("convert", packed, "-o", back).status == 0
    assert read(back).to_records() == read(good).to_records()


def test_demo_makes_its_files_scores_the_methods_and_finds_no_fault(run, tmp_path):
    ran = run("demo", "-o", tmp_path / "made", "--tasks", 4, "--rollouts", 8)
    assert ran.status == 0
    assert {p.name for p in (tmp_path / "made").iterdir()} == {"report.html", "rollouts.jsonl", "advantages.jsonl"}
    lines = ran.out.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("Against the truth"))
    assert lines[at + 1].split("\t") == ["credit", "same", "pooled", "per depth", "rho", "r"]
    assert "Linter: 0 finding(s)" in ran.out
    assert run("lint", tmp_path / "made" / "rollouts.jsonl").status == 0


def test_bench_speed_measures(run):
    ran = run("bench", "speed", "--steps", 20_000, "--memory", 0, "--megabytes", 0, "--json").json()
    assert {t["name"] for t in ran["timings"]} >= {"grpo", "hgpo"}
    assert all(t["steps_per_s"] > 0 for t in ran["timings"]) and "memory" not in ran


# help


def commands():
    return [c.name for c in app.registered_commands]


@pytest.mark.parametrize(
    "command", [c for c in commands() if c not in ("gateway", "view", "watch")]
)  # these serve until they are stopped
def test_the_example_in_the_help_runs(run, command, good, tmp_path, monkeypatch):
    shown = " ".join(run(command, "--help").out.split())
    if "Example: stepcredit " not in shown:
        assert command == "demo"
        return
    argv = shown.partition("Example: stepcredit ")[2].partition(" Arguments:")[0].partition(" Options:")[0].split()
    monkeypatch.chdir(tmp_path)
    run("assign", good, "-o", "credited.jsonl")
    traj = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
    chat = {"task_id": 1, "reward": 1.0, "trial": 0, "traj": traj, "info": {}}
    (tmp_path / "tau_results.json").write_text(json.dumps([chat]))
    (tmp_path / "tasks.jsonl").write_text('{"prompt": "2+2?"}\n')
    (tmp_path / "my_model.py").write_text(
        "from stepcredit.protocols import Sample\n"
        "def sample(prompts, *, n=1, **_):\n    return [[Sample('Answer: 4', ended=True)] * n for _ in prompts]\n"
    )
    ran = run(*argv)
    assert ran.status in ((0, 1) if command == "diagnose" else (0,)), ran.err  # 1: a step was found


def test_no_command_and_version(run):
    shown = run()
    assert shown.status == 2 and "Commands:" in shown.out + shown.err
    assert run("--version").out.startswith("stepcredit ")
    listed = run("--help").out.partition("Commands:")[2]
    assert all(f"  {name} " in listed for name in commands()) and "..." not in listed


# processes and terminals


def test_a_reader_who_leaves_early_changes_nothing(tmp_path):
    bad = tmp_path / "bad.npz"
    np.savez(bad, advantages=[[np.nan]], response_mask=[[1]])
    process = started("lint", bad)
    process.stdout.close()
    process.stdout = None
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (1, "")


def test_a_full_disk_behind_standard_output_is_an_error():
    with open("/dev/full", "w") as full:  # noqa: PTH123
        process = started("methods", stdout=full)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 2 and "error: standard output: No space left" in err and "Traceback" not in err


@pytest.mark.parametrize("command, option", [("compare", "--report"), ("assign", "--advantages"), ("convert", "-o")])
def test_a_pipe_is_read_and_written_to_and_never_replaced(good, tmp_path, command, option):
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    os.mkfifo(source)
    os.mkfifo(target)
    method = [] if command == "convert" else ["-M", "grpo"]
    running = started(command, source, *method, option, target)
    source.write_bytes(good.read_bytes())
    assert target.read_text("utf-8").startswith(("<!doctype html", "{"))
    assert running.wait(timeout=30) == 0 and target.is_fifo()
    running.communicate()


SLOW = """
import time
from pathlib import Path
from stepcredit.credit import Card
CARD = Card(title="", paper="", bibtex="", evidence="derived", needs="outcomes", bias="", departures="")
def slow(layout, outcome):
    Path(__file__).with_name("begun").touch()
    time.sleep(60)
"""


@pytest.mark.parametrize("sent, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_a_stop_in_the_middle_leaves_the_old_file(good, tmp_path, sent, status):
    out, slow = tmp_path / "out" / "credited.jsonl", tmp_path / "slow.py"
    slow.write_text(SLOW)
    out.parent.mkdir()
    out.write_text("old")
    process = started(
        "assign",
        good,
        "-M",
        slow,
        "-o",
        out,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    deadline = time.monotonic() + 20
    while not (tmp_path / "begun").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(list(out.parent.iterdir())) == 2
    process.send_signal(sent)
    _, err = process.communicate(timeout=20)
    assert process.returncode == status and "Traceback" not in err
    assert out.read_text() == "old"
    if sent != signal.SIGKILL:
        assert list(out.parent.iterdir()) == [out]


def test_two_writers_of_one_file_leave_one_whole_file(good, tmp_path):
    out = tmp_path / "credited.jsonl"
    both = [started("assign", good, "-M", m, "-o", out) for m in ("grpo", "gigpo")]
    assert [p.wait(timeout=30) for p in both] == [0, 0]
    for p in both:
        p.communicate()
    (method,) = {m for r in map(json.loads, out.read_text().splitlines()) for s in r["steps"] for m in s["credit"]}
    assert len(credits(out, method)) == 8


def terminal(columns, *argv):
    """What the command shows on a terminal this wide."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "NO_COLOR")} | {"TERM": "xterm"}
    running = started(*argv, stdout=theirs, stderr=subprocess.DEVNULL, text=False, env=environment)
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:
            break
        if not part:
            break
        shown += part
    os.close(ours)
    assert running.wait(timeout=30) == 0
    return shown.decode().replace("\r", "")


def test_a_terminal_gets_a_table_and_a_narrow_one_gets_rows(good):
    wide, narrow = terminal(100, "assign", good), terminal(40, "assign", good)
    head, row = wide.strip().splitlines()
    assert "\x1b[" in head and "\x1b[" not in row
    assert row.split() == ["gigpo", "8", "20", "20", "0", "~0", "1.73", "-1.73", "1.73"]
    assert "rollouts: 8; steps: 20" in narrow and "…" not in narrow
    assert max(map(len, narrow.splitlines())) <= 40 + len("\x1b[1m\x1b[0m")


def test_a_pipe_gets_no_control_characters(run, good):
    for argv in (["assign", good], ["compare", good], ["methods"], ["methods", "gigpo"], ["state", good]):
        ran = run(*argv)
        assert "\x1b" not in ran.out + ran.err


def test_a_terminal_that_knows_only_ascii_gets_ascii(good):
    process = started("compare", good, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0 and "Traceback" not in err
    assert out.isascii() and "grpo" in out
