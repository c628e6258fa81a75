import numpy as np
import pytest
from said import lake, run, says

from stepcredit.errors import StepCreditError
from stepcredit.llm.scripted import Scripted
from stepcredit.protocols import Sample
from stepcredit.search.policies.p_true import p_of_true, read_options

TWO = ("so\nAnswer: 4", "so\nAnswer: 5")


def forced(**true):
    """log P(A) by the answer that the prompt asks about; B is what is left."""

    def force(prefixes, continuations):
        out = []
        for prefix, reply in zip(prefixes, continuations, strict=True):
            p = next(v for k, v in true.items() if f"Answer: {k[1:]}\n" in prefix)
            out.append(None if p is None else np.log([p if "A" in reply else 1 - p]))
        return out

    return force


def test_the_worked_example():
    """p-true spec: l_A = -.3, l_B = -1.6."""
    assert p_of_true(-0.3, -1.6) == pytest.approx(0.785835, abs=5e-7)
    assert p_of_true(-0.3, -1.6, 2.5) == pytest.approx(1 / (1 + np.exp(-1.3 / 2.5)))
    assert np.isnan(p_of_true(-np.inf, -np.inf)) and p_of_true(0.0, -np.inf) == 1.0


def test_the_solution_that_is_most_likely_called_true_is_chosen():
    models = {"sampler": says(*TWO).sampler, "forcer": forced(_4=0.3, _5=0.8)}
    found = run("p_true", models, n=2)
    assert found.answer == "5"
    assert [round(x.score, 6) for x in found.tree.leaves()] == [0.3, 0.8]
    assert found.ledger.spent()["score"] == 4


def test_answers_vote_with_their_p():
    models = {"sampler": says(TWO[0], TWO[1], TWO[0]).sampler, "forcer": forced(_4=0.5, _5=0.8)}
    assert run("p_true", models, n=3).answer == "5"
    assert run("p_true@vote", models, n=3).answer == "4"


def test_a_reply_that_failed_leaves_the_solution_unjudged():
    models = {"sampler": says(*TWO).sampler, "forcer": forced(_4=0.2, _5=None)}
    found = run("p_true", models, n=2)
    assert found.answer == "4"
    assert [x.status for x in found.tree.leaves()] == ["ok", "failed"]


def test_steps_are_asked_about_one_by_one():
    seen = []

    def force(prefixes, continuations):
        seen.extend(prefixes)
        return [np.log([0.9 if "A" in c else 0.1]) for c in continuations]

    found = run("p_true@steps", {"sampler": says(TWO[0]).sampler, "forcer": force}, n=1)
    assert [round(n.score, 6) for n in found.node.path] == [0.9, 0.9]
    assert "Answer: 4" not in seen[0] and "Is the last step right?" in seen[0]


def test_others_are_shown_where_that_is_asked_for():
    seen = []

    def force(prefixes, continuations):
        seen.extend(prefixes)
        return [np.log([0.5]) for _ in continuations]

    run("p_true@brainstormed", {"sampler": says(*TWO).sampler, "forcer": force}, n=2)
    assert "another attempt 1]]\nso\nAnswer: 5" in seen[0] and "another attempt 2" not in seen[0]


def replying(*top):
    """A sampler that writes a solution, and to a question one token with these alternatives."""

    def sample(prompts, *, n=1, max_tokens=256, **_):
        names, logp = tuple(k for k, _ in top), np.array([v for _, v in top])
        one = Sample("A", ("A",), logp[:1], (logp,) if top else (), top_tokens=(names,) if top else (), written=1)
        return [[one if p.endswith("(") else Sample("Answer: 1", written=2) for _ in range(n)] for p in prompts]

    return sample


def test_the_next_token_tells_too():
    found = run("p_true", {"sampler": replying(("A", -0.3), (" B", -1.6))}, n=1, by="top_logp")
    assert found.node.score == pytest.approx(0.785835, abs=5e-7)
    assert found.ledger.calls == 2 and found.ledger.decode == 3
    other = run("p_true", {"sampler": replying(("The", -0.1))}, n=1, by="top_logp")
    assert other.node.status == "failed"
    with pytest.raises(StepCreditError, match="no log-probabilities") as error:
        run("p_true", {"sampler": replying()}, n=1, by="top_logp")
    assert "by=forcer" in error.value.hint


def test_an_option_that_is_not_among_the_largest_is_at_the_floor():
    logp = np.array([-0.1, -3.0])
    sample = Sample("A", ("A",), logp[:1], (logp,), top_tokens=(("A", "C"),))
    assert read_options(sample, floor=-9.0) == (-0.1, -9.0)


def test_a_judge_is_asked_several_times_and_its_prose_counts_for_nothing():
    judge = Scripted({"": ["Verdict: True", "Hm.", "Verdict: False", "Verdict: True"]})
    found = run("p_true@self-check", {"sampler": says(TWO[0]).sampler, "judge": judge.judge}, n=1)
    assert found.node.score == pytest.approx(2 / 3) and found.node.facts["votes"] == 3
    assert found.ledger.judge == 4


def test_walks_of_a_live_environment_are_asked_about():
    task, way = lake()
    walk = Scripted(lambda p: way[min(sum(p.count(a + "\n") for a in set(way)), 3)] + "\n")
    force = lambda prefixes, replies: [np.log([0.6 if "A" in r else 0.4]) for r in replies]  # noqa: E731
    found = run("p_true", {"sampler": walk.sampler, "forcer": force}, task, n=1)
    assert found.node.outcome == 1.0 and found.node.score == pytest.approx(0.6)


def test_what_makes_no_sense_is_an_error():
    with pytest.raises(StepCreditError, match="must be positive"):
        run("p_true", {"sampler": says("x").sampler}, heat=0.0)
