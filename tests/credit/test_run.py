"""Running a method: where rewards come from, what is said about it, what is refused, what trainers get."""

import re

import numpy as np
import pytest

from stepcredit.credit import Result, applicable, assign, get, names, on_columns
from stepcredit.data import Batch, Layout, Rollout, Step, Tokens, from_arrays, from_columns
from stepcredit.errors import LayoutError, MissingColumn, StepCreditError, UnknownName

A = np.array


def of(**columns):
    return from_columns(columns)[0]


@pytest.fixture
def method(tmp_path):
    """A method in a file of its own, from its parameters and the expression it returns."""

    def make(takes, returns, card="", more=""):
        path = tmp_path / "own.py"
        path.write_text(
            "import numpy as np\nfrom stepcredit.credit import Card, Preset, Result\n"
            f"CARD = Card('t', 'p', '@misc{{x}}', 'derived', 'n', 'b', 'd'{card})\n{more}\n"
            f"def own({takes}):\n    return {returns}\n"
        )
        return str(path)

    return make


TWO = {"rollout": ["x", "x", "y"], "group": ["p", "p", "p"]}


def test_rewards_are_taken_as_they_are_where_they_agree_with_outcomes(method):
    own = method("layout, reward", "reward * 1")
    credit = assign(of(**TWO, reward=[0.25, 0.75, 0], outcome=[1, 0]), own)
    assert credit.values.tolist() == [0.25, 0.75, 0] and credit.notes == ()
    assert assign(of(**TWO, reward=[1, 2, 3]), own).values.tolist() == [1, 2, 3]


def test_without_rewards_the_outcome_stands_on_the_last_step_and_it_is_said(method):
    credit = assign(of(**TWO, outcome=[1, 0.5]), method("layout, reward", "reward * 1"))
    assert credit.values.tolist() == [0, 1, 0.5]
    assert credit.notes == ("reward: the outcome on each rollout's last step",)


def test_rewards_and_outcomes_that_disagree_need_a_choice(method):
    batch, own = of(**TWO, reward=[0.25, 0.5, 0], outcome=[1, 0]), method("layout, reward", "reward * 1")
    with pytest.raises(StepCreditError, match=r"1 of 2 rollouts: rollout 'x' .* sum to 0.75 and outcome 1") as error:
        assign(batch, own)
    assert "reward='reward', 'outcome' or 'sum'" in error.value.hint
    assert assign(batch, own, reward="reward").values.tolist() == [0.25, 0.5, 0]
    taken, summed = assign(batch, own, reward="outcome"), assign(batch, own, reward="sum")
    assert taken.values.tolist() == [0, 1, 0] and "outcome on each" in taken.notes[0]
    assert summed.values.tolist() == [0.25, 1.5, 0] and "plus the outcome" in summed.notes[0]
    with pytest.raises(UnknownName, match="no choice of reward named 'outcoem'"):
        assign(batch, own, reward="outcoem")


@pytest.mark.parametrize("choice", ["outcome", "sum"])
def test_a_choice_of_outcomes_needs_them(method, choice):
    with pytest.raises(MissingColumn, match="needs column 'outcome'"):
        assign(of(**TWO, reward=[1, 2, 3]), method("layout, reward", "reward"), reward=choice)


def test_unknown_is_unknown_and_not_zero(method):
    own = method("layout, reward", "reward * 1")
    np.testing.assert_array_equal(assign(of(**TWO, outcome=[None, 1]), own).values, [0, np.nan, 1])
    with pytest.raises(StepCreditError, match="disagree for 1 of 2 rollouts: rollout 'x'"):
        assign(of(**TWO, outcome=[None, 1], reward=[0, 1, 1]), own)
    assign(of(**TWO, outcome=[None, 1], reward=[None, None, 1]), own)


def test_outcomes_are_summed_from_rewards_and_it_is_said(method):
    batch = Batch(Layout([0, 0], [0, 0]), {"reward": A([0.5, 1.0])})
    credit = assign(batch, method("layout, outcome", "outcome[layout.rollout]"))
    assert credit.values.tolist() == [1.5, 1.5] and credit.notes == ("outcome: the sum of each rollout's step rewards",)


def test_token_rewards_stand_on_last_tokens_and_nothing_is_lost(method):
    own = method("layout, token_reward", "token_reward * 1", card=", per='token'")
    batch = of(**TWO, outcome=[1, 2], token_step=[0, 1, 1, 2, -1])
    credit = assign(batch, own)
    assert credit.values.tolist() == [0, 0, 1, 2, 0] and credit.notes[-1].startswith("token_reward: each step's reward")
    assert assign(batch.with_columns(token_reward=A([5.0] * 5)), own).values.tolist() == [5] * 5
    with pytest.raises(StepCreditError, match="step 1 of rollout 'x' has a reward and no sampled token") as error:
        assign(of(**TWO, outcome=[1, 2], token_step=[0, 0, 2]), own)
    assert "token_reward" in error.value.hint
    with pytest.raises(StepCreditError, match="no sampled token"):
        assign(of(**TWO, outcome=[None, 2], token_step=[0, 0, 2]), own)


def test_next_states_are_the_next_rows_then_the_final_one_or_their_own(method):
    own = method("layout, next_state", "next_state.astype(float)")
    credit = assign(of(**TWO, state=A([5, 6, 5])), own)
    assert credit.values[0] == 6 and len({*credit.values.tolist(), 5.0}) == 4
    assert credit.notes == ("next_state: the next row's state; after a last step a state of its own",)
    steps = [Step(state="a"), Step(state="b")]
    ends = Batch.from_records([Rollout(group=0, rollout=r, final_state=f, steps=steps) for r, f in enumerate("ax")])
    credit = assign(ends, own)
    a, b = ends["state"][:2]
    assert credit.values[:3].tolist() == [b, a, b] and credit.values[3] == ends["final_state"][1]
    assert credit.notes == ("next_state: the next row's state; after a last step the rollout's final state",)
    assert assign(of(**TWO, next_state=A([1, 2, 3])), own).values.tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("name", "given", "column", "maker"),
    [
        ("gigpo", {"outcome": [1, 0]}, "state", "stepcredit state"),
        ("grpo", {"state": [0, 0, 0]}, "outcome", "--map"),
        ("gae", {"outcome": [1, 0]}, "value", "--kind monte_carlo"),
        ("a2tgpo", {"outcome": [1, 0]}, "gain", "--kind answer_gain"),
        ("gigpo", {"state": [0, 0, 0]}, "reward", "--map"),
    ],
)
def test_a_missing_column_names_what_makes_it(name, given, column, maker):
    batch = of(**TWO, **given)
    with pytest.raises(
        MissingColumn, match=rf"{name} needs column '{column}' \[.\] \(.+\); the batch holds: "
    ) as error:
        assign(batch, name)
    assert maker in error.value.hint
    assert applicable(get(name), batch) == error.value.message


def test_optional_columns_that_cannot_be_derived_are_left_out(method):
    own = method("layout, action, observation=None, next_state=None, reward=None", "action + 0.5 * (reward is None)")
    assert assign(of(**TWO, action=A([0, 1, 2])), own).values.tolist() == [0.5, 1.5, 2.5]
    assert assign(of(**TWO, action=A([0, 1, 2]), outcome=[1, 1]), own).values.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda b: assign(b, "gipgo"), "no credit method named 'gipgo'\n  hint: did you mean 'gigpo'"),
        (lambda b: assign(b, "grpo@trrl"), "no preset of grpo named 'trrl'\n  hint: did you mean 'trl'"),
        (lambda b: assign(b, "grpo", epps=1), "no option of grpo named 'epps'\n  hint: did you mean 'eps'"),
        (lambda b: assign(b, "grpo", spread="smaple"), "one of: sample, population, none, others, mad"),
        (lambda b: assign(b, "grpo", eps="small"), "option eps='small' of grpo: .*\n  hint: the default is 0.0001"),
        (lambda b: assign(b, "nowhere/own.py"), "no file 'nowhere/own.py'"),
    ],
)
def test_unknown_names_are_met_with_the_nearest(call, says):
    with pytest.raises(StepCreditError, match=says):
        call(of(**TWO, outcome=[1, 0]))


def test_options_may_be_text_and_are_recorded_as_they_ran():
    credit = assign(of(**TWO, outcome=[1, 0]), "grpo@trl", eps="0.5", spread="population")
    assert credit.options["eps"] == 0.5 and credit.options["location"] == "mean"
    np.testing.assert_allclose(credit.values, [0.5, 0.5, -0.5])
    assert assign(of(**TWO, outcome=[1, 0]), "rloo").options["location"] == "others"


def test_a_method_in_a_file_has_presets_options_and_a_grouping(method):
    own = method(
        "layout, outcome, *, scale: float = 1.0",
        "scale * outcome[layout.rollout]",
        more="PRESETS = {'twice': Preset({'scale': 2.0}, 'here')}\n"
        "def grouping(layout):\n    return {'turn': layout.turn}\n",
    )
    batch = of(**TWO, outcome=[1, 0])
    assert assign(batch, own).values.tolist() == [1, 1, 0]
    assert assign(batch, f"{own}@twice").values.tolist() == [2, 2, 0]
    assert assign(batch, f"{own}@twice", scale=3).values.tolist() == [3, 3, 0]
    found = get(own)
    assert (found.needs, found.uses, found.options) == (("outcome",), (), {"scale": 1.0})
    assert found.grouping(batch.layout)["turn"].tolist() == [0, 1, 0] and own not in names()


def test_a_preset_may_take_another_column_for_a_parameter(method):
    own = method(
        "layout, score, *, scale: float = 1.0",
        "scale * score",
        more="PRESETS = {'helpful': Preset({}, 'here', columns={'score': 'useful'})}\n",
    )
    batch = of(**TWO, score=[1, 2, 3], useful=[0.5, None, 0.25])
    np.testing.assert_array_equal(assign(batch, f"{own}@helpful").values, [0.5, np.nan, 0.25])
    assert assign(batch, own).values.tolist() == [1, 2, 3]
    found = get(f"{own}@helpful")
    assert (found.needs, get(own).needs) == (("useful",), ("score",))
    assert found.given({"scale": 2.0}).needs == ("useful",)
    lacks = of(**TWO, score=[1, 2, 3])
    assert "needs column 'useful'" in applicable(found, lacks) and applicable(get(own), lacks) is None


def test_a_label_is_the_verdict_of_one_judge(method):
    own = method("layout, votes", "votes.reshape(layout.S, -1).sum(axis=1)")
    credit = assign(of(**TWO, label=[1, -1, 0]), own)
    assert credit.values.tolist() == [1, -1, 0] and credit.notes == ("votes: the label, as the verdict of one judge",)
    credit = assign(of(**TWO, label=[1, -1, 0], votes=[[1, 1], [1, -1], [-1, -1]]), own)
    assert credit.values.tolist() == [2, 0, -2] and credit.notes == ()
    with pytest.raises(MissingColumn, match="needs column 'votes'"):
        assign(of(**TWO), own)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("def own(layout):\n    return 0\n", "must define CARD"),
        (
            "from stepcredit.credit import Card\nCARD = Card('t', 'p', 'b', 'derived', 'n', 'b', 'd')\n",
            "function 'own'",
        ),
    ],
)
def test_a_file_that_is_no_method_is_told_what_it_lacks(tmp_path, text, says):
    (tmp_path / "own.py").write_text(text)
    with pytest.raises(StepCreditError, match=f"is no credit method: .*{says}"):
        get(str(tmp_path / "own.py"))


@pytest.mark.parametrize(
    ("takes", "returns", "card", "says"),
    [
        ("layout, outcome", "outcome", "", r"returned credit of shape \(2,\); expected \(3,\)"),
        ("layout, outcome", "outcome[0]", "", r"returned credit of shape \(\); expected \(3,\)"),
        ("layout", "np.zeros((layout.S, 1))", "", r"credit of shape \(3, 1\); expected \(3,\)"),
        ("layout", "np.zeros(layout.S)", ", per='token'", r"credit of shape \(3,\); expected \(4,\)"),
        ("layout", "Result(np.zeros(layout.S), sd=np.zeros(1))", "", r"returned sd of shape \(1,\); expected \(3,\)"),
    ],
)
def test_what_comes_back_must_have_the_axis_of_the_card(method, takes, returns, card, says):
    with pytest.raises(LayoutError, match=says):
        assign(of(**TWO, outcome=[1, 0], token_step=[0, 1, 1, 2]), method(takes, returns, card))


def test_extras_travel_to_tokens(method):
    own = method("layout", "Result([1, 2, 3], train_mask=[True, False, True], sd=[0.5, 1.5, 2.5])")
    credit = assign(of(**TWO, token_step=[0, 1, 1, 2, -1]), own)
    assert credit.values.dtype == np.float64 and credit.tokens.tolist()[:4] == [1, 2, 2, 3]
    np.testing.assert_array_equal(credit.extra_tokens("sd"), [0.5, 1.5, 1.5, 2.5, np.nan])
    np.testing.assert_array_equal(credit.extra_tokens("train_mask"), [1, 0, 0, 1, np.nan])
    given = {"rollout": ["y", "x", "y"], "group": [0, 0, 0]}
    out = on_columns(own, given)
    assert isinstance(out, Result) and np.asarray(out).tolist() == [1, 3, 2] and out.sd.tolist() == [0.5, 2.5, 1.5]


def test_advantages_are_a_list_per_rollout_with_none_for_what_is_not_judged():
    batch = of(**TWO, outcome=[1, None], token_step=[2, 0, 1, 0])
    credit = assign(batch, "grpo", lone="raw", spread="none")
    assert credit.advantages() == [[1, 1, 1], [None]]
    assert credit.by_rollout() == [[1, 1], [None]]
    assert assign(of(**TWO, outcome=[1, 0]), "rloo").advantages() == [[1, 1], [-1]]


def test_advantages_take_the_rows_of_the_trainers_tensors():
    batch = of(**TWO, outcome=[1, 0], token_step=[0, 1, 1, 2, -1], token_row=[3, 0, 0, 1, 0])
    credit = assign(batch, "rloo")
    assert credit.advantages() == [[1, 1, None], [-1], [], [1]]
    assert [(g, r) for g, r, _ in credit.rows()] == [("p", "x"), ("p", "y"), (None, None), ("p", "x")]
    with pytest.raises(LayoutError, match="token 1 names no row"):
        assign(of(**TWO, outcome=[1, 0], token_step=[0, 1], token_row=[0, -1]), "rloo").advantages()


def test_advantages_of_a_tree_repeat_shared_tokens_in_every_rollout():
    trunk = Step(id="a", tokens=Tokens(n=2))
    batch = Batch.from_records(
        [
            Rollout(group=0, rollout=0, outcome=1.0, steps=[trunk, Step(tokens=Tokens(n=1))]),
            Rollout(group=0, rollout=1, outcome=0.0, prefix=["a"], steps=[Step(), Step(tokens=Tokens(n=2))]),
        ]
    )
    credit = assign(batch, "grpo", spread="none")
    assert credit.advantages() == [[0, 0, 0.5], [0, 0, -0.5, -0.5]]
    assert credit.by_rollout() == [[0, 0.5], [0, -0.5, -0.5]]
    assert assign(of(parent=[-1, 0, 0], outcome=[None, 1, 0]), "spo_tree").advantages() == [[0, 0.5], [0, -0.5]]


def test_a_token_method_counts_steps_where_there_are_no_tokens():
    credit = assign(of(**TWO, outcome=[1, 0]).with_columns(token_value=A([0.5, 0.5, 0.5])), "gae_token", lam=1.0)
    np.testing.assert_allclose(credit.values, [0.5, 0.5, -0.5])
    assert "the batch holds no tokens: each step counts as one" in credit.notes
    np.testing.assert_array_equal(credit.steps, credit.values)


def test_plain_columns_come_back_in_their_order():
    mixed = {"rollout": [*"xyzxyz"], "prompt": [1, 0, 1, 1, 0, 1], "outcome": [1, 5, 0, 1, 5, 0]}
    np.testing.assert_array_equal(on_columns("grpo", mixed, spread="none"), [0.5, 0, -0.5, 0.5, 0, -0.5])
    with pytest.raises(LayoutError, match="both 'prompt' and 'group'"):
        on_columns("grpo", {**mixed, "group": [0] * 6})


def test_notes_of_the_batch_stay_with_the_credit():
    credit = assign(of(**TWO, outcome=[1, 0], state=["s"] * 3).with_note("read from a log"), "gigpo")
    assert credit.notes == ("read from a log", "reward: the outcome on each rollout's last step")
    assert re.fullmatch(r"Credit\('gigpo', 3 of 3 steps judged\)", repr(credit))
    assert np.asarray(credit).tolist() == credit.values.tolist()


def test_the_choice_of_reward_reaches_methods_that_ask_for_the_outcome():
    batch = of(group=[0, 0, 0], rollout=[0, 0, 1], reward=[1, 1, 0], outcome=[0, 0, 1])
    credit = {c: assign(batch, "dr_grpo", reward=c).values.tolist() for c in (None, "outcome", "reward", "sum")}
    assert credit[None] == credit["outcome"] == [-0.5, -0.5, 0.5]
    assert credit["reward"] == [1.0, 1.0, -1.0] and credit["sum"] == [0.5, 0.5, -0.5]
    assert any("--reward chooses" in n for n in assign(batch, "dr_grpo").notes)
    with pytest.raises(MissingColumn, match="reward"):
        assign(of(group=[0], rollout=[0], outcome=[1]), "grpo", reward="sum")


def test_flat_rows_get_their_credit_back_in_their_order():
    given = {"group": [1, 0, 0, 1], "rollout": ["c", "a", "b", "d"], "outcome": [1, 1, 0, 0]}
    batch = from_arrays(**given)
    assert assign(batch, "dr_grpo").as_given().tolist() == on_columns("dr_grpo", given).tolist()
    mixed = from_arrays(group=[0, 0, 0], rollout=["a", "b", "a"], outcome=[1, 0, 1])
    assert assign(mixed, "dr_grpo").as_given().tolist() == [0.5, -0.5, 0.5]
    with pytest.raises(MissingColumn, match="given_row"):
        assign(Batch.from_records([Rollout(group=0, rollout=0, outcome=1, steps=[Step()])]), "grpo").as_given()
