"""Path faithfulness: P2S's worked numbers on a table of log-probabilities, choice of the chain, a real model."""

import numpy as np
import pytest
from model_standins import Table, batch

from stepcredit.data.batch import Batch
from stepcredit.data.records import Rollout, Step
from stepcredit.errors import DataError
from stepcredit.evidence.chain_gain import chain_gain, cost
from stepcredit.llm import tiny

NAN = np.nan
SUFFIXES = ["x\ny\nz", "y\nz", "z"]


def one(*steps, chain=("x", "y", "z"), **extra):
    fields = {"gold": "4", "chain": list(chain), **extra}
    return Batch.from_records(
        [Rollout(group="g", rollout=0, task="Q", steps=[Step(text=s) for s in steps], extra=fields)]
    )


def forcer(gains, last, base=-1.0):
    """After step t, suffix j is likelier than alone by gains[t][j]; the answer after all steps has `last`."""

    def ask(prefix, text):
        if text == "4":
            return np.array([last])
        seen = prefix.count("\n") - 1
        return np.array([base + (gains[seen - 1][SUFFIXES.index(text)] if seen else 0.0)])

    return Table(ask)


def test_the_worked_example():
    b = chain_gain(one("a", "b", "c"), forcer([[0.1, 0.4, 0.2], [0.3, 0.2, 0.6]], -0.3))
    np.testing.assert_allclose(b["gain"], [0.4, 0.6, -0.3])


def test_means_and_sums_of_log_probs():
    def ask(prefix, text):
        return np.log([0.5] * len(text.replace("\n", ""))) * (1 if prefix.startswith("Q\na") else 2)

    table = Table(ask)
    np.testing.assert_allclose(chain_gain(one("a", "b"), table)["gain"], [np.log(2), np.log(0.5)])
    by_sum = chain_gain(one("a", "b"), table, length="sum")["gain"]
    np.testing.assert_allclose(by_sum, [3 * np.log(2), np.log(0.5)])


def test_prefix_mask_and_bridge_are_written_as_asked():
    table = Table(lambda p, y: np.array([-1.0]))
    chain_gain(one("a", "b", chain=["x"]), table, mask="...", bridge=" so ")
    assert table.asked == [("Q\na\n", "x"), ("Q\n...\n", "x"), ("Q\na\nb so ", "4")]
    table = Table(lambda p, y: np.array([-1.0]))
    chain_gain(one("a", chain=["x"]), table)
    assert table.asked == [("Q\na\n", "4")]  # one step: the answer alone


def test_the_chain_after_which_the_answer_is_likeliest_is_taken():
    def ask(prefix, text):
        if text == "4":
            return np.array([{"Q\nx\n": -2.0, "Q\ny\n": -1.0, "Q\nz\n": NAN}.get(prefix, -5.0)])
        return np.array([-1.0 if prefix == "Q\na\n" and text == "y" else -3.0])

    b = chain_gain(one("a", "b", chain=[["x"], ["y"], ["z"]]), Table(ask))
    np.testing.assert_allclose(b["gain"], [2.0, -5.0])


def test_no_chain_is_not_judged_and_none_at_all_is_an_error():
    both = Batch.from_records(
        [*one("a", "b").records, Rollout(group="h", rollout=1, task="Q", steps=[Step(text="a")], extra={"gold": "4"})]
    )
    b = chain_gain(both, Table(lambda p, y: np.array([-1.0])))
    np.testing.assert_allclose(b["gain"], [0, -1, NAN])
    assert "1 of 2 rollouts have none" in b.notes[-1]
    with pytest.raises(DataError, match="reference chain"):
        chain_gain(batch(["a"]), Table({}))


def test_a_failed_suffix_is_left_out_of_the_maximum():
    def ask(prefix, text):
        return None if text == "z" else np.array([-1.0 if prefix == "Q\na\n" else -2.0])

    np.testing.assert_allclose(chain_gain(one("a", "b"), Table(ask))["gain"], [1.0, -2.0])
    np.testing.assert_allclose(chain_gain(one("a", "b"), Table(lambda p, y: None))["gain"], [NAN, NAN])


def test_a_chain_may_be_text_a_mapping_or_a_function():
    want = chain_gain(one("a", "b"), forcer([[0.1, 0.4, 0.2]], -0.3))["gain"]
    for chain in ({"g": "x\ny\nz"}, lambda r: ["x", "y", "z"]):
        np.testing.assert_allclose(
            chain_gain(one("a", "b"), forcer([[0.1, 0.4, 0.2]], -0.3), chain=chain)["gain"], want
        )


def test_the_cost_is_what_is_asked():
    for given in (one("a", "b", "c"), one("a", "b", chain=["x", "x"])):
        table = Table(lambda p, y: np.array([-1.0]))
        chain_gain(given, table)
        assert cost(given).calls == {"force": len(table.asked)} and not cost(given).at_most
    several = one("a", "b", chain=[["x"], ["y", "z"]])
    table = Table(lambda p, y: np.array([-1.0]))
    chain_gain(several, table)
    assert cost(several).at_most and cost(several).calls["force"] >= len(table.asked)


def test_a_batch_without_steps():
    assert chain_gain(batch([]), Table({}), chain=lambda r: ["x"])["gain"].size == 0


def test_a_real_model_finds_the_rest_of_the_right_chain_likelier_after_right_steps(engine):
    right, wrong = tiny.data(15, seed=8), tiny.data(15, seed=8, wrong=1.0)
    chains = {c.task: list(c.steps) for c in right}
    made = [
        chain_gain(Batch.from_records(tiny.records(c)), engine.forcer, chain=chains, bridge="\n#")
        for c in (right, wrong)
    ]
    first = made[0].layout.turn == 0
    assert made[0]["gain"][first].mean() > made[1]["gain"][first].mean()
    assert (made[0]["gain"] <= 0)[made[0].layout.paths.left == 0].all()
