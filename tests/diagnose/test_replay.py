"""Replay: runs carried on from before and after every step, in worlds whose values are known exactly."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from judges import Answers, case_of, judged, run_of, tool_run

from stepcredit.data.records import Rollout, Step, ToolCall
from stepcredit.diagnose import METHODS, Case, Group, diagnose
from stepcredit.diagnose.episodes import EnvReplay, Ledger, Parted
from stepcredit.diagnose.replay import Shares, TextReplay, Tries, chance_of_drop, drops, plan_cost, z_of
from stepcredit.diagnose.run import _checked
from stepcredit.envs import text
from stepcredit.envs.play import expert, noisy, play
from stepcredit.envs.tabular import evaluate
from stepcredit.errors import StepCreditError
from stepcredit.llm.drive import drive
from stepcredit.llm.requests import BudgetSpent, Continue, Failed
from stepcredit.llm.tabular import Policy, Tabular

PUZZLE = "Make 24 from 4 5 6 10, each number once."
MODEL = Tabular(Policy(skill=4.0))
CHAIN = text.get("chain_arithmetic")(length=4, modulus=5)


def verdict_of(name, case, models=None, **options):
    planner = METHODS.get(name)
    ((_, verdict),) = drive([planner.function(case, **planner.check_options(options))], models or {})
    return _checked(verdict, case, planner)


def models(model=MODEL):
    return {"sampler": model, "verifier": model}


def game24_runs(n, seed=0):
    """Runs of the model, a line a step, with the exact chance of success after each line."""
    (samples,) = MODEL.sampler([PUZZLE + "\n"], n=n, seed=seed)
    out = []
    for i, sample in enumerate(samples):
        lines = sample.text.splitlines()
        right = float(MODEL.solved(sample.text, PUZZLE))
        steps = [Step(text=line) for line in lines]
        run = Rollout(group="24", rollout=i, task=PUZZLE, outcome=right, steps=steps, extra={"gold": PUZZLE})
        so_far = ["".join(line + "\n" for line in lines[:k]) for k in range(len(lines) + 1)]
        out.append((case_of(run), np.array([MODEL.value(PUZZLE + "\n" + text) for text in so_far])))
    return out


def shares_of(case, replayer, n, asked=None, seed=0):
    shares = Shares(case, replayer, seed)
    list(drive([shares.draw(range(len(case.steps) + 1), n)], asked or {}))
    return shares


def replay(epsilon=0.1, world=CHAIN, **options):
    return EnvReplay(world.episode, noisy(expert, epsilon, seed=1), **options)


def sabotaged(at, world=CHAIN, seed=3, agent=None):
    """A run of the expert whose step `at` is another action than the expert's, as a record; the expert goes on."""
    episode = world.episode()
    task, _ = episode.reset(seed=seed)
    steps = []
    while not episode.ended:
        good = episode.expert()
        action = next(a for a in episode.actions() if a != good) if len(steps) == at else good
        state, who = episode.state, episode.agent or agent
        observation, reward, *_ = episode.step(action)
        steps.append(Step(state=state, agent=who, action=action, observation=observation, reward=reward))
    return Rollout(
        group=str(seed),
        rollout=f"{seed}/0",
        task=task,
        outcome=episode.outcome,
        steps=steps,
        final_state=episode.state,
    )


def exact_values(world, run, epsilon):
    """[S + 1] the chance that a noisy expert succeeds with the first k steps kept; for worlds without luck."""
    known = {}

    def value(episode):
        if episode.ended:
            return float(episode.outcome >= 0.5)
        key = (episode.state, episode.steps, episode.outcome)
        if key not in known:
            listed, good = episode.actions(), episode.expert()
            chances = {a: epsilon / len(listed) for a in listed}
            chances[good] = chances.get(good, 0.0) + 1 - epsilon
            total = 0.0
            for action, chance in chances.items():
                twin = episode.fork()
                twin.step(action)
                total += chance * value(twin)
            known[key] = total
        return known[key]

    episode = world.episode()
    episode.reset(seed=int(run.group))
    out = [value(episode.fork())]
    for step in run.steps:
        episode.step(step.action)
        out.append(value(episode.fork()))
    return np.array(out)


# Shares against exact values


def test_text_replay_finds_the_exact_chance_of_every_prefix():
    outside = total = 0
    for case, exact in game24_runs(12):
        shares = shares_of(case, TextReplay(max_tokens=128), 60, models())
        low, high = shares.interval(1.96)
        assert shares.p[-1] == case.rollout.outcome and not shares.failed
        outside += int(((exact < low - 1e-9) | (exact > high + 1e-9)).sum())
        total += exact.size
    assert outside <= 0.1 * total


def test_the_drop_is_the_exact_advantage_with_its_sign_turned_and_lies_in_its_interval():
    inside, all_ = 0, 0
    for case, exact in game24_runs(12, seed=1):
        shares = shares_of(case, TextReplay(max_tokens=128), 60, models())
        drop, low, high = drops(shares, 1.96)
        advantage = np.diff(exact)
        assert np.abs(drop + advantage).max() < 0.35
        inside += int(((low - 1e-9 <= -advantage) & (-advantage <= high + 1e-9)).sum())
        all_ += drop.size
    assert inside >= 0.93 * all_


@pytest.mark.parametrize("at", [0, 2, 3])
def test_replay_in_a_world_equals_its_exact_values(at):
    run = sabotaged(at)
    exact = exact_values(CHAIN, run, 0.1)
    shares = shares_of(case_of(run), replay(), 200)
    low, high = shares.interval(3.3)
    assert ((low - 1e-9 <= exact) & (exact <= high + 1e-9)).all()
    assert run.outcome == 0 and exact[at] - exact[at + 1] > 0.5


def test_replay_in_a_world_with_luck_stands_where_the_record_stood():
    lake = text.get("frozen_lake")(size=3, slip=0.3, horizon=8)
    table = lake.table(0)
    value = evaluate(table).value
    random = noisy(expert, 1.0, seed=5)
    run = max(play(lake.episode, random, seeds=[0], n=12), key=lambda r: len({s.state for s in r.steps}))
    states = [s.state for s in run.steps]
    exact = np.array([value[t, list(table.labels).index(s)] for t, s in enumerate(states)])
    shares = shares_of(case_of(run), EnvReplay(lake.episode, noisy(expert, 1.0, seed=9)), 60)
    known = ~np.isnan(shares.p[:-1])
    low, high = shares.interval(3.3)
    assert known[:4].all() and len(set(states)) > 2 and shares.told[0] == 60
    assert ((low[:-1] - 1e-9 <= exact) & (exact <= high[:-1] + 1e-9))[known].all()


# Counterfactual replay


@pytest.mark.parametrize("rule", ["first", "largest"])
def test_a_sabotaged_step_is_found(rule):
    for at in range(4):
        verdict = verdict_of("counterfactual_replay", case_of(sabotaged(at)), replayer=replay(), rule=rule)
        assert (verdict.status, verdict.step) == ("found", at) and verdict.confidence > 0.95
        assert f"step {at} drawn anew" in verdict.reason and "of 16" in verdict.reason
        assert verdict.scores[at] == np.nanmax(verdict.scores)
        assert verdict.evidence["drop_low"][at] > 0 and verdict.evidence["tries"][:4] == [16] * 4


def test_the_first_of_two_falls_is_the_decisive_step_and_the_largest_is_another_reading():
    class Two:
        def tries(self, case, kept, n, *, draw=0):
            yield []
            chance = [0.9, 0.9, 0.6, 0.6, 0.1]
            return [Tries(round(chance[k] * n), n) for k in kept]

        def cost(self, case, kept, n):
            return {"samples": n * len(kept)}

    case = case_of(run_of(5))
    first = verdict_of("counterfactual_replay", case, replayer=Two(), n=100)
    largest = verdict_of("counterfactual_replay@largest", case, replayer=Two(), n=100)
    assert (first.step, largest.step) == (1, 3)
    assert verdict_of("counterfactual_replay", case, replayer=Two(), n=100, least=0.4).step == 3
    assert verdict_of("counterfactual_replay", case, replayer=Two(), n=20).step == 3
    assert verdict_of("counterfactual_replay", case, replayer=Two(), n=20, family=False).step == 1
    assert verdict_of("counterfactual_replay", case, replayer=Two(), n=20, family=False, level=0.999).step == 3


def test_what_the_sampler_cannot_do_from_the_start_no_step_is_blamed_for():
    verdict = verdict_of("counterfactual_replay", case_of(sabotaged(2)), replayer=replay(1.0), n=100)
    assert verdict.status == "unknown" and "from the task alone" in verdict.reason
    good = sabotaged(99)
    good.outcome = 0.0  # a verdict that no step earns
    flat = verdict_of("counterfactual_replay", case_of(good), replayer=replay(0.0), n=8, least=1.0)
    assert flat.status == "found" and flat.step == 3


def test_a_run_that_succeeded_is_clean_and_costs_nothing_unless_it_is_wanted():
    case = case_of(sabotaged(99))
    verdict = verdict_of("counterfactual_replay", case, replayer=replay())
    assert verdict.status == "clean" and not verdict.evidence
    wanted = verdict_of("counterfactual_replay", case, replayer=replay(), successes=True)
    assert wanted.status == "clean" and wanted.evidence["tries"][0] == 16
    assert plan_cost(case, "counterfactual_replay", {"replayer": replay()}) == {}
    assert plan_cost(case, "counterfactual_replay", {"replayer": replay(), "successes": True}) == {"episodes": 64}


def test_an_unknown_outcome_is_looked_up_by_replaying_the_whole_run():
    run = sabotaged(1)
    run.outcome = None
    verdict = verdict_of("counterfactual_replay", case_of(run), replayer=replay(), n=8)
    assert verdict.step == 1 and verdict.evidence["share"][-1] == 0.0 and verdict.evidence["tries"][-1] == 8


def test_text_settings_reach_the_sampler_and_the_verifier():
    asked, checked = [], []

    class Door:
        async def each(self, request):
            if isinstance(request, Continue):
                asked.append(request)
                return [type("S", (), {"text": "so 42"})() for _ in range(request.n)]
            checked.append(request)
            return float("42" in request.answer)

    door = Door()
    options = {"max_tokens": 7, "temperature": 0.3, "stop": ("END",), "joiner": "|", "whole": False, "n": 2}
    run = run_of(2)
    run.steps[0].observation = "seen"
    verdict_of("counterfactual_replay", case_of(run), {"sampler": door, "verifier": door}, **options)
    request = asked[1]
    assert (request.max_tokens, request.temperature, request.stop, request.n) == (7, 0.3, ("END",), 2)
    assert (request.prompt, request.prefix) == ("What is it?|", "words of step 0|seen|")
    assert {c.answer for c in checked} == {"so 42"} and {c.reference for c in checked} == {"42"}
    again = list(asked)
    asked.clear()
    for seed in (0, 1):
        verdict_of("counterfactual_replay", case_of(run), {"sampler": door, "verifier": door}, seed=seed, **options)
    assert asked[:2] == again and asked[2].draw != again[0].draw


def test_what_cannot_be_replayed_by_text_is_unknown_and_says_why():
    for run, why in (
        (tool_run(), "calls tools"),
        (run_of(truth=None), "no right answer"),
        (Rollout(group=0, rollout=0, outcome=0.0, steps=[Step(text="x")], extra={"gold": "1"}), "no text of its task"),
        (sabotaged(1), "no text to go on from"),
    ):
        verdict = verdict_of("counterfactual_replay", case_of(run), models())
        assert verdict.status == "unknown" and why in verdict.reason
        assert plan_cost(case_of(run), "counterfactual_replay") == {}
        assert verdict_of("decisive_search", case_of(run), models()).status == "unknown"
    free = {"sampler": MODEL, "verifier": lambda answers, references: [0.0] * len(answers)}
    told = verdict_of("counterfactual_replay", case_of(run_of(truth=None)), free, compares=False, n=4)
    assert told.status == "unknown" and "from the task alone" in told.reason


def test_failures_of_sampler_and_verifier_are_counted_and_never_guessed():
    class Down:
        def __init__(self, who):
            self.who, self.n = who, 0

        async def each(self, request):
            self.n += 1
            if (self.who == "sampler") == isinstance(request, Continue) and self.n % 2:
                return Failed(f"the {self.who} is down")
            return await MODEL.each(request)

    case, _ = next(c for c in game24_runs(12) if c[0].rollout.outcome == 0)
    for who in ("sampler", "verifier"):
        door = Down(who)
        verdict = verdict_of("counterfactual_replay", case, {"sampler": door, "verifier": door}, n=6)
        assert "is down" in str(verdict.evidence["failed"])
        assert all(t < 6 for t in verdict.evidence["tries"][:1])
        assert None in verdict.evidence["share"] or who == "verifier"
    alone = {"sampler": lambda prompts, **setting: [None] * len(prompts), "verifier": MODEL}
    lost = verdict_of("counterfactual_replay", case, alone, n=2)
    assert lost.status == "unknown" and np.isnan(lost.scores).all() and "did not answer" in lost.reason


# Worlds


def test_a_record_that_the_world_does_not_follow_is_unknown_behind_that_step():
    run = sabotaged(3)
    run.steps[2].state = "elsewhere"
    shares = shares_of(case_of(run), replay(lucks=3), 4)
    assert np.isnan(shares.p[2:4]).all() and not np.isnan(shares.p[:2]).any()
    assert "another state than the record after step 1, in 3 walks" in shares.failed[2][0]
    verdict = verdict_of("counterfactual_replay", case_of(run), replayer=replay(lucks=3), n=4)
    assert verdict.status == "unknown" and "another state" in verdict.reason


def test_records_without_states_are_compared_by_what_was_seen():
    run = sabotaged(1)
    for step in run.steps:
        step.state = None
    run.final_state = None
    assert verdict_of("counterfactual_replay", case_of(run), replayer=replay()).step == 1
    run.steps[0].observation = "another world"
    assert "something else" in verdict_of("counterfactual_replay", case_of(run), replayer=replay(lucks=2)).reason
    bare = sabotaged(1)
    bare.steps[0].action = None
    assert "names no action" in verdict_of("counterfactual_replay", case_of(bare), replayer=replay(lucks=2)).reason
    longer = sabotaged(1)
    longer.steps.append(Step(action="write 1 + 1 = 2"))
    longer.outcome = None
    assert "ends before step 4" in str(shares_of(case_of(longer), replay(lucks=2), 2).failed)


def test_a_run_is_known_by_its_world_before_anything_is_tried():
    run = sabotaged(1)
    world = replay()
    assert world.follows(case_of(run)) is True
    assert (world.ledger.steps, world.ledger.episodes) == (4, 1)
    cut = sabotaged(1)
    cut.final_state, cut.steps = cut.steps[2].state, cut.steps[:2]
    assert world.follows(case_of(cut)) is False
    lost = sabotaged(1)
    lost.steps[1].action, lost.steps[1].observation = "fly", "up"
    with pytest.raises(Parted, match="after step 1; it does not take 'fly': there is no action 'fly'") as parted:
        world.follows(case_of(lost))
    assert parted.value.step == 1
    run.group = "4"
    with pytest.raises(Parted, match="begins in another state than the record") as parted:
        world.follows(case_of(run))
    assert parted.value.step == 0
    told = verdict_of("counterfactual_replay", case_of(run), replayer=replay(lucks=2))
    assert told.status == "unknown" and "begins in another state" in told.reason
    run.extra["seed"] = 3
    assert world.follows(case_of(run)) is True


def test_a_world_of_chance_need_not_go_as_the_record_but_must_tell_its_task():
    lake = text.get("frozen_lake")(size=3, slip=0.5, horizon=8)
    run = max(play(lake.episode, noisy(expert, 1.0, seed=5), seeds=[0], n=12), key=lambda r: len(r.steps))
    assert EnvReplay(lake.episode, noisy(expert, 0.0, seed=0)).follows(case_of(run), walks=3) is None
    other = text.get("frozen_lake")(size=4, slip=0.5, horizon=8)
    with pytest.raises(Parted, match="tells another task"):
        EnvReplay(other.episode, noisy(expert, 0.0, seed=0)).follows(case_of(run))


def test_a_budget_of_steps_ends_replay_at_once_and_closes_every_episode():
    closed = []

    class Watched:
        def __init__(self):
            self.inner = CHAIN.episode()

        def __getattr__(self, name):
            return getattr(self.inner, name)

        def close(self):
            closed.append(self)

    ledger = Ledger(most=30)
    world = EnvReplay(Watched, noisy(expert, 0.1, seed=1), ledger=ledger)
    with pytest.raises(BudgetSpent, match="30 steps of the world"):
        verdict_of("counterfactual_replay", case_of(sabotaged(2)), replayer=world)
    assert ledger.steps == 30 and len(closed) == ledger.episodes > 0
    (one,) = diagnose([sabotaged(2)], ["decisive_search"], options={"decisive_search": {"replayer": world}})
    assert one.verdicts["decisive_search"].status == "unknown"


def test_tool_calls_walk_a_world_too():
    run = sabotaged(2)
    for step in run.steps:
        equation = step.action.removeprefix("write ")
        step.tool_calls, step.action = [ToolCall(name="write", arguments={"equation": equation})], None
    assert verdict_of("counterfactual_replay", case_of(run), replayer=replay()).step == 2


def test_a_sampler_acts_where_there_is_no_policy():
    """It reads all that was read and done, and answers with an action."""
    asked = []

    def sampler(prompts, *, n, max_tokens, temperature, stop):
        out = []
        for prompt in prompts:
            asked.append((prompt, max_tokens, temperature, stop))
            sum_ = prompt.rpartition(": ")[2].partition(" = ?")[0]
            out.append([type("S", (), {"text": f" write {sum_} = {eval(sum_) % 5}\n"})()])
        return out

    world = EnvReplay(CHAIN.episode, max_tokens=9, temperature=0.5, most=20)
    verdict = verdict_of("counterfactual_replay", case_of(sabotaged(2)), {"sampler": sampler}, replayer=world, n=8)
    assert verdict.step == 2 and verdict.evidence["share"] == [1, 1, 1, 0, 0]
    prompt, *setting = asked[-1]
    assert setting == [9, 0.5, ("\n",)] and prompt.startswith("Start with") and prompt.endswith("> ")
    assert "\n> write " in prompt
    assert plan_cost(case_of(sabotaged(2)), "counterfactual_replay", {"replayer": world, "n": 8}) == {
        "episodes": 32,
        "samples": 640,
    }
    down = verdict_of(
        "counterfactual_replay", case_of(sabotaged(2)), {"sampler": lambda p, **s: [None] * len(p)}, replayer=world
    )
    assert down.status == "unknown"


def test_worlds_that_break_or_do_not_end_are_told_and_not_guessed():
    broken = EnvReplay(CHAIN.episode, lambda episodes, read: [None] * len(episodes))
    assert "gave no action" in str(shares_of(case_of(sabotaged(2)), broken, 2).failed)
    short = replay(most=1)
    assert "no end within 1 steps" in str(shares_of(case_of(sabotaged(2)), short, 2).failed)

    def make():
        episode = CHAIN.episode()
        step = episode.step
        episode.step = lambda action: step(action) if episode.steps < 1 else 1 / 0
        return episode

    assert "ZeroDivisionError" in str(shares_of(case_of(sabotaged(2)), EnvReplay(make, expert), 2).failed)
    run = sabotaged(2)
    run.group = "not a number"
    with pytest.raises(StepCreditError, match="number of a task"):
        shares_of(case_of(run), replay(), 2)
    named = replay(seed=lambda rollout: 3)
    assert verdict_of("counterfactual_replay", case_of(run), replayer=named).step == 2
    high = shares_of(case_of(sabotaged(2)), replay(0.0, success=2.0), 2)
    assert not high.p[:-1].any()


# Decisive search


def test_the_search_finds_the_step_with_fewer_tries_than_replay_of_every_step():
    long = text.get("chain_arithmetic")(length=16, modulus=5, horizon=20)
    for at in (0, 3, 11, 15):
        case = case_of(sabotaged(at, long, seed=8))
        verdict = verdict_of("decisive_search", case, replayer=replay(0.02, long), batch=4, most=16)
        assert (verdict.status, verdict.step) == ("found", at), verdict.reason
        most = plan_cost(case, "decisive_search", {"replayer": replay(0.02, long), "batch": 4, "most": 16})
        assert verdict.evidence["spent"]["episodes"] <= most["episodes"] == 16 * 5
        every = plan_cost(case, "counterfactual_replay", {"replayer": replay(0.02, long)})
        assert verdict.evidence["spent"]["episodes"] < every["episodes"] == 16 * 16
        assert verdict.confidence > 0.9 and verdict.scores[at] == np.nanmax(verdict.scores)


def test_the_search_stops_early_where_it_is_sure():
    case = case_of(sabotaged(2))
    sure = verdict_of("decisive_search", case, replayer=replay(0.0), batch=4, most=100, level=0.8)
    assert sure.step == 2 and max(sure.evidence["tries"][1:]) <= 12
    slow = verdict_of("decisive_search", case, replayer=replay(0.0), batch=4, most=100, level=0.9999)
    assert max(slow.evidence["tries"][1:]) > max(sure.evidence["tries"][1:])


def test_the_search_takes_the_step_where_the_chance_falls_below_its_share_of_the_start():
    class Falling:
        def tries(self, case, kept, n, *, draw=0):
            yield []
            return [Tries(round([0.8, 0.8, 0.7, 0.5, 0.3, 0.2][k] * n), n) for k in kept]

        def cost(self, case, kept, n):
            return {"samples": n * len(kept)}

    found = {
        fall: verdict_of("decisive_search", case_of(run_of(6)), replayer=Falling(), fall=fall, batch=40, most=40).step
        for fall in (0.95, 0.75, 0.5, 0.3)
    }
    assert found == {0.95: 1, 0.75: 2, 0.5: 3, 0.3: 4}
    with pytest.raises(StepCreditError):
        verdict_of("decisive_search", case_of(run_of(6)), replayer=Falling(), batch=9, most=8)


def test_the_search_needs_a_failed_run_and_a_chance_to_lose():
    assert verdict_of("decisive_search", case_of(sabotaged(99)), replayer=replay()).status == "clean"
    run = sabotaged(2)
    run.outcome = None
    assert verdict_of("decisive_search", case_of(run), replayer=replay()).status == "unknown"
    assert plan_cost(case_of(run), "decisive_search", {"replayer": replay()}) == {}
    hopeless = verdict_of("decisive_search", case_of(sabotaged(2)), replayer=replay(success=5.0))
    assert hopeless.status == "unknown" and "no chance that a step could lose" in hopeless.reason
    assert verdict_of("decisive_search", case_of(run_of(0))).status == "unknown"
    one = sabotaged(0, text.get("chain_arithmetic")(length=1, modulus=5, horizon=2))
    world = text.get("chain_arithmetic")(length=1, modulus=5, horizon=2)
    assert verdict_of("decisive_search", case_of(one), replayer=replay(world=world)).step == 0


def test_the_search_by_text_passes_its_settings_on():
    case, exact = next(c for c in game24_runs(12) if c[0].rollout.outcome == 0 and c[1][0] > 0.2)
    options = {"max_tokens": 128, "temperature": 1.0, "stop": (), "joiner": "\n", "whole": True, "compares": True}
    verdict = verdict_of("decisive_search", case, models(), batch=16, most=64, seed=3, **options)
    assert verdict.status == "found" and exact[verdict.step] >= 0.35 * exact[0] > 0.6 * exact[verdict.step + 1]
    cost = plan_cost(case, "decisive_search", {"most": 64, "max_tokens": 128})
    assert (
        cost["samples"] == 64 * (1 + math.ceil(math.log2(len(case.steps)))) and cost["tokens"] == cost["samples"] * 128
    )


# Numbers


def test_intervals_and_chances_of_a_drop():
    shares = Shares(case_of(run_of(3)), TextReplay())
    shares.won[:] = [9, 9, 1, 0]
    shares.told[:] = [10, 10, 10, 0]
    drop, low, high = drops(shares, z_of(0.95))
    assert drop.round(2).tolist() == [0, 0.8, 0.1] and shares.certain[-1] == 0
    assert low[1] == pytest.approx(0.8 - math.hypot(0.9 - 0.5958, 0.4042 - 0.1), abs=1e-3)
    assert (low <= drop).all() and (drop <= high).all() and low[0] < 0 < low[1]
    assert chance_of_drop(shares, 0) == pytest.approx(0.5) and chance_of_drop(shares, 1) > 0.999
    shares.told[0] = 0
    assert chance_of_drop(shares, 0) is None and np.isnan(drops(shares, 1)[0][0])
    for level in (0, 1, 2):
        with pytest.raises(StepCreditError):
            z_of(level)


@pytest.mark.parametrize("wrong", [{"n": 0}, {"least": 2}, {"level": 1.0}])
def test_settings_of_replay_that_make_no_sense_are_refused(wrong):
    with pytest.raises(StepCreditError):
        verdict_of("counterfactual_replay", case_of(sabotaged(1)), replayer=replay(), **wrong)


def test_methods_that_ask_nobody_cost_nothing_and_a_method_of_yours_says_its_cost_or_not(tmp_path):
    assert plan_cost(case_of(), "last_step") == {}
    lines = (
        "from stepcredit.diagnose.methods.all_at_once import CARD",
        "def mine(case, *, n=2):",
        "    return case.unknown('no')",
    )
    silent, telling = tmp_path / "mine.py", tmp_path / "told" / "mine.py"
    silent.write_text("\n".join(lines))
    with pytest.raises(StepCreditError, match="estimate"):
        plan_cost(case_of(), str(silent))
    telling.parent.mkdir()
    telling.write_text("\n".join([*lines, "def cost_of(case, **options):", "    return {'questions': options['n']}"]))
    assert plan_cost(case_of(), str(telling)) == {"questions": 2}


# CDC-MAS

GOLDEN = json.loads((Path(__file__).parent / "goldens" / "cdc_mas.json").read_text())
WORKED = {" and ".join(names): v for names, v in GOLDEN["v"].items()}


def simulator(prompt):
    """A judge that knows the value of every coalition, and of steps of B."""
    what = prompt.partition("Suppose that ")[2].partition(" had been right")[0]
    if what.startswith("every step that "):
        names = what.removeprefix("every step that ").removesuffix(" took")
        for number, name in enumerate("ABC", 1):
            assert f"\nagent {number}: {name}\n" in prompt
            names = names.replace(f"agent {number}", name)
        return f"chance: {WORKED[names]}"
    chance = {1: "30%", 4: ".6", 7: "0.6"}.get(int(what.split()[1]), "0.05")
    return f"chance: {chance}\nfix: say {what}"


def agents_run(n=9):
    return run_of(n, agents=("A", "B", "C"))


def test_cdc_mas_goes_as_in_the_worked_example():
    judge = Answers(simulator)
    verdict = judged("cdc_mas", case_of(agents_run()), judge)
    assert verdict.evidence["agents"] == ["A", "B", "C"]
    phi = dict(zip(verdict.evidence["agents"], verdict.evidence["shapley"], strict=True))
    assert phi == pytest.approx(GOLDEN["phi"], abs=1e-6) and verdict.agent == GOLDEN["blamed"]
    assert np.round(verdict.evidence["blame"], 4).tolist() == [0.0567, 0.41, 0]
    assert (verdict.agent, verdict.step) == ("B", 4) and verdict.confidence == pytest.approx(0.41 / 0.4667, abs=1e-3)
    assert verdict.scores[[1, 4, 7]].tolist() == [0.3, 0.6, 0.6] and np.isnan(verdict.scores[[0, 2]]).all()
    assert "88% of the blame" in verdict.reason and verdict.remarks[4] == "say step 4 alone"
    assert verdict.evidence["values"]["nobody"] == 0 and len(judge.asked) == 7 + 3
    assert plan_cost(case_of(agents_run()), "cdc_mas") == {"questions": 20}


def test_cdc_mas_options():
    case = case_of(agents_run())
    alone = judged("cdc_mas", case, Answers(simulator), product=False)
    assert alone.evidence["blame"] == alone.evidence["shapley"]
    every = judged("cdc_mas", case, Answers(simulator), steps="all", tell=False)
    assert not np.isnan(every.scores).any() and every.step == 4
    only = judged("cdc_mas@agents", case, Answers(simulator))
    assert only.step == 1 and np.isnan(only.scores).all() and only.agent == "B"
    drawn = judged("cdc_mas", case, Answers(simulator), exact=1, permutations=6, seed=2)
    assert drawn.agent == "B" and drawn.evidence["orders"] == 6
    assert sum(drawn.evidence["shapley"]) == pytest.approx(1.0, abs=1e-5)
    judge = Answers(simulator)
    judged("cdc_mas@blind", case, judge, limit=200, cut=150)
    assert "42" not in judge.asked[0] and "characters left out" not in judge.asked[0]
    with pytest.raises(StepCreditError):
        judged("cdc_mas", case, Answers(simulator), n=0)


def test_cdc_mas_considers_whom_the_end_rests_on():
    texts = {0: "the Alpha-17 number", 1: "nothing", 2: "using Alpha-17"}
    run = run_of(3, agents=("A", "B", "C"), texts=texts)
    assert plan_cost(case_of(run), "cdc_mas") == {"questions": 2 * (3 + 1)}
    assert plan_cost(case_of(run), "cdc_mas", {"flow": "chain"}) == {"questions": 2 * (7 + 1)}
    assert plan_cost(case_of(run), "cdc_mas", {"exact": 1, "permutations": 1, "retries": 0}) == {"questions": 3 + 1}
    verdict = judged("cdc_mas", case_of(run), Answers("chance: 0.5"))
    assert verdict.evidence["agents"] == ["A", "C"]


def test_a_coalition_of_unknown_value_is_no_verdict():
    case = case_of(agents_run())
    lost = judged(
        "cdc_mas", case, Answers(lambda p: None if "agent 1 and agent 2 took" in p else simulator(p)), retries=0
    )
    assert lost.status == "unknown" and "value of a coalition" in lost.reason
    steps = judged("cdc_mas", case, Answers(lambda p: None if " alone had" in p else simulator(p)), retries=0)
    assert steps.status == "unknown" and "B is to blame" in steps.reason
    for said in ("chance: high", "chance: 1.4", "chance: 140%", "chance:"):
        assert judged("cdc_mas", case, Answers(said)).status == "unknown"
    none = judged("cdc_mas", case, Answers("chance: 0"))
    assert none.status == "unknown" and "putting no agent right" in none.reason
    assert judged("cdc_mas", case_of(run_of(agents=None)), Answers("chance: 1")).status == "unknown"
    assert judged("cdc_mas", case_of(run_of(outcome=1.0)), Answers("chance: 1")).status == "clean"


def test_cdc_mas_in_a_world_puts_agents_right_by_its_expert():
    world = text.get("hand_off")(shelves=3, gates=2)
    for at in range(4):
        run = sabotaged(at, world, seed=1)
        who = run.steps[at].agent
        if run.outcome == 1:
            continue
        verdict = verdict_of("cdc_mas", case_of(run), replayer=replay(0.1, world), n=40, steps="all")
        assert (verdict.agent, verdict.step) == (who, at), (at, verdict.reason)
        assert verdict.evidence["tries"] > 0 and verdict.scores[at] > 0.5
        most = plan_cost(case_of(run), "cdc_mas", {"replayer": replay(0.1, world), "n": 40, "steps": "all"})
        assert verdict.evidence["tries"] <= most["episodes"]


def test_group_members_that_share_a_beginning_are_replayed_with_it():
    whole = sabotaged(2)
    first = Rollout(group=whole.group, rollout="a", task=whole.task, outcome=0.0, steps=whole.steps)
    for i, step in enumerate(first.steps):
        step.id = f"s{i}"
    rest = Rollout(
        group=whole.group,
        rollout="b",
        task=whole.task,
        outcome=0.0,
        prefix=["s0"],
        steps=[Step(state=s.state, action=s.action, observation=s.observation) for s in whole.steps[1:]],
    )
    verdict = verdict_of("counterfactual_replay", Case(Group([first, rest]), 1), replayer=replay())
    assert verdict.step == 1
    told = TextReplay(joiner="|").prefix(Case(Group([run_with_ids(), sharing()]), 1), 1)
    assert told == "one|two|three|"


def run_with_ids():
    steps = [Step(id="x", text="one"), Step(id="y", text="two")]
    return Rollout(group=0, rollout=0, task="?", outcome=0.0, steps=steps)


def sharing():
    return Rollout(group=0, rollout=1, task="?", outcome=0.0, prefix=["x", "y"], steps=[Step(text="three")])
