"""Early rejection: steps are scored after their first tokens, and only the best of them are written to their end."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from stepcredit.credit.card import Preset
from stepcredit.errors import StepCreditError
from stepcredit.llm.requests import Continue, Plan
from stepcredit.protocols import Sample
from stepcredit.search.engine import Search
from stepcredit.search.picking import best, ranked, vote
from stepcredit.search.tree import Node
from stepcredit.shelf import PlanCard

CARD = PlanCard(
    title="Accelerating LLM Reasoning via Early Rejection with Partial Reward Modeling",
    paper="arXiv:2508.01969",
    bibtex="""@misc{cheshmi2025accelerating,
  title={Accelerating {LLM} Reasoning via Early Rejection with Partial Reward Modeling},
  author={Cheshmi, Seyyed Saeid and Khan, Azal Ahmad and Wang, Xinran and Liu, Zirui and Anwar, Ali},
  eprint={2508.01969}, archivePrefix={arXiv}, year={2025}}""",
    evidence="official code read",
    asks=("sampler", "scorer"),
    needs="a scorer that can read the beginning of a step",
    cost="per depth n * tau + n / width * (rest of a step) tokens and n opinions",
    departures="Complete solutions are kept and answered from (the code loses those of earlier depths). Scores belong "
    "to candidates, not to their texts. A candidate without a score is ranked last; the code says 0.5. The first depth "
    "is as wide as the others.",
    code="https://github.com/scheshmi/accelerated-reasoning-ER-PRM",
)

PRESETS = {
    "code": Preset({"narrow_start": True}, "the official code: the first depth has `width` candidates"),
    "rescored": Preset({"rescore": True}, "derived: a step is scored again when it is whole"),
}


def tokens_saved(beams: int, width: int, length: int, tau: int) -> float:
    """How many times fewer tokens a depth takes: N L / (N tau + N / M (L - tau)).

    >>> round(tokens_saved(32, 4, 128, 32), 2)
    2.29
    """
    return beams * length / (beams * tau + beams / width * max(length - tau, 0))


@dataclass(eq=False)
class _Begun:
    """The beginning of a step, where it stands in the tree, and what was sampled for it."""

    parent: Node
    sample: Sample
    node: Node


def early_rejection(
    search: Search,
    *,
    n: int = 16,
    width: int = 4,
    tau: int = 64,
    narrow_start: bool = False,
    rescore: bool = False,
    choose: Literal["best", "vote"] = "best",
) -> Plan[Node | None]:
    """Of n beginnings of tau tokens the n / width of the largest partial score are completed, step by step.

    A beginning that was rejected stays in the tree with its score and is not kept; in a live environment it is not
    acted.

    Args:
        width: beginnings per beam, M. tau: tokens after which they are scored.
        narrow_start: the first depth has `width` beginnings alone.
        rescore: steps are scored again when they are whole; else the partial score stays theirs.
        choose: the "best" complete solution by its last score, or weighted "vote".

    Raises:
        StepCreditError: n is no multiple of width; tau < 1.
    """
    if width < 1 or n < width or n % width or tau < 1:
        raise StepCreditError(f"n must be a multiple of width, tau at least 1; got n={n}, width={width}, tau={tau}")
    search.choose = partial(best if choose == "best" else vote, search, "last")
    beams, each = [search.root], width if narrow_start else n
    while beams:
        begun = yield from _begin(search, beams, each, tau)
        yield from search.score([b.node for b in begun])
        order = ranked(search.tree.aggregated([b.node for b in begun], "last")).tolist()
        whole = yield from _end(search, [begun[i] for i in order[: n // width]], tau, rescore)
        yield from search.score([node for node in whole if rescore])
        beams = [node for node in whole if not node.ended]
        each = max(n // len(beams), 1) if beams else 0
    return None


def _request(search: Search, parent: Node, more: str, n: int, wide: int) -> Continue:
    w = search.writing
    return Continue(
        search.task.prompt,
        search.prefix(parent) + more,
        n,
        wide,
        w.temperature,
        (w.separator,),
        search.draw(),
        history=search.task.history,
    )


def _begin(search: Search, beams: Sequence[Node], n: int, tau: int) -> Plan[list[_Begun]]:
    wide = min(tau, search.writing.max_tokens)
    replies = yield from search.sample([_request(search, beam, "", n, wide) for beam in beams])
    begun = []
    for beam, samples in zip(beams, replies, strict=True):
        for sample in samples:
            node = search.tree.add(beam, sample.text, kept=False, tokens=sample.written)
            node.facts["partial"] = True
            begun.append(_Begun(beam, sample, node))
    return begun


def _end(search: Search, begun: Sequence[_Begun], tau: int, rescore: bool) -> Plan[list[Node]]:
    """The whole steps of the survivors. One that could not be completed is none."""
    left = search.writing.max_tokens - tau
    cut = [b for b in begun if not b.sample.finished and left > 0]
    asked = [_request(search, b.parent, b.sample.text, 1, left) for b in cut]
    replies = (yield from search.sample(asked)) if cut else []
    rest = dict(zip(cut, replies, strict=True))
    whole = []
    for one in begun:
        if one not in rest:
            node = search.step(one.parent, one.sample)
        elif rest[one]:
            node = search.step(one.parent, rest[one][0], one.sample.text)
        else:
            continue
        node.tokens = None if node.tokens is None else node.tokens + (one.sample.written or 0) * (one in rest)
        if not rescore:
            node.score, node.status, node.reason = one.node.score, one.node.status, one.node.reason
        node.facts["beginning"] = one.node.place
        whole.append(node)
    return whole
