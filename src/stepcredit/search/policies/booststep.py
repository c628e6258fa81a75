"""BoostStep: each step is tried first, and written again with the most similar solved step as an example."""

from pathlib import Path

from stepcredit.credit.card import Preset
from stepcredit.llm.requests import Plan
from stepcredit.search.bank import StepBank
from stepcredit.search.engine import Search
from stepcredit.search.tree import Node
from stepcredit.shelf import PlanCard

CARD = PlanCard(
    title="BoostStep: Boosting Mathematical Capability of Large Language Models via Improved Single-step Reasoning",
    paper="arXiv:2501.03226",
    bibtex="""@misc{zhang2025booststep,
  title={BoostStep: Boosting Mathematical Capability of Large Language Models via Improved Single-step Reasoning},
  author={Zhang, Beichen and Liu, Yuhong and Dong, Xiaoyi and Zang, Yuhang and Zhang, Pan and Duan, Haodong and
    Cao, Yuhang and Lin, Dahua and Wang, Jiaqi},
  eprint={2501.03226}, archivePrefix={arXiv}, year={2025}}""",
    evidence="official code read",
    asks=("sampler",),
    needs="a bank of solved problems in steps",
    cost="one sample per step, two where an example is found",
    departures="Where no example is found the first try stays: at temperature 0 the second is the same (`again` pays "
    "for it as the code does). The problem itself is never its own example. In a live environment a step is there "
    "already where its action and what it came to are.",
    code="https://github.com/beichenzbc/BoostStep",
)

PRESETS = {"code": Preset({"again": True}, "the official code: two samples per step, example or not")}


def booststep(
    search: Search,
    *,
    bank: StepBank | str | Path | None = None,
    floor: float = 0.7,
    most: int = 20,
    again: bool = False,
    temperature: float = 0.0,
) -> Plan[Node | None]:
    """A first try z; the solved step of the largest cosine s* to it; if s* >= floor, the step anew with it shown.

    Args:
        bank: solved problems, or the file of rollouts that succeeded. floor: theta, least likeness.
        most: steps; a longer solution, or one that repeats a step, is given up and the task answered in one go.
        again: the step is written again although no example was found. temperature: of all samples.

    Raises:
        StepCreditError: there is no bank.
    """
    shown = StepBank.of(bank, "booststep")
    search.choose = search.first
    node = search.root
    while not node.ended:
        made = (yield from search.propose([node], 1, temperature=temperature))[0]
        if not made:
            break
        child = made[0]
        hits = shown.steps_like(child.text, 1, floor, but=search.task.prompt)
        example = ""
        if hits:
            child.facts.update({"example": list(hits[0][:2]), "likeness": round(hits[0].likeness, 6)})
            example = f"A similar problem:\n{shown.solved[hits[0].solved].upto(hits[0].step)}\n\nNow this one:\n"
        if example or again:
            anew = (yield from search.propose([node], 1, temperature=temperature, before=example))[0]
            if anew:
                anew[0].facts.update(child.facts)
                child.kept, child = False, anew[0]
        seen = (child.text.strip(), child.observation) in ((n.text.strip(), n.observation) for n in node.path)
        if not child.ended and (child.depth > most or seen):
            child.kept = False
            whole = (yield from search.complete([search.root], 1, temperature=temperature))[0]
            return whole[0] if whole else None
        node = child
    return node if node.ended else None
