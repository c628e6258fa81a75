"""Step-GUI: seven kinds of rows of what succeeded, six of what did not."""

import json

import numpy as np
import pytest
from judged_work import Says, rollout, told

from stepcredit.evidence._prompts import Unreadable
from stepcredit.label.systems.step_gui import ACTION, KNOWLEDGE, read_rows


def writes(prompts):
    return [json.dumps({kind: f"about {kind}" for kind in (*KNOWLEDGE, ACTION) if f'"{kind}"' in p}) for p in prompts]


def test_a_failure_gives_knowledge_and_no_action():
    """methods/step-gui, worked example: 4 * 7 + 3 * 6 = 46 rows, 4 of them actions."""
    won, lost = told("step_gui", rollout(*"abcd", outcome=1.0), rollout(*"abc", name=1, outcome=0.0), judge=writes)
    rows = [row for one in (won, lost) for row in one.facts["rows"]]
    assert sum(map(len, rows)) == 46 and sum(ACTION in row for row in rows) == 4
    assert won.label.tolist() == [1] * 4 and won.first_error == -1
    assert np.isnan(lost.label).all() and lost.first_error is None and set(lost.reasons) == {"of a rollout that failed"}


def test_a_verdict_that_is_not_known_counts_as_a_failure():
    (one,) = told("step_gui", rollout("a"), judge=writes)
    assert one.facts["kinds"] == list(KNOWLEDGE) and one.reasons == ("the outcome is not known",)


def test_the_judge_is_not_told_the_outcome_nor_what_comes_after():
    judge = Says("{}")
    told("step_gui", rollout("first", "second", outcome=0.0), judge=judge)
    assert "second" not in judge.asked[0] and not any("failed" in p for p in judge.asked)


def test_rows_that_fail_are_told_and_the_label_stands():
    (one,) = told("step_gui", rollout("a", "b", outcome=1.0), judge=Says("no"))
    assert one.facts["rows"] == [None, None] and one.label.tolist() == [1, 1]
    assert one.reasons == ("no rows: no JSON object",) * 2
    with pytest.raises(Unreadable, match="leaves kinds"):
        read_rows('{"state_summary": "x"}', KNOWLEDGE)


def test_the_verdict_alone_asks_nobody():
    judge = Says("{}")
    told("step_gui@verdict-alone", rollout("a", outcome=1.0), judge=judge)
    assert judge.asked == []
