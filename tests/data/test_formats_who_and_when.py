"""Who&When."""

import fixtures
import pytest

from stepcredit.data.formats.who_and_when import rollouts
from stepcredit.data.reading import Reading
from stepcredit.data.records import reference_of
from stepcredit.data.rows import Rows
from stepcredit.errors import DataError

HISTORY = [{"role": "assistant", "name": "A", "content": "x"}, {"role": "user", "name": "Terminal", "content": "y"}]


def read(**changes):
    row = {"question": "q", "question_ID": "p", "history": HISTORY, "mistake_agent": "A", "mistake_step": "0"}
    return next(iter(rollouts(Rows.of([row | changes]))))


def test_every_message_is_a_step_of_its_speaker():
    one = read()
    assert [(s.agent, s.text, s.observation) for s in one.steps] == [("A", "x", None), ("Terminal", "y", None)]
    assert (one.group, one.task, one.outcome) == ("p", "q", None)
    assert [(b.by, b.step, b.agent, b.label) for b in one.blame] == [("people", 0, "A", -1)]


def test_a_published_log():
    (one,) = fixtures.read("who_and_when_generated.jsonl")
    assert (one.rollout, one.outcome, len(one.steps), reference_of(one)) == ("9", 0.0, 5, one.extra["ground_truth"])
    assert (one.blame[0].step, one.blame[0].agent) == (1, "GameTheory_Expert") and one.blame[0].reason


def test_speakers_of_the_hand_crafted_part_are_told_by_role():
    (one,) = fixtures.read("who_and_when_hand.json")
    assert [s.agent for s in one.steps] == ["human", "Orchestrator", "Orchestrator", "WebSurfer", "Orchestrator"]
    assert one.steps[2].extra == {"speaker": "Orchestrator (-> WebSurfer)"}
    assert (one.blame[0].agent, one.blame[0].step, reference_of(one)) == ("WebSurfer", 3, "4")
    assert (one.rollout, one.outcome) == ("who_and_when_hand", 0.0)


def test_the_history_may_be_a_literal():
    assert read(history=repr(HISTORY)) == read()
    with pytest.raises(DataError, match="literal"):
        read(history="__import__('os').getcwd()")


@pytest.mark.parametrize(("given", "step"), [("1", 1), (1, 1), (1.0, 1), ("1.0", 1), (" 0 ", 0)])
def test_the_step_is_a_number_or_its_text(given, step):
    assert read(mistake_step=given).blame[0].step == step


def test_a_log_without_a_verdict_has_no_blame():
    assert read(mistake_step=None).blame == []


@pytest.mark.parametrize(("given", "outcome"), [(True, 1.0), ("False", 0.0), ("true", 1.0), (None, None)])
def test_the_outcome_is_true_false_or_their_text(given, outcome):
    assert read(is_correct=given).outcome == outcome and read(is_corrected=given).outcome == outcome


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"mistake_step": "2"}, "number of a message"),
        ({"mistake_step": "-1"}, "number of a message"),
        ({"mistake_step": "²"}, "number of a message"),
        ({"mistake_step": True}, "number of a message"),
        ({"mistake_step": [0]}, "number of a message"),
        ({"history": {}}, "list of messages"),
        ({"history": [3]}, "message 0 of the history"),
        ({"history": [{"role": 3, "content": "x"}]}, "'role' must hold text"),
        ({"history": [{"role": "a", "content": 3}]}, "content"),
        ({"is_correct": "maybe"}, "finite number"),
        ({"question": 3}, "'question' must hold text"),
    ],
)
def test_what_is_wrong_is_said(changes, says):
    with pytest.raises(DataError, match=says) as error:
        read(**changes)
    assert error.value.row == 1


def test_real_logs(data):
    reading = Reading(data / "who_and_when" / "algorithm-generated.jsonl.gz")
    found = list(reading)
    assert (reading.format, len(found)) == ("who_and_when", 126)
    assert sum(r.steps[r.blame[0].step].agent != r.blame[0].agent for r in found) == 3
    assert [sum(r.blame[0].step == k for r in found) for k in (0, 1, 2)] == [20, 34, 11]
    assert all(r.outcome == 0.0 and reference_of(r) for r in found)
