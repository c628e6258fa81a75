"""Critique in the loop: a critic reads each solution, the sampler writes it anew with that, the answers vote."""

from collections.abc import Sequence
from typing import Literal

from stepcredit.credit.card import Preset
from stepcredit.errors import StepCreditError
from stepcredit.evidence._prompts import Part, quoted
from stepcredit.llm.requests import Failed, Plan
from stepcredit.search.engine import Search
from stepcredit.search.judging import mark, question, read_word
from stepcredit.search.tree import NAN, Node
from stepcredit.shelf import PlanCard

CARD = PlanCard(
    title="Enhancing LLM Reasoning via Critique Models with Test-Time and Training-Time Supervision",
    paper="arXiv:2411.16579",
    bibtex="""@misc{xi2024enhancing,
  title={Enhancing {LLM} Reasoning via Critique Models with Test-Time and Training-Time Supervision},
  author={Xi, Zhiheng and Yang, Dingwen and Huang, Jixuan and Tang, Jiafu and Li, Guanyu and Ding, Yiwen and others},
  eprint={2411.16579}, archivePrefix={arXiv}, year={2024}}""",
    evidence="official code read",
    asks=("sampler",),
    may_ask=("judge",),
    needs="a critic that names what is wrong in each step and says whether the final answer is right",
    cost="per solution and round one critique and one solution",
    departures="The critique and the solution stand before the task in one prompt instead of a dialogue. A solution "
    "whose critique failed stays as it is and is counted as not judged. The filter of training data (right answers, no "
    "shortcuts) is no part of the search.",
    code="https://github.com/WooooDyy/MathCritique",
)

PRESETS = {
    "sequential": Preset(
        {"n": 1, "rounds": 8, "pool": "all"}, "one solution, refined again and again; all versions vote"
    ),
    "refcritic": Preset(
        {"only_wrong": True, "choose": "filtered"},
        "RefCritic's use of its critic: refine what is judged wrong, then vote without what is still judged wrong",
        system="refcritic",
        title="RefCritic: Training Long Chain-of-Thought Critic Models with Refinement Feedback",
        paper="arXiv:2507.15024",
        bibtex="""@misc{tang2025refcritic,
  title={RefCritic: Training Long Chain-of-Thought Critic Models with Refinement Feedback},
  author={Tang, Qiaoyu and Xiang, Hao and Yu, Le and Yu, Bowen and Lin, Hongyu and Lu, Yaojie and others},
  eprint={2507.15024}, archivePrefix={arXiv}, year={2025}}""",
        evidence="secondary text",
    ),
    "self": Preset(
        {"n": 1, "only_wrong": True},
        "SELF at test time: one round of the model's own feedback, refined if not qualified",
        title="SELF: Self-Evolution with Language Feedback",
        paper="arXiv:2310.00533",
        bibtex="""@misc{lu2023self,
  title={SELF: Self-Evolution with Language Feedback},
  author={Lu, Jianqiao and Zhong, Wanjun and Huang, Wenyong and Wang, Yufei and Zhu, Qi and Mi, Fei and others},
  eprint={2310.00533}, archivePrefix={arXiv}, year={2023}}""",
        evidence="derived",
    ),
    "exit": Preset(
        {"n": 1, "rounds": 16, "critic": False, "memory": 4, "pool": "last"},
        "ExIt at test time: turns of self-improvement on the history of attempts, without a critic",
        title="Bootstrapping Task Spaces for Self-Improvement",
        paper="arXiv:2509.04575",
        bibtex="""@article{jiang2025exit,
  title={Bootstrapping Task Spaces for Self-Improvement},
  author={Jiang, Minqi and Lupu, Andrei and Bachrach, Yoram},
  journal={arXiv:2509.04575}, year={2025}}""",
        evidence="secondary text",
    ),
}

CRITIQUE = (
    'For every step: "Correctness of the step: <Correct or Wrong>", and why. At the end a line "Correctness of the '
    'final answer: <Correct or Wrong>", and what to change if it is wrong.'
)
REFINE = "Solve the task anew and improve on what stands above. Write the solution alone."
DIVERGE = "Solve the task anew by a clearly different approach. Write the solution alone."


def critique_refine(
    search: Search,
    *,
    n: int = 8,
    rounds: int = 1,
    critic: bool = True,
    only_wrong: bool = False,
    memory: int = 1,
    diverge: float = 0.0,
    pool: Literal["last", "all"] = "last",
    choose: Literal["vote", "filtered"] = "vote",
) -> Plan[Node | None]:
    """n solutions side by side, each criticized and refined `rounds` times; the answer that most have.

    Args:
        critic: the judge criticizes; False: solutions are improved without (nobody is asked).
        only_wrong: only what the critic calls wrong is refined.
        memory: own last attempts that the sampler sees. diverge: how often another approach is asked for.
        pool: the "last" version of each solution votes, or "all" versions.
        choose: "vote" by plurality; "filtered", without those that the critic calls wrong, if others are left.

    Raises:
        StepCreditError: no solutions; a filter, or refining what is wrong, without a critic.
    """
    if n < 1 or memory < 1:
        raise StepCreditError(f"n and memory must be at least 1; got {n}, {memory}")
    if not critic and (only_wrong or choose == "filtered"):
        raise StepCreditError("who is wrong is for the critic to say", hint="critic=True")
    chains: list[list[Node]] = []
    search.choose = lambda: _vote(search, chains, pool, choose == "filtered")
    chains.extend([leaf] for leaf in (yield from search.complete([search.root], n))[0])
    for _ in range(rounds):
        if critic:
            yield from _criticize(search, [chain[-1] for chain in chains])
        again = [c for c in chains if not critic or _refinable(c[-1], only_wrong)]
        if not again:
            break
        other = search.rng.random(len(again)) < diverge
        before = [_told(search, c[-memory:], bool(o)) for c, o in zip(again, other, strict=True)]
        made = yield from search.complete([search.root] * len(again), 1, before=before)
        for chain, leaves in zip(again, made, strict=True):
            chain.extend(leaves)
    if choose == "filtered":
        yield from _criticize(search, [x for c in chains for x in (c if pool == "all" else c[-1:])])
    return None


def _criticize(search: Search, leaves: Sequence[Node]) -> Plan[None]:
    """1 = called right, 0 = called wrong; NaN = the critique failed."""
    asked = [x for x in leaves if x.status == "missing"]
    if not asked:
        return
    replies = yield from search.ask([question(search, x, CRITIQUE) for x in asked])
    for leaf, reply in zip(asked, replies, strict=True):
        word = read_word(reply, "Correctness of the final answer", ["Correct", "Wrong"])
        if isinstance(reply, Failed) or word is None:
            mark(leaf, NAN, reply.reason if isinstance(reply, Failed) else "the critique does not judge the answer")
        else:
            mark(leaf, float(word == "Correct"), None)
            leaf.facts["critique"] = reply.strip()


def _refinable(leaf: Node, only_wrong: bool) -> bool:
    return leaf.score == 0 if only_wrong else leaf.score == leaf.score


def _told(search: Search, attempts: Sequence[Node], other: bool) -> str:
    parts: list[Part] = [("task", search.task.prompt)]
    for i, leaf in enumerate(attempts, start=1):
        parts.append((f"attempt {i}", search.text(leaf)))
        if "critique" in leaf.facts:
            parts.append((f"critique of attempt {i}", leaf.facts["critique"]))
    return f"{quoted(*parts)}\n\n{DIVERGE if other else REFINE}\n\n"


def _vote(search: Search, chains: Sequence[Sequence[Node]], pool: str, filtered: bool) -> Node | None:
    voters = [x for c in chains for x in (c if pool == "all" else c[-1:])]
    left = [x for x in voters if x.score != 0] if filtered else voters
    return search.majority(left or voters)
