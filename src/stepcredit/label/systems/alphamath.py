"""AlphaMath: Monte Carlo tree search over steps; a step's label is the mean of what was backed up through it."""

from typing import Any, Literal

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.errors import StepCreditError
from stepcredit.label._grow import NAN, Grown, State, back_up, puct
from stepcredit.label.labels import Labels
from stepcredit.label.work import Work
from stepcredit.llm.requests import BudgetSpent, Plan
from stepcredit.shelf import PlanCard

CARD = PlanCard(
    title="AlphaMath Almost Zero: Process Supervision without Process",
    paper="arXiv:2405.03553",
    bibtex="""@inproceedings{chen2024alphamath,
  title={AlphaMath Almost Zero: Process Supervision without Process},
  author={Chen, Guoxin and Liao, Minpeng and Li, Chengxi and Fan, Kai}, booktitle={NeurIPS}, year={2024}}""",
    evidence="official code read",
    asks=("sampler", "verifier"),
    may_ask=("scorer",),
    needs="a reference answer; with values='scorer' the value model of the round before, in [-1, 1]",
    cost="`expand` steps an iteration, and a verdict for each solution that ends",
    departures="The given rollouts are in the tree from the beginning, each backed up once. Code in steps is not "
    "executed. A prior that the model does not tell is even. A verdict or value that is not known is not backed "
    "up, where the code takes it as -1.",
    code="https://github.com/MARIO-Math-Reasoning/Super_MARIO",
)

PRESETS = {
    "value": Preset({"values": "scorer"}, "the later rounds, with the value model of the round before (code read)"),
    "leaf-values": Preset(
        {"values": "scorer", "leaf": "children"}, "update_leaf_value=True of the code: each new child by its own value"
    ),
}


def alphamath(
    works: list[Work],
    *,
    iterations: int = 40,
    expand: int = 5,
    depth: int = 8,
    c: float = 1.5,
    values: Literal["none", "scorer"] = "none",
    leaf: Literal["parent", "children"] = "parent",
    given: bool = True,
) -> Plan[list[Labels]]:
    """value_t = Q(s_t) = W / N in [-1, 1], label_t = (value_t + 1) / 2; N visits, W the sum of what they backed up.

        select: max Q + c P sqrt(N_parent) / (1 + N) among children that are not closed, P = exp(mean token log-prob)
        back up: +1 or -1 of a solution that ends, at once; once per expansion the value of the expanded state

    The first round has no values: 0. A solution of `depth` steps that has not ended is wrong. No first error is told.

    Args:
        iterations: expansions. expand: steps drawn at each; those that read alike are one. c: of the selection.
        values: who tells the value of a state. leaf: "children", each new child is backed up by its own value instead.
        given: whether the given rollouts are in the tree.

    Raises:
        StepCreditError: expand < 1, iterations < 0, depth < 1.
    """
    if expand < 1 or iterations < 0 or depth < 1:
        raise StepCreditError(
            f"expand and depth must be at least 1, iterations at least 0; got {expand}, {depth}, {iterations}"
        )
    tree = Grown(works)
    for steps, right in tree.given() if given else []:
        if right == right:
            end = tree.walk(steps, right)
            back_up(end, _reward(right))
            _close(end)
    facts: dict[str, Any] = {}
    try:
        for _ in range(iterations):
            if tree.root.facts.get("closed"):
                break
            yield from _expand(tree, _select(tree, c), expand, depth, values, leaf)
    except BudgetSpent as error:
        facts["budget"] = error.message
    if iterations and not works[0].spent.get("sample"):  # the outcomes of the given rollouts alone are no search
        why = tree.root.reason or facts.get("budget")
        return [w.labels(reasons=(why,) * len(w.steps), facts=facts) for w in works]
    return tree.labels(tree.ended(), lambda path, _: {**_told(path), "facts": facts})


def _select(tree: Grown, c: float) -> State:
    at = tree.root
    while at.facts.get("expanded"):
        open_ = [s for s in at.children if not s.facts.get("closed")]
        bound = puct(open_, at.visits, c)
        at = open_[int(tree.rng.choice(np.flatnonzero(bound == bound.max())))]
    return at


def _expand(tree: Grown, state: State, n: int, depth: int, values: str, leaf: str) -> Plan[None]:
    made = yield from tree.extend(state, n)
    state.facts["expanded"] = True
    yield from tree.settle([*made, state])
    if state.ended:
        back_up(state, _reward(state.right))
        _close(state)
        return
    for child in made:
        if not child.ended and len(child.steps) >= depth:
            child.ended, child.right, child.reason = True, 0.0, "too long"
        if child.ended:
            back_up(child, _reward(child.right))
            _close(child)
    open_ = [s for s in made if not s.ended] if leaf == "children" else [state]
    for at, value in zip(open_, (yield from _values(tree, open_, values)), strict=True):
        back_up(at, value)
    if all(s.facts.get("closed") for s in state.children):
        _close(state)


def _values(tree: Grown, states: list[State], values: str) -> Plan[list[float]]:
    if values == "none" or not states:
        return [0.0] * len(states)
    return (yield from tree.score(states))


def _close(state: State) -> None:
    """Nothing more to find below it."""
    state.facts["closed"] = True
    above = state.parent
    while above is not None and above.facts.get("expanded") and all(s.facts.get("closed") for s in above.children):
        above.facts["closed"] = True
        above = above.parent


def _reward(right: float) -> float:
    return NAN if right != right else 1.0 if right >= 0.5 else -1.0


def _told(path: list[State | None]) -> dict[str, Any]:
    value = np.array([NAN if s is None else s.mean for s in path])
    return {"value": value, "label": np.clip((value + 1) / 2, 0.0, 1.0)}
