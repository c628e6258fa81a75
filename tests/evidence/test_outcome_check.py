"""Final answers: what is found in a text, what is equal, what cannot be told."""

import gzip
import json
import threading
import time
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepcredit.data.batch import Batch
from stepcredit.data.records import Rollout, Step
from stepcredit.errors import DataError, MissingColumn, UnknownName
from stepcredit.evidence._answers import boxed, choice, extracted, last_number, squad, tagged, token_f1
from stepcredit.evidence._equal import Rule, number, quantity
from stepcredit.evidence.outcome_check import outcome_check, verifier

TEXTS = st.text(max_size=60) | st.text(alphabet="0123456789.,/%$-+eE^x {}\\fracboxed½²−٣", max_size=40)


def of(*texts, gold="1", **extra):
    return Batch.from_records(
        Rollout(group="g", rollout=i, steps=[Step(text=t)], extra={"gold": gold, **extra}) for i, t in enumerate(texts)
    )


def told(batch, **options):
    return [None if v != v else v for v in outcome_check(batch, **options)["outcome"].tolist()]


def test_numbers_agree_with_every_verdict_of_gsm8k(data):
    with gzip.open(data / "gsm8k" / "model_solutions.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    models = [k for k in rows[0] if isinstance(rows[0][k], dict)]
    batch = Batch.from_records(
        Rollout(
            group=row["index"],
            rollout=model,
            outcome=float(row[model]["is_correct"]),
            steps=[Step(text=row[model]["solution"])],
            extra={"gold": row["ground_truth"]},
        )
        for row in rows
        for model in models
    )
    found = {"extract": "marker", "extract_reference": "marker", "marker": "A:", "missing": "wrong"}
    for how in ("number", "math"):
        checked = outcome_check(batch, how=how, answers=True, **found)
        np.testing.assert_array_equal(checked["outcome"], batch["outcome"])
        assert "from which 0 differ" in checked.notes[-1]
    right = batch["outcome"] == 1
    known = ~np.isnan(checked["answer_share"])
    solved, told_ = (np.repeat(x.reshape(-1, 4).sum(axis=1), 4) for x in (batch["outcome"], known))
    np.testing.assert_array_equal(checked["answer_share"][right], (solved / told_)[right])
    assert known.mean() > 0.99
    assert outcome_check(batch, how="normalized", **found).notes[-1].endswith("from which 6 differ")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("-$1,250.50", Fraction(-2501, 2)),
        ("$-5", Fraction(-5)),
        ("½", Fraction(1, 2)),
        ("1½", Fraction(3, 2)),
        ("-1 1/2", Fraction(-3, 2)),
        (r"3\times10^{4}", Fraction(30000)),
        ("1.2e-3", Fraction(3, 2500)),
        (r"$\dfrac{3}{4}$", Fraction(3, 4)),
        (r"50\%", Fraction(1, 2)),
        (r"\$3{,}000", Fraction(3000)),
        ("\u22127", Fraction(-7)),
        ("42.", Fraction(42)),
        (".5", Fraction(1, 2)),
        ("1,5", None),
        ("12,34", None),
        ("1/0", None),
        ("--3", None),
        ("1.2.3", None),
        ("5 5", None),
        ("5 apples", None),
        ("", None),
        ("NaN", None),
        ("inf", None),
    ],
)
def test_numbers_are_read_exactly_or_not_at_all(text, value):
    assert number(text) == value


@given(st.integers(-(10**12), 10**12), st.integers(0, 4))
def test_a_number_is_read_as_it_is_written(n, places):
    value = Fraction(n, 10**places)
    assert number(f"{n / 10**places:,.{places}f}" if abs(n) < 10**15 else str(n)) == value
    assert number(f"{value.numerator}/{value.denominator}") == value


@given(TEXTS)
def test_no_text_breaks_a_reader(text):
    for read in (number, boxed, last_number, choice, squad, lambda t: tagged(t, "answer")):
        read(text)
    for way in ("whole", "boxed", "tag", "marker", "last_number", "last_line"):
        assert extracted(text, way) != ""
    assert Rule("number")(text, text) in (1.0,) or number(text) is None
    assert squad(squad(text)) == squad(text) or not text.isascii()


@given(TEXTS, TEXTS)
def test_f1_is_a_symmetric_share(a, b):
    for unique in (False, True):
        f = token_f1(a, b, unique=unique)
        assert 0 <= f <= 1 and f == token_f1(b, a, unique=unique)
    assert token_f1(a, a) == 1


@given(st.text(alphabet="5 kmsgN/^-2·°C%()apin", max_size=12))
def test_no_text_breaks_the_reading_of_units(text):
    pytest.importorskip("pint")
    quantity(text)


def test_the_last_number_of_a_text():
    found = {
        "from 1,200 to $3.50.": "$3.50",
        "10-5": "5",
        "x=-5": "-5",
        "(-5)": "-5",
        "on 2020-01-05": "05",
        "it is 3/4": "3/4",
        "70% of it": "70%",
        "- 3 eggs": "3",
        "1,2,3": "3",
    }
    assert {text: last_number(text) for text in found} == found
    assert last_number("none") is None


def test_the_last_box_that_closes():
    assert boxed(r"\boxed{1} \boxed{\frac{1}{2}} \boxed{2") == r"\frac{1}{2}"
    assert boxed(r"\boxed{a \boxed{b}}") == "b" and boxed(r"\boxed 5") == "5" and boxed(r"\boxed{\{1\}}") == r"\{1\}"
    assert boxed(r"\boxed{") is None and boxed("{1}") is None and extracted(r"\boxed{}", "boxed") is None


@pytest.mark.parametrize(
    "text", ["\\boxed{" * 60_000, "}" * 300_000, "1," * 200_000, "<answer>" * 50_000, "9" * 400_000]
)
def test_huge_texts_take_no_time(text):
    start = time.perf_counter()
    for way in ("boxed", "tag", "marker", "last_number", "last_line"):
        extracted(text, way)
    number(text)
    assert time.perf_counter() - start < 5


def test_what_cannot_be_told_is_not_judged():
    batch = of("1", "none", None, "2")
    assert told(batch, how="number") == [1, None, None, 0]
    assert told(batch, how="number", missing="wrong") == [1, 0, 0, 0]
    assert told(of("1", "x", gold="a lot"), how="number", missing="wrong") == [None, None]
    assert told(of("1", "3", "x", gold=["1", "a lot"]), how="number") == [1, None, None]
    assert told(of("1", gold=[]), how="number") == [None]
    two = of("1", "2", gold=["so #### 1", "no marker"])
    assert told(two, how="number", extract_reference="marker", missing="wrong") == [1, None]


def test_whole_numbers_are_equal_or_not_whatever_the_tolerance():
    assert told(of("1000001", "1000000.5", gold="1000000"), how="number", tolerance=1e-3) == [0, 1]
    assert told(of("0.5000001", "0.5", gold="1/2"), how="number", tolerance=0) == [0, 1]


def test_a_rollout_without_steps_has_no_answer():
    batch = Batch.from_records([Rollout(group="g", rollout="a", extra={"gold": "1"})])
    assert told(batch) == [None]


def test_references_of_every_kind():
    assert told(of("18", gold=18.0)) == [1] and told(of("18", gold=18)) == [1]
    assert told(of("b", gold="a"), reference={"g": ["a", "b"]}) == [1]
    assert told(of("b", gold="a"), reference=lambda record: record.extra["gold"] + "x") == [0]
    with pytest.raises(DataError, match="text or a number"):
        outcome_check(of("1", gold={"a": 1}))
    with pytest.raises(DataError, match="needs a reference of each rollout"):
        outcome_check(Batch.from_records([Rollout(group="g", rollout="a", steps=[Step(text="1")])]))


def test_the_answer_may_be_a_field_or_a_function():
    batch = of("no", "no", said="1")
    assert told(batch, answer="said") == [1, 1]
    assert told(batch, answer=lambda record: None if record.rollout else "1") == [1, None]
    with pytest.raises(MissingColumn, match="no rollout has a field 'sayd'"):
        outcome_check(batch, answer="sayd")


def test_rollouts_that_share_their_last_step_share_its_answer():
    tree = Batch.from_records(
        [
            Rollout(group="g", rollout=0, steps=[Step(id="x", text="1"), Step(text="2")], extra={"gold": "1"}),
            Rollout(group="g", rollout=1, prefix=["x"], extra={"gold": "1"}),
        ]
    )
    assert told(tree) == [0, 1]


def test_rewards_of_several_sources_stay_apart():
    batch = outcome_check(of("1"), into="reward.answer")
    assert batch["reward.answer"].tolist() == [1] and "outcome" not in batch
    for wrong in ("score", "group", "answers"):
        with pytest.raises(MissingColumn, match="number per rollout"):
            outcome_check(of("1"), into=wrong)


def test_equal_answers_of_mathematics_are_found_by_pairs():
    batch = outcome_check(of("1/2", "0.5", r"\frac{2}{4}", "2", "<<>>", gold="0.5"), how="math", answers=True)
    assert batch["answer"].tolist() == [0, 0, 0, 1, 2]
    np.testing.assert_allclose(batch["answer_share"], [0.75, 0.75, 0.75, 0.25, np.nan])


def test_a_verifier_is_the_same_check():
    check = verifier("number", extract=("boxed", "last_number"), missing="wrong")
    np.testing.assert_array_equal(check(["It is 0.5.", r"\boxed{3/6}", "none", "7"], ["1/2"] * 4), [1, 1, 0, 0])
    assert verifier()([], []).shape == (0,)
    with pytest.raises(UnknownName, match="number"):
        verifier("numbre")
    with pytest.raises(UnknownName, match="boxed"):
        verifier(extract="box")
    with pytest.raises(UnknownName, match="unknown"):
        verifier(missing="no")


def test_mathematics_in_a_thread_has_no_alarm_and_reads_no_towers():
    found = []

    def work():
        found.extend(verifier("math")(["1/4", "9^{9^{9^{9}}}", "100!"], ["0.25", "1", "1"]).tolist())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(30)
    assert found[0] == 1 and all(v != v for v in found[1:])


def test_choices():
    found = {
        "b": "B",
        "(b) blue": "B",
        "B. blue": "B",
        "B: blue": "B",
        "The answer is **D**": "D",
        "Option E": "E",
        "A dog": None,
        "I think the answer is B because option A is bad": None,
        "A.m.": None,
        "": None,
        "F": None,
    }
    assert {text: choice(text) for text in found} == found


def test_options_are_checked_before_anything_is_read():
    with pytest.raises(UnknownName, match="exact"):
        outcome_check(of("1"), how="exatc")
    with pytest.raises(UnknownName, match="wrong"):
        outcome_check(of("1"), missing="rong")
