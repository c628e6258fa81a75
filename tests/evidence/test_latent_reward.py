"""LaRe: a scripted judge writes code, the sandbox runs it, outcomes are parted by its numbers."""

import numpy as np
import pytest
from model_standins import batch

from stepcredit.data.batch import Batch
from stepcredit.data.records import Rollout, Step, ToolCall
from stepcredit.errors import StepCreditError
from stepcredit.evidence import get
from stepcredit.evidence.latent_reward import cost, latent_reward, step_inputs, write_factors
from stepcredit.llm import tiny

NAN = np.nan
GOOD = "Thought.\n```python\ndef factors(step):\n    return [float(len(step['text'])), 1.0]\n```\nDone."
BAD = "```python\ndef factors(step):\n    return [1 / 0]\n```"
EVIL = "```python\nimport os\ndef factors(step):\n    return [os.getpid()]\n```"


class Judge:
    """Answers in turn, and keeps what it was asked."""

    def __init__(self, *replies):
        self.replies, self.asked = list(replies), []

    def __call__(self, prompts):
        self.asked += prompts
        return [self.replies.pop(0) for _ in prompts]


def world():
    """Outcomes that are the lengths of the texts."""
    texts = [["a", "bb"], ["ccc"], ["d", "e", "ffff"], ["gg"], ["hhh", "i"]]
    return Batch.from_records(
        [
            Rollout(group=g, rollout=g, task="Q", outcome=float(sum(map(len, t))), steps=[Step(text=x) for x in t])
            for g, t in enumerate(texts)
        ]
    )


def test_candidates_are_merged_and_what_runs_is_used():
    judge = Judge(BAD, GOOD, None, GOOD)
    b = latent_reward(world(), judge, candidates=3, description="write long texts", loss="sum", penalty=1e-9)
    lengths = [len(s.text) for r in b.records for s in r.steps]
    np.testing.assert_allclose(b["contribution"], lengths, atol=1e-5)
    assert "write long texts" in judge.asked[0] and '"text":"a"' in judge.asked[0]
    assert judge.asked[0] == judge.asked[2] and "1 / 0" in judge.asked[3] and "Merge" in judge.asked[3]
    assert any("4 questions; the code:" in n and "def factors" in n for n in b.notes)


def test_an_error_is_shown_and_mended():
    judge = Judge(BAD, EVIL, GOOD)
    written = write_factors(judge, "", step_inputs(world())[:2], candidates=1, retries=5)
    assert written.calls == 3 and "def factors" in written.code and not written.error
    assert "ZeroDivisionError" in judge.asked[1] and "import is not allowed" in judge.asked[2]


def test_the_last_block_of_a_reply_is_the_code():
    draft = "```python\ndef factors(step):\n    return [0, 0, 0]\n```\nBetter:\n" + GOOD
    assert "float(len" in write_factors(Judge(draft), "", [{"text": "a"}], candidates=1).code
    bare = write_factors(Judge("def factors(step):\n    return [1]"), "", [{"text": "a"}], candidates=1)
    assert bare.code.startswith("def factors")


def test_code_that_never_runs_judges_nothing_and_says_why():
    judge = Judge(*[BAD] * 6)
    b = latent_reward(world(), judge, candidates=1, retries=5)
    assert np.isnan(b["contribution"]).all() and len(judge.asked) == 6
    assert "no function that runs after 6 questions: ZeroDivisionError" in b.notes[-1]
    silent = latent_reward(world(), Judge(None, None), candidates=1, retries=1)
    assert "there was no code" in silent.notes[-1]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("return 1.0", "list of finite numbers"),
        ("return []", "list of finite numbers"),
        ("return [float('nan')]", "list of finite numbers"),
        ("return ['x']", "list of finite numbers"),
        ("return [1] * step['turn'] + [1]", "equally many"),
        ("while True: pass", "more than"),
    ],
)
def test_what_the_code_returns_is_checked(body, why):
    judge = Judge(f"```python\ndef factors(step):\n    {body}\n```")
    steps = [{"text": "a", "turn": 0}, {"text": "b", "turn": 1}]
    written = write_factors(judge, "", steps, candidates=1, retries=0, seconds=1)
    assert why in written.error and written.code == ""


def test_a_step_at_which_the_code_fails_is_not_judged():
    code = "def factors(step):\n    return [1 / (len(step['text']) - 3)]"
    b = latent_reward(world(), Judge(), code=code, folds=1)
    texts = [s.text for r in b.records for s in r.steps]
    np.testing.assert_array_equal(np.isnan(b["contribution"]), [len(t) == 3 for t in texts])
    none = latent_reward(world(), Judge(), code="def factors(step):\n    return [1 / 0]")
    assert np.isnan(none["contribution"]).all() and "fails at every step" in none.notes[-1]


def test_a_factor_may_be_the_contribution_itself():
    one = "```python\ndef factors(step):\n    return [len(step['text'])]\n```"
    judge = Judge(GOOD, one)
    b = latent_reward(world(), judge, candidates=1, direct=True)
    assert b["contribution"].tolist() == [len(s.text) for r in b.records for s in r.steps]
    assert "list of one number; got 2" in judge.asked[1]


def test_what_the_function_sees_of_a_step():
    steps = [
        Step(text="look", observation="a door", tool_calls=[ToolCall(name="look", arguments={"at": 1})]),
        Step(text="open", action="open door", observation="open"),
    ]
    one = Batch.from_records([Rollout(group=0, rollout=0, task="leave", steps=steps)])
    first, second = step_inputs(one)
    assert first["observation"] == "" and first["tool_calls"] == [{"name": "look", "arguments": {"at": 1}}]
    assert second == {
        "task": "leave", "turn": 1, "observation": "a door", "text": "open", "action": "open door", "tool_calls": [],
    }  # fmt: skip


def test_the_cost_is_an_upper_bound():
    judge = Judge(GOOD, GOOD, GOOD)
    latent_reward(world(), judge, candidates=2)
    price = cost(world(), candidates=2, retries=3)
    assert len(judge.asked) == 3 and price.calls == {"judge": 6} and price.at_most
    assert cost(world(), candidates=1, retries=0).calls == {"judge": 1}
    assert cost(world(), code="def factors(step): return [1]").calls == {"judge": 0}
    with pytest.raises(StepCreditError, match="candidates"):
        latent_reward(world(), judge, candidates=0)


def test_the_system_is_found_by_its_name():
    lare = get("lare")
    assert lare.base == "latent_reward" and lare.models == ("judge",)
    assert lare.options["loss"] == "rrd" and lare.options["sampled"] == 64 and lare.options["layers"] == 3
    assert get("latent_reward@lare-rd").options["loss"] == "rd"
    assert get("latent_reward@lare-unbiased").options["loss"] == "rrd-unbiased"


def test_a_batch_without_steps_asks_nothing():
    judge = Judge()
    b = latent_reward(batch([], outcomes=[1.0]), judge)
    assert b["contribution"].size == 0 and judge.asked == []


def test_lare_finds_the_wrong_links_of_chains(torch):
    code = """
```python
def factors(step):
    t = step["text"]
    if t[0] == "#":
        return [0, 1]
    x, y, z = int(t[0]), int(t[2]), int(t[4])
    return [0 if (x + y if t[1] == "+" else x * y) % 10 == z else 1, 0]
```"""
    chains = tiny.data(80, seed=1, wrong=0.3)
    options = {**get("lare").options, "candidates": 1, "epochs": 150, "lr": 0.003, "width": 32}
    b = latent_reward(Batch.from_records(tiny.records(chains)), Judge(code), **options)
    wrong = np.array([f == 1 for f in (_factor(s.text) for r in b.records for s in r.steps)])
    links = b.layout.paths.left > 0
    assert b["contribution"][links & wrong].max() < b["contribution"][links & ~wrong].min() - 0.1


def _factor(text):
    if text[0] == "#":
        return 0
    x, y, z = int(text[0]), int(text[2]), int(text[4])
    return int((x + y if text[1] == "+" else x * y) % 10 != z)
