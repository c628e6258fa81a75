"""Step-GUI: the verdict on a whole rollout decides which rows a model writes of its steps, seven kinds or six."""

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.evidence._prompts import Part, Unreadable, quoted, spoken
from stepcredit.label.labels import Labels, first_wrong
from stepcredit.label.systems._asking import asked, parts
from stepcredit.label.work import Work
from stepcredit.llm.requests import Failed, Plan
from stepcredit.shelf import PlanCard

CARD = PlanCard(
    title="Step-GUI Technical Report",
    paper="arXiv:2512.15431",
    bibtex="""@misc{stepgui2025,
  title={Step-GUI Technical Report}, author={{StepFun}}, year={2025}, eprint={2512.15431}, archivePrefix={arXiv}}""",
    evidence="secondary text",
    asks=("judge",),
    needs="the outcome of each rollout, from a program or people; the judge writes the rows",
    cost="a question to the judge per step",
    departures="The prompt is ours. Where the outcome is not known it counts as a failure: no action is to be "
    "imitated. Steps of a rollout that failed are not wrong: they are not judged.",
    code="https://github.com/stepfun-ai/gelab-zero",
)

PRESETS = {"verdict-alone": Preset({"rows": False}, "ours: the outcome over all steps, without rows; nobody is asked")}

KNOWLEDGE = (
    "progress_tracking",
    "state_summary",
    "effect_prediction",
    "self_reflection",
    "state_verification",
    "intent_execution",
)
ACTION = "action_prediction"
_SAID = {
    "progress_tracking": "how far the task has come, and what is left",
    "state_summary": "what can be seen now that matters",
    "effect_prediction": "what the step will change",
    "self_reflection": "whether the step fits the aim, and what could be mistaken about it",
    "state_verification": "how to see that the step has done what it should",
    "intent_execution": "what the step is meant to do, and how it does it",
    ACTION: "the thought that leads to the step, and the action",
}


def step_gui(work: Work, *, rows: bool = True, retries: int = 0) -> Plan[Labels]:
    """label_t = 1 for all steps of a rollout that succeeded; those of one that failed are not judged.

    `facts["rows"]` hold, of each step, the seven kinds of rows where it succeeded; the six without the action where it
    failed or the outcome is not known, so that no wrong action is imitated. The judge is not told the outcome.

    Args:
        rows: whether they are written. retries: how often a reply that failed or could not be read is asked for again.
    """
    won = work.outcome is not None and work.outcome >= 0.5
    kinds = (*KNOWLEDGE, ACTION) if won else KNOWLEDGE
    size = len(work.steps)
    label = np.full(size, 1.0 if won else np.nan)
    outcome = "the outcome is not known" if work.outcome is None else "of a rollout that failed"
    why: list[str | None] = [None if won else outcome] * size
    facts: dict[str, Any] = {"kinds": list(kinds)}
    if rows:
        prompts = [rows_prompt(parts(work, t), t + 1, kinds) for t in range(size)]
        said = yield from asked(work, prompts, partial(read_rows, kinds=kinds), retries=retries)
        facts["rows"] = [None if isinstance(one, Failed) else one for one in said]
        for t, one in enumerate(said):
            if isinstance(one, Failed):
                why[t] = "; ".join(filter(None, (why[t], f"no rows: {one.reason}")))
    return work.labels(label=label, first_error=first_wrong(label) if won else None, reasons=tuple(why), facts=facts)


def rows_prompt(story: Sequence[Part], step: int, kinds: Sequence[str]) -> str:
    """Asks for the rows of one step."""
    wanted = "\n".join(f'"{kind}": {_SAID[kind]}.' for kind in kinds)
    return f"""Write training texts about step {step} of an agent. Use what is known at that moment: do not assume how \
the task ends.

{quoted(*story)}

Think it through. Then end with one JSON object with these keys, each with a text of a few sentences that gives the \
reasoning and then the result:
{wanted}"""


def read_rows(reply: str, kinds: Sequence[str]) -> dict[str, str]:
    """Kind -> text, all kinds and no others.

    Raises:
        Unreadable: no such object; a kind that is missing or empty.
    """
    said = spoken(reply)
    begin, end = said.find("{"), said.rfind("}")
    try:
        found = json.loads(said[begin : end + 1]) if 0 <= begin < end else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Unreadable("no JSON object")
    out = {kind: found.get(kind) for kind in kinds}
    if any(not isinstance(text, str) or not text.strip() for text in out.values()):
        raise Unreadable("leaves kinds of rows out")
    return {kind: str(text).strip() for kind, text in out.items()}
