"""Search-R1's shape: questions over made-up people, companies and cities, answered by searching short documents.

Documents are ranked by `bm25s` (BM25 as Lucene reads it); its scores are sorted here, ties by the order of the
documents, so that the same query always finds the same.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from stepcredit.envs.text_world import Action, Branch, Refused, TextWorld, Tool
from stepcredit.errors import StepCreditError
from stepcredit.plugins import extra

SEARCH = Tool("search", "search {query}", "Search the documents.", {"query": "words, such as a name"})
ANSWER = Tool("answer", "answer {text}", "Answer the question. This ends the task.", {"text": "a name"})
# What is told of a kind of entity: relation -> the kind it leads to, as a sentence, inside a question, as a question.
RELATIONS = {
    "person": {
        "employer": ("company", "{0} works for {1}.", "the company that {0} works for", "Which company employs {0}?"),
        "birthplace": ("city", "{0} was born in {1}.", "the birthplace of {0}", "In which city was {0} born?"),
    },
    "company": {
        "seat": ("city", "{0} is a company in {1}.", "the home city of {0}", "In which city is {0}?"),
        "founder": ("person", "{0} was founded by {1}.", "the founder of {0}", "Who founded {0}?"),
    },
    "city": {
        "country": ("country", "{0} is a city in {1}.", "the country of {0}", "In which country is {0}?"),
        "mayor": ("person", "The mayor of {0} is {1}.", "the mayor of {0}", "Who is the mayor of {0}?"),
    },
}
_ONSETS = ("b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z", "br", "dr", "kr", "tr")
_ENDS = ("l", "m", "n", "r", "s", "x", "th", "nd")


class Document(NamedTuple):
    """A title, which is the name of an entity, its text, and the names in the text."""

    title: str
    text: str
    names: tuple[str, ...]


class Question(NamedTuple):
    """What does not change: the documents, the question, the name it begins with, the gold documents in the order in
    which one leads to the next, the answer."""

    documents: tuple[Document, ...]
    text: str
    about: str
    gold: tuple[str, ...]
    answer: str


class Search(NamedTuple):
    """The gold documents seen, and the answer once it is given."""

    question: Question
    seen: frozenset[str] = frozenset()
    answer: str | None = None


class MultiHopSearch(TextWorld[Search]):
    """See `multi_hop_search`."""

    name, tools = "multi_hop_search", (SEARCH, ANSWER)

    def __init__(self, hops: int, people: int, found: int, horizon: int) -> None:
        self.hops, self.people, self.found, self.horizon = hops, people, found, horizon
        extra("bm25s", "multi_hop_search", name="envs")

    def start(self, seed: int) -> Search:
        rng = np.random.default_rng(seed)
        while True:
            question = self._question(rng)
            if question is not None:
                return Search(question)

    def instruction(self, state: Search) -> str:
        return f"Answer with a name: {state.question.text}"

    def observe(self, state: Search) -> str:
        return "Search or answer." if state.answer is None else f"You answered: {state.answer}."

    def key(self, state: Search) -> str:
        seen = ", ".join(title for title in state.question.gold if title in state.seen) or "none"
        return f"seen: {seen}" + ("" if state.answer is None else f"; answer: {state.answer}")

    def done(self, state: Search) -> bool:
        return state.answer is not None

    def actions(self, state: Search) -> list[str]:
        """Of free text, what the names in the question and in the gold documents seen suggest."""
        seen = [d for d in state.question.documents if d.title in state.seen]
        names = list(dict.fromkeys([state.question.about, *(name for d in seen for name in d.names)]))
        return [SEARCH.write({"query": n}) for n in names] + [ANSWER.write({"text": n}) for n in names]

    def act(self, state: Search, action: Action) -> Sequence[Branch]:
        if action.name == "answer":
            answer = " ".join(action.arguments["text"].split())[:80]
            right = normal(answer) == normal(state.question.answer)
            return [Branch(1.0, state._replace(answer=answer), float(right))]
        documents = self.retrieve(state, action.arguments["query"])
        if not documents:
            raise Refused("no document has these words")
        titles = [d.title for d in documents]
        after = state._replace(seen=state.seen | {t for t in titles if t in state.question.gold})
        says = "\n".join(f"[{d.title}] {d.text}" for d in documents)
        return [Branch(1.0, after, 0.0, says, {"documents": titles})]

    def expert(self, state: Search) -> str | None:
        missing = [title for title in state.question.gold if title not in state.seen]
        return SEARCH.write({"query": missing[0]}) if missing else ANSWER.write({"text": state.question.answer})

    def gold(self, state: Search) -> tuple[str, ...]:
        """Titles of the documents that lead to the answer, in the order in which one leads to the next."""
        return state.question.gold

    def retrieve(self, state: Search, query: str) -> list[Document]:
        """The documents that a query finds, best first."""
        words = _words(query[:400])
        score = np.asarray(_index(state.question.documents).get_scores(words), float) if words else np.zeros(0)
        best = np.argsort(-score.round(5), kind="stable")[: self.found].tolist()
        return [state.question.documents[i] for i in best if score[i] > 0]

    def _question(self, rng: np.random.Generator) -> Question | None:
        """Facts by chance, and a walk along them that passes nothing twice; None where a few tries found none."""
        sizes = {"person": self.people, "company": self.people // 2 + 1, "city": self.people // 2 + 2, "country": 4}
        names = _names(rng, sizes)
        kinds = {one: kind for kind, ones in names.items() for one in ones}
        facts = {
            one: {relation: str(rng.choice(names[into])) for relation, (into, *_) in RELATIONS[kind].items()}
            for one, kind in kinds.items()
            if kind in RELATIONS
        }
        documents = [_document(one, kinds[one], told) for one, told in facts.items()]
        shuffled = tuple(documents[i] for i in rng.permutation(len(documents)).tolist())
        for _ in range(50):
            at = phrase = about = str(rng.choice(names["person"]))
            text = ""
            gold: list[str] = []
            while len(gold) < self.hops and at in facts:
                relation = str(rng.choice(list(facts[at])))
                _, _, inside, asked = RELATIONS[kinds[at]][relation]
                text, phrase = asked.format(phrase), inside.format(phrase)
                gold.append(at)
                at = facts[at][relation]
            if len({*gold, at}) == self.hops + 1:
                return Question(shuffled, text, about, tuple(gold), at)
        return None


def normal(text: str) -> str:
    """An answer without case, punctuation and articles."""
    return " ".join(w for w in _words(text) if w not in ("a", "an", "the"))


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


@lru_cache(maxsize=64)
def _index(documents: tuple[Document, ...]) -> Any:
    index = extra("bm25s", "multi_hop_search", name="envs").BM25()
    index.index([_words(f"{d.title} {d.text}") for d in documents], show_progress=False)
    return index


def _document(name: str, kind: str, told: dict[str, str]) -> Document:
    sentences = [RELATIONS[kind][relation][1].format(name, other) for relation, other in told.items()]
    return Document(name, " ".join(sentences), tuple(told.values()))


def _names(rng: np.random.Generator, sizes: dict[str, int]) -> dict[str, list[str]]:
    """Names of each kind, no word of them twice."""
    used: set[str] = set()

    def word(ends: Sequence[str]) -> str:
        while True:
            parts = [str(rng.choice(_ONSETS)) + str(rng.choice(list("aeiou"))) for _ in range(2)]
            out = "".join(parts) + str(rng.choice(ends))
            if out not in used:
                used.add(out)
                return out.capitalize()

    ends = {
        "person": _ENDS,
        "company": ["corp", "soft", "works"],
        "city": ["ville", "burg", "ton"],
        "country": ["land"],
    }
    return {
        kind: [f"{word(_ENDS)} {word(_ENDS)}" if kind == "person" else word(ends[kind]) for _ in range(n)]
        for kind, n in sizes.items()
    }


def multi_hop_search(*, hops: int = 2, people: int = 8, found: int = 2, horizon: int = 8) -> MultiHopSearch:
    """Answer a question that needs several documents, each naming what to search for next: 1 for the right name.

    The state id is the set of gold documents seen. A search tells the titles it found as info["fields"]["documents"],
    in records the field `documents`; `gold` gives those that lead to the answer, so that the evidence `retrieval` can
    score each search.

    Args:
        hops: documents that lead to the answer, 1 to 4. people: at least 4; companies and cities are half as many.
        found: documents that a search shows. horizon: most steps.
    """
    if not 1 <= hops <= 4 or not 4 <= people <= 500 or found < 1 or horizon < 1:
        raise StepCreditError(
            f"multi_hop_search: got {hops=}, {people=}, {found=}, {horizon=}, expected 1 <= hops <= 4, "
            "4 <= people <= 500, found and horizon 1 or more"
        )
    return MultiHopSearch(hops, people, found, horizon)
