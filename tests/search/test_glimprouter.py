import numpy as np
import pytest
from said import lake, run, says, texts

from stepcredit.errors import StepCreditError
from stepcredit.protocols import Sample
from stepcredit.search import Writing
from stepcredit.search.policies.glimprouter import top_entropy

SURE, UNSURE = np.log([0.97, 0.02, 0.005]), np.log([0.5, 0.25, 0.15, 0.05])
MANNER = Writing(ends=r"never")


def small(glimpses, *steps):
    """A draft model: what it glimpses at each step, and what it writes there."""
    glimpses, write = list(glimpses), says(*steps)

    def sampler(prompts, *, n, max_tokens, **setting):
        if max_tokens == 1:
            return [[Sample("So", ("So",), top_logp=(glimpses.pop(0),))] for _ in prompts]
        return write.sampler(prompts, n=n, max_tokens=max_tokens, **setting)

    return sampler


def test_the_numbers_of_the_spec():
    assert top_entropy(UNSURE) == pytest.approx(1.1356, abs=5e-5)
    assert top_entropy(SURE) == pytest.approx(0.1299, abs=5e-5)
    assert top_entropy(np.array([0.0, -np.inf])) == 0.0


def test_the_large_model_writes_where_the_glimpse_is_undecided_and_always_the_answer():
    models = {
        "draft": small([SURE, UNSURE, SURE], "easy\n", "</think>\n"),
        "sampler": says("hard\n", "Answer: 5").sampler,
    }
    found = run("glimprouter", models, writing=MANNER)
    assert texts(found) == ["easy", "hard", "</think>", "Answer: 5"]
    assert [n.facts.get("source") for n in found.node.path] == ["draft", "sampler", "draft", None]
    assert found.answer == "5" and found.ledger.draft == 3 + 1 + 1


def test_a_repeated_step_closes_the_thinking():
    models = {"draft": small([SURE] * 9, "again\n"), "sampler": says("Answer: 5").sampler}
    found = run("glimprouter", models, writing=MANNER)
    assert texts(found) == ["again", "again", "again", "</think>", "Answer: 5"]


def test_the_budget_closes_the_thinking():
    models = {"draft": small([SURE] * 9, "a b\n", "c d\n", "e f\n"), "sampler": says("Answer: 5").sampler}
    assert texts(run("glimprouter", models, writing=MANNER, budget=4)) == ["a b", "c d", "</think>", "Answer: 5"]


def test_what_the_small_model_ends_is_ended_by_the_large_one():
    models = {"draft": small([SURE] * 9, "Answer: 4"), "sampler": says("Answer: 5").sampler}
    assert run("glimprouter", models).answer == "5"
    assert run("glimprouter", {**models, "draft": small([SURE], "Answer: 4")}, answer=False).answer == "4"


def test_the_glimpsed_token_may_be_kept():
    models = {"draft": small([SURE], " it is\n"), "sampler": says("x").sampler}
    assert texts(run("glimprouter@reuse", models, writing=MANNER, budget=1))[0] == "So it is"


def test_at_tau_itself_the_readings_differ():
    even = np.log([0.5, 0.5])
    for policy, source in (("glimprouter", "sampler"), ("glimprouter@paper", "draft")):
        models = {"draft": small([even], "a\n"), "sampler": says("b\n").sampler}
        found = run(policy, models, writing=MANNER, threshold=top_entropy(even), budget=1)
        assert found.tree.nodes[1].facts["source"] == source


def test_a_model_that_gives_no_log_probabilities_is_an_error():
    with pytest.raises(StepCreditError, match="log-probabilities"):
        run("glimprouter", {"draft": says("a\n").sampler, "sampler": says("b\n").sampler})


def test_it_acts_in_a_live_environment():
    task, way = lake()
    acts = says(*[f"{a}\n" for a in way]).sampler
    found = run("glimprouter", {"draft": small([UNSURE] * 9), "sampler": acts}, task)
    assert [n.text for n in found.node.path] == way and found.node.outcome == 1.0


def test_the_first_steps_may_be_left_to_the_large_model_and_the_thinking_have_no_mark():
    models = {"draft": small([SURE] * 9, "a b\n", "c d\n"), "sampler": says("first\n", "Answer: 5").sampler}
    found = run("glimprouter", models, writing=MANNER, first=1, budget=5, close="")
    assert texts(found) == ["first", "a b", "c d", "Answer: 5"]
