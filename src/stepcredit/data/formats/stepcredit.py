"""Records of stepcredit: one rollout a row, as `stepcredit.write` leaves them, in JSON Lines or Parquet.

Group, rollout, outcome, steps, state and evidence are fields of their own. Fields that are not ours are kept, in
order. Everything may be missing but `group` and `rollout`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from stepcredit.data.records import Rollout, rollout_from_dict
from stepcredit.data.rows import Rows

FIELDS = Rollout.__struct_fields__
CHECKED = True  # rollouts are checked as they are made


def fits(first: Mapping[str, Any], path: str) -> bool:
    """A row with `group` and `rollout`, or with our `schema_version`."""
    named = "group" in first and "rollout" in first
    return isinstance(first.get("schema_version"), int) or (named and ("steps" in first or "messages" not in first))


def sizes(rows: Rows) -> Iterator[tuple[str | int, int]]:
    """Group and number of steps of each row, not validated: for a first look at a large file."""
    for row in rows:
        group, steps = row.value.get("group"), row.value.get("steps")
        if isinstance(group, str | int):
            yield group, len(steps) if isinstance(steps, list) else 0


def rollouts(rows: Rows) -> Iterator[Rollout]:
    """The records of the rows, validated."""
    for row in rows:
        with rows.guard(row):
            yield rollout_from_dict(row.value)
