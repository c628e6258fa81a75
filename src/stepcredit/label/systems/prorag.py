"""ProRAG: tree search over rollouts of retrieval; a judge picks a better and a worse one of the steps of a state."""

from typing import Any

import numpy as np

from stepcredit.errors import StepCreditError
from stepcredit.evidence._prompts import Unreadable, last, quoted
from stepcredit.label._grow import NAN, Grown, State, back_up, puct
from stepcredit.label.labels import Labels
from stepcredit.label.work import Work
from stepcredit.llm.requests import BudgetSpent, Failed, Plan
from stepcredit.shelf import PlanCard

CARD = PlanCard(
    title="ProRAG: Process-Supervised Reinforcement Learning for Retrieval-Augmented Generation",
    paper="arXiv:2601.21912",
    bibtex="""@misc{wang2026prorag,
  title={ProRAG: Process-Supervised Reinforcement Learning for Retrieval-Augmented Generation},
  author={Wang, Zhao and Zhao, Ziliang and Dou, Zhicheng},
  year={2026}, eprint={2601.21912}, archivePrefix={arXiv}}""",
    evidence="official code read",
    asks=("sampler", "verifier", "judge"),
    needs="a sampler that retrieves by itself, and the answers; the paper's verifier is token F1",
    cost="`expand` steps and a completion for every simulation that makes something new; a question to the judge per "
    "state with two visited children",
    departures="The pairs for its process reward model alone. The judge's prompt is ours. Given rollouts are in the "
    "tree from the beginning. What is simulated is not in the tree, but labeled with it.",
    code="https://github.com/lilinwz/ProRAG",
)


def prorag(
    works: list[Work],
    *,
    simulations: int = 200,
    expand: int = 5,
    depth: int = 10,
    c: float = 2.5,
    gamma: float = 0.99,
    least: int = 3,
    retries: int = 0,
) -> Plan[list[Labels]]:
    """value_t = Q / N of the state; label_t = 1 of a step that the judge prefers to a sibling, 0 of that sibling.

        select: max Q / N + c P sqrt(N_parent) / (1 + N), P even among siblings
        back up: the reward of one greedy completion of a new child, times gamma per level

    All other steps are not judged. `facts` hold the pairs on a solution's way: step, chosen, rejected.

    Args:
        simulations: descents. expand: steps drawn at an expansion; those that read alike are one. depth: longest way.
        least: children visited at least so often are looked into for pairs of their own.
        retries: how often a judge whose reply failed or could not be read is asked again.

    Raises:
        StepCreditError: expand, depth or least < 1, simulations or retries < 0.
    """
    if min(expand, depth, least) < 1 or min(simulations, retries) < 0:
        raise StepCreditError(
            "expand, depth and least are at least 1, simulations and retries at least 0; "
            f"got {expand}, {depth}, {least}, {simulations}, {retries}"
        )
    tree = Grown(works)
    drawn: dict[tuple[str, ...], float] = {}
    facts: dict[str, Any] = {}
    for steps, right in tree.given():
        if right == right:
            back_up(tree.walk(steps, right), right, gamma)
    try:
        for _ in range(simulations):
            if not (yield from _simulate(tree, drawn, expand, depth, c, gamma)):
                break
        yield from _pairs(tree, least, retries)
    except BudgetSpent as error:
        facts["budget"] = error.message
    found = [*tree.ended(), *drawn.items()]
    return tree.labels(found, lambda path, _: _told(path, facts))


def _simulate(
    tree: Grown, drawn: dict[tuple[str, ...], float], expand: int, depth: int, c: float, gamma: float
) -> Plan[bool]:
    """One descent; False where the tree cannot grow."""
    at = tree.root
    while at.facts.get("expanded"):
        for child in at.children:
            child.prior = 1 / len(at.children)
        open_ = [s for s in at.children if "dead" not in s.facts]
        if not open_:
            at.facts["dead"] = True
            return at is not tree.root
        bound = puct(open_, at.visits, c)
        at = open_[int(np.argmax(bound))]
    if at.ended or len(at.steps) >= depth:
        yield from tree.settle([at])
        if at.right != at.right:
            at.facts["dead"] = True
        back_up(at, at.right, gamma)
        return True
    at.facts["expanded"] = True
    made = yield from tree.extend(at, expand)
    if made:
        yield from _play(tree, made[int(tree.rng.integers(len(made)))], drawn, gamma)
    return True


def _play(tree: Grown, child: State, drawn: dict[tuple[str, ...], float], gamma: float) -> Plan[None]:
    """Complete a new child greedily; a known outcome of one that has ended is its reward."""
    if child.ended:
        yield from tree.settle([child])
        back_up(child, child.right, gamma)
        return
    (made,) = yield from tree.complete([child], 1, temperature=0.0)
    for one in made:
        if one.right == one.right:
            drawn[one.steps] = one.right
        back_up(child, one.right, gamma)


def pair_prompt(task: str, before: list[str], candidates: list[State]) -> str:
    """Asks for a better and a worse one of the next steps, if they clearly differ."""
    told = [("question", task), *((f"step {i}", s) for i, s in enumerate(before, 1))]
    told += [
        (f"candidate {i} (mean reward {s.mean:.3f}, {s.visits} visits)", s.steps[-1])
        for i, s in enumerate(candidates, 1)
    ]
    return f"""Compare candidates for the next step of a search for an answer. Choose one that is clearly better than \
another: more to the point, better grounded, leading on. The rewards come from few trials: weigh them with what you \
read.

{quoted(*told)}

End with one line of this form, where NUMBERS are the better candidate and the worse one, as in 3, 1, or the word \
none if no two clearly differ:
<pair>NUMBERS</pair>"""


def read_pair(reply: str, size: int) -> tuple[int, int] | None:
    """Indices of the better and the worse candidate; None = no clear pair.

    Raises:
        Unreadable: no verdict of the form, a candidate that is not there, or one against itself.

    >>> read_pair("<pair>3, 1</pair>", 3), read_pair("<pair>none</pair>", 3)
    ((2, 0), None)
    """
    found = last(reply, "pair", r"(?:none|(\d{1,6})\s*,\s*(\d{1,6}))")
    if found[1] is None:
        return None
    better, worse = int(found[1]) - 1, int(found[2]) - 1
    if better == worse or not (0 <= better < size and 0 <= worse < size):
        raise Unreadable("names one that is not there, or one twice")
    return better, worse


def _pairs(tree: Grown, least: int, retries: int) -> Plan[None]:
    """Level by level, all states of a level at once."""
    level = [tree.root]
    task = tree.works[0].record.task or ""
    while level:
        asked = [(s, [k for k in s.children if k.visits]) for s in level]
        asked = [(s, known) for s, known in asked if len(known) > 1]
        for _ in range(retries + 1):
            if not asked:
                break
            prompts = [pair_prompt(task, list(s.steps), known) for s, known in asked]
            replies = yield from tree.ask(prompts)
            asked = [one for one, reply in zip(asked, replies, strict=True) if not _settled(*one, reply)]
        level = [k for s in level for k in s.children if k.visits >= least]


def _settled(state: State, known: list[State], reply: str | Failed) -> bool:
    """Keep what the judge says; False where it says nothing that can be read."""
    try:
        if isinstance(reply, Failed):
            raise Unreadable(reply.reason)
        pair = read_pair(reply, len(known))
    except Unreadable as error:
        for child in known:
            child.facts["why"] = str(error)
        return False
    for child in known:
        child.facts.pop("why", None)
    if pair is not None:
        better, worse = known[pair[0]], known[pair[1]]
        better.checked, worse.checked = 1.0, 0.0
        step = len(state.steps)
        better.facts["pair"] = {"step": step, "chosen": better.steps[-1], "rejected": worse.steps[-1]}
    return True


def _told(path: list[State | None], facts: dict[str, Any]) -> dict[str, Any]:
    pairs = [s.facts["pair"] for s in path if s is not None and "pair" in s.facts]
    why = tuple(None if s is None else s.facts.get("why") or (None if s.visits else s.reason) for s in path)
    return {
        "value": np.array([NAN if s is None else s.mean for s in path]),
        "label": np.array([NAN if s is None else s.checked for s in path]),
        "reasons": why,
        "facts": {**facts, "pairs": pairs},
    }
