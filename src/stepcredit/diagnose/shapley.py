"""Who shares in an effect, and who could have: Shapley values of agents, and who used whose output."""

import re
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from stepcredit.data.layout import Floats
from stepcredit.data.records import Step, observed
from stepcredit.errors import LayoutError, StepCreditError

Edge = tuple[int, int]
Node = TypeVar("Node", bound=Hashable)
EXACT = 10
"""Most players whose 2^n coalitions are all looked at."""

_WORDS = re.compile(r"[^\W_][\w.@:/-]*[^\W_]|[^\W_]")
_LONGEST = 20_000


def shapley_exact(values: ArrayLike) -> Floats:
    """[n] Shapley values from the value of every coalition.

        phi_i = sum over S without i of |S|! (n - |S| - 1)! / n! (v(S + i) - v(S))

    Args:
        values: [2^n] v of each coalition; bit i of its place is 1 where player i is in it.

    Raises:
        LayoutError: another number of values; more than 20 players.

    >>> shapley_exact([0, 0.2, 0.6, 0.9, 0, 0.2, 0.6, 1.0]).round(4)
    array([0.2833, 0.6833, 0.0333])
    """
    v = np.asarray(values, float)
    n = v.size.bit_length() - 1
    if v.ndim != 1 or not v.size or v.size != 1 << n or n > 20:
        raise LayoutError(f"values must hold one number for each of 2^n coalitions, n <= 20; got shape {v.shape}")
    masks = np.arange(v.size)
    size = np.array([int(m).bit_count() for m in masks])
    weight = np.ones(max(n, 1))
    for s in range(1, n):
        weight[s] = weight[s - 1] * s / (n - s)  # s! (n - s - 1)! / (n - 1)!
    phi = np.zeros(n)
    for i in range(n):
        without = masks[masks >> i & 1 == 0]
        phi[i] = np.sum(weight[size[without]] * (v[without | 1 << i] - v[without])) / n
    return phi


class Sampled(NamedTuple):
    """phi: [n] Shapley values. sd: [n] their standard errors: over orders, an order and its reverse that follow one
    another being one draw, as they are drawn together; NaN for a single draw."""

    phi: Floats
    sd: Floats


def orders(n: int, permutations: int, seed: int = 0) -> list[list[int]]:
    """Random orders of n players, each beside its reverse: the pair's errors partly cancel.

    Raises:
        StepCreditError: permutations below 1.
    """
    if permutations < 1:
        raise StepCreditError(f"permutations={permutations}: expected 1 or more")
    rng = np.random.default_rng(seed)
    half = [rng.permutation(n).tolist() for _ in range((permutations + 1) // 2)]
    return [one for order in half for one in (order, order[::-1])][:permutations]


def coalitions(n: int, given: Sequence[Sequence[int]] | None = None) -> list[int]:
    """The coalitions, as bit masks, whose values are asked for: those along the given orders; None: all 2^n.

    >>> coalitions(3, [[2, 0, 1]])
    [0, 4, 5, 7]
    """
    if given is None:
        return list(range(1 << n))
    found = {0: None}
    for order in given:
        mask = 0
        for i in order:
            mask |= 1 << i
            found[mask] = None
    return sorted(found)


def shapley_along(values: Mapping[int, float], n: int, given: Sequence[Sequence[int]]) -> Sampled:
    """Shapley values as the mean over orders of what each player adds when it comes in.

        sd_i = sqrt(U / (U - 1) sum_u n_u^2 (m_ui - phi_i)^2) / sum_u n_u

    over the U draws u, each of n_u = 2 orders (one and its reverse) or 1, with mean m_ui.

    Args:
        values: v of the coalitions that `coalitions(n, given)` names.

    Raises:
        LayoutError: a coalition without a value.
    """
    added = np.zeros((len(given), n))
    for row, order in zip(added, given, strict=True):
        mask = 0
        for i in order:
            for wanted in (mask, mask | 1 << i):
                if wanted not in values:
                    raise LayoutError(f"there is no value for the coalition {members(wanted)}")
            row[i] = values[mask | 1 << i] - values[mask]
            mask |= 1 << i
    phi, draws = added.mean(axis=0), _draws(given)
    if len(draws) < 2:
        return Sampled(phi, np.full(n, np.nan))
    off = np.array([added[draw].sum(axis=0) - len(draw) * phi for draw in draws])
    sd = np.sqrt(len(draws) / (len(draws) - 1) * (off**2).sum(axis=0)) / len(given)
    return Sampled(phi, np.asarray(sd, float))


def _draws(given: Sequence[Sequence[int]]) -> list[list[int]]:
    """Places of orders that were drawn together."""
    found: list[list[int]] = []
    for i, order in enumerate(given):
        before = found[-1] if found else []
        if len(before) == 1 and list(order) == list(given[before[0]])[::-1]:
            before.append(i)
        else:
            found.append([i])
    return found


def shapley_permutation(
    value: Callable[[frozenset[int]], float], n: int, *, permutations: int = 200, seed: int = 0
) -> Sampled:
    """Shapley values of n players by Monte Carlo over orders; each coalition is asked for once.

    >>> shapley_permutation(lambda s: float(len(s)), 3, permutations=4).phi
    array([1., 1., 1.])
    """
    drawn = orders(n, permutations, seed)
    return shapley_along({m: value(frozenset(members(m))) for m in coalitions(n, drawn)}, n, drawn)


def members(mask: int) -> list[int]:
    """Players of a coalition.

    >>> members(0b101)
    [0, 2]
    """
    return [i for i in range(mask.bit_length()) if mask >> i & 1]


def dataflow_graph(steps: Sequence[Step]) -> list[Edge]:
    """Edges (u, v), u < v: step v used what step u brought, told by names and numbers alone.

    A word that holds a digit or a capital, or is of 8 letters or more, belongs to the step that brought it first, in
    its own text, its tool calls or what came back; a step that has it in its text or tool calls used that step's. A
    step that uses none read the one before it, as speakers in turn do.
    """
    owner: dict[str, int] = {}
    edges: list[Edge] = []
    for v, step in enumerate(steps):
        mine = _words(_own(step))
        used = sorted({owner[w] for w in mine if w in owner})
        edges += [(u, v) for u in used] or ([(v - 1, v)] if v else [])
        for word in mine | _words(observed(step) or ""):
            owner.setdefault(word, v)
    return edges


def agent_edges(edges: Iterable[Edge], agents: Sequence[Hashable]) -> list[tuple[Hashable, Hashable]]:
    """Edges between steps as edges between those who took them, each once, none from one to itself; None is nobody."""
    found = {(agents[u], agents[v]): None for u, v in edges if agents[u] != agents[v]}
    return [(a, b) for a, b in found if a is not None and b is not None]


def reverse_edges(edges: Iterable[tuple[Node, Node]]) -> list[tuple[Node, Node]]:
    """Every edge turned round: from who used something to who made it.

    >>> reverse_edges([("U", "S"), ("S", "A")])
    [('S', 'U'), ('A', 'S')]
    """
    return [(v, u) for u, v in edges]


def ancestors(edges: Iterable[tuple[Node, Node]], node: Node) -> list[Node]:
    """What a node rests on, through any number of edges (u, v), "v used u": nearest first, itself left out.

    >>> ancestors([("U", "S"), ("S", "A")], "A")
    ['S', 'U']
    """
    before: dict[Node, list[Node]] = {}
    for u, v in edges:
        before.setdefault(v, []).append(u)
    found: dict[Node, None] = {node: None}
    waiting = [node]
    for one in waiting:
        for u in before.get(one, ()):
            if u not in found:
                found[u] = None
                waiting.append(u)
    return list(found)[1:]


def chain(agents: Sequence[Hashable]) -> list[tuple[Hashable, Hashable]]:
    """The edges where nothing is known of the flow of data: the next speaker read the one before."""
    return list(dict.fromkeys((a, b) for a, b in pairwise(agents) if a != b))


def _own(step: Step) -> str:
    calls = " ".join(f"{c.name} {c.arguments}" for c in step.tool_calls)
    return f"{step.text or ''} {calls}"


def _words(text: str) -> set[str]:
    found = _WORDS.findall(text[:_LONGEST])
    return {w for w in found if len(w) > 1 and (len(w) >= 8 or any(c.isdigit() or c.isupper() for c in w))}
