import numpy as np
import pytest
from said import lake, run, says, scorer

from stepcredit.errors import StepCreditError
from stepcredit.llm.scripted import Scripted
from stepcredit.protocols import Sample
from stepcredit.search.policies.cosmos import sibling_pairs

SURPRISE = {"a duel": 2.5, "a nap": 0.5, "a gibberish": 5.0}


def teller(prompts, **_):
    """Tells a step out, as surprisingly as is said."""
    last = [p.splitlines()[-1] for p in prompts]
    return [[Sample(f"told: {s}", ("x", "y"), logp=np.full(2, -SURPRISE.get(s, 2.5)))] for s in last]


def models(*steps, worth=None):
    return {"sampler": says(*steps).sampler, "simulator": teller, "scorer": scorer(worth or {}, 0.5)}


def test_what_surprises_enough_and_not_too_much_is_valued_most():
    found = run("cosmos", models("a duel\n", "a nap\n", "a gibberish\n"), iterations=1)
    values = [n.value for n in found.tree.root.children]
    assert values == pytest.approx([1.5, 0.5 + 0.1353, 0.5 + 0.0439], abs=5e-5)
    assert found.tree.root.children[0].observation == "told: a duel"
    assert [(w.text, x.text) for w, x in sibling_pairs(found.tree)] == [("a duel", "a gibberish")]
    assert not list(sibling_pairs(found.tree, margin=1.0))


def test_the_search_goes_on_from_the_best_step_and_knows_what_was_told():
    seen = Scripted(
        lambda p: "The end. Answer: x" if "told: a duel" in p else ["a nap\n", "a duel\n"][len(seen.asked) % 2]
    )
    found = run("cosmos", {**models(), "sampler": seen.sampler}, iterations=3, expand=2)
    assert found.node.path[0].text == "a duel" and found.node.ended


def test_incoherence_is_taken_off():
    given = {**models("a duel\n", "a nap\n", "a gibberish\n"), "incoherence": scorer({"a duel": 2.0})}
    found = run("cosmos@incoherence", given, iterations=1)
    assert found.tree.root.children[0].value == pytest.approx(-0.5)


def test_without_log_probabilities_there_is_no_curiosity():
    mute = {**models("a\n"), "simulator": says("told").sampler}
    with pytest.raises(StepCreditError, match="curious=0"):
        run("cosmos", mute, iterations=1)
    found = run("cosmos@no-curiosity", mute, iterations=1, expand=1)
    assert found.tree.nodes[1].value == 0.5


def test_in_a_live_environment_the_world_answers():
    task, way = lake()
    done = lambda p: sum(p.count(a + "\n") for a in set(way))  # noqa: E731
    sampler = Scripted(lambda p: way[min(done(p), 3)] + "\n")
    given = {"sampler": sampler.sampler, "simulator": says("never").sampler, "scorer": scorer({}, 0.5)}
    found = run("cosmos@no-curiosity", given, task, iterations=4, expand=1)
    assert found.node.outcome == 1.0 and found.ledger.draft == 0


def test_how_much_surprise_is_liked_is_told():
    steps = models("a duel\n", "a nap\n", "a gibberish\n")
    found = run("cosmos", steps, iterations=1, mu=0.5, sigma=0.1, curious=2.0)
    assert [round(n.value, 6) for n in found.tree.root.children] == [0.5, 2.5, 0.5]
