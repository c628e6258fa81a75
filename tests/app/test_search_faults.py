"""`stepcredit search` with arguments, files and verifiers that are wrong: it says so, and no file is lost."""

import json

import pytest
from cli_runner import runner

from conftest import skip_or_fail
from stepcredit.llm.scripted import Scripted


@pytest.fixture
def run(monkeypatch, capsys):
    return runner(monkeypatch, capsys)


@pytest.fixture(scope="module")
def url():
    try:
        import aiohttp  # noqa: F401
    except ImportError:
        skip_or_fail("http", "aiohttp is not installed")
    from stepcredit.llm.server import over_sampler, running

    with running(over_sampler(Scripted({"": "Answer: 4"}).sampler), models=["scripted"]) as url:
        yield url


@pytest.fixture
def tasks(tmp_path):
    path = tmp_path / "tasks.jsonl"
    path.write_text('{"prompt": "2+2=?", "reference": "4"}\n')
    return path


def search(run, tasks, url, *more):
    return run("search", tasks, "-p", "majority", "--set", "n=1", "--server", url, *more)


@pytest.mark.parametrize(
    ("more", "match"),
    [
        (["--ends", "("], "--ends '(' is no pattern"),
        (["--separator", ""], "--separator is empty"),
        (["--limit", "calls=nan"], "expected KIND=NUMBER, 0 or more"),
        (["--limit", "calls=-1"], "expected KIND=NUMBER, 0 or more"),
        (["--temperature", "inf"], "a temperature of inf"),
    ],
)
def test_an_argument_that_cannot_be_is_told(run, tasks, url, tmp_path, more, match):
    ran = search(run, tasks, url, "-o", tmp_path / "a.jsonl", *more)
    assert ran.status == 2 and match in ran.err and "bug" not in ran.err
    assert not (tmp_path / "a.jsonl").exists()


@pytest.mark.parametrize(
    ("files", "match"),
    [
        ({"-o": "tasks.jsonl"}, "is both what is read and output"),
        ({"-o": "a.jsonl", "--trace": "a.jsonl"}, "is both output and trees"),
        ({"-o": "a.jsonl", "--store": "a.jsonl"}, "is both output and store"),
        ({"-o": "a.jsonl", "--store": "./tasks.jsonl"}, "is both what is read and store"),
    ],
)
def test_no_file_takes_the_place_of_another(run, tasks, url, tmp_path, files, match):
    before = tasks.read_bytes()
    ran = search(run, tasks, url, *(x for k, v in files.items() for x in (k, tmp_path / v)))
    assert ran.status == 2 and match in ran.err
    assert [p.name for p in tmp_path.iterdir()] == ["tasks.jsonl"] and tasks.read_bytes() == before


@pytest.mark.parametrize(
    ("body", "match"),
    [
        ("return None", "the verifier gave NoneType; expected a list"),
        ("return []", "0 replies to 1 request"),
        ("return ['yes']", "the verifier gave 'yes'; expected a number"),
    ],
)
def test_a_verifier_that_says_no_number_is_told(run, tasks, url, tmp_path, body, match):
    (tmp_path / "v.py").write_text(f"def check(answers, references):\n    {body}\n")
    ran = search(run, tasks, url, "-o", tmp_path / "a.jsonl", "--verifier", f"{tmp_path / 'v.py'}:check")
    assert ran.status == 2 and match in ran.err and "bug" not in ran.err


@pytest.mark.parametrize("said", ["2.0", "float('inf')", "float('nan')", "-1"])
def test_a_verdict_that_is_no_share_counts_nowhere(run, tasks, url, tmp_path, said):
    (tmp_path / "v.py").write_text(f"def check(answers, references):\n    return [{said}]\n")
    output = tmp_path / "a.jsonl"
    ran = search(run, tasks, url, "-o", output, "--verifier", f"{tmp_path / 'v.py'}:check", "--json")
    assert ran.json()["checked"] == 0 and ran.json()["accuracy"] is None
    assert json.loads(output.read_text())["right"] is None


def test_nothing_answered_is_an_error_and_leaves_the_old_file(run, tmp_path):
    (tmp_path / "tasks.jsonl").write_text('{"prompt": "2+2?"}\n')
    (tmp_path / "dead.py").write_text("def sample(prompts, **_):\n    return [None] * len(prompts)\n")
    (tmp_path / "answers.jsonl").write_text("mine\n")
    given = ("--with", f"sampler={tmp_path}/dead.py:sample", "-o", tmp_path / "answers.jsonl")
    ran = run("search", tmp_path / "tasks.jsonl", "-p", "majority", *given)
    assert ran.status == 2 and "nothing was answered" in ran.err and "did not answer" in ran.err
    assert (tmp_path / "answers.jsonl").read_text() == "mine\n"
