"""A tabular policy as a language model: its text, its probabilities, its truth."""

import asyncio
import itertools
import math

import numpy as np
import pytest

from stepcredit.envs import game24
from stepcredit.envs.game24 import Policy
from stepcredit.errors import StepCreditError
from stepcredit.llm._lines import Lines, pieces
from stepcredit.llm.drive import collect
from stepcredit.llm.requests import Ask, Check, Continue, Force
from stepcredit.llm.tabular import Tabular, fitted

POLICY = Policy(skill=4.0, slip=0.1, stop=0.05)
TASK = "Make 24 from 4 5 6 10, each number once.\n"
FIRST = "10 - 4 = 6 (left: 5 6 6)\n"


@pytest.fixture(scope="module")
def model():
    return Tabular(POLICY)


def within(hits, n, chance):
    """Four standard errors."""
    assert abs(hits / n - chance) <= 4 * math.sqrt(chance * (1 - chance) / n) + 1e-12, (hits / n, chance)


def test_the_log_probabilities_of_a_line_sum_to_that_of_its_action(model):
    chances = dict(zip(*_choices("4 5 6 10"), strict=True))
    for sample in model.sampler([TASK], n=200, stop=["\n"])[0]:
        action = "stop" if sample.text.startswith("Answer") else sample.text.partition(" (left")[0]
        assert sample.logp.sum() == pytest.approx(math.log(chances[action]))
        assert "".join(sample.tokens) == sample.text and sample.finished and sample.ended is False
        assert len(sample.tokens) == len(sample.logp) == len(sample.entropy) == len(sample.top_logp)


def _choices(state):
    found = game24.evaluate(state, POLICY)
    return found.actions, found.probability.tolist()


def test_lines_come_as_often_as_the_policy_says(model):
    n = 20_000
    texts = [s.text.partition(" (left")[0] for s in model.sampler([TASK], n=n, stop=["\n"], seed=5)[0]]
    for action, chance in zip(*_choices("4 5 6 10"), strict=True):
        within(texts.count("Answer: no solution" if action == "stop" else action), n, chance)


@pytest.mark.parametrize("written", ["", FIRST, "1", "10 - 4 = ", FIRST + "6 * 5", "10 - 4 = 7 (left: 5 6 7)\n"])
def test_answers_are_right_as_often_as_the_value_says(model, written):
    n = 3000
    samples = model.sampler([TASK + written], n=n, seed=1)[0]
    assert all(s.finished and s.ended for s in samples)
    within(sum(model.solved(written + s.text, TASK) for s in samples), n, model.value(TASK + written))


def test_the_value_is_that_of_the_policy_and_is_one_or_zero_after_an_answer(model):
    assert model.value(TASK) == game24.evaluate("4 5 6 10", POLICY).value
    assert model.value(TASK + FIRST) == game24.evaluate("5 6 6", POLICY).value
    for sample in model.sampler([TASK], n=100)[0]:
        assert model.value(TASK + sample.text) == model.solved(sample.text, "4 5 6 10")
    assert model.value(TASK + "Answer: (10 - 4) * 5 - 6 = 24") == 1
    assert math.isnan(model.value("Write a poem."))


def test_the_value_is_the_mean_over_what_may_come_next(model):
    """In the middle of a line too: the law of total probability at every cut."""
    lines = model._paths.next(*model._paths.place(TASK))
    for beginning in ("", "1", "10 - 4", "10 - 4 = 6 (left: 5 6 6)"):
        low, high = lines.span(beginning)
        after = [model.value(TASK + text) for text in lines.texts[low:high]]
        p = lines.p[low:high] / lines.p[low:high].sum()
        assert model.value(TASK + beginning) == pytest.approx(p @ after)


def test_rollouts_of_the_world_have_the_log_probability_that_the_policy_gives_them(model):
    puzzles = game24.puzzles()[::200]
    for rollout in game24.sample(puzzles, 20, POLICY, seed=3):
        text = "".join(step.text + "\n" for step in rollout.steps)
        lost, expected = "", 0.0
        for step in rollout.steps:
            found = game24.evaluate(step.state, POLICY)
            expected += math.log(found.probability[found.actions.index(step.action)])
            lost = lost or step.state.endswith("!")
        prompt = f"Make 24 from {rollout.puzzle}, each number once.\n"
        (logp,) = model.forcer([prompt], [text])
        assert logp.sum() == pytest.approx(expected)
        assert len(logp) == len(pieces(text))
        places = [prompt + "".join(s.text + "\n" for s in rollout.steps[:t]) for t in range(len(rollout.steps))]
        assert [model.value(p) for p in places] == [step.value for step in rollout.steps]
        assert [model.alive(p) for p in places] == [step.alive_before for step in rollout.steps]
        right = [model.step_is_right(p, step.text) for p, step in zip(places, rollout.steps, strict=True)]
        assert right == [step.alive_after for step in rollout.steps]


def test_a_text_cut_anywhere_has_the_same_probability(model):
    text = FIRST + "6 * 5 = 30 (left: 6 30)\n30 - 6 = 24 (left: 24)\nAnswer: (6 * 5) - (10 - 4) = 24\n"
    whole = model.forcer([TASK], [text])[0].sum()
    assert -20 < whole < 0
    for cut in range(len(text)):
        parts = model.forcer([TASK, TASK + text[:cut]], [text[:cut], text[cut:]])
        assert sum(p.sum() for p in parts) == pytest.approx(whole), text[:cut]


def test_samples_are_forced_to_their_own_log_probabilities(model):
    for prompt in (TASK, TASK + "10 - ", TASK + FIRST + "6"):
        for sample in model.sampler([prompt], n=50)[0]:
            np.testing.assert_allclose(model.forcer([prompt], [sample.text])[0], sample.logp, atol=1e-9)


def test_what_is_never_written_has_no_probability_and_the_rest_goes_on(model):
    (logp,) = model.forcer([TASK], ["Hello\n" + FIRST])
    assert logp[0] == -np.inf and logp[-len(pieces(FIRST)) :].sum() == pytest.approx(
        model.forcer([TASK], [FIRST])[0].sum()
    )
    assert model.forcer([TASK + "Answer: no solution\n"], ["more"])[0].tolist() == [-np.inf]


def test_top_tokens_and_entropy_are_those_of_the_next_token(model):
    (sample,) = model.sampler([TASK + "1"], stop=["\n"], seed=0)[0]
    first = [math.exp(model.forcer([TASK + "1"], [t])[0].sum()) for t in sample.top_tokens[0]]
    np.testing.assert_allclose(np.exp(sample.top_logp[0]), first)
    lines = model._paths.next(*model._paths.place(TASK + "1"))
    chance = {}
    for text, p in zip(lines.texts, lines.p.tolist(), strict=True):
        token = pieces(text)[0]
        chance[token] = chance.get(token, 0) + p
    p = np.array(list(chance.values()))
    assert sample.entropy[0] == pytest.approx(-(p * np.log(p)).sum())
    assert len(Tabular(POLICY, top=0).sampler([TASK])[0][0].top_logp) == 0


def test_no_token_begins_another_that_could_stand_in_its_place(model):
    for written in ("", FIRST, "1", "10 "):
        lines = model._paths.next(*model._paths.place(TASK + written))
        first = {pieces(text)[0] for text in lines.texts}
        assert not [(a, b) for a, b in itertools.permutations(first, 2) if b.startswith(a)]


def test_tokens_are_drawn_at_a_temperature():
    lines = Lines(["a b\n", "a c\n", "b b\n"], np.array([0.5, 0.1, 0.4]), 0)
    np.testing.assert_allclose(lines.tempered(1.0), [0.5, 0.1, 0.4])
    first = np.array([0.6, 0.4]) ** 2 / (0.6**2 + 0.4**2)
    second = np.array([0.5, 0.1]) ** 2 / (0.5**2 + 0.1**2)
    np.testing.assert_allclose(lines.tempered(0.5), [*(first[0] * second), first[1]])
    np.testing.assert_allclose(lines.tempered(0), [1, 0, 0])
    assert lines.written(1).logp.sum() == pytest.approx(math.log(0.1))


def test_without_temperature_the_likeliest_token_is_taken_each_time(model):
    a, b = model.sampler([TASK], n=2, temperature=0)[0]
    assert a.text == b.text and a.ended
    assert all(value == top[0] for value, top in zip(a.logp, a.top_logp, strict=True))


def test_stop_strings_and_limits(model):
    whole = model.sampler([TASK], seed=3)[0][0]
    assert whole.ended and whole.written == len(whole.tokens) and whole.read == len(pieces(TASK))
    for limit in range(len(whole.tokens) + 1):
        sample = model.sampler([TASK], n=1, max_tokens=limit, seed=3)[0][0]
        assert len(sample.tokens) == sample.written <= limit
        assert (sample.finished, sample.ended) == (sample.text.endswith("\n") and "Answer" in sample.text,) * 2
    stopped = model.sampler([TASK], n=20, stop=["(", "no"], seed=3)[0]
    assert all(not {"(", "no"} & set(s.text) and s.finished and s.ended is False for s in stopped)
    assert all(s.written > len(s.tokens) for s in stopped)


def test_a_sample_depends_on_its_request_alone(model):
    other = Tabular(POLICY)
    alone = model.sampler([TASK], n=3, seed=7)[0]
    among = other.sampler(["What?", TASK + FIRST, TASK], n=5, seed=7)[2]
    assert [s.text for s in alone] == [s.text for s in among[:3]]
    texts = {Tabular(POLICY, seed).sampler([TASK], n=5, seed=7)[0][i].text for seed in range(5) for i in range(5)}
    assert len(texts) > 5


def test_what_is_forgotten_is_found_again(monkeypatch):
    prompts = [f"Make 24 from {p}, each number once.\n" for p in game24.puzzles()[:10]]
    known = [s.text for n in Tabular(POLICY).sampler(prompts, n=5, seed=1) for s in n]
    monkeypatch.setattr("stepcredit.llm._game24_paths._KEPT", 40)
    model = Tabular(POLICY)
    assert known == [s.text for n in model.sampler(prompts, n=5, seed=1) for s in n]
    assert model._paths._size <= 40


def test_the_same_asked_again_is_drawn_anew_and_runs_repeat():
    one, two = Tabular(POLICY), Tabular(POLICY)
    texts = [s[0].text for s in one.sampler([TASK] * 20)] + [one.sampler([TASK])[0][0].text for _ in range(20)]
    assert len(set(texts)) > 10
    assert texts == [two.sampler([TASK])[0][0].text for _ in range(40)]


def test_lines_of_others_are_followed(model):
    lost = "10 - 4 = 7 (left: 5 6 7)\n"
    assert model.value(TASK + "4 * 5 = 20\n") == model.value(TASK + "5 * 4 = 20 (left: 6 10 20)\n") > 0
    assert model.value(TASK + "(10 - 4) * 5 = 30\n") == game24.evaluate("6 30", POLICY).value
    assert model.value(TASK + "First, let me think.\n" + FIRST) == model.value(TASK + FIRST)
    for wrong in (lost, "10 - 3 = 7\n", "10 - 4 = 6 (left: 5 6)\n", "8 * 3 = 24 (left: 24)\n"):
        assert model.value(TASK + wrong) == 0 and not model.alive(TASK + wrong)
        for sample in model.sampler([TASK + wrong], n=30)[0]:
            assert sample.ended and not model.solved(wrong + sample.text, TASK)
    assert {s.text[-20:] for s in model.sampler([TASK + lost], n=300)[0]} - {"Answer: no solution\n"}
    once = model.sampler([TASK + lost], n=1, stop=["("], seed=0)[0][0].text
    assert {int(n) for n in once.split(" = ")[0].split() if n.isdigit()} <= {5, 6, 7}


def foreign(rng, left):
    """A line of somebody else: right, wrong, of several operations, prose, an answer."""
    number = rng.choice([*map(str, left), "24", "3.33", "1/3"], 6).tolist()
    sign, other = rng.choice(list("+-*/"), 2).tolist()
    first = f"{number[0]} {sign} {number[1]}"
    legal = game24.actions(left)
    right = legal[rng.integers(len(legal))].key if legal else "x"
    kinds = [
        f"{first} = {number[2]}",
        f"({first}) {other} {number[2]} = {rng.integers(40)} (left: {' '.join(number[3 : 3 + rng.integers(4)])})",
        f"1. {right}",
        right,
        f"Well = {number[0]}",
        "Answer: 12 + 12 = 24",
        "",
    ]
    return kinds[rng.integers(len(kinds))]


def test_whatever_was_written_before_the_truth_is_kept():
    model, rng = Tabular(Policy(skill=6.0, slip=0.2)), np.random.default_rng(0)
    puzzles = [*game24.puzzles()[::60], *game24.puzzles(cards=3)[::20], "24", "5", "12 12", "1/2 2 3.5 7", "0 1 2 12"]
    hits, values = [], []
    for i in range(150):
        puzzle = puzzles[rng.integers(len(puzzles))]
        text = task = f"Make 24 from {puzzle}, each number once.\n"
        for _ in range(rng.integers(4)):
            text += foreign(rng, model._paths.place(text)[0].left) + "\n"
        text += foreign(rng, model._paths.place(text)[0].left)[: rng.integers(12)]
        for sample in model.sampler([text], n=4, seed=i)[0]:
            whole = text.removeprefix(task) + sample.text
            hits.append("Answer" in whole and model.solved(whole, puzzle))
            values.append(model.value(text))
            assert sample.ended and model.value(text + sample.text) == hits[-1], text + sample.text
            assert hits[-1] or values[-1] < 1, text + sample.text
            assert values[-1] or not hits[-1], text + sample.text
            np.testing.assert_allclose(model.forcer([text], [sample.text])[0], sample.logp, atol=1e-9)
    spread = math.sqrt(sum(v * (1 - v) for v in values))
    assert abs(sum(hits) - sum(values)) < 4 * spread and spread > 1


def test_several_operations_on_one_line_are_in_the_answer(model):
    (sample,) = model.sampler([TASK + "(10 - 4) * 5 = 30\n30 - 6 = 24\n"])[0]
    assert sample.text.startswith("Answer: ") and model.solved(sample.text, TASK)


def test_a_line_that_it_would_not_have_begun_is_ended(model):
    samples = model.sampler([TASK + "4 + 10 = 14", TASK + "Well"], n=5)
    assert all(s.text.startswith("\n") and s.ended for n in samples for s in n)


@pytest.mark.parametrize(
    "prompt", ["", "Make 25.", "Make 24 from 1 2 3 4 5 6, each number once.", TASK + "Answer: 1\n"]
)
def test_where_there_is_nothing_to_say_it_ends_at_once(model, prompt):
    (sample,) = model.sampler([prompt])[0]
    assert sample.text == "" and sample.tokens == () and sample.finished and sample.ended


def test_the_task_may_stand_among_other_words_and_without_a_line_end(model):
    asked = "You are a calculator.\nMake 24 from 1 1 1 8, each number once. No.\n" + TASK.strip()
    for prompt in (asked, asked + " One operation a line.", asked + "\n\n"):
        assert model.value(prompt) == model.value(TASK)
        assert model.sampler([prompt], stop=["\n"], seed=1)[0][0].logp.sum() < 0
    assert model.value(TASK.strip() + " " + FIRST) == model.value(TASK + FIRST)


def test_a_plan_is_answered_by_draw(model):
    def plan(draw):
        one, force, check = yield [
            Continue(FIRST, "", n=2, stop=("\n",), draw=draw, history=(("user", TASK.strip()),)),
            Force(TASK, FIRST),
            Check("(10 - 4) * 5 - 6", "4 5 6 10"),
        ]
        return [s.text for s in one], force.sum(), check

    models = dict.fromkeys(("sampler", "forcer", "verifier"), model)
    found = asyncio.run(collect([plan(d % 10) for d in range(20)], models))
    assert found[:10] == found[10:] and len({t for texts, _, _ in found for t in texts}) > 5
    assert all(np.isfinite(model.forcer([TASK + FIRST], [t])[0]).all() for texts, _, _ in found for t in texts)
    assert found[0][1] == model.forcer([TASK], [FIRST])[0].sum() and found[0][2] == 1
    with pytest.raises(StepCreditError, match="no judge"):
        asyncio.run(model.each(Ask("right?")))


def test_a_scorer_is_as_good_as_told(model):
    steps = [s.text + "\n" for s in model.sampler([TASK], n=200, stop=["\n"])[0]]
    prefixes = [TASK] * len(steps)
    values = np.array([model.value(TASK + s) for s in steps]).clip(1e-3, 1 - 1e-3)
    np.testing.assert_allclose(model.scorer()(prefixes, steps), values)
    logit = np.log(values / (1 - values))

    def level(noise, seed=0):
        score = model.scorer(noise, seed=seed)(prefixes, steps)
        return np.log(score / (1 - score))

    noise = level(math.inf)
    np.testing.assert_allclose(level(0.5), logit + 0.5 * noise)
    different = np.unique(noise)
    assert abs(different.mean()) < 0.6 and 0.6 < different.std() < 1.4
    assert not np.allclose(noise, level(math.inf, seed=1))
    assert np.isnan(model.scorer()(["Hello"], ["there"])).all()


def test_a_judge_errs_as_often_as_told(model):
    steps = list(model._paths.next(*model._paths.place(TASK)).texts)
    steps += [f"{t.strip()} " for t in steps]
    truth = [model.step_is_right(TASK, s) for s in steps]
    assert 0 < sum(truth) < len(truth)
    assert [model.judge()(TASK, s) for s in steps] == truth
    assert [model.judge(1.0)(TASK, s) for s in steps] == [not t for t in truth]
    wrong = [model.judge(0.3, seed=k)(TASK, s) != t for k in range(20) for s, t in zip(steps, truth, strict=True)]
    within(sum(wrong), len(wrong), 0.3)
    assert model.judge(0.3)(TASK, steps[0]) == model.judge(0.3)(TASK, steps[0])


def test_steps_are_judged_with_or_without_line_ends(model):
    for prefix, step in itertools.product((TASK, TASK.strip()), (FIRST, FIRST.strip(), "10 - 4 = 6")):
        assert model.step_is_right(prefix, step), (prefix, step)
    assert model.step_is_right(TASK + FIRST.strip(), "6 * 5 = 30")
    assert not model.step_is_right(TASK + FIRST.strip(), "6 * 6 = 36")
    assert not model.step_is_right(TASK + FIRST, "6 * 5 = 31")
    assert model.step_is_right(TASK + FIRST, "Answer: (10 - 4) * 5 - 6")
    assert not model.step_is_right(TASK + FIRST, "Answer: 24")


def test_solved_reads_answers_and_expressions(model):
    right = "(10 - 4) * 5 - 6"
    assert model.solved(right, "4 5 6 10") and model.solved(FIRST + f"Answer: {right} = 24\n", TASK)
    assert not model.solved(f"Answer: {right}\nAnswer: 24", TASK)
    np.testing.assert_array_equal(model.verifier([right, "24"], [TASK, "4 5 6 10"]), [1, 0])


def test_settings_that_make_no_sense_are_refused(model):
    with pytest.raises(StepCreditError, match="0 or more"):
        model.sampler([TASK], temperature=-1)
    with pytest.raises(StepCreditError, match="0 to 1"):
        model.judge(2)


def test_a_twin_of_lines():
    rollouts = game24.sample(game24.puzzles()[::40], 20, POLICY, seed=0)
    lines = [(r.puzzle, [s.text for s in r.steps]) for r in rollouts]
    twin = fitted(lines, seed=3)
    assert twin.policy.seed == twin.seed == 3
    assert twin.policy == fitted(game24.batch(game24.puzzles()[::40], 20, POLICY, seed=0), seed=3).policy
    assert twin.policy.slip == pytest.approx(0.1, abs=0.05)
    with pytest.raises(StepCreditError, match="no policy to fit"):
        fitted([("4 5 6 10", ["There is no way."])])


def test_a_twin_of_gpt4(data):
    twin = fitted(data / "game24" / "gpt4_cot_rollouts.jsonl.gz")
    assert 0.05 < twin.policy.slip < 0.2
    n = 2000
    samples = twin.sampler([TASK], n=n, seed=0)[0]
    within(sum(twin.solved(s.text, TASK) for s in samples), n, twin.value(TASK))
