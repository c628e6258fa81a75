"""What the suites share: cells measured once and kept, plots, entries, profiles of rollouts, settings like them."""

import json
import math
import sys
from functools import partial

import numpy as np
import pytest

from stepcredit.bench import advice
from stepcredit.bench.entries import entries, judge
from stepcredit.bench.plot import draw
from stepcredit.bench.profile import profile
from stepcredit.bench.suite import Cell, Line, Plot, Store, measure
from stepcredit.credit import names
from stepcredit.data.flat import from_columns as rows_of
from stepcredit.envs import tabular, worlds
from stepcredit.errors import MissingExtra, StepCreditError


def from_columns(columns):
    return rows_of(columns)[0]


HEAD = {"suite": "toy", "settings": {"seed": 0}}


def twice(x):
    return {"x": 2 * x}


def counted(calls, x):
    calls.append(x)
    return twice(x)


def toy(make, n=4):
    return [Cell(f"cell {i}", partial(make, i)) for i in range(n)]


def test_what_is_in_the_store_is_not_measured_again(tmp_path):
    file, calls = tmp_path / "store.jsonl", []
    cells = toy(partial(counted, calls))
    measure(cells[:2], Store(file, HEAD))
    again = measure(cells, Store(file, HEAD))
    assert calls == [0, 1, 2, 3]
    assert again == measure(toy(twice), Store(None, HEAD))


def test_a_line_that_a_kill_cut_short_is_measured_again(tmp_path):
    file = tmp_path / "store.jsonl"
    measure(toy(twice), Store(file, HEAD))
    file.write_text(file.read_text("utf-8")[:-5], "utf-8")
    calls = []
    assert measure(toy(partial(counted, calls)), Store(file, HEAD)) == measure(toy(twice), Store(None, HEAD))
    assert calls == [3]
    assert Store(file, HEAD).values == measure(toy(twice), Store(None, HEAD))


def test_processes_change_nothing(tmp_path):
    file = tmp_path / "store.jsonl"
    assert measure(toy(twice), Store(file, HEAD), jobs=2) == measure(toy(twice), Store(None, HEAD))
    assert measure(toy(twice), Store(file, HEAD)) == measure(toy(twice), Store(None, HEAD))


def test_a_store_of_other_settings_is_refused(tmp_path):
    file = tmp_path / "store.jsonl"
    measure(toy(twice), Store(file, HEAD))
    with pytest.raises(StepCreditError, match="another --store"):
        Store(file, {**HEAD, "settings": {"seed": 1}})
    assert len(file.read_text("utf-8").splitlines()) == 5


@pytest.mark.parametrize("text", ["all my work", "all my work\n", "[3]\n", '{"a": 1}\n', "\x1f\x8b"])
def test_a_file_that_is_no_store_is_left_alone(tmp_path, text):
    file = tmp_path / "thesis.txt"
    file.write_text(text, "utf-8")
    with pytest.raises(StepCreditError, match="not a file of finished cells"):
        Store(file, HEAD)
    assert file.read_text("utf-8") == text


def test_equal_plots_give_equal_files(tmp_path):
    plot = Plot("a", "t", "x", "y", [Line("stepcredit_graph", [1, 2], [0.1, 0.2], [0, 0], [1, 1]), Line("b", [2], [3])])
    (one,), (two,) = draw([plot], tmp_path / "1"), draw([plot], tmp_path / "2")
    text = one.read_text("utf-8")
    assert text == two.read_text("utf-8")
    assert "stepcredit_graph" in text


def test_without_matplotlib_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtra, match=r"stepcredit\[plots\]"):
        draw([], tmp_path)


@pytest.fixture(scope="module")
def batch():
    return tabular.sample([worlds.get("dead_end")(seed=i) for i in range(3)], 4, seed=0)


def test_entries_are_the_methods_that_can_run_and_plain_ones(batch):
    found = entries(batch)
    assert {"grpo", "salt", "stepcredit_graph", "stepcredit_graph@quality", "q_minus_v", "same edge"} <= set(found)
    assert set(found) <= {*names(), "stepcredit_graph@quality", "q_minus_v", "same edge"}
    assert "pure" not in found
    assert entries(batch, ["salt", "q_minus_v", "salt"]) == ["salt", "q_minus_v"]
    with pytest.raises(StepCreditError, match="pure"):
        entries(batch, ["pure"])


def test_plain_estimators_by_hand():
    batch = from_columns(
        {
            "group": [0, 0, 0, 0],
            "rollout": [0, 1, 2, 3],
            "outcome": [1.0, 0.0, 0.0, 1.0],
            "state": [7, 7, 7, 7],
            "next_state": [1, 1, 2, 3],
        }
    )
    np.testing.assert_allclose(judge("q_minus_v", batch).credit, [0.0, 0.0, -0.5, 0.5])
    np.testing.assert_allclose(judge("same edge", batch).credit, [0.0, 0.0, -0.5, 0.5])


BAD = '''
from stepcredit.credit import Card

CARD = Card("Bad", "none", "", "derived", needs="outcomes", bias="", departures="")


def {name}(layout, outcome):
    """Does what it should not."""
    {body}
    return outcome[layout.rollout]
'''


@pytest.mark.parametrize(
    ("name", "body", "why"),
    [
        ("writes", "outcome -= outcome.mean()", "read-only"),
        ("leaves", "raise SystemExit(0)", "SystemExit"),
        ("breaks", "1 / 0", "ZeroDivisionError"),
        ("infinite", "return outcome[layout.rollout] + float('inf')", "infinite"),
        ("short", "return outcome[:1]", "shape"),
    ],
)
def test_a_method_that_fails_says_why_and_changes_nothing(tmp_path, batch, name, body, why):
    path = tmp_path / f"{name}.py"
    path.write_text(BAD.format(name=name, body=body), "utf-8")
    before = batch["outcome"].copy()
    with pytest.raises(StepCreditError, match=why):
        judge(str(path), batch)
    np.testing.assert_array_equal(batch["outcome"], before)


def test_what_a_method_prints_is_no_result(tmp_path, batch, capsys):
    path = tmp_path / "prints.py"
    path.write_text(BAD.format(name="prints", body="print('HELLO')"), "utf-8")
    judge(str(path), batch)
    assert capsys.readouterr() == ("", "HELLO\n")


def test_profile_by_hand():
    batch = from_columns(
        {
            "group": [0] * 7,
            "rollout": [0, 0, 0, 1, 1, 2, 2],
            "outcome": [4.0, 4.0, 4.0, 2.0, 2.0, 2.0, 2.0],
            "state": ["a", "b", "a", "a", "b", "a", "c"],
        }
    )
    found = profile(batch)
    assert (found.tasks, found.rollouts, found.mixed, found.steps, found.longest) == (1, 3.0, 1.0, 2.0, 3)
    assert found.success == pytest.approx(1 / 3)
    assert found.met == pytest.approx(3 / 4)  # b, a of rollout 0 and b of rollout 1; c is met once
    assert found.chosen == pytest.approx(2 / 4)  # a -> b twice; b -> a and a -> c once
    assert found.back == pytest.approx(1 / 7)


def test_a_task_with_one_known_outcome_is_neither_mixed_nor_not():
    found = profile(
        from_columns({"group": [0, 0, 1, 2, 2], "rollout": [0, 1, 2, 3, 4], "outcome": [1.0, 0, 1, 0, math.nan]})
    )
    assert found.mixed == 1.0


def test_profile_of_nothing_known():
    found = profile(from_columns({"group": [0, 0], "rollout": [0, 1]}))
    assert math.isnan(found.success) and math.isnan(found.met) and math.isnan(found.mixed)


def test_the_nearest_setting_of_a_measured_world_is_that_world():
    batch = tabular.sample([worlds.get("ring")(seed=i) for i in range(12)], 8, seed=0)
    far, near = advice.nearest(profile(batch), advice.measured())[0]
    assert near.name == "ring, 8 rollouts"
    assert far < 0.2


def test_expected_is_the_mean_over_the_settings_best_first():
    look = advice.measured()[0].profile
    one = advice.Setting("one", look, {"a": (0.1, 0.5), "b": (0.5, math.nan), "c": (1, 1)})
    two = advice.Setting("two", look, {"a": (0.3, 0.7), "b": (0.7, 0.9)})
    found = advice.expected([one, two], ["a", "b", "c", "unknown"])
    assert [x.method for x in found] == ["b", "a"]
    assert found[0] == pytest.approx(("b", 0.6, 0.5, 0.7, 0.9))


def test_measured_settings_are_shipped_whole():
    for setting in advice.measured():
        assert {"grpo", "salt", "stepcredit_graph"} <= set(setting.reached), setting.name
        assert 0 <= setting.profile.success <= 1 and setting.profile.rollouts >= 2


def test_the_store_holds_json(tmp_path):
    file = tmp_path / "s.jsonl"
    measure([Cell("a", partial(twice, math.nan))], Store(file, HEAD))
    assert json.loads(file.read_text("utf-8").splitlines()[0]) == HEAD
    assert '"x": NaN' in file.read_text("utf-8")


def test_a_method_cannot_write_into_the_layout(tmp_path, batch):
    path = tmp_path / "regroups.py"
    path.write_text(BAD.format(name="regroups", body="layout.group[:] = 0"), "utf-8")
    with pytest.raises(StepCreditError, match="read-only"):
        judge(str(path), batch)
