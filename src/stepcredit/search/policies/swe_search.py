"""SWE-Search: tree search over actions with a judge's values, hindsight of siblings, and a debate at the end."""

import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Literal

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.data.layout import Floats
from stepcredit.errors import StepCreditError
from stepcredit.evidence._prompts import quoted
from stepcredit.llm.requests import Failed, Plan
from stepcredit.search._swe_terms import Terms, Weights, mean_reward, terms
from stepcredit.search.engine import Search
from stepcredit.search.judging import mark, question, read_number
from stepcredit.search.tree import Node
from stepcredit.search.weighing import softmax
from stepcredit.shelf import PlanCard

Choose = Literal["trajectory", "final", "debate"]

CARD = PlanCard(
    title="SWE-Search: Enhancing Software Agents with Monte Carlo Tree Search and Iterative Refinement",
    paper="arXiv:2410.20285",
    bibtex="""@misc{antoniades2024swesearch,
  title={{SWE-Search}: Enhancing Software Agents with {Monte Carlo} Tree Search and Iterative Refinement},
  author={Antoniades, Antonis and {\\"O}rwall, Albert and Zhang, Kexun and Xie, Yuxi and Goyal, Anirudh and
    Wang, William},
  eprint={2410.20285}, archivePrefix={arXiv}, year={2024}}""",
    evidence="official code read",
    asks=("sampler", "judge"),
    needs="a judge that gives values from -100 to 100 and says why; best with a live environment",
    cost="one action and one question per iteration; agents * rounds + 1 questions for a debate",
    departures="The terms that ask for a repository ask here for what any environment tells: an action that could not "
    "be taken asks for a correction; an action's kind is its first word, in a live environment only; a finished "
    "descendant of value 100 is penalized with or without a patch; likeness of contexts counts where `context` is "
    "given. A step whose value failed is not expanded (the code expands it first of all, as never visited), and a step "
    "without a visit is left out of mean rewards (there: 0). Selection by a model is not here. Hindsight is the "
    "siblings' actions, values and reasons before the task.",
    code="https://github.com/aorwall/moatless-tree-search",
)

PRESETS = {
    "moatless": Preset({"iterations": 10, "expansions": 1, "hindsight": False}, "the defaults of the official class"),
    "debate": Preset(
        {"choose": "debate"}, "the paper's discriminator: agents debate which finished trajectory is best"
    ),
    "softmax": Preset({"select": "softmax"}, "SoftmaxSelector of the official code"),
}

VALUE = (
    "How good is the last step, and how promising is what it leads to? Say why in two sentences, then end with a line "
    '"Reward: <number from -100 to 100>".'
)


def swe_search(
    search: Search,
    *,
    iterations: int = 100,
    expansions: int = 3,
    exploit: float = 1.0,
    explore: float = 1.0,
    depth_weight: float = 0.8,
    root_bonus: float = 0.0,
    use_mean: bool = False,
    select: Literal["best", "softmax"] = "best",
    floor: float | None = None,
    finish_first: int = 0,
    hindsight: bool = True,
    enough: float | None = None,
    least_finished: int = 1,
    most_finished: int | None = None,
    choose: Choose = "trajectory",
    agents: int = 5,
    rounds: int = 3,
    edits: str = r"(?i)^\W*(?:request|edit|write|replace|insert|change|patch)",
    context: Callable[[Node], Collection[str]] | None = None,
) -> Plan[Node | None]:
    """Of all steps that may be expanded the one of the largest score is, once; its child is done, valued, backed up.

        score = w1 * reward + w2 * sqrt(ln N_parent / n) - 0.8 sqrt(depth) + bonuses - penalties

    Args:
        iterations: most steps in the tree, the task counted. expansions: most children of a step.
        exploit, explore, depth_weight: w1, w2, 0.8. root_bonus: factor of exp(0.8), which the task alone gets.
        use_mean: the mean along the trajectory in place of the reward.
        select: "best", argmax; "softmax" draws. floor: steps of less reward are not expanded.
        finish_first: depth to which the newest step is expanded until one trajectory is finished; 0: no.
        hindsight: a further child is made with what its siblings came to before the task.
        enough: a finished step of this reward ends the search, if trajectories have finished below at least
            `least_finished` steps; `most_finished` of them end it too.
        choose: of finished trajectories that of the highest mean reward, of the highest "final" reward, or by "debate"
            of so many agents in so many rounds.
        edits: pattern of actions that change something. context: what a step has in view, as names.

    Raises:
        StepCreditError: no iterations or expansions.
    """
    if iterations < 1 or expansions < 1:
        raise StepCreditError(f"iterations and expansions must be at least 1; got {iterations}, {expansions}")
    search.choose = lambda: _best(search.tree.leaves(), choose)
    weights = Weights(exploit, explore, depth_weight, root_bonus, use_mean, re.compile(edits), context)
    search.root.facts["open"] = True
    while len(search.tree.nodes) < iterations and not _enough(search, enough, least_finished, most_finished):
        node = _select(search, weights, expansions, select, floor, finish_first)
        if node is None:
            break
        before = _hindsight(node) if hindsight and node.children else ""
        made = (yield from search.propose([node], 1, before=before))[0]
        if not made:
            node.facts["open"] = False
            continue
        child = made[0]
        if child.text in (sibling.text for sibling in node.children[:-1]):
            child.facts.update({"duplicate": True, "open": False})
            child.kept = False
            continue
        yield from _value(search, child)
        child.facts["open"] = not child.ended and child.score == child.score
    return (yield from _debate(search, agents, rounds)) if choose == "debate" else None


def _value(search: Search, child: Node) -> Plan[None]:
    (reply,) = yield from search.ask([question(search, child, VALUE)])
    value, why = read_number(reply, "Reward", -100, 100)
    mark(child, value, why)
    if why is not None:
        return
    if isinstance(reply, str):
        child.facts["why"] = reply.strip()
    at: Node | None = child
    while at is not None:
        at.visits, at.value = at.visits + 1, at.value + value
        at = at.parent


def _select(
    search: Search, weights: Weights, expansions: int, select: str, floor: float | None, finish_first: int
) -> Node | None:
    may = [n for n in search.tree.nodes if n.facts.get("open") and len(n.children) < expansions]
    if not may:
        return None
    if finish_first and not search.tree.leaves() and max(n.depth for n in search.tree.nodes) < finish_first:
        return may[-1]
    if floor is not None:
        may = [n for n in may if weights.reward(n) >= floor] or [n for n in may if n.parent is None]
        if not may:
            return None
    found: list[Terms] = [terms(n, weights, search.tree, search.task.world is not None) for n in may]
    score: Floats = np.array([t.total for t in found])
    if select == "best" or np.isinf(score).any():
        place = int(np.argmax(score))
    else:
        place = int(search.rng.choice(score.size, p=softmax(score)))
    may[place].facts["terms"] = found[place].known()
    return may[place]


def _finished(search: Search) -> list[Node]:
    """One finished step per step that it follows."""
    leaves = search.tree.leaves()
    first = {n.parent: n for n in reversed(leaves)}
    return [n for n in leaves if first[n.parent] is n]


def _enough(search: Search, enough: float | None, least: int, most: int | None) -> bool:
    done = _finished(search)
    if most is not None and len(done) >= most:
        return True
    return enough is not None and len(done) >= least and any(n.score >= enough for n in search.tree.leaves())


def _hindsight(node: Node) -> str:
    """What was tried at this step before, and what came of it."""
    tried = [
        (f"tried {i}", f"{c.text}\nvalue {c.score:g}: {c.facts.get('why', '')}" if c.score == c.score else c.text)
        for i, c in enumerate(node.children, start=1)
        if not c.facts.get("duplicate")
    ]
    return f"{quoted(*tried)}\n\nThese were tried next before, in other attempts. Do something better.\n\n"


def _best(leaves: Sequence[Node], choose: Choose) -> Node | None:
    worth = mean_reward if choose != "final" else (lambda n: float(n.score))
    known = [(w, n) for n in leaves if (w := worth(n)) == w]
    return max(known, key=lambda one: one[0])[1] if known else next(iter(leaves), None)


def _debate(search: Search, agents: int, rounds: int) -> Plan[Node | None]:
    """Agents say which finished trajectory is best, read one another, and a last question concludes."""
    leaves = _finished(search)
    if len(leaves) < 2:
        return leaves[0] if leaves else None
    shown = quoted(
        ("task", search.task.prompt),
        *((f"solution {i}", search.text(n)) for i, n in enumerate(leaves, start=1)),
    )
    form = 'End with a line "Choice: <number of the solution>".'
    said: list[str] = []
    for _ in range(rounds):
        heard = "".join(f"\n\nAnother agent said:\n{one}" for one in said)
        asked = f"{shown}{heard}\n\nWhich solution is best? Say why. {form}"
        replies = yield from search.ask([asked] * agents)
        said = [r for r in replies if not isinstance(r, Failed)]
        if not said:
            break
    (reply,) = yield from search.ask([f"{shown}\n\n" + "\n\n".join(said) + f"\n\nConclude from what was said. {form}"])
    number, why = read_number(reply, "Choice", 1, len(leaves))
    if why is not None or number != int(number):
        votes = Counter(int(v) for r in said if (v := read_number(r, "Choice", 1, len(leaves))[0]) == v)
        search.notes.append(f"the debate ended without a choice: {why}")
        if not votes:
            return None
        number = votes.most_common(1)[0][0]
    return leaves[int(number) - 1]
