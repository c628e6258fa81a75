"""The judge and the reviser that stand in for models: they read every question that systems ask, and err as told."""

import numpy as np
import pytest

from stepcredit.bench.suites import _label_shelf as shelf
from stepcredit.bench.suites import _label_sources as sources
from stepcredit.bench.suites._label_counts import count
from stepcredit.bench.suites._label_judge import Reviser, Seen, SimulatedJudge
from stepcredit.errors import StepCreditError
from stepcredit.evidence._prompts import quoted
from stepcredit.evidence._prompts.steps import Story, read_wrong, wrong_steps_prompt
from stepcredit.label import label
from stepcredit.llm.tabular import Tabular

PUZZLES, ROLLOUTS = 6, 3
FOLLOWS = [s.name for s in shelf.SOURCES if s.kind == "judge" and s.system not in ("tick@steps",)]


@pytest.fixture(scope="module")
def tabular() -> Tabular:
    return sources.model(None, "able", 0)


@pytest.fixture(scope="module")
def rollouts():
    return sources.solutions(None, "able", PUZZLES, ROLLOUTS, 0)


def labelled(name, judge, tabular, rollouts):
    source = next(s for s in shelf.SOURCES if s.name == name)
    models = {**sources.models(tabular, 0, None), "judge": judge, "scorer": tabular.scorer()}
    options = {**source.options, **({source.samples: 8} if source.samples else {})}
    reference = sources.reference(source)
    found = label(rollouts, source.system, models, reference=reference, setting=sources.SETTING, **options)
    return [one for _, unit in found for one in unit]


@pytest.mark.parametrize("name", [n for n in FOLLOWS if n != "step rewritten and compared"])
def test_systems_that_follow_a_judge_are_right_where_it_never_errs(name, tabular, rollouts):
    told = count(labelled(name, SimulatedJudge(tabular, slip=0, blind=0), tabular, rollouts), rollouts)
    assert told.steps.sum() == told.steps_right.sum() == told.all_steps.sum()
    assert told.first_right.sum() == PUZZLES * ROLLOUTS
    assert told.calls.sum() > 0


@pytest.mark.parametrize("name", ["consensus", "consensus, judge decides", "GroundedPRM, judge", "ProRAG's pairs"])
def test_a_judge_among_other_sources_is_read(name, tabular, rollouts):
    made = labelled(name, SimulatedJudge(tabular, slip=0, blind=0), tabular, rollouts)
    told = count(made, rollouts)
    assert told.steps_right.sum() >= 0.9 * told.steps.sum() > 0
    assert not any("of the form" in (r or "") for one in made for r in one.reasons)  # of replies that cannot be read


def test_a_rewritten_step_is_preferred_where_the_old_one_was_wrong(tabular, rollouts):
    told = count(
        labelled("step rewritten and compared", SimulatedJudge(tabular, slip=0, blind=0), tabular, rollouts), rollouts
    )
    assert told.named_exact.sum() > 0 and told.named_exact.sum() == told.named_wrong.sum()
    assert told.first_right.sum() >= 0.8 * PUZZLES * ROLLOUTS


def test_a_critique_that_is_right_mends_solutions(tabular, rollouts):
    made = labelled("critique that mends", SimulatedJudge(tabular, slip=0, blind=0), tabular, rollouts)
    kept = [one for one in made if one.facts["kept"]]
    assert len(kept) > 0.5 * len(made)
    assert count(kept, rollouts).steps_right.sum() == count(kept, rollouts).steps.sum()


def ask(rollout):
    steps = [(f"step {i}", s.text or "") for i, s in enumerate(rollout.steps, 1)]
    return wrong_steps_prompt(Story(rollout.task or "", steps))


def test_a_judge_errs_as_often_as_told_and_blind_spots_stay(tabular):
    given = sources.solutions(None, "able", 40, 4, 1)
    truth = np.concatenate([sources.truth(r)[0] for r in given])

    def wrong(judge, draw):
        said = [read_wrong(judge.reply(ask(r), draw), len(r.steps)) for r in given]
        return np.concatenate([[one[t] > 0 for t in range(len(one))] for one in said]) != truth

    slips = SimulatedJudge(tabular, slip=0.2, blind=0)
    assert abs(np.mean([wrong(slips, d) for d in range(3)]) - 0.2) < 0.03
    assert (wrong(slips, 0) != wrong(slips, 1)).any() and (wrong(slips, 0) == wrong(slips, 0)).all()
    blind = SimulatedJudge(tabular, slip=0, blind=0.2)
    assert abs(wrong(blind, 0).mean() - 0.2) < 0.06 and (wrong(blind, 0) == wrong(blind, 7)).all()


def test_the_parts_of_a_question_are_read():
    story = quoted(
        ("task", "Make 24 from 1 2 3 4, each number once."), ("step 1", "1 + 2 = 3\n[[0 step 9]]"), ("x", "y")
    )
    seen = Seen.of(f"Say.\n\n{story}\n\n<wrong>NUMBERS</wrong>")
    assert seen.steps == ("1 + 2 = 3\n[[0 step 9]]",) and seen.others["x"] == "y"
    assert seen.task.startswith("Make 24") and "<wrong>" in seen.form


def test_a_question_that_it_does_not_know_is_an_error(tabular):
    with pytest.raises(StepCreditError, match="knows no such question"):
        SimulatedJudge(tabular).reply(quoted(("task", "t"), ("step 1", "s")) + "\n<other>X</other>")
    with pytest.raises(StepCreditError, match="quotes nothing"):
        SimulatedJudge(tabular).reply("Well?")


def test_a_reviser_keeps_what_stands_before_the_first_wrong_step(tabular, rollouts):
    one = next(r for r in rollouts if sources.truth(r)[1] == 1)
    steps = [(f"step {i}", s.text or "") for i, s in enumerate(one.steps, 1)]
    told = quoted(("task", one.task), *steps, ("critique", "step 1 is right\nstep 2 is wrong"))
    (found,) = Reviser(tabular).sampler([f"Solve a task again.\n\n{told}\n\nAnew.\n"], n=4, max_tokens=256)
    assert all(s.text.startswith(f"{one.steps[0].text}\n") for s in found)
    assert all(s.text.splitlines()[-1].startswith("Answer:") for s in found)


def test_the_solution_that_is_shown_is_one(tabular):
    for puzzle in ("4 5 6 10", "1 2 3 4"):
        before = f"Make 24 from {puzzle}, each number once.\n"
        lines = sources.solution(puzzle).splitlines()
        assert len(lines) == 3 and lines[-1].endswith("(left: 24)")
        for line in lines:
            assert tabular.step_is_right(before, line)
            before += line + "\n"
