"""Information gain: by hand on tables of log-probabilities, the official SIOP potentials, and a real model."""

import numpy as np
import pytest
from model_standins import Table, batch

from stepcredit.data.batch import Batch
from stepcredit.data.records import Rollout, Step
from stepcredit.errors import DataError, MissingColumn
from stepcredit.evidence import get
from stepcredit.evidence.answer_gain import BRIDGE, answer_gain, cost
from stepcredit.llm import tiny

NAN = np.nan


def told(table, *, bridge=BRIDGE):
    """A forcer that gives, after each context, these log-probabilities of any answer."""
    return Table(lambda prefix, y: np.array(table[prefix.removesuffix(bridge)], float))


THREE = [("a", "x"), ("b", "y"), "c"]
TABLE = {
    "Q": [-4, -2],
    "Q\na\nx": [-2, -1],
    "Q\na": [-3, -3],
    "Q\na\nx\nb\ny": [-1, -1],
    "Q\na\nx\nb": [-1, -1.5],
    "Q\na\nx\nb\ny\nc": [0, -0.5],
}


def test_a_gain_is_the_rise_of_the_mean_log_prob():
    b = answer_gain(batch(THREE), told(TABLE))
    np.testing.assert_allclose(b["gain"], [-1.5 + 3, -1 + 1.5, -0.25 + 1])


def test_or_of_the_length_normalized_probability():
    b = answer_gain(batch(THREE), told(TABLE), measure="prob")
    p = np.exp([-3, -1.5, -1, -0.25])
    np.testing.assert_allclose(b["gain"], np.diff(p))


def test_igpo_has_no_gain_for_the_answering_turn():
    forcer = told(TABLE)
    b = answer_gain(batch(THREE), forcer, **get("answer_gain@igpo").options)
    np.testing.assert_allclose(b["gain"], [*np.diff(np.exp([-3, -1.5, -1])), NAN])
    assert [p.removesuffix(BRIDGE) for p, _ in forcer.asked] == ["Q\na\nx", "Q\na\nx\nb\ny", "Q"]


def test_a2tgpo_counts_from_the_first_turn_and_does_not_read_what_the_last_search_found():
    forcer = told(TABLE)
    b = answer_gain(batch(THREE), forcer, **get("answer_gain@a2tgpo").options)
    np.testing.assert_allclose(b["gain"], [NAN, -1.25 + 1.5, NAN])
    assert [p.removesuffix(BRIDGE) for p, _ in forcer.asked] == ["Q\na\nx", "Q\na\nx\nb"]


def test_one_turn_that_only_gives_the_baseline_is_not_asked():
    forcer = told(TABLE)
    b = answer_gain(batch([("a", "x"), "c"], ["c"]), forcer, **get("answer_gain@a2tgpo").options)
    assert np.isnan(b["gain"]).all() and forcer.asked == []


@pytest.mark.parametrize(
    ("logp", "want"),
    [
        # Executed: SIOP @a871ef9 compute_siop_process_rewards with frequency 1 and lambda 1.
        ([[-2], [-1], [-0.4]], [0.9999999532922595, 0.5999999877354292]),
        ([[-2], [-1.5], [-0.6]], [0.4999999709263312, 0.8999999734042983]),
        ([[-30], [-2], [-0.5]], [16.420671460263737, 1.4999999425966544]),
        ([[-3], [-2.5], [-1]], [0.4999999209695831, 1.4999999053578854]),
        ([[-2, -3], [-1, -0.5], [-0.4, -4]], [1.660815209150471, -0.34711988265420457]),
    ],
)
def test_siop_gains_are_those_of_the_official_code(logp, want):
    one = batch([("a", "x"), "so <answer>4</answer>"], ["so <answer>four</answer>"], ["<answer>5</answer>"])
    one = one.with_columns(axis="R", answer_cluster=[0.0, 0.0, 1.0] if len(logp[0]) == 2 else [0.0, 2.0, 1.0])
    contexts = ["Q", "Q\na", "Q\na\nx\nso <answer>4</answer>"]
    table = {
        (c + BRIDGE, y): [v]
        for c, row in zip(contexts, logp, strict=True)
        for y, v in zip(["4", "four"], row, strict=False)
    }
    forcer = Table(lambda p, y: np.array(table.get((p, y), [-1.0])))
    b = answer_gain(one, forcer, **get("answer_gain@siop").options)
    np.testing.assert_allclose(b["gain"][:2], want, atol=1e-12)


def test_the_gold_reading_of_siop():
    one = batch([("a", "x"), "c"])
    table = {"Q": [-30], "Q\na": [-2], "Q\na\nx\nc": [-0.5]}
    b = answer_gain(one, told(table), **get("answer_gain@siop-gold").options)
    np.testing.assert_allclose(b["gain"], [16.420671460263737, 1.4999999425966544], atol=1e-12)


def test_wordings_of_one_answer_are_averaged_up_to_the_limit():
    forcer = Table(lambda p, y: np.array([{"4": -1.0, "four": -3.0, "IV": -2.0}[y] if "\na\n" in p else -4.0]))
    one = batch(["a"], gold=["4", "four", "IV"])
    for m, want in ((1, np.exp(-1)), (2, (np.exp(-1) + np.exp(-3)) / 2), (3, np.exp([-1, -2, -3]).mean())):
        b = answer_gain(one, forcer, references=m)
        np.testing.assert_allclose(b["gain"], [np.log(want) + 4])


def test_a_rollout_without_an_answer_gains_nothing_on_it():
    one = batch(["<answer>4</answer>"], ["none"]).with_columns(axis="R", answer_cluster=[0.0, NAN])
    table = Table(lambda p, y: np.array([-1.0 - (p == f"Q{BRIDGE}")]))
    np.testing.assert_allclose(answer_gain(one, table, target="cluster")["gain"], [1.0, NAN])
    b = answer_gain(one, table, **get("answer_gain@siop").options)
    np.testing.assert_allclose(b["gain"], [1.0, 0.0], atol=1e-6)


def test_very_small_probabilities_do_not_underflow():
    b = answer_gain(batch(["a"]), told({"Q": [-3000.0], "Q\na": [-2000.0]}))
    np.testing.assert_allclose(b["gain"], [1000.0])


def test_a_failed_reply_is_not_judged_on_either_side():
    table = Table(lambda p, y: None if p.startswith("Q\na\n") and "b" not in p else np.array([-1.0]))
    b = answer_gain(batch(["a", "b", "c"]), table)
    np.testing.assert_allclose(b["gain"], [NAN, NAN, 0.0])


def test_a_shared_step_has_the_mean_of_its_gains():
    records = [
        Rollout(group=0, rollout=0, task="Q", steps=[Step(id="a", text="a"), Step(text="<answer>1</answer>")]),
        Rollout(group=0, rollout=1, task="Q", prefix=["a"], steps=[Step(text="<answer>2</answer>")]),
    ]
    tree = Batch.from_records(records).with_columns(axis="R", answer_cluster=[0.0, 1.0])
    table = {("Q", "1"): -4, ("Q\na", "1"): -1, ("Q", "2"): -5, ("Q\na", "2"): -4}
    forcer = Table(lambda p, y: np.array([table.get((p.removesuffix(BRIDGE), y), 0.0)]))
    b = answer_gain(tree, forcer, target="cluster")
    np.testing.assert_allclose(b["gain"], [(3 + 1) / 2, 1, 4])


def test_the_cost_is_what_is_asked():
    one = batch(THREE, [("a", "x"), "d"])
    for preset in ("igpo", "a2tgpo", "siop-gold"):
        forcer = Table(lambda p, y: np.array([-1.0]))
        options = get(f"answer_gain@{preset}").options
        answer_gain(one, forcer, **options)
        priced = {k: v for k, v in options.items() if k not in ("measure", "eps", "bridge", "unanswered")}
        assert cost(one, **priced).calls == {"force": len(forcer.asked)}


def test_what_is_missing_is_named():
    with pytest.raises(MissingColumn, match="answer_cluster"):
        answer_gain(batch(["a"]), Table({}), target="cluster")
    with pytest.raises(DataError, match="as text"):
        answer_gain(batch(["a"], gold={"x": 1}), Table({}))


def test_a_batch_without_steps():
    assert answer_gain(batch([]), Table({}))["gain"].size == 0


def test_gains_of_a_real_model_telescope_and_fall_at_a_wrong_link(engine):
    right = tiny.data(20, seed=8)
    wrong = tiny.data(20, seed=8, wrong=1.0)
    # A task and its bridge: the model answers after "#".
    options = {"bridge": "\n#", "answer_step": False}
    made = [
        answer_gain(Batch.from_records(tiny.records(chains)), engine.forcer, **options) for chains in (right, wrong)
    ]
    for b, chains in zip(made, (right, wrong), strict=True):
        total = np.array([np.nansum(b["gain"][b.layout.rollout == r]) for r in range(20)])
        start = engine.forcer([f"{c.task}\n#" for c in chains], [c.answer for c in chains])
        end = engine.forcer(["\n".join((c.task, *c.steps[:-1], "#")) for c in chains], [c.answer for c in chains])
        np.testing.assert_allclose(total, np.concatenate(end) - np.concatenate(start), atol=1e-4)
    lay = made[0].layout
    last_link = lay.paths.left == 1
    assert made[0]["gain"][last_link].mean() > 0
    misled = np.array([c.outcome == 0 for c in wrong])
    lost = made[1].layout
    rows = (lost.paths.left == 1) & misled[lost.rollout]
    assert made[1]["gain"][rows].mean() < -1
