"""R2-LLMs: tree search with examples found twice: whole problems for the task, solved steps for each expansion."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

from stepcredit.credit.card import Preset
from stepcredit.data.layout import Floats
from stepcredit.errors import StepCreditError
from stepcredit.evidence._prompts import quoted
from stepcredit.llm.requests import Ask, Failed, Plan
from stepcredit.ops import Aggregate
from stepcredit.search.bank import StepBank
from stepcredit.search.engine import Search
from stepcredit.search.picking import once
from stepcredit.search.tree import Node
from stepcredit.search.uct import finished, grow
from stepcredit.shelf import PlanCard

CARD = PlanCard(
    title="R2-LLMs: Enhancing Test-Time Scaling of Large Language Models with Hierarchical Retrieval-Augmented MCTS",
    paper="arXiv:2507.05557",
    bibtex="""@misc{dou2025r2llms,
  title={Enhancing Test-Time Scaling of Large Language Models with Hierarchical Retrieval-Augmented {MCTS}},
  author={Dou, Alex ZH and Wan, Zhongwei and Cui, Dongfei and Wang, Xin and Xiong, Jing and Lin, Haokun and Tao, Chaofan
    and Yan, Shen and Zhang, Mi},
  eprint={2507.05557}, archivePrefix={arXiv}, year={2025}}""",
    evidence="derived",
    asks=("sampler", "scorer"),
    may_ask=("judge",),
    needs="a bank of solved problems in steps, with a template each (`with_templates` asks a judge for them once)",
    cost="`expand` steps and opinions per iteration; one question to the judge per task",
    departures="From the abstract alone; all constants are ours. The value of a step is the scorer's opinion; per "
    "iteration the best of the new ones is backed up. The problem itself is never its own example; equal "
    "steps under one parent count once. Where the search ends without a complete solution the most "
    "valuable partial one is completed.",
)

PRESETS = {
    "by-problem": Preset({"by": "problem"}, "derived: reference problems found by their own text, without templates"),
    "draft-key": Preset({"key": "draft"}, "derived: solved steps found by a first try of the next step"),
    "vote": Preset({"choose": "vote"}, "derived: terminal nodes vote with their values"),
}

TEMPLATE = "Name the type of this problem and the pattern of its solution in one line, without its numbers."


def with_templates(bank: StepBank, *, to: str = "judge") -> Plan[StepBank]:
    """The plan that asks for the template of each problem of a bank; one whose template failed is left out."""
    asked = [one for one in bank.solved if not one.template]
    replies = yield [Ask(f"{quoted(('task', one.problem))}\n\n{TEMPLATE}", to=to) for one in asked]
    coming = iter(replies)
    told = [(one, one.template or next(coming)) for one in bank.solved]
    return bank.replaced(replace(one, template=said) for one, said in told if not isinstance(said, Failed))


def r2_llms(
    search: Search,
    *,
    bank: StepBank | str | Path | None = None,
    iterations: int = 16,
    expand: int = 4,
    c: float = 1.0,
    problems: int = 2,
    steps: int = 1,
    floor: float = 0.0,
    by: Literal["template", "problem"] = "template",
    key: Literal["partial", "draft"] = "partial",
    choose: Literal["best", "vote"] = "best",
    how: Aggregate = "last",
) -> Plan[Node | None]:
    """UCT = Q + c * sqrt(ln N_p / N) over steps written after examples; Q is the mean of the scorer's opinions.

    Args:
        bank: solved problems, or the file of rollouts that succeeded.
        expand: new steps per iteration. problems: examples for the whole search. steps: solved steps per expansion.
        floor: least likeness of a solved step. by: what tells how like two problems are.
        key: a solved step is found by the last step written, or by a "draft" of the next.
        choose: the "best" complete solution or a "vote" weighted by scores; how: from scores of steps to a solution's.

    Raises:
        StepCreditError: there is no bank, or it has no templates; iterations or expand below 1.
    """
    if iterations < 1 or expand < 1:
        raise StepCreditError(f"iterations and expand must be at least 1; got {iterations}, {expand}")
    shown = StepBank.of(bank, "r2_llms")
    search.choose = partial(search.best if choose == "best" else search.vote, how)
    like = search.task.prompt
    if by == "template":
        (reply,) = yield from search.ask([f"{quoted(('task', search.task.prompt))}\n\n{TEMPLATE}"])
        if isinstance(reply, Failed):
            search.notes.append(f"no template: {reply.reason}; the search goes on without example problems")
        like = "" if isinstance(reply, Failed) else reply
    found = shown.problems_like(like, problems, by=by, but=search.task.prompt) if like else []
    lead = "".join(f"Example: {one.problem.strip()}\n" + "\n".join(one.steps) + "\n\n" for one in found)

    def widen(node: Node) -> Plan[Sequence[Node]]:
        text = node.text or search.task.prompt
        if key == "draft":
            tried = (yield from search.propose([node], 1, before=lead))[0]
            for child in tried:
                child.kept, text = False, child.text
        hits = shown.steps_like(text, steps, floor, but=search.task.prompt) if steps else []
        near = "".join(f"A similar step:\n{shown.solved[h.solved].upto(h.step)}\n\n" for h in hits)
        made = once((yield from search.propose([node], expand, before=lead + near))[0])
        for child in made:
            child.facts["examples"] = [list(h[:2]) for h in hits]
        return made

    def evaluate(nodes: Sequence[Node]) -> Plan[Floats]:
        return (yield from search.score(nodes))

    yield from grow(search, iterations=iterations, c=c, expand=widen, evaluate=evaluate)
    yield from finished(search)
    yield from search.score([n for leaf in search.tree.leaves() for n in leaf.path])
    return None
