"""Running a selector: what stays, what is said of the rest, trees, records; and what selectors do to methods."""

import itertools
from math import comb

import numpy as np
import pytest

from stepcredit.credit import assign, on_columns
from stepcredit.credit.select.blend_asc import blend_asc
from stepcredit.credit.select.prof import prof
from stepcredit.credit.select.scope_correct import scope_correct
from stepcredit.credit.select.v0_budget import v0_budget
from stepcredit.credit.selection import select
from stepcredit.data import Batch, Layout, Rollout, Step, from_columns
from stepcredit.data.layout import Paths
from stepcredit.errors import LayoutError, MissingColumn, StepCreditError, UnknownName
from stepcredit.testing import random_batch
from stepcredit.testing.selectors import crowd

A = np.array


def of(**columns):
    return from_columns(columns)[0]


@pytest.fixture
def selector(tmp_path):
    """A selector in a file of its own, from its parameters and the expression it returns."""

    def make(takes, returns):
        path = tmp_path / "own.py"
        path.write_text(
            "import numpy as np\nfrom stepcredit.credit import Card\n"
            "from stepcredit.credit.selection import Selection\n"
            "CARD = Card('t', 'p', '@misc{x}', 'derived', 'n', 'b', 'd')\n"
            f"def own({takes}):\n    return {returns}\n"
        )
        return str(path)

    return make


FOUR = {"group": ["p", "q", "p", "q"], "rollout": ["a", "b", "c", "d"], "outcome": [1, 0, 0, 0]}


def test_who_leaves_is_counted_and_the_batch_says_so():
    made = select(of(**FOUR), "dapo")
    assert made.selection.counts["its prompt is solved too rarely"] == 2 and sum(made.selection.counts.values()) == 2
    assert made.batch.notes == ("dapo: 2 of 4 rollouts left out: its prompt is solved too rarely",)
    assert [made.batch.rollout_name(r) for r in range(2)] == ["a", "c"] and made.batch.group_name(0) == "p"
    assert made.options["high"] == 1.0 and made.selector == "dapo"


def test_where_all_stay_the_batch_is_the_same():
    batch = of(**{**FOUR, "outcome": [1, 0, 0, 1]})
    assert select(batch, "dapo").batch is batch


def test_where_none_stays_nothing_is_left_but_the_reasons():
    batch = of(**FOUR, score=[0.5] * 4).with_columns(prior_value=A([0.1, 0.2]))
    made = select(batch, "accuracy_band", low=0.9)
    lay = made.batch.layout
    assert (lay.G, lay.R, lay.S, lay.K) == (0, 0, 0, 0) and made.batch["prior_value"].size == 0
    assert sum(made.selection.counts.values()) == 4 and made.batch.notes
    assert assign(made.batch, "grpo").values.size == 0 and select(made.batch, "dapo").batch.layout.R == 0


def test_columns_of_all_axes_follow_the_rollouts_that_stay():
    batch = of(
        **{**FOUR, "outcome": [0, 1, 0, 0]}, token_step=[0, 1, 1, 2, 3], token_logp=[1, 2, 3, 4, 5], score=[1, 2, 3, 4]
    )
    batch = batch.with_columns(prior_value=A([0.1, 0.2]))
    kept = select(batch, "dapo").batch
    assert kept["prior_value"].tolist() == [0.2] and kept["score"].tolist() == [2, 4]
    assert kept["token_logp"].tolist() == [2, 3, 5] and kept.layout.tokens.tolist() == [0, 0, 1]


def test_records_stay_with_their_rollouts_and_get_the_mask():
    steps = [Step(action="a"), Step(action="b")]
    records = [
        Rollout(group=g, rollout=i, outcome=y, steps=steps) for i, (g, y) in enumerate([(0, 1.0), (1, 1.0), (0, 0.0)])
    ]
    batch = Batch.from_records(records)
    kept = select(batch, "dapo").batch
    assert [r.rollout for r in kept.records] == [0, 2] and [r.rollout for r in kept.to_records()] == [0, 2]
    masked = select(batch.with_columns(pivot=A([1, 0, 2])), "r3l_pivot").batch
    assert masked["train_mask"].tolist() == [0, 1, 1, 1, 0, 0] and len(masked.to_records()) == 3


def shared():
    """Prompt 0: rollouts 0 and 1 share step 0, which rollout 0 holds; prompt 1: one rollout."""
    paths = Paths(A([0, 2, 4, 5]), A([0, 1, 0, 2, 3]))
    return Layout(A([0, 0, 1]), A([0, 0, 1, 2]), shared=paths)


def test_in_a_tree_whole_prompts_may_leave():
    made = select(Batch(shared(), {"outcome": A([1.0, 0.0, 1.0])}), "dapo")
    assert made.batch.layout.R == 2 and made.batch.layout.is_tree and made.batch.layout.S == 3
    gone = select(Batch(shared(), {"outcome": A([1.0, 1.0, 1.0])}), "dapo")
    assert gone.batch.layout.R == 0


def test_in_a_tree_a_rollout_leaves_alone_only_if_its_steps_are_its_own(selector):
    batch = Batch(shared(), {"outcome": A([0.0, 1.0, 1.0])})
    failed = selector("layout, outcome", "Selection((outcome < 1).astype(int), ('it failed',))")
    with pytest.raises(LayoutError, match=r"leaves out rollout 0 \(it failed\).* rollout 1 passes too") as error:
        select(batch, failed)
    assert "whole prompts" in error.value.hint
    own = select(Batch(shared(), {"outcome": A([1.0, 0.0, 1.0])}), failed).batch
    assert own.layout.R == 2 and own.layout.paths.rows.tolist() == [0, 1, 2]


def test_a_mask_reaches_methods_and_shared_steps():
    batch = Batch(shared(), {"outcome": A([1.0, 0.0, 1.0]), "pivot": A([1, 1, 0])})
    assert select(batch, "r3l_pivot").batch["train_mask"].tolist() == [0, 1, 1, 1]


def test_errors_name_the_selector_and_what_is_missing(selector):
    with pytest.raises(UnknownName, match="no selector named 'dappo'"):
        select(of(**FOUR), "dappo")
    with pytest.raises(UnknownName, match="option of dapo"):
        select(of(**FOUR), "dapo", hihg=1)
    with pytest.raises(MissingColumn, match="prof needs column 'score'"):
        select(of(**FOUR), "prof")
    with pytest.raises(MissingColumn, match="truncated"):
        select(of(**FOUR), "accuracy_band@prime-recipe")
    with pytest.raises(MissingColumn, match="tool_class"):
        assign(of(**FOUR), "fathom_rapo@steered")
    with pytest.raises(LayoutError, match="returned a ndarray; expected a Selection"):
        select(of(**FOUR), selector("layout", "np.zeros(layout.R)"))
    with pytest.raises(StepCreditError, match="replaces rollout 'a' and keeps it too"):
        select(of(**FOUR), selector("layout", "Selection(np.zeros(4, int), replay=np.arange(4))"))
    with pytest.raises(StepCreditError, match="resumes rollout 'b' after step 2"):
        select(of(**FOUR), selector("layout", "Selection(np.zeros(4, int), resume=np.array([-1, 2, 1, 0]))"))
    with pytest.raises(StepCreditError, match="prior_value of prompt 1"):
        select(of(**FOUR).with_columns(prior_value=A([0.5, 1.5])), "v0")
    with pytest.raises(StepCreditError, match="low must lie below high"):
        select(of(**FOUR).with_columns(prior_value=A([0.5, 0.5])), "v05_budget", low=1.0)


def test_rewards_stand_in_for_outcomes_as_in_methods():
    batch = of(group=[0, 0], rollout=[0, 1], reward=[1, 0])
    made = select(batch, "dapo")
    assert made.batch is batch and made.notes == ("outcome: the sum of each rollout's step rewards",)
    both = of(group=[0, 0], rollout=[0, 1], reward=[1, 0], outcome=[1, 1])
    assert select(both, "dapo").batch.layout.R == 0 and select(both, "dapo", reward="reward").batch.layout.R == 2


def test_a_selector_cannot_write_into_the_batch(selector):
    with pytest.raises(ValueError, match="read-only"):
        select(of(**FOUR), selector("layout, outcome", "outcome.__setitem__(0, 5)"))


# What selection does to credit.


@pytest.mark.parametrize("seed", range(20))
def test_after_dapo_no_group_gets_zero_from_grpo(seed):
    kept = select(crowd(seed), "dapo").batch
    credit = assign(kept, "grpo", reward="outcome").values
    for g in range(kept.layout.G):
        assert np.all(credit[kept.layout.step_group == g] != 0)


@pytest.mark.parametrize("seed", range(20))
def test_where_outcomes_are_right_or_wrong_the_code_of_dapo_keeps_the_same_and_lone_rollouts(seed):
    batch = crowd(seed)
    alone = np.bincount(batch.layout.group)[batch.layout.group] == 1
    paper, code = (select(batch, name).selection.keep for name in ("dapo", "variance@verl"))
    np.testing.assert_array_equal(code, paper | alone)


def test_a_stored_success_revives_a_failed_group():
    failed = of(group=[0] * 4, rollout=[0, 1, 2, 3], outcome=[0] * 4).with_columns(stored=A([5]))
    made = select(failed, "rapo")
    assert made.batch.layout.R == 3 and sorted(made.selection.replay.tolist()) == [-1, -1, -1, 5]
    repaired = on_columns("grpo", {"group": [0] * 4, "rollout": [0, 1, 2, 3], "outcome": [1, 0, 0, 0]}, eps=0.0)
    np.testing.assert_allclose(repaired, [1.5, -0.5, -0.5, -0.5])


@pytest.mark.parametrize("seed", range(20))
def test_without_dead_groups_rapo_changes_nothing_and_its_advantage_is_that_of_grpo(seed):
    batch = select(crowd(seed), "dapo").batch
    made = select(batch, "rapo", prune=1.1)
    assert made.batch is batch and np.all(made.selection.priority == 1)
    both = [assign(batch, m, reward="outcome", spread="population", eps=1e-6).values for m in ("fathom_rapo", "grpo")]
    np.testing.assert_allclose(*both, atol=1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_r3l_without_amplification_and_full_success_is_dr_grpo(seed):
    batch = random_batch(seed)
    same = [assign(batch, "r3l", alpha=1.0, full=99.0).values, assign(batch, "dr_grpo").values]
    np.testing.assert_allclose(*same, atol=1e-12)


def test_r3l_masks_what_its_selector_masks():
    batch = random_batch(2)
    np.testing.assert_array_equal(
        assign(batch, "r3l").extras["train_mask"], select(batch, "r3l_pivot").selection.train_mask
    )


# Single selectors against plain loops.


@pytest.mark.parametrize("seed", range(30))
def test_prof_keeps_as_even_numbers_as_it_can(seed):
    batch = crowd(seed)
    lay, right = batch.layout, batch["outcome"] >= 1
    keep = prof(lay, batch["outcome"], batch["score"], remove=3).keep
    for g in range(lay.G):
        mine = lay.group == g
        rights, wrongs, n = right[mine].sum(), (~right)[mine].sum(), max(mine.sum() - 3, 0)
        kept = (keep & right)[mine].sum(), (keep & ~right)[mine].sum()
        assert sum(kept) == n
        best = min(abs(2 * k - n) for k in range(n + 1) if k <= rights and n - k <= wrongs)
        assert abs(kept[0] - kept[1]) == best


@pytest.mark.parametrize("seed", range(30))
def test_a_repair_is_asked_after_the_steps_before_the_first_low_one(seed):
    batch = random_batch(seed)
    lay, score = batch.layout, np.where(batch["score"] == 0.75, np.nan, batch["score"])
    resume = scope_correct(lay, batch["outcome"], score, tau=0.5, each=9).resume
    for r in range(lay.R):
        path = lay.paths.rows[lay.paths.start[r] : lay.paths.start[r + 1]]
        error = next((t for t, s in enumerate(path) if score[s] < 0.5), 0)
        assert resume[r] == (error if batch["outcome"][r] < 1 and error else -1)


@pytest.mark.parametrize("seed", range(10))
def test_a_budget_for_mixed_groups_is_spent_as_well_as_it_can_be(seed):
    rng = np.random.default_rng(seed)
    p, lay = rng.random(3), Layout(np.arange(3), np.zeros(0, int))
    got = v0_budget(lay, p, budget=4, most=8, utility="mixed").more
    value = lambda n: sum(1 - q**k - (1 - q) ** k for q, k in zip(p, n, strict=True))  # noqa: E731
    best = max(value(n) for n in itertools.product(range(2, 9), repeat=3) if sum(n) <= 12)
    assert got.sum() == 12 and abs(value(got) - best) < 1e-12


@pytest.mark.parametrize("utility", ["signal", "mixed"])
def test_a_budget_may_begin_at_nothing_and_leaves_certain_prompts_there(utility):
    lay = Layout(np.arange(3), np.zeros(0, int))
    assert v0_budget(lay, A([1.0, 0.5, 0.0]), budget=2, least=0, utility=utility).more.tolist() == [0, 6, 0]


@pytest.mark.parametrize("seed", range(20))
def test_confidence_is_that_of_the_two_most_frequent_answers(seed):
    rng = np.random.default_rng(seed)
    group = np.concatenate((np.arange(3), rng.integers(0, 3, 20)))
    answer, lay = rng.integers(0, 4, 23), Layout(group, np.arange(23))
    made = {k: 1 - blend_asc(lay, answer, confidence=k, categories=3).priority for k in ("asc", "ppr", "blend")}
    for g in range(3):
        a, b = sorted(np.bincount(answer[group == g], minlength=4).tolist())[:1:-1]
        n = a + b + 1
        asc = sum(comb(n, k) for k in range(a + 1)) / 2**n
        ppr = 1 - min(1, 2 * n * comb(a + b, a) / 2 ** (a + b))
        want = {"asc": asc, "ppr": ppr, "blend": asc + 23 / 24 * (ppr - asc)}
        assert {k: v[g] for k, v in made.items()} == pytest.approx(want, abs=1e-9)


@pytest.mark.parametrize("seed", range(20))
def test_a_streak_is_counted_from_the_latest_answer_back(seed):
    rng = np.random.default_rng(seed)
    group = np.concatenate((np.arange(3), rng.integers(0, 3, 20)))
    answer = rng.integers(0, 2, 23)
    got = 1 - blend_asc(Layout(group, np.arange(23)), answer, confidence="streak", window=4).priority
    for g in range(3):
        mine = answer[group == g][::-1].tolist()
        run = next((i for i, a in enumerate(mine) if a != mine[0]), len(mine))
        assert got[g] == min(run / 4, 1)


def test_a_rollout_without_steps_is_no_sample():
    made = blend_asc(Layout(A([0, 0, 1]), A([0, 1])), A([3, 3, 3]), confidence="asc", most=2)
    assert made.more.tolist() == [0, 1] and made.priority.tolist() == pytest.approx([0.125, 0.5])


def test_questions_share_a_budget_until_it_is_spent():
    counts = np.ones(4, int)
    answers = [[0], [0], [0], [0]]
    rng = np.random.default_rng(0)
    for _ in range(40):
        group = np.repeat(np.arange(4), counts)
        lay = Layout(group, np.arange(group.size))
        more = blend_asc(lay, A([a for mine in answers for a in mine]), budget=6).more
        for q in np.flatnonzero(more):
            answers[q].append(int(rng.random() < 0.1 + 0.1 * q))
        counts += more
    assert counts.sum() == 24 and counts.min() >= 2
