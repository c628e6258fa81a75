"""Token segmenters, by hand and against runs of the official code."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepcredit import segment
from stepcredit.data import Batch, Layout
from stepcredit.data.records import Rollout
from stepcredit.errors import LayoutError, MissingColumn, StepCreditError


def lengths(name, *given, **options):
    """How many tokens each step has."""
    return np.bincount(segment.get(name)(*given, **options)).tolist()


# Executed: ernie-research/MA-RLHF 807551d, dschat/rlhf/ppo_trainer.py fixed_ngram_selection and the split list of
# modeling_macro_action, on a response of that many tokens; empty macros left out.
@pytest.mark.parametrize(
    ("tokens", "n", "want"),
    [
        (12, 5, [5, 5, 1, 1]),
        (11, 5, [5, 5, 1]),
        (10, 5, [5, 4, 1]),
        (6, 5, [5, 1]),
        (5, 5, [4, 1]),
        (3, 5, [2, 1]),
        (1, 5, [1]),
        (7, 1, [1] * 7),
        (9, 4, [4, 4, 1]),
    ],
)
def test_fixed_macros_are_those_of_the_official_code(tokens, n, want):
    assert lengths("macro_actions", tokens, length=n) == want


def test_macros_of_the_worked_example():
    """MA-RLHF's spec: macros [0, 1], [2, 3], [4]."""
    assert segment.get("macro_actions")(5, length=2).tolist() == [0, 0, 1, 1, 2]
    assert lengths("macro_actions", 5, length=2, last_alone=False) == [2, 2, 1]
    assert lengths("macro_actions", 4, length=2, last_alone=False) == [2, 2]
    assert segment.get("macro_actions")(0).tolist() == []


@given(tokens=st.integers(0, 60), repeat=st.integers(1, 3), seed=st.integers(0, 5))
def test_random_macros_use_each_length_no_oftener_than_asked(tokens, repeat, seed):
    made = lengths("macro_actions", tokens, rule="random", repeat=repeat, seed=seed, last_alone=False)
    listed = Counter((1, 2, 3, 5, 10) * repeat)
    assert sum(made) == tokens and Counter(made[:-1]) <= listed
    if tokens > 21 * repeat:
        assert Counter(made[:-1]) == listed and made[-1] == tokens - 21 * repeat
    alone = segment.get("macro_actions")(tokens, rule="random", repeat=repeat, seed=seed)
    assert np.bincount(alone)[-1] == 1 if tokens else not alone.size


def test_seeds_differ():
    drawn = {tuple(segment.get("macro_actions")(40, rule="random", seed=s).tolist()) for s in range(8)}
    assert len(drawn) > 4


# Executed: the same file's ppl_selection; its perplexities are given here as log-probabilities.
@pytest.mark.parametrize(
    ("perplexity", "want"),
    [
        ([3, 2, 4, 1, 1, 5, 2], [1, 3, 2, 1]),
        ([1, 2, 3, 2], [1, 2, 1]),
        ([5, 4, 3, 2, 1], [4, 1]),
        ([2, 3], [1, 1]),
        ([1], [1]),
        ([2, 2, 2, 2], [3, 1]),
    ],
)
def test_rising_perplexity_as_the_official_code_cuts(perplexity, want):
    assert lengths("perplexity_rise", -np.log(perplexity), starts="before") == want


def test_rising_perplexity_as_the_paper_says():
    logp = -np.log([3.0, 2, 4, 1, 1, 5, 2])
    assert lengths("perplexity_rise", logp) == [2, 3, 1, 1]
    assert lengths("perplexity_rise", logp, last_alone=False) == [2, 3, 2]
    assert lengths("perplexity_rise", [0.0, np.nan, -9.0], last_alone=False) == [3]
    assert segment.get("perplexity_rise")([]).tolist() == []


@given(st.lists(st.floats(-9, 0, allow_nan=False), min_size=1, max_size=20))
def test_perplexity_does_not_rise_inside_a_macro(logp):
    number = segment.get("perplexity_rise")(logp, last_alone=False)
    inside = number[1:] == number[:-1]
    assert np.array_equal(inside, np.diff(logp) >= 0)


# Executed: the same file's parsing_selection, a parser and a tokenizer (one token a word) stubbed; the sentences are
# ((the big dog) (ran (to (the park)))) and (we (saw (a cat)) now), each followed by an end token.
DOG = [[1, 1, 1], [1, [1, [1, 1]]]]
CAT = [1, [1, [1, 1]], 1]


@pytest.mark.parametrize(
    ("tree", "cutoff", "want"),
    [
        (DOG, 2, [7, 1]),
        (DOG, 3, [5, 2, 1]),
        (DOG, 4, [4, 3, 1]),
        (DOG, 5, [3, 4, 1]),
        (DOG, 8, [7, 1]),
        (CAT, 2, [5, 1]),
        (CAT, 3, [2, 3, 1]),
        (CAT, 4, [1, 4, 1]),
        (CAT, 9, [5, 1]),
    ],
)
def test_phrases_are_macros_as_in_the_official_code(tree, cutoff, want):
    assert lengths("constituents", [tree, [1]], cutoff=cutoff) == want


def test_words_of_several_tokens_and_several_sentences():
    assert lengths("constituents", [[[3, 2], [[4]]], [1, [2, 2]]], cutoff=6, last_alone=False) == [9, 5]
    assert lengths("constituents", [[[3, 2], [[4]]], [1, [2, 2]]], cutoff=5) == [9, 1, 3, 1]
    assert segment.get("constituents")([]).tolist() == segment.get("constituents")([[], [[]]]).tolist() == []
    for wrong in ("dog", 0, -1, True, 1.5):
        with pytest.raises(StepCreditError, match="is no word"):
            segment.get("constituents")([[1, wrong]])


def test_equal_cuts():
    assert lengths("equal_cuts", 700) == [256, 256, 188]
    assert lengths("equal_cuts", 6, length=2) == [2, 2, 2]
    assert lengths("equal_cuts", 11, parts=4) == [3, 3, 3, 2]
    assert lengths("equal_cuts", 2, parts=4) == [1, 1]
    assert segment.get("equal_cuts")(0, parts=4).tolist() == segment.get("equal_cuts")(0).tolist() == []
    with pytest.raises(StepCreditError, match="exclude each other"):
        segment.get("equal_cuts")(3, length=1, parts=1)


@pytest.mark.parametrize(
    ("name", "given", "options"),
    [
        ("equal_cuts", -1, {}),
        ("equal_cuts", 2.0, {}),
        ("equal_cuts", 5, {"length": 0}),
        ("equal_cuts", 5, {"parts": 0}),
        ("macro_actions", 5, {"length": 0}),
        ("macro_actions", 5, {"rule": "random", "lengths": (1, 0)}),
        ("macro_actions", 5, {"rule": "random", "repeat": 0}),
        ("constituents", [[1]], {"cutoff": 0}),
        ("cut_points", [0.0], {"every": 0}),
        ("cut_points", [0.0], {"below": 0.0}),
        ("entropy_cuts", [0.0], {"top": 1.5}),
    ],
)
def test_lengths_and_shares_that_are_none_are_refused(name, given, options):
    with pytest.raises(StepCreditError, match=r"no number of tokens|of at least 1|0 to 1|more than 0"):
        segment.get(name)(given, **options)


def test_cut_points_of_the_worked_example():
    """SPO's spec: unsure tokens 1, 3, 5, 7, every second; tokens before the first have no value to start from."""
    logp = np.log([0.99, 0.85, 0.95, 0.6, 0.97, 0.5, 0.99, 0.7, 0.98, 0.99])
    number = segment.get("cut_points")(logp, every=2)
    assert number.tolist() == [0, 1, 1, 1, 1, 2, 2, 2, 2, 2]
    value = np.array([np.nan, 0.4, 0.7, 1.0])
    advantage = np.nan_to_num(np.diff(value))[number]
    np.testing.assert_allclose(advantage, [0, *[0.3] * 9])


def test_cut_points_at_the_edges():
    logp = np.log([0.5, 0.9, 0.89, 0.2, 1.0])
    assert segment.get("cut_points")(logp, every=1).tolist() == [0, 0, 1, 2, 2]
    assert segment.get("cut_points")(logp).tolist() == [0] * 5
    assert segment.get("cut_points")(logp, below=0.3).tolist() == [0, 0, 0, 1, 1]
    assert segment.get("cut_points")([0.0, np.nan, 0.0], every=1).tolist() == [0, 0, 0]
    with pytest.raises(LayoutError, match="one number per token"):
        segment.get("cut_points")([[0.0]])


def test_entropy_cuts():
    entropy = [0.1, 2.0, np.nan, 0.3, 1.5, 0.2]
    assert segment.get("entropy_cuts")(entropy, top=0.5).tolist() == [0, 1, 1, 1, 2, 2]
    assert segment.get("entropy_cuts")(entropy, top=0).tolist() == [0] * 6
    assert segment.get("entropy_cuts")(entropy, above=0.0).tolist() == [0, 1, 1, 2, 3, 4]
    assert segment.get("entropy_cuts")(entropy, above=0.0, every=2).tolist() == [0, 0, 0, 1, 1, 2]
    assert segment.get("entropy_cuts")([0.7] * 4, top=1.0).tolist() == [0] * 4
    assert segment.get("entropy_cuts")([np.nan]).tolist() == [0]


def two_rollouts(**columns):
    layout = Layout([0, 0], [0, 0, 1], token_step=[0, 0, 0, -1, 1, 1, 2, 2])
    return Batch(layout, {}).with_columns(axis="K", **columns)


def test_a_batch_is_cut_rollout_by_rollout():
    cut = segment.cut_tokens(two_rollouts(), segment.get("macro_actions"), length=2)
    assert cut.layout.token_step.tolist() == [0, 0, 1, -1, 1, 2, 3, 4]
    assert cut.layout.rollout.tolist() == [0, 0, 0, 1, 1]
    cut = segment.cut_tokens(two_rollouts(), segment.get("macro_actions"), length=2, within="step", last_alone=False)
    assert cut.layout.token_step.tolist() == [0, 0, 1, -1, 2, 2, 3, 3]


def test_a_batch_gives_the_column_that_a_segmenter_takes():
    logp = np.log([0.5, 0.9, 0.1, 0.1, 0.9, 0.1, 0.9, 0.1])
    cut = segment.cut_tokens(two_rollouts(token_logp=logp), segment.get("cut_points"), every=1)
    assert cut.layout.token_step.tolist() == [0, 0, 1, -1, 1, 2, 3, 4]
    assert cut["token_logp"].tolist() == logp.tolist()
    with pytest.raises(MissingColumn, match="token_entropy"):
        segment.cut_tokens(two_rollouts(), segment.get("entropy_cuts"))


def test_a_step_number_of_none_stays_none():
    def odd(tokens):
        return np.where(np.arange(tokens) % 2, -1, np.arange(tokens))

    cut = segment.cut_tokens(two_rollouts(), odd)
    assert cut.layout.token_step.tolist() == [0, -1, 1, -1, -1, 2, 3, -1]


def test_what_cannot_be_cut_is_refused():
    for name in ("lines", "tool_calls", "constituents"):
        with pytest.raises(StepCreditError, match="which a batch does not hold for it"):
            segment.cut_tokens(two_rollouts(), segment.get(name))
    with pytest.raises(LayoutError, match="one step number per token"):
        segment.cut_tokens(two_rollouts(), lambda tokens: np.zeros(tokens + 1, int))
    with pytest.raises(StepCreditError, match="takes tokens"):
        segment.cut(Rollout(group=0, rollout=0), segment.get("equal_cuts"))
