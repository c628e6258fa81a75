"""Credit against people's labels: what is compared, what baselines get, what may choose among rollouts."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepcredit.bench import metrics
from stepcredit.bench.entries import Judged, entries
from stepcredit.bench.suites import _best_of, _judged, people
from stepcredit.bench.suites._agentprocessbench import Said, files, home, said
from stepcredit.bench.suites.people import BASELINES, Guess, Truth, baseline, guess, guesses, rankings
from stepcredit.errors import DataError, StepCreditError

NAN = float("nan")
few = st.sampled_from([-1.0, 0.0, 0.5, NAN])


def truth(*rollouts):
    """Rollouts as (question, outcome, labels)."""
    owner, outcome, labels = ([r[i] for r in rollouts] for i in range(3))
    rollout = np.repeat(np.arange(len(rollouts)), [len(one) for one in labels])
    turn = np.concatenate([np.arange(len(one)) for one in labels])
    last = np.concatenate([np.arange(len(one)) == len(one) - 1 for one in labels])
    flat = np.array([x for one in labels for x in one], float)
    return Truth(
        np.array(owner)[rollout], rollout, turn, flat, last, np.array(outcome, float), np.array(owner), max(owner) + 1
    )


def values(of, credit):
    found = rankings(of, np.array(credit, float))
    return {name: (float(x.at(np.ones((1, of.questions)))[0]), x.n) for name, x in found.items()}


# ranking


def test_which_pairs_are_compared():
    of = truth((0, 0, [1, -1, -1]), (0, 1, [1, 0, 1]), (1, 0, [-1]))
    found = values(of, [0.2, 0.1, 0.3, 0.4, 0.5, 0.0, 0.15])
    assert found["auroc"] == (pytest.approx((2 + 3 + 0) / 9), 9)
    assert found["auroc_rest"] == (pytest.approx((2 + 3 + 0) / 12), 12)
    assert found["within_question"] == (pytest.approx((1 + 2 + 0) / 6), 6)
    assert found["within_rollout"] == (pytest.approx(1 / 2), 2)
    assert found["before_last"] == (1, 2)


def test_questions_count_alike_inside_questions():
    of = truth((0, 0, [1, 1, 1, -1]), (1, 0, [-1, 1]))
    assert values(of, [0, 0, 0, 1, 0, 1])["within_question"] == (0.5, 4)


def test_steps_without_a_label_or_credit_are_left_out():
    of = truth((0, 0, [1, NAN, -1, -1]))
    assert values(of, [0.5, 0.0, 0.1, NAN])["auroc"] == (1, 1)


def test_the_broadcast_is_chance_inside_a_rollout_and_ranks_rollouts():
    of = truth((0, 0, [1, -1]), (0, 1, [1, 1]))
    found = values(of, baseline("outcome broadcast", of))
    assert found["within_rollout"] == (0.5, 1) and found["auroc"][0] == (1 / 2 + 1 + 1) / 3


def test_baselines_are_what_their_names_say():
    of = truth((0, 0, [1, -1]), (0, 1, [1, 1, 1]))
    assert baseline("outcome on last step", of).tolist() == [0, -1, 0, 0, 1]
    assert baseline("constant per position", of).tolist() == [1, 0.5, 1, 0.5, 1]
    assert {name: values(of, baseline(name, of))["auroc"][0] for name in ("random", "first step", "last step")} == {
        "random": 0.5,
        "first step": 1.5 / 4,
        "last step": 2.5 / 4,
    }
    assert all(baseline(name, of).shape == (5,) for name in BASELINES)


# first error


def test_least_credit_and_rank_with_ties_in_random_order():
    assert guess(np.array([0.3, 0.1, 0.2]), 1) == Guess(1, 1, 1, 0)
    assert guess(np.array([0.3, 0.1, 0.2]), 0)[:2] == (0, 1 / 3)
    assert guess(np.array([0.1, 0.1, 0.2]), 0)[:2] == (1 / 2, pytest.approx((1 + 1 / 2) / 2))
    assert guess(np.array([0.0, 0.1, 0.1]), 2)[:2] == (0, pytest.approx((1 / 2 + 1 / 3) / 2))


def test_the_first_step_below_the_median_or_zero():
    assert guess(np.array([0.9, 0.1, -0.5, 0.8]), 1)[2:] == (1, 0)
    assert guess(np.array([0.9, 0.1, -0.5, 0.8]), 2)[2:] == (0, 1)
    assert guess(np.array([5.0, 4, 3, 100, 6]), 1)[2:] == (1, 0)
    assert guess(np.array([0.5, 0.5]), 0)[2:] == (0, 0), "no step is below"


def test_a_step_that_is_not_judged_is_not_found():
    assert guess(np.array([NAN, 0.1]), 0) == Guess(0, 0, 0, 0)
    assert guess(np.array([NAN, 0.1, 0.2]), 1)[:2] == (1, 1)


@given(st.lists(few, min_size=1, max_size=6), st.data())
def test_ties_are_the_mean_over_orders(credit, data):
    target = data.draw(st.integers(0, len(credit) - 1))
    given_, rng = np.array(credit), np.random.default_rng(0)
    if np.isnan(given_[target]):
        return
    noise = rng.permuted(np.tile(np.arange(len(credit)) * 1e-3, (4000, 1)), axis=1)
    ranks = 1 + np.nansum(given_ + noise < (given_ + noise)[:, [target]], axis=1)
    assert guess(given_, target).mrr == pytest.approx((1 / ranks).mean(), abs=0.04)
    assert guess(given_, target).hit == pytest.approx((ranks == 1).mean(), abs=0.04)


def test_failed_rollouts_with_a_wrong_step_are_counted_with_their_question():
    of = truth((0, 0, [1, -1]), (0, 1, [-1, 1]), (1, 0, [1, 0]), (1, 0, [0, -1, -1]))
    sums, count = guesses(of, baseline("last step", of))
    assert count.tolist() == [1, 1] and sums[:, 0].tolist() == [1, 0] and sums[1, 1] == 1 / 2
    random, _ = guesses(of, baseline("random", of))
    assert random[:, 0].tolist() == [1 / 2, 1 / 3]
    assert random[:, 1] == pytest.approx([(1 + 1 / 2) / 2, (1 + 1 / 2 + 1 / 3) / 3])


# best of


def test_ties_are_averaged_and_nothing_is_chosen_last():
    outcome, question = np.array([1.0, 0, 0, 1, 0]), np.array([0, 0, 0, 1, 1])
    assert _best_of.chosen(np.zeros(5), outcome, question, 2) == pytest.approx([1 / 3, 1 / 2])
    assert _best_of.chosen(np.array([2.0, 2, 1, NAN, -9]), outcome, question, 2).tolist() == [1 / 2, 0]
    assert _best_of.chosen(np.full(5, NAN), outcome, question, 2) == pytest.approx([1 / 3, 1 / 2])
    assert _best_of.chosen(outcome, outcome, question, 2).tolist() == [1, 1]


def test_labels_of_a_rollout_as_one_number():
    found = _best_of.of_labels([[1, -1, -1], [1, 0], [NAN, 1], [NAN], []])
    np.testing.assert_array_equal(found["mean"], [-1 / 3, 1 / 2, 1, NAN, NAN])
    np.testing.assert_array_equal(found["min"], [-1, 0, 1, NAN, NAN])
    np.testing.assert_array_equal(found["product"], [0, 1 / 2, 1, NAN, NAN])


def test_a_judges_rollouts_are_found_by_name():
    judge = {(7, 1): Said({2: 1.0}, -1.0), (7, 0): Said({2: -1.0}, NAN)}
    found = _best_of.of_judge(judge, [(7, 0), (7, 1), (8, 0)])
    np.testing.assert_array_equal(found["mean"], [-1, 1, NAN])
    np.testing.assert_array_equal(found["verdict"], [NAN, -1, NAN])


# files


def rollout(sample, documents, labels, final, query=0, **more):
    """A rollout that searches once a document, then answers."""
    messages = [{"role": "user", "content": "Who?"}]
    for name in documents:
        call = {"id": "1", "function": {"name": "search", "arguments": "{}"}}
        reply = json.dumps([{"id": name, "contents": name}])
        messages += [{"role": "assistant", "tool_calls": [call]}, {"role": "tool", "content": reply}]
    messages.append({"role": "assistant", "content": "so"})
    at = [i for i, m in enumerate(messages) if m["role"] == "assistant"]
    steps = {str(i): label for i, label in zip(at, labels, strict=True)}
    return {"query_index": query, "sample_index": sample, "question": "Who?", "messages": messages} | {
        "step_labels": steps,
        "final_label": final,
        **more,
    }


def save(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


@pytest.fixture
def small(tmp_path):
    """Two questions; the labels alone and a judge beside them."""
    rows = [
        rollout(0, ["a"], [1, 1], 1, answer_text="The Paris!"),
        rollout(1, ["a"], [1, -1], -1, answer_text="paris"),
        rollout(2, ["b", "c"], [-1, -1, -1], -1, answer_text=None),
        rollout(0, ["d"], [1, -1], -1, query=1),
        rollout(1, ["d", "e"], [1, 1, 1], 1, query=1),
    ]
    at = tmp_path / "agentprocessbench"
    save(at / "s.jsonl", rows)
    save(at / "s_labels.jsonl", rows)
    save(at / "judges" / "s" / "J.jsonl", rows)
    return tmp_path


def measured(data, **fields):
    settings = people.Settings(str(data), **fields)
    return people.result(settings, {c.key: json.loads(json.dumps(c.make())) for c in people.cells(settings)})


def test_methods_never_see_the_labels(small):
    batch = people._blind(str(small / "agentprocessbench" / "s.jsonl"))
    assert "label" not in batch
    assert {"q_minus_v", "salt", "stepcredit_graph", "same edge"} <= set(entries(batch))


def test_evidence_of_the_rollouts_themselves(small):
    found = _best_of.of_rollouts(people._read(str(small / "agentprocessbench" / "s.jsonl")))
    np.testing.assert_array_equal(found["answers agree"], [1 / 2, 1 / 2, NAN, NAN, NAN])
    np.testing.assert_allclose(found["documents agree"], [1 / 2, 1 / 2, 0, 1 / 2, 1 / 2])
    np.testing.assert_allclose(found["states shared"], [3 / 4, 3 / 4, 1 / 3, 1, 2 / 3])
    assert found["most steps"].tolist() == [2, 2, 3, 2, 3] == (-found["fewest steps"]).tolist()


def test_rows_of_the_three_parts(small):
    rows = measured(small, methods=("grpo",)).rows
    ranking = {r["method"]: r for r in rows if r["part"] == "ranking"}
    assert list(ranking) == ["grpo", *BASELINES] and {r["subset"] for r in rows} == {"s"}
    assert ranking["outcome broadcast"]["auroc_minus_broadcast"] == 0
    assert ranking["grpo"]["within_rollout"] == 0.5 and ranking["grpo"]["shared_states"] == 4 / 7
    first = {r["method"]: r for r in rows if r["part"] == "first_error"}
    assert first["last step"]["rollouts"] == 3 and first["last step"]["hit"] == pytest.approx(2 / 3)
    best = {(r["evidence"], r["aggregate"]): r["success"] for r in rows if r["part"] == "best_of"}
    assert best["random", ""] == pytest.approx((1 / 3 + 1 / 2) / 2) and best["oracle", ""] == 1
    assert best["people", "mean"] == best["J", "mean"] == best["J", "verdict"] == 1
    assert best["most steps", ""] == 1 / 2
    minus = {(r["evidence"], r["aggregate"]): r["minus_random"] for r in rows if r["part"] == "best_of"}
    assert minus["random", ""] == 0 and minus["oracle", ""] == pytest.approx(1 - best["random", ""])


def test_two_subsets_are_pooled_as_questions_apart(small):
    at = small / "agentprocessbench"
    save(at / "t.jsonl", [rollout(0, ["a"], [1, -1], -1), rollout(1, [], [1], 1)])
    rows = measured(small, methods=("grpo",)).rows
    pooled = {(r["part"], r.get("evidence"), r.get("aggregate")): r for r in rows if r["subset"] == "pooled"}
    assert pooled["best_of", "random", ""]["success"] == pytest.approx((1 / 3 + 1 / 2 + 1 / 2) / 3)
    assert pooled["best_of", "J", "mean"]["success"] == pytest.approx((1 + 1 + 1 / 2) / 3), "random where not recorded"
    assert pooled["best_of", "random", ""]["questions"] == 3
    of = people._truth([str(at / "s.jsonl"), str(at / "t.jsonl")])
    assert of.question[-4:].tolist() == [1, 2, 2, 2] and of.rollout[-4:].tolist() == [4, 5, 5, 6]


def test_rounding_does_not_break_ties(small, monkeypatch):
    monkeypatch.setattr(people, "judge", lambda name, batch: Judged(0.1 + 1e-16 * np.arange(batch.layout.S)))
    path = str(small / "agentprocessbench" / "s.jsonl")
    assert len(set(people._credit([path], "grpo", people._truth([path])).tolist())) == 1


def test_the_broadcast_is_compared_on_the_steps_that_were_judged(small, monkeypatch):
    def half(name, batch):
        return Judged(np.where(batch.layout.turn == 0, np.nan, batch["outcome"][batch.layout.rollout]))

    monkeypatch.setattr(people, "judge", half)
    ranking, _ = people.against_people([str(small / "agentprocessbench" / "s.jsonl")], "grpo", 0)
    assert ranking["unjudged"] == 5 and ranking["auroc"] == 1
    assert ranking["auroc_minus_broadcast"] == 0


def test_errors_say_what_is_wanted(tmp_path, small):
    with pytest.raises(StepCreditError, match="no data folder was given"):
        people.cells(people.Settings())
    (tmp_path / "empty" / "agentprocessbench").mkdir(parents=True)
    with pytest.raises(DataError, match=r"no rollouts here, expected SUBSET\.jsonl\.gz"):
        people.cells(people.Settings(str(tmp_path / "empty")))
    with pytest.raises(StepCreditError, match=r"gae cannot be measured here: .*value"):
        people.cells(people.Settings(str(small), methods=("gae",)))
    save(small / "agentprocessbench" / "s.jsonl", [rollout(0, [], ["bad"], 1)])
    people._read.cache_clear()
    people._blind.cache_clear()
    with pytest.raises(DataError, match=r"s\.jsonl, row 1: .*step_labels"):
        people.cells(people.Settings(str(small)))


# real rollouts


@pytest.fixture(scope="module")
def hotpotqa(data):
    found = files(home(str(data)))
    if "hotpotqa" not in found:
        pytest.skip("the data folder has no hotpotqa")
    return home(str(data)), str(found["hotpotqa"])


def test_best_of_five_by_published_judges_to_the_digit(hotpotqa):
    folder, path = hotpotqa
    rows = people.best_of((path,), (str(folder / "judges" / "hotpotqa"),), 0)
    got = {r["evidence"]: round(100 * r["success"], 1) for r in rows if r["aggregate"] in ("", "mean")}
    want = {"random": 65.2, "oracle": 90.0, "GPT-5.2-Thinking_medium": 79.2, "Gemini-3-Flash-Preview": 75.8}
    want |= {"DeepSeek-V3.2": 69.6, "Qwen3-4B": 69.2, "Qwen3-4B-Instruct-2507": 63.8}
    assert {name: got[name] for name in want} == want


def test_rankings_of_real_rollouts_equal_the_metrics(hotpotqa):
    of = people._truth((hotpotqa[1],))
    assert (of.label.size, of.outcome.size, of.questions) == (734, 250, 50)
    sure = of.label != 0
    given_ = people._credit((hotpotqa[1],), "salt", of)
    found = rankings(of, given_)["within_rollout"].at(np.ones((1, 50)))[0]
    reference = metrics.same(given_[sure], of.label[sure] > 0, of.rollout[sure], of.question[sure])
    assert found == pytest.approx(reference.value)


def test_methods_that_ask_for_verdicts_are_given_the_recorded_judges(data):
    settings = people.Settings(str(data), methods=("pure", "grpo"))
    rows = people.result(settings, {c.key: c.make() for c in people.cells(settings)}).rows
    ranked = {r["method"]: r["within_question"] for r in rows if r["part"] == "ranking"}
    assert {"grpo", "pure + judges", _judged.VERDICTS} <= set(ranked) and "pure" not in ranked
    assert ranked[_judged.VERDICTS] > ranked["outcome broadcast"]  # the judges do know something


def test_the_judges_labels_stand_at_their_messages(hotpotqa):
    folder, path = hotpotqa
    batch = people._blind(str(path))
    full = _judged.judged(batch, folder / "judges" / "hotpotqa")
    names = list(files(folder / "judges" / "hotpotqa"))
    one = said(files(folder / "judges" / "hotpotqa")[names[3]])
    r = 17
    record = batch.to_records()[r]
    labels = one[(batch.group_name(int(batch.layout.group[r])), record.rollout)].labels
    mine = full["votes"][batch.layout.rollout == r, 3]
    np.testing.assert_array_equal(mine, [labels.get(s.extra["message"], np.nan) for s in record.steps])
    assert not np.isnan(mine).all()
    assert "label" not in batch and full["score"].shape == (batch.layout.S,)


def test_a_method_that_can_run_neither_way_is_refused(data):
    with pytest.raises(StepCreditError, match="gae cannot be measured here"):
        people.cells(people.Settings(str(data), methods=("gae",)))
