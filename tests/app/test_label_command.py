"""`stepcredit label`: over HTTP against a model whose truth is known; killed and begun again; audited and combined."""

import io
import json
import signal
import time

import pytest
from cli_runner import runner, save, started

from conftest import skip_or_fail
from stepcredit.data import write
from stepcredit.envs import game24
from stepcredit.label.rows import read_labels, rows

POLICY = game24.Policy(skill=4.0)
PUZZLES = [p for p in game24.puzzles() if game24.solvable(p)][:60:5]


@pytest.fixture
def run(monkeypatch, capsys):
    return runner(monkeypatch, capsys)


@pytest.fixture
def runs(tmp_path):
    """Rollouts of twelve puzzles, whose references are the puzzles."""
    write(game24.batch(PUZZLES, 3, POLICY, 1), tmp_path / "runs.jsonl")
    return tmp_path / "runs.jsonl"


@pytest.fixture
def served():
    """(URL of the policy that made them, prompts that reached it)."""
    try:
        import aiohttp  # noqa: F401
    except ImportError:
        skip_or_fail("http", "aiohttp is not installed")
    from stepcredit.llm.server import over_sampler, running
    from stepcredit.llm.tabular import Tabular

    model, asked = Tabular(POLICY), []

    def sampler(prompts, *, seed=None, **setting):
        asked.extend(prompts)
        return model.sampler(prompts, seed=seed, **setting)

    with running(over_sampler(sampler, read=model.read), models=["tabular"]) as url:
        yield url, asked


def labelled(run, runs, url, output, *more):
    given = ("--method", "math_shepherd", "--server", url, "--verifier", "game24", "-o", output)
    return run("label", runs, *given, *more)


def test_labels_over_http_are_near_the_truth_and_again_nobody_is_asked(run, runs, served, tmp_path):
    url, asked = served
    output = tmp_path / "labels.jsonl"
    ran = labelled(run, runs, url, output)
    assert ran.status == 0, ran.err
    assert f"{output}.calls.sqlite" in ran.err and "spent: " in ran.err
    first, number = output.read_bytes(), len(asked)
    assert number > 50
    assert labelled(run, runs, url, output).status == 0
    assert output.read_bytes() == first and len(asked) == number
    made = list(rows(output))
    assert [r.group for r in made] == [p for p in PUZZLES for _ in range(3)]
    told = made[0].provenance
    assert told["system"] == "math_shepherd" and told["options"]["n"] == 8
    assert told["models"] == {"sampler": {"model": "tabular", "url": url}, "verifier": "game24"}
    scores = run("label", "audit", output, "--truth", "game24", "--json").json()["scores"]
    others = ("always right", "majority", "constant position", "random")
    assert scores["labels.jsonl"]["f1"]["value"] > max(scores[n]["f1"]["value"] for n in others)
    assert scores["labels.jsonl"]["auroc"]["value"] > 0.8


def test_a_budget_is_kept_and_a_larger_one_goes_on(run, runs, served, tmp_path):
    url, asked = served
    part, whole = tmp_path / "part.jsonl", tmp_path / "whole.jsonl"
    ran = labelled(run, runs, url, part, "--budget", "10calls", "--json")
    assert ran.status == 0 and len(asked) <= 10
    told = ran.json()
    assert 0 < told["judged"] < told["steps"] and told["spent"]["calls"] <= 10
    assert any("budget of 10 calls" in why for why in told["not_judged_because"])
    assert labelled(run, runs, url, part).status == 0
    number = len(asked)
    assert labelled(run, runs, url, whole).status == 0
    assert part.read_bytes() == whole.read_bytes()
    assert number == len(asked) - number


def test_killed_and_begun_again_it_goes_on_without_asking_again(run, runs, served, tmp_path):
    url, asked = served
    output, other = tmp_path / "labels.jsonl", tmp_path / "other.jsonl"
    given = ("--method", "math_shepherd", "--server", url, "--verifier", "game24", "--at-once", 1, "-s", "n=64")
    process = started("label", runs, *given, "-o", output)
    while len(asked) < 15 and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL and not output.exists()
    before = len(asked)
    ran = run("label", runs, *given, "-o", output)
    assert ran.status == 0, ran.err
    number = len(asked)
    assert run("label", runs, *given, "-o", other).status == 0
    assert output.read_bytes() == other.read_bytes()
    once = len(asked) - number
    assert before < once
    assert number - once <= 4  # those under way at the kill


def test_a_dry_run_asks_nobody_and_says_what_it_assumes(run, runs, tmp_path):
    ran = run("label", runs, "--method", "math_shepherd", "--verifier", "game24", "--dry-run")
    assert ran.status == 0 and ran.out.splitlines()[0] == "what\texpected\tat most"
    assert "is right with a chance of" in ran.err
    told = run("label", runs, "-M", "math_shepherd@first-zero", "--dry-run", "--rate", 0.5, "--json").json()
    assert 0 < told["mean"]["calls"] < told["most"]["calls"] and told["rate"] == 0.5
    assert {p.name for p in tmp_path.iterdir()} == {"runs.jsonl"}


def test_functions_of_yours_in_place_of_a_server(run, runs, tmp_path):
    mine = tmp_path / "mine.py"
    mine.write_text(
        "from stepcredit.protocols import Sample\n"
        "def go_on(prompts, *, n, **setting):\n"
        "    return [[Sample('Answer: no solution')] * n for _ in prompts]\n"
        "def right(answers, references):\n"
        "    return [1.0 for _ in answers]\n"
    )
    output = tmp_path / "labels.parquet"
    ran = run("label", "run", runs, "-M", "math_shepherd", "--with", f"sampler={mine}:go_on", "--verifier",
              f"{mine}:right", "-o", output, "--after", "cut", "--json")  # fmt: skip
    assert ran.status == 0, ran.err
    assert ran.json()["spent"] == {} and ran.json()["judged"] == ran.json()["steps"]
    for one in read_labels(output):
        assert one.won[:-1].tolist() == [8] * (len(one) - 1)
        assert one.first_error in (-1, len(one) - 1)


def test_the_judge_may_be_on_another_server(run, runs, served, tmp_path):
    from stepcredit.llm.scripted import Scripted
    from stepcredit.llm.server import over_sampler, running

    url, asked = served
    judge, output = Scripted({"": "<first_wrong>1</first_wrong>"}), tmp_path / "labels.jsonl"
    with running(over_sampler(judge.sampler), models=["wise", "other"]) as other:
        given = ("--judge-server", other, "--judge-model", "wise", "--server", url, "--verifier", "game24")
        ran = run("label", runs, "-M", "label/qwen_prm_lessons", *given, "-o", output, "--json")
        assert ran.status == 0, ran.err
        same = ("--server", url, "--verifier", "game24", "--with", f"judge={other}#wise")
        again = run("label", runs, "-M", "qwen_prm_lessons", *same, "-o", tmp_path / "again.jsonl")
    assert again.status == 0 and (tmp_path / "again.jsonl").read_bytes() == output.read_bytes()
    assert judge.asked and asked
    told = ran.json()
    assert told["asked"]["judge"] == 36 and 0 < told["judged"] <= told["steps"]
    models = next(rows(output)).provenance["models"]
    assert (models["judge"]["model"], models["sampler"]["model"]) == ("wise", "tabular")


def test_what_nobody_asks_for_is_refused(run, runs, tmp_path):
    (tmp_path / "mine.py").write_text("def ask(prompts):\n    return prompts\n")
    ran = run("label", runs, "-M", "math_shepherd", "--with", f"judge={tmp_path}/mine.py:ask", "--dry-run")
    assert ran.status == 2 and "math_shepherd asks a sampler, a verifier" in ran.err


def test_rows_for_trl_hold_three_columns(run, runs, tmp_path):
    mine = tmp_path / "mine.py"
    mine.write_text("def go_on(prompts, **setting):\n    return [None] * len(prompts)\n")
    output = tmp_path / "trl.jsonl"
    given = ("-M", "math_shepherd", "--with", f"sampler={mine}:go_on", "--verifier", "game24", "-o", output)
    assert run("label", runs, *given, "--trl").status == 2
    ran = run("label", runs, *given)
    assert ran.status == 0 and "the sampler did not answer" in ran.err
    trl = tmp_path / "b.jsonl"
    assert run("label", "combine", output, "-o", trl, "--trl").status == 2


def test_tasks_that_are_not_together_are_labelled_together(run, tmp_path):
    steps = [{"text": "a"}, {"text": "b"}]
    made = [
        {"group": g, "rollout": i, "task": g, "outcome": i, "answer": "1", "steps": steps} for i in (0, 1) for g in "pq"
    ]
    runs = save(tmp_path / "mixed.jsonl", *made)
    mine = tmp_path / "mine.py"
    mine.write_text(
        "from stepcredit.protocols import Sample\n"
        "def go_on(prompts, *, n, **setting):\n    return [[Sample('1')] * n for _ in prompts]\n"
    )
    output = tmp_path / "labels.jsonl"
    ran = run(
        "label", runs, "-M", "math_shepherd", "--with", f"sampler={mine}:go_on", "--verifier", "number", "-o", output
    )
    assert ran.status == 0, ran.err
    assert [(r.group, r.rollout) for r in rows(output)] == [("p", 0), ("p", 1), ("q", 0), ("q", 1)]


@pytest.mark.parametrize(
    "more, text",
    [
        (("-o", "x.jsonl"), "--server URL, or --with sampler=FILE.py:FUNCTION"),
        (("--server", "http://127.0.0.1:9/v1", "-o", "x.jsonl"), "--verifier NAME"),
        (("--verifier", "game25", "-o", "x.jsonl"), "no verifier named 'game25'"),
        (("--after", "keep"), "one of: local, cut, mask, negative"),
        ((), "labels cost calls"),
        (("--with", "sampler=mine.py:ask", "-o", "x.jsonl"), "no Python file 'mine.py'"),
        (("--server", "http://127.0.0.1:9/v1", "--verifier", "game24", "-o", "x.jsonl"), "name it: --model NAME"),
        (("-o", "x.csv"), "does not say what to write"),
        (("-s", "k=3", "-o", "x.jsonl"), "no option of math_shepherd named 'k'"),
        (
            ("--server", "http://127.0.0.1:9/v1", "--verifier", "game24", "--budget", "much", "-o", "x.jsonl"),
            "no part of",
        ),
    ],
)
def test_errors_say_what_to_do_before_anything_is_asked(run, runs, monkeypatch, tmp_path, more, text):
    monkeypatch.chdir(tmp_path)
    ran = run("label", runs, "-M", "math_shepherd", *more)
    assert ran.status == 2 and text in ran.err
    assert {p.name for p in tmp_path.iterdir()} <= {"runs.jsonl", "x.jsonl.calls.sqlite"}


def test_an_unknown_method_names_those_there_are(run, runs):
    ran = run("label", runs, "-M", "math_shepard", "--dry-run")
    assert ran.status == 2 and "math_shepherd" in ran.err


def row(i, labels, **more):
    steps = [f"s{t}" for t in range(len(labels))]
    return {"group": f"p{i // 2}", "rollout": i, "prompt": "Q", "completions": steps, "labels": labels, **more}


@pytest.fixture
def two(tmp_path):
    """Two label sets of eight solutions that differ in two, and the truth, which is the first."""
    one = [row(i, [True, i % 2 == 0, True][: 2 + i % 2], outcome=float(i % 3 == 0)) for i in range(8)]
    other = [row(i, r["labels"] if i > 1 else [False] * len(r["labels"])) for i, r in enumerate(one)]
    return [
        save(tmp_path / name, *made)
        for name, made in (("labels.jsonl", one), ("other.jsonl", other), ("gold.jsonl", one))
    ]


def test_an_audit_shows_scores_baselines_noise_and_agreement(run, two):
    ran = run("label", "audit", *two[:2], "--truth", two[2], "--draws", 50)
    assert ran.status == 0, ran.err
    for text in ("always right", "constant position", "labels.jsonl - other.jsonl", "true first error", "kappa"):
        assert text in ran.out
    told = run("label", "audit", *two[:2], "--truth", two[2], "--draws", 50, "--json").json()
    assert told["scores"]["other.jsonl"]["first_error"]["value"] == 0.75
    assert run("label", "audit", *two[:2], "--json", "--draws", 20).json()["agreement"]
    assert run("label", "audit", two[0]).status == 2


def test_combine_keeps_what_agrees_and_counts_the_rest(run, two, tmp_path):
    output = tmp_path / "both.jsonl"
    told = run("label", "combine", *two[:2], "--how", "consensus", "--after", "cut", "-o", output, "--json").json()
    assert told == {"rows": 8, "kept": 6, "dropped": {"annotators disagree on the first error": 2}}
    made = list(rows(output))
    assert [r.rollout for r in made] == list(range(2, 8)) and made[0].provenance["combined"] == "consensus"
    trl = tmp_path / "trl.jsonl"
    ran = run("label", "combine", two[0], "--band", "0.1:0.9", "--balance", "binary", "--distinct", "--trl", "-o", trl)
    assert ran.status == 0 and set(json.loads(trl.read_text().splitlines()[0])) == {"prompt", "completions", "labels"}
    assert ran.out.splitlines() == ["rows\twhat", "6\tkept", "2\ttask too hard"]
    assert run("label", "combine", *two[:2], "--how", "best", "-o", output).status == 2
    assert run("label", "combine", two[0], "--how", "mean", "-o", output).status == 2
    assert run("label", "combine", two[0], "--band", "x", "-o", output).status == 2


@pytest.mark.parametrize("command", ["", "run", "audit", "combine"])
def test_the_examples_in_the_help_run(run, runs, two, command, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    shown = " ".join(run("label", *command.split(), "--help").out.split())
    argv = shown.partition("Example: stepcredit ")[2].partition(" Arguments:")[0].partition(" Options:")[0].split()
    ran = run(*argv)
    assert ran.status == 0, ran.err


def test_at_a_terminal_it_says_how_far_it_is_and_what_is_spent(monkeypatch):
    from rich.console import Console

    from stepcredit.app import _label_watch
    from stepcredit.llm.budget import Budget, Use

    budget, shown = Budget(calls=10), io.StringIO()
    monkeypatch.setattr(_label_watch, "err", Console(file=shown, force_terminal=True, width=150))
    with _label_watch.watched(4, budget) as advance:
        budget.charge(Use(3, 20, 10))
        advance(2, 7)
    assert "7 labels" in shown.getvalue() and "3 calls" in shown.getvalue() and "of 10 calls" in shown.getvalue()
    monkeypatch.setattr(_label_watch, "err", Console(file=(quiet := io.StringIO())))
    with _label_watch.watched(4, budget) as advance:
        advance(2, 7)
    assert quiet.getvalue() == ""


def test_labels_take_the_place_of_no_file_that_is_read(run, runs, served, tmp_path):
    url, _ = served
    before = runs.read_bytes()
    assert "is both what is read and output" in labelled(run, runs, url, runs).err
    ran = labelled(run, runs, url, tmp_path / "l.jsonl", "--store", tmp_path / "l.jsonl")
    assert ran.status == 2 and "is both output and store" in ran.err
    assert [p.name for p in tmp_path.iterdir()] == ["runs.jsonl"] and runs.read_bytes() == before


def test_nothing_judged_is_an_error_and_leaves_the_old_file(run, runs, served, tmp_path):
    url, _ = served
    output = tmp_path / "labels.jsonl"
    output.write_text("mine\n")
    ran = run("label", runs, "-M", "math_shepherd", "--server", url, "--verifier", "number", "-o", output)
    assert ran.status == 2 and "nothing was judged: there is no reference answer" in ran.err
    assert "--reference FIELD" in ran.err and output.read_text() == "mine\n"


def test_empty_completions_are_told(run, runs, tmp_path):
    (tmp_path / "mute.py").write_text(
        "from stepcredit.protocols import Sample\n"
        "def sample(prompts, *, n=1, **_):\n    return [[Sample('')] * n for _ in prompts]\n"
    )
    given = ("--with", f"sampler={tmp_path}/mute.py:sample", "--verifier", "game24", "-o", tmp_path / "labels.jsonl")
    ran = run("label", runs, "-M", "math_shepherd", *given)
    assert ran.status == 0 and "completions are empty: does the model understand the prompt?" in ran.err


def test_a_system_of_a_file_labels(run, runs, tmp_path):
    (tmp_path / "halfway.py").write_text(
        "from stepcredit.shelf import PlanCard\n"
        "CARD = PlanCard(title='Half', paper='ours', bibtex='', evidence='derived', asks=(), needs='', cost='',"
        " departures='')\n"
        "def halfway(work, *, right: float = 1.0):\n    yield []\n"
        "    return work.labels(label=[right] * len(work.steps))\n"
    )
    output = tmp_path / "labels.jsonl"
    ran = run("label", runs, "-M", tmp_path / "halfway.py", "-s", "right=0", "-o", output, "--json")
    assert ran.status == 0, ran.err
    assert ran.json()["right"] == 0 and ran.json()["judged"] == ran.json()["steps"] > 0


def test_money_needs_a_price(run, runs, served, tmp_path):
    url, _ = served
    given = ("--server", url, "--verifier", "game24", "-o", tmp_path / "labels.jsonl", "--budget", "0.00001usd")
    ran = run("label", runs, "-M", "math_shepherd", *given)
    assert ran.status == 2 and "--price 0.15,0.6" in ran.err
    ran = run("label", runs, "-M", "math_shepherd", *given, "--price", "1000,1000")
    assert ran.status == 2 and "the budget of 1e-05 money is spent" in ran.err
    assert "expected READ,WRITTEN" in run("label", runs, "-M", "math_shepherd", *given, "--price", "cheap").err


def test_rows_that_trl_cannot_have_are_counted_by_combine(run, runs, tmp_path):
    (tmp_path / "none.py").write_text(
        "from stepcredit.shelf import PlanCard\n"
        "CARD = PlanCard(title='', paper='', bibtex='', evidence='derived', asks=(), needs='', cost='',"
        " departures='')\n"
        "def none(work):\n    yield []\n"
        "    return work.labels(label=[1.0 if work.outcome else float('nan')] * len(work.steps))\n"
    )
    labels = tmp_path / "labels.jsonl"
    assert run("label", runs, "-M", tmp_path / "none.py", "-o", labels).status == 0
    told = run("label", "combine", labels, "--trl", "-o", tmp_path / "trl.jsonl", "--json").json()
    written = (tmp_path / "trl.jsonl").read_text().count("\n")
    assert told["kept"] == written < told["rows"] and sum(told["dropped"].values()) == told["rows"] - written
