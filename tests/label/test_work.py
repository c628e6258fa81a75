"""One solution's work: what is asked, what is counted, what failed."""

import numpy as np

from stepcredit.data.records import Rollout, Step
from stepcredit.label.work import Setting, Work
from stepcredit.llm.requests import Ask, Check, Continue, Failed, side_by_side
from stepcredit.protocols import Sample


def work(steps=("a", "b", "c"), outcome=1.0, siblings=(1.0, 0.0), setting=None, **fields):
    record = Rollout(group="p", rollout=0, task="Q", outcome=outcome, steps=[Step(text=s, **fields) for s in steps])
    return Work(record, "ref", siblings, setting or Setting())


def play(plan, *, right=lambda text: 1.0, fail=False):
    """The plan's result, and all that it asked; completions are "go on 0", "go on 1", ..."""
    asked, replies = [], None
    try:
        requests = next(plan)
        while True:
            asked += requests
            replies = [_reply(r, right, fail) for r in requests]
            requests = plan.send(replies)
    except StopIteration as end:
        return end.value, asked


def _reply(request, right, fail):
    if isinstance(request, Continue):
        return Failed("down") if fail else [Sample(f"go on {i}") for i in range(request.n)]
    return right(request.answer) if isinstance(request, Check) else "said"


def test_prefixes_hold_the_task_the_steps_and_what_was_observed():
    one = work(observation="seen")
    assert (one.prompt, one.prefix(-1), one.prefix(1)) == ("Q\n", "", "a\nseen\nb\nseen\n")


def test_a_probe_counts_what_is_right():
    one = work()
    shares, asked = play(one.probe([0, 1], 4), right=lambda text: float(text.startswith("a\nb") or text[-1] in "01"))
    assert shares.tolist() == [0.5, 1.0]
    assert one.won.tolist() == [0, 2, 4, 0] and one.drawn.tolist() == [0, 4, 4, 0]
    assert [type(r) for r in asked] == [Continue] * 2 + [Check] * 8
    assert asked[2].answer == "a\ngo on 0" and asked[2].reference == "ref"
    assert one.spent == {"sample": 8, "verify": 8}


def test_the_last_step_is_settled_by_the_outcome_and_not_asked():
    one = work(outcome=0.0)
    shares, asked = play(one.probe([2], 4))
    assert shares.tolist() == [0.0] and asked == []
    open_ = work(outcome=None)
    shares, asked = play(open_.probe([2], 4))
    assert shares.tolist() == [1.0] and len(asked) == 5


def test_a_second_probe_adds_other_draws():
    one = work()
    _, first = play(one.probe(0, 2))
    _, second = play(one.probe(0, 2))
    assert one.drawn[1] == 4 and first[0].draw != second[0].draw
    _, again = play(work().probe(0, 2))
    assert again[0] == first[0]


def test_solutions_that_begin_alike_ask_the_same():
    (_, a), (_, b) = play(work(("a", "b")).probe(0, 2)), play(work(("a", "c")).probe(0, 2))
    assert a[0] == b[0]
    (_, other) = play(work(("a", "b"), setting=Setting(seed=1)).probe(0, 2))
    assert other[0] != a[0]


def test_what_failed_or_cannot_be_told_is_left_out_of_the_count():
    one = work()
    shares, _ = play(one.probe([0], 4), fail=True)
    assert np.isnan(shares[0]) and one.spent == {"failed": 1}
    other = work()
    shares, _ = play(other.probe([0], 4), right=lambda text: Failed("?") if text[-1] == "0" else float(text[-1] == "1"))
    assert shares[0] == 1 / 3 and other.drawn[1] == 3 and other.spent["verify"] == 4


def test_the_verifier_may_read_the_completion_alone():
    _, asked = play(work(setting=Setting(whole=False)).probe(0, 1))
    assert asked[1].answer == "go on 0"


def test_ability_is_of_the_siblings_that_are_known():
    assert work(siblings=(1.0, 0.0, None, 1.0)).ability == 2 / 3
    assert work(siblings=(None,)).ability is None


def test_votes_on_one_question_are_told_apart():
    one = work()
    _, (first,) = play(one.ask(["?"]))
    _, (second,) = play(one.ask(["?"], draw=1))
    assert isinstance(first, Ask) and first.prompt == second.prompt and first.draw != second.draw
    assert one.spent == {"judge": 2}


def test_labels_hold_copies_of_the_counts():
    one = work()
    play(one.probe([0], 2))
    found = one.labels(value=one.shares())
    play(one.probe([0], 2))
    assert found.drawn.tolist() == [2, 0, 0] and found.spent["sample"] == 2
    assert np.isnan(found.label).all() and found.first_error is None


def test_plans_side_by_side_ask_together():
    works = [work(("a",) * n, outcome=None) for n in (1, 2, 3)]
    plan = side_by_side([w.probe(range(len(w.steps)), 1) for w in works])
    assert [r.prefix for r in next(plan)] == ["a\n" * k for n in (1, 2, 3) for k in range(1, n + 1)]
    plan.close()
    found, _ = play(side_by_side([w.probe(range(len(w.steps)), 1) for w in works]))
    assert [f.tolist() for f in found] == [[1.0], [1.0] * 2, [1.0] * 3]
