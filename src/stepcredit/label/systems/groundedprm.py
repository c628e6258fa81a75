"""GroundedPRM: tree search whose steps a tool checks; verdicts and the outcome are backed up together."""

import math
from typing import Any, Literal

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.data.layout import Floats
from stepcredit.errors import StepCreditError
from stepcredit.evidence._prompts import Unreadable, last, quoted
from stepcredit.label._grow import NAN, Grown, State, Steps, back_up
from stepcredit.label.labels import Labels, first_wrong
from stepcredit.label.work import Work
from stepcredit.llm.requests import BudgetSpent, Check, Failed, Plan
from stepcredit.shelf import PlanCard

CARD = PlanCard(
    title="GroundedPRM: Tree-Guided and Fidelity-Aware Process Reward Modeling for Step-Level Reasoning",
    paper="arXiv:2510.14942",
    bibtex="""@misc{zhang2025groundedprm,
  title={GroundedPRM: Tree-Guided and Fidelity-Aware Process Reward Modeling for Step-Level Reasoning},
  author={Zhang, Yao and Wu, Yu and Zhang, Haowei and Li, Weiguo and Chen, Haokun and Wu, Jingpei and others},
  year={2025}, eprint={2510.14942}, archivePrefix={arXiv}}""",
    evidence="official code read",
    asks=("sampler", "verifier"),
    may_ask=("checker", "judge"),
    needs="a reference answer; a tool that checks a step, as the checker (a function: steps, what stands before them "
    "-> 1, 0 or NaN), or a judge with access to one",
    cost="`expand` steps and a completion an iteration, and a check of every step once",
    departures="The given rollouts are in the tree from the beginning; iterations=0 draws nothing. The first step of a "
    "simulation is checked too. A simulation is drawn in one go; one longer than `depth` has failed, as in the code, "
    "and no solution is made of it. A step that could not be checked is not judged; the reward counts it as 0, as "
    "the code does.",
    code="https://github.com/JerryPlain/GroundedPRMCode",
)

PRESETS = {
    "code": Preset({"select": "random"}, "JerryPlain/GroundedPRMCode (code read): its descent takes a random child"),
    "given": Preset({"iterations": 0}, "ours: the checks of the given rollouts alone"),
}


def groundedprm(
    works: list[Work],
    *,
    iterations: int = 10,
    expand: int = 3,
    depth: int = 5,
    c: float = 1.414,
    decay: float = 0.9,
    select: Literal["uct", "random"] = "uct",
    enough: int = 3,
    tool: Literal["checker", "judge"] = "checker",
    retries: int = 0,
    kind: Literal["verdict", "value"] = "verdict",
) -> Plan[list[Labels]]:
    """label_t = [the tool finds step t right]; of the last step the outcome. value_t = mean of what was backed up:

        u = (1/M) sum_{i<M} v_i (M - i) / M + F / M,   F where M = 0;   at distance d above: decay^d u

    v = +1 or -1 of the M simulated steps between the first and the last, F of the outcome.

    Args:
        iterations: simulations, each from a child that has none. expand: steps drawn at an expansion. depth: most steps
            of a simulation. c: of "uct", mean + c sqrt(ln N_parent / N). decay: per level.
        select: how the descent goes on below states whose children all have a simulation.
        enough: right and as many wrong solutions end the search. tool: who checks steps. retries: how often a judge
            whose reply failed or could not be read is asked again. kind: "value", the label is [value_t > 0].

    Raises:
        StepCreditError: expand, depth or enough < 1, iterations or retries < 0.
    """
    if min(expand, depth, enough) < 1 or min(iterations, retries) < 0:
        raise StepCreditError(
            "expand, depth and enough are at least 1, iterations and retries at least 0; "
            f"got {expand}, {depth}, {enough}, {iterations}, {retries}"
        )
    tree = Grown(works)
    facts: dict[str, Any] = {}
    try:
        for steps, right in tree.given():
            tree.walk(steps, right)
            yield from _credit(tree, tree.state(steps[:1]), steps, right, decay, tool, retries)
        for _ in range(iterations):
            rights = [right >= 0.5 for _, right in tree.ended()]
            start = None if min(rights.count(True), rights.count(False)) >= enough else _descend(tree, c, select)
            if start is None:
                break
            if not start.facts.get("expanded"):
                start.facts["expanded"] = True
                yield from tree.extend(start, expand)
                yield from tree.settle([start])
            fresh = [s for s in start.children if _fresh(s)]
            if fresh:
                chosen = fresh[int(tree.rng.integers(len(fresh)))]
                yield from _simulate(tree, chosen, depth, decay, tool, retries)
    except BudgetSpent as error:
        facts["budget"] = error.message
    return tree.labels(tree.ended(), lambda path, outcome: {**_told(path, outcome, kind), "facts": facts})


def reward(verdicts: list[float], outcome: float) -> float:
    """u of a simulation.

    Args:
        verdicts: [M] +1 right, -1 wrong, NaN = not told, in order. outcome: +1 or -1.

    >>> round(reward([1, 1, -1], 1), 6), round(reward([1, 1, -1], -1), 6), reward([], 1)
    (0.777778, 0.111111, 1)
    """
    m = len(verdicts)
    if not m:
        return outcome
    early = np.arange(m, 0, -1) / m
    return float((np.nan_to_num(np.array(verdicts, float)) @ early + outcome) / m)


def check_prompt(task: str, before: list[str], step: str) -> str:
    """Asks whether a step is right, by whatever can be computed."""
    told = [("task", task), *((f"step {i}", s) for i, s in enumerate(before, 1)), ("the step in question", step)]
    return f"""Check one step of a solution. Compute or look up what it claims, with a tool where you have one, and \
compare. Judge this step alone: what it takes over from the steps before it may stand.

{quoted(*told)}

Think it through. Then end with one line of this form, where VERDICT is right or wrong:
<verdict>VERDICT</verdict>"""


def read_verdict(reply: str) -> float:
    """1 right, 0 wrong.

    Raises:
        Unreadable: no verdict of the form.
    """
    return float(last(reply, "verdict", "(right|wrong)")[1].lower() == "right")


def _descend(tree: Grown, c: float, select: str) -> State | None:
    """To a state that has a child without a simulation, or none yet; None where there is no way on."""
    at = tree.root
    while at.facts.get("expanded") and not any(_fresh(s) for s in at.children):
        open_ = [s for s in at.children if not s.ended and "dead" not in s.facts]
        if not open_:
            at.facts["dead"] = True
            if at is tree.root:
                return None
            at = tree.root
            continue
        if select == "random":
            at = open_[int(tree.rng.integers(len(open_)))]
            continue
        bound = [s.mean + c * math.sqrt(math.log(max(at.visits, 1)) / s.visits) for s in open_]
        at = open_[int(np.argmax(bound))]
    return at


def _fresh(state: State) -> bool:
    return not state.visits and "dead" not in state.facts


def _simulate(tree: Grown, start: State, depth: int, decay: float, tool: str, retries: int) -> Plan[None]:
    if start.ended:
        yield from tree.settle([start])
        steps, right = start.steps, start.right
    else:
        (made,) = yield from tree.complete([start], 1)
        if not made:
            start.facts["dead"] = True  # its reason stands on it; it is not tried again
            return
        steps, right = made[0].steps, made[0].right
        longest = len(start.steps) + depth
        if len(steps) > longest:
            right = 0.0
            for t in range(len(start.steps), longest):
                tree.child(tree.state(steps[:t]), steps[t])
            steps = steps[:longest]
        else:
            tree.walk(steps, right)
    yield from _credit(tree, start, steps, right, decay, tool, retries)


def _credit(tree: Grown, start: State, steps: Steps, right: float, decay: float, tool: str, retries: int) -> Plan[None]:
    """Check what was not checked yet, and back up; without an outcome there is nothing to back up."""
    path = [tree.state(steps[: t + 1]) for t in range(len(start.steps) - 1, len(steps))]
    settled = path[-1].ended and right == right
    yield from _check(tree, path[:-1] if settled else path, tool, retries)
    if right == right:
        outcome = 1.0 if right >= 0.5 else -1.0
        back_up(start, reward([2 * s.checked - 1 for s in path[1:-1]], outcome), decay)


def _check(tree: Grown, states: list[State], tool: str, retries: int) -> Plan[None]:
    left = [s for s in states if s.checked != s.checked and "asked" not in s.facts]
    for state in left:
        state.facts["asked"] = True
    for _ in range(retries + 1 if tool == "judge" else 1):
        if not left:
            return
        before = [tree.prefix(s.steps[:-1]) for s in left]
        if tool == "checker":
            replies = yield [Check(s.steps[-1], tree.prompt + b, "checker") for s, b in zip(left, before, strict=True)]
            tree.works[0].book("tool", len(left))
        else:
            task = tree.works[0].record.task or ""
            prompts = [check_prompt(task, list(s.steps[:-1]), s.steps[-1]) for s in left]
            replies = yield from tree.ask(prompts)
        for state, reply in zip(left, replies, strict=True):
            state.checked, state.reason = _read(reply)
        left = [s for s in left if s.checked != s.checked]


def _read(reply: Any) -> tuple[float, str | None]:
    """The verdict, and what the judge says, or why there is none."""
    if isinstance(reply, Failed):
        return NAN, reply.reason
    if not isinstance(reply, str):
        return float(reply >= 0.5), None
    try:
        return read_verdict(reply), reply
    except Unreadable as error:
        return NAN, str(error)


def _told(path: list[State | None], outcome: float | None, kind: str) -> dict[str, Any]:
    value: Floats = np.array([NAN if s is None else s.mean for s in path])
    label = np.array([NAN if s is None else s.checked for s in path])
    if kind == "value":
        label = np.where(np.isnan(value), np.nan, (value > 0).astype(float))
    elif outcome is not None:
        label[-1] = float(outcome >= 0.5)
    why = tuple(None if s is None else s.reason for s in path)
    return {"label": label, "value": value, "first_error": first_wrong(label), "reasons": why}
