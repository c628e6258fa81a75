"""Safe: each step is stated in Lean by one model and proved by another; Lean says whether the proof holds."""

import re
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.errors import StepCreditError
from stepcredit.evidence._prompts import Part, Unreadable, quoted, spoken
from stepcredit.label.checks import Verdict
from stepcredit.label.checks.lean import prove
from stepcredit.label.labels import Labels, first_wrong
from stepcredit.label.systems._asking import NAN, parts
from stepcredit.label.work import Work
from stepcredit.llm.requests import Check, Failed, Plan, side_by_side
from stepcredit.shelf import PlanCard

CARD = PlanCard(
    title="Safe: Enhancing Mathematical Reasoning in Large Language Models via Retrospective Step-aware Formal "
    "Verification",
    paper="arXiv:2506.04592",
    bibtex="""@inproceedings{liu2025safe,
  title={Safe: Enhancing Mathematical Reasoning in Large Language Models via Retrospective Step-aware Formal
  Verification},
  author={Liu, Chengwu and Yuan, Ye and Yin, Yichun and Xu, Yan and Xu, Xin and Chen, Zaoyu and others},
  booktitle={ACL}, year={2025}}""",
    evidence="official code read",
    asks=("judge",),
    may_ask=("prover", "checker"),
    needs='Lean 4 on this machine, or a server of it as the checker (a function: code, "" -> 1 or 0)',
    cost="up to `tries` statements per step, and up to `proofs` proofs of each",
    departures="Given steps are not split again. A proof that is not found refutes nothing: such a step is not judged, "
    "unless failed='wrong'. The model over the states of a solution is not part of it (`ensemble` joins scores).",
    code="https://github.com/liuchengwucn/Safe",
)

PRESETS = {"wrong": Preset({"failed": "wrong"}, "ours: a statement that no proof is found for is wrong")}

SUCCESS, FAILURE = "Success of Proof", "Failure of Proof"
NO_NEED, NOT_FORMAL = "No Verification Required", "Failed Formalization"
_CODE = re.compile(r"```(?:lean4?)?[ \t]*\n(.*?)```", re.DOTALL)


class _Stated(NamedTuple):
    state: str | None
    code: str
    why: str


def safe_lean(
    work: Work,
    *,
    tries: int = 3,
    proofs: int = 1,
    tool: Literal["lean", "checker"] = "lean",
    prover: Literal["judge", "prover"] = "judge",
    failed: Literal["unjudged", "wrong"] = "unjudged",
) -> Plan[Labels]:
    """label_t = 1 where step t has a statement in Lean, with one gap, and a proof that closes it.

    `facts["states"]` hold the state of each step: Success of Proof, Failure of Proof, No Verification Required (the
    judge says that there is nothing to prove), Failed Formalization; None where it is not known: nobody answered, or
    Lean is not installed. Steps are stated apart from one another, each with those before it in view.

    Args:
        tries: statements of a step until one is accepted. proofs: of a statement. tool: who runs Lean. prover: who is
            asked for proofs. failed: what a statement without a proof is.

    Raises:
        StepCreditError: tries or proofs < 1.
    """
    if tries < 1 or proofs < 1:
        raise StepCreditError(f"tries and proofs are at least 1; got {tries}, {proofs}")
    size = len(work.steps)
    plans = [_step(work, t, tries, proofs, tool, prover) for t in range(size)]
    found = yield from side_by_side(plans)
    bad = 0.0 if failed == "wrong" else NAN
    label = np.array([1.0 if one.state == SUCCESS else bad if one.state == FAILURE else NAN for one in found])
    facts: dict[str, Any] = {"states": [one.state for one in found], "statements": [one.code or None for one in found]}
    why = tuple(one.why or one.state for one in found)
    return work.labels(label=label, first_error=first_wrong(label), reasons=why, facts=facts)


def _step(work: Work, t: int, tries: int, proofs: int, tool: str, prover: str) -> Plan[_Stated]:
    stated = yield from _state(work, t, tries, tool)
    if stated.state is not None or not stated.code:
        return stated
    prompt, why = prove_prompt(stated.code), ""
    replies = []
    for k in range(proofs):
        (reply,) = yield from work.ask([prompt], draw=k, to=prover)
        replies.append(reply)
        if isinstance(reply, Failed):
            why = reply.reason
            continue
        try:
            code = read_code(reply)
        except Unreadable as error:
            why = str(error)
            continue
        if not states_the_same(stated.code, code):
            why = "it proves something else"
            continue
        told = yield from _checked(work, code, tool, gaps=False)
        if told.right:
            return _Stated(SUCCESS, code, "")
        why = told.why
        if told.right is None:
            return _Stated(None, stated.code, why)
    unanswered = all(isinstance(reply, Failed) for reply in replies)
    return _Stated(None if unanswered else FAILURE, stated.code, why)


def _state(work: Work, t: int, tries: int, tool: str) -> Plan[_Stated]:
    """A statement that Lean accepts with its gap (state None, code), or why there is none."""
    prompt, why, answered = state_prompt(parts(work, t), t + 1), "", False
    for k in range(tries):
        (reply,) = yield from work.ask([prompt], draw=k)
        if isinstance(reply, Failed):
            why = reply.reason
            continue
        answered = True
        if re.fullmatch(r"\W*false\W*", spoken_or(reply).strip(), re.IGNORECASE):
            return _Stated(NO_NEED, "", "")
        try:
            code = read_code(reply)
        except Unreadable as error:
            why = str(error)
            continue
        if len(re.findall(r"\bsorry\b", code)) != 1:
            why = "not exactly one sorry"
            continue
        told = yield from _checked(work, code, tool, gaps=True)
        if told.right:
            return _Stated(None, code, "")
        why = told.why
        if told.right is None:
            return _Stated(None, "", why)
    return _Stated(NOT_FORMAL if answered else None, "", why)


def _checked(work: Work, code: str, tool: str, *, gaps: bool) -> Plan[Verdict]:
    work.book("tool", 1)
    if tool == "lean":
        return prove(code, gaps=gaps)
    (reply,) = yield [Check(code, "", "checker")]
    if isinstance(reply, Failed):
        return Verdict(None, reply.reason)
    return Verdict(float(reply) >= 0.5, "the checker does not accept it")


def states_the_same(statement: str, proof: str) -> bool:
    """Whether a proof begins with the statement that it is to prove, white space apart: all up to the gap.

    >>> states_the_same("theorem s : 1 + 1 = 2 := by sorry", "theorem s : 1 + 1 = 2 := by\\n  norm_num")
    True
    """
    head = "".join(re.split(r"\bsorry\b", statement)[0].split())
    return "".join(proof.split()).startswith(head)


def ensemble(score: float, prm: float, weight: float, how: Literal["product", "sum"] = "product") -> float:
    """s^a p^(1 - a), or a s + (1 - a) p: the score of the states with that of a process reward model.

    >>> round(ensemble(0.8, 0.6, 0.3), 6), round(ensemble(0.8, 0.6, 0.3, "sum"), 6)
    (0.654083, 0.66)
    """
    return score**weight * prm ** (1 - weight) if how == "product" else weight * score + (1 - weight) * prm


def state_prompt(story: Sequence[Part], step: int) -> str:
    """Asks for the statement of a step in Lean, or the word false."""
    return f"""State in Lean 4, with Mathlib, what step {step} of a solution claims.

Everything that the step takes from the task or from earlier steps becomes a hypothesis; what it concludes becomes the \
goal. The proof is left out: the theorem ends in := by sorry, and there is one sorry. If the step claims nothing that \
can be proved (it plans, repeats, or reads the task), answer with the word false alone.

{quoted(*story)}

End with the theorem between ```lean and ```, or with the word false."""


def prove_prompt(statement: str) -> str:
    """Asks for the proof of a statement."""
    return f"""Prove a theorem in Lean 4 with Mathlib. Change nothing of the statement, and leave no sorry.

{quoted(("theorem", statement))}

End with the whole theorem and its proof between ```lean and ```."""


def read_code(reply: str) -> str:
    """The last block of code of a reply.

    Raises:
        Unreadable: there is none.
    """
    found = _CODE.findall(spoken(reply))
    if not found or not found[-1].strip():
        raise Unreadable("no block of Lean code")
    return str(found[-1]).strip()


def spoken_or(reply: str) -> str:
    """What a reply says; all of it where it was cut off while thinking."""
    try:
        return spoken(reply)
    except Unreadable:
        return reply
