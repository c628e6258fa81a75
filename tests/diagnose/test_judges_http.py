"""Judges and samplers behind a real server, over HTTP: replies, failures, a budget, and replies that are kept."""

from judges import case_of, judged, run_of, tag_in
from test_judges import any_judge
from test_replay import MODEL, PUZZLE, game24_runs

from stepcredit.diagnose import diagnose
from stepcredit.llm.budget import parse
from stepcredit.llm.client import Client
from stepcredit.llm.scripted import Scripted
from stepcredit.llm.server import WireError, over_sampler, running


def says(prompt):
    return f"I have looked.\n<{tag_in(prompt)}>\n{any_judge(prompt)}\n</{tag_in(prompt)}>"


def test_judges_answer_over_http_and_their_replies_are_kept(tmp_path):
    model = Scripted(says)
    names = ["all_at_once", "step_by_step", "binary_search", "agentprocessbench", "checklist"]
    with running(over_sampler(model.sampler), models=["m"]) as url:
        asked = []
        for _ in range(2):
            with Client(url, "m", store=tmp_path / "replies.sqlite", answer_tokens=2000) as client:
                (one,) = diagnose([run_of()], names, {"judge": client.judge})
                assert {name: v.step for name, v in one.verdicts.items()} == dict.fromkeys(names, 4)
                asked.append(len(model.asked))
        assert asked[0] == asked[1] > 15 and "I have looked." in one.verdicts["all_at_once"].evidence["replies"][0]


def test_a_server_that_fails_or_a_budget_that_is_spent_ends_in_unknown():
    async def broken(asked):
        raise WireError(400, "the prompt is longer than the context")

    with running(broken, models=["m"]) as url, Client(url, "m", retries=0) as client:
        verdict = judged("all_at_once", case_of(), client.judge)
        assert verdict.status == "unknown" and "context" in verdict.reason
    model = Scripted(says)
    with (
        running(over_sampler(model.sampler), models=["m"]) as url,
        Client(url, "m", budget=parse("2calls"), answer_tokens=2000) as client,
    ):
        (one,) = diagnose([run_of()], ["step_by_step"], {"judge": client.judge})
    assert one.verdicts["step_by_step"].status == "unknown" and len(model.asked) == 2
    assert "budget" in one.verdicts["step_by_step"].reason


def test_a_sampler_behind_a_server_replays_a_run():
    case, exact = next(c for c in game24_runs(12) if c[0].rollout.outcome == 0 and c[1][0] > 0.2)
    with running(over_sampler(MODEL.sampler), models=["m"]) as url, Client(url, "m", api="completions") as client:
        models = {"sampler": client.sampler, "verifier": MODEL.verifier}
        options = {"counterfactual_replay": {"n": 24, "max_tokens": 128, "rule": "largest"}}
        (one,) = diagnose([case.rollout], ["counterfactual_replay"], models, options=options)
    verdict = one.verdicts["counterfactual_replay"]
    assert verdict.status == "found" and case.rollout.task == PUZZLE
    assert exact[verdict.step] - exact[verdict.step + 1] > 0.1
