"""Characters to tokens, by hand."""

import numpy as np
import pytest

from stepcredit import segment
from stepcredit.errors import DataError, LayoutError, StepCreditError


def test_a_token_goes_where_most_of_it_is_and_of_equals_to_the_earliest():
    spans = [[0, 4], [5, 9], [9, 12]]
    offsets = [[0, 3], [3, 6], [6, 10], [8, 10], [3, 12], [4, 5], [5, 5], [0, 0], [12, 15]]
    assert segment.token_steps(spans, offsets).tolist() == [0, 0, 1, 1, 1, -1, -1, -1, -1]


def test_a_first_word_with_the_white_space_before_it_is_not_lost():
    text = "One.\n\n Two."
    spans = segment.get("paragraphs")(text)
    assert segment.token_steps(spans, segment.token_offsets(["One", ".\n\n", " Two", "."])).tolist() == [0, 0, 1, 1]


def test_empty_spans_get_no_token_and_no_spans_give_none():
    assert segment.token_steps([[0, 2], [2, 2], [2, 4]], [[0, 2], [1, 3], [2, 4]]).tolist() == [0, 0, 2]
    assert segment.token_steps([[3, 3]], [[0, 9], [3, 3]]).tolist() == [-1, -1]
    assert segment.token_steps([], [[0, 9]]).tolist() == [-1]
    assert segment.token_steps([[0, 1]], []).tolist() == []


def test_inputs_are_left_alone():
    spans, offsets = np.array([[0, 4], [6, 9]]), np.array([[0, 5], [5, 9]])
    spans.flags.writeable = offsets.flags.writeable = False
    segment.token_steps(spans, offsets)
    segment.tile(spans, 9)[0, 0] = 5
    assert spans.tolist() == [[0, 4], [6, 9]]


@pytest.mark.parametrize(
    ("spans", "offsets", "message"),
    [
        ([[0, 4], [3, 9]], [], "spans 0 and 1 overlap or are out of order"),
        ([[4, 0]], [], r"spans: row 0 is \[4, 0\]"),
        ([[-1, 0]], [], r"spans: row 0 is \[-1, 0\]"),
        ([0, 4], [], "spans: got int64 of shape"),
        ([[0.0, 4.0]], [], "spans: got float64"),
        ([[0, 4]], [[0, 2], [3, 1]], r"offsets: row 1 is \[3, 1\]"),
        ([[0, 4]], [[0, 2, 3]], "offsets: got int64 of shape"),
    ],
)
def test_what_is_no_span_is_refused(spans, offsets, message):
    with pytest.raises(LayoutError, match=message):
        segment.token_steps(spans, offsets)


def test_token_spans():
    assert segment.token_spans([], 2).tolist() == [[0, 0], [0, 0]]
    assert segment.token_spans([0, -1, 0, 1, -1], 2).tolist() == [[0, 3], [3, 4]]
    assert segment.token_spans([-1, 1, 3], 5).tolist() == [[0, 0], [1, 2], [2, 2], [2, 3], [3, 3]]
    with pytest.raises(LayoutError, match="token 2 is of step 0"):
        segment.token_spans([0, 1, 0], 2)
    with pytest.raises(LayoutError, match="token 1 is of step 2, expected a step below 2"):
        segment.token_spans([0, 2], 2)


def test_bytes_that_are_no_text_are_refused_but_a_cut_off_end_is_not():
    assert segment.token_offsets([b"a\xf0\x9f", b"\x98"]).tolist() == [[0, 2], [1, 2]]
    with pytest.raises(DataError, match="token 1 breaks off a character or is no UTF-8"):
        segment.token_offsets([b"a", b"\xf0", b"b"])
    with pytest.raises(DataError, match="mixed"):
        segment.token_offsets(["a", b"b"])
    assert segment.token_offsets([]).shape == (0, 2)


def test_gaps_and_tile():
    assert segment.gaps([], 3).tolist() == [[0, 3]]
    assert segment.gaps([[0, 3]], 3).tolist() == []
    assert segment.tile([], 3).tolist() == []
    assert segment.tile([[1, 2], [2, 3], [5, 6]], 8).tolist() == [[0, 2], [2, 5], [5, 8]]
    for f in (segment.gaps, segment.tile):
        with pytest.raises(LayoutError, match="ends after the text: length 3"):
            f([[0, 4]], 3)


def test_cut_after_separator_tokens():
    """Steps of 4, 5 and 3 tokens, as in the worked example of PURE."""
    vocabulary = ["a", "b", ".\n\n", "\n", "\n\n\n", "<eos>"]
    cuts = segment.separator_ids(vocabulary)
    assert cuts.tolist() == [2, 4]
    ids = [0, 1, 0, 2, 0, 0, 3, 3, 4, 1, 1, 5]
    assert segment.cut_after(ids, cuts).tolist() == [[0, 4], [4, 9], [9, 12]]
    assert segment.cut_after([0, 2], cuts).tolist() == [[0, 2]]
    assert segment.cut_after([2, 2], cuts).tolist() == [[0, 1], [1, 2]]
    assert segment.cut_after([0, 1], cuts).tolist() == [[0, 2]]
    assert segment.cut_after([], cuts).shape == (0, 2)
    assert segment.cut_after([0, 1], []).tolist() == [[0, 2]]
    assert segment.separator_ids(["x ки", "к", "ки"], separator="ки").tolist() == [0, 2]
    with pytest.raises(StepCreditError, match="separator is empty"):
        segment.separator_ids(["a"], separator="")
