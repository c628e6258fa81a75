"""Options that the tests of a system leave at their defaults reach what they are for."""

import pytest
from given import Completer, Writer, labelled, rollout
from test_omegaprm import EIGHT, GAME, game24

from stepcredit.label.run import label
from stepcredit.label.work import Setting
from stepcredit.llm.requests import Ask
from stepcredit.llm.scripted import Scripted


def test_shares_at_the_threshold_are_wrong():
    model = {"sampler": Completer(8, 8, 4, 2).sampler}
    plain = labelled("math_shepherd", rollout("a", "b", "c"), model)
    strict = labelled("math_shepherd", rollout("a", "b", "c"), model, threshold=0.5)
    assert plain.label.tolist() == [1, 1, 0] and strict.label.tolist() == [1, 0, 0]
    assert (plain.first_error, strict.first_error) == (2, 1)


def test_completions_end_at_the_first_share_that_is_not_above_the_threshold():
    model = Completer(8, 8, 2, 2, 0)
    judge = Scripted(["<first_wrong>2</first_wrong>"])
    models = {"sampler": model.sampler, "judge": judge.judge}
    one = labelled("qwen_prm_lessons", rollout(*"abcd"), models, threshold=0.25, tell=True)
    assert model.asked == [1, 2] and one.first_error == 1 and one.facts["kept"]
    assert "24" in judge.asked[0]


def test_so_many_completions_of_each_prefix():
    given = [rollout("a", "b", "c"), rollout("x", outcome=1.0, name=1)]
    one = labelled("scan", given, {"sampler": Completer(8, 8, 0, 0).sampler}, n=3, min_ability=0.0)[0]
    assert one.drawn.tolist() == [3, 3] and one.spent["sample"] == 6


def test_below_the_floor_there_is_nothing_left_to_fall():
    scores = {"": 0.04, "a": 0.04, "b": 0.04}
    model = {"scorer": lambda prefixes, steps: [scores[s] for s in steps]}
    assert labelled("autopsv", rollout("a", "b"), model).first_error == -1
    assert labelled("autopsv", rollout("a", "b"), model, floor=0.05).first_error == 0


def test_a_doubted_step_is_completed_at_most_so_often():
    """7 of 8 chances would be needed to be sure of a zero behind a rare success."""
    drawn = []
    for most in (1, 3):
        model = Completer(8, *[1] * 4, 0, 0, 0, 0)
        one = labelled("omegaprm", rollout(*EIGHT), {"sampler": model.sampler}, doubt=0.05, most=most)
        drawn.append(one.drawn.max())
    assert drawn == [8, 24]


class Door:
    """The model of Game of 24 as everybody; remembers what it was asked."""

    def __init__(self):
        self.prefixes, self.questions = [], 0

    async def each(self, request):
        if isinstance(request, Ask):
            self.questions += 1
            return "<pair>none</pair>"
        if request.to == "checker":
            return 1.0
        self.prefixes.append(getattr(request, "prefix", None))
        return await GAME.each(request)


def grown(system, **options):
    """What a tree asks: the prefixes that it completes tell which rollouts it chose."""
    given, _ = game24(4)
    door, setting = Door(), Setting(max_tokens=128)
    models = dict.fromkeys(("sampler", "verifier", "stronger", "judge", "checker"), door)
    list(label(given, system, models, setting=setting, **options))
    return door


CHOICES = [
    *(
        (tree, {"searches": 6, "n": 32}, option)
        for tree in ("omegaprm@tree", "rearter")
        for option in ("alpha", "beta", "c")
    ),
    ("alphamath", {"iterations": 12}, "c"),
    ("groundedprm", {"iterations": 12, "enough": 20}, "c"),
    ("prorag", {"simulations": 40}, "c"),
]


@pytest.mark.parametrize(("system", "small", "option"), CHOICES)
def test_what_a_tree_goes_by_decides_where_it_grows(system, small, option):
    other = {option: 100.0 if option == "c" else 1e-6}
    assert grown(system, **small).prefixes != grown(system, **small, **other).prefixes


def test_rearter_counts_length_and_ends_with_its_budget():
    plain = grown("rearter", n=32, searches=6).prefixes
    assert grown("rearter", n=32, searches=6, length=0.1).prefixes != plain
    assert len(grown("rearter", n=32, searches=6, budget=1).prefixes) < len(plain)


def test_rearter_calls_right_what_is_above_its_threshold():
    given = [rollout("a", "b", "c", "d"), rollout("x", outcome=1.0, name=1)]

    def right(threshold):
        model = Completer(4, 6, 4, 4, 4)
        one = labelled("rearter", given, {"sampler": model.sampler}, n=8, threshold=threshold)[0]
        return one.label[(one.drawn > 0) & (one.value == 0.5)]

    assert (right(0.5) == 0).all() and (right(0.4) == 1).all() and right(0.4).size


def test_groundedprm_backs_up_less_with_every_level():
    tree = Writer({"": ["a"], "a\n": ["x"]}, {"a\n": ["x\nso 24"], "a\nx\n": ["so 24"]})
    models = {"sampler": tree.sampler, "checker": lambda steps, before: [1.0] * len(steps)}
    for decay, value in ((0.5, 1.25), (0.9, 1.45)):
        rows = labelled("groundedprm", rollout("z"), models, iterations=2, decay=decay)
        assert rows[1].value.tolist()[:2] == pytest.approx([value, 1.0])


def test_prorag_goes_no_deeper_than_told_and_looks_into_what_was_visited_often():
    tree = Writer({"": ["a"], "a\n": ["b"], "a\nb\n": ["c"]}, {"a\n": ["so 24"], "a\nb\n": ["so 24"]})
    models = {"sampler": tree.sampler, "judge": Scripted({"": "<pair>none</pair>"}).judge}
    for depth in (1, 3):
        tree.heats.clear()
        labelled("prorag", rollout("z"), models, simulations=8, depth=depth)
        assert len(tree.heats) == depth
    assert grown("prorag", simulations=40, least=1).questions > grown("prorag", simulations=40, least=40).questions
