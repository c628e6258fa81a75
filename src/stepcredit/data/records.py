"""What people read and files hold: one Rollout with its Steps. Validated on entry; unknown fields are kept."""

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from stepcredit.errors import DataError

SCHEMA_VERSION = 1

Key = str | int | float | bool | None
Number = float | None
Whole = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


class ToolCall(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One call of a tool within a step. `arguments` as the model wrote them: an object, or the text it sent."""

    name: str
    arguments: Any = None
    id: str | None = None


class Message(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """What came to the policy: words of the system, of a user, of a tool, of another agent.

    name: of the tool or the speaker. call: id of the tool call that it answers. error: the tool failed.
    images: addresses, `data:` ones too.
    """

    role: str
    content: str | None = None
    name: str | None = None
    call: str | None = None
    error: bool | None = None
    images: list[str] = []


class Origin(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """Where a step stood in the file that it came from, and what it took.

    id: of its span, event or step there. trace: of the whole run. response: of the model's answer. start: seconds since
    1970. seconds: how long it took. cost: US dollars. error: why the call of the model failed.
    """

    id: str | None = None
    trace: str | None = None
    response: str | None = None
    model: str | None = None
    start: Number = None
    seconds: Number = None
    input_tokens: Whole | None = None
    output_tokens: Whole | None = None
    cost: Number = None
    error: str | None = None


class Blame(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Somebody (`by`: a person, a judge, a method) says that a step is wrong, or what it is.

    step: its place in the rollout, from 0; None: no step is to blame. label: -1 wrong, 0 neutral, 1 right.
    error: the type of error. confidence: as `by` states it. evidence: the numbers behind it.
    """

    by: str
    step: Whole | None = None
    agent: Key = None
    label: Number = -1
    error: str | None = None
    reason: str | None = None
    confidence: Number = None
    evidence: dict[str, Any] = {}


class Tokens(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """The sampled tokens of a step: their number, or lists of equal length, one entry per token (`token_<field>`)."""

    n: Whole | None = None
    id: list[Whole] | None = None
    row: list[Whole] | None = None
    position: list[Whole] | None = None
    logp: list[Number] | None = None
    old_logp: list[Number] | None = None
    ref_logp: list[Number] | None = None
    logratio: list[Number] | None = None
    value: list[Number] | None = None
    reward: list[Number] | None = None
    entropy: list[Number] | None = None
    source: list[Whole] | None = None
    plan: list[Whole] | None = None
    weight: list[Number] | None = None

    def lists(self) -> dict[str, list[Any]]:
        """Fields that are given, by name."""
        return {f: v for f in TOKEN_FIELDS if (v := getattr(self, f)) is not None}

    def count(self) -> int:
        lists = self.lists()
        return len(next(iter(lists.values()))) if lists else int(self.n or 0)


class Step(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """The unit of credit: one assistant turn, one reasoning step.

    text: what the policy wrote, reasoning: what it thought before, where that is kept apart. replies: the messages that
    followed, up to the next step; observation: their text, or a key made of it, for methods that compare. A sole reply
    of just that text has no content of its own (`replies_of` gives it). state: key of what the step was taken in.
    evidence: named numbers known about the step (value, score, label, ...; true and false as 1 and 0). credit: number
    per method.
    id: set where later rollouts of the group share this step (`Rollout.prefix`).
    extra: fields of the file that are not ours, kept as they came.
    """

    id: str | None = None
    agent: Key = None
    state: Key = None
    text: str | None = None
    reasoning: str | None = None
    images: list[str] = []
    action: Key = None
    tool_calls: list[ToolCall] = []
    observation: Key = None
    replies: list[Message] = []
    next_state: Key = None
    reward: Number = None
    match: bool | None = None
    evidence: dict[str, Number | list[Number]] = {}
    credit: dict[str, Number] = {}
    tokens: Tokens | None = None
    origin: Origin | None = None
    extra: dict[str, Any] = {}


class Rollout(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """One attempt at a task: an ordered list of steps and an outcome (None = unknown).

    prefix: ids of steps stored with earlier rollouts of the group, passed before the own `steps`.
    context: the messages before the first step. blame: who says that which step is wrong.
    rewards: several rewards of the whole rollout, kept apart. task: the prompt, as text.
    evidence: named facts known about the whole rollout (answer_share, pivot, ...) or its task (prior_value).
    """

    group: str | int
    rollout: str | int
    outcome: Number = None
    task: str | None = None
    rewards: dict[str, Number] = {}
    evidence: dict[str, Key] = {}
    weight: Number = None
    batch: Whole | None = None
    policy_version: Whole | None = None
    prefix: list[str] = []
    context: list[Message] = []
    steps: list[Step] = []
    final_state: Key = None
    blame: list[Blame] = []
    extra: dict[str, Any] = {}


REFERENCES = ("gold", "reference", "answer", "ground_truth")
TOKEN_FIELDS = tuple(f for f in Tokens.__struct_fields__ if f != "n")
_ROLLOUT_FIELDS = frozenset(Rollout.__struct_fields__) - {"extra"} | {"schema_version"}
_STEP_FIELDS = frozenset(Step.__struct_fields__) - {"extra"}
_PATH = re.compile(r" - at `\$(.*)`$")
_STEP_PATH = re.compile(r"^\.steps\[(\d+)\](.*)$")


def rollout_from_dict(raw: Mapping[str, Any], *, file: object = None, row: int | None = None) -> Rollout:
    """A validated Rollout from a decoded JSON object; unknown fields go to `extra`, in order.

    Raises:
        DataError: names file, row, rollout, step, got, expected, fix.
    """
    if not isinstance(raw, Mapping):
        raise DataError(
            "a record must be an object", file=file, row=row, got=type(raw).__name__, expected='{"group": ..., ...}'
        )
    version = raw.get("schema_version", SCHEMA_VERSION)
    if version != SCHEMA_VERSION:
        raise DataError(
            "written by another version of the schema",
            file=file,
            row=row,
            got=version,
            expected=SCHEMA_VERSION,
            hint="install the stepcredit that wrote it",
        )
    clean = _split(raw, _ROLLOUT_FIELDS)
    clean.pop("schema_version", None)
    steps = clean.get("steps")
    if isinstance(steps, list):
        clean["steps"] = [_split(s, _STEP_FIELDS) if isinstance(s, dict) else s for s in steps]
    try:
        rollout = msgspec.convert(clean, Rollout)
    except msgspec.ValidationError as error:
        raise _placed(error, raw, file, row) from None
    check(rollout, file=file, row=row)
    return rollout


def rollout_to_dict(rollout: Rollout) -> dict[str, Any]:
    """The JSON object of a Rollout: known fields in their order, then the unknown ones in theirs."""
    out: dict[str, Any] = {"schema_version": SCHEMA_VERSION}
    out.update(msgspec.to_builtins(rollout))
    for step in out.get("steps", ()):
        step.update(step.pop("extra", {}))
    out.update(out.pop("extra", {}))
    return out


def replies_of(step: Step) -> list[Message]:
    """The messages that followed a step, with their contents.

    >>> replies_of(Step(observation="42", replies=[Message(role="tool", name="sum")]))[0].content
    '42'
    """
    sole = len(step.replies) == 1 and step.replies[0].content is None and isinstance(step.observation, str)
    return [msgspec.structs.replace(step.replies[0], content=step.observation)] if sole else step.replies


def observed(step: Step) -> str | None:
    """The text that came back after a step, whole: its replies, else its observation. None where nothing did."""
    if step.replies:
        return "\n".join(m.content or "" for m in replies_of(step))
    return None if step.observation is None else str(step.observation)


def reference_of(rollout: Rollout) -> str | None:
    """The right answer, where the file has one: the first of `REFERENCES` among the fields that are not ours. Of a list
    or an object that holds one thing it is that thing.

    >>> reference_of(Rollout(group="q", rollout=0, extra={"ground_truth": {"target": ["1838"]}}))
    '1838'
    """
    found = next((rollout.extra[f] for f in REFERENCES if rollout.extra.get(f) is not None), None)
    while isinstance(found, list | dict) and len(found) == 1:
        (found,) = found.values() if isinstance(found, dict) else found
    return None if found is None else str(found)


def check(rollout: Rollout, *, file: object = None, row: int | None = None) -> None:
    """What types cannot say: numbers are finite (None = unknown), token lists have one length.

    Raises:
        DataError
    """
    place: dict[str, Any] = {"file": file, "row": row, "rollout": rollout.rollout}
    for name, value in (("outcome", rollout.outcome), ("weight", rollout.weight), *rollout.rewards.items()):
        _finite(value, name, place)
    for name, fact in rollout.evidence.items():
        if isinstance(fact, float):
            _finite(fact, f"evidence {name!r}", place)
    if rollout.weight is not None and rollout.weight < 0:
        raise DataError("weight must not be negative", got=rollout.weight, expected=">= 0", **place)
    _made_of("context", rollout.context, Message, place)
    for t, step in enumerate(rollout.steps):
        _made_of("tool_calls", step.tool_calls, ToolCall, place, t)
        _made_of("replies", step.replies, Message, place, t)
        if step.reward is not None:
            _finite(step.reward, "reward", place, t)
        for name, number in step.evidence.items():
            for one in number if isinstance(number, list) else (number,):
                _finite(one, f"evidence {name!r}", place, t)
        for name, number in step.credit.items():
            _finite(number, f"credit {name!r}", place, t)
        if step.tokens is not None:
            _tokens(step.tokens, place, t)
        if step.origin is not None:
            for name in ("start", "seconds", "cost"):
                _finite(getattr(step.origin, name), name, place, t)
    size = len(rollout.prefix) + len(rollout.steps)
    for blame in rollout.blame:
        if blame.step is not None and not 0 <= blame.step < size:
            raise DataError(
                f"{blame.by} blames a step that is not there", got=blame.step, expected=f"0 to {size - 1}", **place
            )
        _finite(blame.label, "label of blame", place)
        _finite(blame.confidence, "confidence of blame", place)


def _made_of(name: str, parts: list[Any], kind: type, place: dict[str, Any], step: int | None = None) -> None:
    for part in parts:
        if not isinstance(part, kind):
            raise DataError(
                f"field {name!r} holds something else",
                got=part,
                expected=f"{kind.__name__}({', '.join(f'{f}=' for f in kind.__struct_fields__)})",  # type: ignore[attr-defined]
                **place,
                step=step,
            )


def _tokens(tokens: Tokens, place: dict[str, Any], step: int) -> None:
    lengths = {f: len(v) for f, v in tokens.lists().items()}
    if tokens.n is not None:
        lengths["n"] = tokens.n
    if len(set(lengths.values())) > 1 or min(lengths.values(), default=0) < 0:
        raise DataError("token lists must have one length", got=lengths, expected="equal", step=step, **place)
    for name, values in tokens.lists().items():
        for value in values:
            if value is not None and not math.isfinite(value):
                _finite(value, f"token field {name!r}", place, step)


def _finite(value: float | None, name: str, place: dict[str, Any], step: int | None = None) -> None:
    if value is not None and not math.isfinite(value):
        raise DataError(
            f"{name} is not a finite number",
            got=value,
            expected="a finite number, or null for unknown",
            step=step,
            hint="null means not judged; to leave such rollouts out: --on-error skip",
            **place,
        )


def _split(raw: Mapping[str, Any], known: frozenset[str]) -> dict[str, Any]:
    """Known fields, and the others under `extra`."""
    if raw.keys() <= known:
        return dict(raw)
    out = {k: v for k, v in raw.items() if k in known}
    out["extra"] = {k: v for k, v in raw.items() if k not in known}
    return out


_PARTS: Mapping[str, Any] = {
    "tool_calls": ToolCall,
    "replies": Message,
    "context": Message,
    "blame": Blame,
    "origin": Origin,
    "tokens": Tokens,
}


def _placed(error: msgspec.ValidationError, raw: Mapping[str, Any], file: object, row: int | None) -> DataError:
    """msgspec's message and path as file, row, rollout, step, field, got, expected."""
    text = str(error)
    path = _PATH.search(text)
    where, value = _follow(raw, path.group(1) if path else "")
    what = _PATH.sub("", text)
    in_step = _STEP_PATH.match(where)
    step = int(in_step.group(1)) if in_step else None
    field = (in_step.group(2) if in_step else where).lstrip(".")
    wanted = re.match(r"Expected `(.*?)`", what)
    missing = re.match(r"Object missing required field `(.*)`", what)
    unknown = re.match(r"Object contains unknown field `(.*)`", what)
    place: dict[str, Any] = {"file": file, "row": row, "rollout": raw.get("rollout"), "step": step}
    if missing or unknown:
        name = (missing or unknown).group(1)  # type: ignore[union-attr]
        near = ", ".join(map(str, list(value)[:8])) or "none"
        hint = f"the fields here are: {near}" + ("" if unknown or field else f"; rename with --map {name}=<field>")
        kind = _PARTS.get(field.partition("[")[0])
        if unknown and kind is not None:
            hint = f"{field.partition('[')[0]} have the fields {', '.join(kind.__struct_fields__)}"
        inside = f" in {field!r}" if field else ""
        return DataError(f"field {name!r}{inside} is {'missing' if missing else 'not known'}", hint=hint, **place)
    subject = f"field {field!r}" if field else "record" if step is None else "step"
    got = "null" if value is None else value
    if wanted is None or not what.endswith("`"):
        return DataError(f"{subject}: {what}", got=got, **place)
    return DataError(f"{subject} has the wrong type", got=got, expected=wanted.group(1), **place)


def _follow(value: Any, path: str) -> tuple[str, Any]:
    """A path of msgspec with the key in place of `[...]`, and the value there."""
    out = ""
    for name, index in re.findall(r"\.(\w+)|\[(\d+|\.\.\.)\]", path):
        if index == "...":
            wrong = [k for k, v in value.items() if not _numeric(v)]
            if not wrong:
                return out, value
            index, value = repr(wrong[0]), value[wrong[0]]
        else:
            value = value[name or int(index)]
        out += f".{name}" if name else f"[{index}]"
    return out, value


def _numeric(value: Any) -> bool:
    if isinstance(value, list):
        return all(not isinstance(v, list) and _numeric(v) for v in value)
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
