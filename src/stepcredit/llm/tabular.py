"""A language model with exact truth: a tabular policy of Game of 24 that reads and writes text.

    >>> model = Tabular(Policy(skill=4.0))
    >>> prompt = "Make 24 from 4 5 6 10, each number once.\\n"
    >>> [[sample]] = model.sampler([prompt], seed=2)
    >>> sample.text.splitlines()[-1][:7], model.value(prompt + sample.text) == model.solved(sample.text, "4 5 6 10")
    ('Answer:', True)

What is measured with it is measured against the truth: `value`, `alive`, `step_is_right`.
"""

import re
import struct
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from hashlib import blake2b
from math import exp, log
from pathlib import Path as File
from statistics import NormalDist
from typing import Any

import numpy as np

from stepcredit.data.batch import Batch
from stepcredit.data.layout import Floats
from stepcredit.data.reading import Reading
from stepcredit.envs.game24 import Policy, answer, solves
from stepcredit.envs.game24_fit import fit
from stepcredit.errors import StepCreditError
from stepcredit.llm._game24_paths import TASK, Paths, complete
from stepcredit.llm._lines import Written, pieces
from stepcredit.llm.requests import Check, Continue, Force, Request
from stepcredit.protocols import Sample, Scorer

__all__ = ["Policy", "Tabular", "fitted"]

_NOTHING = Sample("", logp=np.zeros(0), entropy=np.zeros(0), ended=True, read=0, written=0)
_CLIP = 1e-3
_LINE = re.compile(r"[^\n]*\n|[^\n]+")


class Tabular:
    """A policy of Game of 24 as an autoregressive model over tokens.

    A prompt holds "Make 24 from 4 5 6 10, each number once." (of several the last counts, up to five numbers); what
    stands behind it, from the next line on, is what has been written so far. The model goes on line by line, also from
    the middle of one ("10 - 4 = 6 (left: 5 6 6)"), writes an answer ("Answer: ... = 24"), a line end, and ends. To any
    other prompt it has nothing to say.

    The chance of a line is that of its action under the policy; a token's is the share of lines that go on with it
    among those that begin as the text does:

        P(token | text) = sum_a pi(a|s) [line a begins with text + token] / sum_a pi(a|s) [line a begins with text]

    Lines of others are followed as far as they are operations: a right one leads on; after a wrong one (arithmetic, a
    number that is not left, a wrong list) the model believes what it says, and no answer of its own can be correct.
    Prose is passed over; a line that it would not have begun so is ended at once.

    Args:
        policy: what it does.
        seed: other seeds, other draws.
        top: how many of the likeliest tokens a Sample tells.
    """

    def __init__(self, policy: Policy | None = None, seed: int = 0, *, top: int = 5) -> None:
        self.policy = Policy() if policy is None else policy
        self.seed, self.top = seed, top
        self._paths = Paths(self.policy, top)
        self._asked: Counter[bytes] = Counter()

    def sampler(
        self,
        prompts: Sequence[str],
        *,
        n: int = 1,
        max_tokens: int = 256,
        temperature: float = 1.0,
        stop: Sequence[str] = (),
        seed: int | None = None,
    ) -> list[list[Sample]]:
        """A Sampler: n continuations of each prompt.

        A sample depends on the seed of the model, the prompt, the settings, its place among the n, and `seed`: other
        prompts change nothing, and a larger n appends. The tokens of a prompt are counted on the first of the n.

        Args:
            temperature: of every token; 0 takes the likeliest each time.
            seed: None draws anew each time that the same is asked; a number draws the same each time.

        Raises:
            StepCreditError: a temperature or a number of tokens below 0.
        """
        if temperature < 0 or max_tokens < 0 or n < 0:
            raise StepCreditError(f"n, max_tokens and temperature are 0 or more: {n}, {max_tokens}, {temperature}")
        stop = tuple(s for s in stop if s)
        found = []
        for prompt in prompts:
            asked = repr((self.seed, prompt, max_tokens, float(temperature), stop)).encode()
            draw = f"seed {seed}"
            if seed is None:
                key = blake2b(asked, digest_size=12).digest()
                draw = f"time {self._asked[key]}"
                self._asked[key] += 1
            found.append(self._samples(prompt, n, max_tokens, temperature, stop, asked + draw.encode()))
        return found

    def forcer(self, prefixes: Sequence[str], continuations: Sequence[str]) -> list[Floats]:
        """A Forcer: per pair, the log-probability of each token of the continuation; -inf where it is never written.

        Cut anywhere, the parts sum to the whole.
        """
        return [self._force(p, c) for p, c in zip(prefixes, continuations, strict=True)]

    async def each(self, request: Request) -> Any:
        """The reply to one request of a plan; its `draw` tells it from its likes."""
        match request:
            case Continue():
                (samples,) = self.sampler(
                    [request.whole],
                    n=request.n,
                    max_tokens=request.max_tokens,
                    temperature=request.temperature,
                    stop=request.stop,
                    seed=request.draw,
                )
                return samples
            case Force():
                return self._force(request.prefix, request.continuation)
            case Check():
                return float(self.solved(request.answer, request.reference))
        raise StepCreditError(
            f"a tabular model is no {request.to}", hint="scorer=model.scorer(noise=0.5), judge=a function of yours"
        )

    def value(self, prompt: str) -> float:
        """The exact chance that what the model writes from here ends in a right answer; NaN for other prompts."""
        place = self._paths.place(prompt)
        return float("nan") if place is None else self._paths.value(*place)

    def alive(self, prompt: str) -> bool:
        """Whether 24 can still be reached from here, by anyone; after an answer, whether it is right."""
        place = self._paths.place(prompt)
        return place is not None and self._paths.next_line(*place).alive()

    def solved(self, text: str, puzzle: str) -> bool:
        """Whether a text (its last answer line, or an expression alone) solves a puzzle ("4 5 6 10", or the task)."""
        task = TASK.search(puzzle)
        said = [a for line in text.splitlines() if (a := answer(line)) is not None]
        return solves(task[1] if task else puzzle, said[-1] if said else text)

    def verifier(self, answers: Sequence[str], references: Sequence[str]) -> Floats:
        """A Verifier: `solved` of each pair."""
        return np.array([self.solved(a, r) for a, r in zip(answers, references, strict=True)], float)

    def step_is_right(self, prefix: str, step: str) -> bool:
        """Whether a step after a prompt is right: legal, without a slip, and 24 can still be reached after it."""
        return self.alive(_joined(prefix, step) + "\n")

    def scorer(self, noise: float = 0.0, *, seed: int = 0) -> Scorer:
        """A Scorer that errs as told.

            score = sigmoid(logit(v) + noise * N),   v = value(prefix + step) within [0.001, 0.999]

        N is standard normal, fixed per (seed, prefix, step). noise=inf: sigmoid(N), which knows nothing.
        NaN where the prefix is no Game of 24.
        """

        def score(prefixes: Sequence[str], steps: Sequence[str]) -> Floats:
            return np.array([self._score(p, s, noise, seed) for p, s in zip(prefixes, steps, strict=True)], float)

        return score

    def judge(self, error: float = 0.0, *, seed: int = 0) -> Callable[[str, str], bool]:
        """A function (prefix, step) -> whether it calls the step right; wrong with that chance, fixed per question."""
        if not 0 <= error <= 1:
            raise StepCreditError(f"a chance of error is 0 to 1; got {error}")

        def verdict(prefix: str, step: str) -> bool:
            return self.step_is_right(prefix, step) != (_uniform(f"{seed}|verdict|{prefix}|{step}") < error)

        return verdict

    def read(self, text: str) -> tuple[list[str], list[float | None]]:
        """The tokens of a text and their log-probabilities; None as far as the task goes, which nobody wrote."""
        task = [m.end() for m in TASK.finditer(text)]
        end = task[-1] if task else len(text)
        end += len(text[end:]) - len(text[end:].lstrip())
        given, rest = text[:end], text[end:]
        return pieces(given) + pieces(rest), [None] * len(pieces(given)) + list(self._force(given, rest))

    def _samples(
        self, prompt: str, n: int, max_tokens: int, temperature: float, stop: Sequence[str], key: bytes
    ) -> list[Sample]:
        place, read = self._paths.place(prompt), len(pieces(prompt))
        if place is None:
            return [replace(_NOTHING, read=read if j == 0 else 0) for j in range(n)]
        source, found = blake2b(key, digest_size=64), []
        for j in range(n):
            one = source.copy()
            one.update(j.to_bytes(8, "little"))
            draws = [(word >> 11) / 2**53 for word in struct.unpack("<8Q", one.digest())]
            path, beginning = place
            parts: list[Written] = []
            tokens, text = 0, ""
            for u in draws:
                if path.answer is not None and not beginning:
                    break
                lines = self._paths.next(path, beginning)
                parts.append(lines.written(lines.pick(u, temperature)))
                path, beginning = self._paths.after(path, beginning + parts[-1].text), ""
                tokens += len(parts[-1].tokens)
                text += parts[-1].text
                if tokens >= max_tokens or any(s in text for s in stop):
                    break
            found.append(_cut(parts, text, path.answer is not None, max_tokens, stop, read if j == 0 else 0))
        return found

    def _force(self, prefix: str, continuation: str) -> Floats:
        found: list[float] = []
        place = self._paths.place(prefix)
        for line in _LINE.findall(continuation):
            if place is None or (place[0].answer is not None and not place[1]):
                found += [-np.inf] * len(pieces(line))
                continue
            path, beginning = place
            lines, done = self._paths.next(path, beginning), ""
            i = lines.places.get(line)
            if i is not None:
                found += lines.written(i).logp.tolist()
            else:
                for token in pieces(line):
                    found.append(lines.log_chance(done + token, done))
                    done += token
                    if found[-1] == -np.inf:
                        beginning, done = beginning + done, ""
                        lines = self._paths.next(path, beginning)
            place = self._paths.after(path, place[1] + line), ""
        return np.array(found, float)

    def _score(self, prefix: str, step: str, noise: float, seed: int) -> float:
        value = self.value(_joined(prefix, step))
        if value != value:
            return value
        v = min(max(value, _CLIP), 1 - _CLIP)
        level = log(v / (1 - v))
        if noise:
            normal = NormalDist().inv_cdf(_uniform(f"{seed}|score|{prefix}|{step}"))
            level = normal if noise == float("inf") else level + noise * normal
        return 1 / (1 + exp(-level))


def fitted(source: str | File | Batch | Iterable[tuple[str, Sequence[str]]], *, seed: int = 0, top: int = 5) -> Tabular:
    """The tabular twin of whoever wrote some rollouts of Game of 24 (`game24_fit.fit`).

    Args:
        source: a file of rollouts, a Batch, or (puzzle, lines) of each. Puzzles are the groups of a file.
        seed: of the policy's partialities and of the draws.

    Raises:
        StepCreditError: no line is a right operation.
    """
    if isinstance(source, str | File):
        source = Reading(source).read()
    if isinstance(source, Batch):
        source = [(str(r.group), [s.text or "" for s in r.steps]) for r in source.records or ()]
    return Tabular(fit(source, seed=seed), seed, top=top)


def _joined(prefix: str, step: str) -> str:
    """A step behind a prefix: on a line of its own where both are whole lines."""
    last = prefix.rpartition("\n")[2]
    apart = last and complete(step.partition("\n")[0]) and (complete(last) or last.endswith("each number once."))
    return f"{prefix}\n{step}" if apart else prefix + step


def _cut(parts: Sequence[Written], text: str, ended: bool, max_tokens: int, stop: Sequence[str], read: int) -> Sample:
    """A Sample of lines one after the other, up to the stop string and the limit."""
    tokens = tuple(t for part in parts for t in part.tokens)
    kept = written = min(len(tokens), max_tokens)
    whole = ended and kept == len(tokens)
    if kept < len(tokens):
        text = "".join(tokens[:kept])
    at, stopped = min(((i, s) for s in stop if (i := text.find(s)) >= 0), default=(-1, ""))
    if at >= 0:
        kept = written = place = 0
        for i, token in enumerate(tokens):
            kept, written = (i + 1 if place < at else kept), i + 1
            place += len(token)
            if place >= at + len(stopped):
                break
        text = text[:at]
    one = len(parts) == 1 and kept == len(tokens)
    return Sample(
        text,
        tokens[:kept],
        parts[0].logp if one else _together([p.logp for p in parts])[:kept],
        tuple(t for p in parts for t in p.top_logp)[:kept],
        whole or at >= 0,
        tuple(t for p in parts for t in p.top_tokens)[:kept],
        parts[0].entropy if one else _together([p.entropy for p in parts])[:kept],
        whole and at < 0,
        read,
        written,
    )


def _together(arrays: Sequence[Floats]) -> Floats:
    return np.concatenate(arrays) if arrays else np.zeros(0)


def _uniform(text: str) -> float:
    """A number within (0, 1) that depends on a text alone."""
    (word,) = struct.unpack("<Q", blake2b(text.encode(), digest_size=8).digest())
    return float(((word >> 11) + 0.5) / 2**53)
