"""The page as one file: everything in it, nothing from outside, whole or not at all."""

import base64
import gzip
import html
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from view_kit import HOSTILE, full, some

from stepcredit import credit
from stepcredit.app.view import page
from stepcredit.app.view.answers import Head
from stepcredit.app.view.export import choose, export, labels, left_out, write_page
from stepcredit.app.view.marks import Mark, Marks
from stepcredit.app.view.memory import Memory
from stepcredit.app.view.rows import part
from stepcredit.credit import Credit
from stepcredit.data.batch import Batch
from stepcredit.data.layout import Layout
from stepcredit.data.records import Rollout, Step
from stepcredit.diagnose.case import Verdict
from stepcredit.errors import DataError, LayoutError, StepCreditError


def parts(path):
    """path -> answer, as a browser finds them."""
    found = re.findall(
        r'<script type="application/json" data-path="([^"]*)"( data-gzip)?>(.*?)</script>', path.read_text()
    )
    out = {}
    for name, packed, text in found:
        data = gzip.decompress(base64.b64decode(text)).decode() if packed else text
        out[html.unescape(name)] = json.loads(data)
    return out


def made(tmp_path, rollouts=None, methods=("gigpo", "grpo"), **options):
    batch = Batch.from_records(rollouts or some())
    path = write_page(tmp_path / "page.html", batch, [credit.assign(batch, m) for m in methods], **options)
    return parts(path)


def test_every_answer_that_the_page_asks_for_is_in_it(tmp_path):
    found = made(
        tmp_path, title="mine", source="runs.jsonl", comparison=[{"method": "grpo", "agreement": float("nan")}]
    )
    state, runs = found["/api/state"], found["/api/runs"]
    assert state["mode"] == "export" and state["token"] is None and state["writable"] is False
    assert state["title"] == "mine" and state["source"] == "runs.jsonl" and state["left_out"] is None
    assert [m["name"] for m in state["methods"]] == ["gigpo", "grpo"] and state["reading"]["done"]
    assert state["comparison"] == [{"method": "grpo", "agreement": None}]
    assert runs["total"] == 5 and runs["columns"]["rollout"] == ["good", "bad", "7", "x", "empty"]
    for id in range(5):
        run, steps = found[f"/api/run/{id}"], found[f"/api/run/{id}/steps"]
        assert (steps["from"], steps["to"], len(steps["steps"])) == (0, run["n"], run["n"])
        assert {m: len(c["values"]) for m, c in run["credit"].items()} == {"gigpo": run["n"], "grpo": run["n"]}
    assert found["/api/run/1"]["blame"][0]["by"] == "combined"
    assert {"/api/marks", "/api/agreement", "/api/trees", "/api/dynamics", "/api/bench"} <= found.keys()


def test_credit_is_the_method_s(tmp_path):
    batch = Batch.from_records(some())
    found = made(tmp_path)
    given = credit.assign(batch, "gigpo").by_rollout()
    assert [found[f"/api/run/{i}"]["credit"]["gigpo"]["values"] for i in range(5)] == [
        pytest.approx(values, rel=1e-5) for values in given
    ]


def test_what_is_not_judged_and_what_is_not_finite_is_null(tmp_path):
    batch = Batch.from_records(some())
    values = np.array([np.nan, 1e300, -np.inf, 0.0, 1 / 3, *[np.nan] * 5])
    write_page(tmp_path / "page.html", batch, [Credit("mine", {}, values, batch)])
    found = parts(tmp_path / "page.html")
    assert found["/api/run/0"]["credit"]["mine"]["values"] == [None, 1e300, None]
    assert found["/api/run/1"]["credit"]["mine"]["values"] == [0, 0.333333, None]


def test_a_method_that_occurs_twice_is_told_apart_by_its_options():
    batch = Batch.from_records(some())
    credits = [credit.assign(batch, "gigpo", gamma=g) for g in (0.9, 1.0)] + [credit.assign(batch, "grpo")]
    names = labels(credits)
    assert len(set(names)) == 3 and "gamma=0.9" in names[0] and names[2] == "grpo"


def test_nothing_comes_from_outside_and_only_its_own_script_runs(tmp_path):
    made(tmp_path)
    text = (tmp_path / "page.html").read_text()
    policy = html.unescape(re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1])
    assert "connect-src 'none'" in policy and "default-src 'none'" in policy and "unsafe" not in policy
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    assert page.allowed(script) in policy and page.allowed(style) in policy
    assert not re.search(r"<(?:script|img|link|iframe)[^>]*(?:src|href)=\"(?!data:,)", text.partition("<script>")[0])


def test_script_in_every_field_survives_as_text(tmp_path):
    hostile = full(HOSTILE, HOSTILE, 0.0, HOSTILE, text=HOSTILE)
    finding = {"rule": HOSTILE, "severity": "error", "message": HOSTILE, "where": {HOSTILE: [HOSTILE]}}
    found = made(
        tmp_path, [hostile], title=HOSTILE, source=HOSTILE, findings=[finding], comparison=[{HOSTILE: HOSTILE}]
    )
    text = (tmp_path / "page.html").read_text()
    before = text.partition("<script>")[0]
    assert "<img" not in before and "<script>document" not in text
    assert before.count("<script type=") == before.count("</script>") == len(found)
    assert found["/api/run/0"]["group"] == HOSTILE and found["/api/state"]["lint"][0]["message"] == HOSTILE
    assert found["/api/run/0/steps"]["steps"][0]["text"].startswith(HOSTILE)
    assert found["/api/state"]["title"] == HOSTILE and HOSTILE in found["/api/state"]["comparison"][0]


def test_odd_texts_and_large_numbers_fit_into_a_file(tmp_path):
    step = Step(text="\ud83d", agent="漢字", extra={"\ud800": 10**40, "nan": float("nan")})
    found = made(tmp_path, [Rollout(group="\udfff", rollout=0, outcome=0.0, steps=[step])], ("grpo",))
    assert found["/api/run/0/steps"]["steps"][0]["text"] == "\ud83d" and found["/api/run/0"]["group"] == "\udfff"


def rollouts(groups, each, steps):
    return [
        Rollout(
            group=f"g{g}", rollout=r, outcome=float(r % 2), steps=[Step(text=f"{i}", state="s") for i in range(steps)]
        )
        for g in range(groups)
        for r in range(each)
    ]


def test_whole_tasks_are_taken_up_to_the_limit_and_the_rest_is_told(tmp_path):
    found = made(tmp_path, rollouts(4, 3, 5), limit=35)
    assert found["/api/runs"]["columns"]["group"] == ["g0"] * 3 + ["g1"] * 3
    assert (
        found["/api/state"]["left_out"]
        == "This page holds 2 of 4 tasks, 6 of 12 runs, 30 of 60 steps; the rest is left out."
    )
    assert found["/api/state"]["counts"] == {"groups": 4, "runs": 12, "steps": 60}
    assert "/api/run/6" not in found and found["/api/run/5"]["next"] is None


@pytest.mark.parametrize(("limit", "runs"), [(1, 1), (5, 1), (9, 1), (10, 2), (15, 3)])
def test_of_a_larger_first_task_the_first_runs_are_taken(limit, runs):
    batch = Batch.from_records(rollouts(2, 3, 5))
    answers = Memory([part(batch, [], names=[])], Head())
    assert choose(answers, limit) == list(range(runs))
    assert left_out(answers, range(6)) is None


def test_runs_of_a_task_that_stand_apart_are_taken_together():
    mixed = [r for k in range(3) for r in rollouts(3, 3, 2)[k::3]]
    answers = Memory([part(Batch.from_records(mixed), [], names=[])], Head())
    assert choose(answers, 12) == [i for i, r in enumerate(mixed) if r.group in ("g0", "g1")]


def test_links_lead_only_to_runs_that_are_here(tmp_path):
    found = made(tmp_path, limit=3)
    run = found["/api/run/0"]
    assert run["siblings"] == [] and run["jumps"]["divergence"] is None and (run["prev"], run["next"]) == (None, None)


def test_a_limit_below_one_and_a_credit_of_another_batch_are_refused(tmp_path):
    with pytest.raises(StepCreditError, match="limit must be 1 or more"):
        made(tmp_path, limit=0)
    other = Batch.from_records(rollouts(1, 1, 2))
    with pytest.raises(LayoutError, match="has 2 steps, the batch 10"):
        write_page(tmp_path / "x.html", Batch.from_records(some()), [credit.assign(other, "grpo")])
    assert not (tmp_path / "page.html").exists() and not (tmp_path / "x.html").exists()


def test_bare_columns_without_texts_make_a_page(tmp_path):
    layout = Layout(np.array([0, 0]), np.array([0, 0, 1]))
    batch = Batch(layout, {"outcome": np.array([1.0, 0.0]), "state": np.array([0, 1, 0])})
    write_page(tmp_path / "page.html", batch, [credit.assign(batch, "gigpo")])
    found = parts(tmp_path / "page.html")
    assert found["/api/runs"]["columns"]["steps"] == [2, 1]
    run = found["/api/run/0"]
    assert run["numbers"]["state"][0] == found["/api/run/1"]["numbers"]["state"][0] != run["numbers"]["state"][1]


def test_a_batch_without_rollouts_makes_a_page(tmp_path):
    write_page(tmp_path / "page.html", Batch(Layout([], []), {}))
    assert parts(tmp_path / "page.html")["/api/runs"]["total"] == 0


def test_secrets_are_taken_out_unless_told_otherwise(tmp_path):
    secret = "sk-" + "abcdefghijklmnopqrstuvwxyz012345"
    runs = [full("p", i, float(i), "look", "go", text=f"key {secret}") for i in range(2)]
    runs[0].extra = {"password": "hunter2"}
    found = made(tmp_path, runs, title=f"run with {secret}")
    assert secret not in json.dumps(found) and "hunter2" not in json.dumps(found)
    assert found["/api/state"]["redacted"]["API key"] == 5
    kept = made(tmp_path, runs, redact=False)
    assert secret in json.dumps(kept) and kept["/api/state"]["redacted"] is None


def test_verdicts_of_others_are_shown_in_their_place(tmp_path):
    verdict = Verdict(
        "found", np.array([0.0, 0.9, 0.1]), step=1, reason="it drops it", confidence=0.75, remarks={1: "here"}
    )
    found = made(tmp_path, verdicts={("p", "bad"): {"my_judge": verdict}})
    (blame, people) = found["/api/run/1"]["blame"]
    assert blame["by"] == "my_judge" and blame["scores"] == [0, 0.9, 0.1] and blame["remarks"] == {"1": "here"}
    assert people["kind"] == "people" and found["/api/run/0"]["blame"] == []
    columns = found["/api/runs"]["columns"]
    assert (columns["worst"][1], columns["worst_by"][1], columns["worst_score"][1]) == (1, "my_judge", 0.9)


def test_marks_of_people_are_in_the_page_as_they_stand(tmp_path):
    marks = Marks([tmp_path / "a.marks"])
    marks.add(Mark(group="p", rollout="bad", step=1, rater="anna", label=-1, note="x"))
    answers = Memory([part(Batch.from_records(some()), [], names=[])], Head())
    assert export(tmp_path / "page.html", answers, marks) is None
    found = parts(tmp_path / "page.html")
    assert found["/api/run/1"]["marks"][0]["note"] == "x" and found["/api/marks"]["marks"][0]["id"] == 1
    assert found["/api/runs"]["columns"]["marks"] == [0, 1, 0, 0, 0]


def test_long_texts_are_cut_and_the_page_says_how_long_they_are(tmp_path):
    step = Step(text="x" * 100_000, observation="y" * 100_000)
    found = made(tmp_path, [Rollout(group="p", rollout=0, outcome=0.0, steps=[step])], ("grpo",))
    (shown,) = found["/api/run/0/steps"]["steps"]
    assert shown["cut"] == {"text": 100_000, "observation": 100_000} and len(shown["text"]) < 100_000


def test_equal_runs_make_equal_pages(tmp_path):
    made(tmp_path)
    first = (tmp_path / "page.html").read_bytes()
    made(tmp_path)
    assert (tmp_path / "page.html").read_bytes() == first


def test_a_page_that_cannot_be_written_leaves_what_was_there(tmp_path):
    batch = Batch.from_records(some())
    with pytest.raises(DataError, match="no such folder"):
        write_page(tmp_path / "no" / "page.html", batch)
    (tmp_path / "page.html").write_text("<p>before")
    code = f"""
import resource, signal
from stepcredit.app.view.export import write_page
from stepcredit.data import read
from stepcredit.data.batch import Batch
from stepcredit.data.records import Rollout
from stepcredit.errors import DataError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, 5_000))
try:
    write_page({str(tmp_path / "page.html")!r}, Batch.from_records([Rollout(group="p", rollout=0)]))
except DataError as error:
    print(error)
"""
    if hasattr(os, "fork"):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert "File too large" in done.stdout
    assert (tmp_path / "page.html").read_text() == "<p>before" and len(list(tmp_path.iterdir())) == 1


def test_data_cannot_end_the_element_that_holds_it():
    text = page.as_json({"a": "</script><!--<script>", "b": "\u2028\ud800&"})
    assert not set(text) & set("<>&\u2028\ud800") and json.loads(text)["a"] == "</script><!--<script>"
