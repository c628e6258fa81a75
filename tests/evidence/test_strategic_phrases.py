"""Planning tokens, and phrases mined from solutions."""

import math

import numpy as np
import pytest
from judged_batches import batch, rollout, tokens, tree
from real_solutions import solutions_by_task

from stepcredit.data import Batch, Layout
from stepcredit.errors import LayoutError, MissingColumn, StepCreditError
from stepcredit.evidence import get
from stepcredit.evidence.strategic_phrases import mine, phrase_entropy, strategic_phrases

TEXTS = ["So", " Let", " me", " check", " this", ":", " 3"]


def test_tokens_inside_a_phrase():
    made = strategic_phrases(Batch(tokens([7]), {}), tokens=TEXTS, phrases=["let me check", "check this"])
    assert made["token_plan"].tolist() == [0, 1, 1, 1, 1, 0, 0]
    assert (
        made.notes[-1] == "token_plan: 4 of 7 tokens in one of 2 strategic phrases" and made.axis("token_plan") == "K"
    )


def test_the_amplification_of_the_worked_example():
    """HICRA's spec: alpha .2; A = .5: planning .6, other .5; A = -.5: planning -.4, other -.5."""
    plan = strategic_phrases(Batch(tokens([7]), {}), tokens=TEXTS, phrases=["let me"])["token_plan"]
    for advantage, planning in ((0.5, 0.6), (-0.5, -0.4)):
        got = advantage + 0.2 * abs(advantage) * plan
        np.testing.assert_allclose(got, [advantage, planning, planning, *[advantage] * 4])


def test_phrases_do_not_cross_steps_but_tokens_may_stand_apart():
    parted = Batch(Layout([0], [0, 0], token_step=[0, 0, 1, 1, -1]), {})
    made = strategic_phrases(parted, tokens=["let", " me", "let", " me", "let me"], phrases=["let me"])
    assert made["token_plan"].tolist() == [1, 1, 1, 1, 0]
    made = strategic_phrases(parted, tokens=["x", " let", " me", " x", ""], phrases=["let me"])
    assert made["token_plan"].tolist() == [0] * 5
    mixed = Batch(Layout([0], [0, 0], token_step=[1, 0, 1, 0]), {})
    made = strategic_phrases(mixed, tokens=["let", "x", " me", "y"], phrases=["let me"])
    assert made["token_plan"].tolist() == [1, 0, 1, 0]


def test_a_shared_step_is_read_once():
    """The rollout that ends at the shared step stands right before the one that goes on from it."""
    shared = tree().layout.with_tokens(np.array([0, 0, 1, 2]))
    made = strategic_phrases(Batch(shared, {}), tokens=["me", " let", "x", "y"], phrases=["let me", "me let"])
    assert made["token_plan"].tolist() == [1, 1, 0, 0]
    made = strategic_phrases(Batch(shared, {}), tokens=["me", " let", "x", "y"], phrases=["let me"])
    assert made["token_plan"].tolist() == [0] * 4


def test_bytes_and_ids():
    one = Batch(tokens([3]), {}).with_columns(axis="K", token_id=[5, 6, 7])
    parts = {5: b"\xe7\xad", 6: b"\x89", 7: b"let me"}
    made = strategic_phrases(one, tokens=lambda ids: [parts[i] for i in ids], phrases=["等"])
    assert made["token_plan"].tolist() == [1, 1, 0]
    assert strategic_phrases(one, tokens=["a", " b", " hold on"])["token_plan"].tolist() == [0, 0, 1]


def test_what_must_be_there():
    one = Batch(tokens([3]), {})
    with pytest.raises(StepCreditError, match="the text of each token"):
        strategic_phrases(one)
    with pytest.raises(MissingColumn, match="token_id"):
        strategic_phrases(one, tokens=lambda ids: ids)
    with pytest.raises(LayoutError, match="2 texts for 3 tokens"):
        strategic_phrases(one, tokens=["a", "b"])
    assert strategic_phrases(Batch(tokens([]), {}), tokens=[])["token_plan"].size == 0
    assert get("strategic_phrases@hicra").options["phrases"] and get("strategic_phrases").cost is None


DOCS = [
    "Let me check the sum. It is 12 apples. Then let me check it.",
    "But wait, let me verify. The big red car is big red car is.",
    "First, let me check the total; but wait, let me verify.",
    "On the other hand, 3 is odd. The big red car is big red car is.",
]


def test_phrases_that_many_solutions_use():
    found = mine(DOCS, top=1.0, most_repeats=10)
    assert set(found) >= {"let me check", "but wait, let", "big red car is"} and "is odd the" not in found
    held = {p: sum(p in d.lower() for d in DOCS) for p in found}
    assert all(n >= 2 for n in held.values()) and sorted(held.values(), reverse=True) == list(held.values())


def test_what_a_solution_repeats_is_content():
    assert "big red car" in mine(DOCS, top=1.0, most_repeats=2.0)
    assert "big red car" not in mine(DOCS, top=1.0, most_repeats=1.5)
    assert "let me check" in mine(DOCS, top=1.0, most_repeats=1.5)


def test_the_share_that_is_kept_and_the_lengths():
    everything = mine(DOCS, top=1.0)
    assert mine(DOCS, top=0.2) == everything[: max(1, len(everything) // 5)]
    assert mine(DOCS, top=1e-9) == everything[:1]
    assert {len(p.split()) for p in mine(DOCS, top=1.0, words=(2, 2))} == {2}
    assert mine(DOCS, top=1.0, least=4) == [] and mine([]) == []
    for wrong in ({"words": (0, 3)}, {"words": (3, 2)}, {"top": 0.0}, {"least": 0}):
        with pytest.raises(StepCreditError):
            mine(DOCS, **wrong)


def test_no_phrase_crosses_a_sign_or_a_line():
    assert mine(["a b. c d\ne f", "a b. c d\ne f"], words=(2, 3), top=1.0) == ["a b", "c d", "e f"]
    assert mine(["so, let me", "So, let me"], words=(3, 3), top=1.0) == ["so, let me"]


def test_phrases_of_one_meaning_are_one_cluster():
    """check and verify point the same way: their cluster is in three solutions, each alone in two."""
    docs = ["let me check", "let me verify", "let me check or let me verify", "over and out", "over and out"]
    where = {"let me check": [1, 0], "let me verify": [0.9, 0.1], "over and out": [0, 1]}
    asked = []

    def embed(texts):
        asked.extend(texts)
        return np.array([where.get(t, [-1, -1]) for t in texts])

    assert mine(docs, words=(3, 3), top=0.5) == ["let me verify"] and not asked
    assert mine(docs, embedder=embed, words=(3, 3), top=0.5) == ["let me verify", "let me check"]
    apart = mine(docs, embedder=embed, words=(3, 3), top=0.4, cosine=0.9999)
    assert apart == ["let me verify"] and set(asked) == set(where)


def test_entropy():
    assert phrase_entropy(["none"]) == 0 and phrase_entropy([], phrases=["a"]) == 0
    assert phrase_entropy(["a a"], phrases=["a", "b"]) == 0
    np.testing.assert_allclose(phrase_entropy(["a b", "A b"], phrases=["a", "b"]), math.log(2))
    np.testing.assert_allclose(
        phrase_entropy(["a a a b"], phrases=["a", "b"]), -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    )


def test_phrases_of_real_solutions(data):
    """Of solutions by four models, phrases without the problem's things come out on top."""
    texts = [t for _, four in solutions_by_task(data) for t in four]
    found = mine(texts, top=0.01, least=20)
    assert found and all(3 <= len(p.split()) <= 5 for p in found)
    held = [sum(p.replace(",", "") in t.lower().replace(",", "") for t in texts) for p in found[:20]]
    assert min(held) >= 20


def test_records_that_hold_texts_are_marked_by_their_tokens():
    made = batch(rollout(0, "hold on"))
    assert strategic_phrases(made, tokens=["hold on"])["token_plan"].tolist() == [1]
