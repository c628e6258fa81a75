"""Step beams, DVTS, MCTS, particles, iterative deepening: worked examples, and what each does with a tree."""

import numpy as np
import pytest

from stepcredit.errors import StepCreditError
from stepcredit.protocols import Sample
from stepcredit.search import Task, Writing, solve
from stepcredit.search.policies import mcts, step_beam
from stepcredit.search.tree import Node
from stepcredit.search.weighing import softmax, systematic

MANNER = Writing(ends="^Answer", depth=6)


class Lines:
    """Writes given lines in turn: prefix -> its next steps; an answer ends."""

    def __init__(self, following):
        self.following, self.place, self.prompts = following, {}, []

    def __call__(self, prompts, *, n=1, max_tokens=256, temperature=1.0, stop=()):
        return [[self.one(p, stop, temperature) for _ in range(n)] for p in prompts]

    def one(self, prompt, stop, temperature):
        self.prompts.append((prompt, temperature))
        lines = []
        while True:
            options = self.following(prompt + "".join(f"{x}\n" for x in lines))
            at = self.place.get(prompt, 0) if not lines else 0
            if not lines:
                self.place[prompt] = at + (temperature > 0)
            lines.append(options[at % len(options)])
            if stop or lines[-1].startswith("Answer"):
                break
        text = "\n".join(lines)
        tokens = tuple(text.split())
        return Sample(text, tokens, np.full(len(tokens), np.log(0.5)), ended=lines[-1].startswith("Answer"))


def tree(prompt):
    done = [line for line in prompt.split("\n") if line][1:]
    if not done:
        return ["a", "b", "c", "d"]
    return [f"{done[-1]}{i}" for i in range(2)] if len(done) < 3 else [f"Answer {done[-1]}"]


def by(values, default=0.5):
    return lambda prefixes, steps: [values.get(s, default) for s in steps]


def run(policy, scorer, sampler=None, **options):
    ((_, found),) = solve([Task("Q\n", "q")], policy, {"sampler": sampler or Lines(tree), "scorer": scorer},
                          writing=MANNER, **options)  # fmt: skip
    return found


def test_step_beam_keeps_by_value_over_all_parents():
    """alphamath-sbs spec: values .9, .4, .7 and two slots keep .9 and .7."""
    nodes = [Node(i, score=s, status="ok") for i, s in enumerate((0.9, 0.4, 0.7, float("nan")))]
    assert [n.score for n in step_beam.keep(nodes, 2)] == [0.9, 0.7]
    assert len(step_beam.keep(nodes, 9)) == 3


def test_a_complete_solution_takes_its_slot_with_it():
    def following(prompt):
        return ["Answer now", "x", "y"] if prompt == "Q\n" else tree(prompt)

    found = run("step_beam", by({"Answer now": 0.9, "x": 0.7, "y": 0.4}), Lines(following), beams=2, expand=3)
    level = [n for n in found.tree.nodes if n.depth == 2]
    assert {n.parent.text for n in level} == {"x"}
    assert found.answer == "Answer now"


def test_ovm_lets_complete_solutions_compete():
    def following(prompt):
        return ["Answer now", "x", "y", "z"] if prompt == "Q\n" else tree(prompt)

    values = {"Answer now": 0.3, "x": 0.9, "y": 0.8, "z": 0.7}
    found = run("ovm", by(values, 0.6), Lines(following), beams=2, expand=2)
    assert found.answer != "Answer now"
    assert len([n for n in found.tree.nodes if n.depth == 1]) == 4


def test_dvts_subtrees_do_not_compete():
    scores = {"a": 0.9, "b": 0.1, "c": 0.2, "d": 0.3}
    found = run("dvts", by(scores), n=4, width=2)
    assert {n.parent.text for n in found.tree.nodes if n.depth == 2} == {"a", "d"}


def test_dvts_lookahead_is_greedy_and_scored():
    seen = []

    def scorer(prefixes, steps):
        seen.extend(zip(prefixes, steps, strict=True))
        return [0.9 if p.endswith("b\n") else 0.1 for p in prefixes]

    lines = Lines(tree)
    found = run("dvts", scorer, lines, n=2, width=2, lookahead=1)
    assert ("Q\na\n", "a0") in seen
    assert any(t == 0.0 for _, t in lines.prompts)
    assert {n.parent.text for n in found.tree.nodes if n.depth == 2 and "aside" not in n.facts} == {"b"}


def test_puct_and_openr_scores_of_the_specs():
    """alphamath-sbs: .7692 and 2.0345; search-baselines: OpenR .99546."""
    q, p, n = np.array([0.2, -0.1]), np.array([0.6, 0.9]), np.array([4.0, 1.0])
    assert mcts.bounds(q, p, n, 10, "puct", 1.5) == pytest.approx([0.7692, 2.0345], abs=5e-5)
    one = mcts.bounds(np.array([0.6]), np.array([0.5]), np.array([4.0]), 10, "alphazero", 1.0)
    assert one == pytest.approx([0.99546], abs=5e-6)


@pytest.mark.parametrize("preset", ["mcts", "mcts@uct", "mcts@openr", "alphamath_mcts"])
def test_mcts_finds_the_one_good_leaf(preset):
    def scorer(prefixes, steps):
        whole = [p + s for p, s in zip(prefixes, steps, strict=True)]
        return [0.99 if "Answer b10" in w else 0.6 if "Q\nb" in w and "b0" not in w else 0.05 for w in whole]

    found = run(preset, scorer, iterations=80 if preset == "mcts@uct" else 25)
    assert found.answer == "Answer b10"
    root = found.tree.root
    values = [v.value for v in root.children if v.visits]
    assert max((n for n in root.children if n.visits), key=lambda n: n.value).text == "b"
    assert all(0 <= v <= 1 for v in values)


def test_mcts_stops_when_all_is_known():
    found = run("mcts", by({}), iterations=1000, expand=2)
    assert found.stopped == "done"
    assert found.ledger.calls < 200


def test_a_geometric_prior_needs_log_probabilities():
    def bare(prompts, n=1, **_):
        return [[Sample("x")] * n for _ in prompts]

    with pytest.raises(StepCreditError, match="log-probabilities"):
        run("alphamath_mcts", by({}), bare)


def test_particle_weights_of_the_spec():
    """search-baselines: PRM .9/.5/.1 as logits -> .8901, .0989, .0110."""
    logit = np.log(np.array([0.9, 0.5, 0.1]) / (1 - np.array([0.9, 0.5, 0.1])))
    assert softmax(logit) == pytest.approx([0.8901, 0.0989, 0.0110], abs=5e-5)


def test_resampling_is_unbiased_and_even():
    rng = np.random.default_rng(0)
    chances = np.array([0.55, 0.25, 0.2])
    counts = np.mean([np.bincount(systematic(chances, 10, rng.random()), minlength=3) for _ in range(2000)], 0)
    assert counts == pytest.approx(10 * chances, abs=0.05)


def test_particles_follow_the_score_and_its_hub_counts_it_twice():
    def scorer(prefixes, steps):
        return [0.7 if (p + s).split("\n")[1] == "a" else 0.3 for p, s in zip(prefixes, steps, strict=True)]

    def share(policy):
        ends = [run(policy, scorer, n=40, seed=i) for i in range(12)]
        leaves = [leaf.path[0].text for f in ends for leaf in f.tree.leaves()]
        return leaves.count("a") / len(leaves)

    # A score that does not change after the first step is evidence once: 7/3 squared is the ratio of the odds.
    right = (0.7 / 0.3) / (0.7 / 0.3 + 3 * 0.3 / 0.7)
    assert share("particle_filter") == pytest.approx(right, abs=0.08)
    assert share("particle_filter@its-hub") > 0.9


def test_gibbs_keeps_a_reference_as_it_was():
    found = run("particle_filter@gibbs", by({"Answer a00": 0.99}), n=16)
    assert found.answer == "Answer a00"
    with pytest.raises(StepCreditError, match="more particles"):
        run("particle_filter", by({}), n=4, iterations=4, references=1)


def test_triggers_stand_at_geometric_checkpoints():
    """ids spec: checkpoints at 256, 512, ...; a 700-token answer gets two triggers."""

    def long(prompts, n=1, **_):
        return [[Sample("Answer 1" if p.count("line") >= 7 else "line", written=100, ended=None)] * n for p in prompts]

    found = run("iterative_deepening", by({}), long, n=1, first=256, growth=2.0)
    manner = Writing(ends="^Answer", depth=40)
    ((_, found),) = solve([Task("Q\n")], "iterative_deepening", {"sampler": long}, writing=manner, n=1)
    path = found.node.path
    assert [n.facts["trigger"] for n in path if "trigger" in n.facts] == [256.0, 512.0]
    assert sum(n.tokens for n in path) == 800


@pytest.mark.parametrize(
    ("policy", "options"),
    [("step_beam", {"beams": 0}), ("dvts", {"n": 6, "width": 4}), ("mcts", {"expand": 0}),
     ("iterative_deepening", {"growth": 1.0}), ("best_of_n", {"n": 0})],
)  # fmt: skip
def test_options_that_make_no_search_are_told(policy, options):
    with pytest.raises(StepCreditError, match="must be"):
        run(policy, by({}), **options)


def test_a_beam_of_distinct_solutions_keeps_the_first_seen_of_equals():
    def following(prompt):
        return ["a", "b", "a", "c"] if prompt == "Q\n" else ["Answer x"]

    found = run("beam", by({}, 0.5), Lines(following), n=4, width=2, distinct=True)
    kept = [n.text for n in found.tree.nodes if n.depth == 1 and n.children]
    assert kept == ["a", "b"] and not any(n.kept for n in found.tree.nodes if n.depth == 1 and not n.children)


def test_a_scorer_that_gives_nan_has_failed():
    found = run("best_of_n", lambda p, s: [float("nan")] * len(s), n=2)
    nodes = [n for n in found.tree.nodes if n.parent]
    assert {n.status for n in nodes} == {"failed"} and all(n.reason for n in nodes)


def test_a_door_that_gives_nan_has_failed_too():
    class Door:
        async def each(self, request):
            return float("nan")

    found = run("best_of_n", Door(), n=1)
    assert {n.status for n in found.tree.nodes if n.parent} == {"failed"}
