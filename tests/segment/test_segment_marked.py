"""Markers, thoughts, tags and strategic phrases, by hand."""

import pytest
from segment_texts import rows

from stepcredit import segment
from stepcredit.errors import StepCreditError


def steps(name, text, **options):
    return [text[a:b] for a, b in segment.get(name)(text, **options)]


R1 = """Okay, so the problem asks for x. It says 2x = 8.

So x is 8/2, which is 4. Wait, is it? If x = 4, then 2x = 8. But they may want 2x. Therefore I say 4."""


def test_markers_begin_steps_at_sentences():
    assert steps("markers", R1, distance=0) == [
        "Okay, so the problem asks for x. It says 2x = 8.",
        "So x is 8/2, which is 4.",
        "Wait, is it? If x = 4, then 2x = 8.",
        "But they may want 2x.",
        "Therefore I say 4.",
    ]


def test_a_nearer_marker_is_passed_over_and_the_distance_runs_from_the_last_cut():
    assert steps("markers", R1, distance=30) == [
        "Okay, so the problem asks for x. It says 2x = 8.",
        "So x is 8/2, which is 4. Wait, is it? If x = 4, then 2x = 8.",
        "But they may want 2x. Therefore I say 4.",
    ]
    so, wait, but, therefore = (R1.index(word) for word in ("So x", "Wait", "But", "Therefore"))
    assert (so, wait, but, therefore) == (50, 75, 111, 133)
    assert segment.get("markers")(R1, distance=50)[:, 0].tolist() == [0, so, but]
    assert segment.get("markers")(R1, distance=51)[:, 0].tolist() == [0, wait, therefore]


def test_the_restatement_is_of_the_first_step():
    assert steps("markers", R1, distance=0, skip=60)[0].endswith("which is 4.")
    assert steps("markers", R1, distance=0, skip=len(R1)) == [R1]


def test_a_marker_inside_a_sentence_cuts_before_the_sentence():
    text = "We have 3. And, However, 4. Then so, Sofa. Wait"
    assert steps("markers", text, distance=0) == ["We have 3.", "And, However, 4. Then so, Sofa.", "Wait"]
    assert steps("markers", text, distance=0, inside=False) == ["We have 3. And, However, 4. Then so, Sofa.", "Wait"]
    assert steps("markers", '3. "**Wait**", no.', distance=0, inside=False) == ['3. "**Wait**", no.']
    assert steps("markers", 'Is 3. "**Wait**", no.', distance=0, inside=False) == ["Is 3.", '"**Wait**", no.']


def test_marker_words_of_ones_own():
    assert steps("markers", "A b. Hold on. So c", words=["Hold on"], distance=0) == ["A b.", "Hold on. So c"]
    assert steps("markers", "甲。但是乙。丙", words=["但是"], distance=0) == ["甲。", "但是乙。丙"]
    assert steps("markers", "One\nWait two", distance=0, lines=False) == ["One\nWait two"]
    for wrong in ({"words": []}, {"distance": -1}, {"skip": -1}):
        with pytest.raises(StepCreditError, match="distances of 0 or more"):
            steps("markers", "a", **wrong)


def test_reasoners_as_they_write(data):
    """Every cut has a marker in the sentence that follows it."""
    found = 0
    for row in rows(data / "who_and_when/algorithm-generated.jsonl.gz"):
        for turn in row["history"]:
            text = turn["content"] or ""
            for step in steps("markers", text)[1:]:
                head = steps("sentences", step)[0]
                assert any(word in head for word in ("However", "Therefore", "So", "But", "Wait"))
                found += 1
    assert found > 100


THOUGHTS = {
    "thinking and answer": ("<think>\na\n\nb\n</think>\n\nc\n\nd", ["<think>\na", "b\n</think>", "c\n\nd"]),
    "the template opened the thinking": ("a\n\nb\n</think>c", ["a", "b\n</think>", "c"]),
    "no answer yet": ("<think>a\n\nb", ["<think>a", "b"]),
    "no thinking": ("a\n\nb", ["a", "b"]),
    "nothing after it": ("<think>a</think> \n", ["<think>a</think>"]),
    "the last closing tag ends it": ("a </think> b\n\nc</thinking>\nd", ["a </think> b", "c</thinking>", "d"]),
    "a display stays whole": ("\\[\na\n\nb\n\\]\n</think>\n\\[\n\n\\]", ["\\[\na\n\nb\n\\]\n</think>", "\\[\n\n\\]"]),
    "a fence left open ends with the thinking": (
        "a\n\n```\nb\n\nc\n</think>\n\nd",
        ["a", "```\nb\n\nc\n</think>", "d"],
    ),
}


@pytest.mark.parametrize(("text", "want"), THOUGHTS.values(), ids=THOUGHTS)
def test_thoughts(text, want):
    assert steps("thoughts", text) == want


TAGS = "Plan. <p1>4</p1>, so <p2> <p1>6</p1> </p2> and <p10>a</p10><p3>b</p3> </p4> <P1>x</P1> <p5>"


def test_tags():
    inner = ["<p1>4</p1>", "<p2> <p1>6</p1> </p2>", "<p10>a</p10>", "<p3>b</p3>"]
    assert steps("tagged", TAGS, outside="drop") == inner
    own = ["Plan.", inner[0], ", so", inner[1], "and", inner[2], inner[3], "</p4> <P1>x</P1> <p5>"]
    assert steps("tagged", TAGS) == own
    assert steps("tagged", "none") == ["none"] and steps("tagged", "none", outside="drop") == []


def test_a_decision_and_an_answer():
    text = "<judge>easy, think off</judge> <answer>4</answer>"
    assert steps("tagged", text, tags=("judge", "answer")) == ["<judge>easy, think off</judge>", "<answer>4</answer>"]
    assert steps("tagged", text, tags=("a#",)) == [text]


def test_phases():
    text = "Candidates: b, a, c\nRanking:\n1. a Ranking: x"
    assert steps("tagged", text, tags=(), starts=("Ranking:",)) == ["Candidates: b, a, c", "Ranking:\n1. a Ranking: x"]
    assert steps("tagged", text, tags=(), starts=("Candidates:", "Ranking:")) == ["Candidates: b, a, c", text[20:]]
    assert steps("tagged", text, tags=(), starts=("Ranking:", "Candidates:", "")) == ["Candidates: b, a, c", text[20:]]
    assert steps("tagged", text, tags=(), starts=("Rank.",)) == [text]
    mixed = "x <p1>B: 1</p1> y B: z"
    assert steps("tagged", mixed, starts=("B:",)) == ["x", "<p1>B: 1</p1>", "y", "B: z"]
    assert steps("tagged", mixed, starts=("B:",), outside="drop") == ["<p1>B: 1</p1>"]


PHRASES = ("let me check", "check this", "so", "a.b")


def test_strategic_phrases():
    text = "Now LET  me\ncheck this. So, sofa; a.b a-b. Also"
    assert steps("strategic", text, phrases=PHRASES, outside="drop") == ["LET  me\ncheck this", "So", "a.b"]
    assert steps("strategic", text, phrases=PHRASES) == [
        *("Now", "LET  me\ncheck this", ".", "So", ", sofa;", "a.b", "a-b. Also")
    ]
    assert steps("strategic", text, phrases=()) == [text]
    assert steps("strategic", "Hold on. But wait, what if we do?", outside="drop") == [
        "Hold on",
        "But wait",
        "what if we",
    ]


def test_a_character_in_many_phrases_counts_once():
    spans = segment.get("strategic")("a b c d", phrases=("a b", "b c", "a b c", "c d"), outside="drop")
    assert spans.tolist() == [[0, 7]]


def test_planning_tokens_are_those_that_share_a_character():
    text = "x = 3. Let me check it"
    offsets = segment.token_offsets(["x", " = 3", ".", " Let", " me", " check", " it"])
    spans = segment.get("strategic")(text, phrases=["let me check"], outside="drop")
    assert (segment.token_steps(spans, offsets) >= 0).tolist() == [False, False, False, True, True, True, False]
