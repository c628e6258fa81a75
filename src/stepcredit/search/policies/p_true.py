"""P(True): a model says of its own solutions how likely they are to be true, and the likeliest is answered."""

import math
import re
from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.errors import StepCreditError
from stepcredit.evidence._prompts import Part, quoted
from stepcredit.llm.requests import BudgetSpent, Continue, Failed, Force, Plan
from stepcredit.ops import Aggregate
from stepcredit.protocols import Sample
from stepcredit.search.engine import Search
from stepcredit.search.judging import mark, parts_of
from stepcredit.search.tree import NAN, Node
from stepcredit.shelf import PlanCard

By = Literal["sampler", "forcer", "judge"]

CARD = PlanCard(
    title="P(True): Language Models (Mostly) Know What They Know",
    paper="arXiv:2207.05221",
    bibtex="""@misc{kadavath2022language,
  title={Language Models (Mostly) Know What They Know},
  author={Kadavath, Saurav and Conerly, Tom and Askell, Amanda and Henighan, Tom and Drain, Dawn and Perez, Ethan and
    others},
  eprint={2207.05221}, archivePrefix={arXiv}, year={2022}}""",
    evidence="derived",
    asks=("sampler",),
    may_ask=("forcer", "judge"),
    needs="a sampler that tells the likeliest next tokens, or a forcer; else a judge, who says True or False",
    cost="n whole solutions and n questions of one token (two log-probabilities each by a forcer)",
    departures="From the abstract, and as is common: the wording is ours. Of an option that is not among the likeliest "
    "tokens the least of these is taken, an upper bound. A solution whose question failed has no score. The paper "
    "draws 30 solutions.",
)

PRESETS = {
    "vote": Preset({"choose": "vote"}, "answers add up the P(True) of their solutions"),
    "self-check": Preset(
        {"accept": 0.5, "shown": 0},
        "self-evaluation as a stop: solutions are drawn until the model finds one rather true than false",
    ),
    "steps": Preset(
        {"unit": "step", "how": "product", "shown": 0},
        "derived: each step is asked about, and a solution is their product",
    ),
    "forcer": Preset({"by": "forcer"}, "the exact log-probabilities of both options"),
    "judge": Preset({"by": "judge"}, "derived: for models that tell no log-probabilities, 1 or 0 by what is said"),
}

_ASKED = {
    "solution": "Is the proposed answer (A) True or (B) False? Reply with the letter alone.\n\n"
    "The proposed answer is: (",
    "step": "Is the last step, after those before it, (A) True or (B) False? Reply with the letter alone.\n\n"
    "The last step is: (",
}


def chance_true(logp_true: float, logp_false: float, scale: float = 1.0) -> float:
    """P = exp(lp_A) / (exp(lp_A) + exp(lp_B)), each log-probability divided by `scale` first; NaN from NaN.

    >>> round(chance_true(-0.3, -1.6), 6)
    0.785835
    """
    if logp_true == logp_false:
        return 0.5
    gap = (logp_false - logp_true) / scale
    return NAN if gap != gap else 1 / (1 + math.exp(min(gap, 700.0)))


def options(tokens: Sequence[str], logp: Sequence[float]) -> tuple[float, float]:
    """Log-probabilities of A and of B among the likeliest tokens; NaN, NaN where neither is there.

    >>> options(["A", " B", "The"], [-0.3, -1.6, -4.0]), options(["A", "The"], [-0.1, -3.0])
    ((-0.3, -1.6), (-0.1, -3.0))
    """
    found = {"A": -math.inf, "B": -math.inf}
    for token, lp in zip(tokens, logp, strict=True):
        name = token.strip().strip("()").upper()
        if name in found:
            found[name] = float(np.logaddexp(found[name], lp))
    known = [lp for lp in found.values() if lp > -math.inf]
    if not known:
        return NAN, NAN
    floor = min(logp)
    return tuple(lp if lp > -math.inf else floor for lp in found.values())  # type: ignore[return-value]


def p_true(
    search: Search,
    *,
    n: int = 8,
    shown: int = 5,
    by: By = "sampler",
    unit: Literal["solution", "step"] = "solution",
    how: Aggregate = "last",
    choose: Literal["best", "vote"] = "best",
    accept: float | None = None,
    scale: float = 1.0,
) -> Plan[Node | None]:
    """argmax_i P(True | task, solution i), or a vote by it; with `accept` the first that is likely enough.

    Args:
        n: solutions, at most. shown: answers of other solutions that stand in the question.
        by: "sampler", from its likeliest next tokens; "forcer", the log-probability of either option; "judge", 1 or 0.
        unit: a "solution" is asked about, or each "step" after those before it. how: from steps to a solution.
        accept: solutions are drawn one by one until P(True) of one is that high; None: all n.
        scale: log-probabilities are divided by it (above 1 for models trained by reinforcement: they are too sure).

    Raises:
        StepCreditError: n < 1, a scale that is not positive; the sampler tells no log-probabilities.
    """
    if n < 1 or scale <= 0:
        raise StepCreditError(f"n must be at least 1 and scale positive; got n={n}, scale={scale}")
    search.choose = partial(search.best if choose == "best" else search.vote, how)
    leaves: list[Node] = []
    for _ in range(n if accept is not None else 1):
        made = (yield from search.complete([search.root], 1 if accept is not None else n))[0]
        leaves += made
        asked = made if unit == "solution" else list(dict.fromkeys(s for leaf in made for s in leaf.path))
        yield from _judge(search, asked, leaves, unit, by, shown, scale)
        if accept is not None and made and float(search.tree.aggregated(made, how)[0]) >= accept:
            return made[0]
    return None


def _judge(
    search: Search, nodes: Sequence[Node], leaves: Sequence[Node], unit: str, by: By, shown: int, scale: float
) -> Plan[None]:
    prompts = [_question(search, node, leaves, unit, shown) for node in nodes]
    if not prompts:
        return
    if by == "judge":
        for node, reply in zip(nodes, (yield from search.ask(prompts)), strict=True):
            _said(node, reply)
        return
    if by == "forcer":
        fit = int(min(len(prompts), search.ledger.room("score") // 2))
        if fit < 1:
            raise BudgetSpent("the search has no opinions of the forcer left")
        replies: list[Any] = yield [Force(p, option, "forcer") for p in prompts[:fit] for option in "AB"]
        search.ledger.score += len(replies)
        for node, a, b in zip(nodes, replies[::2], replies[1::2], strict=False):
            bad = next((r for r in (a, b) if isinstance(r, Failed)), None)
            p = NAN if bad else chance_true(float(np.sum(a)), float(np.sum(b)), scale)
            _mark(node, p, bad.reason if bad else "the forcer gave no number")
        return
    told = search.task.history
    requests = [Continue(p, max_tokens=1, temperature=0.0, draw=search.draw(), history=told) for p in prompts]
    for node, samples in zip(nodes, (yield from search.sample(requests)), strict=True):
        _read(node, samples, scale)


def _question(search: Search, node: Node, leaves: Sequence[Node], unit: str, shown: int) -> str:
    parts: list[Part] = parts_of(search, node)
    if unit == "solution":
        others = [a for leaf in leaves if leaf is not node and (a := search.answer(leaf)) is not None][:shown]
        parts += [(f"another answer {i}", a) for i, a in enumerate(others, start=1)]
        parts.append(("proposed answer", search.answer(node) or ""))
    return f"{quoted(*parts)}\n\n{_ASKED[unit]}"


def _mark(node: Node, p: float, why: str) -> None:
    mark(node, p, None if p == p else why)


def _said(node: Node, reply: str | Failed) -> None:
    if isinstance(reply, Failed):
        mark(node, NAN, reply.reason)
        return
    found = re.findall(r"(?i)\b(true|false)\b", reply) or re.findall(r"\b([AB])\b", reply)
    _mark(node, float(found[-1].lower() in ("a", "true")) if found else NAN, "the reply says neither True nor False")


def _read(node: Node, samples: Sequence[Sample], scale: float) -> None:
    if not samples or not (samples[0].text or samples[0].tokens):
        mark(node, NAN, "the model did not say whether it is true")
        return
    sample = samples[0]
    if not sample.top_logp or not sample.top_tokens:
        raise StepCreditError(
            "the sampler does not tell its likeliest next tokens",
            hint="ask the server for top log-probabilities, or by='forcer', by='judge'",
        )
    p = chance_true(*options(sample.top_tokens[0], sample.top_logp[0].tolist()), scale)
    _mark(node, p, "neither option is among the likeliest tokens")
