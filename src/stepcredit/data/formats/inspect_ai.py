"""Logs of inspect_ai (version 2): its JSON logs, and `.eval` archives.

- group: `<task>/<id of the sample>`. rollout: `<id of the evaluation>/<epoch>`: epochs are attempts at one task.
- step: a model's call among the events, but not those of scorers; where a log holds no events, an assistant message.
  agent: the nearest span of type agent around it. replies: what the next call was sent, with what the events of tools
  tell. Texts that the log keeps apart (`attachment://...`, pooled messages) are put back.
- scores: numbers, and the letters C, P, I, N as 1, 0.5, 0, 0, to rewards, one a scorer. outcome: of the sole scorer,
  else of the first (a note says so), or of the one named by outcome=. A sample that broke off has no scores.
- intermediate scores: evidence of the step before, and its reward, where one scorer gave them (intermediate=evidence:
  evidence only; such a score judges the state so far, it is no difference).
- the sample's target is kept as `reference`. Not known: states, tokens.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from stepcredit.data.formats._fields import add_score, key, need
from stepcredit.data.formats._messages import context, opening, turns
from stepcredit.data.formats._spans import Dialect, Id, Said, Span, Trace, Used, as_count, as_number, as_text, as_time
from stepcredit.data.formats._spans_messages import chat, spoken
from stepcredit.data.formats._spans_rollout import rollout_of
from stepcredit.data.records import Rollout
from stepcredit.data.rows import Rows
from stepcredit.data.storage import Row
from stepcredit.errors import DataError

FIELDS = ("version", "status", "eval", "samples")
NAN_IS_NULL = True
_LETTERS = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0}
_KEPT = ("error", "limit", "metadata", "total_time", "working_time")
_AWAY = "attachment://"


def fits(first: Mapping[str, Any], path: str) -> bool:
    """A log: what was evaluated, and how it ended."""
    evaluated = first.get("eval")
    return isinstance(evaluated, Mapping) and "task" in evaluated and "status" in first


def rollouts(rows: Rows, *, outcome: str = "", intermediate: str = "reward") -> Iterator[Rollout]:
    """One rollout a sample and epoch.

    Args:
        outcome: the scorer whose score is the outcome.
        intermediate: "reward": scores on the way are rewards of steps, too; "evidence": they are evidence only.
    """
    if intermediate not in ("reward", "evidence"):
        raise DataError("option intermediate", got=intermediate, expected="reward or evidence")
    odd: Counter[str] = Counter()
    for row in rows:
        with rows.guard(row):
            samples = row.value.get("samples")
            if not isinstance(samples, list) or not samples:
                raise DataError("a log without samples", got=row.value.get("status"), expected="samples")
        for sample in samples if isinstance(samples, list) else ():
            with rows.guard(row):
                evaluated = row.value.get("eval")
                if not isinstance(sample, Mapping) or not isinstance(evaluated, Mapping):
                    raise DataError("eval and a sample must be objects", got=sample, expected='{"id": ...}')
                yield _Sample(evaluated, sample, row, odd).rollout(outcome, intermediate == "reward")
    for what, count in odd.items():
        rows.note(f"{what}: {count:,}")


class _Sample:
    """One sample on the way to a rollout."""

    def __init__(self, evaluated: Mapping[str, Any], sample: Mapping[str, Any], row: Row, odd: Counter[str]) -> None:
        self._eval, self._sample, self._row, self._odd = evaluated, sample, row, odd
        given = sample.get("attachments")
        self._attachments: Mapping[str, Any] = given if isinstance(given, Mapping) else {}
        pool = sample.get("events_data")
        pooled = pool.get("messages") if isinstance(pool, Mapping) else None
        self._pool: list[Any] = pooled if isinstance(pooled, list) else []
        self._read: dict[int, list[dict[str, Any]]] = {}

    def rollout(self, outcome: str, as_reward: bool) -> Rollout:
        sample = self._sample
        number = key(need(sample, "id", object), "id")
        epoch = sample.get("epoch", 1)
        made = self._of_events()
        if made is None:
            messages = chat(self._whole(sample.get("messages") or []))
            steps = [turn.step for turn in turns(messages)]
            made = Rollout(group="", rollout="", context=context(messages), task=opening(messages), steps=steps)
        made.group = f"{as_text(self._eval.get('task')) or 'task'}/{number}"
        made.rollout = f"{as_text(self._eval.get('eval_id')) or self._row.file}/{epoch}"
        made.extra = {k: sample[k] for k in _KEPT if sample.get(k) not in (None, {}, [])}
        made.extra |= {k: v for k, v in (("model", self._eval.get("model")), ("reference", self._target())) if v}
        self._scores(made, outcome)
        self._marks(made, as_reward)
        return made

    def _target(self) -> Any:
        target = self._sample.get("target")
        return target[0] if isinstance(target, list) and len(target) == 1 else target

    def _of_events(self) -> Rollout | None:
        """Events as spans of one trace, in the order of the log."""
        trace = Trace("sample", self._row)
        scoring: set[str] = set()
        self._places: list[tuple[int, Id]] = []
        for place, event in enumerate(self._events()):
            above = as_text(event.get("span_id")) or as_text(event.get("parent_id"))
            kind = event.get("event")
            if kind == "span_begin":
                above = as_text(event.get("parent_id"))
                name = as_text(event.get("id")) or f"span{place}"
                if event.get("type") in ("scorer", "scorers") or above in scoring:
                    scoring.add(name)
                agent = as_text(event.get("name")) if event.get("type") == "agent" else None
                self._add(trace, name, above, place, event, "agent" if agent else "other", agent)
            elif kind in ("model", "tool") and above not in scoring:
                name = as_text(event.get("uuid")) or f"event{place}"
                self._add(trace, name, above, place, event, "model" if kind == "model" else "tool", None)
                if kind == "model":
                    self._places.append((place, ("", name)))
        found = rollout_of(trace, Dialect(self._said, self._used), Counter()) if self._places else None
        if found is not None:
            names = {s.origin.id: i for i, s in enumerate(found.steps) if s.origin}
            self._at = [(place, names[name]) for place, (_, name) in self._places if name in names]
            for step in found.steps:
                if step.origin is not None:
                    step.origin.trace = as_text(self._sample.get("uuid"))
        return found

    def _events(self) -> list[Mapping[str, Any]]:
        events = self._sample.get("events")
        return [e for e in events if isinstance(e, Mapping)] if isinstance(events, list) else []

    def _add(
        self, trace: Trace, name: str, above: str | None, place: int, event: Mapping[str, Any], kind: Any, agent: Any
    ) -> None:
        start = as_time(event.get("timestamp"))
        error = event.get("error")
        told = error.get("message") if isinstance(error, Mapping) else error
        span = Span(
            trace="",
            id=name,
            parent=above,
            kind=kind,
            start=start,
            end=as_time(event.get("completed")),
            agent=agent,
            error=as_text(self._whole(told)),
            raw=event if kind != "other" else None,
        )
        trace.spans.setdefault(span.key, span)

    def _said(self, span: Span) -> Said:
        event = span.raw
        output = event.get("output")
        output = output if isinstance(output, Mapping) else {}
        usage = output.get("usage")
        usage = usage if isinstance(usage, Mapping) else {}
        return Said(
            given=self._given(event),
            said=spoken(self._whole(output)) if output.get("choices") and not span.error else None,
            model=as_text(output.get("model")) or as_text(event.get("model")),
            input_tokens=as_count(usage.get("input_tokens")),
            output_tokens=as_count(usage.get("output_tokens")),
            cost=as_number(usage.get("total_cost")),
        )

    def _given(self, event: Mapping[str, Any]) -> list[dict[str, Any]]:
        refs = event.get("input_refs")
        if not isinstance(refs, list):
            return chat(self._whole(event.get("input")))
        out: list[dict[str, Any]] = []
        for ref in refs:
            if isinstance(ref, list) and len(ref) == 2 and all(type(i) is int for i in ref):
                for i in range(max(ref[0], 0), min(ref[1], len(self._pool))):
                    if i not in self._read:
                        self._read[i] = chat([self._whole(self._pool[i])])
                    out += self._read[i]
        return out

    def _used(self, span: Span) -> Used:
        event = span.raw
        result = self._whole(event.get("result"))
        text = result if isinstance(result, str) and (result or not span.error) else as_text(result)
        return Used(as_text(event.get("function")) or "tool", as_text(event.get("id")), event.get("arguments"), text)

    def _whole(self, value: Any) -> Any:
        """A value with the texts that were kept apart."""
        if isinstance(value, str):
            if value.startswith(_AWAY):
                found = self._attachments.get(value.removeprefix(_AWAY))
                if isinstance(found, str):
                    return found
                self._odd["texts kept apart that are not in the log (left as they are)"] += 1
            return value
        if isinstance(value, list):
            return [self._whole(v) for v in value]
        if isinstance(value, Mapping):
            return {k: self._whole(v) for k, v in value.items()}
        return value

    def _scores(self, made: Rollout, outcome: str) -> None:
        scores = self._sample.get("scores")
        for name, score in scores.items() if isinstance(scores, Mapping) else ():
            value = score.get("value") if isinstance(score, Mapping) else score
            for inner, number in _numbers(name, value):
                made.rewards[inner] = number
            shown = (
                self._whole({k: v for k, v in score.items() if k != "history" and v})
                if isinstance(score, Mapping)
                else {}
            )
            if shown.keys() - {"value"}:
                made.extra.setdefault("scores", {})[name] = shown
        found = [outcome] if outcome else list(made.rewards)
        values = [made.rewards[n] for n in found if n in made.rewards]
        if values:
            made.outcome = values[0]
            if len(set(values)) > 1:
                what = f"samples with several scores: the outcome is that of {found[0]} (another: option outcome=NAME)"
                self._odd[what] += 1

    def _marks(self, made: Rollout, as_reward: bool) -> None:
        """Scores on the way, to the steps before them."""
        places = getattr(self, "_at", [])
        events = self._events()
        names = {
            as_text(e.get("scorer")) for e in events if e.get("event") == "score" and e.get("intermediate") is True
        }
        for place, event in enumerate(events):
            if event.get("event") != "score" or event.get("intermediate") is not True:
                continue
            before = [i for at, i in places if at < place]
            score = event.get("score")
            if not before or not isinstance(score, Mapping):
                self._odd["scores on the way that no step stands before (left out)"] += 1
                continue
            step = made.steps[before[-1]]
            for name, number in _numbers(as_text(event.get("scorer")) or "score", score.get("value")):
                add_score(step, name, number)
                if as_reward and len(names) == 1 and not isinstance(score.get("value"), Mapping):
                    step.reward = number


def _numbers(name: str, value: Any) -> Iterator[tuple[str, float]]:
    """A score as numbers: the letters of inspect_ai, truth values, numbers, and several by name."""
    if isinstance(value, Mapping):
        for inner, one in value.items():
            for _, found in _numbers(name, one) if not isinstance(one, Mapping) else ():
                yield f"{name}.{inner}", found
        return
    letter = _LETTERS.get(value) if isinstance(value, str) else None
    number = as_number(value) if letter is None else letter
    if number is not None:
        yield name, number
