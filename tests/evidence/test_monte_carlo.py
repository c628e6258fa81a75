"""Values of prefixes by completing them: counts by hand on scripted samplers, and exact chances of a real model."""

import numpy as np
import pytest
from model_standins import Scripted, batch, equal

from stepcredit.data.batch import Batch
from stepcredit.errors import DataError, StepCreditError
from stepcredit.evidence import get
from stepcredit.evidence.monte_carlo import cost, monte_carlo
from stepcredit.llm import tiny
from stepcredit.ops import wilson

NAN = np.nan


def test_a_value_is_the_share_of_completions_that_are_right():
    sampler = Scripted({"Q\n": ["4", "5", "4", "4"], "Q\na\n": ["5", "4"]})
    b = monte_carlo(batch(["a", "b"], outcomes=[1.0]), sampler, equal, n=4)
    np.testing.assert_allclose(b["value"], [0.75, 0.5])
    np.testing.assert_allclose(b["next_value"], [0.5, 1.0])
    np.testing.assert_allclose(b["value_n"], [4, 4])
    np.testing.assert_allclose(b["next_value_n"], [4, 0])
    assert "8 completions of 2 prefixes; 0 not judged" in b.notes[-1]


def test_a_shared_prefix_is_completed_once_and_other_tasks_apart():
    sampler = Scripted({}, ["4"])
    rollouts = [["a", "b"], ["a", "c"]]
    two = Batch.from_records([*batch(*rollouts).records, *batch(*rollouts, group="h", gold="5").records])
    b = monte_carlo(two.with_columns(outcome=[0.0] * 4), sampler, equal, n=2)
    assert sorted(sampler.asked) == ["Q\n", "Q\n", "Q\na\n", "Q\na\n"]
    np.testing.assert_allclose(b["value"], [1, 1, 1, 1, 0, 0, 0, 0])


def test_the_last_steps_value_is_the_outcome_and_completed_where_that_is_unknown():
    sampler = Scripted({"Q\nb\n": ["4", "5"]}, ["5"])
    b = monte_carlo(batch(["a"], ["b"], outcomes=[0.25, None]), sampler, equal, n=2)
    np.testing.assert_allclose(b["next_value"], [0.25, 0.5])
    assert sampler.asked == ["Q\n", "Q\nb\n"]
    every = monte_carlo(batch(["a"], ["b"], outcomes=[1.0, None]), Scripted({}, ["5"]), equal, n=2, end="sample")
    np.testing.assert_allclose(every["next_value"], [0, 0])


def test_a_step_that_others_go_on_from_is_completed_although_a_rollout_ends_there():
    from stepcredit.data.records import Rollout, Step

    tree = Batch.from_records(
        [
            Rollout(group="g", rollout=0, task="Q", outcome=0.0, extra={"gold": "4"}, steps=[Step(id="a", text="a")]),
            Rollout(
                group="g", rollout=1, task="Q", outcome=1.0, extra={"gold": "4"}, prefix=["a"], steps=[Step(text="b")]
            ),
        ]
    )
    b = monte_carlo(tree, Scripted({"Q\na\n": ["4", "5"]}, ["5"]), equal, n=2)
    np.testing.assert_allclose(b["next_value"], [0.5, 1.0])
    np.testing.assert_allclose(b["value"], [0.0, 0.5])


def test_what_cannot_be_told_is_not_counted():
    sampler = Scripted({"Q\n": ["4", "?", None, "5"], "Q\na\n": ["?"]})
    b = monte_carlo(batch(["a", "b"], outcomes=[1.0]), sampler, equal, n=4)
    np.testing.assert_allclose(b["value"], [0.5, NAN])
    np.testing.assert_allclose(b["value_n"], [2, 0])
    assert "6 not judged" in b.notes[-1]


def test_observations_and_the_way_prefixes_are_written():
    sampler = Scripted({}, ["4"])
    one = batch([("a", "seen"), "b"], outcomes=[1.0])
    monte_carlo(one, sampler, equal, n=1, joiner="|", suffix="</think>", stop=";", max_tokens=5, temperature=0.5)
    assert sampler.asked == ["Q|</think>", "Q|a|seen|</think>"]
    assert sampler.options == [{"n": 1, "max_tokens": 5, "temperature": 0.5, "stop": (";",)}]
    blind = Scripted({}, ["4"])
    monte_carlo(one, blind, equal, n=1, observations=False)
    assert blind.asked == ["Q\n", "Q\na\n"]


def test_the_verifier_may_be_given_the_whole_text():
    seen = []

    def verifier(answers, references):
        seen.extend(answers)
        assert references == ["4"]
        return np.ones(len(answers))

    monte_carlo(batch(["a"], outcomes=[1.0], gold=4), Scripted({}, ["x"]), verifier, n=1, whole=True)
    assert seen == ["Q\nx"]


def test_the_best_of_k_plugged_in_and_unbiased():
    sampler = {"Q\n": ["4", "5", "5", "5"], "Q\na\n": ["4", "4", "5", "5"]}
    one = batch(["a", "b"], outcomes=[0.5])
    plain = monte_carlo(one, Scripted(sampler), equal, n=4, best_of=2)
    np.testing.assert_allclose(plain["prover_value"], [1 - 0.75**2, 0.75])
    np.testing.assert_allclose(plain["next_prover_value"], [0.75, 0.75])
    np.testing.assert_allclose(plain["value"], [0.25, 0.5])
    unbiased = monte_carlo(one, Scripted(sampler), equal, n=4, best_of=2, unbiased=True)
    np.testing.assert_allclose(unbiased["prover_value"], [1 - 3 / 6, 1 - 1 / 6])
    with pytest.raises(StepCreditError, match="at least best_of"):
        monte_carlo(one, Scripted(sampler), equal, n=4, best_of=5, unbiased=True)


def test_another_policys_values_are_the_provers():
    b = monte_carlo(batch(["a"], outcomes=[1.0]), Scripted({}, ["4", "5"]), equal, n=2, column="prover_value")
    np.testing.assert_allclose(b["prover_value"], [0.5])
    np.testing.assert_allclose(b["next_prover_value"], [1.0])
    assert "value" not in b and b["prover_value_n"].tolist() == [2]


def test_narrow_stops_where_the_interval_is_narrow_enough():
    sampler = Scripted({"Q\n": ["4"], "Q\na\n": ["4", "5"]})
    b = monte_carlo(batch(["a", "b"], outcomes=[1.0]), sampler, equal, n=4, stop_when="narrow", width=0.2, most=40)
    for won, m in ((b["value"] * b["value_n"], b["value_n"]),):
        for c, n in zip(won, m, strict=True):
            low, high = wilson(c, n)
            before = wilson(c / n * (n - 4), n - 4)
            assert (high - low) / 2 <= 0.2 < (before[1] - before[0]) / 2
    assert b["value_n"].tolist() == [8, 24]


def test_lookahead_stops_where_one_more_would_not_pay():
    # Beta(1 + c, 1 + n - c): variance / (n + 3). All right after 4: (5 * 1) / (36 * 7) / 7 = 0.002834;
    # after 8: (9 * 1) / (100 * 11) / 11 = 0.000744. Half right after 8: (5 * 5) / (100 * 11) / 11 = 0.002066.
    sampler = Scripted({"Q\n": ["4"], "Q\na\n": ["4", "5"]})
    options = {"n": 4, "stop_when": "lookahead", "most": 8}
    one = batch(["a", "b"], outcomes=[1.0])
    assert monte_carlo(one, sampler, equal, price=0.003, **options)["value_n"].tolist() == [4, 8]
    assert monte_carlo(one, sampler, equal, price=0.001, **options)["value_n"].tolist() == [8, 8]


def test_no_prefix_gets_more_than_the_limit():
    sampler = Scripted({}, ["4", "5"])
    b = monte_carlo(batch(["a"], outcomes=[1.0]), sampler, equal, n=4, stop_when="narrow", width=0.0, most=10)
    assert b["value_n"].tolist() == [10] and [o["n"] for o in sampler.options] == [4, 4, 2]


def test_the_cost_is_what_is_asked():
    one = batch(["a", "b"], ["a", "c"], ["d"], outcomes=[1.0, 0.0, None])
    sampler = Scripted({}, ["4"])
    monte_carlo(one, sampler, equal, n=3)
    assert cost(one, n=3).calls == {"sample": 3 * len(sampler.asked)} and not cost(one).at_most
    assert cost(one, n=3, stop_when="narrow", most=20).calls == {"sample": 60}
    assert str(cost(one, stop_when="narrow", most=20)) == "at most 60 sample calls"
    assert cost(one, n=1, end="sample").calls == {"sample": 5}


def test_a_reference_may_be_a_field_a_mapping_or_a_function():
    one = batch(["a"], outcomes=[1.0], gold=None)
    with pytest.raises(DataError, match="needs a reference"):
        monte_carlo(one, Scripted({}), equal)
    for reference in ({"g": "5"}, lambda r: "5"):
        b = monte_carlo(one, Scripted({}, ["5"]), equal, reference=reference)
        assert b["value"].tolist() == [1.0]


def test_outcomes_that_are_no_chances_and_models_that_miscount_are_refused():
    with pytest.raises(DataError, match="values are chances"):
        monte_carlo(batch(["a"], outcomes=[-1.0]), Scripted({}), equal)
    with pytest.raises(StepCreditError, match="answered 0 times to 1"):
        monte_carlo(batch(["a"], outcomes=[1.0]), lambda prompts, **_: [], equal)
    with pytest.raises(StepCreditError, match=r"0 \(wrong\) to 1"):
        monte_carlo(batch(["a"], outcomes=[1.0]), Scripted({}), lambda a, r: np.full(len(a), 2.0))
    with pytest.raises(StepCreditError, match="at least 1"):
        monte_carlo(batch(["a"]), Scripted({}), equal, n=0)
    with pytest.raises(StepCreditError, match="holds arrays alone"):
        monte_carlo(Batch(batch(["a"]).layout, {}), Scripted({}), equal)


def test_a_batch_without_steps():
    b = monte_carlo(batch([], outcomes=[1.0]), Scripted({}), equal)
    assert b["value"].shape == b["next_value"].shape == (0,)


def test_presets_name_their_settings():
    assert get("monte_carlo@pav").options["best_of"] == 4
    assert get("monte_carlo@vsrm").options["suffix"].startswith("</think>")
    assert get("monte_carlo@math-shepherd").options["n"] == 8
    assert get("monte_carlo").models == ("sampler", "verifier")


def exact(engine, prefix, links, answer):
    """(least, most) chance that the model answers right from the prefix: all chains that write these links, with any
    results, and any answer; what else it may write is between 0 and all right."""
    texts, right = [""], []
    for link in links:
        texts = [f"{t}{link}{d}\n" for t in texts for d in "0123456789"]
    texts = [f"{t}#{a}<eos>" for t in texts for a in "0123456789"]
    right = np.array([t.endswith(f"#{answer}<eos>") for t in texts])
    mass = np.exp([x.sum() for x in engine.forcer([prefix] * len(texts), texts)])
    return mass[right].sum(), mass[right].sum() + 1 - mass.sum()


@pytest.mark.parametrize("links", [0, 1])
def test_values_of_a_real_model_are_its_exact_chances(engine, links):
    chains = tiny.data(6, seed=21, links=(2, 2))
    engine.batch_size = 200
    records = tiny.records(chains)
    b = monte_carlo(Batch.from_records(records), engine.sampler, tiny.verify, n=100, max_tokens=24)
    rows = np.flatnonzero(b.layout.paths.left == links)
    wide = 0
    for row, chain in zip(rows.tolist(), chains, strict=True):
        told = chain.steps[: len(chain.steps) - 1 - links]
        prefix = "\n".join((chain.task, *told)) + "\n"
        rest = [s[: s.index("=") + 1] for s in chain.steps[len(told) : -1]]
        least, most = exact(engine, prefix, rest, chain.answer)
        low, high = wilson(100 * b["value"][row], 100.0, z=4.0)
        assert low <= most and least <= high
        wide += most - least > 0.2
    assert wide <= 2  # nearly all that the model writes was enumerated
