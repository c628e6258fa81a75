"""What every text segmenter promises, on texts put together from whatever a rule looks at."""

import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepcredit import segment

TEXT_SEGMENTERS = segment.text_names()
# A step of these, alone, may be cut further: given its number it is not; an answer of paragraphs is one step.
CUT_FURTHER = {"numbered", "thoughts"}
PIECES = [
    *("a", "x = 1", "ки", "👨‍👩‍👧", "e\u0301", "\ud83d", "中"),
    *(" ", "  ", "\t", "\x0b", "\x0c", "\u2028", "\u3000", "\n", "\n", "\n\n", "\r\n", "\r"),
    *("```", "````", "~~~", "```py\n", "`", "\\", "$", "$$", "\\[", "\\]", "\\\\[2pt]"),
    *("\\begin{align}", "\\end{align}", "\\begin{cases}", "\\end{cases}"),
    *(">", "- ", "* ", "**", "#", "### ", "1. ", "2. ", "3.", "3) ", "1、", "２．", "3.14", "2024. "),
    *("Step 1: ", "step 2\n", "**Step 3:** ", "步骤1：", "第二步，"),
    *("Thought: ", "Thought 2:", "Action: ", "Action Input: ", "Observation: ", "思考："),
    *("<think>", "</think>", "<tool_call>", "</tool_call>", "<observation>", "</observation>"),
    *(". ", ".", "! ", "?", "...", "…", "。", "？", ")", '"', "”", "Dr", "e.g", "etc", "U.S", "J", "No", "St", "5!"),
    *("However", "So ", "Wait, ", "The ", "then ", "Bob "),
    *("<p1>", "</p1>", "<p2>", "</p2>", "let me check", "Let me  try", "hold on", "hold"),
]
texts = st.lists(st.sampled_from(PIECES), max_size=30).map("".join)
OBSERVATION = re.compile(r"(?:#{1,6}\s*)?(?:\*\*)?Observation:|<observation>")
every_segmenter = pytest.mark.parametrize("name", TEXT_SEGMENTERS)


def test_every_built_in_segmenter_of_text_is_tested_here():
    assert {"lines", "sentences", "markers", "tagged", "strategic", "thoughts"} <= set(TEXT_SEGMENTERS)
    assert not {"tool_calls", "macro_actions", "cut_points"} & set(TEXT_SEGMENTERS)


@every_segmenter
@given(text=texts)
def test_spans_are_ordered_and_trimmed_and_with_gaps_make_the_text(name, text):
    spans = segment.get(name)(text)
    assert spans.dtype == np.int64 and spans.shape == (len(spans), 2)
    for start, end in spans:
        assert start < end and text[start:end] == text[start:end].strip()
    parts = np.concatenate([spans, segment.gaps(spans, len(text))])
    parts = parts[np.argsort(parts[:, 0])]
    assert "".join(text[start:end] for start, end in parts) == text


@every_segmenter
@given(text=texts)
def test_gaps_hold_white_space_separators_and_observations_alone(name, text):
    for start, end in segment.gaps(segment.get(name)(text), len(text)):
        gap = text[start:end].strip()
        assert not gap or (name == "thought_action" and OBSERVATION.match(gap))


@pytest.mark.parametrize("name", ["tagged", "strategic"])
@given(text=texts)
def test_what_lies_outside_is_the_same_kept_or_dropped(name, text):
    own, dropped = segment.get(name)(text), segment.get(name)(text, outside="drop")
    assert {tuple(row) for row in dropped.tolist()} <= {tuple(row) for row in own.tolist()}
    assert not any(segment.get(name)(text[a:b], outside="drop").size for a, b in segment.gaps(dropped, len(text)))


@given(text=texts, distance=st.integers(0, 12), skip=st.integers(0, 12))
def test_markers_cut_where_sentences_do_and_no_nearer_than_asked(text, distance, skip):
    starts = segment.get("sentences")(text)[:, 0].tolist()
    cuts = segment.get("markers")(text, distance=distance, skip=skip)[1:, 0].tolist()
    assert set(cuts) <= set(starts)
    assert all(b - a >= distance for a, b in pairwise([0, *cuts])) and all(cut >= skip for cut in cuts)


@given(text=texts)
def test_gaps_of_a_tag_hold_the_tag(text):
    for start, end in segment.gaps(segment.get("separator")(text, separator="ки"), len(text)):
        assert not text[start:end].replace("ки", "").strip()


@given(text=texts, name=st.sampled_from(sorted(set(TEXT_SEGMENTERS) - CUT_FURTHER)))
def test_a_step_alone_is_one_step(text, name):
    f = segment.get(name)
    for start, end in f(text):
        assert f(text[start:end]).tolist() == [[0, end - start]]


@given(text=texts)
def test_a_numbered_step_alone_is_one_step_given_its_number(text):
    f = segment.get("numbered")
    spans = f(text)
    for number in range(5):
        if (known := f(text, first=number)).tolist() == spans.tolist():
            for i, (start, end) in enumerate(known):
                assert f(text[start:end], first=number + i).tolist() == [[0, end - start]]


@every_segmenter
@given(text=texts, end=st.sampled_from(["\r\n", "\r"]))
def test_other_line_ends_give_the_same_steps(name, text, end):
    plain = text.replace("\r", "")
    spans = segment.get(name)(plain)
    place = np.cumsum([0] + [len(end) if character == "\n" else 1 for character in plain])
    assert segment.get(name)(plain.replace("\n", end)).tolist() == place[spans].tolist()


@every_segmenter
@given(text=texts, data=st.data())
def test_tokens_go_to_the_step_that_most_of_their_characters_are_in(name, text, data):
    spans = segment.get(name)(text)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=12)))
    edges = [0, *cuts, len(text)]
    tokens = [text[start:end] for start, end in pairwise(edges)]
    owner = np.full(len(text), -1)
    for step, (start, end) in enumerate(spans):
        owner[start:end] = step
    want = []
    for start, end in pairwise(edges):
        mine = owner[start:end][owner[start:end] >= 0]
        want.append(int(np.bincount(mine).argmax()) if len(mine) else -1)
    offsets = segment.token_offsets(tokens)
    got = segment.token_steps(spans, offsets)
    assert got.tolist() == want
    tiled = segment.token_steps(segment.tile(spans, len(text)), offsets)
    assert (tiled[[token != "" for token in tokens]] >= 0).all() or not len(spans)
    for step, (first, last) in enumerate(segment.token_spans(got, len(spans))):
        inside = np.nonzero(got == step)[0]
        assert [first, last] == ([inside[0], inside[-1] + 1] if len(inside) else [first, first])


@given(text=st.text(st.characters(codec="utf-8"), max_size=20), data=st.data())
def test_bytes_of_tokens_find_their_characters(text, data):
    raw = text.encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=8)))
    edges = [0, *cuts, len(raw)]
    character = np.repeat(np.arange(len(text)), [len(c.encode()) for c in text])
    pairs = list(pairwise(edges))
    got = segment.token_offsets([raw[start:end] for start, end in pairs])
    for (start, end), row in zip(pairs, got.tolist(), strict=True):
        if start < end:
            assert row == [character[start], character[end - 1] + 1]
        else:
            assert row[0] == row[1]
