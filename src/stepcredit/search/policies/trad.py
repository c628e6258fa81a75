"""TRAD: expert steps are found by the thought behind them and shown with their neighbors, in the present's format."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from stepcredit.evidence._prompts import Part, quoted
from stepcredit.llm.requests import Ask, Failed, Plan
from stepcredit.search.bank import Hit, Solved, StepBank
from stepcredit.search.engine import Search
from stepcredit.search.judging import question
from stepcredit.search.tree import Node
from stepcredit.shelf import PlanCard

CARD = PlanCard(
    title="TRAD: Enhancing LLM Agents with Step-Wise Thought Retrieval and Aligned Decision",
    paper="arXiv:2403.06221",
    bibtex="""@misc{zhou2024trad,
  title={TRAD: Enhancing LLM Agents with Step-Wise Thought Retrieval and Aligned Decision},
  author={Zhou, Ruiwen and Yang, Yingxuan and Wen, Muning and Wen, Ying and Wang, Wenhao and Xi, Chunling and
    Xu, Guoqiang and Yu, Yong and Zhang, Weinan},
  eprint={2403.06221}, archivePrefix={arXiv}, year={2024}}""",
    evidence="secondary text",
    asks=("sampler", "judge"),
    needs="a bank of expert rollouts with a thought per step (`with_thoughts` asks a judge for them once)",
    cost="one thought of the judge and one sample per step",
    departures="K, B and F are not established: 3, 1, 2. The judge stands for the model that writes thoughts. Without "
    "an encoder thoughts are compared by TF-IDF. Windows of one rollout that meet are one, its steps marked by the "
    "nearest of those found. A step whose thought failed is taken without demonstrations.",
)

THOUGHT = "In one sentence, what is there to do next, and why? Write the thought alone."
WHY = "In one sentence, why was the last step the right one to take? Write the thought alone."


def windows(hits: Sequence[int], length: int, before: int, after: int) -> list[list[tuple[int, int]]]:
    """Stretches of a rollout around the steps that were found: (step, its offset from the nearest of them).

    >>> windows([4], 6, 1, 2)
    [[(3, -1), (4, 0), (5, 1)]]
    >>> windows([0, 2], 6, 0, 1)
    [[(0, 0), (1, 1), (2, 0), (3, 1)]]
    """
    shown = sorted({t for h in hits for t in range(max(h - before, 0), min(h + after + 1, length))})
    out: list[list[tuple[int, int]]] = []
    for t in shown:
        nearest = min((t - h for h in hits), key=lambda d: (abs(d), -d))
        if not out or out[-1][-1][0] != t - 1:
            out.append([])
        out[-1].append((t, nearest))
    return out


def with_thoughts(bank: StepBank, *, to: str = "judge") -> Plan[StepBank]:
    """The plan that asks why each step of a bank was taken; a solution with a thought that failed is left out."""
    asked = [(i, t) for i, one in enumerate(bank.solved) if not one.thoughts for t in range(len(one.steps))]
    replies = yield [Ask(f"{quoted(*_upto(bank.solved[i], t))}\n\n{WHY}", to=to) for i, t in asked]
    told = dict(zip(asked, replies, strict=True))
    made: list[Solved] = []
    for i, one in enumerate(bank.solved):
        thoughts = one.thoughts or tuple(told[i, t] for t in range(len(one.steps)))
        if not any(isinstance(x, Failed) for x in thoughts):
            made.append(replace(one, thoughts=thoughts))
    return bank.replaced(made)


def trad(
    search: Search,
    *,
    bank: StepBank | str | Path | None = None,
    k: int = 3,
    before: int = 1,
    after: int = 2,
    history: int = 3,
) -> Plan[Node | None]:
    """The thought of a step finds k expert steps; the sampler decides with them, in order and marked, before the task.

    Args:
        bank: expert rollouts with thoughts, or a file of rollouts whose steps have a field `thought`.
        k: expert steps. before, after: B and F, neighbors shown of each. history: own last steps in the same format.

    Raises:
        StepCreditError: there is no bank, or it has no thoughts.
    """
    shown = StepBank.of(bank, "trad")
    search.choose = search.first
    node = search.root
    while not node.ended:
        (thought,) = yield from search.ask([question(search, node, THOUGHT)])
        hits = (
            [] if isinstance(thought, Failed) else shown.steps_like(thought, k, by="thoughts", but=search.task.prompt)
        )
        told = _demonstrations(shown, hits, before, after) + (_history(node, history) if hits else "")
        made = (yield from search.propose([node], 1, before=told))[0]
        if not made:
            return None
        node = made[0]
        node.facts["thought"] = None if isinstance(thought, Failed) else thought
        node.facts["examples"] = [list(h[:2]) for h in hits]
    return node


def _demonstrations(bank: StepBank, hits: Sequence[Hit], before: int, after: int) -> str:
    """Of each rollout that was found the stretches around its steps; the most alike first."""
    parts: list[str] = []
    for i in dict.fromkeys(h.solved for h in hits):
        one = bank.solved[i]
        for stretch in windows([h.step for h in hits if h.solved == i], len(one.steps), before, after):
            lines = [_line(offset, one.steps[t], _answer(one, t)) for t, offset in stretch]
            parts.append("\n".join([f"Example: {one.problem.strip()}", *lines]))
    return "\n\n".join([*parts, ""]) + "\n" if parts else ""


def _history(node: Node, n: int) -> str:
    own = node.path[-n:] if n else []
    if not own:
        return ""
    lines = [_line(i - len(own), s.text, s.observation) for i, s in enumerate(own)]
    return "\n".join(["What you did last:", *lines]) + "\n\n"


def _line(offset: int, step: str, answer: str | None) -> str:
    mark = "0" if offset == 0 else f"{offset:+d}"
    return f"[{mark}] {step}" + ("" if answer is None else f" -> {answer}")


def _answer(one: Solved, step: int) -> str | None:
    return one.observations[step] if one.observations else None


def _upto(one: Solved, step: int) -> list[Part]:
    parts: list[Part] = [("task", one.problem)]
    for t in range(step + 1):
        parts.append((f"step {t + 1}", one.steps[t]))
        said = _answer(one, t)
        if said is not None and t < step:
            parts.append((f"answer to step {t + 1}", said))
    return parts
