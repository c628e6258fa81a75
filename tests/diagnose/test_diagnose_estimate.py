"""What a diagnosis will cost: nobody is asked, and a run costs no less and no more than was said."""

import pytest
from judges import Answers, case_of, judged, run_of
from test_judges import JUDGES, any_judge, current

from stepcredit.data.records import Rollout, Step
from stepcredit.diagnose import METHODS, diagnose
from stepcredit.diagnose.estimate import MOST, estimate, filled
from stepcredit.diagnose.replay import plan_cost
from stepcredit.errors import UnknownName


def runs(count, steps=5, outcome=0.0):
    return [
        Rollout(
            group=f"g{i}",
            rollout=f"r{i}",
            outcome=outcome,
            task="add 2 and 2",
            steps=[Step(text=f"run {i} step {t}", agent="AB"[t % 2]) for t in range(steps)],
            extra={"gold": "4"},
        )
        for i in range(count)
    ]


class Judge:
    """Always gives the same answer, and counts."""

    def __init__(self, answer):
        self.answer, self.calls, self.characters = answer, 0, 0

    def __call__(self, prompts):
        self.calls += len(prompts)
        self.characters += sum(map(len, prompts))
        return [f"<verdict0>\nstep: {self.answer}\nagent: A\n</verdict0>" for _ in prompts]


@pytest.mark.parametrize("method", ["all_at_once", "a2p", "step_by_step", "binary_search", "hybrid"])
@pytest.mark.parametrize("answer", ["0", "none", "yes", "no", "upper", "lower", "nonsense"])
def test_a_diagnosis_costs_what_was_said(method, answer):
    given, judge = runs(3), Judge(answer)
    told = estimate(given, [method])
    list(diagnose(given, [method], {"judge": judge}))
    assert told.runs == 3
    assert told.least["calls"] <= judge.calls <= told.most["calls"]
    assert told.least["tokens read"] <= judge.characters / 4 + judge.calls
    assert judge.characters / 4 <= told.most["tokens read"]


class Late:
    """A judge whose first replies to a question cannot be read. Counts."""

    def __init__(self, says, late):
        self.answers, self.late, self.tries = Answers(says), late, {}
        self.calls = self.characters = 0

    async def each(self, request):
        self.calls += 1
        self.characters += len(request.prompt)
        self.tries[request.prompt] = self.tries.get(request.prompt, 0) + 1
        known = self.tries[request.prompt] > self.late
        return self.answers([request.prompt])[0] if known else "whatever"


def finds_none(prompt):
    """Reads every question; blames the agent of step 4, and none of its steps."""
    if "Write a rubric" in prompt or "each of the criteria" in prompt:
        return any_judge(prompt.replace("newest step, step 4", "newest step, step 0"))
    if "newest step" in prompt:
        return "step: no"
    if "Label every step" in prompt:
        return '{"labels": {"0": 1}}'
    return (
        "chance: 0.3" if "Suppose that" in prompt else "step: lower" if "which half" in prompt else "step: 4\nagent: A"
    )


def unequal(n=10, agents=("A",)):
    return run_of(n, agents=agents, texts={i: f"{i} " * (40 if i == 6 else 3) for i in range(n)})


ASKING = (*JUDGES, "cdc_mas")


@pytest.mark.parametrize("method", ASKING)
@pytest.mark.parametrize(
    "options", [{}, {"retries": 0}, {"retries": 3}, {"votes": 3}, {"limit": 150}, {"votes": 2, "seed": 7}]
)
def test_no_judge_makes_a_diagnosis_cost_more_than_was_said(method, options):
    if method == "cdc_mas":
        options = {k: v for k, v in options.items() if k != "votes"}
    given = [unequal(), unequal(7, ("A", "B", "C"))]
    for i, run in enumerate(given):
        run.group = run.rollout = str(i)
    told = estimate(given, [method], options={method: options})
    by_plan = sum(plan_cost(case_of(run), method, options)["questions"] for run in given)
    assert told.most["calls"] == told.most["calls to the judge"] == by_plan
    for says in (finds_none, any_judge, "step: none\nchance: 0"):
        for late in range(options.get("retries", 1) + 1):
            judge = Late(says, late * options.get("votes", 1))
            list(diagnose(given, [method], {"judge": judge}, options={method: options}))
            assert told.least["calls"] <= judge.calls <= told.most["calls"]
            assert told.least["tokens read"] <= judge.characters / 4 + judge.calls
            assert judge.characters / 4 <= told.most["tokens read"]


@pytest.mark.parametrize(
    ("method", "most"), [("step_by_step", 20), ("hybrid", 22), ("cdc_mas", 22), ("binary_search", 8), ("rubric", 22)]
)
def test_a_first_reply_that_cannot_be_read_is_counted_in(method, most):
    assert estimate([unequal()], [method]).most["calls"] == most
    if method != "binary_search":  # whose every half would have to be the longer one
        judge = Late(finds_none, 1)
        list(diagnose([unequal()], [method], {"judge": judge}))
        assert judge.calls == most


@pytest.mark.parametrize("method", [n for n in METHODS.names(presets=True) if n.partition("@")[0] in ASKING])
@pytest.mark.parametrize("answer", ["yes", "no", "some"])
def test_a_stand_in_fills_in_every_form_that_a_method_reads(method, answer):
    judge = Answers(lambda prompt: (filled(prompt, answer),))
    verdict = judged(method, case_of(run_of(6, truth=None)), judge, retries=0)
    nobody = method.startswith("cdc_mas") and answer == "no"  # putting nobody right helps
    assert verdict.status != "unknown" or nobody, verdict.reason
    if nobody:
        assert "putting no agent right" in verdict.reason
    if answer == "yes":
        assert verdict.status == "found"


def test_a_stand_in_that_finds_none_of_the_steps_goes_through_all_of_an_agent():
    judge = Answers(lambda prompt: (filled(prompt, "some"),))
    verdict = judged("hybrid", case_of(run_of(9)), judge, retries=0)
    assert verdict.status == "clean" and [current(p) for p in judge.asked[1:]] == [0, 3, 6]
    windows = Answers(lambda prompt: (filled(prompt, "yes"),))
    judged("all_at_once", case_of(run_of(9)), windows, retries=0, limit=100)
    assert "Shown are steps 6 to" in windows.asked[1] and "step: 6\n" in filled(windows.asked[1], "yes")


def test_a_method_of_yours_without_a_cost_is_measured(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from dataclasses import replace\n"
        "from stepcredit.diagnose.methods.all_at_once import CARD\n"
        "from stepcredit.llm.requests import Ask\n"
        "def mine(case, *, n=3):\n"
        "    for i in range(n):\n"
        "        (reply,) = yield [Ask('which? ' * 4, i)]\n"
        "    return case.unknown('no')\n"
    )
    told = estimate([unequal()], [str(tmp_path / "mine.py")])
    assert told.least["calls"] == told.most["calls"] == 3 and told.most["tokens read"] == 3 * 7


def test_a_method_of_yours_that_asks_as_ours_do_is_measured_with_replies_that_come_late(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from stepcredit.diagnose.methods.step_by_step import CARD, step_by_step\n"
        "def mine(case, *, retries=1, votes=1, seed=0):\n"
        "    return (yield from step_by_step(case, retries=retries, votes=votes, seed=seed))\n"
    )
    method = str(tmp_path / "mine.py")
    for options, most in (({}, 20), ({"retries": 3}, 40), ({"votes": 2, "seed": 5}, 40)):
        assert estimate([unequal()], [method], options={"mine": options, method: options}).most["calls"] == most


def test_equal_questions_of_several_methods_are_paid_once():
    assert estimate([unequal()], ["all_at_once", "hybrid"]).least["calls"] == 1


@pytest.mark.parametrize("method", ["decisive_search", "counterfactual_replay"])
def test_replay_costs_at_most_what_it_says_itself(method):
    run = run_of(9, agents=None)
    told, most = estimate([run], [method]).most, plan_cost(case_of(run), method)
    assert told["samples"] == most["samples"] and told["checks"] == most["checks"] and told["calls to the sampler"] > 1
    assert told["tokens written, at most"] == most["tokens"]


def test_runs_count_that_failed_by_the_threshold_given():
    given = [run_of(3, outcome=30.0), run_of(3, outcome=90.0)]
    assert estimate(given, ["all_at_once"]).runs == 0
    told = estimate(given, ["all_at_once"], success=50.0)
    assert (told.runs, told.least["calls"], told.most["calls"]) == (1, 1, 2)


def test_methods_that_ask_nobody_cost_nothing():
    told = estimate(runs(3), ["contrast", "combined"])
    assert (told.runs, told.least, told.most) == (3, {}, {})


def test_runs_that_succeeded_cost_nothing():
    told = estimate([*runs(2), *runs(5, outcome=1.0)], ["all_at_once"])
    assert told.runs == 2 and told.least["calls"] == 2
    assert estimate(runs(5, outcome=1.0), ["all_at_once"]).most == {}
    assert estimate([], ["all_at_once"]).runs == 0


def test_options_and_several_methods_add_up():
    one = estimate(runs(2), ["all_at_once"]).least["calls"]
    assert estimate(runs(2), ["all_at_once"], options={"all_at_once": {"votes": 5}}).least["calls"] == 5 * one
    both = estimate(runs(2), ["all_at_once", "a2p"]).least["calls"]
    assert both == 2 * one


def test_of_many_runs_a_part_stands_for_all():
    told = estimate(runs(3 * MOST), ["all_at_once"])
    assert told.runs == 3 * MOST and told.least["calls"] == pytest.approx(3 * MOST)
    assert any(f"{MOST:,} of {3 * MOST:,} runs" in text for text in told.assumptions)


def test_replay_is_counted_by_its_samples_and_checks():
    told = estimate(runs(1, steps=4), ["counterfactual_replay"], options={"counterfactual_replay": {"n": 3}})
    assert told.most["samples"] == 3 * 4 and told.most["checks"] == 3 * 4


def test_names_are_checked():
    with pytest.raises(UnknownName):
        estimate(runs(1), ["contras"])
