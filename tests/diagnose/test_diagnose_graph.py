"""The graph of a task's rollouts. About 1 s."""

import json
from itertools import permutations

import numpy as np
import pytest
from made_runs import chat, run

from stepcredit.data.records import Rollout, Step, ToolCall
from stepcredit.diagnose import chances
from stepcredit.diagnose.graph import STOP, said, scaled, state_graph
from stepcredit.errors import DataError, StepCreditError

LEFT = run("left", ["l", "up"], 1.0, ["s", "a", "goal"])
RIGHT = run("right", ["r", "up"], 0.0, ["s", "b", "hole"])
BACK = run("back", ["r", "l", "up"], 1.0, ["s", "b", "a", "goal"])


def node_of(made, state):
    return next(n for n in made["nodes"] if n["state"] == state)


def test_equal_states_are_one_node_and_paths_part_where_actions_differ():
    graph = state_graph([LEFT, RIGHT, BACK])
    assert graph.kind == "states" and graph.size == 5
    assert graph.path(0)[1] == graph.path(2)[2] != graph.path(1)[1]
    made = graph.to_dict()
    assert node_of(made, "s")["visits"] == 3 and node_of(made, "s")["success"] == pytest.approx(2 / 3)
    assert node_of(made, "b")["runs"] == [1, 2] and node_of(made, "goal")["end"] == 2
    edge = next(e for e in made["edges"] if e["label"] == "r")
    assert edge["steps"] == [[1, 0], [2, 0]] and edge["visits"] == 2 and edge["success"] == 0.5


def test_without_states_equal_beginnings_of_actions_share_a_path():
    graph = state_graph([run("a", "xyz", 1.0), run("b", "xyw", 0.0), run("c", "qyz", 0.0)])
    assert graph.kind == "tree"
    assert graph.path(0)[:3].tolist() == graph.path(1)[:3].tolist()
    assert graph.path(0)[3] != graph.path(1)[3]
    assert set(graph.path(2)[1:].tolist()).isdisjoint(graph.path(0).tolist())


def test_actions_that_never_repeat_part_at_the_first_step():
    graph = state_graph([chat("a", [("one", None, None, None)] * 2), chat("b", [("two", None, None, None)] * 2)])
    assert graph.size == 5 and graph.first_divergence(0, 1) == (0, 0)


def test_tool_calls_are_equal_whatever_the_order_and_spacing_of_their_arguments():
    one = chat("a", [("I look", "find", '{"a": 1, "b": "x  y"}', "r")])
    two = chat("b", [("Let me see", "find", {"b": "x y", "a": 1}, "r")])
    graph = state_graph([one, two])
    assert graph.first_divergence(0, 1) is None and graph.size == 2


def test_a_step_that_says_nothing_equals_no_other():
    graph = state_graph([Rollout(group=0, rollout=i, steps=[Step(), Step()]) for i in range(2)])
    assert graph.size == 5


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_a_missing_state_is_named_by_the_way_there(missing):
    graph = state_graph([run("a", "xy", 1.0, ["s", missing]), run("b", "xz", 0.0, ["s", missing])])
    assert graph.path(0)[1] == graph.path(1)[1] and graph.kind == "states"


def test_first_divergence_is_the_first_step_that_differs_and_none_where_one_is_the_beginning_of_the_other():
    graph = state_graph([run("a", "xyz", 1.0), run("b", "xyw", 0.0), run("c", "xy", 0.0)])
    assert graph.first_divergence(0, 1) == (2, 2)
    assert graph.first_divergence(0, 2) is None
    with pytest.raises(StepCreditError, match="no rollout 3"):
        graph.first_divergence(0, 3)


def test_divergence_of_rollouts_that_share_steps_counts_their_own_steps():
    first = Rollout(group=0, rollout="a", outcome=1.0, steps=[Step(id="1", text="x"), Step(id="2", text="y")])
    second = Rollout(group=0, rollout="b", outcome=0.0, prefix=["1"], steps=[Step(text="z"), Step(text="w")])
    graph = state_graph([first, second])
    assert graph.first_divergence(1, 0) == (0, 1) and graph.first_divergence(0, 1) == (1, 0)
    assert graph.length.tolist() == [2, 3] and graph.shared.tolist() == [0, 1]
    assert [1, 0] in next(e for e in graph.to_dict()["edges"] if e["label"] == "z")["steps"]


def test_a_prefix_that_nobody_stores_is_named():
    with pytest.raises(DataError, match="'nowhere'"):
        state_graph([Rollout(group=0, rollout="b", prefix=["nowhere"], steps=[Step(text="z")])])


def test_how_a_node_was_left_is_how_it_was_left_last():
    graph = state_graph([run("a", ["stay", "go"], 1.0, ["s", "s", "end"])])
    left = graph.departures
    here, end = graph.path(0)[1], graph.path(0)[2]
    row = left.start[here]
    assert left.start[here + 1] - row == 1 and graph.words(left.action[row]) == "go" and left.ahead[row] == 1
    assert left.action[left.start[end]] == STOP


def test_success_and_its_interval_are_over_rollouts_and_unknown_outcomes_count_in_none():
    graph = state_graph([LEFT, RIGHT, run("open", ["l", "up"], None, ["s", "a", "goal"])])
    made = graph.to_dict()
    start, goal = node_of(made, "s"), node_of(made, "goal")
    assert start["visits"] == 3 and start["success"] == 0.5 and start["low"] < 0.5 < start["high"]
    assert goal["success"] == 1.0 and goal["visits"] == 2
    alone = state_graph([run("open", ["l"], None, ["s", "e"])]).to_dict()
    assert {alone["nodes"][0][k] for k in ("success", "low", "high", "value")} == {None}


def test_values_follow_the_chain_of_what_was_seen_and_not_only_the_rollouts_that_passed():
    # From `b` one of two went on to `a`, from which all succeeded.
    graph = state_graph([LEFT, RIGHT, BACK, run("late", ["r", "l", "up"], 1.0, ["s", "b", "a", "goal"])])
    value = dict(zip(graph.states, graph.value, strict=True))
    assert value["a"] == 1.0 and value["b"] == pytest.approx(2 / 3) and value["s"] == pytest.approx((1 + 3 * 2 / 3) / 4)


def test_values_of_a_cycle_are_those_of_the_chain():
    # s -> t -> s -> t -> won: from t half of the passes go back.
    graph = state_graph([run("a", "xyxz", 1.0, ["s", "t", "s", "t", "won"]), run("b", "xz", 0.0, ["s", "t", "lost"])])
    value = dict(zip(graph.states, graph.value, strict=True))
    assert value["t"] == pytest.approx(0.5) and value["s"] == pytest.approx(0.5)


def test_the_json_form_keeps_the_most_visited_nodes_and_says_what_is_cut():
    graph = state_graph([run(i, [f"{i}", "x"], 1.0) for i in range(20)])
    made = graph.to_dict(limit=5, ids=[f"run{i}" for i in range(20)])
    assert len(made["nodes"]) == 5 and made["cut"] == "5 of 41 nodes are shown, the most visited"
    assert made["nodes"][0]["visits"] == 20 and made["nodes"][0]["runs"][0] == "run0"
    assert all(e["from"] < 5 and e["to"] < 5 for e in made["edges"])
    assert graph.to_dict(limit=100)["cut"] is None
    json.dumps(made)


def test_the_order_of_rollouts_changes_no_number():
    def told(order):
        graph = state_graph(order)
        names = {n: r.rollout for n, r in enumerate(order)}
        nodes = {
            (n["state"], n["depth"], n["visits"], n["success"], n["value"], tuple(sorted(names[r] for r in n["runs"])))
            for n in graph.to_dict()["nodes"]
        }
        edges = {(e["label"], e["visits"], e["success"]) for e in graph.to_dict()["edges"]}
        return nodes, edges

    all_told = [told(order) for order in permutations([LEFT, RIGHT, BACK])]
    assert all(one == all_told[0] for one in all_told)


def test_outcomes_of_any_scale_become_success_between_0_and_1():
    assert scaled([0.0, 10.0, 5.0]).tolist() == [0.0, 1.0, 0.5]
    assert scaled([-3.0, -3.0]).tolist() == [0.0, 0.0]
    assert np.isnan(scaled([None, 2.0])[0]) and scaled([None, 2.0])[1] == 1.0
    assert scaled([]).size == 0


def test_rollouts_without_steps_have_a_path_of_one_node():
    graph = state_graph([Rollout(group=0, rollout="empty", outcome=0.0), run("a", "x", 1.0)])
    assert graph.path(0).tolist() == [graph.path(1)[0]] and graph.to_dict()["nodes"][0]["end"] == 1
    assert state_graph([]).to_dict() == {"kind": "tree", "nodes": [], "edges": [], "cut": None}


def test_a_run_of_10_000_steps_and_strange_texts_are_no_matter():
    long = chat("long", [(f"step \ud83e{i} \x1b[31m\u202e", None, None, None) for i in range(10_000)])
    graph = state_graph([long, long])
    assert graph.size == 10_001 and len(graph.to_dict(limit=50)["nodes"]) == 50
    label = graph.to_dict(limit=50)["nodes"][3]["label"]
    assert "\x1b" not in label and "\u202e" not in label


def test_a_step_in_words_is_its_calls_or_its_action_or_its_text():
    step = Step(text="long " * 50, tool_calls=[ToolCall(name="find", arguments={"q": "x" * 200})])
    assert said(step).startswith("find({'q': 'xxx") and len(said(step)) <= 90
    assert said(Step(action="go", text="I go")) == "go" and said(Step()) == "(nothing)"


def solved(graph):
    """[N] chances by one dense solve, for graphs of which every outcome is known."""
    passes = np.bincount(np.append(graph.u, graph.ends), minlength=graph.size)
    matrix = np.diag(passes.astype(float))
    np.subtract.at(matrix, (graph.u, graph.t), 1)
    return np.linalg.solve(matrix, np.bincount(graph.ends, graph.success, graph.size))


def walks(size, runs, seed=1, longest=5000):
    """Steps to the left or right on a line of places until an end."""
    rng = np.random.default_rng(seed)
    for i in range(runs):
        at, steps = size // 2, []
        while 0 < at < size and len(steps) < longest:
            way = int(rng.integers(0, 2)) * 2 - 1
            steps.append(Step(state=at, action=way))
            at += way
        yield Rollout(group=0, rollout=i, outcome=float(at == size), steps=steps, final_state=at)


def wanders(size, runs, steps, seed=0, ways=3):
    """Steps in a world in which every place leads to a few others, chosen by chance."""
    rng = np.random.default_rng(seed)
    leads = rng.integers(0, size, (size, ways))
    for i in range(runs):
        at, taken = int(rng.integers(0, size)), []
        for _ in range(steps):
            way = int(rng.integers(0, ways))
            taken.append(Step(state=at, action=way))
            at = int(leads[at, way])
        yield Rollout(group=0, rollout=i, outcome=float(rng.random() < 0.5), steps=taken, final_state=at)


def test_values_of_a_random_walk_are_exact_however_slowly_they_settle():
    for graph in (state_graph(list(walks(60, 30))), state_graph(list(walks(300, 4, longest=20_000)))):
        assert graph.value == pytest.approx(solved(graph), abs=1e-10)


@pytest.mark.parametrize("fill", [chances._FILL, 4, -1])
def test_values_of_a_tangle_are_exact_whichever_way_they_are_solved(fill, monkeypatch):
    monkeypatch.setattr(chances, "_FILL", fill)
    graph = state_graph(list(wanders(80, 12, 60)))
    assert graph.value == pytest.approx(solved(graph), abs=1e-10)


def test_values_of_a_tangle_too_large_to_solve_are_bracketed_or_open(monkeypatch):
    monkeypatch.setattr(chances, "_FILL", -1)
    monkeypatch.setattr(chances, "_DENSE", 10)
    exact = solved(state_graph(list(wanders(80, 12, 60))))
    settled = state_graph(list(wanders(80, 12, 60))).value
    assert settled == pytest.approx(exact, abs=1e-6)
    monkeypatch.setattr(chances, "_SWEEPS", 3)
    graph = state_graph(list(wanders(80, 12, 60)))
    assert np.isnan(graph.value).any()
    assert {n["value"] for n in graph.to_dict()["nodes"]} >= {None}
    json.dumps(graph.to_dict(), allow_nan=False)


def test_a_tree_and_a_place_of_unknown_outcome_need_no_solving(monkeypatch):
    monkeypatch.setattr(chances, "_taken_out", None)
    graph = state_graph([run("a", "xyz", 1.0), run("b", "xyw", 0.0), run("c", "qy", None)])
    assert graph.value[graph.path(0)].tolist() == [0.5, 0.5, 0.5, 1.0]
    assert np.isnan(graph.value[graph.path(2)[1:]]).all()


def test_outcomes_at_the_ends_of_what_a_float_holds_are_scaled():
    assert scaled([1e308, -1e308]).tolist() == [1.0, 0.0]
    assert scaled([1.7e308, -1.7e308, 0.0]).tolist() == [1.0, 0.0, 0.5]


def test_runs_that_began_in_different_states_have_no_step_at_which_they_parted():
    graph = state_graph([run("a", "xy", 1.0, ["s", "u", "e"]), run("b", "zy", 0.0, ["t", "u", "f"])])
    assert graph.first_divergence(0, 1) is None
    assert graph.in_common(0).tolist() == [2, 0]
    same = state_graph([run("a", "xy", 1.0, ["s", "u", "e"]), run("b", "zy", 0.0, ["s", "u", "f"])])
    assert same.first_divergence(0, 1) == (0, 0)
    other = state_graph([run("a", "xy", 1.0, ["s", "u", "e"]), run("b", "xy", 0.0, ["t", "u", "e"])])
    assert other.in_common(0).tolist() == [2, 0]


def test_small_differences_between_those_who_met_are_evened_out_too():
    """50 of 100 from s and 51 of 100 from r succeeded after all were in t: from each 101 of 200 would."""
    ways = [("s", 50), ("r", 51)]
    runs = [run((s, i), ["x", "y"], float(i < won), [s, "t", "e"]) for s, won in ways for i in range(100)]
    graph = state_graph(runs)
    value = dict(zip(graph.states, graph.value, strict=True))
    assert [value[s] for s in "srt"] == pytest.approx([0.505] * 3, abs=1e-12)
