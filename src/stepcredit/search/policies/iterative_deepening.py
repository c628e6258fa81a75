"""Iterative deepening sampling: a solution is asked to check itself at token budgets that grow geometrically."""

from dataclasses import dataclass
from typing import Literal

from stepcredit.credit.card import Preset
from stepcredit.errors import StepCreditError
from stepcredit.llm.requests import BudgetSpent, Continue, Plan
from stepcredit.protocols import Sample
from stepcredit.search.engine import Search
from stepcredit.search.tree import Node
from stepcredit.shelf import PlanCard

CARD = PlanCard(
    title="Iterative Deepening Sampling for Large Language Models",
    paper="arXiv:2502.05449",
    bibtex="""@misc{chen2025iterative,
  title={Iterative Deepening Sampling as Efficient Test-Time Scaling},
  author={Chen, Weizhe and Koenig, Sven and Dilkina, Bistra},
  eprint={2502.05449}, archivePrefix={arXiv}, year={2025}}""",
    evidence="secondary text",
    asks=("sampler",),
    may_ask=("scorer",),
    needs="a model that reconsiders when it is told to, and solutions longer than the first budget",
    cost="n solutions, and what is written after the triggers",
    departures="The trigger's words, the first budget and gamma are not established: ours, 256 and 2. What was written "
    "before a checkpoint is kept. The trigger stands at the next step boundary. A solution that ends before a "
    "checkpoint is not made to go on (preset revisit does).",
)

PRESETS = {
    "revisit": Preset(
        {"after_end": True},
        "the other reading: a solution that has ended is told to check itself at every checkpoint too",
    ),
    "best": Preset({"choose": "best"}, "best-of-N by a scorer in place of the vote"),
}


def checkpoints(first: int, gamma: float, longest: int) -> list[int]:
    """Budgets B_k = B_0 * gamma^k below the longest solution, in tokens.

    >>> checkpoints(256, 2.0, 8192)
    [256, 512, 1024, 2048, 4096]
    """
    out, at = [], float(first)
    while at < longest:
        out.append(int(at))
        at *= gamma
    return out


@dataclass
class _Written:
    """A solution under way.

    used: tokens. over: it has ended. triggers: how often it was told to check itself. cut: a failure or the limits
    ended it.
    """

    text: str = ""
    used: int = 0
    over: bool = False
    triggers: int = 0
    cut: bool = False


def iterative_deepening(
    search: Search,
    *,
    n: int = 8,
    first: int = 256,
    gamma: float = 2.0,
    trigger: str = "Wait, let me check what I have so far.",
    after_end: bool = False,
    choose: Literal["majority", "best", "vote"] = "majority",
) -> Plan[Node | None]:
    """At B_k = B_0 * gamma^k tokens a trigger is put behind what is written, and the solution goes on to B_{k+1}.

    Args:
        n: solutions. first: B_0; the last budget is the writing's `longest`. gamma: above 1.
        trigger: a step of its own. after_end: also where a solution ended before a checkpoint, except the first.
        choose: "majority" of the answers; the "best" by a scorer, or its weighted "vote".

    Raises:
        StepCreditError: a live environment; n or first < 1; gamma not above 1.
    """
    if search.task.world is not None:
        raise StepCreditError("budgets are of one text, and a live environment is acted in step by step")
    if n < 1 or first < 1 or gamma <= 1:
        raise StepCreditError(f"n, first at least 1, gamma above 1; got n={n}, first={first}, gamma={gamma}")
    search.choose = search.majority if choose == "majority" else search.best if choose == "best" else search.vote
    drafts = [_Written() for _ in range(n)]
    limits = [*checkpoints(first, gamma, search.writing.longest), search.writing.longest]
    try:
        for k, limit in enumerate(limits):
            if k:
                _trigger(search, [d for d in drafts if d.used < limit], trigger, after_end)
            yield from _write(search, [d for d in drafts if not d.over and d.used < limit], limit)
            if limit != limits[-1]:
                yield from _to_boundary(search, [d for d in drafts if not d.over])
            if all(d.over for d in drafts) and not (after_end and any(d.triggers for d in drafts)):
                break
    except BudgetSpent:
        _plant(search, drafts)
        raise
    leaves = _plant(search, drafts)
    if choose != "majority":
        yield from search.score([s for leaf in leaves for s in leaf.path] if choose == "vote" else leaves)
    return None


def _trigger(search: Search, drafts: list[_Written], trigger: str, after_end: bool) -> None:
    sep = search.writing.separator
    for d in drafts:
        if (d.over and not (after_end and d.triggers)) or not d.text:
            continue
        d.text = d.text.removesuffix(sep) + sep + trigger + sep
        d.over, d.triggers = False, d.triggers + 1


def _request(search: Search, draft: _Written, wide: int, stop: tuple[str, ...]) -> Continue:
    w, task = search.writing, search.task
    return Continue(task.prompt, draft.text, 1, wide, w.temperature, stop, search.draw(), history=task.history)


def _write(search: Search, drafts: list[_Written], limit: int) -> Plan[None]:
    """Go on to so many tokens."""
    if drafts:
        replies = yield from search.sample([_request(search, d, limit - d.used, ()) for d in drafts])
        for d, samples in zip(drafts, replies, strict=True):
            _add(d, samples, limit - d.used, stopped=False)


def _to_boundary(search: Search, drafts: list[_Written]) -> Plan[None]:
    """Go on to the end of the step that was cut."""
    sep, left = search.writing.separator, search.writing.longest
    cut = [d for d in drafts if not d.text.endswith(sep) and d.used < left]
    if cut:
        wide = [min(search.writing.max_tokens, left - d.used) for d in cut]
        asked = [_request(search, d, w, (sep,)) for d, w in zip(cut, wide, strict=True)]
        for d, samples, w in zip(cut, (yield from search.sample(asked)), wide, strict=True):
            _add(d, samples, w, stopped=True)


def _add(draft: _Written, samples: list[Sample], wide: int, *, stopped: bool) -> None:
    """What was sampled goes behind the text; without a sample the solution ends where it stands.

    stopped: it may have ended at the end of a step alone.
    """
    if not samples:
        draft.over = draft.cut = True
        return
    sample = samples[0]
    known = sample.written if sample.written is not None else len(sample.tokens) or None
    draft.text += sample.text
    draft.used += wide if known is None else known
    draft.over = not sample.text or (bool(sample.ended) if stopped else sample.finished)


def _plant(search: Search, drafts: list[_Written]) -> list[Node]:
    """The solutions as steps in the tree."""
    leaves = []
    for d in drafts:
        if d.text or d.over:
            leaf = search.chain(search.root, Sample(d.text, finished=d.over and not d.cut, written=d.used))
            leaf.facts["triggers"] = d.triggers
            leaves.append(leaf)
    return leaves
