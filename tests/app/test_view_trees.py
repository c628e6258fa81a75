"""Trees in the inspector: files of any length and quality as the answers of the page, kinds of files, `--trees`."""

import gzip
import json
from pathlib import Path

import pytest
from cli_runner import runner
from view_kit import HOSTILE, full, needed, save

from conftest import skip_or_fail
from stepcredit.app.view import _tree_files, looking
from stepcredit.app.view import trees as makers
from stepcredit.app.view.answers import Head
from stepcredit.app.view.export import export
from stepcredit.app.view.kinds import kinds_of_files
from stepcredit.app.view.looking import Looking
from stepcredit.app.view.memory import Memory
from stepcredit.app.view.rows import part
from stepcredit.data import Batch, write
from stepcredit.data.records import Rollout, Step
from stepcredit.data.redact import Redactor
from stepcredit.envs import game24

EMPTY = Memory([], Head(title="none"))


@pytest.fixture
def run(monkeypatch, capsys):
    return runner(monkeypatch, capsys)


def row(nodes, **more):
    return {"tree": 1, "kind": "search", "system": "beam", "task": "t", "nodes": nodes, **more}


def node(k, parent, text="", **more):
    return {"node": k, "parent": parent, "text": text, **more}


@pytest.fixture
def put(tmp_path):
    """Writes rows (texts as they are) into a file."""

    def save_(*rows, name="trees.jsonl", end="\n"):
        path = tmp_path / name
        lines = "\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows)
        path.write_text(lines + end, "utf-8")
        return path

    return save_


def only(path, k=0):
    found = makers.tree(EMPTY, [path], f"f0-{k}")
    assert found is not None
    return found


def outline(found):
    return [(n["name"], n["depth"], n["parent"]) for n in found["nodes"]]


def test_trees_are_listed_by_file_and_place_with_kind_title_and_size(put):
    first = put(
        row([node(0, None), node(1, 0)], prompt="Add\nthem up."),
        row([node(0, None)], kind="label", system=None, rollout="t/0"),
    )
    second = put(row([], task="", prompt=""), name="b.jsonl")
    assert makers.trees(None, [first, second]) == [
        {
            "id": "f0-0",
            "kind": "search",
            "title": "Add them up.",
            "nodes": 2,
            "source": "trees.jsonl",
            "system": "beam",
            "rollout": None,
        },
        {
            "id": "f0-1",
            "kind": "label",
            "title": "t",
            "nodes": 1,
            "source": "trees.jsonl",
            "system": None,
            "rollout": "t/0",
        },
        {
            "id": "f1-0",
            "kind": "search",
            "title": "tree",
            "nodes": 0,
            "source": "b.jsonl",
            "system": "beam",
            "rollout": None,
        },
    ]


def test_nodes_come_from_the_root_down_and_the_chosen_path_is_told(put):
    nodes = [node(0, None), node(1, 0, "a"), node(2, 0, "b"), node(3, 1, "aa"), node(4, 2, "bb", ended=True)]
    found = only(put(row(nodes, chosen=4, answer="bb", spent={"calls": 3})))
    assert outline(found) == [(0, 0, None), (1, 1, 0), (3, 2, 1), (2, 1, 0), (4, 2, 3)]
    assert found["path"] == [0, 3, 4] and found["cut"] == 0
    assert found["facts"] == {"system": "beam", "answer": "bb", "spent": {"calls": 3}}
    assert [n["chosen"] for n in found["nodes"]] == [False] * 4 + [True]


def test_what_is_known_of_a_node_is_told_and_what_is_not_is_none(put):
    nodes = [
        node(0, None, score=0.25, status="failed", reason="no number"),
        node(1, 0, "x", score=0.25, value=0.5, visits=4, outcome=1.0, ended=True, kept=False, observation="seen"),
        node(2, 0, value="high", visits=True, status="odd", facts=[1]),
    ]
    first, second, third = only(put(row(nodes)))["nodes"]
    assert first["value"] == 0.25 and first["status"] == "failed" and first["reason"] == "no number"
    assert (second["value"], second["score"], second["visits"], second["outcome"]) == (0.5, 0.25, 4, 1.0)
    assert second["status"] == "dropped" and second["ended"] and second["observation"] == "seen"
    assert third["value"] is None and third["visits"] is None and third["status"] == "odd" and third["facts"] == {}


def test_the_shape_with_ids_and_a_mark_on_the_chosen_node_is_read_too(put):
    found = only(put(row([{"id": "r", "parent": None}, {"id": "k", "parent": "r", "text": "go", "chosen": True}])))
    assert outline(found) == [("r", 0, None), ("k", 1, 0)] and found["path"] == [0, 1]


def test_circles_lost_parents_and_double_names_are_shown_at_the_top(put):
    nodes = [node(0, None), node(1, 2), node(2, 1), node(3, 99), node(4, 4), node(0, None, "again"), node(5, 0)]
    found = only(put(row(nodes, chosen=2)))
    assert sorted(n["name"] for n in found["nodes"]) == [0, 0, 1, 2, 3, 4, 5]
    lost = {n["name"] for n in found["nodes"] if n["lost"]}
    assert lost == {1, 3, 4}
    assert all(n["parent"] is None or n["parent"] < n["id"] for n in found["nodes"])
    assert [found["nodes"][i]["name"] for i in found["path"]] == [1, 2]


def test_a_chain_of_five_thousand_steps_and_more_nodes_than_an_answer_holds(put):
    chain = [node(k, k - 1 if k else None, f"step {k}") for k in range(5000)]
    found = only(put(row(chain)))
    assert len(found["nodes"]) == 5000 and found["nodes"][-1]["depth"] == 4999
    wide = [node(0, None), *(node(k, 0) for k in range(1, makers.NODES + 50))]
    found = only(put(row(wide), name="wide.jsonl"))
    assert len(found["nodes"]) == makers.NODES and found["cut"] == 50


def test_long_texts_are_cut_and_their_length_is_told(put, monkeypatch):
    monkeypatch.setattr(makers, "TEXTS", 20_000)
    found = only(put(row([node(k, None, "x" * 9000) for k in range(4)])))
    assert [len(n["text"] or "") for n in found["nodes"]] == [8000, 8000, 4000, 0]
    assert {n["text_length"] for n in found["nodes"]} == {9000} and len(found["nodes"][0]["label"]) <= 160


def test_a_torn_last_line_and_rows_of_other_kinds_are_passed_over_and_told(put):
    path = put(row([node(0, None, "a")]), '{"group": "g"}', "", row([node(0, None, "b")]), '{"tree": 1, "nod', end="")
    assert [t["id"] for t in makers.trees(None, [path])] == ["f0-0", "f0-1"]
    assert only(path, 1)["nodes"][0]["text"] == "b"
    assert makers.notes([path]) == ["2 rows of trees.jsonl are no trees"]


def test_a_file_that_grows_is_read_again_and_one_that_goes_is_an_error(put):
    path = put(row([node(0, None)]))
    assert len(makers.trees(None, [path])) == 1
    put(row([node(0, None)]), row([node(0, None, "new")]))
    assert len(makers.trees(None, [path])) == 2 and only(path, 1)["nodes"][0]["text"] == "new"
    path.unlink()
    assert makers.trees(None, [path]) == [] and "no such file" in makers.notes([path])[0]


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_compressed_files_are_read_where_a_tree_begins(put, suffix):
    plain = put(*(row([node(0, None, f"{k}" * 3000)], task=f"t{k}") for k in range(40)))
    path = plain.with_suffix(f".jsonl{suffix}")
    if suffix == ".gz":
        path.write_bytes(gzip.compress(plain.read_bytes()))
    else:
        import pyarrow as pa

        with pa.CompressedOutputStream(str(path), "zstd") as out:
            out.write(plain.read_bytes())
    assert [t["title"] for t in makers.trees(None, [path])] == [f"t{k}" for k in range(40)]
    assert only(path, 39)["nodes"][0]["text"] == "39" * 3000


def test_a_tree_is_read_when_it_is_looked_at_and_the_others_are_not(put, monkeypatch):
    path = put(*(row([node(0, None, f"text {k}")]) for k in range(300)))
    makers.trees(None, [path])
    seen = []
    lines = _tree_files.TreeFile._lines
    monkeypatch.setattr(
        _tree_files.TreeFile, "_lines", lambda self, start: (seen.append(pair) or pair for pair in lines(self, start))
    )
    assert only(path, 250)["nodes"][0]["text"] == "text 250" and len(seen) == 1


@pytest.mark.parametrize(
    "id", ["", "f", "f0", "f0-", "f0-9", "f9-0", "f-0-0", "g", "g7", "../x", "f0-²", "f" + "0" * 40]
)
def test_names_of_no_tree_are_none(put, id):
    assert makers.tree(EMPTY, [put(row([node(0, None)]))], id) is None


def test_hostile_rows_are_plain_json_in_the_page(put, tmp_path):
    bad = row([node(HOSTILE, None, HOSTILE, status=HOSTILE, facts={HOSTILE: HOSTILE})], task=HOSTILE, system=HOSTILE)
    found = only(put(bad))
    assert found["title"].startswith("{{script}}") and found["nodes"][0]["text"] == HOSTILE
    page = tmp_path / "page.html"
    export(page, EMPTY, files={"trees": [put(bad)]})
    assert "<script>document" not in page.read_text("utf-8")


def forked():
    """Three rollouts of a task of which two begin as the first does, stored once."""
    a = [Step(id="a", text="look"), Step(id="b", text="take"), Step(text="win")]
    return [
        Rollout(group="p", rollout=0, outcome=1.0, task="Do it.", steps=a),
        Rollout(group="p", rollout=1, outcome=0.0, task="Do it.", prefix=["a", "b"], steps=[Step(text="lose")]),
        Rollout(group="p", rollout=2, outcome=None, task="Do it.", prefix=["a"], steps=[Step(text="drop")]),
    ]


def test_rollouts_that_share_beginnings_are_a_tree_of_their_steps():
    made = part(Batch.from_records(forked()), [], names=[])
    answers = Memory([made], Head(forked=[0]))
    (listed,) = makers.trees(answers, [])
    assert listed == {"id": "g0", "kind": "rollouts", "title": "Do it.", "nodes": 6, "source": "p", "system": None}
    found = makers.tree(answers, [], "g0")
    assert [(n["text"], n["depth"], n["visits"], n["value"]) for n in found["nodes"]] == [
        (None, 0, 3, 0.5),
        ("look", 1, 3, 0.5),
        ("take", 2, 2, 0.5),
        ("win", 3, 1, 1.0),
        ("lose", 3, 1, 0.0),
        ("drop", 2, 1, None),
    ]
    assert [n["run"] for n in found["nodes"] if n["ended"]] == [0, 1, 2]


def test_kinds_are_told_by_first_rows_and_by_what_is_in_a_folder(put, tmp_path):
    trees = put(row([node(0, None)]))
    old = put({"task": "t", "chosen": None, "nodes": []}, name="old.jsonl")
    runs = save(tmp_path / "runs.jsonl", [full("p", 0, 1.0, "look")])
    learned = save(
        tmp_path / "learned.jsonl", [Rollout(group="p", rollout=0, policy_version=3, steps=[Step(text="a")])]
    )
    board = tmp_path / "board.json"
    board.write_text(json.dumps({"suite": "mdp", "version": "1", "settings": {}, "rows": []}, indent=1))
    trained = tmp_path / "trained"
    trained.mkdir()
    (trained / "metrics.jsonl").write_text('{"step": 0, "rollouts": 0, "seconds": 1.0}\n')
    (trained / "config.json").write_text("{}")
    save(trained / "played.jsonl", [full("p", 0, 1.0, "look")])
    given = [str(p) for p in (trees, old, runs, learned, board, trained, tmp_path / "none.jsonl")]
    assert kinds_of_files(given) == {
        "runs": [str(runs), str(learned), str(trained / "played.jsonl"), str(tmp_path / "none.jsonl")],
        "trees": [str(trees), str(old)],
        "dynamics": [str(learned), str(trained)],
        "bench": [str(board)],
    }


def test_a_folder_of_one_kind_is_named_whole_and_a_mixed_one_by_its_files(tmp_path, monkeypatch):
    for name in ("one", "mixed"):
        (tmp_path / name).mkdir()
        save(tmp_path / name / "a.jsonl", [full("p", 0, 1.0, "look")])
        save(tmp_path / name / "b.jsonl", [full("q", 0, 1.0, "look")])
    (tmp_path / "mixed" / "t.jsonl").write_text(json.dumps(row([])) + "\n")
    monkeypatch.chdir(tmp_path)
    assert kinds_of_files(["one"]) == {"runs": ["one"], "trees": [], "dynamics": [], "bench": []}
    found = kinds_of_files(["mixed", "mixed/*.jsonl"])
    assert found["runs"] == ["mixed/a.jsonl", "mixed/b.jsonl"] and found["trees"] == ["mixed/t.jsonl"]


def test_of_a_folder_without_runs_every_file_is_named(tmp_path, monkeypatch):
    for name, kind in (("trees", row([])), ("boards", {"suite": "mdp", "version": "1", "settings": {}, "rows": []})):
        (tmp_path / name).mkdir()
        for file in "ab":
            (tmp_path / name / f"{file}.jsonl").write_text(json.dumps(kind) + "\n")
    monkeypatch.chdir(tmp_path)
    found = kinds_of_files(["trees", "boards"])
    assert found["trees"] == ["trees/a.jsonl", "trees/b.jsonl"] and found["runs"] == []
    assert found["bench"] == ["boards/a.jsonl", "boards/b.jsonl"]


def test_a_view_of_trees_alone_has_no_runs_and_an_export_holds_them_without_secrets(put, run, tmp_path):
    needed()
    secret = "password=hunter2hunter2"
    path, page = put(row([node(0, None, f"use {secret}")], prompt=secret)), tmp_path / "page.html"
    looks = Looking(EMPTY, files={"trees": [path]}, clean=Redactor().value)
    assert looks.state()["pages"] == {"runs": False, "groups": False, "trees": True, "dynamics": False, "bench": False}
    assert "hunter2" not in json.dumps([looks.trees(), looks.tree("f0-0")]) and looks.tree("f0-5") is None
    ran = run("view", path, "--export", page)
    assert ran.status == 0, ran.err
    text = page.read_text("utf-8")
    assert "/api/tree/f0-0" in text and "hunter2" not in text and "taken out: " in ran.err
    assert run("view", path, "--no-redact", "--export", page).status == 0
    assert "hunter2" in page.read_text("utf-8")


def test_runs_and_trees_in_one_folder_are_both_shown(put, run, tmp_path):
    needed()
    put(row([node(0, None, "root of a search")]))
    save(tmp_path / "runs.jsonl", forked())
    page = tmp_path / "page.html"
    ran = run("view", tmp_path, "--cache", tmp_path / ".cache", "--export", page)
    assert ran.status == 0, ran.err
    text = page.read_text("utf-8")
    assert all(f'data-path="{path}"' in text for path in ("/api/tree/f0-0", "/api/tree/g0", "/api/run/2"))


def test_an_export_leaves_out_what_is_too_much_and_says_so(put, tmp_path, monkeypatch):
    from stepcredit.app.view import export as exporting

    monkeypatch.setattr(exporting, "_NODES", 3)
    looks = Looking(EMPTY, files={"trees": [put(*(row([node(0, None)]) for _ in range(5)))]})
    held = exporting._answers(looks, [])
    assert [t["id"] for t in held["/api/trees"]] == ["f0-0", "f0-1", "f0-2"]
    assert held["/api/state"]["left_out"] == "This page holds 3 of 5 trees."


@pytest.fixture
def url():
    try:
        import aiohttp  # noqa: F401
    except ImportError:
        skip_or_fail("http", "aiohttp is not installed")
    from stepcredit.llm.server import over_sampler, running
    from stepcredit.llm.tabular import Tabular

    model = Tabular(game24.Policy(skill=4.0))
    with running(over_sampler(model.sampler, read=model.read), models=["tabular"]) as url:
        yield url


PUZZLES = [p for p in game24.puzzles() if game24.solvable(p)][:60:20]


def lines(path):
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def test_search_writes_its_trees_for_the_viewer(run, url, tmp_path):
    tasks = tmp_path / "tasks.jsonl"
    tasks.write_text(
        "".join(json.dumps({"prompt": f"Make 24 from {p}, each number once.", "name": p}) + "\n" for p in PUZZLES)
    )
    out = tmp_path / "trees.jsonl"
    more = ("--max-tokens", "99", "--ends", "^Answer:", "--set", "n=4")
    ran = run("search", tasks, "-p", "majority", *more, "--server", url, "-o", tmp_path / "a.jsonl", "--trees", out)
    assert ran.status == 0, ran.err
    made = lines(out)
    assert [(r["tree"], r["kind"], r["system"], r["task"]) for r in made] == [
        (1, "search", "majority", p) for p in PUZZLES
    ]
    found = only(out)
    assert found["path"] and found["nodes"][found["path"][-1]]["ended"] and found["kind"] == "search"
    assert kinds_of_files([str(out)])["trees"] == [str(out)]


@pytest.mark.parametrize(
    ("method", "set_", "each"),
    [
        ("alphamath", "iterations=4", "task"),
        ("omegaprm", "search=tree,n=4,searches=2", "task"),
        ("math_shepherd", "n=2", "rollout"),
    ],
)
def test_label_writes_what_it_drew_as_trees(run, url, tmp_path, method, set_, each):
    runs, out = tmp_path / "runs.jsonl", tmp_path / "trees.jsonl"
    write(game24.batch(PUZZLES, 2, game24.Policy(skill=4.0), 1), runs)
    asked = ("--server", url, "--verifier", "game24", "--max-tokens", "99", "-s", set_)
    plain, with_trees = tmp_path / "plain.jsonl", tmp_path / "labels.jsonl"
    assert run("label", runs, "-M", method, *asked, "-o", plain).status == 0
    ran = run("label", runs, "-M", method, *asked, "-o", with_trees, "--trees", out)
    assert ran.status == 0 and f"trees: {out}" in ran.err, ran.err
    assert plain.read_bytes() == with_trees.read_bytes()
    made = lines(out)
    assert [r["group"] for r in made] == [p for p in PUZZLES for _ in range(1 if each == "task" else 2)]
    assert {(r["kind"], r["system"]) for r in made} == {("label", method)}
    for k, one in enumerate(made):
        found = only(out, k)
        assert len(found["nodes"]) == len(one["nodes"]) > 4 and not any(n["lost"] for n in found["nodes"])
        assert any(n["given"] for n in found["nodes"]) and any(not n["given"] for n in found["nodes"])
        for n in found["nodes"]:
            assert n["drawn"] is None or n["value"] == pytest.approx(n["won"] / n["drawn"])
            assert n["outcome"] in (None, 0.0, 1.0)


def test_systems_that_draw_nothing_say_that_they_leave_no_trees(run, tmp_path):
    runs, out = tmp_path / "runs.jsonl", tmp_path / "trees.jsonl"
    write(game24.batch(PUZZLES, 2, game24.Policy(skill=4.0), 1), runs)
    judge = tmp_path / "judge.py"
    judge.write_text("def judge(prompts, **_):\n    raise RuntimeError\n")
    ran = run("label", runs, "-M", "capo", "--with", f"judge={judge}:judge", "-o", tmp_path / "l.jsonl", "--trees", out)
    assert ran.status == 2 and "capo draws no completions, so that it leaves no trees" in ran.err
    assert not out.exists() and not (tmp_path / "l.jsonl").exists()


def test_the_file_of_trees_is_none_of_the_others(run, tmp_path):
    runs, out = tmp_path / "runs.jsonl", tmp_path / "labels.jsonl"
    write(game24.batch(PUZZLES, 2, game24.Policy(skill=4.0), 1), runs)
    ran = run(
        "label",
        runs,
        "-M",
        "math_shepherd",
        "--server",
        "http://127.0.0.1:9/v1",
        "--verifier",
        "game24",
        "-o",
        out,
        "--trees",
        out,
    )
    assert ran.status == 2 and "is both output and trees" in ran.err


def test_looking_makes_the_list_once_for_an_index_that_rests(put, monkeypatch):
    looks, asked = Looking(EMPTY, files={"trees": [put(row([node(0, None)]))]}), []
    monkeypatch.setattr(looking.trees, "trees", lambda *given: asked.append(1) or [])
    looks.trees()
    looks.trees()
    assert len(asked) == 1
