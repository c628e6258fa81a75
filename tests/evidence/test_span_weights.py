"""Weights of tokens by the part of the text they stand in."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepcredit.data.batch import Batch
from stepcredit.data.records import Rollout, Step, Tokens
from stepcredit.errors import DataError, StepCreditError, UnknownName
from stepcredit.evidence.span_weights import Span, compat_factors, offsets_of, span_factors, span_weights, spans

TEXT = '<think>where</think>\n<answer>{"action": "click", "point_2d": [3, 4]}</answer>'


def of(*texts, more=0):
    return Batch.from_records(
        [
            Rollout(
                group="g",
                rollout="a",
                steps=[Step(text=t, tokens=Tokens(n=(len(t) if t else 1) + more)) for t in texts],
            )
        ]
    )


def letters(texts):
    return [[(i, i + 1) for i in range(len(t))] for t in texts]


def test_a_tokenizer_says_where_tokens_stand():
    weight = span_weights(of(TEXT, "plain", None), letters)["token_weight"]
    by_letter = dict(zip(enumerate(TEXT), weight, strict=False))
    assert by_letter[TEXT.index("where"), "w"] == 1 and by_letter[TEXT.index("click"), "c"] == 2
    assert by_letter[TEXT.index("[3"), "["] == by_letter[TEXT.index("4]"), "4"] == 8
    assert by_letter[TEXT.index("</answer>"), "<"] == 1
    assert (weight[len(TEXT) : len(TEXT) + 5] == 1).all() and np.isnan(weight[-1])


def test_tokens_behind_the_text_are_of_no_span_and_of_the_rest_of_the_official_rule():
    batch = of(TEXT, more=2)
    assert span_weights(batch, letters)["token_weight"][-2:].tolist() == [1, 1]
    assert span_weights(batch, letters, rule="compat")["token_weight"][-2:].tolist() == [4, 4]


def test_tokens_of_no_step_have_no_weight():
    batch = Batch.from_records([Rollout(group="g", rollout="a", steps=[Step(text="ab", tokens=Tokens(n=2))])])
    loose = Batch(batch.layout.with_tokens(np.array([0, -1, 0])), {}, batch.keys, records=batch.records)
    np.testing.assert_array_equal(span_weights(loose, letters)["token_weight"], [1, np.nan, 1])


def test_offsets_that_do_not_fit_are_refused():
    with pytest.raises(DataError, match="more offsets than sampled tokens") as error:
        span_weights(of("ab"), lambda texts: [[(0, 1), (1, 2), (2, 2)]])
    assert (error.value.rollout, error.value.step) == ("a", 0)
    with pytest.raises(DataError, match="no field 'at'"):
        span_weights(of("ab"), "at")
    with pytest.raises(StepCreditError, match="holds none"):
        span_weights(Batch.from_records([Rollout(group="g", rollout="a", steps=[Step(text="x")])]), letters)
    with pytest.raises(UnknownName, match="compat"):
        span_weights(of("ab"), letters, rule="compact")


def test_spans_that_are_given_must_be_known():
    def step(marked):
        return Batch.from_records(
            [Rollout(group="g", rollout="a", steps=[Step(text="ab", tokens=Tokens(n=2), extra={"m": marked})])]
        )

    assert span_weights(step([["action", 1, 2]]), letters, marked="m")["token_weight"].tolist() == [1, 2]
    assert span_weights(step(None), letters, marked="m")["token_weight"].tolist() == [1, 1]
    with pytest.raises(UnknownName, match="action"):
        span_weights(step([["acton", 1, 2]]), letters, marked="m")
    for wrong in ([["action", 1]], [3], [["action", "a", "b"]]):
        with pytest.raises(DataError, match="another form"):
            span_weights(step(wrong), letters, marked="m")


def test_without_a_tag_or_a_key_its_factor_is_not_applied():
    assert compat_factors("plain", [(0, 5)]).tolist() == [1]
    assert compat_factors("<answer>open", [(0, 8), (8, 12)]).tolist() == [1, 1]
    assert compat_factors('"point_2d": [1]', [(0, 11), (11, 15)], 3.0).tolist() == [1, 6]
    twice = "<answer>a</answer><answer>b</answer>"
    assert compat_factors(twice, [(8, 9), (26, 27)]).tolist() == [2, 1]


@given(st.lists(st.text(max_size=4), max_size=6))
def test_offsets_of_pieces_cut_the_text_they_make(pieces):
    text = "".join(pieces)
    assert [text[a:b] for a, b in offsets_of(pieces)] == pieces


@given(st.text(alphabet='<>/answerthink ab"point_2d:[]1,', max_size=80))
def test_no_text_breaks_the_rules(text):
    offsets = letters([text])[0]
    weight = {"reasoning": 1.0, "action": 2.0, "grounding": 8.0}
    assert set(span_factors(offsets, spans(text), weight)) <= {1.0, 2.0, 8.0}
    assert set(compat_factors(text, offsets)) <= {1.0, 2.0, 4.0, 8.0}


def test_grounding_counts_before_action_whatever_the_order_given():
    marked = [Span("grounding", 1, 2), Span("action", 0, 3)]
    weight = {"reasoning": 1.0, "action": 2.0, "grounding": 8.0}
    assert span_factors([(0, 1), (1, 2), (2, 3), (3, 4)], marked, weight).tolist() == [2, 8, 2, 1]
