"""Evidence of a real model arrives where credit methods look for it."""

import numpy as np
import pytest

from stepcredit import assign
from stepcredit.data.batch import Batch
from stepcredit.evidence.answer_gain import answer_gain
from stepcredit.evidence.implicit_reward import implicit_reward
from stepcredit.evidence.monte_carlo import monte_carlo
from stepcredit.llm import local, tiny


@pytest.fixture
def sampled(engine):
    """Four rollouts of six tasks, written by the model itself."""
    chains = []
    for chain in tiny.data(6, seed=31):
        texts = engine.sampler([f"{chain.task}\n"], n=4, temperature=1.5, max_tokens=40)[0]
        chains += [tiny.Chain(chain.task, tuple(s.text.split("\n")), chain.answer) for s in texts]
    return Batch.from_records(tiny.records(chains))


def test_monte_carlo_values_sum_to_what_the_outcome_was_more_than_expected(engine, sampled):
    b = monte_carlo(sampled, engine.sampler, tiny.verify, n=8, max_tokens=40)
    credit = assign(b, "gae", gamma=1.0, lam=0.0, whiten=False).values
    root = b["value"][b.layout.turn == 0]
    np.testing.assert_allclose(b.layout.total(credit), b["outcome"] - root, atol=1e-9)
    assert np.isfinite(credit).all()


def test_information_gain_reaches_the_turns(engine, sampled):
    options = {"baseline": "first", "answer_step": False, "context": "but_last", "bridge": "\n#"}
    b = answer_gain(sampled, engine.forcer, **options)
    credit = assign(b, "a2tgpo")
    assert np.isfinite(credit.values).all() and np.ptp(credit.extras["clip_scale"]) > 0


def test_implicit_rewards_reach_the_tokens(engine, sampled, tmp_path):
    reference = local.load(tiny.save(tmp_path, *tiny.build(0, steps=0)))
    b = implicit_reward(sampled, engine.forcer, reference.forcer)
    credit = assign(b, "prime")
    assert credit.tokens.shape == (b.layout.K,) and np.isfinite(credit.tokens).all()
    texts = [s.text for r in b.records for s in r.steps]
    assert [len(engine.pieces(t)) for t in texts] == b.layout.step_tokens.tolist()


def test_what_was_gathered_is_written_and_read_again(engine, sampled, tmp_path):
    import stepcredit as sc

    reference = local.load(tiny.save(tmp_path / "model", *tiny.build(0, steps=0)))
    b = implicit_reward(sampled, engine.forcer, reference.forcer)
    b = monte_carlo(b, engine.sampler, tiny.verify, n=2, max_tokens=40)
    sc.write(b, tmp_path / "made.jsonl")
    again = sc.read(tmp_path / "made.jsonl")
    for name in ("value", "next_value", "value_n", "score", "logratio", "token_logratio"):
        np.testing.assert_allclose(again[name], b[name], err_msg=name)
