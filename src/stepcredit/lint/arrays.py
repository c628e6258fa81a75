"""The one table of arrays that rules may ask for, by the name of a parameter.

Axes: entries (every row and position of the trainer's tensors, sorted by both), rows, tokens (entries that are sampled
and finite), turns, rollouts, groups; a fact is no array. No name stands on two axes. What has no `give` is derived from
the others, by the function of its name in `derive`.
"""

from dataclasses import dataclass
from typing import Literal

Axis = Literal["entry", "row", "token", "turn", "rollout", "group", "fact"]


@dataclass(frozen=True)
class Array:
    """One row of the table. `give` says which argument of `check` it comes from."""

    name: str
    axis: Axis
    doc: str
    give: str | None = None


TABLE: tuple[Array, ...] = (
    Array("advantage", "entry", "credit, NaN where there is none", "advantages"),
    Array("mask", "entry", "sampled by the policy, and judged", "response_mask"),
    Array("mask_value", "entry", "the mask as it was given", "response_mask"),
    Array("unjudged", "entry", "declared not judged: None in a list, NaN in a Credit", "advantages"),
    Array("attention", "entry", "a real token of prompt, response or tool; 0 on padding", "attention_mask"),
    Array("token_reward", "entry", "number received after the token, penalties included", "token_rewards"),
    Array("returns", "entry", "discounted sum of rewards from here on", "returns"),
    Array("turn_id", "entry", "turn of the token, -1 = none; without it a run of the mask is a turn", "turn_ids"),
    Array("row", "entry", "row of the tensors", "advantages"),
    Array("position", "entry", "column of the tensors", "advantages"),
    Array("rollout", "row", "rollout the row belongs to; a rollout per row if not given", "rollout"),
    Array("group", "row", "task the row's rollout attempts", "group"),
    Array("outcome", "row", "verdict on the row's whole rollout, NaN = unknown", "outcome"),
    Array("step_index", "row", "place of the row in its rollout", "step_index"),
    Array("length", "row", "tokens of the response, as the sampler counted them", "length"),
    Array("rows", "fact", "number of rows", "advantages"),
    Array("method", "fact", "what is declared of the method that made the credit", "method or card"),
    Array("claims", "fact", "what the maker of the batch says holds", "claims"),
    Array("token", "token", "its entry"),
    Array("value", "token", "credit"),
    Array("value_rollout", "token", "its rollout"),
    Array("turn_start", "turn", "its first token"),
    Array("turn_tokens", "turn", "number of tokens"),
    Array("turn_row", "turn", "its row"),
    Array("turn_rollout", "turn", "its rollout"),
    Array("turn_index", "turn", "0 for the first turn of its rollout"),
    Array("turn_last", "turn", "no turn of the rollout follows"),
    Array("turn_credit", "turn", "mean over its tokens"),
    Array("turn_low", "turn", "lowest credit of its tokens"),
    Array("turn_high", "turn", "highest credit of its tokens"),
    Array("credit", "rollout", "mean over its tokens, NaN if it has none"),
    Array("low", "rollout", "lowest credit of its tokens"),
    Array("high", "rollout", "highest credit of its tokens"),
    Array("tokens", "rollout", "number of tokens"),
    Array("turns", "rollout", "number of turns"),
    Array("rollout_rows", "rollout", "number of rows with tokens"),
    Array("rollout_group", "rollout", "task it attempts, as its first row says"),
    Array("rollout_outcome", "rollout", "verdict, as its last row says"),
    Array("group_size", "group", "number of rollouts"),
    Array("group_live", "group", "number of rollouts with tokens"),
    Array("group_mean", "group", "mean credit of its rollouts, each counting once"),
    Array("group_scale", "group", "largest |credit| of its rollouts"),
    Array("group_centered", "group", "1: credit averages 0; -1: clearly not; 0: too little to say"),
    Array("outcome_range", "group", "largest minus smallest outcome of the rollouts with tokens, NaN if none is known"),
    Array("scale", "fact", "root mean square of the credit of all tokens"),
    Array("uniform", "fact", "credit is one number per rollout"),
    Array("centers", "fact", "credit averages 0 in nearly every group, or is claimed to"),
    Array("return_walk", "fact", "how returns pass from token to token and over the gaps between turns"),
)

_BY_NAME = {a.name: a for a in TABLE}


def array(name: str) -> Array:
    """The table's row of this name."""
    return _BY_NAME[name]
