"""One search: propose, act, score, back up, choose. Policies are a few lines over these moves.

Each move that asks a model is a plan: a policy says `nodes = yield from search.propose([node], 4)`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from msgspec import structs

from stepcredit.data.layout import Floats
from stepcredit.llm.requests import ENDS, Ask, BudgetSpent, Continue, Failed, Plan, Score, draw_of
from stepcredit.ops import Aggregate, highest, weighted_vote
from stepcredit.protocols import Environment, Sample
from stepcredit.search.ledger import Ledger, written
from stepcredit.search.tree import NAN, Node, Tree


@dataclass(frozen=True)
class Task:
    """What is attempted.

    prompt: what the model reads. history: (role, text) of the messages before it, in a chat. name: of the task.
    reference: the right answer, for whoever measures. world: an environment in which steps are actions; the search
    forks it and never changes it. facts: what else is known.
    """

    prompt: str
    name: str = ""
    reference: str | None = None
    world: Environment | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    history: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Writing:
    r"""How solutions are written.

    separator: stands between steps; the model stops there. max_tokens: of one step. longest: tokens of a whole
    solution written in one go. temperature: of all samples. depth: most steps; a solution as long as that is ended.
    ends: pattern of a step that completes a solution, for servers that do not say whether a model ended by itself.
    answer: solution -> answer, None where there is none. same: answer -> what equal answers have in common.
    """

    separator: str = "\n"
    max_tokens: int = 256
    longest: int = 2048
    temperature: float = 0.8
    depth: int = 40
    ends: str = ENDS
    answer: Callable[[str], str | None] = lambda text: last_line(text)
    same: Callable[[str], str] = lambda answer: " ".join(answer.split())


class Search:
    """One task under search: its tree, its ledger, its draws.

    choose: how the answer is picked from the complete solutions once the policy is done or the budget is; a policy
    sets it first of all. `seed` decides everything that is drawn here, and the draws of the requests.
    """

    def __init__(
        self, task: Task, writing: Writing, *, seed: int = 0, limits: Mapping[str, float] | None = None
    ) -> None:
        self.task, self.writing, self.seed = task, writing, seed
        self.tree = Tree(None if task.world is None else task.world.fork())
        self.ledger = Ledger(limits or {})
        self.rng = np.random.default_rng([seed, *task.name.encode()])
        self.choose: Callable[[], Node | None] = self.best
        self.notes: list[str] = []
        self._draws = 0
        self._ends = re.compile(writing.ends, re.MULTILINE)

    @property
    def root(self) -> Node:
        """The task with nothing done."""
        return self.tree.root

    # What there is to read

    def prefix(self, node: Node) -> str:
        """What the model has written up to and with this step, and what it was answered, ready to go on."""
        sep = self.writing.separator
        parts = [n.text + sep if n.observation is None else f"{n.text}{sep}{n.observation}{sep}" for n in node.path]
        return "".join(parts)

    def text(self, node: Node) -> str:
        """The solution that ends here."""
        return self.prefix(node).removesuffix(self.writing.separator)

    def answer(self, node: Node) -> str | None:
        """The answer of the solution that ends here; None where it has none."""
        return self.writing.answer(self.text(node))

    def key(self, node: Node) -> str | None:
        """What solutions of equal answers have in common; None where there is no answer."""
        answer = self.answer(node)
        return None if answer is None else self.writing.same(answer)

    # Moves

    def propose(
        self,
        nodes: Sequence[Node],
        n: int = 1,
        *,
        to: str = "sampler",
        temperature: float | None = None,
        max_tokens: int | None = None,
        before: str = "",
        more: str = "",
    ) -> Plan[list[list[Node]]]:
        """n next steps of each node, as its children; fewer where the budget ends, none of a node that has ended.

        Args:
            to: the model that writes; any but "sampler" counts as draft. max_tokens, temperature: else the writing's.
            before: put before the task's prompt (examples, a plan). more: put behind what was written (the beginning
                of the step; the child's text begins with it).

        Raises:
            BudgetSpent: not one sample fits.
        """
        wide = max_tokens or self.writing.max_tokens
        made: list[list[Node]] = [[] for _ in nodes]
        open_ = [i for i, node in enumerate(nodes) if not node.ended]
        if not open_ or n < 1:
            return made
        count = self._fits(len(open_) * n, wide, to)
        requests = [
            Continue(
                before + self.task.prompt,
                self.prefix(nodes[i]) + more,
                min(n, count - j * n),
                wide,
                self.writing.temperature if temperature is None else temperature,
                (self.writing.separator,),
                self.draw(),
                to,
                self.task.history,
            )
            for j, i in enumerate(open_)
            if j * n < count
        ]
        replies = yield requests
        for i, reply in zip(open_, replies, strict=False):
            for sample in self._samples(reply, nodes[i], to):
                made[i].append(self.step(nodes[i], sample, more))
        return made

    def complete(
        self,
        nodes: Sequence[Node],
        n: int = 1,
        *,
        to: str = "sampler",
        temperature: float | None = None,
        before: str | Sequence[str] = "",
    ) -> Plan[list[list[Node]]]:
        """n whole solutions from each node on: the last step of each. In a world they are acted step by step.

        Args:
            before: put before the task's prompt; one text per node, or one for all.

        Raises:
            BudgetSpent: not one sample fits.
        """
        made: list[list[Node]] = [[node] * n if node.ended else [] for node in nodes]
        open_ = [i for i, node in enumerate(nodes) if not node.ended]
        if not open_ or n < 1:
            return made
        lead = [before] * len(nodes) if isinstance(before, str) else list(before)
        if self.task.world is not None:
            for i in open_:
                for _ in range(n):
                    made[i].append((yield from self._act_on(nodes[i], to, temperature, lead[i])))
            return made
        wide = self.writing.longest
        count = self._fits(len(open_) * n, wide, to)
        heat = self.writing.temperature if temperature is None else temperature
        replies = yield [
            Continue(
                lead[i] + self.task.prompt,
                self.prefix(nodes[i]),
                min(n, count - j * n),
                wide,
                heat,
                (),
                self.draw(),
                to,
                self.task.history,
            )
            for j, i in enumerate(open_)
            if j * n < count
        ]
        for i, reply in zip(open_, replies, strict=False):
            for sample in self._samples(reply, nodes[i], to):
                made[i].append(self.chain(nodes[i], sample))
        return made

    def score(self, nodes: Sequence[Node], *, to: str = "scorer") -> Plan[Floats]:
        """[nodes] the scorer's opinion of each step after what stands before it; kept on the node, NaN = failed. A node
        that has one is not asked about again.

        Raises:
            BudgetSpent: not one fits.
        """
        asked = list(dict.fromkeys(n for n in nodes if n.status == "missing" and n.parent is not None))
        fit = int(min(len(asked), self.ledger.room("score")))
        if asked and fit < 1:
            raise BudgetSpent("the search has no opinions of the scorer left")
        if fit:
            replies = yield [self.question(n, to) for n in asked[:fit]]
            for node, reply in zip(asked, replies, strict=False):
                self.ledger.score += 1
                if not isinstance(reply, Failed):
                    node.score = float(reply)
                failed = node.score != node.score
                node.status = "failed" if failed else "ok"
                node.reason = getattr(reply, "reason", "the scorer gave no number") if failed else None
        return np.array([n.score for n in nodes], float)

    def ask(self, prompts: Sequence[str], *, to: str = "judge") -> Plan[list[str | Failed]]:
        """The judge's replies; one that failed is `Failed`.

        Raises:
            BudgetSpent: they do not all fit.
        """
        if len(prompts) > self.ledger.room("judge"):
            raise BudgetSpent("the search has no questions to the judge left")
        replies = yield [Ask(p, self.draw(), to) for p in prompts]
        self.ledger.judge += len(prompts)
        return list(replies)

    # For policies that ask by themselves

    def sample(self, requests: Sequence[Continue]) -> Plan[list[list[Sample]]]:
        """What a model says to requests of the policy's own, paid from the limits; nothing where it failed or where the
        limits do not hold it.

        Raises:
            BudgetSpent: not one fits.
        """
        room, sent = {k: self.ledger.room(k) for k in ("calls", "tokens", "decode", "draft")}, []
        for i, one in enumerate(requests):
            kinds = ("tokens", "decode" if one.to == "sampler" else "draft")
            n = int(min(one.n, room["calls"], *(room[k] // max(one.max_tokens, 1) for k in kinds)))
            if n > 0:
                sent.append((i, structs.replace(one, n=n)))
                room["calls"] -= n
                for kind in kinds:
                    room[kind] -= n * one.max_tokens
        if requests and not sent:
            raise BudgetSpent("the search has spent its budget")
        made: list[list[Sample]] = [[] for _ in requests]
        replies = yield [one for _, one in sent]
        for (i, one), reply in zip(sent, replies, strict=True):
            made[i] = self._samples(reply, self.root, one.to)
        return made

    def draw(self) -> int:
        """A number of its own for each request of this search."""
        self._draws += 1
        return draw_of(self.seed, self.task.name, self._draws)

    def question(self, node: Node, to: str) -> Score:
        """The request for an opinion of this step after what stands before it."""
        assert node.parent is not None
        return Score(self.task.prompt + self.prefix(node.parent), node.text, to)

    # Choices, for `choose`

    def first(self) -> Node | None:
        """The complete solution that was there first, of policies that try once."""
        return next(iter(self.tree.leaves()), None)

    def best(self, how: Aggregate = "last", nodes: Sequence[Node] | None = None) -> Node | None:
        """The complete solution of the largest score; where none has a score, of the answer that most have."""
        leaves = self.tree.leaves() if nodes is None else list(nodes)
        place = highest(self.tree.aggregated(leaves, how))
        return self.majority(leaves) if place is None else leaves[place]

    def majority(self, nodes: Sequence[Node] | None = None) -> Node | None:
        """The first complete solution with the answer that most have; where none has an answer, the first."""
        return self.vote(None, nodes)

    def vote(self, how: Aggregate | None = "last", nodes: Sequence[Node] | None = None) -> Node | None:
        """The first complete solution with the answer whose solutions' scores add up to most."""
        leaves = self.tree.leaves() if nodes is None else list(nodes)
        weights = None if how is None else self.tree.aggregated(leaves, how)
        keys = [self.key(n) for n in leaves]
        place = weighted_vote(keys, weights)
        if place is None and weights is not None:
            place = weighted_vote(keys)
        return leaves[place] if place is not None else next(iter(leaves), None)

    # Inside

    def _fits(self, wanted: int, wide: int, to: str) -> int:
        """How many samples of so many tokens the limits hold."""
        kinds = ("tokens", "decode" if to == "sampler" else "draft")
        room = min([self.ledger.room("calls"), *(self.ledger.room(k) // wide for k in kinds)])
        if self.task.world is not None:
            room = min(room, self.ledger.room("tool"))
        if room < 1:
            raise BudgetSpent("the search has spent its budget")
        return int(min(wanted, room))

    def _samples(self, reply: Any, node: Node, to: str) -> list[Sample]:
        if isinstance(reply, Failed):
            self.notes.append(f"node {node.place}: no continuation: {reply.reason}")
            return []
        for sample in reply:
            self.ledger.charge(sample, to)
        return list(reply)

    def step(self, parent: Node, sample: Sample, more: str = "") -> Node:
        """A sample as the next step, below what it goes on from; more: what the step began with.

        Raises:
            BudgetSpent: in a live environment, no action is left.
        """
        if parent.world is not None and self.ledger.room("tool") < 1:
            raise BudgetSpent("the search has no actions left")
        text = (more + sample.text).removesuffix(self.writing.separator)
        logp = NAN if sample.logp is None or not sample.logp.size else float(sample.logp.sum())
        child = self.tree.add(parent, text, tokens=written(sample), logp=logp)
        if parent.world is not None:
            self._act(child, parent.world)
        else:
            empty = not text.strip()
            child.ended = empty or bool(sample.ended) or self._ends.search(text) is not None
        child.ended = child.ended or child.depth >= self.writing.depth
        return child

    def _act(self, child: Node, world: Environment) -> None:
        child.world = world.fork()
        observation, reward, terminated, truncated, info = child.world.step(child.text)
        self.ledger.tool += 1
        child.observation, child.ended = observation, terminated or truncated
        child.facts.update({"state": info.get("state"), "valid": info.get("valid", True)})
        if child.ended:
            child.outcome = float(reward)

    def _act_on(self, node: Node, to: str, temperature: float | None, before: str) -> Plan[Node]:
        """Step by step to the end."""
        while not node.ended:
            ((child, *_),) = yield from self._one(node, to, temperature, before)
            node = child
        return node

    def _one(self, node: Node, to: str, temperature: float | None, before: str) -> Plan[list[list[Node]]]:
        made = yield from self.propose([node], 1, to=to, temperature=temperature, before=before)
        if not made[0]:  # the model failed: the solution ends where it stands
            made[0].append(self.tree.add(node, "", ended=True))
        return made

    def chain(self, node: Node, sample: Sample) -> Node:
        """A sample as the rest of a solution: its steps, one below the other; the last of them."""
        text = sample.text
        parts = [p for p in text.split(self.writing.separator) if p.strip()] or [""]
        total = written(sample)
        sizes = np.array([max(len(p), 1) for p in parts], float)
        shares = None if total is None else np.diff(np.round(np.cumsum([0, *sizes]) / sizes.sum() * total))
        for i, part in enumerate(parts):
            tokens = None if shares is None else int(shares[i])
            node = self.tree.add(node, part, tokens=tokens)
        node.ended = True
        node.facts["finished"] = sample.finished
        return node


def last_line(text: str) -> str | None:
    """The last line with something on it, without "Answer:" before it."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return re.sub(r"(?i)^(the )?(final )?answer\s*(is)?\s*:\s*", "", lines[-1]) or None if lines else None
