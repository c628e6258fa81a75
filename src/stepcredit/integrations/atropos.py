"""Credit for atropos: per-token advantages in the groups that an environment sends to its trainer.

    from stepcredit.integrations.atropos import GroupCredit

    class MyEnv(BaseEnv):
        credit = GroupCredit("gigpo", gamma=0.95)

        async def postprocess_histories(self, group):        # atropos calls it before the group is sent
            return self.credit(group, state=self.states)     # [rows] lists, one entry per turn

A group is one task, a row one rollout with the outcome `scores[row]`. Its turns are the runs of trained tokens in
`masks` (a token's id where it trains, -100 where it does not), or `turns=[[3, 5], ...]`, tokens by turn. Columns are
given to the call: of steps a list per turn, `token_*` a list per trained token, of rollouts one value a row; so any
method is served but those that need a tree or that pool over the batch. Where every assistant message of `messages`
bears a `reward`, these are the rewards of steps. `inference_logprobs` are `token_old_logp`.

Not judged: the advantage is 0 and the mask -100. atropos has no field for clip_scale or loss_weight.

It is the trainer that must read `advantages`: atropos only carries them (its own example trainer does not).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from stepcredit.integrations._padded import Padded
from stepcredit.integrations._rows import Row, assign_rows, assigner, refuse_extras, refuse_part, turns_of, widened

IGNORED = -100
_CARRY = "in atropos, give it to the call: credit(group, state=[[...], ...]), a list per row, an entry per turn"


class GroupCredit:
    """One credit method with its options, for `ScoredDataGroup`s.

    Args:
        method: a name of `stepcredit methods`. options: its own; and `reward`, `lint_every`, `fail_on`.

    Raises:
        StepCreditError: the method pools over the tasks of a batch.
    """

    def __init__(self, method: str, **options: Any) -> None:
        self.assign = assigner(method, _CARRY, options)
        refuse_part(self.assign, "atropos", "one group")
        self.last: Padded | None = None

    def __call__(self, group: Any, *, turns: Sequence[Sequence[int]] | None = None, **columns: Any) -> Any:
        """The group, or list of groups, with `advantages` as long as `tokens`, and unjudged tokens masked.

        Args:
            group: a ScoredDataGroup, None (kept), or a list of these (then no columns). columns: [rows].

        Raises:
            LayoutError: columns that do not match the turns. MissingColumn. LintFailed.
        """
        if group is None or isinstance(group, list):
            return group and [self(one, turns=turns, **columns) for one in group]
        trained = [[token != IGNORED for token in mask] for mask in group["masks"]]
        columns = {**_of_messages(group.get("messages")), **columns}
        rows = [
            Row(
                "the group",
                turns[at] if turns is not None else turns_of(mask),
                group["scores"][at],
                None,
                {**_logps(group, at, mask), **{name: values[at] for name, values in columns.items()}},
            )
            for at, mask in enumerate(trained)
        ]
        credits, self.last = assign_rows(self.assign, rows)
        refuse_extras(self.last, "atropos")
        masks, advantages = [], []
        for mask, sampled, credit in zip(group["masks"], trained, credits, strict=True):
            keep = widened(credit.keep, sampled, False)
            masks.append([token if kept else IGNORED for token, kept in zip(mask, keep, strict=True)])
            advantages.append(widened(credit.advantages, sampled, 0.0))
        return {**group, "masks": masks, "advantages": advantages}


def _of_messages(messages: Iterable[Iterable[Mapping[str, Any]]] | None) -> dict[str, Any]:
    said = [[m.get("reward") for m in row if m["role"] == "assistant"] for row in messages or []]
    whole = said and all(row and None not in row for row in said)
    return {"reward": said} if whole else {}


def _logps(group: Mapping[str, Any], at: int, mask: Sequence[bool]) -> dict[str, Any]:
    logps = group.get("inference_logprobs")
    if logps is None or len(logps[at]) != len(mask):
        return {}
    return {"token_old_logp": [logp for logp, sampled in zip(logps[at], mask, strict=True) if sampled]}
