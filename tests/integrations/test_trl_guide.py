"""The guide's code runs as it stands, in its order."""

import re
from pathlib import Path

import pytest
from trl_rig import Dataset, GRPOTrainer, config, quiet

from stepcredit.llm import tiny

pytestmark = quiet
PAGE = Path(__file__).parents[2] / "docs" / "guides" / "trl.md"


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    """What a plain TRL script has before it makes its trainer, and what the page's code adds."""
    model, tokenizer = tiny.build(0, steps=1)
    return {
        "MyTrainer": GRPOTrainer,
        "model": model,
        "tokenizer": tokenizer,
        "reward": lambda completions, **kwargs: [float(len(c) % 3) for c in completions],
        "dataset": Dataset.from_dict({"prompt": ["3+4=?\n", "5*2=?\n"]}),
        "args": config(tmp_path_factory.mktemp("guide"), max_steps=2, logging_steps=1),
    }


@pytest.mark.parametrize("block", re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL))
def test_the_guides_code_runs(names, block):
    exec(compile(block, str(PAGE), "exec"), names)
    if "CreditGRPOTrainer(" in block:
        logged = names["trainer"].state.log_history
        assert [row["credit/judged"] for row in logged if "credit/judged" in row] == [1.0, 1.0]
        assert names["trainer"].credit_last.stats["steps"] == (3.0 if "rollout_func" in block else 1.0)


def test_the_guides_environment_notes_what_it_says(names):
    env = names["Doors"]()
    env.reset()
    assert [env.push(1), env.push(0)] == ["room 1", "room 1"]
    assert env.credit == {"state": [0, 1], "reward": [1.0, 0.0]}
    assert env.get_reward() == 1.0
