"""What can be wrong with a step: the one table of error types, and what published taxonomies call them.

MAST: "Why Do Multi-Agent LLM Systems Fail?", arXiv:2503.13657. TRAIL: arXiv:2505.08638. AgentErrorTaxonomy (AET):
"Where LLM Agents Fail and How They Can Learn From Failures", arXiv:2509.25370.

>>> get("stopped_early").title, ERRORS["repeated_step"].mast
('Stopped too early', ('FM-1.3 step repetition',))
"""

from dataclasses import dataclass

from stepcredit.errors import UnknownName


@dataclass(frozen=True)
class ErrorType:
    """One kind of error. doc: in one line. mast, trail, aet: the kinds of those taxonomies that it covers."""

    name: str
    title: str
    doc: str
    mast: tuple[str, ...] = ()
    trail: tuple[str, ...] = ()
    aet: tuple[str, ...] = ()


_ALL = (
    ErrorType(
        "wrong_turn",
        "Wrong turn",
        "From the same place other steps led to success, and this one did not: outcomes say so, not the text.",
    ),
    ErrorType(
        "misread_task",
        "Task misread",
        "The step works on another problem than the one that was given.",
        mast=("FM-1.1 disobey task specification",),
        trail=("incorrect problem identification",),
    ),
    ErrorType(
        "constraint_ignored",
        "Constraint ignored",
        "The step breaks a rule, a policy or a condition that the task states.",
        mast=("FM-1.1 disobey task specification",),
        trail=("instruction non-compliance",),
        aet=("planning: constraint ignorance",),
    ),
    ErrorType(
        "role_disobeyed",
        "Out of role",
        "The agent does what another agent is there for.",
        mast=("FM-1.2 disobey role specification",),
        trail=("task orchestration",),
    ),
    ErrorType(
        "wrong_plan",
        "Wrong plan",
        "The plan cannot reach the goal, or what it asks for next cannot be done.",
        aet=("planning: inefficient plan", "planning: impossible action"),
    ),
    ErrorType(
        "off_task",
        "Off the task",
        "The run leaves the goal, or begins again as if nothing had been done.",
        mast=("FM-2.1 conversation reset", "FM-2.3 task derailment"),
        trail=("goal deviation",),
    ),
    ErrorType(
        "wrong_reasoning",
        "Wrong reasoning",
        "A conclusion, a calculation or a piece of code is wrong though what it rests on is right.",
        mast=("FM-2.6 reasoning-action mismatch",),
        aet=("reflection: causal misattribution", "action: misalignment"),
    ),
    ErrorType(
        "wrong_tool",
        "Wrong tool",
        "Another tool, or none, was called for.",
        trail=("tool selection errors",),
    ),
    ErrorType(
        "wrong_arguments",
        "Wrong arguments",
        "The right tool is called with wrong or missing arguments.",
        aet=("action: parameter error",),
    ),
    ErrorType(
        "poor_query",
        "Poor search",
        "What was looked for, or where, cannot bring what is needed.",
        trail=("poor information retrieval",),
    ),
    ErrorType(
        "bad_format",
        "Broken format",
        "A call or an answer cannot be read.",
        trail=("formatting errors",),
        aet=("action: format error",),
    ),
    ErrorType(
        "tool_failed",
        "Failed tool",
        "A tool answered with an error that the run did not get over.",
        trail=("tool definition issues", "service errors", "resource not found", "timeout issues"),
        aet=("system: tool execution error",),
    ),
    ErrorType(
        "environment_failed",
        "Failed environment",
        "The model, the network or the environment failed; no step chose it.",
        trail=("environment setup errors", "rate limiting", "authentication errors", "resource exhaustion"),
        aet=("system: environment error", "system: LLM limit"),
    ),
    ErrorType(
        "ignored_observation",
        "Observation ignored",
        "The step does not use what came back, or reads it wrong.",
        mast=("FM-2.5 ignored other agent's input",),
        trail=("tool output misinterpretation",),
        aet=("reflection: outcome misinterpretation",),
    ),
    ErrorType(
        "unsupported_claim",
        "Made up",
        "The step states what nothing before it supports.",
        trail=("hallucinations: language-only", "hallucinations: tool-related"),
        aet=("memory: hallucination", "reflection: hallucination"),
    ),
    ErrorType(
        "lost_context",
        "Context lost",
        "Something said or found earlier is forgotten or cut short.",
        mast=("FM-1.4 loss of conversation history",),
        trail=("context handling failures",),
        aet=("memory: retrieval failure", "memory: over-simplification"),
    ),
    ErrorType(
        "withheld",
        "Not passed on",
        "An agent knows what others need, or would have to ask, and does not say it.",
        mast=("FM-2.2 fail to ask for clarification", "FM-2.4 information withholding"),
    ),
    ErrorType(
        "repeated_step",
        "Repetition",
        "The step does again what was done, and learns nothing new.",
        mast=("FM-1.3 step repetition",),
        trail=("resource abuse",),
    ),
    ErrorType(
        "stopped_early",
        "Stopped too early",
        "The run ends, or answers, before the task is done.",
        mast=("FM-3.1 premature termination",),
    ),
    ErrorType(
        "not_stopped",
        "Did not stop",
        "The run goes on after the task is done, or until its steps are used up.",
        mast=("FM-1.5 unaware of termination conditions",),
        aet=("system: step limit",),
    ),
    ErrorType(
        "not_verified",
        "Not checked",
        "A result is taken over without a check, or the check is wrong.",
        mast=("FM-3.2 no or incomplete verification", "FM-3.3 incorrect verification"),
    ),
    ErrorType(
        "false_success",
        "False success",
        "The step says that something is done which failed or was not tried.",
        aet=("reflection: progress misjudgment",),
    ),
    ErrorType(
        "carried_error",
        "Carried error",
        "The step is sound but rests on an earlier wrong one.",
    ),
    ErrorType("other", "Other", "None of these."),
)

ERRORS: dict[str, ErrorType] = {e.name: e for e in _ALL}
"""Every error type by name, in the order in which they are listed to people and judges."""


def get(name: str) -> ErrorType:
    """The error type of this name.

    Raises:
        UnknownName: there is none.
    """
    if name not in ERRORS:
        raise UnknownName("error type", name, ERRORS)
    return ERRORS[name]
