"""Lessons of past rollouts, kept by score and found again by what is observed: an aid for samplers (SLEA-RL).

library = Library()
library.evolve(successes, failures, extract)         # after an update of the policy
memory = Memory(library)
memory.recall(observation)                           # before each step; `render` makes text of it

Not evidence about steps: it makes no column. Nothing here asks a model: what a rollout teaches is for `extract` to say.
arXiv:2603.18079; numbers and rules are those of its code (https://github.com/kingofspace0wzz/slea-rl), executed.
Unlike there: what a full library turns away does not count as added; the limits of a round hold for every lesson, not
only between rollouts; memories are forgotten when the library changes; an evicted cluster is gone from its list.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from difflib import SequenceMatcher
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from stepcredit.data.layout import Floats
from stepcredit.errors import DataError, StepCreditError, UnknownName
from stepcredit.evidence._near import SLEA_COMPARED, SLEA_PREFIX
from stepcredit.protocols import Embedder

Zone = Literal["golden", "warning"]
Fate = Literal["added", "replaced", "known", "rejected"]

ZONES: tuple[Zone, ...] = ("golden", "warning")
LEVELS: Mapping[str, tuple[str, ...]] = {
    "golden": ("principle", "method", "example"),
    "warning": ("mistake", "pattern", "diagnostic"),
}
"""What lessons are about, by zone: strategies that led to success, and failures to avoid."""
VERSION = 1
NOVELTY_COMPARED, CACHE_KEY = 300, 200


class Taught(NamedTuple):
    """What `extract` returns: a lesson that a rollout teaches. zone is given by whether the rollout succeeded."""

    text: str
    level: str
    score: float


@dataclass
class Lesson:
    """One entry. task_type: None fits every task. source: where it comes from. uses: how often it was found."""

    id: int
    zone: Zone
    level: str
    text: str
    score: float
    task_type: str | None = None
    source: str | None = None
    uses: int = 0


@dataclass
class Library:
    """Lessons in two zones of three levels each.

    Args:
        golden, warning: lessons that a level of the zone holds. A full level takes a new one only if its score is
            higher than the lowest there, which it replaces.
        similar: a text is known, not new, if its difflib ratio with one of the zone is above this (of the first 300
            characters, case aside), or the words they share are; the one that is there takes the higher score.
        embedder: ranks by likeness to the observation; None: by score.
    """

    golden: int = 100
    warning: int = 50
    similar: float = 0.85
    embedder: Embedder | None = None
    version: int = field(default=0, init=False)
    _lessons: dict[tuple[str, str], list[Lesson]] = field(default_factory=dict, init=False, repr=False)
    _next: int = field(default=0, init=False, repr=False)
    _vectors: dict[str, Floats] = field(default_factory=dict, init=False, repr=False)

    def __len__(self) -> int:
        return sum(map(len, self._lessons.values()))

    def lessons(self, zone: Zone, level: str | None = None) -> list[Lesson]:
        """Lessons of a zone, level by level, in the order they came.

        Raises:
            UnknownName: no such zone or level.
        """
        levels = (level,) if level is not None else _levels(zone)
        return [lesson for name in levels for lesson in self._lessons.get((zone, _known_level(zone, name)), ())]

    def like(self, zone: Zone, text: str) -> Lesson | None:
        """The first lesson of the zone that says nearly the same."""
        lower = text.lower().strip()
        words = set(lower.split())
        for lesson in self.lessons(zone):
            other = lesson.text.lower().strip()
            theirs = set(other.split())
            shared = len(words & theirs) / len(words | theirs) if words and theirs else 0.0
            ratio = SequenceMatcher(None, lower[:NOVELTY_COMPARED], other[:NOVELTY_COMPARED]).ratio()
            if ratio > self.similar or shared > self.similar:
                return lesson
        return None

    def add(
        self,
        zone: Zone,
        level: str,
        text: str,
        score: float,
        *,
        task_type: str | None = None,
        source: str | None = None,
    ) -> Fate:
        """Admits a lesson: "added"; "replaced", it took the place of a worse one; "known", something like it is there;
        "rejected", the level is full of lessons that are no worse.

        Raises:
            UnknownName: no such zone or level.
        """
        _known_level(zone, level)
        known = self.like(zone, text)
        if known is not None:
            if score > known.score:
                known.score = score
                self.version += 1
            return "known"
        mine = self._lessons.setdefault((zone, level), [])
        full = len(mine) >= (self.golden if zone == "golden" else self.warning)
        if full:
            worst = min(mine, key=lambda lesson: lesson.score, default=None)
            if worst is None or score <= worst.score:
                return "rejected"
            mine.remove(worst)
        mine.append(Lesson(self._next, zone, level, text, score, task_type, source))
        self._next += 1
        self.version += 1
        return "replaced" if full else "added"

    def evolve(
        self,
        successes: Iterable[tuple[str, float]],
        failures: Iterable[tuple[str, float]],
        extract: Callable[[str, float], Iterable[Taught]],
        *,
        most_golden: int = 10,
        most_warning: int = 5,
        rollouts: int = 5,
        task_type: str | None = None,
    ) -> dict[str, int]:
        """One round: what the best successes and the worst failures teach.

        Args:
            successes, failures: (text, score) of rollouts. The `rollouts` of highest, and of lowest, score are read.
            extract: (text, score) -> lessons.
            most_golden, most_warning: lessons that a round may add to each zone.

        Returns:
            How many lessons met which fate: {"golden added": 3, ...}.
        """
        counts: dict[str, int] = {}
        best = sorted(successes, key=lambda r: -r[1])[:rollouts]
        worst = sorted(failures, key=lambda r: r[1])[:rollouts]
        for zone, texts, most in zip(ZONES, (best, worst), (most_golden, most_warning), strict=True):
            admitted = 0
            for text, score in texts:
                for one in extract(text, score) if admitted < most else ():
                    if admitted >= most:
                        break
                    fate = self.add(zone, one.level, one.text, one.score, task_type=task_type, source=text[:500])
                    counts[f"{zone} {fate}"] = counts.get(f"{zone} {fate}", 0) + 1
                    admitted += fate in ("added", "replaced")
        return counts

    def best(self, zone: Zone, query: str, k: int, *, task_type: str | None = None) -> list[Lesson]:
        """The k lessons of a zone that fit the task and are most like the query, or have the highest score."""
        fit = [one for one in self.lessons(zone) if task_type is None or one.task_type in (None, task_type)]
        if not fit or k <= 0:
            return []
        rank = [one.score for one in fit] if self.embedder is None else self._likeness(self.embedder, query, fit)
        return [fit[i] for i in sorted(range(len(fit)), key=lambda i: -rank[i])[:k]]

    def _likeness(self, embedder: Embedder, query: str, lessons: Sequence[Lesson]) -> list[float]:
        new = list(dict.fromkeys(one.text for one in lessons if one.text not in self._vectors))
        vectors = np.asarray(embedder([query, *new]), float)
        self._vectors.update(zip(new, vectors[1:], strict=True))
        likeness: list[float] = (np.stack([self._vectors[one.text] for one in lessons]) @ vectors[0]).tolist()
        return likeness

    def to_json(self) -> str:
        """The lessons as JSON text; vectors are made anew."""
        lessons = [asdict(one) for zone in ZONES for one in self.lessons(zone)]
        head = {"schema_version": VERSION, "golden": self.golden, "warning": self.warning, "similar": self.similar}
        return json.dumps({**head, "next": self._next, "lessons": lessons}, ensure_ascii=False, indent=1)

    @classmethod
    def from_json(cls, text: str, *, embedder: Embedder | None = None) -> "Library":
        """The library that `to_json` wrote.

        Raises:
            DataError: it is something else. UnknownName: a lesson of no level.
        """
        try:
            raw = json.loads(text)
            if raw["schema_version"] != VERSION:
                raise DataError("written by another version", got=raw["schema_version"], expected=VERSION)
            library = cls(int(raw["golden"]), int(raw["warning"]), float(raw["similar"]), embedder)
            for one in raw["lessons"]:
                lesson = Lesson(**one)
                _known_level(lesson.zone, lesson.level)
                library._lessons.setdefault((lesson.zone, lesson.level), []).append(lesson)
            library._next = int(raw["next"])
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, StepCreditError):
                raise
            raise DataError("not a library of lessons", got=f"{type(error).__name__}: {error}") from None
        return library

    def save(self, path: str | Path) -> None:
        """Writes `to_json` to a file."""
        Path(path).write_text(self.to_json(), encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path, *, embedder: Embedder | None = None) -> "Library":
        """The library in a file that `save` wrote.

        Raises:
            DataError: it is something else.
        """
        return cls.from_json(Path(path).read_text(encoding="utf-8"), embedder=embedder)


@dataclass
class Cluster:
    """Observations that share their lessons. lessons: ids by zone, in the order they were found."""

    representative: str
    task_type: str | None = None
    members: int = 1
    recalls: int = 0
    lessons: dict[str, list[int]] = field(default_factory=lambda: {"golden": [], "warning": []})


@dataclass
class Clusters:
    """Observations by likeness: those of one task type with the same first 300 characters (blanks around them aside)
    whose first 500 have a difflib ratio of at least `threshold` with the cluster's first one.

    most: clusters kept; the one with the fewest recalls, then the fewest members, then the oldest, makes room.
    """

    threshold: float = 0.85
    most: int = 500
    _by: dict[tuple[str | None, str], list[Cluster]] = field(default_factory=dict, init=False, repr=False)
    _all: list[Cluster] = field(default_factory=list, init=False, repr=False)

    def __len__(self) -> int:
        return len(self._all)

    def find(self, observation: str, task_type: str | None = None) -> Cluster:
        """The first cluster that fits, one member larger, or a new one."""
        key = (task_type or None, observation.strip()[:SLEA_PREFIX])
        for cluster in self._by.get(key, ()):
            if self._fits(observation, cluster.representative):
                cluster.members += 1
                return cluster
        if len(self._all) >= self.most:
            self._evict()
        made = Cluster(observation, task_type or None)
        self._by.setdefault(key, []).append(made)
        self._all.append(made)
        return made

    def _fits(self, observation: str, representative: str) -> bool:
        cut = SLEA_COMPARED
        ratio = SequenceMatcher(None, observation[:cut], representative[:cut]).ratio
        return observation == representative or ratio() >= self.threshold

    def _evict(self) -> None:
        least = min(self._all, key=lambda c: (c.recalls, c.members))
        self._all = [c for c in self._all if c is not least]
        key = (least.task_type, least.representative.strip()[:SLEA_PREFIX])
        self._by[key] = [c for c in self._by[key] if c is not least]


@dataclass
class Memory:
    """What to tell the policy before a step.

    Args:
        experience: the library that is asked.
        golden, warning: lessons of each zone.
        warmup: recalls of the first `warmup` updates of the policy (`step`) find nothing.
        least: nor do those of a library with fewer lessons.
        cached: observations whose lessons are remembered until the library changes.
    """

    experience: Library
    clusters: Clusters = field(default_factory=Clusters)
    golden: int = 2
    warning: int = 1
    warmup: int = 5
    least: int = 10
    cached: int = 1000
    _seen: dict[tuple[str | None, str], list[Lesson]] = field(default_factory=dict, init=False, repr=False)
    _version: int = field(default=-1, init=False, repr=False)

    def recall(self, observation: str, *, task_type: str | None = None, step: int | None = None) -> list[Lesson]:
        """Lessons for an observation, golden ones first: those linked to its cluster, else the best of the library,
        which are linked to it. step: updates of the policy so far; None: past the warmup."""
        if (step is not None and step < self.warmup) or len(self.experience) < max(self.least, 1):
            return []
        if self._version != self.experience.version:
            self._seen, self._version = {}, self.experience.version
        key = (task_type, observation[:CACHE_KEY].strip().lower())
        if key in self._seen:
            return self._seen[key]
        cluster = self.clusters.find(observation, task_type)
        cluster.recalls += 1
        found = self._linked(cluster)
        if not found:
            for zone, k in zip(ZONES, (self.golden, self.warning), strict=True):
                best = self.experience.best(zone, observation, k, task_type=task_type)
                known = cluster.lessons[zone]
                known += [one.id for one in best if one.id not in known]
                found += best
            for one in found:
                one.uses += 1
        if len(self._seen) < self.cached:
            self._seen[key] = found
        return found

    def _linked(self, cluster: Cluster) -> list[Lesson]:
        """The first lessons linked to the cluster, without those that the library has dropped."""
        out: list[Lesson] = []
        for zone, k in zip(ZONES, (self.golden, self.warning), strict=True):
            by_id = {one.id: one for one in self.experience.lessons(zone)}
            out += [by_id[i] for i in cluster.lessons[zone][:k] if i in by_id]
        return out


def render(lessons: Sequence[Lesson], *, most: int = 800) -> str:
    """Lessons as text to put before an observation, at most so many characters; "" without any.

    A strategy is cut to 200 characters and a pitfall to 150; strategies stop past 60% of `most`, and pitfalls are left
    out past 80%.
    """
    parts: list[str] = []
    used = 0
    golden = [one for one in lessons if one.zone == "golden"]
    warning = [one for one in lessons if one.zone == "warning"]
    if golden:
        parts.append("[Helpful Strategies]")
    for one in golden:
        parts.append(f"- {one.text[:200]}")
        used += len(one.text[:200])
        if used > 0.6 * most:
            break
    if warning and used < 0.8 * most:
        parts += ["[Common Pitfalls]", *(f"- {one.text[:150]}" for one in warning)]
    text = "\n".join(parts)
    return text if len(text) <= most else text[: most - 3] + "..."


def _levels(zone: str) -> tuple[str, ...]:
    if zone not in LEVELS:
        raise UnknownName("zone of lessons", zone, LEVELS)
    return LEVELS[zone]


def _known_level(zone: str, level: str) -> str:
    if level not in _levels(zone):
        raise UnknownName(f"level of {zone} lessons", level, _levels(zone))
    return level


__all__ = ["LEVELS", "Cluster", "Clusters", "Lesson", "Library", "Memory", "Taught", "render"]
