"""OmegaPRM: the first error of a solution by halving; a tree of the solutions that are worth it."""

from functools import partial
from typing import Literal

from stepcredit.credit.card import Preset
from stepcredit.errors import StepCreditError
from stepcredit.label._first_error import halve, known, told
from stepcredit.label._omega_tree import OmegaTree, Shape, said
from stepcredit.label.labels import Labels
from stepcredit.label.work import Work
from stepcredit.llm.requests import BudgetSpent, Plan, side_by_side
from stepcredit.shelf import PlanCard

CARD = PlanCard(
    title="Improve Mathematical Reasoning in Language Models by Automated Process Supervision",
    paper="arXiv:2406.06592",
    bibtex="""@misc{luo2024omegaprm,
  title={Improve Mathematical Reasoning in Language Models by Automated Process Supervision},
  author={Luo, Liangchen and Liu, Yinxiao and Liu, Rosanne and Phatale, Samrat and Guo, Meiqi and others},
  year={2024}, eprint={2406.06592}, archivePrefix={arXiv}}""",
    evidence="secondary text",
    asks=("sampler", "verifier"),
    needs="a reference answer, or a verifier that needs none; a known outcome saves the completions of the last step",
    cost="n completions of about ceil(log2 T) prefixes of a solution; none of one that is right",
    departures="By default the given rollouts are halved one by one, without a tree (search='tree' grows it). A known "
    "outcome is the last step's share, without completions; a right one leaves no first error to look for. A step that "
    "the search passed over has the label that follows from its neighbors, where the threshold is 0; else none.",
)

PRESETS = {
    "careful": Preset(
        {"doubt": 0.05},
        "ours: completes the step that was found until bad luck is unlikely, and goes on behind it if it was that",
    ),
    "tree": Preset({"search": "tree"}, "the paper's tree over the task"),
    "openr": Preset(
        {"search": "tree", "n": 16, "searches": 10, "budget": 100, "threshold": 0.5},
        "openreasoner/openr, its defaults and its '+' for shares above 0.5 (code read); it searches some rollouts "
        "again and again, which this does not",
        evidence="official code read",
        code="https://github.com/openreasoner/openr",
    ),
    "mm_prm": Preset(
        {"search": "tree", "n": 16, "searches": 20, "budget": 200, "kind": "soft", "settled": "drop"},
        "ModalMinds/MM-PRM (code read): soft labels at the nodes; tasks that are always or never solved are left out",
        system="mm_prm",
        title="MM-PRM: Enhancing Multimodal Mathematical Reasoning with Scalable Step-Level Supervision",
        paper="arXiv:2505.13427",
        bibtex="""@misc{du2025mmprm,
  title={MM-PRM: Enhancing Multimodal Mathematical Reasoning with Scalable Step-Level Supervision},
  author={Du, Lingxiao and Meng, Fanqing and Liu, Zongkai and Zhou, Zhixiang and Luo, Ping and others},
  year={2025}, eprint={2505.13427}, archivePrefix={arXiv}}""",
        evidence="official code read",
        code="https://github.com/ModalMinds/MM-PRM",
        departures="The selected rollout is removed and the visits counted as in its code. A node is one step here, so "
        "that steps inside a node are not judged. Rows of one and of the other kind are evened out by the pipeline.",
    ),
}


def omegaprm(
    works: list[Work],
    *,
    search: Literal["rollout", "tree"] = "rollout",
    n: int = 8,
    kind: Literal["hard", "soft"] = "hard",
    threshold: float = 0.0,
    doubt: float = 0.0,
    most: int = 4,
    retries: int = 0,
    alpha: float = 0.5,
    beta: float = 0.9,
    length: float = 500.0,
    c: float = 0.125,
    searches: int = 100,
    budget: int = 1000,
    settled: Literal["keep", "drop"] = "keep",
) -> Plan[list[Labels]]:
    """value_t = c_t / n for the prefixes that the search completes; label_t = [value_t > threshold], or value_t.

    The first error e is the step where values fall to 0: right steps stand before it, wrong ones from there on.

    Args:
        search: "rollout", halve each given rollout; "tree", also rollouts drawn from its states, the most promising
            first (`Shape`), and label the searched and the right ones too.
        n: completions of a prefix. kind, threshold: of the labels.
        doubt, most, retries: of "rollout", see `halve`; doubt 0 trusts every zero.
        alpha, beta, length, c: of the choice of rollouts, length in words. searches: most of them. budget: completions
            of a task after which no search is begun. settled: what becomes of a tree whose root is always or never
            solved; "drop" marks its labels as not kept.

    Raises:
        StepCreditError: n < 1, or another number out of its range.
    """
    shape = Shape(n, alpha, beta, length, c, searches=searches, budget=budget)
    if search == "rollout":
        facts, plans = {}, (halve(w, n, doubt=doubt, most=most, retries=retries) for w in works)
        try:
            found = yield from side_by_side(plans)
        except BudgetSpent as error:
            facts, found = {"budget": error.message}, [known(w) for w in works]
        return [
            w.labels(**told(one, w.shares(), kind, threshold), facts=facts) for one, w in zip(found, works, strict=True)
        ]
    if doubt or retries:
        raise StepCreditError("doubt and retries are of search='rollout'", hint="leave them out, or search='rollout'")
    tree = OmegaTree(works, shape)
    yield from tree.grow()
    kept = settled == "keep" or 0 < tree.root.won < tree.root.drawn
    return tree.labels({**tree.searched, **tree.right}.items(), partial(said, tree, kind, threshold, kept))
