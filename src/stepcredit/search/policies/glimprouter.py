"""GlimpRouter: one token of a small model tells by its entropy who writes the step."""

from typing import Literal

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.data.layout import Floats
from stepcredit.errors import StepCreditError
from stepcredit.llm.requests import Continue, Plan
from stepcredit.search.engine import Search
from stepcredit.search.tree import NAN, Node
from stepcredit.shelf import PlanCard

CARD = PlanCard(
    title="GlimpRouter: Efficient Collaborative Inference by Glimpsing One Token of Thoughts",
    paper="arXiv:2601.05110",
    bibtex="""@misc{zeng2026glimprouter,
  title={GlimpRouter: Efficient Collaborative Inference by Glimpsing One Token of Thoughts},
  author={Zeng, Wenhao and Zhang, Xuteng and Shi, Yuling and Hu, Chao and Chen, Yuting and Shen, Beijun and
    Gu, Xiaodong},
  eprint={2601.05110}, archivePrefix={arXiv}, year={2026}}""",
    evidence="official code read",
    asks=("sampler", "draft"),
    needs="a small model that gives the log-probabilities of its likeliest next tokens",
    cost="one token of the small model and one step of either per step; the large model's answer",
    departures="Glimpsed tokens are charged. Where the small model's glimpse fails the large one writes the step. A "
    "solution that the small model ended by itself has its last step written by the large one, so that the answer is "
    "always its. In a live environment there is no thinking to close: steps are actions to the end.",
    code="https://github.com/Zengwh02/GlimpRouter",
)

PRESETS = {
    "paper": Preset({"ties": "draft"}, "the text: escalates above tau; the code at tau too"),
    "reuse": Preset({"reuse": True}, "the variant that keeps the glimpsed token as the beginning of the step"),
}


def top_entropy(logp: Floats) -> float:
    """Entropy (nats) of the likeliest tokens, renormalized: H = -sum_j p_j ln p_j, at most ln k. NaN without tokens.

    >>> round(top_entropy(np.log([0.5, 0.25, 0.15, 0.05])), 4), round(top_entropy(np.log([0.97, 0.02, 0.005])), 4)
    (1.1356, 0.1299)
    """
    given = np.asarray(logp, float)
    given = given[given > -np.inf]
    if not given.size:
        return NAN
    shifted = given - given.max()
    p = np.exp(shifted) / np.exp(shifted).sum()
    return float(-(p * (shifted - np.log(np.exp(shifted).sum()))).sum())


def glimprouter(
    search: Search,
    *,
    threshold: float = 1.0,
    ties: Literal["draft", "target"] = "target",
    first: int = 0,
    reuse: bool = False,
    budget: int = 8192,
    temperature: float = 0.6,
    close: str = "</think>",
    answer: bool = True,
) -> Plan[Node | None]:
    """The small model glimpses one token; where H_init is above tau the large one writes the step, else the small one.

    Args:
        threshold: tau, nats. ties: who writes at tau itself.
        first: steps at the beginning that the large model always writes.
        reuse: the glimpsed token is the beginning of the small model's step.
        budget: tokens of thinking; a step that repeats the one before it ends the thinking too.
        temperature: of both models; the glimpse is greedy.
        close: ends the thinking; added where the budget or a repetition ends it. "": the thinking has no such mark.
        answer: the large model writes what comes after the thinking.

    Raises:
        StepCreditError: the small model tells neither log-probabilities nor entropy of its next token.
    """
    search.choose = search.first
    node, thought = search.root, 0
    while not node.ended:
        text, entropy = ("", NAN) if node.depth < first else (yield from _glimpse(search, node))
        small = entropy < threshold or (entropy == threshold and ties == "draft")
        to = "draft" if small else "sampler"
        more = text if small and reuse else ""
        made = (yield from search.propose([node], 1, to=to, temperature=temperature, more=more))[0]
        if not made:
            return None
        before, node = node, made[0]
        node.facts.update({"source": to, **({"entropy": entropy} if entropy == entropy else {})})
        thought += node.tokens or 0
        if search.task.world is not None:
            continue
        repeated = node.depth > 2 and node.text == before.text
        if node.ended and answer and small:
            anew = (yield from search.complete([before], 1, temperature=temperature))[0]
            node.kept = not anew
            return anew[0] if anew else node
        if not node.ended and ((close and close in node.text) or repeated or thought >= budget):
            return (yield from _answer(search, node, close, answer, temperature))
    return node


def _answer(search: Search, node: Node, close: str, answer: bool, temperature: float) -> Plan[Node | None]:
    """What comes after the thinking."""
    if close and close not in node.text:
        node = search.tree.add(node, close, tokens=0)
        node.facts["source"] = "added"
    made = yield from search.complete([node], 1, to="sampler" if answer else "draft", temperature=temperature)
    return made[0][0] if made[0] else None


def _glimpse(search: Search, node: Node) -> Plan[tuple[str, float]]:
    """(the small model's next token, how undecided it was)."""
    task, before = search.task, search.prefix(node)
    asked = Continue(task.prompt, before, 1, 1, 0.0, (), search.draw(), "draft", task.history)
    (samples,) = yield from search.sample([asked])
    if not samples:
        return "", NAN
    sample = samples[0]
    if sample.top_logp:
        return sample.text, top_entropy(sample.top_logp[0])
    if sample.entropy is not None and sample.entropy.size:
        return sample.text, float(sample.entropy[0])
    if sample.text or sample.tokens:
        raise StepCreditError(
            "the draft model tells neither log-probabilities nor entropy of its next token",
            hint="ask the server for top log-probabilities",
        )
    return "", NAN
