import numpy as np
import pytest
from said import lake, run, says, scorer, texts

from stepcredit.search.policies.arbitrage import escalations, wasted

# The spec's four steps: scores of the drafts and of the large model's steps, and the router's opinions.
DRAFT, TARGET = [0.75, 0.35, 0.40, 0.90], [0.70, 0.65, 0.40, 0.95]
ROUTER = [0.1, 0.8, 0.3, 0.2]


def models(seen=None):
    drafts = [f"d{i}\n" for i in range(3)] + ["Answer: d"]

    def draft(prompts, **setting):
        done = [p.count("\n") - 1 for p in prompts]
        return says(*[drafts[k] for k in done]).sampler(prompts, **setting)

    def target(prompts, **setting):
        done = [p.count("\n") - 1 for p in prompts]
        return says(*[drafts[k].replace("d", "t") for k in done]).sampler(prompts, **setting)

    def place(step):
        return 3 if "Answer" in step else int(step[-1])

    def prm(prefixes, steps):
        return np.array([(DRAFT if s[-2:].strip()[0] == "d" else TARGET)[place(s)] for s in steps])

    def router(prefixes, steps):
        if seen is not None:
            seen.extend(zip(prefixes, steps, strict=True))
        return np.array([ROUTER[place(s)] for s in steps])

    return {"draft": draft, "sampler": target, "scorer": prm, "router": router}


def sources(found):
    return [n.facts["source"] for n in found.node.path]


def test_the_router_escalates_the_step_that_would_gain():
    seen = []
    found = run("arbitrage", models(seen), "Q\n")
    assert sources(found) == ["draft", "target", "draft", "draft"]
    assert seen[2] == ("Q\nModel 0: d0\nModel 1: t1\n", "Model 0: d2")
    assert (found.ledger.draft, found.ledger.decode, found.discarded) == (5, 1, 1)


@pytest.mark.parametrize(
    ("policy", "options", "wants"),
    [
        ("arbitrage@oracle", {}, [0, 1, 0, 1]),
        ("arbitrage@oracle", {"threshold": 0.1}, [0, 1, 0, 0]),
        ("rsd", {}, [0, 1, 1, 0]),
        ("rsd", {"threshold": 0.75}, [1, 1, 1, 0]),
        ("arbitrage@rsd-code", {"threshold": 0.75}, [0, 1, 1, 0]),
        ("arbitrage", {"threshold": 0.3}, [0, 1, 0, 0]),
        ("arbitrage@ties-escalate", {"threshold": 0.3}, [0, 1, 1, 0]),
    ],
)
def test_who_writes_each_step(policy, options, wants):
    assert sources(run(policy, models(), "Q\n", **options)) == [["draft", "target"][w] for w in wants]


def test_the_best_escalations_of_a_budget_and_what_a_threshold_wastes():
    gain = np.array(TARGET) - np.array(DRAFT)
    assert escalations(gain, most=1).tolist() == [False, True, False, False]
    assert (np.array(DRAFT) + gain * escalations(gain)).mean() == pytest.approx(0.6875)
    assert wasted(np.array(DRAFT), np.array(TARGET), 0.7) == 0.25


def test_without_an_opinion_the_large_model_writes():
    silent = {**models(), "router": lambda p, s: np.full(len(s), np.nan)}
    assert sources(run("arbitrage", silent, "Q\n")) == ["target"] * 4


def test_in_a_live_environment_a_rejected_draft_leaves_no_trace_in_the_world():
    task, way = lake()
    good = {"draft": says("go north\n").sampler, "sampler": says(*[f"{a}\n" for a in way]).sampler}
    found = run("rsd", {**good, "scorer": scorer({})}, task)
    assert [n.text for n in found.node.path] == way and found.node.outcome == 1.0
    assert texts(found).count("go north") == len(way)
