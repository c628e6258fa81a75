"""ReARTeR: OmegaPRM's tree over rollouts of retrieval, right ones too, with a stronger model for hard questions."""

from functools import partial

from stepcredit.label._omega_tree import OmegaTree, Shape, said
from stepcredit.label.labels import Labels
from stepcredit.label.work import Work
from stepcredit.llm.requests import Plan
from stepcredit.shelf import PlanCard

CARD = PlanCard(
    title="ReARTeR: Retrieval-Augmented Reasoning with Trustworthy Process Rewarding",
    paper="arXiv:2501.07861",
    bibtex="""@inproceedings{sun2025rearter,
  title={ReARTeR: Retrieval-Augmented Reasoning with Trustworthy Process Rewarding},
  author={Sun, Zhongxiang and Wang, Qipeng and Yu, Weijie and Zang, Xiaoxue and Zheng, Kai and Xu, Jun and others},
  booktitle={SIGIR}, year={2025}}""",
    evidence="official code read",
    asks=("sampler", "verifier"),
    may_ask=("stronger",),
    needs="a sampler that retrieves by itself, and the answers; the paper's verifier: token F1 above .5, or the answer "
    "stands in the prediction",
    cost="n completions of the task and of the prefixes at which at most 20 rollouts are halved",
    departures="The labels for its process reward model alone. Leaves have their own prefix (the code's are wrong). "
    "What has no state is not judged, unless a step before it is lost.",
    code="https://github.com/Jeryi-Sun/ReARTeR",
)


def rearter(
    works: list[Work],
    *,
    n: int = 5,
    threshold: float = 0.5,
    alpha: float = 0.5,
    beta: float = 0.9,
    length: float = 6.0,
    c: float = 0.125,
    searches: int = 20,
    budget: int = 1000,
    stronger: bool = False,
) -> Plan[list[Labels]]:
    """label_t = [c_t / n > threshold] at the states of a tree that halves the rollout of the largest

        alpha^(1 - MC(s)) * beta^(len(r) / length) + c sqrt(sum N) / (1 + N(s)),   len in steps,

    right or wrong, from states that are solved sometimes and not always. A state that is always solved ends a search.

    Args:
        n: completions of a state. threshold: of the labels. alpha, beta, length, c: of the choice. searches: most
            rollouts that are halved. budget: completions of a task after which no search is begun.
        stronger: a task that no completion solves is completed by the model "stronger".

    Raises:
        StepCreditError: n < 1, or another number out of its range.
    """
    shape = Shape(n, alpha, beta, length, c, "steps", "all", True, searches, budget)
    tree = OmegaTree(works, shape, stronger=stronger)
    yield from tree.grow()
    return tree.labels({**tree.searched, **tree.right}.items(), partial(said, tree, "hard", threshold, True))
