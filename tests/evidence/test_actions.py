"""Keys of actions, and clusters of like ones."""

from itertools import permutations

import numpy as np
import pytest
from evidence_goldens import cases
from hypothesis import given
from hypothesis import strategies as st

from stepcredit.data import read
from stepcredit.data.batch import Batch
from stepcredit.data.records import Rollout, Step, ToolCall
from stepcredit.errors import StepCreditError, UnknownName
from stepcredit.evidence._signature import code_in, python_signature, shell_signature
from stepcredit.evidence.action_clusters import action_clusters, distances, single_linkage
from stepcredit.evidence.actions import actions, code_of

WORDS = st.sampled_from(["ls", "rm", "-rf", "|", "&&", ";", "'a b'", '"$x"', "$(", "`", ")", "for", "in", "do", "done"])
COMMANDS = st.lists(WORDS, max_size=8).map(" ".join) | st.text(max_size=30)


def of(*rollouts, group="g"):
    return Batch.from_records(
        Rollout(group=group, rollout=i, steps=[Step(text=t) for t in texts]) for i, texts in enumerate(rollouts)
    )


@pytest.mark.parametrize("case", cases("shell_signature"), ids=lambda c: c["command"][:20])
def test_signatures_of_shell_commands_are_those_of_the_official_code(case):
    assert shell_signature(case["command"]) == case["want"]


def test_words_in_single_quotes_count_where_asked_for():
    assert shell_signature("sed 's/a/b/' f", single_quoted=True) == ["V:sed", "W:s/a/b/", "W:f"]
    assert shell_signature("sed 's/a/b/' f") == ["V:sed", "W:f"]


@given(COMMANDS)
def test_no_command_breaks_the_parser(command):
    assert all(t[:2] in ("K:", "V:", "W:") for t in shell_signature(command, single_quoted=True))
    tokens = python_signature(command)
    assert tokens is None or all(t[:2] in ("K:", "V:", "W:") for t in tokens)


@pytest.mark.parametrize("text", ["(" * 20_000, "$(" * 5_000, "-" * 50_000 + "1", "x=" * 20_000, "[" * 300, "'\\d'"])
def test_deep_nesting_breaks_nothing(text):
    shell_signature(text)
    python_signature(text)


def test_python_by_its_syntax_tree():
    assert python_signature("from a.b import c as d\nx = [y for y in foo.bar(1, k='z') if y]") == [
        "V:import a.b.c",
        "K:ListComp",
        "V:foo.bar",
        "W:1",
        "W:k=",
        "W:z",
    ]
    assert python_signature("open(p).read()") == ["V:.read", "V:open"]
    assert python_signature("f(") is None and python_signature("x = 1\0") is None and python_signature("") == []


def test_where_the_code_stands():
    assert code_in("a\n```sh\nls\n```\nb\n~~~\nrm\n~~~") == "ls\nrm"
    assert code_in("<CODE>\nls </code> ```\nrm\n```") == "ls"
    assert code_in(" ls\n") == "ls" and code_in("```\nopen") == "```\nopen"
    step = Step(
        text="rm", tool_calls=[ToolCall(name="t", arguments={"x": 1}), ToolCall(name="t", arguments={"cmd": "ls"})]
    )
    assert code_of(step) == "ls" and code_of(Step()) is None
    assert code_of(Step(text="rm", tool_calls=[ToolCall(name="t", arguments="{")])) == "rm"


def test_keys_of_calls_part_the_steps_of_tau_bench_as_its_importer_does(data):
    batch = read(data / "tau_airline" / "gpt4o_airline.jsonl.gz")
    made = actions(batch)
    pairs = set(zip(batch["action"].tolist(), made["action"].tolist(), strict=True))
    assert len(pairs) == len(set(batch["action"].tolist())) == len(set(made["action"].tolist()))


def test_an_unknown_kind_of_key_is_named():
    with pytest.raises(UnknownName, match="shell"):
        actions(of(["ls"]), how="shel")
    with pytest.raises(UnknownName, match="python"):
        action_clusters(of(["ls"]), how="pyhton")


@given(st.lists(st.lists(st.sampled_from(["ls a", "ls b", "rm x y", "rm x z", "cat", ""]), max_size=3), max_size=5))
def test_clusters_do_not_depend_on_the_order_of_rollouts(texts):
    batch = of(*texts)
    found = action_clusters(batch, how="text")["cluster"]
    want = {
        (i, t): found[row].tolist()
        for row, (i, t) in enumerate((i, t) for i, x in enumerate(texts) for t in range(len(x)))
    }
    for order in list(permutations(range(len(texts))))[:24:5]:
        again = action_clusters(of(*[texts[i] for i in order]), how="text")["cluster"]
        rows = [(i, t) for i in order for t in range(len(texts[i]))]
        assert [want[key] for key in rows] == again.tolist()


@given(
    st.lists(st.sampled_from(["ls a", "ls b", "rm x y", "rm x z", "cat"]), min_size=1, max_size=8), st.integers(1, 4)
)
def test_equal_actions_are_one_cluster_and_there_are_at_most_k(texts, min_count):
    found = action_clusters(of(*[[t] for t in texts]), how="text", scopes=[1], min_count=min_count)["cluster"][:, 0]
    assert all(len({c for c, t in zip(found, texts, strict=True) if t == one}) == 1 for one in texts)
    most = min(max(-(-len(texts) // min_count), 1), len(texts))
    assert len(set(found.tolist())) == min(most, len(set(texts))) and set(found.tolist()) == set(range(found.max() + 1))


def test_tasks_and_turns_are_apart():
    two = Batch.from_records(
        Rollout(group=g, rollout=i, steps=[Step(text="ls"), Step(text="rm")]) for i, g in enumerate("aab")
    )
    assert action_clusters(two)["cluster"].tolist() == [[0] * 4] * 6


def test_single_linkage_is_that_of_scipy():
    hierarchy = pytest.importorskip("scipy.cluster.hierarchy")
    squareform = pytest.importorskip("scipy.spatial.distance").squareform
    rng = np.random.default_rng(0)
    for n in range(2, 9):
        table = np.triu(rng.permutation(n * n).reshape(n, n) / (n * n), 1)
        table = table + table.T
        for k in range(1, n + 1):
            want = hierarchy.fcluster(hierarchy.linkage(squareform(table), "single"), k, "maxclust")
            got = single_linkage(table, k, exactly=True)
            assert len({*zip(want.tolist(), got.tolist(), strict=True)}) == len(set(got.tolist())) == k


def test_distances_are_shares_of_the_longer_one():
    tokens = [["a", "b"], ["a", "c"], [], ["x", "y", "z"]]
    np.testing.assert_allclose(distances(tokens), [[0, 0.5, 1, 1], [0.5, 0, 1, 1], [1, 1, 0, 1], [1, 1, 1, 0]])


def test_steps_that_rollouts_share_have_no_whole_rollout():
    tree = Batch.from_records(
        [
            Rollout(group="g", rollout=0, steps=[Step(id="s", text="ls"), Step(text="rm a")]),
            Rollout(group="g", rollout=1, prefix=["s"], steps=[Step(text="rm b")]),
        ]
    )
    with pytest.raises(StepCreditError, match="several whole rollouts"):
        action_clusters(tree)
    assert action_clusters(tree, scopes=(1, 2)).notes[-1].endswith("up to 2 distances")
    assert action_clusters(tree, scopes=(1, 2))["cluster"].shape == (3, 2)
    for wrong in ((), (0,), (-2,)):
        with pytest.raises(StepCreditError, match="scopes count actions"):
            action_clusters(tree, scopes=wrong)
