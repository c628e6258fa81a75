import numpy as np
from said import lake, run, says, scorer, texts

from stepcredit.llm.scripted import Scripted

ACTIONS = {"go north": -3.0, "go east": -2.0, "go south": -4.0}


def forced(logp):
    return lambda prefixes, continuations: [np.array([logp[c]]) for c in continuations]


def expert(way):
    """Writes east where the expert goes east, and elsewhere two other moves first."""
    step = {"n": 0}

    def reply(prompt):
        step["n"] += 1
        done = sum(prompt.count(f"\n{a}\n") for a in ("go east", "go south", "go north"))
        return ["go north\n", f"{way[done]}\n"][step["n"] % 2]

    return Scripted(reply)


def test_the_largest_log_ratio_is_done_not_the_likeliest():
    policy = {"go north\n": 0, **ACTIONS}
    reference = {"go north": -3.0, "go east": -1.0, "go south": -6.0}
    models = {
        "sampler": says("go north\n", "go east\n", "go south\n").sampler,
        "forcer": forced(policy),
        "reference": forced(reference),
    }
    task, _ = lake()
    found = run("step_q", models, task, n=3, limits={"tool": 3})
    first = {n.text: n.score for n in found.tree.root.children}
    assert {k: round(v, 6) for k, v in first.items()} == {"go north": 0.0, "go east": -0.1, "go south": 0.2}
    assert [n.text for n in found.tree.nodes if n.kept and n.parent] == ["go south"]
    assert found.ledger.score == 6 and found.stopped == "budget"


def test_it_walks_to_the_goal_with_a_scorer():
    task, way = lake()
    models = {"sampler": expert(way).sampler, "scorer": scorer(dict.fromkeys(way, 1.0))}
    found = run("step_q@scorer", models, task, n=2)
    assert [n.text for n in found.node.path] == way
    assert found.node.outcome == 1.0 and found.stopped == "done"


def test_one_distinct_action_is_not_asked_about():
    found = run("step_q", {"sampler": says("so\n", "so\n", "Answer: 5").sampler}, n=1)
    assert (found.answer, found.ledger.score) == ("5", 0)
    assert texts(found) == ["so", "so", "Answer: 5"]


def test_an_action_without_an_opinion_is_taken_only_where_none_has_one():
    models = {
        "sampler": says("a\n", "Answer: 1", "Answer: 2").sampler,
        "scorer": scorer({"a": np.nan, "Answer: 2": -5.0}),
    }
    found = run("step_q@scorer", models, n=3)
    assert found.answer == "1" and found.tree.nodes[1].status == "failed"
    blind = {**models, "scorer": lambda p, s: np.full(len(s), np.nan)}
    assert run("step_q@scorer", blind, n=3, limits={"calls": 3}).tree.nodes[1].kept
