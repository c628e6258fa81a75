"""V0's budget: give rollouts to the prompts where one more is worth most, by a prior of their chance of success."""

import heapq
from typing import Literal

import numpy as np

from stepcredit.credit.card import Card, Preset
from stepcredit.credit.selection import Selection
from stepcredit.data.layout import Floats, Ints, Layout
from stepcredit.errors import StepCreditError

Utility = Literal["signal", "mixed"]

CARD = Card(
    title="V0: A Generalist Value Model for Any Policy at State Zero (sampling budget)",
    paper="arXiv:2602.03584",
    bibtex="""@article{zhang2026v0,
  title={$V_0$: A Generalist Value Model for Any Policy at State Zero},
  author={Zhang, Yi-Kai and Yao, Zhiyuan and Hao, Hongyan and Sun, Yueqing and Gu, Qi and Su, Hui and others},
  journal={arXiv:2602.03584}, year={2026}}""",
    code="https://github.com/Now-Join-Us/V0 (the value model, without the budget)",
    evidence="secondary text",
    per="task",
    needs="a prior chance of success per prompt",
    bias="The paper's utility is the expected number of failures beside a success. In the end one more rollout of a "
    "prompt is worth 1 - p, not 0: the greedy rule heaps rollouts on one prompt after another, up to `most`. 'mixed' "
    "has falling returns and spreads them.",
    departures="Equations 9 and 10 and the bounds 2 and 128 are from two texts about the paper that agree; the greedy "
    "rule from one. A prompt without a prior gets `budget` rollouts. Routing a prompt to one of several models is no "
    "selection of rollouts and is not here.",
    waives={"other_prompts": "prompts share one budget"},
)

PRESETS = {
    "paper": Preset({}, "V0, equations 9 and 10: the defaults", system="v0"),
    "mixed": Preset({"utility": "mixed"}, "the chance that a group's outcomes differ, derived from V0's abstract"),
}


def v0_budget(
    layout: Layout,
    prior_value: Floats,
    *,
    budget: int = 8,
    least: int = 2,
    most: int = 128,
    utility: Utility = "signal",
) -> Selection:
    """How many more rollouts to draw of each prompt. No rollout is left out.

        max sum_g U(n_g, p_g)   where  sum_g n_g <= budget * prompts,  least <= n_g <= most
        U(n, p) = n (1 - p) (1 - (1 - p)^(n - 1))     utility "signal"
        U(n, p) = 1 - p^n - (1 - p)^n                 utility "mixed"

    Greedily: after `least` each, every rollout goes where it raises U most; none goes where it adds nothing.

    Args:
        prior_value: [G] chance of success on the prompt, 0 to 1; NaN = unknown: `budget` rollouts.
        budget: rollouts per prompt of the training batch, on average; those at hand count.
        least, most: rollouts per prompt. Where `least` alone is more than the budget, it is spent nevertheless.
        utility: see above: the paper's proxy of the gradient, or the chance that the outcomes differ.

    Returns:
        Selection with more [G]. A rollout without steps stands for a prompt of which nothing was drawn yet.

    Raises:
        StepCreditError: a prior outside 0..1.

    >>> empty = Layout(group=np.arange(4), rollout=np.zeros(0, int))
    >>> v0_budget(empty, np.array([0.1, 0.5, 0.95, 0.3]), budget=4, utility="mixed").more
    array([5, 4, 2, 5])
    """
    wild = (prior_value < 0) | (prior_value > 1)
    if wild.any():
        g = int(np.argmax(wild))
        raise StepCreditError(
            f"prior_value of prompt {g} is {prior_value[g]:g}; expected a chance in 0..1",
            hint="a value v in -1..1 is the chance (v + 1) / 2",
        )
    have = np.bincount(layout.group[layout.steps > 0], minlength=layout.G)
    there, batch = np.bincount(layout.group, minlength=layout.G) > 0, np.zeros(layout.G, np.int64)
    batch[layout.group] = layout.batches
    aim = np.maximum(have, np.where(np.isnan(prior_value), max(budget, least), least))
    for b in np.unique(layout.batches):
        mine = np.flatnonzero(there & (batch == b))
        aim[mine] = _greedy(aim[mine], prior_value[mine], budget * mine.size, most, utility)
    return Selection(np.zeros(layout.R, np.int64), more=np.where(there, aim - have, 0))


def _greedy(n: Ints, p: Floats, total: int, most: int, utility: Utility) -> Ints:
    """[g] numbers of rollouts that grow from n to a sum of `total`."""
    n = n.copy()
    ready = np.flatnonzero((n < most) & ~np.isnan(p)).tolist()
    heap = [(-_gain(int(n[g]), float(p[g]), utility), g) for g in ready]
    heapq.heapify(heap)
    for _ in range(total - int(n.sum())):
        if not heap or heap[0][0] > -1e-12:
            break
        g = heapq.heappop(heap)[1]
        n[g] += 1
        if n[g] < most:
            heapq.heappush(heap, (-_gain(int(n[g]), float(p[g]), utility), g))
    return n


def _gain(n: int, p: float, utility: Utility) -> float:
    """U(n + 1, p) - U(n, p); of the first rollout, which is worth nothing alone, half of what two are."""
    q = 1.0 - p
    if n == 0:
        return p * q
    return float(q * p**n + p * q**n) if utility == "mixed" else float(q + q**n * (n * p - q))
