"""Probing after every step: numbers by hand, the official example's as it printed them, and a real model's."""

import json
from pathlib import Path

import numpy as np
import pytest
from model_standins import Scripted, Table, batch

from stepcredit.data.batch import Batch
from stepcredit.errors import StepCreditError
from stepcredit.evidence import get
from stepcredit.evidence.probe import OPENER, cost, probe
from stepcredit.llm import tiny
from stepcredit.protocols import Sample

(GOLDEN,) = json.loads((Path(__file__).parent / "goldens" / "probe_official.json").read_text())


def said(*entropy, top=()):
    """A continuation whose tokens have these entropies."""
    return Sample("x" * len(entropy), ("x",) * len(entropy), entropy=np.array(entropy, float), top_logp=top)


def prompt(*steps):
    return "\n".join(("Q", *steps, OPENER))


def test_the_two_means_by_hand():
    sampler = Scripted({prompt("a"): [said(0.0, np.log(4)), said(np.log(2))], prompt("a", "b"): [said(0, 0, 0)]})
    forcer = Table({(prompt("a"), "42"): np.log([0.5, 0.1]), (prompt("a", "b"), "42"): np.log([1.0, 0.8])})
    b = probe(batch(["a", "b"], gold="42"), sampler, forcer, n=2)
    np.testing.assert_allclose(b["answer_prob"], [0.3, 0.9])
    np.testing.assert_allclose(b["confidence"], [(0.5 + 0.5) / 2, 1.0])
    assert sampler.options[0] == {"n": 2, "max_tokens": 10, "temperature": 0.6, "stop": ()}


def test_sums_in_place_of_means_over_the_answers_length():
    sampler = Scripted({}, [said(np.log(2), np.log(3), 5.0)])
    forcer = Table(lambda p, c: np.log([0.5, 0.1]))
    b = probe(batch(["a"], gold="42"), sampler, forcer, n=1, over="sum")
    np.testing.assert_allclose(b["answer_prob"], [0.05 / 2])
    np.testing.assert_allclose(b["confidence"], [1 / 6 / 2])


def test_the_entropy_of_the_largest_log_probs_is_not_renormalized():
    sample = Sample("x", ("x",), top_logp=(np.log([0.5, 0.25]),), top_tokens=(("x", "y"),))
    b = probe(batch(["a"]), Scripted({}, [sample]), Table(lambda p, c: np.zeros(1)), n=1, entropy="top")
    np.testing.assert_allclose(b["confidence"], [np.exp(-(0.5 * np.log(2) + 0.25 * np.log(4)))])


def test_the_official_example():
    def sample(tokens):
        return Sample(
            "x" * len(tokens),
            ("x",) * len(tokens),
            top_logp=tuple(np.array(list(t.values())) for t in tokens),
            top_tokens=tuple(tuple(t) for t in tokens),
        )

    texts = {
        prompt(*steps): [sample(c) for c in top] for steps, top in zip((["a"], ["a", "b"]), GOLDEN["top"], strict=True)
    }
    options = {**get("probe@official").options, "pieces": list}
    b = probe(batch(["a", "b"], gold=GOLDEN["answer"]), Scripted(texts), Table({}), **options)
    np.testing.assert_allclose(b["answer_prob"], GOLDEN["answer_prob"], atol=1e-12)
    np.testing.assert_allclose(b["confidence"], GOLDEN["confidence"], atol=1e-12)


def test_a_token_that_is_not_among_the_largest_counts_as_missing():
    sample = Sample("x", ("x",), top_logp=(np.log([0.5]),), top_tokens=(("x",),), entropy=np.zeros(1))
    for missing, want in ((-10.0, np.exp(-10)), (-2.0, np.exp(-2))):
        b = probe(batch(["a"]), Scripted({}, [sample]), Table({}), probability="sampled", pieces=list, missing=missing)
        np.testing.assert_allclose(b["answer_prob"], [want])


def test_what_failed_is_not_judged():
    sampler = Scripted({prompt("a"): [None, said(np.log(2))]}, [None])
    forcer = Table({(prompt("a"), "4"): None, (prompt("a", "b"), "4"): np.array([np.log(0.5)])})
    b = probe(batch(["a", "b"]), sampler, forcer, n=2)
    np.testing.assert_allclose(b["answer_prob"], [np.nan, 0.5])
    np.testing.assert_allclose(b["confidence"], [0.5, np.nan])


def test_equal_prefixes_are_asked_once_and_the_cost_is_what_is_asked():
    one = batch(["a", "b"], ["a", "c"])
    sampler, forcer = Scripted({}, [said(0.0)]), Table(lambda p, c: np.zeros(1))
    probe(one, sampler, forcer, n=3)
    price = cost(one, n=3).calls
    assert price == {"sample": 3 * len(sampler.asked), "force": len(forcer.asked)} == {"sample": 9, "force": 3}
    assert cost(one, probability="sampled").calls["force"] == 0


def test_the_way_prefixes_are_written():
    sampler = Scripted({}, [said(0.0)])
    probe(batch([("a", "seen")]), sampler, Table(lambda p, c: np.zeros(1)), joiner="|", opener="?", observations=False)
    assert sampler.asked == ["Q|a|?"]


def test_what_the_sampler_does_not_give_is_named():
    bare = Scripted({}, ["x"])
    forcer = Table(lambda p, c: np.zeros(1))
    with pytest.raises(StepCreditError, match="entropy of every token"):
        probe(batch(["a"]), bare, forcer)
    with pytest.raises(StepCreditError, match="largest log-probabilities"):
        probe(batch(["a"]), bare, forcer, entropy="top")
    with pytest.raises(StepCreditError, match="cuts the answer"):
        probe(batch(["a"]), bare, forcer, probability="sampled")
    with pytest.raises(StepCreditError, match="at most 0"):
        probe(batch(["a"]), Scripted({}, [said(0.0)]), Table(lambda p, c: np.ones(1)))


def test_a_real_model_is_sure_and_right_after_the_last_link(engine):
    chains = tiny.data(12, seed=3, links=(2, 2))
    # The model answers in its own way: after a line break, "#".
    b = probe(Batch.from_records(tiny.records(chains)), engine.sampler, engine.forcer, opener="#", max_tokens=2, n=4)
    lay = b.layout
    first, told = lay.turn == 0, lay.paths.left == 1
    assert b["answer_prob"][told].mean() > 0.9 > 0.6 > b["answer_prob"][first].mean()
    assert b["confidence"][told].mean() > b["confidence"][first].mean()
    row = int(np.flatnonzero(told)[0])
    chain = chains[lay.rollout[row]]
    logp = engine.forcer(["\n".join((chain.task, *chain.steps[:-1], "#"))], [chain.answer])[0]
    assert b["answer_prob"][row] == pytest.approx(np.exp(logp).mean(), abs=1e-4)


def test_the_official_reading_runs_on_a_real_model(engine):
    engine.top = 20
    options = {**get("probe@official").options, "pieces": engine.pieces, "opener": "#", "max_tokens": 2}
    chains = tiny.data(3, seed=3, links=(2, 2))
    b = probe(Batch.from_records(tiny.records(chains)), engine.sampler, engine.forcer, **options)
    assert ((b["answer_prob"] >= 0) & (b["answer_prob"] <= 1)).all() and (b["confidence"] <= 1).all()
