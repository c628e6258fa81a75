"""Implicit rewards: the official code's numbers, by hand from models and from columns, and two real models."""

import numpy as np
import pytest
from model_standins import Table, batch

from stepcredit.data.batch import Batch
from stepcredit.data.records import Rollout, Step, Tokens
from stepcredit.errors import MissingColumn, StepCreditError
from stepcredit.evidence import get
from stepcredit.evidence.implicit_reward import cost, implicit_reward
from stepcredit.llm import local, tiny

NAN = np.nan
RATIOS = {"ab": [10.0, -4.0], "cd": [20.0, -30.0], "ef": [5.0, 8.0]}
BASE = -50.0


def models(base=BASE):
    """(the reward model, its reference) whose log-ratios are RATIOS."""
    mine = Table(lambda p, c: base + np.array(RATIOS[c.strip("\n")] + [0.0] * c.count("\n")))
    return mine, Table(lambda p, c: np.full(len(c), base))


THREE = ["ab", "cd", "ef"]


@pytest.mark.parametrize(
    ("preset", "want"),
    [
        # Executed: ImplicitPRM @c044175 eval/prm_eval_utils.py get_reward, "w/ ref", on these log-ratios.
        ("single", [0.006, -0.010, 0.013]),
        ("accumulative", [0.006, -0.004, 0.009]),
        ("orm", [NAN, NAN, 0.009]),
        ("no-reference", [-0.144, -0.304, -0.391]),  # by hand; a line break has -50 here
    ],
)
def test_scores_are_those_of_the_official_code(preset, want):
    b = implicit_reward(batch(THREE), *models(), **get(f"implicit_reward@{preset}").options)
    np.testing.assert_allclose(b["score"], want, atol=1e-12)


def test_the_system_is_found_by_its_name():
    assert get("implicit_prm").base == "implicit_reward" and get("implicit_prm").options["reading"] == "accumulative"


def test_the_papers_process_reward_is_the_default():
    b = implicit_reward(batch(THREE), *models())
    np.testing.assert_allclose(b["logratio"], [6, -10, 13])
    np.testing.assert_allclose(b["score"], [0.3, -0.5, 0.65])
    np.testing.assert_allclose(b["token_logratio"], [10, -4, 20, -30, 5, 8])
    np.testing.assert_array_equal(b.layout.tokens, [0, 0, 1, 1, 2, 2])


def test_separators_count_with_the_step_that_another_follows_at_once():
    mine, reference = models()
    one = batch(["ab", ("cd", "seen"), "ef"])
    implicit_reward(one, mine, reference, separators=True)
    assert mine.asked == reference.asked == [("Q\n", "ab\n"), ("Q\nab\n", "cd"), ("Q\nab\ncd\nseen\n", "ef")]
    mine, reference = models()
    implicit_reward(one, mine, reference, joiner="|", observations=False)
    assert mine.asked == [("Q|", "ab"), ("Q|ab|", "cd"), ("Q|ab|cd|", "ef")]


def with_tokens(*lists, order=None):
    steps = [Step(text=t, tokens=Tokens(**fields)) for t, fields in lists]
    return Batch.from_records([Rollout(group=0, rollout=0, task="Q", steps=steps)])


def test_columns_stand_in_for_models():
    b = with_tokens(
        ("ab", {"logp": [-1.0, -2.0], "ref_logp": [-2.0, -2.5]}), ("cd", {"logp": [-3.0, None], "ref_logp": [-1.0, -1]})
    )
    made = implicit_reward(b, None, None, coefficient=2.0)
    np.testing.assert_allclose(made["token_logratio"], [1, 0.5, -2, NAN])
    np.testing.assert_allclose(made["score"], [3, NAN])
    raw = implicit_reward(b, None, None, against="uniform", coefficient=1.0)
    np.testing.assert_allclose(raw["score"], [-3, NAN])
    with pytest.raises(MissingColumn, match="token_logp"):
        implicit_reward(batch(THREE), None, None)


def test_a_column_and_a_model_may_be_mixed_and_token_order_is_kept():
    layout = batch(["ab", "cd"]).layout.with_tokens(np.array([1, 0, -1, 0, 1]))
    b = Batch(layout, {}, records=batch(["ab", "cd"]).records).with_columns(token_ref_logp=[-1, -2, -3, -4, -5])
    made = implicit_reward(b, Table(lambda p, c: np.array({"ab": [-1, -1], "cd": [-2, -2]}[c], float)), None)
    np.testing.assert_allclose(made["token_logratio"], [-2 + 1, -1 + 2, NAN, -1 + 4, -2 + 5])
    np.testing.assert_allclose(made["logratio"], [1 + 3, -1 + 3])


def test_tokens_of_another_cut_get_no_token_column():
    b = with_tokens(("ab", {"n": 5}), ("cd", {"n": 2}))
    made = implicit_reward(b, *models())
    assert "token_logratio" not in made and "other tokens than the batch holds" in made.notes[-1]
    np.testing.assert_allclose(made["logratio"], [6, -10])


def test_a_failed_reply_is_not_judged():
    mine, reference = models()
    broken = Table(lambda p, c: None if c == "cd" else mine.table(p, c))
    made = implicit_reward(batch(THREE), broken, reference)
    np.testing.assert_allclose(made["logratio"], [6, NAN, 13])
    assert "token_logratio" not in made and "1 of 3 steps not judged; no token column" in made.notes[-1]
    q = implicit_reward(batch(THREE), broken, reference, reading="accumulative", coefficient=1.0)
    np.testing.assert_allclose(q["score"], [6, NAN, NAN])
    own = with_tokens(("ab", {"n": 2}), ("cd", {"n": 2}))
    np.testing.assert_allclose(implicit_reward(own, broken, reference)["token_logratio"], [10, -4, NAN, NAN])


def test_two_tokenizers_have_no_log_ratio():
    with pytest.raises(StepCreditError, match="2 tokens to the reward model and 1 to its reference"):
        implicit_reward(batch(["ab"]), models()[0], Table(lambda p, c: np.array([-1.0])))


def test_a_step_without_text_is_not_asked_and_has_ratio_zero():
    mine, reference = models()
    made = implicit_reward(batch(["ab", ""]), mine, reference)
    np.testing.assert_allclose(made["logratio"], [6, 0])
    assert mine.asked == [("Q\n", "ab")] and cost(batch(["ab", ""])).calls == {"force": 2}
    assert cost(batch(["ab"], ["ab"]), against="uniform").calls == {"force": 1}


def test_a_batch_without_steps():
    assert implicit_reward(batch([]), *models())["score"].size == 0


def test_two_real_models(engine, tmp_path):
    reference = local.load(tiny.save(tmp_path, *tiny.build(0, steps=0)))
    chains = tiny.data(6, seed=5)
    b = implicit_reward(
        Batch.from_records(tiny.records(chains)), engine.forcer, reference.forcer, separators=True, coefficient=1.0
    )
    texts = ["\n".join(c.steps) for c in chains]
    tasks = [f"{c.task}\n" for c in chains]
    whole = [
        a.sum() - r.sum() for a, r in zip(engine.forcer(tasks, texts), reference.forcer(tasks, texts), strict=True)
    ]
    np.testing.assert_allclose(b.layout.total(b["logratio"]), whole, atol=1e-3)
    np.testing.assert_allclose(np.bincount(b.layout.tokens, weights=b["token_logratio"]), b["logratio"], atol=1e-9)
    assert sum(map(len, texts)) == b.layout.K and (b["logratio"] > 0).mean() > 0.9
