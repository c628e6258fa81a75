"""Confidence, votes weighed with it, and subgroups."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from judged_batches import batch, rollout, tokens, tree
from real_solutions import solutions_by_task

import stepcredit as sc
from stepcredit.data import Batch
from stepcredit.errors import LayoutError, MissingColumn, StepCreditError
from stepcredit.evidence import get
from stepcredit.evidence._answers import final_answer
from stepcredit.evidence.vote_confidence import pareto_pick, rollout_mean, vote_confidence, weighted_vote
from stepcredit.ops import pareto_front

nan = np.nan
TOP = [[-0.1, -2.3], [-0.05, -3.0], [-0.7, -0.7]]


def voters(answers, confidence=None, group=None):
    """One rollout of one step per answer."""
    n = len(answers)
    group = np.zeros(n, int) if group is None else np.asarray(group)
    made = Batch(sc.data.Layout(group, np.arange(n)), {})
    return made if confidence is None else made.with_columns(confidence=confidence)


def test_confidence_of_the_worked_example():
    """SCOPE's spec, and executed: szu-tera/SCOPE 0c45ca7 compute_confidence and calculate_avg_step_conf."""
    one = Batch(tokens([2, 1]), {})
    made = vote_confidence(one, answers=["7"], top_logp=TOP)
    np.testing.assert_allclose(made["confidence"], [1.3625, 0.7])
    np.testing.assert_allclose(rollout_mean(one.layout, made["confidence"]), [1.03125])


def test_confidence_is_rounded_as_in_the_official_code():
    """Executed: the same functions on log-probabilities (-.12345, -2.3) and (-1): 1.212 and 1, mean 1.106."""
    one = Batch(tokens([1, 1]), {})
    made = vote_confidence(one, answers=["7"], top_logp=[[-0.12345, -2.3], [-1.0]], decimals=3)
    np.testing.assert_allclose(made["confidence"], [1.212, 1.0])
    exact = vote_confidence(one, answers=["7"], top_logp=[[-0.12345, -2.3], [-1.0]])
    np.testing.assert_allclose(exact["confidence"], [1.211725, 1.0])


def test_where_confidence_comes_from():
    one = Batch(tokens([2, 1]), {}).with_columns(axis="K", token_logp=[-0.5, -1.5, -2.0])
    padded = [[*row, nan] for row in TOP]
    for made in (
        vote_confidence(one, answers=["7"], top_logp=padded),
        vote_confidence(one.with_columns(axis="K", token_top_logp=padded), answers=["7"]),
        vote_confidence(one.with_columns(confidence=[1.3625, 0.7]), answers=["7"], source="confidence"),
    ):
        np.testing.assert_allclose(made["confidence"], [1.3625, 0.7])
    sampled = vote_confidence(one, answers=["7"], source="token_logp")
    np.testing.assert_allclose(sampled["confidence"], [1.0, 2.0])
    with pytest.raises(MissingColumn, match="without top_logp needs column 'token_top_logp'"):
        vote_confidence(one, answers=["7"])
    with pytest.raises(LayoutError, match="2 lists for 3 tokens"):
        vote_confidence(one, answers=["7"], top_logp=TOP[:2])


def test_tokens_without_log_probabilities_and_steps_without_tokens_are_left_out():
    one = Batch(tokens([2, 0, 1]), {})
    made = vote_confidence(one, answers=["7"], top_logp=[[-1.0, -3.0], [], [-4.0]])
    np.testing.assert_array_equal(made["confidence"], [2, nan, 4])
    np.testing.assert_array_equal(rollout_mean(one.layout, made["confidence"]), [3])


# Executed: szu-tera/SCOPE 0c45ca7 grouputils._majority_vote_with_confidence.
@pytest.mark.parametrize(
    ("answers", "weights", "want"),
    [
        ("77755", [1, 1.1, 0.9, 2, 2.2], "5"),
        ("77755", [1] * 5, "7"),
        ("ab", [1.0, 1.0], "a"),
    ],
)
def test_votes_of_the_official_code(answers, weights, want):
    assert weighted_vote(list(answers), weights) == want


def test_an_answer_weighs_with_its_own_confidence():
    """The official code drops rollouts without an answer from the answers alone: a would weigh 5, b 1."""
    assert weighted_vote([None, "a", "b"], [5.0, 1.0, 2.0]) == "b"
    made = vote_confidence(voters(["", "a", "b"], [5.0, 1.0, 2.0]), answers=[None, "a", "b"], source="confidence")
    assert made["outcome"].tolist() == [0, 0, 1] and "1 of 3 rollouts without an answer" in made.notes[-1]


def test_a_vote_without_an_answer_has_no_label():
    made = vote_confidence(voters("ab", [1.0, nan], group=[0, 1]), answers=[None, "b"], source="confidence")
    np.testing.assert_array_equal(made["outcome"], [nan, nan])
    assert weighted_vote([None, None], [1.0, 1.0]) is None and weighted_vote(["a", "b"], [nan, 1.0]) == "b"


def test_majority():
    kind = get("ttrl")
    answers = [" 7", "7 ", "5", "5", "7", "9", None]
    group = [0, 0, 0, 1, 0, 1, 1]
    options = {**kind.options, "answers": answers}
    made = kind.function(voters(answers, group=group).with_columns(outcome=[1.0] * 7), **options)
    assert made["outcome"].tolist() == [1, 1, 0, 1, 1, 0, 0] and made["reward.outcome"].tolist() == [1] * 7
    assert "confidence" not in made and kind.base == "vote_confidence"


def test_confidence_can_beat_the_majority():
    answers = list("77755")
    made = vote_confidence(voters(answers, [1, 1.1, 0.9, 2, 2.2]), answers=answers, source="confidence")
    assert made["outcome"].tolist() == [0, 0, 0, 1, 1]


# Executed: the selection of szu-tera/SCOPE 0c45ca7 ray_trainer.py on sizes 1, 8, 32, 64 (first three rows).
FOUR = ([0.30, 0.55, 0.60, 0.58], [2.0, 1.8, 1.4, 1.0])


@pytest.mark.parametrize(
    ("quality", "diversity", "trade", "want"),
    [(*FOUR, 0.7, 1), (*FOUR, 0.0, 0), (*FOUR, 1.0, 2), ([0.5, 0.5, 0.4], [1.0, 1.0, 1.0], 0.7, 0)],
)
def test_the_size_that_the_official_code_picks(quality, diversity, trade, want):
    assert pareto_pick(quality, diversity, trade) == want


def test_the_front_of_the_worked_example():
    assert pareto_front(np.stack(FOUR, axis=1)).tolist() == [True, True, True, False]
    assert pareto_front(np.array([[1.0, 1.0], [1.0, 1.0], [0.0, 1.0]])).tolist() == [True, True, False]
    assert pareto_front(np.zeros((0, 2))).tolist() == []


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=8))
def test_a_point_is_on_the_front_unless_another_beats_it(points):
    front = pareto_front(np.array(points, float))
    for i, p in enumerate(points):
        beaten = any(q != p and all(a >= b for a, b in zip(q, p, strict=True)) for q in points)
        assert front[i] == (not beaten)


def test_subgroups_vote_apart():
    """Everyone votes in each: the same label. One vote each: whoever is drawn gives it."""
    answers = list("aab") * 4
    records = voters(answers, np.arange(12) + 1.0)
    whole = vote_confidence(records, answers=answers, source="confidence", subgroup=5)
    assert whole["outcome"].tolist() == [float(a == "a") for a in answers]
    drawn = vote_confidence(records, answers=answers, weigh="count", subgroup=1, draw=1, seed=3)["outcome"]
    again = vote_confidence(records, answers=answers, weigh="count", subgroup=1, draw=1, seed=3)["outcome"]
    others = {
        tuple(vote_confidence(records, answers=answers, weigh="count", subgroup=1, draw=1, seed=s)["outcome"])
        for s in range(5)
    }
    assert drawn.tolist() == again.tolist() and len(others) > 1
    with pytest.raises(StepCreditError, match="subgroup=0"):
        vote_confidence(records, answers=answers, weigh="count", subgroup=0)


def test_members_of_a_subgroup_share_its_label():
    answers = list("abcdefgh")
    made = vote_confidence(voters(answers), answers=answers, weigh="count", subgroup=3, draw=1, seed=1)
    agree = made["outcome"]
    assert all(agree[a:b].sum() <= 1 for a, b in ((0, 3), (3, 6), (6, 8)))


def test_the_size_is_chosen_on_the_front():
    """Of one answer all sizes are alike, and the first is taken; a size above the task's rollouts is not tried."""
    answers = ["a"] * 4
    made = vote_confidence(voters(answers), answers=answers, weigh="count", subgroup="pareto", draw=2)
    assert made["outcome"].tolist() == [1] * 4 and "subgroups of 1 chosen from 1, 2, 4)" in made.notes[-1]
    mixed = ["a", "b"] * 8
    dull = vote_confidence(voters(mixed), answers=mixed, weigh="count", subgroup="pareto", draw=16, trade=1.0)
    assert dull["outcome"].tolist() == [1.0, 0.0] * 8 or dull["outcome"].tolist() == [0.0, 1.0] * 8
    none = vote_confidence(voters(["a"]), answers=["a"], weigh="count", subgroup="pareto", sizes=(2, 4))
    assert none["outcome"].tolist() == [1]


def test_the_presets_of_scope():
    kind = get("scope_ttrl")
    answers = list("77755") * 13
    rng = np.random.default_rng(0)
    records = Batch(sc.data.Layout(np.zeros(65, int), np.arange(65), token_step=np.arange(65)), {})
    made = kind.function(records, **{**kind.options, "answers": answers, "top_logp": -rng.random((65, 5))})
    assert set(made["outcome"].tolist()) <= {0.0, 1.0} and "confidence" in made
    shipped = get("vote_confidence@scope-code")
    made = shipped.function(
        records.with_columns(axis="K", token_logp=-rng.random(65)), **{**shipped.options, "answers": answers}
    )
    np.testing.assert_array_equal(made["confidence"], np.round(made["confidence"], 3))


def test_shared_steps_count_for_each_rollout():
    made = tree().with_columns(confidence=[1.0, 2.0, 4.0])
    np.testing.assert_array_equal(rollout_mean(made.layout, made["confidence"]), [1.5, 2.5])
    voted = vote_confidence(made, answers=["a", "b"], source="confidence")
    assert voted["outcome"].tolist() == [0, 1]


FINAL = {
    "boxed": ("So \\boxed{4} or \\boxed{\\frac{1}{2}} it is", "\\frac{1}{2}"),
    "tag": ("\\boxed{4} <answer> 5 </answer> x", "5"),
    "line": ("A: 3\n#### 1,000 \nthen", "1,000"),
    "answer line": ("x\nFinal Answer: yes", "yes"),
    "an open brace": ("\\boxed{4", None),
    "an open tag": ("<answer>4", None),
    "empty": ("<answer> </answer> \\boxed{}", None),
    "nothing": ("it is 4", None),
}


@pytest.mark.parametrize(("text", "want"), FINAL.values(), ids=FINAL)
def test_final_answers(text, want):
    assert final_answer(text) == want


def test_where_answers_come_from():
    records = batch(
        rollout(0, "x", "A: 4", said="4"), rollout(1, "A: 5", said=5), rollout(2), rollout(3, "A: 4", "bye")
    )
    for answers, want in (
        (None, [1, 0, 0, 0]),
        ("said", [1, 0, 0, 0]),
        (lambda record: record.rollout, [1, 0, 0, 0]),
        (["5", "5", "4", None], [1, 1, 0, 0]),
    ):
        assert vote_confidence(records, answers=answers, weigh="count")["outcome"].tolist() == want
    same = vote_confidence(records, answers=["A", "a", "b", "B"], weigh="count", simplify=str.casefold)
    assert same["outcome"].tolist() == [1, 1, 0, 0]
    with pytest.raises(LayoutError, match="1 answers for 4 rollouts"):
        vote_confidence(records, answers=["x"], weigh="count")


def test_real_solutions_vote(data):
    """GSM8K, four models: where three agree their answer is right in 85% of 209 problems, elsewhere in 22%."""
    records = []
    for i, (right, texts) in enumerate(solutions_by_task(data)):
        records += [rollout(j, t, group=i, outcome=float(final_answer(t) == right)) for j, t in enumerate(texts)]
    made = vote_confidence(sc.Batch.from_records(records), weigh="count")
    vote, truth = made["outcome"].reshape(-1, 4), made["reward.outcome"].reshape(-1, 4)
    agreed = vote.sum(1) >= 3
    right = (vote * truth).any(1)
    assert agreed.sum() == 209 and round(right[agreed].mean(), 2) == 0.85 and round(right[~agreed].mean(), 2) == 0.22
