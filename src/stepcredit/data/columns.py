"""The one table of columns: what each is called, the axis it stands on, its kind, who makes it.

Axes: `[G]` tasks, `[R]` rollouts, `[S]` steps (nodes), `[K]` sampled tokens. No name stands on two axes.
A column may carry a second dimension, `[S, m]` (votes, scopes). Kinds: "float" (NaN = missing), "id" (equal ids =
equal keys; a missing key has an id of its own), "int", "bool".
"""

from dataclasses import dataclass
from typing import Literal

Axis = Literal["G", "R", "S", "K"]
Kind = Literal["float", "id", "int", "bool"]

AXES: dict[Axis, str] = {"G": "tasks", "R": "rollouts", "S": "steps", "K": "sampled tokens"}


@dataclass(frozen=True)
class Column:
    """One row of the table. `made_by` completes the sentence "it is made by ...". wide: may be [S, m]."""

    name: str
    axis: Axis
    kind: Kind
    doc: str
    made_by: str = "your data: a column or field of this name, or --map"
    wide: bool = False


def _by(who: str, *kinds: str) -> str:
    """Who makes it, or which kinds of evidence."""
    also = f" (also: {', '.join(f'--kind {kind}' for kind in kinds[1:])})" if kinds[1:] else ""
    return f"{who}, or `stepcredit evidence FILE --kind {kinds[0]} -o OUT.jsonl`{also}"


_STATE = "your data, or from observations: --states last, or `stepcredit state FILE --from last -o OUT.jsonl`"
_MODEL = "a log of the sampling or training run"
_RANK = _by("your data", "effective_rank")

TABLE: tuple[Column, ...] = (
    Column(
        "prior_value",
        "G",
        "float",
        "chance of success on the task, known before any rollout",
        _by("a prior", "prior_value"),
    ),
    Column("root_state", "G", "id", "state of the task before the first step"),
    Column("stored", "G", "int", "where the caller's store holds a success of the task; -1: it holds none"),
    Column("group", "R", "id", "task that the rollout attempts"),
    Column("batch", "R", "int", "training batch the rollout belongs to; one batch if absent"),
    Column("outcome", "R", "float", "verdict on the whole rollout"),
    Column("weight", "R", "float", "how often the rollout counts in statistics"),
    Column("policy_version", "R", "int", "version of the policy that sampled it"),
    Column("final_state", "R", "id", "state after the last step", _STATE),
    Column("truncated", "R", "bool", "was the rollout cut by a limit, before the task ended it"),
    Column("well_formed", "R", "bool", "does the rollout keep the format that was asked for"),
    Column(
        "pivot",
        "R",
        "int",
        "index of the step from which the rollout is new: those before were replayed",
        _by("your data", "reflect"),
    ),
    Column(
        "answer",
        "R",
        "id",
        "final answer; equal ids are equal answers of the task",
        _by("your data", "outcome_check --set answers=true"),
    ),
    Column(
        "answer_share",
        "R",
        "float",
        "share of the prompt's answers that say the same",
        _by("your data", "answer_share"),
    ),
    Column("effective_rank", "R", "float", "effective rank of the rollout's hidden states", _RANK),
    Column("rank_velocity", "R", "float", "mean change of the effective rank against its past", _RANK),
    Column("rank_acceleration", "R", "float", "mean change of those changes", _RANK),
    Column("rollout", "S", "int", "rollout that stores the step; rows are sorted by it"),
    Column("reward", "S", "float", "number received after the step"),
    Column("state", "S", "id", "what the step was taken in; equal ids are comparable", _STATE),
    Column("next_state", "S", "id", "state after the step", "the `state` column: the next row's state"),
    Column("action", "S", "id", "what was done", _by("your data", "actions")),
    Column("observation", "S", "id", "what the environment answered to the step"),
    Column("agent", "S", "id", "who took the step"),
    Column("match", "S", "bool", "did the step equal the reference's", "your data: the reference"),
    Column("given_row", "S", "int", "where the step row stood in the flat arrays it came from", "`from_arrays`"),
    Column(
        "parent", "S", "int", "row of the node before this one; -1 at the root", "shared nodes: `prefix` in records"
    ),
    Column(
        "value", "S", "float", "chance of success (or expected return) before the step", _by("a critic", "monte_carlo")
    ),
    Column("next_value", "S", "float", "the same after the step", _by("a critic", "monte_carlo")),
    Column(
        "score",
        "S",
        "float",
        "quality of the step, as a PRM, a judge or a program sees it",
        _by("a PRM", "judge_turn", "judge_dimensions", "oracle", "retrieval", "progress_check"),
    ),
    Column(
        "label",
        "S",
        "float",
        "verdict on the step: +1 right, 0 neutral, -1 wrong",
        _by("people", "judge_steps", "subproblems"),
    ),
    Column(
        "votes",
        "S",
        "float",
        "verdicts of several judges, one per column",
        _by("several judges (or `label`, of one)", "judge_steps@capo"),
        wide=True,
    ),
    Column("progress", "S", "float", "share of the task done after the step", "a progress regressor"),
    Column(
        "gain",
        "S",
        "float",
        "what the step added to the log-probability of an answer",
        _by("your data", "answer_gain", "chain_gain"),
    ),
    Column(
        "prover_value", "S", "float", "`value` under another policy, the prover", _by("your data", "monte_carlo@pav")
    ),
    Column("next_prover_value", "S", "float", "the same after the step", _by("your data", "monte_carlo@pav")),
    Column(
        "answer_prob",
        "S",
        "float",
        "probability of the gold answer if asked for after the step",
        _by("your data", "probe"),
    ),
    Column(
        "contribution",
        "S",
        "float",
        "the step's part of the outcome: parts sum to it",
        _by("your data", "attribution", "lare"),
    ),
    Column("grounded", "S", "bool", "could the action be executed", "the environment's answers"),
    Column(
        "useful",
        "S",
        "float",
        "share of the retrieved passages that help; NaN: none retrieved",
        _by("people", "judge_turn@search-r2"),
    ),
    Column(
        "tool_class",
        "S",
        "int",
        "what the tool call was: 0 new search, 1 old search, 2 new page, 3 cross-check, 4 old query; -1: none",
        _by("your data", "tool_classes"),
    ),
    Column("subgoal", "S", "bool", "did the step reach a subgoal for the first time", _by("a rule", "subgoals")),
    Column("train_mask", "S", "bool", "does the step train", "`stepcredit select`: a selector that masks steps"),
    Column(
        "cluster",
        "S",
        "int",
        "like actions at this turn, one clustering per column",
        _by("your data", "action_clusters"),
        wide=True,
    ),
    Column("potential", "S", "float", "potential of the state that the step was taken in", "any potential function"),
    Column("confidence", "S", "float", "confidence in the final answer after the step", _by("your data", "probe")),
    Column("entropy", "S", "float", "mean token entropy of the step", _by(_MODEL, "entropy")),
    Column(
        "logratio",
        "S",
        "float",
        "log-ratio of two models, summed over the step",
        _by("`token_logratio`: its sum", "implicit_reward"),
    ),
    Column("token_step", "K", "int", "step the token belongs to; -1 = none"),
    Column("token_row", "K", "int", "row of the trainer's tensors that holds the token"),
    Column("token_position", "K", "int", "column of the trainer's tensors that holds the token"),
    Column("token_id", "K", "int", "vocabulary id", _MODEL),
    Column("token_logp", "K", "float", "log-probability under the training policy", _MODEL),
    Column("token_old_logp", "K", "float", "log-probability under the sampling policy", _MODEL),
    Column("token_ref_logp", "K", "float", "log-probability under the reference model", _MODEL),
    Column(
        "token_logratio",
        "K",
        "float",
        "log-ratio of an implicit reward model to its reference",
        _by("a log", "implicit_reward"),
    ),
    Column("token_value", "K", "float", "value of the prefix that ends before the token", "a critic"),
    Column("token_reward", "K", "float", "number received after the token", "`reward`: on the last token of its step"),
    Column("token_entropy", "K", "float", "entropy of the next-token distribution", _by(_MODEL, "entropy")),
    Column("token_plan", "K", "bool", "is the token part of a strategic phrase", _by("your data", "strategic_phrases")),
    Column("token_weight", "K", "float", "how much the token counts in the loss", _by("your data", "span_weights")),
    Column("token_source", "K", "int", "who wrote the token: 0 policy, 1 teacher, 2 expert", _MODEL),
)

_BY_NAME = {c.name: c for c in TABLE}


def column(name: str) -> Column | None:
    """The table's row of this name; `reward.<source>` stands on `[R]`, `credit.<method>` on `[S]`. None if unknown."""
    if name in _BY_NAME:
        return _BY_NAME[name]
    head, dot, tail = name.partition(".")
    if dot and tail and head == "reward":
        return Column(name, "R", "float", f"reward of the source {tail!r}")
    if dot and tail and head == "credit":
        return Column(name, "S", "float", f"credit by {tail!r}", f"stepcredit assign --method {tail}")
    return None
