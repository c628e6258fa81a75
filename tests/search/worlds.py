"""A toy language model whose every reply is known to be right or wrong, and the tasks it is asked: sums in lines, and a
chain of sums in a live environment. Replies depend on the request alone, so that equal searches are equal."""

import math
import re
from hashlib import blake2b

import numpy as np

from stepcredit.envs import text
from stepcredit.llm.requests import Ask, Check, Continue, Failed, Force, Score
from stepcredit.protocols import Sample
from stepcredit.search import POLICIES, Task, Writing
from stepcredit.search.bank import Solved, StepBank

QUESTION = re.compile(r"What is ([\dx]+(?: \+ [\dx]+)+)\?\n")
EQUATION = re.compile(r"(\d+) ([-+*]) (\d+) = (-?\d+)")
OPEN = re.compile(r"Equation \d+ of \d+: (\d+) ([-+*]) (\d+) = \?")
BACKWARD = re.compile(r"the answer to the question above is (-?\d+), what is the value of x\?\n")
TOKEN = re.compile(r"\n|[^\S\n]*[^\s]+|[^\S\n]+")

WRITING = Writing(max_tokens=12, longest=48, depth=8, ends="^Answer:")
BANK = StepBank(
    [
        Solved(
            "What is 1 + 2 + 3?",
            ("1 + 2 = 3", "3 + 3 = 6", "Answer: 6"),
            thoughts=("add", "add", "answer"),
            template="adding",
        ),
        Solved(
            "What is 5 + 4 + 1?",
            ("5 + 4 = 9", "9 + 1 = 10", "Answer: 10"),
            thoughts=("add", "add", "answer"),
            template="adding",
        ),
    ]
)


def sums(count, seed=0, length=3):
    """Tasks of adding so many numbers."""
    rng = np.random.default_rng(seed)
    made = []
    for i in range(count):
        numbers = rng.integers(2, 30, length).tolist()
        made.append(Task(f"What is {' + '.join(map(str, numbers))}?\n", f"sum {i}", str(sum(numbers))))
    return made


def chain(seed=0, length=3):
    """A live environment: a chain of sums modulo 10; its outcome is 1 where all of it is right."""
    episode = text.get("chain_arithmetic")(length=length).episode()
    observation, _ = episode.reset(seed=seed)
    return Task(observation + "\n", f"chain {seed}", world=episode)


def chance(*what):
    """A number from 0 to 1 that depends on what is given alone."""
    return int.from_bytes(blake2b(repr(what).encode(), digest_size=7).digest(), "big") / 256**7


def alive(whole):
    """Whether all that is written, after the last question, is right."""
    asked = list(QUESTION.finditer(whole))
    if not asked or "Equation" in whole:
        modulus = int(re.search(r"modulo (\d+)", whole)[1]) if "modulo" in whole else 10**9
        return all(result(a, s, b) % modulus == int(c) for a, s, b, c in EQUATION.findall(whole.partition("modulo")[2]))
    numbers = [int(n) for n in re.findall(r"\d+", asked[-1][1])]
    so_far, total = 0, numbers[0]
    for line in whole[asked[-1].end() :].splitlines():
        if line.startswith("Answer:"):
            return line == f"Answer: {sum(numbers)}"
        done = EQUATION.fullmatch(line)
        if done:
            so_far += 1
            if so_far >= len(numbers) or line != f"{total} + {numbers[so_far]} = {total + numbers[so_far]}":
                return False
            total += numbers[so_far]
    return True


def result(a, sign, b):
    a, b = int(a), int(b)
    return a + b if sign == "+" else a - b if sign == "-" else a * b


class Toy:
    """Every model in one: it writes each line rightly with chance `skill`, and judges, scores, forces by the truth."""

    def __init__(self, skill=0.7, *, logp=True):
        self.skill, self.logp = skill, logp

    async def each(self, request):
        match request:
            case Continue():
                return [self.write(request, i) for i in range(request.n)]
            case Ask():
                return self.say(request.prompt)
            case Score():
                return 0.95 if alive(request.prefix + request.step) else 0.05
            case Force():
                return self.force(request)
            case Check():
                return float(request.answer == request.reference)

    def write(self, request, i):
        whole = request.whole
        if "(A) True or (B) False" in whole:
            return told(verdict(whole), request)
        drawn = (request.draw, i) if request.temperature else ()
        lines, start = [], whole[whole.rfind("\n") + 1 :]
        head = whole[: len(whole) - len(start)]
        for _ in range(40):
            right = chance(self.skill, head, *drawn, len(lines)) < self.skill
            line, last = self.line(head, right, chance("which", head, *drawn))
            rest = line[len(start) :] if line.startswith(start) else ""
            lines.append(rest if last else rest + "\n")
            head, start = head + start + rest + "\n", ""
            if last or (request.stop and "\n" in request.stop):
                break
        return cut("".join(lines), request, self.logp, first=i == 0)

    def line(self, head, right, which):
        """(the next line, whether it is the last)."""
        off = 0 if right else 1 + int(which * 3)
        open_ = list(OPEN.finditer(head))
        if open_:
            modulus = int(re.search(r"modulo (\d+)", head)[1])
            a, sign, b = open_[-1].groups()
            return f"write {a} {sign} {b} = {(result(a, sign, b) + off) % modulus}", False
        asked = list(QUESTION.finditer(head))
        if not asked:
            return "Answer: 0", True
        back = BACKWARD.search(head, asked[-1].end())
        numbers = [int(n) for n in re.findall(r"\d+", asked[-1][1])]
        if back:
            return f"Answer: {int(back[1]) - sum(numbers) + off}", True
        done = [m for m in map(EQUATION.fullmatch, head[asked[-1].end() :].splitlines()) if m]
        total = int(done[-1][4]) if done else numbers[0]
        if len(done) >= len(numbers) - 1:
            return f"Answer: {total}", True
        return f"{total} + {numbers[len(done) + 1]} = {total + numbers[len(done) + 1] + off}", False

    def force(self, request):
        if "(A) True or (B) False" in request.prefix:
            p = 0.9 if verdict(request.prefix) else 0.2
            return np.log([p if request.continuation == "A" else 1 - p])
        return np.full(
            len(TOKEN.findall(request.continuation)), -0.3 if alive(request.prefix + request.continuation) else -1.6
        )

    def say(self, prompt):
        """All that policies ask a judge, from the truth."""
        parts = pieces(prompt)
        steps = [said for name, said in parts if re.fullmatch(r"step \d+", name)]
        whole = dict(parts).get("task", prompt).rstrip() + "\n"
        right = []
        for step in steps:
            whole += step + "\n"
            right.append(alive(whole))
        ok = right[-1] if right else True
        offered = [said for name, said in parts if name.startswith("solution ")]
        best = next((i for i, said in enumerate(offered, start=1) if alive(whole + said)), 1)
        return "\n".join(
            [
                *(f"Step {k}: {'+1' if r else '-1'}" for k, r in enumerate(right, start=1)),
                f"FINAL ANSWER CHECK: {'+1' if ok else '-1'}",
                f"Correctness of the final answer: {'Correct' if ok else 'Wrong'}",
                f"Reward: {90 if ok else -90}",
                f"Gain: {3 if ok else -5}",
                f"Choice: {best}",
                f"The last is {ok}",
            ]
        )


def pieces(prompt):
    """(name, text) of what a judge is shown."""
    mark = re.search(r"\[\[(\d+) task\]\]\n", prompt)
    if not mark:
        return []
    body = prompt[mark.start() : prompt.rindex(f"\n[[{mark[1]} end]]")]
    return re.findall(rf"\[\[{mark[1]} ([^\n]*)\]\]\n(.*?)(?=\n\n\[\[{mark[1]} |\Z)", body, re.DOTALL)


def verdict(prompt):
    """Whether the solution that is asked about is right."""
    parts = pieces(prompt)
    steps = [said for name, said in parts if re.fullmatch(r"(answer to )?step \d+", name)]
    return alive("\n".join([dict(parts)["task"].rstrip(), *steps]) + "\n")


def told(right, request):
    """One token, A or B, and how likely both were."""
    p = 0.9 if right else 0.2
    top = np.sort(np.log([p, 1 - p]))[::-1]
    names = ("A", "B") if p > 0.5 else ("B", "A")
    return Sample(
        names[0], names[:1], top[:1], (top,), top_tokens=(names,), ended=True, finished=True, read=1, written=1
    )


def cut(said, request, logp=True, *, first=True):
    """A text as a sample, to its stop string or its last token."""
    at = min((i for s in request.stop if (i := said.find(s)) >= 0), default=len(said))
    tokens = TOKEN.findall(said[:at])
    kept = tokens[: request.max_tokens]
    whole = len(kept) == len(tokens)
    lp = np.full(len(kept), math.log(0.5)) if logp else None
    top = tuple(np.log([0.5, 0.3]) for _ in kept) if logp else ()
    return Sample(
        "".join(kept),
        tuple(kept),
        lp,
        top,
        finished=whole,
        top_tokens=tuple((t, "?") for t in kept) if logp else (),
        ended=whole and at == len(said),
        read=len(TOKEN.findall(request.whole)) if first else 0,
        written=len(kept),
    )


class Always(Toy):
    """Writes the same whatever it is asked, without end where `ended` is False."""

    def __init__(self, said, *, ended=True):
        super().__init__()
        self.said, self.over = said, ended

    def write(self, request, i):
        if self.over:
            return cut(self.said, request, first=i == 0)
        return cut(self.said * (request.max_tokens + 1), request, first=i == 0)


class Failing(Toy):
    """No opinion, no reply to a question, in this share of all cases; where `sampler` no continuation either."""

    def __init__(self, share, *, sampler=False):
        super().__init__()
        self.share, self.sampler = share, sampler

    async def each(self, request):
        spared = isinstance(request, Continue) and not self.sampler
        if spared or chance("fails", request) >= self.share:
            return await super().each(request)
        return Failed("it does not say")


class Unmoved(Toy):
    """Finds everything equally likely, and incoherent what is wrong."""

    async def each(self, request):
        match request:
            case Force():
                return np.full(len(TOKEN.findall(request.continuation)), -1.0)
            case Score():
                return 1.0 - await super().each(request)
        return await super().each(request)


NAMES = ("scorer", "judge", "verifier", "forcer", "router", "gate", "simulator", "encoder", "retriever")


def forgetful(prefixes, steps):
    """A scorer that is a function, and has no number for some steps."""
    known = [alive(p + s) if chance("knows", s) > 0.3 else np.nan for p, s in zip(prefixes, steps, strict=True)]
    return np.array(known, float)


def models(sampler=None, *, others=None, scorer=None):
    """Whoever a policy may ask, by name."""
    held = dict.fromkeys(NAMES, others or Toy())
    if scorer is not None:
        held["scorer"] = scorer
    return {
        **held,
        "sampler": sampler or Toy(),
        "draft": sampler or Toy(0.69),
        "reference": Unmoved(),
        "incoherence": Unmoved(),
    }


SMALL = {"n": 8, "iterations": 12, "rounds": 2, "expand": 4, "beams": 2, "backward": 2, "most": 12, "first": 12}


def options(name):
    """What a policy needs beside models, and its counts made small."""
    known = POLICIES.get(name).options
    small = {k: v for k, v in SMALL.items() if isinstance(known.get(k), int) and known[k] > v}
    if "bank" in known:
        small["bank"] = BANK
    return small
