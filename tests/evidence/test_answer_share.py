"""Final answers clustered by meaning: the official code's clusters and shares, and edge cases by hand."""

import numpy as np
import pytest

from stepcredit.data.batch import Batch
from stepcredit.data.records import Rollout, Step
from stepcredit.errors import StepCreditError
from stepcredit.evidence.answer_share import answer_share, cost, semantic_entropy

# Executed: SIOP @a871ef9 siop_cluster_pass with cluster_answers, its entailment model and scoring server replaced by
# the tables below. "4" ~ "four" ~ "4.0", but "4" and "4.0" entail each other one way only.
SAID = ["4", "four", "5", "4.0", "", "four"]
SEEN = [["o1", "o2"], ["o3"], [], ["o1"], ["o2"], []]
SAME = {("Q 4", "Q four"), ("Q four", "Q 4"), ("Q four", "Q 4.0"), ("Q 4.0", "Q four")}
SCORE = {("o1", "4"): 0.9, ("o2", "4"): 0.1, ("o3", "4"): 0.5, ("o1", "4.0"): 0.7}
WANT = {
    0.0: [0.6, 0.6, 0.2, 0.2, 0.0, 0.6, 1.0, 0.0],
    1.0: [0.6213838800863205] * 2 + [0.12562945824160274, 0.2529866616720767, 0.0, 0.6213838800863205, 1.0, 0.0],
    2.0: [0.6173215311681733] * 2 + [0.07569996663666792, 0.3069785021951587, 0.0, 0.6173215311681733, 1.0, 0.0],
}


def rollout(group, i, said, seen=(), task="Q"):
    steps = [Step(text="look", observation=o) for o in seen]
    text = f"<answer>not this</answer> so <answer>{said}</answer>" if said else "nothing"
    return Rollout(group=group, rollout=i, task=task, steps=[*steps, Step(text=text)])


def example():
    rollouts = [rollout("q", i, a, o) for i, (a, o) in enumerate(zip(SAID, SEEN, strict=True))]
    return Batch.from_records([*rollouts, rollout("w", 6, "7", task="W"), rollout("w", 7, "", task="W")])


def equivalence(left, right):
    return [pair in SAME for pair in zip(left, right, strict=True)]


def entailment(premises, hypotheses):
    return np.array([SCORE[pair] for pair in zip(premises, hypotheses, strict=True)])


@pytest.mark.parametrize("eta", WANT)
def test_shares_are_those_of_the_official_code(eta):
    b = answer_share(example(), equivalence, eta=eta, entailment=entailment)
    np.testing.assert_allclose(b["answer_share"], WANT[eta], atol=1e-9)
    cluster = b["answer_cluster"]
    assert cluster[0] == cluster[1] == cluster[5] != cluster[3] and len({*cluster[[0, 2, 3, 6]]}) == 4
    assert np.isnan(cluster[[4, 7]]).all() and b.axis("answer_cluster") == "R"


def test_equal_answers_are_not_compared_and_those_of_other_tasks_neither():
    asked = []

    def never(left, right):
        asked.extend(zip(left, right, strict=True))
        return [False] * len(left)

    b = Batch.from_records(
        [rollout("q", 0, "1"), rollout("q", 1, "1"), rollout("q", 2, "2"), rollout("w", 3, "1", task="Q")]
    )
    b = answer_share(b, never, question=False)
    np.testing.assert_allclose(b["answer_share"], [2 / 3, 2 / 3, 1 / 3, 1.0])
    assert asked == [("1", "2")] and cost(b).calls == {"compare": 1}


def test_where_the_answer_is():
    field = Rollout(group=0, rollout=0, steps=[Step(text="x")], extra={"said": " 4 "})
    b = Batch.from_records([field, Rollout(group=0, rollout=1, steps=[Step(text="Answer: 5")])])
    assert answer_share(b, equivalence, answers="said")["answer_share"].tolist() == [1.0, 0.0]
    assert answer_share(b, equivalence)["answer_share"].tolist() == [0.0, 1.0]
    assert answer_share(b, equivalence, answers=lambda r: None)["answer_share"].tolist() == [0.0, 0.0]
    assert answer_share(b, equivalence, answers=["7", "7"])["answer_share"].tolist() == [1.0, 1.0]


def test_long_observations_are_cut_and_unseen_evidence_counts_as_none():
    b = Batch.from_records([rollout("q", 0, "1", ["abcdef"]), rollout("q", 1, "2")])
    seen = []

    def half(premises, hypotheses):
        seen.extend(premises)
        return np.full(len(premises), 0.5)

    b = answer_share(b, lambda a, b: [False] * len(a), eta=1.0, entailment=half, longest=3)
    assert seen == ["abc"]
    np.testing.assert_allclose(b["answer_share"][0], np.exp(0.5) / (np.exp(0.5) + 1))


def test_evidence_counts_only_with_a_model_that_tells_it():
    with pytest.raises(StepCreditError, match="entailment="):
        answer_share(example(), equivalence, eta=1.0)


def test_a_batch_without_answers_and_one_without_rollouts():
    b = answer_share(Batch.from_records([rollout("q", 0, "")]), equivalence)
    assert b["answer_share"].tolist() == [0.0]
    assert answer_share(Batch.from_records([]), equivalence)["answer_share"].size == 0


def test_semantic_entropy_by_hand():
    cluster = np.array([0, 0, 0, 1, np.nan, np.nan, 3.0, 3.0])
    group = np.array([0, 0, 0, 0, 0, 1, 2, 2])
    want = [-(0.75 * np.log(0.75) + 0.25 * np.log(0.25)), np.nan, 0.0]
    np.testing.assert_allclose(semantic_entropy(cluster, group), want)
    assert semantic_entropy(np.zeros(0), np.zeros(0, np.int64)).size == 0
