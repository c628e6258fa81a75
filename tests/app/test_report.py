import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepcredit import credit
from stepcredit.app.report import report, write_report
from stepcredit.app.report.payload import as_json, choose, cut, labels, number, payload, plain, scale
from stepcredit.credit import Credit
from stepcredit.data.batch import Batch
from stepcredit.data.layout import Layout
from stepcredit.data.records import Rollout, Step, Tokens, ToolCall
from stepcredit.errors import DataError, LayoutError, StepCreditError


def rollout(group, name, outcome, *states):
    return Rollout(group=group, rollout=name, outcome=outcome, steps=[Step(text=f"in {s}", state=s) for s in states])


def small():
    """Two tasks whose rollouts interleave."""
    return Batch.from_records(
        [rollout("p", 0, 1.0, "a", "b"), rollout("q", 0, 0.0, "a"), rollout("p", 1, 0.0, "a", None, "c")]
    )


def values(batch, numbers, method="mine", **more):
    return Credit(method, {}, np.array(numbers, float), batch, **more)


def texts_of(data, texts, column):
    return [None if i < 0 else texts[i] for i in data["steps"][column]]


def test_rollouts_stand_by_task_and_every_column_follows_them():
    batch = small()
    data, texts = payload(batch, [values(batch, [1, 2, 3, 4, 5, 6])])
    assert data["groups"]["name"] == ["p", "q"]
    assert data["groups"]["start"] == [0, 2, 3]
    assert data["rollouts"] == {"name": ["0", "1", "0"], "outcome": [1, 0, 0], "start": [0, 2, 5, 6], "more": {}}
    assert data["methods"][0]["credit"] == [1, 2, 4, 5, 6, 3]
    assert texts_of(data, texts, "text") == ["in a", "in b", "in a", "in None", "in c", "in a"]


def test_a_missing_state_is_no_state_and_equal_states_have_one_id():
    data, texts = payload(small(), [])
    ids = data["steps"]["state"]
    assert ids[0] == ids[2] == ids[5] and ids[3] == -1
    assert [texts[data["steps"]["states"][i]] for i in ids if i >= 0] == ["a", "b", "a", "c", "a"]


def test_equal_texts_are_held_once():
    _, texts = payload(small(), [])
    assert len(texts) == len(set(texts))


def test_not_judged_is_null_and_never_zero():
    batch = small()
    method = payload(batch, [values(batch, [0, np.nan, 1, -2, np.inf, np.nan])])[0]["methods"][0]
    assert method["credit"] == [0, None, -2, "Infinity", None, 1]
    assert (method["judged"], method["zero"]) == (4, 1)


def test_a_method_per_token_shows_the_mean_of_a_step_and_of_its_extras():
    steps = [Step(tokens=Tokens(n=2)), Step(tokens=Tokens(n=1)), Step(tokens=Tokens(n=0))]
    batch = Batch.from_records([Rollout(group=0, rollout=0, outcome=1.0, steps=steps)])
    data, _ = payload(batch, [values(batch, [1, 3, 5], per="token", extras={"sd": np.array([0.0, 1.0, 2.0])})])
    assert data["methods"][0]["credit"] == [2, 5, None]
    assert data["methods"][0]["extras"] == {"sd": [0.5, 2, None]}
    assert data["steps"]["tokens"] == [2, 1, 0]


def test_credit_of_another_batch_is_refused():
    batch = small()
    with pytest.raises(LayoutError, match="'mine' has 2 steps, the batch 6"):
        payload(batch, [values(Batch(Layout(np.array([0]), np.array([0, 0])), {}), [1, 2])])


def test_evidence_rewards_and_tool_calls_reach_the_step():
    step = Step(
        text="t", tool_calls=[ToolCall(name="f", arguments={"x": "é"}), ToolCall(name="g", arguments="raw")],
        observation="seen", agent="A", action="act", reward=0.5, match=True,
        evidence={"value": None, "votes": [1.0, 0.0]},
    )  # fmt: skip
    batch = Batch.from_records([Rollout(group=0, rollout=0, rewards={"format": 1.0}, weight=2.0, steps=[step])])
    data, texts = payload(batch, [])
    assert [texts[i] for i in data["steps"]["tools"][0]] == ["f", '{"x": "é"}', "g", "raw"]
    assert data["steps"]["evidence"] == {"value": [None], "votes": [[1, 0]], "match": [1]}
    assert data["steps"]["reward"] == [0.5]
    assert data["rollouts"]["more"] == {"weight": [2], "reward.format": [1]}
    assert data["rollouts"]["outcome"] == [None]
    found = {name: texts_of(data, texts, name)[0] for name in ("observation", "agent", "action")}
    assert found == {"observation": "seen", "agent": "A", "action": "act"}


def test_bare_arrays_need_no_records():
    batch = Batch(Layout(np.array([0, 0]), np.array([0, 0, 1])), {"state": np.array([7, 8, 7])})
    data, texts = payload(batch, [values(batch, [1, 2, 3])])
    assert data["steps"]["state"] == [0, 1, 0]
    assert data["steps"]["text"] == [-1, -1, -1] and texts == ["id 7", "id 8"]


def test_shared_steps_are_held_once_and_walked_by_each_rollout():
    first = Rollout(group=0, rollout="a", outcome=1.0, steps=[Step(id="root", text="r"), Step(text="x")])
    second = Rollout(group=0, rollout="b", outcome=0.0, prefix=["root"], steps=[Step(text="y")])
    batch = Batch.from_records([first, second])
    data, texts = payload(batch, [values(batch, [1, 2, 3])])
    assert data["path"] == [0, 1, 0, 2]
    assert data["rollouts"]["start"] == [0, 2, 4]
    assert texts_of(data, texts, "text") == ["r", "x", "y"]


@pytest.mark.parametrize(
    ("limit", "rollouts", "steps"),
    [(6, [0, 2, 1], [0, 1, 3, 4, 5, 2]), (5, [0, 2], [0, 1, 3, 4, 5]), (4, [0], [0, 1]), (1, [0], [0, 1])],
)
def test_the_limit_keeps_whole_tasks_and_of_a_first_too_large_one_whole_rollouts(limit, rollouts, steps):
    shown = choose(small().layout, limit)
    assert shown.rollouts.tolist() == rollouts and shown.steps.tolist() == steps


def test_what_is_left_out_is_said_and_counted():
    data, _ = payload(small(), [], limit=5)
    assert data["left_out"].startswith("This page holds 1 of 2 tasks, 2 of 3 rollouts, 5 of 6 steps;")
    assert ("Steps", "6", "") in data["figures"]
    assert payload(small(), [])[0]["left_out"] is None
    with pytest.raises(StepCreditError, match="1 or more"):
        payload(small(), [], limit=0)


@pytest.mark.parametrize(
    ("outcomes", "figure"),
    [
        ([1.0, 0.0], ("Success", "50%", "1 of 2")),
        ([1.0, -1.0, None], ("Success", "50%", "1 of 2")),
        ([0.25, 1.0], ("Mean outcome", "0.625", "0.25 to 1")),
        ([None, None], ("Outcome unknown", "2", "")),
    ],
)
def test_figures_say_how_rollouts_ended(outcomes, figure):
    batch = Batch.from_records([rollout("p", i, o, "a") for i, o in enumerate(outcomes)])
    assert figure in payload(batch, [])[0]["figures"]


def test_the_figures_say_how_many_steps_share_a_state():
    assert ("Shared states", "33.3%", "of steps") in payload(small(), [])[0]["figures"]


def test_one_outlier_does_not_wash_out_the_colors():
    assert scale(np.array([np.nan, 0, 1, -2])) == (2.0, 0)
    end, beyond = scale(np.append(np.linspace(-1, 1, 200), 100.0))
    assert 0.9 < end < 1.1 and 1 <= beyond < 9
    assert scale(np.zeros(3)) == (0.0, 0)
    assert scale(np.array([np.nan])) == (0.0, 0)


def test_a_method_that_occurs_twice_is_named_by_its_options():
    batch = small()
    twice = [Credit("m", {"gamma": g}, np.zeros(6), batch) for g in (0.9, 1.0)]
    assert labels([*twice, values(batch, np.zeros(6))]) == ["m (gamma=0.9)", "m (gamma=1.0)", "mine"]


def test_notes_of_batch_and_credits_are_told_once():
    batch = small().with_note("cut anew")
    given = [credit.assign(batch, m) for m in ("gigpo", "gigpo@verl-agent")]
    assert payload(batch, given)[0]["notes"] == ["cut anew", "reward: the outcome on each rollout's last step"]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_keep_four_digits_and_their_sign(x):
    short = number(x)
    assert short == pytest.approx(x, rel=5e-4)
    assert (short > 0, short < 0) == (x > 0, x < 0)


def test_long_texts_are_cut_and_say_so():
    assert cut("abc", 3) == "abc"
    _, texts = payload(Batch.from_records([Rollout(group=0, rollout=0, steps=[Step(text="x" * 1_000_000)])]), [])
    assert len(texts[0]) < 10_100 and texts[0].endswith("… 990,000 more characters")


def test_rows_of_tables_become_plain_json():
    row = {"n": np.float64(np.nan), "a": np.array([1, 2]), 3: (0.123456, True), "o": Path("x"), "t": "y" * 20_000}
    shown = plain(row)
    assert json.loads(as_json(shown)) == shown
    assert (shown["n"], shown["a"], shown["3"], shown["o"]) == (None, [1, 2], [0.1235, True], "x")
    assert len(shown["t"]) < 11_000


@given(st.text(st.characters(categories=None), max_size=30))
def test_embedded_json_reads_back_and_holds_nothing_that_html_or_a_file_minds(t):
    text = as_json([t])
    assert json.loads(text) == [t]
    assert not re.search("[<>&\u2028\u2029]", text)
    text.encode("utf-8")


def embedded(page, name):
    return json.loads(re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', page, re.S)[1])


def test_the_page_holds_its_data_whatever_the_texts_say():
    nasty = "</script><script>x</script> {{script}} {{data}} <!-- \ud800 \0"
    batch = Batch.from_records([Rollout(group=nasty, rollout=nasty, task=nasty * 9, steps=[Step(text=nasty)])])
    page = report(batch, [values(batch, [1], method=nasty)], title=nasty, source=nasty)
    page.encode("utf-8")
    assert page.count("<script") == page.count("</script>") == 3
    assert embedded(page, "texts") == [nasty * 9, nasty]
    assert embedded(page, "data")["methods"][0]["name"] == nasty


def test_the_page_is_the_same_each_time_and_names_no_other_place():
    batch = small()
    page = report(batch, [credit.assign(batch, "gigpo")])
    assert page == report(batch, [credit.assign(batch, "gigpo")])
    assert "{{" not in page and "default-src 'none'" in page
    assert not re.findall(r"https?://|@import|url\(", page)


def test_no_rollouts_make_a_page():
    batch = Batch.from_records([])
    assert embedded(report(batch, [values(batch, [])]), "data")["rollouts"]["start"] == [0]


def test_the_file_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "page.html"
    assert write_report(str(path), small(), [], title="first") == path
    before = path.read_text("utf-8")
    assert before == report(small(), [], title="first")

    def fails(*_):
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fails)
    with pytest.raises(DataError, match="disk full"):
        write_report(path, small(), [], title="second")
    assert list(tmp_path.iterdir()) == [path] and path.read_text("utf-8") == before
