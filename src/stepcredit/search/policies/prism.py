"""PRISM: a population of solutions, weighted, resampled and rewritten by verdicts on their steps."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.data.layout import Floats, Ints
from stepcredit.errors import StepCreditError
from stepcredit.evidence._prompts import quoted
from stepcredit.llm.requests import Failed, Plan
from stepcredit.search.engine import Search
from stepcredit.search.judging import mark, parts_of, question, read_word
from stepcredit.search.tree import NAN, Node
from stepcredit.search.weighing import effective_size, systematic
from stepcredit.shelf import PlanCard

CARD = PlanCard(
    title="PRISM: Pushing the Frontier of Deep Think via Process Reward Model-Guided Inference",
    paper="arXiv:2603.02479",
    bibtex="""@misc{sharma2026prism,
  title={{PRISM}: Pushing the Frontier of Deep Think via Process Reward Model-Guided Inference},
  author={Sharma, Rituraj and Chen, Weiyuan and Provenzano, Noah and Vu, Tu},
  eprint={2603.02479}, archivePrefix={arXiv}, year={2026}}""",
    evidence="official code read",
    asks=("sampler", "judge"),
    needs="a judge that gives a verdict on each step and on the final answer",
    cost="n solutions and judge's questions, and as many again per round, less those already perfect",
    departures="A solution whose verdicts failed has no score: it is neither resampled nor does it vote, and any "
    "rewriting with a score replaces it (the code gives 1e-6, and 0 where the verdicts cannot be read: preset). Equal "
    "solutions are judged once, the last vote included; the code asks again. Step 6 is no true Metropolis-Hastings "
    "move, as the code says itself.",
    code="https://github.com/Rituraj003/PRISM",
)

PRESETS = {
    "code": Preset({"unread": 1e-6}, "the official code: a failed verdict scores 1e-6"),
    "cli": Preset({"n": 5, "rounds": 10}, "the defaults of its command line"),
}

VERDICTS = (
    'Check every step. Write one line per step, "Step <k>: <verdict>", the verdict +1 (right), 0 (cannot tell) or -1 '
    '(wrong), then a line "FINAL ANSWER CHECK: <verdict>" on the final answer.'
)
REWRITE = "Solve the task anew from the beginning, and repair what is wrong above. Write the solution alone."
OTHER = " Use a clearly different method."
PERFECT = 1 - 1e-6


@dataclass(frozen=True)
class Verdicts:
    """What a judge said: [T] of the steps, NaN = none; of the final answer, None = none; its lines on wrong steps."""

    steps: Floats
    final: int | None
    wrong: tuple[str, ...]


def verdict_score(right: int, wrong: int, unsure: int, final: int | None) -> float:
    """S of a solution: ratio = (right + unsure / 2) / all, 1/2 without any; by the verdict on the final answer

        S = 0.3 ratio (-1),  0.5 + 0.5 ratio (+1),  0.6 ratio (0),  0.8 ratio (none)

    >>> verdict_score(3, 1, 1, 1), round(verdict_score(3, 1, 1, -1), 2)
    (0.85, 0.21)
    """
    n = right + wrong + unsure
    ratio = (right + 0.5 * unsure) / n if n else 0.5
    return {1: 0.5 + 0.5 * ratio, -1: 0.3 * ratio, 0: 0.6 * ratio, None: 0.8 * ratio}[final]


def particle_weights(scores: Floats, temperature: float = 0.7) -> Floats:
    """w = S^(1 / temperature), 0 where S <= 0; NaN stays NaN.

    >>> particle_weights(np.array([1, 0.75, 0.15, 0])).round(4).tolist()
    [1.0, 0.663, 0.0665, 0.0]
    """
    s = np.asarray(scores, float)
    return np.where(s <= 0, 0.0, np.maximum(s, 0.0) ** (1 / temperature))


def capped(places: Ints, most: int, rng: np.random.Generator, texts: Sequence[str] | None = None) -> Ints:
    """The same draws with at most `most` of each; what is too many goes to a random one that is still under it.

    texts: [N] what stands at each place, where equal ones count as one.
    """
    names = [str(i) for i in range(places.size)] if texts is None else list(texts)
    out, count = places.copy(), dict.fromkeys(names, 0)
    for k, i in enumerate(places.tolist()):
        under = [j for j, name in enumerate(names) if count[name] < most]
        if count[names[i]] >= most and under:
            i = out[k] = int(rng.choice(under))
        count[names[i]] += 1
    return out


def prism(
    search: Search,
    *,
    n: int = 10,
    rounds: int = 5,
    temperature: float = 0.7,
    ess: float = 0.5,
    noise: float = 0.1,
    clamp: float = 0.3,
    copies: float = 0.3,
    unread: float | None = None,
) -> Plan[Node | None]:
    """n solutions; per round arbitrate, resample where ESS < ess * n, rewrite all that is not perfect and accept a
    rewriting with probability min(1, w'/w), w = S^(1/temperature); the answer whose solutions' S add up to most.

    Args:
        noise: how often a rewriting is asked to use another method.
        clamp: most that the loser of an arbitration between perfect answers keeps.
        copies: largest share of the population that may be one solution.
        unread: score of a solution whose verdicts failed; None: it has none.

    Raises:
        StepCreditError: n < 1, or a temperature that is not positive.
    """
    if n < 1 or temperature <= 0:
        raise StepCreditError(f"n and temperature must be positive; got n={n}, temperature={temperature}")
    crowd: list[Node] = []
    search.choose = lambda: _vote(search, crowd)
    known: dict[str, Node] = {}
    crowd.extend((yield from search.complete([search.root], n))[0])
    yield from _judge(search, crowd, known, unread)
    for _ in range(rounds):
        yield from _arbitrate(search, crowd, known, clamp)
        _resample(search, crowd, temperature, ess, copies)
        yield from _rewrite(search, crowd, known, temperature, noise, unread)
    return None


def read_verdicts(reply: str, steps: int) -> Verdicts | None:
    """The verdicts of a reply, the last on each step; None where there is none on any step."""
    found: dict[int, tuple[int, str]] = {}
    for line in reply.splitlines():
        one = re.match(r"(?i)\W*step\s+(\d{1,4})\b.*?(?<![\w+.-])([+-]?1|0)\W*$", line)
        if one and 1 <= int(one[1]) <= steps:
            found[int(one[1])] = (int(one[2]), line.strip())
    final = re.findall(r"(?im)^\W*final answer check\b.*?(?<![\w+.-])([+-]?1|0)\W*$", reply)
    if not found:
        return None
    verdicts = np.array([found[k][0] if k in found else NAN for k in range(1, steps + 1)])
    return Verdicts(verdicts, int(final[-1]) if final else None, tuple(t for v, t in found.values() if v < 0))


def _judge(search: Search, leaves: Sequence[Node], known: dict[str, Node], unread: float | None) -> Plan[None]:
    """Scores of solutions; equal ones are asked about once."""
    fresh = list({search.text(x): x for x in leaves if search.text(x) not in known}.values())
    fresh = [x for x in fresh if x.status == "missing"]
    replies = (yield from search.ask([question(search, x, VERDICTS) for x in fresh])) if fresh else []
    for leaf, reply in zip(fresh, replies, strict=True):
        said = None if isinstance(reply, Failed) else read_verdicts(reply, len(leaf.path))
        if said is None:
            why = reply.reason if isinstance(reply, Failed) else "the reply has no verdict on any step"
            mark(leaf, *((NAN, why) if unread is None else (unread, None)))
            leaf.facts["unread"] = why
        else:
            right, wrong, unsure = (int((said.steps == v).sum()) for v in (1, -1, 0))
            none = search.answer(leaf) is None
            mark(leaf, 0.0 if none else verdict_score(right, wrong, unsure, said.final), None)
            leaf.facts["verdicts"] = [None if v != v else int(v) for v in said.steps.tolist()]
            leaf.facts["wrong"] = list(said.wrong)
        known[search.text(leaf)] = leaf
    for leaf in leaves:
        if leaf.status == "missing":
            like = known[search.text(leaf)]
            mark(leaf, like.score, like.reason)
            leaf.facts.update({k: like.facts[k] for k in ("verdicts", "wrong", "unread") if k in like.facts})


def _arbitrate(search: Search, crowd: Sequence[Node], known: dict[str, Node], clamp: float) -> Plan[None]:
    """Of two answers that both have a perfect solution one is wrong: the judge says which."""
    groups: dict[str, list[Node]] = {}
    for leaf in crowd:
        key = search.key(leaf)
        if key is not None and leaf.score >= PERFECT:
            groups.setdefault(key, []).append(leaf)
    if len(groups) < 2:
        return
    first, second = sorted(groups, key=lambda k: -len(groups[k]))[:2]
    pair = quoted(
        ("task", search.task.prompt),
        ("solution A", search.text(groups[first][0])),
        ("solution B", search.text(groups[second][0])),
    )
    asked = f'{pair}\n\nTheir answers differ. Which is right? End with a line "Choice: <A, B or NEITHER>".'
    (reply,) = yield from search.ask([asked])
    choice = read_word(reply, "Choice", ["A", "B", "NEITHER"])
    if choice is None:
        search.notes.append("an arbitration failed: both answers keep their scores")
        return
    losers = {"A": [second], "B": [first], "NEITHER": [first, second]}[choice]
    for leaf in (x for x in crowd if search.key(x) in losers):
        if leaf.score > clamp:
            leaf.score = known[search.text(leaf)].score = clamp
            leaf.facts["arbitrated"] = choice


def _resample(search: Search, crowd: list[Node], temperature: float, ess: float, copies: float) -> None:
    """Draw the solutions with a score anew, by their weights, where too few carry them."""
    places = [i for i, x in enumerate(crowd) if x.score == x.score]
    scores = np.array([crowd[i].score for i in places])
    weights = particle_weights(scores, temperature)
    if not places or scores.max() < 1e-6 or effective_size(weights) >= ess * len(places):
        return
    drawn = systematic(weights, len(places), search.rng.random())
    texts = [search.text(crowd[i]) for i in places]
    drawn = capped(drawn, max(math.ceil(copies * len(places)), 1), search.rng, texts)
    held = [crowd[places[j]] for j in drawn.tolist()]
    for i, leaf in zip(places, held, strict=True):
        crowd[i] = leaf


def _rewrite(
    search: Search, crowd: list[Node], known: dict[str, Node], temperature: float, noise: float, unread: float | None
) -> Plan[None]:
    """A proposal for each solution that is not perfect, and whether it takes its place."""
    places = [i for i, x in enumerate(crowd) if not x.score >= PERFECT]
    if not places:
        return
    other = search.rng.random(len(places)) < noise
    before = [_told(search, crowd[i], bool(o)) for i, o in zip(places, other, strict=True)]
    made = yield from search.complete([search.root] * len(places), 1, before=before)
    fresh = [leaf for leaves in made for leaf in leaves]
    yield from _judge(search, fresh, known, unread)
    for i, leaves in zip(places, made, strict=True):
        u = float(search.rng.random())
        if leaves and _accepted(crowd[i].score, leaves[0].score, temperature, u):
            crowd[i] = leaves[0]
    for leaf in fresh:
        leaf.kept = leaf in crowd


def _accepted(old: float, new: float, temperature: float, u: float) -> bool:
    if new != new or old != old:
        return new == new
    w, proposed = particle_weights(np.array([old, new]), temperature).tolist()
    return u < proposed / w if w > 0 else new > old


def _told(search: Search, leaf: Node, other: bool) -> str:
    """The solution, and what the judge found wrong with it."""
    wrong = leaf.facts.get("wrong") or [f"Step {k + 1}: {v}" for k, v in enumerate(leaf.facts.get("verdicts", []))]
    shown = quoted(*parts_of(search, leaf), ("what was found", "\n".join(wrong) or "nothing"))
    return f"{shown}\n\n{REWRITE}{OTHER if other else ''}\n\n"


def _vote(search: Search, crowd: Sequence[Node]) -> Node | None:
    """The best solution of the answer whose S add up to most; ties: largest S, most supporters, last by text."""
    groups: dict[str, list[Node]] = {}
    for leaf in crowd:
        key = search.key(leaf)
        if key is not None and leaf.score == leaf.score:
            groups.setdefault(key, []).append(leaf)
    if not groups:
        return search.majority(crowd)

    def rank(key: str) -> tuple[float, float, int, str]:
        s = [x.score for x in groups[key]]
        return sum(s), max(s), sum(x > 0 for x in s), key

    return max(groups[max(groups, key=rank)], key=lambda x: x.score)
