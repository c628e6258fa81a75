"""Chain of Mindset: a reasoner calls for calculation, branching or deep thought, and reads back what came of it."""

import re
from collections.abc import Callable, Sequence
from functools import partial

from stepcredit.credit.card import Preset
from stepcredit.errors import StepCreditError
from stepcredit.evidence._prompts import quoted
from stepcredit.llm.requests import Failed, Plan
from stepcredit.sandbox.calculation import run
from stepcredit.sandbox.process import SandboxError
from stepcredit.search.engine import Search
from stepcredit.search.judging import question
from stepcredit.search.tree import Node
from stepcredit.shelf import PlanCard

CARD = PlanCard(
    title="Chain of Mindset: Reasoning with Adaptive Cognitive Modes",
    paper="arXiv:2602.10063",
    bibtex="""@misc{jiang2026mindset,
  title={Chain of Mindset: Reasoning with Adaptive Cognitive Modes},
  author={Jiang, Tianyi and An, Arctanx and Feng, Hengyi and Zhai, Naixin and Li, Haodong and Yu, Xiaomin and others},
  eprint={2602.10063}, archivePrefix={arXiv}, year={2026}}""",
    evidence="secondary text",
    asks=("sampler", "judge"),
    needs="a sampler that follows instructions, and a judge (or two) for mindsets and gate; code runs in the sandbox",
    cost="per call of a mindset two questions of the gate and one, `branches`, or up to `tries` of the mindset",
    departures="Text only: there is no spatial mindset. Prompts are ours. Code is a function `solve()` of plain "
    "calculation. A call that failed comes back as an insight that says so.",
    code="https://github.com/QuantaAlpha/chain-of-mindset",
)

PRESETS = {"no-gate": Preset({"gate": False}, "the ablation: mindsets see all, and all they say comes back")}

Asking = Callable[[Sequence[str]], Plan[list[str | Failed]]]
MODES = ("algorithmic", "divergent", "convergent")
META = (
    "Solve the task below step by step, one line a step. A line may call for help: <algorithmic>what to calculate"
    "</algorithmic>, <divergent>what to explore from several sides</divergent>, <convergent>what to think through"
    "</convergent>. What comes of it is the next line.\n\n"
)
_ASKED = {
    "algorithmic": "Write Python without imports but math and re: a function solve() that returns this. Code alone.",
    "divergent": "Explore this from one side that others may not take.",
    "convergent": "Think this through in depth, and conclude.",
}


def called(step: str) -> tuple[str, str] | None:
    """(mode, what is asked) of the first call in a step.

    >>> called("so <algorithmic>17 * 23</algorithmic>"), called("no <b>call</b>")
    (('algorithmic', '17 * 23'), None)
    """
    found = re.search(rf"<({'|'.join(MODES)})>(.*?)(?:</\1>|$)", step, re.DOTALL)
    return (found[1], found[2].strip()) if found else None


def chain_of_mindset(
    search: Search,
    *,
    branches: int = 3,
    tries: int = 2,
    gate: bool = True,
    mindset_by: str = "judge",
    gate_by: str = "judge",
) -> Plan[Node | None]:
    """One chain of steps; a call in a step is answered with a short insight before the next step.

    Args:
        branches: sides from which the divergent mindset looks. tries: of code that fails.
        gate: what a mindset sees of the solution is selected, and what it says is distilled.
        mindset_by, gate_by: names of the models that are mindset and gate.

    Raises:
        StepCreditError: the task has a live environment, whose steps are actions and not thoughts.
    """
    if search.task.world is not None:
        raise StepCreditError(
            "chain_of_mindset writes thoughts, and steps of a live environment are actions",
            hint="beam, mcts, swe_search",
        )
    search.choose = search.first
    node = search.root
    while not node.ended:
        made = (yield from search.propose([node], 1, before=META))[0]
        if not made:
            return None
        node = made[0]
        call = called(node.text)
        if call is not None:
            node.ended = node.depth >= search.writing.depth
            node.facts["mode"] = call[0]
            ask = partial(search.ask, to=mindset_by)
            sift = partial(search.ask, to=gate_by) if gate else None
            node.observation = yield from _insight(search, node, call, branches, tries, ask, sift)
    return node


def _insight(
    search: Search, node: Node, call: tuple[str, str], branches: int, tries: int, ask: Asking, sift: Asking | None
) -> Plan[str]:
    mode, asked = call
    seen = question(search, node, "Only this is needed.")
    if sift:
        need = f'Select, without solving anything, what is needed of this to answer: "{asked}"'
        (reply,) = yield from sift([question(search, node, need)])
        seen = seen if isinstance(reply, Failed) else reply
    prompt = f"{quoted(('what is known', seen), ('what is asked', asked))}\n\n{_ASKED[mode]}"
    if mode == "algorithmic":
        said = yield from _calculated(ask, prompt, tries)
    else:
        replies = yield from ask([prompt] * (branches if mode == "divergent" else 1))
        said = [r for r in replies if not isinstance(r, Failed)]
    if not said:
        return f"The {mode} mindset failed."
    told = "\n".join(said)
    if sift:
        short = f"{quoted(('what is asked', asked), ('what was thought', told))}\n\nDistill it into one short insight."
        (reply,) = yield from sift([short])
        told = told if isinstance(reply, Failed) else reply
    return " ".join(told.split(search.writing.separator)).strip() if search.writing.separator else told.strip()


def _calculated(ask: Asking, prompt: str, tries: int) -> Plan[Sequence[str]]:
    """What the code returns; what went wrong stands in the next prompt."""
    wrong = ""
    for _ in range(tries):
        (reply,) = yield from ask([prompt + wrong])
        if isinstance(reply, Failed):
            continue
        code = "\n".join(re.findall(r"```(?:python)?\n(.*?)```", reply, re.DOTALL)) or reply
        try:
            (result,) = run(code.replace("def solve()", "def solve(_=None)"), "solve", [None])
        except SandboxError as error:
            wrong = f"\n\nBefore, the code failed: {error}"
            continue
        return [f"The calculation gives {result}."]
    return []
