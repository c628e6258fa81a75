"""`stepcredit diagnose`: verdicts in words, tables, JSON, exit status; judges over HTTP whose answers are kept; hostile
and broken traces."""

import json

import pytest
from cli_runner import runner, save

from conftest import skip_or_fail
from stepcredit.data import Reading

HOSTILE = "\x1b[31mred\x1b[0m \x1b]0;title\x07\x9b2J\u202eevil\r\x00 <script>alert(1)</script>"


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    return runner(monkeypatch, capsys)


def step(action, state=None, agent=None, **fields):
    more = {"state": state} if state else {}
    return {**more, **({"agent": agent} if agent else {}), "action": action, "text": f"I {action}", **fields}


def attempt(group, name, outcome, *actions, **fields):
    steps = [step(a, f"{group} after {actions[:t]}", "AB"[t % 2]) for t, a in enumerate(actions)]
    return {"group": group, "rollout": name, "outcome": outcome, "task": f"do {group}", "steps": steps, **fields}


def of_a_task(group):
    """A run that failed at its second step, and three that did not take it."""
    others = [attempt(group, f"{group}-ok{i}", 1, "look", "pick", "give") for i in range(3)]
    return [attempt(group, f"{group}-bad", 0, "look", "drop", "give"), *others]


@pytest.fixture
def one(tmp_path):
    return save(tmp_path / "one.jsonl", *of_a_task("cups"))


@pytest.fixture
def many(tmp_path):
    return save(tmp_path / "many.jsonl", *(row for i in range(6) for row in of_a_task(f"task{i}")))


@pytest.fixture
def served():
    """(URL of a judge that always blames step 1, prompts that reached it)."""
    try:
        import aiohttp  # noqa: F401
    except ImportError:
        skip_or_fail("http", "aiohttp is not installed")
    from stepcredit.llm.scripted import Scripted
    from stepcredit.llm.server import over_sampler, running

    reply = "step: 1\nagent: B\nerror: wrong_tool\nreason: it let go"
    judge = Scripted({"": f"<verdict0>\n{reply}\n</verdict0>"})
    with running(over_sampler(judge.sampler), models=["judge"]) as url:
        yield url, judge.asked


# what it says


def test_the_step_is_named_quoted_and_the_status_is_one(run, one):
    ran = run("diagnose", one, "-M", "contrast")
    assert ran.status == 1
    lines = ran.out.splitlines()
    assert lines[0] == "run cups-bad of task cups [do cups]: it failed (outcome 0), 3 steps"
    assert lines[1] == "  step 1 (the 2nd of 3), by B: Wrong turn"
    assert "    says: I drop" in lines
    assert any(line.startswith("  why: ") and "3 of 3" in line for line in lines)
    assert any(line.startswith("  confidence: ") and line.endswith("(contrast)") for line in lines)


def test_the_default_method_asks_nobody_and_finds_it(run, one):
    ran = run("diagnose", one, "--json")
    assert ran.status == 1 and ran.json()["methods"] == ["combined"]
    (verdict,) = ran.json()["runs"][0]["verdicts"]
    assert (verdict["status"], verdict["step"]) == ("found", 1)


def test_several_methods_speak_and_the_first_one_counts(run, one):
    ran = run("diagnose", one, "-M", "last_step", "-M", "contrast")
    assert "  step 2 (the 3rd of 3), by A" in ran.out
    assert "  also: contrast says step 1, Wrong turn" in ran.out


def test_what_a_call_of_the_model_that_failed_said_is_quoted(run, tmp_path):
    failed = {"origin": {"error": "API Error: 529 overloaded"}}
    row = {"group": "g", "rollout": "r", "outcome": 0, "steps": [{"text": "I look"}, failed]}
    path = save(tmp_path / "r.jsonl", row)
    assert "    fails: API Error: 529 overloaded" in run("diagnose", path, "-M", "tool_errors").out
    (told,) = json.loads(run("diagnose", path, "-M", "tool_errors", "--json").out)["runs"]
    assert told["quote"] == [{"what": "fails", "text": "API Error: 529 overloaded"}]


def test_what_people_said_in_the_file_stands_beside(run, tmp_path):
    rows = of_a_task("cups")
    rows[0]["blame"] = [
        {"by": "Ann", "step": 0, "reason": f"too slow {HOSTILE}"},
        {"by": "Bob", "step": 0, "label": 1, "reason": "well done"},
        {"by": "Bob", "step": 1, "label": 0},
        {"by": "Bob", "step": 2, "label": None, "reason": "look"},
    ]
    ran = run("diagnose", save(tmp_path / "a.jsonl", *rows), "-M", "contrast")
    assert "  also: Ann (in the file) says step 0: too slow red evil <script>alert(1)</script>" in ran.out
    assert "  also: Bob (in the file) says step 0 is right: well done" in ran.out
    assert "  also: Bob (in the file) says step 1 is neutral" in ran.out
    assert "  also: Bob (in the file) says step 2 has a note: look" in ran.out


def test_the_bound_of_success_reaches_the_methods_and_the_price(run, tmp_path):
    rows = [attempt("cups", "half", 0.7, "look", "drop"), attempt("cups", "ok", 1.0, "look", "pick")]
    path = save(tmp_path / "a.jsonl", *rows)
    ran = run("diagnose", path, "-M", "contrast", "--success", "0.9", "--json")
    (told,) = ran.json()["runs"]
    assert told["succeeded"] is False and told["verdicts"][0]["status"] != "clean"
    price = run("diagnose", path, "-M", "cdc_mas", "--success", "0.9", "--dry-run", "--json").json()
    assert price["runs"] == 1 and price["most"]["calls"] > 0


def test_what_would_tell_more_is_said(run, tmp_path):
    rows = of_a_task("cups")
    lost = [row for row in rows if row["outcome"] == 0]
    none = run("diagnose", save(tmp_path / "lost.jsonl", *lost), "-M", "contrast")
    assert "none of these runs is known to have succeeded: give those of the same tasks that did, too" in none.err
    alone = [{**row, "group": f"{i}"} for i, row in enumerate(rows)]
    said = run("diagnose", save(tmp_path / "alone.jsonl", *alone), "-M", "contrast")
    assert "no two of these runs are of one task" in said.err and "--map group=FIELD" in said.err


def test_many_runs_are_a_table_with_what_fails_most(run, many):
    ran = run("diagnose", many, "-M", "contrast")
    assert ran.status == 1
    assert "# Runs, worst first" in ran.out and "run\toutcome\tstep\tagent\terror\tconfidence\twhy" in ran.out
    assert "task3-bad\t0\t1 (of 3)\tB\tWrong turn\t" in ran.out
    assert "# What fails most, by agent" in ran.out and "6\t6\t100.0% [" in ran.out
    assert "# Failures that are alike (1 kinds)" in ran.out and "6\t100%\tWrong turn\t–\ttask0-bad step 1\t" in ran.out
    assert "--run ID" in ran.err


def test_one_run_of_many_in_words(run, many):
    ran = run("diagnose", many, "-M", "contrast", "--run", "task4-bad")
    assert ran.status == 1 and ran.out.startswith("run task4-bad of task task4 ")
    by_group = run("diagnose", many, "-M", "contrast", "--run", "task4/task4-bad")
    assert by_group.out == ran.out
    won = run("diagnose", many, "-M", "contrast", "--run", "task4-ok1")
    assert won.status == 0 and "it succeeded (outcome 1)" in won.out and "No step is found to blame" in won.out
    lost = run("diagnose", many, "--run", "task4-bda", "-o", "out.jsonl")
    assert lost.status == 2 and "did you mean 'task4-bad'" in lost.err


# whom, and the exit status


def test_success_exits_with_zero_and_says_so(run, tmp_path):
    won = save(tmp_path / "won.jsonl", *of_a_task("cups")[1:])
    ran = run("diagnose", won)
    assert ran.status == 0 and ran.out == "Every run succeeded: nothing to blame.\n" and "--all" in ran.err
    assert run("diagnose", won, "--all", "--json").json()["counts"]["diagnosed"] == 3


@pytest.mark.parametrize(
    ("fail_on", "method", "status"),
    [
        ("found", "contrast", 1),
        ("never", "contrast", 0),
        ("found", "tool_errors", 0),
        ("unknown", "contrast", 1),
    ],
)
def test_when_the_status_is_one(run, one, fail_on, method, status):
    assert run("diagnose", one, "-M", method, "--fail-on", fail_on).status == status


def test_not_known_is_a_status_of_its_own(run, tmp_path):
    alone = save(tmp_path / "alone.jsonl", of_a_task("cups")[0])
    ran = run("diagnose", alone, "-M", "contrast")
    assert ran.status == 0 and "Which step is to blame cannot be told (contrast): " in ran.out
    assert run("diagnose", alone, "-M", "contrast", "--fail-on", "unknown").status == 1


def test_below_which_outcome_a_run_failed_is_an_option(run, tmp_path):
    rows = [attempt("t", f"r{x}", x, "go") for x in (0.0, 0.4, 0.6, 1.0)]
    rows.append({k: v for k, v in attempt("t", "none", 0, "go").items() if k != "outcome"})
    path = save(tmp_path / "a.jsonl", *rows)
    for success, wanted in (
        (None, {"r0.0", "r0.4", "none"}),
        (0.3, {"r0.0", "none"}),
        (1, {"r0.0", "r0.4", "r0.6", "none"}),
    ):
        more = () if success is None else ("--success", success)
        told = run("diagnose", path, "-M", "last_step", "--json", *more).json()
        assert {r["rollout"] for r in told["runs"]} == wanted
        assert told["counts"]["outcome_unknown"] == 1
    words = run("diagnose", path, "-M", "last_step", "--run", "none").out
    assert "run none of task t [do t]: its outcome is not known, 1 steps" in words


# files


def test_json_has_one_schema(run, many):
    told = run("diagnose", many, "-M", "contrast", "-M", "tool_errors", "--json").json()
    assert list(told) == ["schema", "version", "methods", "success", "spent", "counts", "runs", "rates", "clusters"]
    assert told["schema"] == 1 and told["methods"] == ["contrast", "tool_errors"] and told["spent"] == {}
    counts = {"runs": 24, "failed": 6, "succeeded": 18, "outcome_unknown": 0, "without_steps": 0, "diagnosed": 6}
    assert told["counts"] == {**counts, "found": 6, "clean": 0, "unknown": 0}
    first = told["runs"][0]
    assert list(first) == ["group", "rollout", "outcome", "succeeded", "steps", "kind", "tool", "quote", "verdicts"]
    assert first["quote"] == [{"what": "says", "text": "I drop"}] and first["succeeded"] is False
    verdict = first["verdicts"][0]
    keys = ["method", "status", "step", "agent", "error", "reason", "confidence", "scores", "remarks", "evidence"]
    assert list(verdict) == keys and len(verdict["scores"]) == 3 and verdict["step"] == 1
    other = first["verdicts"][1]
    assert other["status"] in ("clean", "unknown") and other["step"] is None
    assert list(told["rates"]) == ["kind", "tool", "agent"]
    rate = ["name", "blamed", "steps", "share", "low", "high", "of_all", "runs"]
    assert list(told["rates"]["agent"][0]) == rate
    cluster = ["error", "tool", "signature", "size", "of_all", "agents", "examples"]
    assert list(told["clusters"][0]) == cluster
    assert told["clusters"][0]["examples"][0] == {"group": "task0", "rollout": "task0-bad", "step": 1}


def test_runs_are_written_in_their_order_with_their_blame_once(run, many, tmp_path):
    out, again = tmp_path / "out.jsonl", tmp_path / "again.jsonl"
    assert run("diagnose", many, "-M", "contrast", "-o", out).status == 1
    made = list(Reading(str(out)))
    assert [r.rollout for r in made] == [r.rollout for r in Reading(str(many))]
    assert [[(b.by, b.step, b.label, b.error) for b in r.blame] for r in made[:2]] == [
        [("contrast", 1, -1, "wrong_turn")],
        [],
    ]
    assert made[0].blame[0].agent == "B" and made[0].blame[0].evidence["siblings"] == 3
    run("diagnose", out, "-M", "contrast", "-o", again)
    assert again.read_bytes() == out.read_bytes()


def test_the_page_holds_the_runs_and_what_was_said(run, many, tmp_path):
    page = tmp_path / "page.html"
    ran = run("diagnose", many, "-M", "contrast", "--page", page)
    assert ran.status == 1 and f"page: {page}" in ran.err
    text = page.read_text()
    assert text.lstrip().lower().startswith("<!doctype html>") and "task3-bad" in text and "wrong_turn" in text
    assert "<script src" not in text and '<link rel="stylesheet" href' not in text
    assert run("diagnose", many, "--page", tmp_path / "no" / "page.html").status == 2


def test_an_error_leaves_the_file_that_was_there(run, one, tmp_path):
    out = tmp_path / "out.jsonl"
    out.write_text("mine")
    assert run("diagnose", one, "-M", "contrast", "--run", "nobody", "-o", out).status == 2
    assert out.read_text() == "mine"
    assert run("diagnose", one, "-o", one).status == 2
    assert run("diagnose", one, "-o", tmp_path / "no" / "out.jsonl").status == 2


def test_more_runs_than_are_under_way_at_a_time(run, tmp_path):
    path = save(tmp_path / "a.jsonl", *(attempt(f"g{i}", f"r{i}", 0, "go", "stop") for i in range(40)))
    out = tmp_path / "out.jsonl"
    ran = run("diagnose", path, "-M", "last_step", "--at-once", 3, "-o", out, "--json")
    assert ran.status == 1, ran.err
    assert [r["rollout"] for r in ran.json()["runs"]] == [f"r{i}" for i in range(40)]
    assert [(r.rollout, r.blame[0].step) for r in Reading(str(out))] == [(f"r{i}", 1) for i in range(40)]


# options


def test_an_option_goes_to_the_methods_that_have_it(run, one):
    ran = run("diagnose", one, "-M", "contrast", "-M", "last_step", "--set", "prior=3", "--json")
    assert ran.status == 1
    assert run("diagnose", one, "-M", "contrast", "-s", "contrast.prior=3", "--json").json() == {
        **ran.json(),
        "methods": ["contrast"],
        "runs": [{**r, "verdicts": r["verdicts"][:1]} for r in ran.json()["runs"]],
    }
    wrong = run("diagnose", one, "-M", "contrast", "--set", "priro=3")
    assert wrong.status == 2 and "prior" in wrong.err


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("-M", "contras"), "'contrast'"),
        (("--fail-on", "often"), "found, unknown, never"),
        (("--with", "judge=x.py:f"), "--with judge"),
        (("-M", "all_at_once"), "--judge-server"),
        (("--normalize", "case"), "--states"),
    ],
)
def test_wrong_options_say_what_is_right(run, one, argv, said):
    ran = run("diagnose", one, *argv)
    assert ran.status == 2 and said in ran.err and ran.out == ""


def test_states_can_be_made_of_observations(run, tmp_path):
    def chat(name, outcome, first, second):
        steps = [{"text": first, "observation": "at the shelf"}, {"text": second, "observation": "end"}]
        return {"group": "g", "rollout": name, "outcome": outcome, "steps": steps}

    rows = [chat("bad", 0, "I walk there", "I leave"), *(chat(f"ok{i}", 1, f"walk {i}", "I take it") for i in range(3))]
    path = save(tmp_path / "a.jsonl", *rows)
    asked = ("diagnose", path, "-M", "contrast", "--run", "bad")
    assert run(*asked, "--states", "none").status == 0  # no beginning is like another
    for given in ((), ("--states", "last")):
        ran = run(*asked, *given, "-o", tmp_path / "out.jsonl")
        assert ran.status == 1 and "step 1 (the 2nd of 2)" in ran.out
        assert "state: last observation" in ran.err
        assert all(
            "state" not in step
            for row in map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())
            for step in row["steps"]
        )


def test_a_method_of_yours(run, one, tmp_path):
    (tmp_path / "mine.py").write_text(
        "import numpy as np\n"
        "from stepcredit.diagnose import Verdict\n"
        "from stepcredit.shelf import PlanCard\n"
        "none = dict.fromkeys(('title', 'paper', 'bibtex', 'needs', 'cost', 'departures'), '')\n"
        "CARD = PlanCard(evidence='derived', asks=(), **none)\n"
        "def mine(case, *, at: int = 0):\n"
        "    odd = {'a': np.bool_(True), 'b': np.arange(2), 'c': float('nan'), 4: {'d': (1, None)}, 'e': np}\n"
        f"    told = dict(step=at, reason={HOSTILE!r}, error={HOSTILE!r}, evidence=odd)\n"
        "    return Verdict('found', np.ones(len(case.steps)), **told)\n"
    )
    ran = run("diagnose", one, "-M", tmp_path / "mine.py", "-s", "at=2", "-o", tmp_path / "out.jsonl")
    (blame,) = next(iter(Reading(str(tmp_path / "out.jsonl")))).blame
    assert blame.evidence.pop("e").startswith("<module 'numpy'")
    assert blame.evidence == {"a": True, "b": [0, 1], "c": None, "4": {"d": [1, None]}}
    assert ran.status == 1 and "step 2 (the 3rd of 3)" in ran.out
    assert not {"\x1b", "\x07", "\x9b", "\u202e", "\x00", "\r"} & set(ran.out)


# models


def test_a_judge_over_http_is_asked_once_for_ever(run, one, served, tmp_path):
    url, asked = served
    out = tmp_path / "out.jsonl"
    given = ("-M", "all_at_once", "--judge-server", url, "-o", out, "--json")
    ran = run("diagnose", one, *given)
    assert ran.status == 1, ran.err
    (verdict,) = ran.json()["runs"][0]["verdicts"]
    assert (verdict["step"], verdict["agent"], verdict["error"], verdict["reason"]) == (
        1,
        "B",
        "wrong_tool",
        "it let go",
    )
    assert ran.json()["spent"]["calls"] == 1 and len(asked) == 1
    assert f"{out}.calls.sqlite" in ran.err and "spent: " in ran.err
    again = run("diagnose", one, *given)
    assert again.json()["runs"] == ran.json()["runs"] and len(asked) == 1


def test_answers_are_kept_here_where_nothing_is_written(run, one, served, tmp_path):
    url, asked = served
    for _ in range(2):
        assert run("diagnose", one, "-M", "all_at_once", "--server", url).status == 1
    assert len(asked) == 1 and (tmp_path / "one.jsonl.calls.sqlite").exists()


def test_a_budget_that_is_spent_leaves_the_rest_unknown(run, many, served):
    url, asked = served
    ran = run("diagnose", many, "-M", "all_at_once", "--judge-server", url, "--budget", "2calls", "--json")
    assert ran.status == 1 and len(asked) == 2
    told = ran.json()
    assert (told["counts"]["found"], told["counts"]["unknown"]) == (2, 4)
    assert "budget" in told["runs"][-1]["verdicts"][0]["reason"]


def test_replay_by_a_sampler_and_a_verifier(run, tmp_path):
    (tmp_path / "mine.py").write_text(
        "from stepcredit.protocols import Sample\n"
        "def go_on(prompts, *, n, **setting):\n"
        "    return [[Sample('Answer: 5' if 'wrong' in p else 'Answer: 4')] * n for p in prompts]\n"
    )
    steps = [{"text": text} for text in ("2 + 2", "that is wrong", "Answer: 5")]
    row = {"group": "g", "rollout": "r", "outcome": 0, "task": "2 + 2 = ?", "gold": "4", "steps": steps}
    given = ("-M", "counterfactual_replay", "--verifier", "number", "--set", "n=8")
    ran = run("diagnose", save(tmp_path / "a.jsonl", row), *given, "--with", "sampler=mine.py:go_on")
    assert ran.status == 1, ran.err
    assert "  step 1 (the 2nd of 3)" in ran.out and "8 of 8" in ran.out and "0 of 8" in ran.out
    told = run("diagnose", "a.jsonl", *given, "--dry-run", "--json").json()
    assert told["most"]["samples"] == 24 and told["most"]["checks"] == 24


def test_a_dry_run_says_the_cost_and_asks_nobody(run, many, tmp_path):
    ran = run("diagnose", many, "-M", "step_by_step", "--dry-run")
    assert ran.status == 0 and ran.out.splitlines()[0] == "what\tat least\tat most"
    assert "6 runs would be diagnosed" in ran.err
    told = run("diagnose", many, "-M", "step_by_step", "-M", "binary_search", "--dry-run", "--json").json()
    assert told["runs"] == 6
    assert 12 <= told["least"]["calls"] < told["most"]["calls"] <= 6 * (3 + 2) * 2
    free = run("diagnose", many, "-M", "contrast", "--dry-run")
    assert free.status == 0 and "nobody would be asked anything" in free.err
    assert {p.name for p in tmp_path.iterdir()} == {"many.jsonl"}


# inputs


def test_hostile_text_drives_no_terminal(run, tmp_path):
    rows = [
        {
            "group": f"g{HOSTILE}",
            "rollout": f"r{HOSTILE}",
            "task": HOSTILE,
            "outcome": 0,
            "steps": [
                {
                    "agent": f"A{HOSTILE}",
                    "text": HOSTILE,
                    "tool_calls": [{"name": f"t{HOSTILE}", "arguments": {HOSTILE: HOSTILE}, "id": "1"}],
                    "observation": f"Error: {HOSTILE}",
                    "replies": [{"role": "tool", "call": "1", "error": True}],
                }
            ],
        }
    ]
    for count in (1, 6):
        path = save(tmp_path / "a.jsonl", *(rows[0] | {"rollout": f"{i}{HOSTILE}"} for i in range(count)))
        ran = run("diagnose", path, "-M", "last_step")
        assert ran.status == 1, ran.err
        assert not {"\x1b", "\x07", "\x9b", "\u202e", "\x00", "\r"} & set(ran.out + ran.err)
        assert "red evil <script>alert(1)</script>" in ran.out
        assert run("diagnose", path, "-M", "last_step", "--json").out.isascii()


def test_unicode_and_long_texts_are_quoted_whole_or_cut_in_the_middle(run, tmp_path):
    long = "Anfang " + "x" * 10**6 + " Ende: ValueError"
    steps = [{"text": "日本語 – naïve 🙂"}, {"text": long}]
    path = save(tmp_path / "a.jsonl", {"group": "g", "rollout": "é", "outcome": 0, "steps": steps})
    ran = run("diagnose", path, "-M", "last_step")
    (quote,) = [line for line in ran.out.splitlines() if line.startswith("    says: ")]
    assert quote.startswith("    says: Anfang xxx") and quote.endswith(" Ende: ValueError") and len(quote) < 300
    first = run("diagnose", path, "-M", "constant", "-s", "step=0")
    assert "    says: 日本語 – naïve 🙂" in first.out


def test_runs_of_one_step_and_of_none(run, tmp_path):
    rows = [attempt("g", "one", 0, "go"), {"group": "g", "rollout": "none", "outcome": 0, "steps": []}]
    ran = run("diagnose", save(tmp_path / "a.jsonl", *rows), "-M", "last_step", "--json")
    assert ran.status == 1
    counts = ran.json()["counts"]
    assert (counts["runs"], counts["without_steps"], counts["diagnosed"]) == (2, 1, 1)
    assert "1 of 2 rollouts have no steps" in ran.err
    alone = run("diagnose", save(tmp_path / "b.jsonl", rows[1]))
    assert alone.status == 0 and alone.out == "No run to diagnose.\n"


def test_what_is_no_trace_is_an_error_and_can_be_skipped(run, tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in of_a_task("cups")) + '{"group": 3\n')
    ran = run("diagnose", path, "-M", "contrast")
    assert ran.status == 2 and "row 5" in ran.err and ran.out == ""
    skipped = run("diagnose", path, "-M", "contrast", "--on-error", "skip")
    assert skipped.status == 1 and "skipped 1 of 5 rows" in skipped.err
    (tmp_path / "empty.jsonl").touch()
    for other in ("empty.jsonl", "nowhere.jsonl"):
        assert run("diagnose", tmp_path / other).status == 2


def test_standard_input(run, one):
    ran = run("diagnose", "-", "-M", "contrast", stdin=one.read_bytes())
    assert ran.status == 1 and "step 1 (the 2nd of 3)" in ran.out


def test_real_traces_of_an_airline_agent(run, data, tmp_path):
    out = tmp_path / "out.jsonl"
    ran = run("diagnose", data / "tau_airline" / "gpt4o_airline.jsonl.gz", "--json", "-o", out)
    assert ran.status == 1, ran.err
    told = ran.json()
    assert told["counts"]["runs"] == 100 and told["counts"]["diagnosed"] == told["counts"]["failed"] == len(
        told["runs"]
    )
    assert {r["name"] for r in told["rates"]["kind"]} <= {"tool call", "message", "answer", "code", "action", "empty"}
    assert sum(c["size"] for c in told["clusters"]) == told["counts"]["found"] > 0
    assert sum(bool(r.blame) for r in Reading(str(out))) > 0


# the suite


def test_the_suite_runs_from_the_command_line(run, monkeypatch):
    monkeypatch.delenv("STEPCREDIT_DATA", raising=False)
    ran = run("bench", "diagnose", "--quick", "--seeds", 2, "-M", "contrast", "--json")
    assert ran.status == 0, ran.err
    told = ran.json()
    assert told["suite"] == "diagnose" and {row["part"] for row in told["rows"]} == {"planted"}
    assert all(0 <= row["exact_interval"][0] <= row["exact"] <= row["exact_interval"][1] <= 1 for row in told["rows"])
    assert run("bench", "diagnose", "--quick", "-M", "contras").status == 2
