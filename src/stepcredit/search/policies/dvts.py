"""Diverse verifier tree search: several small beams that never compete, so that they stay different."""

from functools import partial
from typing import Literal

from stepcredit.errors import StepCreditError
from stepcredit.llm.requests import Continue, Failed, Plan, Score
from stepcredit.ops import Aggregate, highest
from stepcredit.search.engine import Search
from stepcredit.search.tree import Node
from stepcredit.shelf import PlanCard

CARD = PlanCard(
    title="Diverse Verifier Tree Search",
    paper="Hugging Face, Scaling test-time compute with open models (2024)",
    bibtex="""@misc{beeching2024scaling,
  title={Scaling test-time compute with open models},
  author={Beeching, Edward and Tunstall, Lewis and Rush, Sasha},
  year={2024}, howpublished={Hugging Face}}""",
    evidence="official code read",
    asks=("sampler", "scorer"),
    needs="a task written in steps",
    cost="n steps and n opinions per depth, and with lookahead as many more steps again",
    departures="A subtree ends with a complete solution, not at the text 'boxed{' alone. All candidates of its last "
    "step are results, as in the code. Lookahead is scored (search-and-learn's beam search writes it and does not).",
    code="https://github.com/huggingface/search-and-learn (sal/search/diverse_verifier_tree_search.py)",
)


def dvts(
    search: Search,
    *,
    n: int = 16,
    width: int = 4,
    lookahead: int = 0,
    how: Aggregate = "last",
    choose: Literal["best", "vote"] = "best",
) -> Plan[Node | None]:
    """n // width subtrees; each takes `width` next steps and goes on with the best of them.

    Args:
        width: candidates of a subtree, M. lookahead: further greedy steps that a candidate is scored with.
        how: from scores of steps to that of a partial solution. choose: "best", or weighted "vote", among the last
            candidates of all subtrees that are complete.

    Raises:
        StepCreditError: n is no multiple of width.
    """
    if width < 1 or n < width or n % width or lookahead < 0:
        raise StepCreditError(f"n must be a multiple of width, at least once, lookahead 0 or more; got {n}, {width}")
    search.choose = partial(search.best if choose == "best" else search.vote, how)
    subtrees = [search.root] * (n // width)
    while subtrees:
        made = yield from search.propose(subtrees, width)
        yield from _score(search, [child for children in made for child in children], lookahead)
        following = []
        for children in made:
            place = highest(search.tree.aggregated(children, how))
            if place is None:
                continue
            for child in children:
                child.kept = child is children[place] or (children[place].ended and child.ended)
            if not children[place].ended:
                following.append(children[place])
        subtrees = following
    return None


def _score(search: Search, nodes: list[Node], lookahead: int) -> Plan[None]:
    """Scores of nodes; of those that are not complete, with what greedily follows."""
    if lookahead < 1:
        yield from search.score(nodes)
        return
    writing = search.writing
    ahead = {node: "" for node in nodes if not node.ended}
    for _ in range(lookahead):
        replies = yield [
            Continue(
                search.task.prompt,
                search.prefix(node) + text,
                1,
                writing.max_tokens,
                0.0,
                (writing.separator,),
                search.draw(),
                "sampler",
                search.task.history,
            )
            for node, text in ahead.items()
        ]
        for node, reply in zip(list(ahead), replies, strict=True):
            if isinstance(reply, Failed):
                continue
            search.ledger.calls += len(reply)
            search.ledger.decode += sum(s.written or 0 for s in reply)
            search.ledger.prefill += sum(s.read or 0 for s in reply)
            ahead[node] += reply[0].text + writing.separator if reply[0].text else ""
    scores = yield [
        Score(search.task.prompt + search.prefix(node.parent or search.root), _step(search, node, ahead.get(node, "")))
        for node in nodes
    ]
    search.ledger.score += len(nodes)
    for node, reply in zip(nodes, scores, strict=True):
        failed = isinstance(reply, Failed)
        node.status, node.reason = ("failed", reply.reason) if failed else ("ok", None)
        node.score = float("nan") if failed else float(reply)


def _step(search: Search, node: Node, ahead: str) -> str:
    return node.text + search.writing.separator + ahead if ahead else node.text
