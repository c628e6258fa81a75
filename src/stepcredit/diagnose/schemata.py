"""Error schemata: what runs that somebody has annotated teach about errors, kept in a file, found again by likeness.

cache = SchemaCache("schemata.jsonl")
learn(annotated, {"judge": client.judge}, cache)                 # once; rollouts with `blame`
diagnose(rollouts, ["correct"], {"judge": client.judge}, options={"correct": {"cache": "schemata.jsonl"}})
"""

import os
from collections.abc import Iterable, Sequence
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from stepcredit.data.layout import Floats
from stepcredit.data.records import Blame, Key, Rollout
from stepcredit.diagnose._judging import Judge, Question, block, fields
from stepcredit.diagnose._log import CUT, Log, cut_middle, prompt_of
from stepcredit.diagnose.case import Case, Group
from stepcredit.errors import DataError, StepCreditError
from stepcredit.evidence._prompts import Unreadable
from stepcredit.llm.drive import AT_ONCE, Models, drive, in_order
from stepcredit.llm.requests import Failed, Plan
from stepcredit.plugins import extra
from stepcredit.protocols import Embedder

WIDTH = 2**18
"""Columns that words are hashed into, where no embedder is given."""


class Schema(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one annotated failure teaches.

    source: of the run it was made from, a hash of its log. group, rollout, step, agent: of that run, who blamed it.
    log: its text, by which it is found. signatures, context, heuristics: how such an error looks, when it happens, and
    how to detect it.
    """

    source: str
    group: Key
    rollout: Key
    by: str
    step: int
    agent: Key = None
    log: str
    signatures: str
    context: str = ""
    heuristics: str = ""

    @property
    def text(self) -> str:
        """The three parts, as a judge reads them."""
        named = (("signatures", self.signatures), ("context", self.context), ("how to detect it", self.heuristics))
        return "\n".join(f"{name}: {text}" for name, text in named if text)


class Near(NamedTuple):
    """A schema that was found, and the cosine of its run's log with that of the query."""

    schema: Schema
    likeness: float


class SchemaCache:
    """Schemata in a file, one a line; lines are only ever added. path: None = in memory.

    Args:
        embedder: texts as points, by which logs are compared. None: hashed words weighted by TF-IDF over the cache
            (scikit-learn), which needs no model.

    Raises:
        DataError: a line that is no schema. A last line without its end, of a process that was killed, is passed over,
            and gives way to the next.
    """

    def __init__(self, path: str | Path | None = None, embedder: Embedder | None = None) -> None:
        self.path = None if path is None else Path(path)
        self.embedder = embedder
        self._held: dict[tuple[str, str], Schema] = {}
        self._index: tuple[int, Any] | None = None
        if self.path is not None and self.path.exists():
            for schema in _read(self.path):
                self._held[schema.source, schema.by] = schema

    @classmethod
    def of(cls, given: "SchemaCache | str | Path | None") -> "SchemaCache":
        """The cache itself, or the one in a file.

        Raises:
            StepCreditError: none is given; there is no such file.
        """
        if isinstance(given, SchemaCache):
            return given
        if given is None or not Path(given).is_file():
            raise StepCreditError(
                "correct shows schemata of known errors and has no cache of them"
                + ("" if given is None else f": there is no file {str(given)!r}"),
                hint="stepcredit.diagnose.schemata.learn(rollouts, models, SchemaCache(FILE)), then cache=FILE",
            )
        stat = Path(given).stat()
        return _opened(str(given), stat.st_mtime_ns, stat.st_size)

    def __len__(self) -> int:
        return len(self._held)

    @property
    def schemata(self) -> list[Schema]:
        """All of them, in the order in which they were added."""
        return list(self._held.values())

    def knows(self, case: Case, blame: Blame) -> bool:
        """Whether this annotation of this run has its schema."""
        return (source_of(case), blame.by) in self._held

    def add(self, schema: Schema) -> None:
        """Keep a schema; on disk before this returns."""
        if (schema.source, schema.by) in self._held:
            self._index = None
        self._held[schema.source, schema.by] = schema
        if self.path is None:
            return
        with self.path.open("ab") as file:
            if (whole := _whole_lines(self.path)) < file.tell():
                file.truncate(whole)
            file.write(msgspec.json.encode(schema) + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def near(self, case: Case, k: int, *, apart: str = "run") -> list[Near]:
        """The k schemata whose runs are most like this one, the most alike first; never one of this run itself.

        Args:
            apart: "run" leaves out schemata of this run (the same log, or the same names); "task" also those of its
                task.
        """
        held, source = self.schemata, source_of(case)
        if not held or k < 1:
            return []
        rollout = case.rollout

        def other(s: Schema) -> bool:
            same_task = s.group == rollout.group
            return s.source != source and not (same_task and (apart == "task" or s.rollout == rollout.rollout))

        likeness = self._to(held, log_text(case))
        fit = np.where([other(s) for s in held], likeness, -np.inf)
        order = np.argsort(-fit, kind="stable")[:k]
        return [Near(held[i], float(fit[i])) for i in order.tolist() if fit[i] > -np.inf]

    def likeness(self, case: Case) -> float:
        """Of this run to the most alike run in the cache, whichever it is; 0 in an empty one."""
        held = self.schemata
        return float(self._to(held, log_text(case)).max()) if held else 0.0

    def _to(self, held: Sequence[Schema], text: str) -> Floats:
        known = 0 if self._index is None else self._index[0]
        index: Any = None if self._index is None else self._index[1]
        if known < len(held):
            new = _logs(held[known:])
            if self.embedder is None:
                index = Words(new, before=index)
            else:
                points = np.asarray(self.embedder(new), float)
                index = points if index is None else np.concatenate([index, points])
            self._index = (len(held), index)
        if self.embedder is None:
            return np.asarray(index.to(text), float)
        return np.asarray(index @ np.asarray(self.embedder([text]), float)[0], float)


class Words:
    """Cosine of texts to a list of texts: words hashed into columns, weighted by TF-IDF as scikit-learn has it.

    Args:
        before: the texts of these come first.
    """

    def __init__(self, texts: Sequence[str], width: int = WIDTH, before: "Words | None" = None) -> None:
        need = "comparing logs without an embedder"
        text = extra("sklearn.feature_extraction.text", need, name="evidence")
        self._hashed = text.HashingVectorizer(n_features=width, alternate_sign=False, norm=None)
        self._weighted = text.TfidfTransformer()
        self._counts = self._hashed.transform(texts)
        if before is not None:
            self._counts = extra("scipy.sparse", need, name="evidence").vstack([before._counts, self._counts])
        self._points = self._weighted.fit_transform(self._counts)

    def to(self, text: str) -> Floats:
        """[texts] cosine of each to this one."""
        query = self._weighted.transform(self._hashed.transform([text]))
        return np.asarray((self._points @ query.T).toarray()[:, 0], float)


def log_text(case: Case) -> str:
    """A run as it is compared: its task, then each step behind who took it."""
    log = Log(case, tell=False, numbered=False)
    return "\n".join(f"{name}: {text}" for name, text in [*log.head(), *log.parts(0, len(case.steps) - 1)])


def source_of(case: Case) -> str:
    """A hash of a run's log: equal for copies of a run, whatever they are called."""
    return blake2b(log_text(case).encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def annotation(rollout: Rollout, by: str | None = None) -> Blame | None:
    """The first that names a wrong step, of those by `by` where it is given."""
    mine = (b for b in rollout.blame if by is None or b.by == by)
    return next((b for b in mine if b.step is not None and b.label == -1 and b.step < len(rollout.steps)), None)


def learn(
    rollouts: Iterable[Rollout],
    models: Models,
    cache: SchemaCache,
    *,
    by: str | None = None,
    delta: float | None = None,
    cut: int | None = CUT,
    retries: int = 1,
    at_once: int = AT_ONCE,
) -> dict[tuple[Key, Key], str]:
    """Write a schema of every annotated rollout that the cache does not have: one question to the judge each.

    Args:
        models: "judge": writes them. by: whose annotations; None: the first of each rollout.
        delta: a rollout is passed over where one in the cache is at least so much alike, one of these rollouts among
            them; None: none is. What the cache holds at the beginning is looked at before the judge is asked.
        cut: most characters of one text of a log. retries: how often what failed or cannot be read is asked again.

    Returns:
        Why there is no schema, by (group, rollout), for those without one. Each is on disk as soon as it is written
        (with delta, as soon as those of the rollouts before it are, which it is compared with).

    Raises:
        StepCreditError: there is no judge.
    """
    if "judge" not in models:
        raise StepCreditError("schemata are written by a judge", hint="give it among the models: judge")
    todo, left = list[tuple[Case, Blame]](), dict[tuple[Key, Key], str]()

    def passed_over(case: Case) -> bool:
        likeness = cache.likeness(case) if delta is not None else -np.inf
        if delta is None or likeness < delta:
            return False
        left[case.rollout.group, case.rollout.rollout] = f"the cache holds a run that is {likeness:.2f} alike"
        return True

    for rollout in rollouts:
        blame, case = annotation(rollout, by), Case(Group([rollout]), 0)
        if blame is None:
            left[rollout.group, rollout.rollout] = "nobody names a wrong step"
        elif not cache.knows(case, blame) and not passed_over(case):
            todo.append((case, blame))
    plans = (schema_of(case, blame, cut=cut, retries=retries) for case, blame in todo)
    ended = drive(plans, models, at_once=at_once)
    for place, one in ended if delta is None else enumerate(in_order(ended)):
        case = todo[place][0]
        if isinstance(one, Failed):
            left[case.rollout.group, case.rollout.rollout] = one.reason
        elif not passed_over(case):
            cache.add(one)
    return left


_TASK = """A run of agents failed, and it is known which step was the decisive error and why. Distill from it a schema \
by which errors of this kind can be recognized in other runs. Speak of the kind of error, not of the names and numbers \
of this run."""
_FORM = """Think it through. Then end with the schema in this form:
<TAG>
signatures: ANSWER, what such an error looks like in a log
context: WORDS, in which situation it happens
heuristics: WORDS, what to check to detect it
</TAG>"""
_NAMES = ("signatures", "context", "heuristics")


def schema_of(case: Case, blame: Blame, *, cut: int | None = CUT, retries: int = 1) -> Plan[Schema | Failed]:
    """The schema of an annotated run, by one question to the judge."""
    log, step = Log(case, tell=True, cut=cut), blame.step if blame.step is not None else 0
    why = cut_middle(blame.reason or "not said", cut)
    known = (
        "the decisive error",
        f"step {step}, by {blame.agent or case.steps[step].agent or 'the agent'}. Why: {why}",
    )
    parts = [*log.head(), *log.parts(0, len(case.steps) - 1), known]
    prompt, tag = prompt_of(_TASK, parts, _FORM)

    def read(reply: str) -> dict[str, str]:
        found = fields(block(reply, tag), _NAMES)
        if not found.get("signatures"):
            raise Unreadable("a schema without signatures")
        return found

    (said,) = yield from Judge(retries).ask([Question(prompt, read)])
    if isinstance(said, Failed):
        return said
    rollout = case.rollout
    told = {name: said.get(name, "") for name in _NAMES}
    agent = blame.agent if blame.agent is not None else case.steps[step].agent
    return Schema(
        source=source_of(case),
        group=rollout.group,
        rollout=rollout.rollout,
        by=blame.by,
        step=step,
        agent=agent,
        log=cut_middle(log_text(case), 10 * CUT),
        **told,
    )


@lru_cache(maxsize=4)
def _opened(path: str, changed: int, size: int) -> SchemaCache:
    """The cache of a file, read once as long as the file stays as it is: every run of a diagnosis asks for it."""
    return SchemaCache(path)


def _logs(held: Sequence[Schema]) -> list[str]:
    return [s.log for s in held]


def _read(path: Path) -> Iterable[Schema]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip() or not line.endswith(b"\n"):
                continue
            try:
                yield msgspec.json.decode(line, type=Schema)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise DataError(
                    f"not a schema: {error}", file=path, row=number, hint="a cache is written by learn() alone"
                ) from None


def _whole_lines(path: Path) -> int:
    """Bytes up to and with the last line end."""
    with path.open("rb") as file:
        at = file.seek(0, os.SEEK_END)
        while at > 0:
            step = min(at, 1 << 16)
            file.seek(at - step)
            found = file.read(step).rfind(b"\n")
            if found >= 0:
                return at - step + found + 1
            at -= step
    return 0
