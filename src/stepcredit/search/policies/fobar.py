"""FOBAR: an answer is checked backwards: can a number of the question be found again from it?"""

import re
from collections.abc import Mapping, Sequence

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.data.layout import Floats
from stepcredit.errors import StepCreditError
from stepcredit.llm.requests import Continue, Plan
from stepcredit.search.engine import Search
from stepcredit.search.tree import Node
from stepcredit.shelf import PlanCard

CARD = PlanCard(
    title="FOBAR: Forward-Backward Reasoning in Large Language Models for Mathematical Verification",
    paper="arXiv:2308.07758",
    bibtex="""@misc{jiang2023forward,
  title={Forward-Backward Reasoning in Large Language Models for Mathematical Verification},
  author={Jiang, Weisen and Shi, Han and Yu, Longhui and Liu, Zhengying and Zhang, Yu and Li, Zhenguo and
    Kwok, James T.},
  eprint={2308.07758}, archivePrefix={arXiv}, year={2023}}""",
    evidence="official code read",
    asks=("sampler",),
    needs="a question with numbers in it, and answers that can be compared",
    cost="n whole solutions, and `backward` more per number of the question and answer that was found",
    departures="The wording of the backward question is ours. Numbers are compared as numbers, whatever stands around "
    "them. Where backward solutions failed or did not fit the limits, Z is their share among those that were written; "
    "where an answer has none the answers vote.",
    code="https://github.com/ws-jiang/fobar-public",
)

PRESETS = {
    "backward": Preset({"alpha": 0.0}, "the ablation: backward reasoning alone"),
}

_EPS = 1e-8
_NUMBER = r"(?:^|(?<=[^\w.]))\d+(?:,\d{3})*(?:\.\d+)?(?!\w|\.\d)"  # not "(?<![": the HTML parser of the docs trips


def blend(forward: Sequence[float], backward: Sequence[float], alpha: float = 0.5) -> Floats:
    """[answers] P(a) ~ P_F(a)^alpha * P_B(a)^(1 - alpha), with P_B(a) = (Z_a + eps / |C|) / (sum_c Z_c + eps).

    forward: solutions that gave each answer. backward: Z, solutions that found a masked number again from it.

    >>> blend([6, 4], [2, 6]).round(4).tolist()
    [0.4142, 0.5858]
    """
    f, z = np.asarray(forward, float), np.asarray(backward, float)
    p_f = f / f.sum()
    p_b = (z + _EPS / z.size) / (z.sum() + _EPS)
    score = p_f**alpha * p_b ** (1 - alpha)
    return np.asarray(score / score.sum())


def masked(question: str, numbers: str = _NUMBER) -> list[tuple[str, str]]:
    """The question with each of its numbers in turn replaced by x, and the number.

    >>> masked("2 apples and 1,000 pears")
    [('x apples and 1,000 pears', '2'), ('2 apples and x pears', '1,000')]
    """
    return [(question[: m.start()] + "x" + question[m.end() :], m[0]) for m in re.finditer(numbers, question)]


def fobar(
    search: Search,
    *,
    n: int = 40,
    backward: int = 8,
    alpha: float = 0.5,
    temperature: float = 0.7,
    numbers: str = _NUMBER,
    asked: str = "If we know that the answer to the question above is {answer}, what is the value of x?",
) -> Plan[Node | None]:
    """argmax_a P_F(a)^alpha * P_B(a)^(1 - alpha) over the answers of n solutions.

    Nothing is asked backwards where one answer alone was found, or the question has no number.

    Args:
        backward: solutions per masked number and answer. alpha: 1 is self-consistency.
        numbers: pattern of what is masked. asked: put behind the question with x in it.

    Raises:
        StepCreditError: a live environment; counts below 1; alpha not within 0 to 1.
    """
    if search.task.world is not None:
        raise StepCreditError("a task in a live environment has no number to find again", hint="use majority")
    if n < 1 or backward < 1 or not 0 <= alpha <= 1:
        raise StepCreditError(f"n, backward at least 1, alpha 0 to 1; got {n}, {backward}, {alpha}")
    found: dict[str, float] = {}
    search.choose = lambda: _choose(search, found, alpha)
    leaves = (yield from search.complete([search.root], n, temperature=temperature))[0]
    shown: dict[str, str] = {}
    for leaf in leaves:
        key, answer = search.key(leaf), search.answer(leaf)
        if key is not None and answer is not None:
            shown.setdefault(key, answer)
    holes = masked(search.task.prompt, numbers)
    if len(shown) < 2 or not holes or alpha == 1:
        return None
    jobs = [(key, text, number) for key in shown for text, number in holes]
    replies = yield from search.sample(
        [
            Continue(
                f"{text.rstrip()}\n{asked.replace('{answer}', shown[key])}\n",
                n=backward,
                max_tokens=search.writing.longest,
                temperature=temperature,
                draw=search.draw(),
                history=search.task.history,
            )
            for key, text, _ in jobs
        ]
    )
    asked_of, right = dict.fromkeys(shown, 0), dict.fromkeys(shown, 0)
    for (key, _, number), samples in zip(jobs, replies, strict=True):
        asked_of[key] += len(samples)
        right[key] += sum(_recovers(search.writing.answer(s.text), number) for s in samples)
    if min(asked_of.values()) < 1:
        search.notes.append("not every answer could be asked backwards: the answers vote")
        return None
    found.update({key: right[key] / asked_of[key] * backward * len(holes) for key in shown})
    return None


def _choose(search: Search, found: Mapping[str, float], alpha: float) -> Node | None:
    leaves = search.tree.leaves()
    keys = [search.key(leaf) for leaf in leaves]
    if not found:
        return search.majority(leaves)
    known = list(found)
    weights = blend([keys.count(k) for k in known], [found[k] for k in known], alpha)
    for leaf, key in zip(leaves, keys, strict=True):
        if key is not None:
            leaf.facts.update({"backward": round(found[key], 6), "chance": round(float(weights[known.index(key)]), 6)})
    return leaves[keys.index(known[int(np.argmax(weights))])]


def _recovers(answer: str | None, number: str) -> bool:
    """Whether the last number of an answer is the one that was masked."""
    said = re.findall(r"[-+]?\d+(?:,\d{3})*(?:\.\d+)?", answer or "")
    return bool(said) and float(said[-1].replace(",", "")) == float(number.replace(",", ""))
