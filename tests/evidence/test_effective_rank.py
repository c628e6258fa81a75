"""Effective rank and its growth: the official code's numbers, the worked example, a real model."""

import json
from pathlib import Path

import numpy as np
import pytest
from model_standins import Table, batch

from stepcredit.data.batch import Batch
from stepcredit.errors import StepCreditError
from stepcredit.evidence import get
from stepcredit.evidence.effective_rank import cost, effective_rank
from stepcredit.llm import tiny
from stepcredit.ops import effective_rank as rank_of

NAN = np.nan
GOLDEN = json.loads((Path(__file__).parent / "goldens" / "effective_rank_official.json").read_text())


@pytest.mark.parametrize("case", GOLDEN, ids=lambda c: f"{len(c['Z'])}-{c['stride']}-{c['window']}")
def test_numbers_are_those_of_the_official_code(case):
    states = Table(lambda p, c: np.array(case["Z"]))
    options = {**get("effective_rank@official").options, "stride": case["stride"], "window": case["window"]}
    b = effective_rank(batch(["a"]), states, **options)
    got = [b[n][0] for n in ("effective_rank", "rank_velocity", "rank_acceleration")]
    np.testing.assert_allclose(got, [case["rank"], case["velocity"], case["acceleration"]], atol=2e-5)


def test_the_worked_example():
    # Ranks of the first 2, 3, 4, 5 points; against their past .6, .7, .5667 in the spec's numbers.
    points = np.random.default_rng(0).normal(size=(5, 3))
    m = np.array([rank_of(points[: t + 1]) for t in (1, 2, 3, 4)])
    d = [m[1] - m[0], m[2] - m[:2].mean(), m[3] - m[:3].mean()]
    b = effective_rank(batch(["a"]), Table(lambda p, c: points), stride=1)
    np.testing.assert_allclose(b["rank_velocity"], np.mean(d))
    np.testing.assert_allclose(b["rank_acceleration"], np.mean(np.diff(d)))
    np.testing.assert_allclose(b["effective_rank"], m[3])


def test_too_short_is_not_judged_unless_asked_for():
    two = Table(lambda p, c: np.eye(2))
    b = effective_rank(batch(["a"], [""]), two, stride=1)
    np.testing.assert_allclose(b["effective_rank"], [rank_of(np.eye(2)), NAN])
    assert np.isnan(b["rank_velocity"]).all() and np.isnan(b["rank_acceleration"]).all()
    zero = effective_rank(batch(["a"], [""]), two, stride=1, short="zero")
    assert zero["rank_velocity"].tolist() == [0, 0] and zero["effective_rank"][1] == 0


def test_stretches_end_where_the_environment_answers():
    states = Table(lambda p, c: np.eye(3)[: len(c)])
    one = batch(["a", ("b", "seen"), "c"], ["a"])
    b = effective_rank(one, states)
    assert states.asked == [("Q\n", "a\nb"), ("Q\na\nb\nseen\n", "c"), ("Q\n", "a")]
    np.testing.assert_allclose(b["effective_rank"][0], rank_of(np.concatenate([np.eye(3), np.eye(3)[:1]])))
    blind = Table(lambda p, c: np.eye(3))
    effective_rank(one, blind, observations=False, joiner="|")
    assert blind.asked == [("Q|", "a|b|c"), ("Q|", "a")]
    assert cost(one).calls == {"hidden states": 3} and cost(one, observations=False).calls == {"hidden states": 2}


def test_a_failed_reply_is_not_judged_even_where_zeros_are_asked_for():
    b = effective_rank(batch(["a"], ["b"]), Table(lambda p, c: None if c == "a" else np.eye(2)), short="zero")
    assert np.isnan(b["effective_rank"][0]) and np.isnan(b["rank_velocity"][0]) and b["rank_velocity"][1] == 0
    assert "1 rollouts not judged" in b.notes[-1]


def test_what_is_wrong_is_named():
    with pytest.raises(StepCreditError, match="at least 1"):
        effective_rank(batch(["a"]), Table({}), stride=0)
    with pytest.raises(StepCreditError, match="tokens, width"):
        effective_rank(batch(["a"]), Table(lambda p, c: np.zeros(3)))


def test_a_batch_without_rollouts():
    assert effective_rank(Batch.from_records([]), Table({}))["effective_rank"].size == 0


def test_a_real_model_spreads_over_more_directions_as_it_writes(engine):
    chains = tiny.data(10, seed=5, links=(3, 3))
    b = effective_rank(Batch.from_records(tiny.records(chains)), engine.hidden_states, stride=5)
    states = engine.hidden_states([f"{chains[0].task}\n"], ["\n".join(chains[0].steps)])[0]
    assert b["effective_rank"][0] == pytest.approx(rank_of(states), rel=1e-4)
    assert (b["rank_velocity"] > 0).all() and b.axis("effective_rank") == "R"
