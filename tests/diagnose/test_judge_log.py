"""A run as judges read it: the limit holds, whatever the texts, and room is used. About 1 s."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from judges import Answers, case_of, judged, run_of

from stepcredit.data.records import Message, Rollout, Step
from stepcredit.diagnose import Case, Group
from stepcredit.diagnose._log import Log


def size(parts):
    return sum(len(text) for _, text in parts)


def log_of(steps, **options):
    run = Rollout(group=0, rollout=0, task="t", outcome=0.0, steps=steps)
    return Log(Case(Group([run]), 0), **options)


def step_of(text, *replies, **more):
    return Step(text=text, replies=[Message(role="tool", content=r) for r in replies], **more)


texts = st.integers(0, 3000).map(lambda n: ("abcdefghij" * (n // 10 + 1))[:n])
steps = st.lists(st.tuples(texts, st.lists(texts, max_size=30)), min_size=1, max_size=12)


@given(steps, st.integers(100, 4000), st.sampled_from([None, 100, 700]))
@settings(max_examples=200, deadline=None)
def test_the_limit_holds_in_every_way_of_showing_steps(given, limit, cut):
    log = log_of([step_of(text, *replies) for text, replies in given], limit=limit, cut=cut)
    last = len(given) - 1
    windows = log.windows()
    assert [a for a, _ in windows] == [0, *(b + 1 for _, b in windows[:-1])] and windows[-1][1] == last
    assert all(size(log.parts(a, b)) <= limit for a, b in windows)
    assert size(log.shrunk(0, last)) <= limit
    for t in range(len(given)):
        first, parts = log.recent(t)
        assert size(parts) <= limit and parts[0][0].startswith(f"step {first}")
        assert parts[-1][0] == f"step {t}" and parts[-1][1][:10] == log.parts(t, t)[0][1][:10]


def test_a_step_with_long_replies_shares_the_limit_among_them():
    log = log_of([step_of("x" * 400, *["y" * 1000] * 3)] * 3, limit=700)
    assert log.windows() == [(0, 0), (1, 1), (2, 2)]
    assert log.lengths == [size(log.parts(t, t)) for t in range(3)]
    assert all(690 < length <= 700 for length in log.lengths) and len(log.parts(0, 0)) == 4


def test_a_short_text_stays_whole_and_the_longest_makes_room():
    log = log_of([step_of("short", "z" * 90, "y" * 5000)], limit=400)
    (_, own), (_, short), (_, long) = log.parts(0, 0)
    assert own == "short" and short == "z" * 90 and len(long) <= 400 - 95 and "characters left out" in long
    assert size(log.parts(0, 0)) > 385 and long.startswith("y") and long.endswith("y")
    assert log.cuts == {"0": 5000 - long.count("y")}


def test_of_very_many_steps_rows_are_left_out_as_one_line_each():
    log = log_of([Step(text=f"hello world {i}") for i in range(2000)], limit=2000)
    parts = log.shrunk(0, 1999)
    told = [(name, text) for name, text in parts if "left out" in text]
    assert 1800 < size(parts) <= 2000 and len(told) == 2 and parts[0] == ("step 0", "hello world 0")
    assert parts[-1] == ("step 1999", "hello world 1999")
    shown = {int(text.split()[-1]) for _, text in parts if "left out" not in text}
    assert len(shown) > 50
    for name, text in told:
        first, last = (int(x.removeprefix("step ")) for x in name.split(" to "))
        assert f"[... {last - first + 1:,} texts left out ...]" == text and not shown & set(range(first, last + 1))
    assert sum(int(t.split()[1].replace(",", "")) for _, t in told) + len(shown) == 2000


def test_a_step_with_more_replies_than_there_is_room_for_is_shown_and_the_rest_is_counted():
    log = log_of([step_of("what it says", *["reply"] * 200)], limit=100)
    parts = log.parts(0, 0)
    assert parts[0][1] == "what it says" and size(parts) <= 100 and any("texts left out" in t for _, t in parts)
    assert log.cuts["0"] >= 5 * 150


def test_the_newest_step_s_replies_take_no_room_as_they_are_not_shown():
    log = log_of([Step(text="a" * 100)] * 3 + [step_of("b" * 100, "y" * 900)], limit=1000)
    first, parts = log.recent(3)
    assert first == 0 and size(parts) == 400 and "y" not in str([text for _, text in parts])
    long = log_of([Step(text="a" * 100), step_of("b" * 600, "y" * 900)], limit=700)
    assert long.recent(1) == (0, [("step 0", "a" * 100), ("step 1", "b" * 600)])


def test_steps_that_just_fit_are_shown_and_one_character_more_is_not():
    steps = [Step(text="a" * 100), Step(text="b" * 50), Step(text="c" * 50)]
    assert log_of(steps, limit=200).recent(2)[0] == 0
    assert log_of(steps, limit=199).recent(2)[0] == 1
    assert log_of(steps, limit=100).recent(2)[0] == 1
    assert log_of(steps).recent(2)[0] == 0 and log_of(steps, limit=100).recent(0)[0] == 0


def test_the_step_before_is_shrunk_to_the_room_that_is_left():
    steps = [Step(text="o" * 300), step_of("q" * 30, "z" * 5000), Step(text="c" * 50)]
    first, parts = log_of(steps, limit=1000).recent(2)
    assert first == 1 and parts[0] == ("step 1", "q" * 30) and 980 < size(parts) <= 1000
    assert parts[1][1].startswith("z") and parts[1][1].endswith("z") and "characters left out" in parts[1][1]
    bare = [Step(text="o" * 300), Step(text="z" * 5000), Step(text="c" * 50)]
    assert log_of(bare, limit=149).recent(2)[0] == 2 and log_of(bare, limit=150).recent(2)[0] == 1


def test_what_was_cut_of_an_observation_is_told():
    log = log_of([Step(text="a", action="b", observation="z" * 1000)], cut=100)
    assert log.cuts == {"0": 900} and log.parts(0, 0)[1][1].count("z") == 100
    verdict = judged("all_at_once", log.case, Answers("step: 0"), cut=100)
    assert verdict.evidence["cut"] == {"0": 900}


def test_a_text_that_is_cut_twice_says_once_how_much_is_gone():
    log = log_of([Step(text="q" * 5000 + "END")], cut=1000, limit=200)
    ((_, text),) = log.parts(0, 0)
    assert text.count("left out") == 1 and text.endswith("END") and len(text) == 200
    gone = int(text.partition("[... ")[2].split()[0].replace(",", ""))
    assert gone + text.count("q") + 3 == 5003


def test_a_beginning_that_is_shared_is_shown_with_what_came_back():
    first = Rollout(group=0, rollout=0, task="t", outcome=1.0, steps=[step_of("look", "a door", id="s0")])
    second = Rollout(group=0, rollout=1, task="t", outcome=0.0, prefix=["s0"], steps=[Step(text="so")])
    judge = Answers("step: 0")
    judged("all_at_once", Case(Group([first, second]), 1), judge)
    beginning = "step 1 of the beginning that it shares with another run"
    assert f"[[0 {beginning}]]\nlook\n\n[[0 reply to {beginning}]]\na door\n" in judge.asked[0]


@pytest.mark.parametrize("name", ["all_at_once", "binary_search", "cdc_mas", "step_by_step", "checklist"])
def test_no_prompt_shows_more_of_the_steps_than_the_limit_and_room_is_used(name):
    run = run_of(0)
    run.steps = [step_of("ж" * 300, *["щ" * 2000] * 4, agent="AB"[t % 2]) for t in range(12)]
    judge = Answers("step: no\nchance: 0.5")
    judged(name, case_of(run), judge, limit=1000)
    shown = [p.count("ж") + p.count("щ") for p in judge.asked if "newest step, step 0" not in p]
    assert len(shown) > 1 and 600 <= min(shown) <= max(shown) <= 1000
