"""Marks of people: kept line by line, torn lines and other raters borne, exported as labels."""

import json
import os
import subprocess
import sys
import threading

import pytest
from view_kit import full, some

from stepcredit.app.view.answers import Head
from stepcredit.app.view.export import export_labels
from stepcredit.app.view.looking import Looking
from stepcredit.app.view.marks import Mark, Marks, Placed, default_file, labeled
from stepcredit.app.view.memory import Memory
from stepcredit.app.view.rows import blame_shown, part
from stepcredit.data import Batch, read
from stepcredit.data.records import Blame
from stepcredit.errors import DataError, StepCreditError


def mark(step=0, label=-1, rater="anna", group="p", rollout="bad", **more):
    return Mark(group=group, rollout=rollout, step=step, rater=rater, label=label, **more)


def memory(rollouts=None):
    batch = Batch.from_records(rollouts or some())
    return Memory([part(batch, [], names=[])], Head())


def test_each_mark_is_a_line_on_disk_when_it_is_kept(tmp_path):
    file = tmp_path / "a.marks"
    marks = Marks([file])
    for step in range(3):
        marks.add(mark(step, note="é\n漢字"))
        lines = file.read_bytes().splitlines()
        assert len(lines) == step + 1
    assert json.loads(lines[1]).items() >= {"group": "p", "rollout": "bad", "step": 1, "label": -1}.items()
    assert Marks([file]).all() == marks.all()


def test_the_last_word_of_a_rater_counts_and_can_be_taken_back(tmp_path):
    marks = Marks([tmp_path / "a.marks"])
    marks.add(mark(label=-1))
    marks.add(mark(label=1, rater="ben"))
    marks.add(mark(label=0, note="unsure"))
    assert [(m.rater, m.label) for m in marks.all()] == [("ben", 1), ("anna", 0)]
    marks.add(mark(label=None))
    assert [m.rater for m in marks.all()] == ["ben"]
    assert len((tmp_path / "a.marks").read_bytes().splitlines()) == 4, "nothing is ever taken out of the file"


@pytest.mark.parametrize("torn", [b'{"group": "p", "rol', b"\xff\xfe", b'{"group": "p"}\n', b"[1]\n", b"\0" * 50])
def test_a_torn_or_foreign_line_is_left_out_and_the_next_mark_starts_anew(tmp_path, torn):
    file = tmp_path / "a.marks"
    Marks([file]).add(mark(0))
    with file.open("ab") as out:
        out.write(torn)
    marks = Marks([file])
    assert [m.step for m in marks.all()] == [0]
    marks.add(mark(1))
    again = Marks([file])
    assert [m.step for m in again.all()] == [0, 1]
    assert again.bad == {str(file): 1}


def test_a_whole_last_line_without_its_end_is_a_mark(tmp_path):
    file = tmp_path / "a.marks"
    Marks([file]).add(mark(0))
    file.write_bytes(file.read_bytes().rstrip())
    marks = Marks([file])
    assert [m.step for m in marks.all()] == [0]
    marks.add(mark(1))
    assert [m.step for m in Marks([file]).all()] == [0, 1]


@pytest.mark.parametrize("lines", [0, 1, 2, 9])
def test_another_file_in_its_place_is_read_from_its_beginning_and_the_old_one_forgotten(tmp_path, lines):
    file, other = tmp_path / "a.marks", tmp_path / "b.marks"
    marks, second = Marks([file, other]), Marks([other])
    second.add(mark(7, rater="carl"))
    for step in range(2):
        marks.add(mark(step))
    new = tmp_path / "new"
    new.write_bytes(b"no mark\n" * (lines > 0))
    for step in range(lines):
        Marks([new]).add(mark(step, rater="bert"))  # as long as a line of before, so that ends of lines meet
    new.replace(file)
    now = marks.all()
    assert [(m.rater, m.step) for m in now if m.rater != "carl"] == [("bert", s) for s in range(lines)]
    assert [m.step for m in now if m.rater == "carl"] == [7] and sum(marks.bad.values()) == (lines > 0)
    file.unlink()
    assert [m.rater for m in marks.all()] == ["carl"]


def test_two_raters_in_one_file_see_one_another(tmp_path):
    file = tmp_path / "a.marks"
    anna, ben = Marks([file], "anna"), Marks([file], "ben")
    anna.add(mark(0))
    assert [m.rater for m in ben.all()] == ["anna"]
    ben.add(mark(0, rater="ben"))
    assert [m.rater for m in anna.all()] == ["anna", "ben"]


def test_two_raters_in_two_files_are_read_together_and_only_the_first_is_written(tmp_path):
    mine, other = tmp_path / "a.marks", tmp_path / "b.marks"
    Marks([other], "ben").add(mark(0, rater="ben"))
    before = other.read_bytes()
    marks = Marks([mine, other], "anna")
    marks.add(mark(0))
    assert sorted(m.rater for m in marks.all()) == ["anna", "ben"]
    assert other.read_bytes() == before and mine.exists()


def test_many_threads_and_processes_lose_no_line(tmp_path):
    file = tmp_path / "a.marks"
    code = f"""
from pathlib import Path
from stepcredit.app.view.looking import Looking
from stepcredit.app.view.marks import Mark, Marks
marks = Marks([Path({str(file)!r})])
for step in range(40):
    marks.add(Mark(group="p", rollout="bad", step=step, rater="other", label=1))
"""
    other = subprocess.Popen([sys.executable, "-c", code])
    marks = Marks([file])
    threads = [
        threading.Thread(target=lambda who=who: [marks.add(mark(step, rater=who)) for step in range(20)])
        for who in "abc"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert other.wait() == 0
    again = Marks([file])
    assert len(again.all()) == len(marks.all()) == 100 and not again.bad


@pytest.mark.skipif(not hasattr(os, "fork"), reason="limits of file size are a matter of POSIX")
def test_a_full_disk_is_a_clear_error_and_leaves_whole_lines(tmp_path):
    file = tmp_path / "a.marks"
    code = f"""
import resource, signal
from pathlib import Path
from stepcredit.app.view.looking import Looking
from stepcredit.app.view.marks import Mark, Marks
from stepcredit.errors import DataError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
marks = Marks([Path({str(file)!r})])
try:
    for step in range(50):
        marks.add(Mark(group="p", rollout="bad", step=step, rater="a", label=1))
except DataError as error:
    print(step, error)
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    step = int(done.stdout.split()[0])
    assert "File too large" in done.stdout and "a.marks" in done.stdout
    assert file.read_bytes().endswith(b"\n") and len(Marks([file]).all()) == step > 1


@pytest.mark.parametrize("given", [{"label": 2}, {"rater": " "}, {"note": "x" * 10_001}, {"note": "\ud800"}])
def test_what_is_no_mark_is_refused(tmp_path, given):
    marks = Marks([tmp_path / "a.marks"])
    with pytest.raises(StepCreditError):
        marks.add(mark(**given))
    assert not (tmp_path / "a.marks").exists()


def test_where_marks_cannot_be_kept_that_is_known_before(tmp_path):
    assert not Marks([tmp_path / "no" / "a.marks"]).writable
    with pytest.raises(DataError, match="no such file"):
        Marks([tmp_path / "no" / "a.marks"]).add(mark())
    assert Marks([tmp_path / "a.marks"]).writable


def test_marks_stand_beside_the_data_and_are_not_read_as_data(tmp_path):
    file = tmp_path / "runs.jsonl"
    file.write_text("{}\n")
    assert default_file([str(file)]) == tmp_path / "runs.jsonl.marks"
    assert default_file([str(tmp_path)]) == tmp_path / "stepcredit.marks"
    assert [str(default_file([f])) for f in ("-", "https://host/x.jsonl")] == ["stepcredit.marks"] * 2


def test_the_page_knows_marks_by_number_of_the_run(tmp_path):
    marks = Marks([tmp_path / "a.marks"])
    marks.add(mark(1))
    marks.add(mark(0, rollout="7"))
    marks.add(mark(0, rollout="gone"))
    marks.add(mark(3))
    marks.add(mark(-1, rollout="good"))
    placed = Placed(marks, memory())
    assert [(m["id"], m["step"]) for m in placed.all()] == [(1, 1), (2, 0), (0, -1)]
    assert placed.strays() == 2, "a run that is gone, and a step beyond the end"
    assert placed.counts() == [1, 1, 1, 0, 0]
    assert [m["step"] for m in placed.of(1)] == [1] and placed.name(9) is None


def test_agreement_is_over_steps_that_both_labeled(tmp_path):
    marks = Marks([tmp_path / "a.marks"])
    for step, (a, b) in enumerate([(1, 1), (1, -1), (-1, -1), (0, 0)]):
        marks.add(mark(step, a, rollout=str(step % 2)))
        marks.add(mark(step, b, rater="ben", rollout=str(step % 2)))
    marks.add(mark(9, 1))
    marks.add(mark(8, None, rater="ben", note="a note is no label"))
    found = marks.agreement()
    (pair,) = found["pairs"]
    assert found["raters"] == ["anna", "ben"] and (pair["a"], pair["b"], pair["n"]) == ("anna", "ben", 4)
    assert pair["agree"] == 0.75 and pair["kappa"] == pytest.approx((0.75 - 0.3125) / (1 - 0.3125))
    assert found["counts"]["anna"] == {"1": 3, "-1": 1, "0": 1}
    json.dumps(found, allow_nan=False)


def named_alike():
    """Runs whose names differ in kind alone: a file of marks cannot tell them apart."""
    return memory([full(1, 0, 0.0, "look", "drop"), full("1", 0, 0.0, "look"), full("2", 0, 0.0, "look")])


def test_a_mark_is_never_served_as_one_of_another_run_of_that_name(tmp_path):
    marks, answers = Marks([tmp_path / "a.marks"]), named_alike()
    marks.add(mark(0, group="1", rollout="0"))
    look = Looking(answers, marks)
    assert look.placed().all() == [] and look.placed().strays() == 1
    for id in (0, 1):
        with pytest.raises(StepCreditError, match="several runs are called 1 / 0"):
            look.mark({"id": id, "step": 0, "label": 1})
    assert look.mark({"id": 2, "step": 0, "label": 1})["group"] == "2"
    with pytest.raises(StepCreditError, match="is now 2 / 0"):
        look.mark({"id": 2, "step": 0, "label": 1, "group": "1", "rollout": "0"})
    assert export_labels(tmp_path / "labels.jsonl", answers, marks) == 1


def test_marks_on_no_step_of_these_runs_stay_in_the_file_and_are_counted_in_a_note(tmp_path):
    file = tmp_path / "a.marks"
    marks = Marks([file])
    marks.add(mark(0))
    for step in (3, 9):
        marks.add(mark(step))
    look = Looking(memory(), marks)
    assert [n for n in look.state()["notes"] if "marks" in n] == [
        f"2 marks in {file} are on no step of these runs: kept there, not shown"
    ]
    assert [m["step"] for m in look.run(1)["marks"]] == [0] and look.runs()["columns"]["marks"] == [0, 1, 0, 0, 0]
    assert len(file.read_bytes().splitlines()) == 3
    look.reading.done = False
    assert look.state()["notes"] == [], "their runs may still come"


def test_agreement_in_the_page_is_over_steps_that_are_here(tmp_path):
    marks = Marks([tmp_path / "a.marks"])
    for rater in ("anna", "ben"):
        for step in range(6):
            marks.add(mark(step, rater=rater))
        marks.add(mark(0, rater=rater, rollout="gone"))
    assert [p["n"] for p in Looking(memory(), marks).agreement()["pairs"]] == [3]


def test_labels_are_rollouts_with_blame_and_evidence(tmp_path):
    marks, out = Marks([tmp_path / "a.marks"]), tmp_path / "labels.jsonl"
    marks.add(mark(1, -1, error="wrong_turn", note="drops it"))
    marks.add(mark(1, -1, rater="ben"))
    marks.add(mark(2, 1))
    marks.add(mark(2, -1, rater="ben"))
    marks.add(mark(-1, 0, note="odd run"))
    assert export_labels(out, memory(), marks) == 1
    (rollout,) = read(out).to_records()
    assert rollout.rollout == "bad"
    assert [s.evidence.get("label") for s in rollout.steps] == [None, -1.0, None], "raters evenly divided: no label"
    people = [b for b in rollout.blame if b.by in ("anna", "ben")]
    assert [(b.by, b.step, b.label) for b in people] == [
        ("anna", 1, -1.0),
        ("ben", 1, -1.0),
        ("anna", 2, 1.0),
        ("ben", 2, -1.0),
        ("anna", None, 0.0),
    ]
    assert people[0].error == "wrong_turn" and people[0].reason == "drops it" and people[0].agent == "coder"
    assert rollout.steps[0].evidence["value"] == 0.5


def test_labels_are_shown_as_what_people_say_and_only_wrong_ones_as_blame(tmp_path):
    marks, out = Marks([tmp_path / "a.marks"]), tmp_path / "labels.jsonl"
    for step, label in enumerate((1, 0, -1)):
        marks.add(mark(step, label))
    export_labels(out, memory([full("p", "bad", 0.0, "look", "drop", "lose")]), marks)
    (rollout,) = read(out).to_records()
    shown = [blame_shown(b) for b in rollout.blame if b.by == "anna"]
    assert [(b["kind"], b["step"], b["status"]) for b in shown] == [
        ("people", 0, "clean"),
        ("people", 1, "clean"),
        ("people", 2, "found"),
    ]
    assert all(b["evidence"] == {} for b in shown), "a mark has no numbers behind it"
    judge = blame_shown(Blame(by="anna", step=0, evidence={"rater": 0.5}))
    assert judge["kind"] == "judge" and judge["evidence"] == {"rater": 0.5}


def test_labels_of_nothing_are_an_error(tmp_path):
    with pytest.raises(StepCreditError, match="no step of these runs is marked"):
        export_labels(tmp_path / "x.jsonl", memory(), Marks([tmp_path / "a.marks"]))
    assert not (tmp_path / "x.jsonl").exists()
    marks = Marks([tmp_path / "a.marks"])
    marks.add(mark(0, group="elsewhere"))
    with pytest.raises(StepCreditError, match="no step of these runs is marked; 1 marks are on others: read them as"):
        export_labels(tmp_path / "x.jsonl", memory(), marks)


def test_a_mark_beyond_the_end_of_a_run_is_left_out():
    run = full("p", "bad", 0.0, "look")
    assert list(labeled([run], [mark(5)])) == []
