"""Who a command asks: servers, functions of yours, models on this machine; one budget, one file of answers."""

import re
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit, urlunsplit

import typer

from stepcredit.app.console import note
from stepcredit.app.options import pairs
from stepcredit.errors import StepCreditError
from stepcredit.plugins import load_function
from stepcredit.shelf import Planner

LOCAL = ("sampler", "forcer", "hidden_states", "embedder", "entropies")
"""What a local model can be."""
_NO_CHAT = ("verifier", "checker", "scorer")
"""What a server that chats and completes cannot be."""

Server = Annotated[
    str | None,
    typer.Option("--server", metavar="URL", help="Who writes: an OpenAI-compatible API, http://host:8000/v1."),
]
Model = Annotated[str | None, typer.Option("--model", metavar="NAME", help="Its model; else the only one it serves.")]
JudgeServer = Annotated[
    str | None, typer.Option("--judge-server", metavar="URL", help="Who answers questions; else the same server.")
]
JudgeModel = Annotated[str | None, typer.Option("--judge-model", metavar="NAME", help="Its model.")]
With = Annotated[
    list[str],
    typer.Option(
        "--with",
        metavar="NAME=WHAT",
        help="Others in that place: judge=FILE.py:FUNCTION; sampler=DIR, a local transformers model; draft=URL#MODEL, "
        "another server; scorer=URL, a reward model that vLLM serves (--runner pooling).",
    ),
]
BudgetText = Annotated[
    str | None, typer.Option("--budget", metavar="AMOUNTS", help="What it may spend: 20000calls,2Mtokens,30min.")
]
PriceText = Annotated[
    str | None,
    typer.Option("--price", metavar="READ,WRITTEN", help="Of a million tokens, in usd: 0.15,0.6. For --budget 5usd."),
]
StoreFile = Annotated[
    Path | None,
    typer.Option("--store", metavar="FILE", help="Keeps what was answered: begun again, nothing is asked twice."),
]
KeyEnv = Annotated[
    str, typer.Option("--key-env", metavar="VARIABLE", help="The environment variable with the servers' key.")
]
Where = tuple[str | None, str | None]
"""URL and model."""


@dataclass
class Asked:
    """Who answers for each name that a system asks.

    models: name -> function or door. servers: name -> (URL, model) of those that `connect` opens. told: name -> what a
    file may say of it, without secrets. hints: name -> how to give it, in an error. budget: that of all servers; None
    where none is asked.
    """

    planner: Planner
    models: dict[str, Any] = field(default_factory=dict)
    servers: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    told: dict[str, Any] = field(default_factory=dict)
    hints: dict[str, str] = field(default_factory=dict)
    budget: Any = None

    @property
    def names(self) -> tuple[str, ...]:
        """All that the system asks, or may."""
        return (*self.planner.card.asks, *self.planner.card.may_ask)

    def place(self, given: list[str], server: Where, judge: Where) -> None:
        """Say who is who; nobody is asked yet.

        Raises:
            StepCreditError: --with names whom nobody asks, or what cannot stand there.
        """
        if server[0] is not None:
            self.servers = {name: (server[0], server[1]) for name in self.names if name not in _NO_CHAT}
        url = judge[0] or server[0]
        if any(judge) and url is not None and "judge" in self.names:
            self.servers["judge"] = url, judge[1]
        for name, what in pairs(given, "--with").items():
            if name not in self.names:
                raise StepCreditError(f"--with {name}: {self.planner.name} asks a {', a '.join(self.names)}")
            if re.match("https?://", what):
                at, _, model = what.partition("#")
                self.servers[name] = at, model or None
            else:
                self.servers.pop(name, None)
                self.models[name], self.told[name] = model_of(name, what), what

    def connect(
        self, stack: ExitStack, *, budget: str | None, price: str | None, store: Path, run: str, **settings: Any
    ) -> None:
        """Open doors to the servers. What earlier processes of this run spent counts.

        Args:
            stack: closes them. run: begins the name of the run in the journal. settings: of `Client`.

        Raises:
            StepCreditError: somebody who is asked is not there.
        """
        self._check()
        if not self.servers:
            return
        from stepcredit.llm.budget import Budget, parse

        cost = None if price is None else _price(price)
        if budget is not None and "usd" in budget and cost is None:
            raise StepCreditError(f"--budget {budget}: money needs the price of tokens", hint="--price 0.15,0.6")
        self.budget = Budget(price=cost) if budget is None else parse(budget, price=cost)
        size = f" (there are {store.stat().st_size >> 10:,} KB)" if store.exists() else ""
        note(f"answers are kept in {store}: begun again, nothing is asked twice{size}")
        doors: dict[tuple[str, str | None, bool], Any] = {}
        for name, (url, model) in self.servers.items():
            which = url, model, name == "scorer"
            if which not in doors:
                known = {"budget": self.budget, "store": store, "run": f"{run} {plain_url(url)} {model}", **settings}
                doors[which] = _door(stack, *which, known)
            self.models[name], named = doors[which]
            self.told[name] = {"model": named, "url": plain_url(url)}

    def _check(self) -> None:
        there = self.models.keys() | self.servers.keys()
        for name in self.planner.card.asks:
            if name not in there:
                server = {"judge": "--judge-server URL, or ", "sampler": "--server URL, or "}.get(name, "")
                hint = self.hints.get(name, f"{server}--with {name}=FILE.py:FUNCTION")
                raise StepCreditError(f"{self.planner.name} asks a {name}", hint=hint)
        for name in self.planner.card.may_ask:
            if name not in there:
                note(f"no {name} is given, which some options ask: --with {name}=FILE.py:FUNCTION")


def _door(stack: ExitStack, url: str, model: str | None, scores: bool, known: Mapping[str, Any]) -> tuple[Any, str]:
    """A door, and the name of the model behind it, which is asked for where it was not given."""
    from stepcredit.llm.client import Client

    client = stack.enter_context(Client(url, model, **known))
    try:
        named = client.resolve()
    except StepCreditError as error:
        told = error.message.startswith("which model?")
        hint = "name it: --model NAME (--judge-model NAME)" if told else error.hint
        raise StepCreditError(error.message, hint=hint) from None
    return (client.rewards() if scores else client), named


def _price(text: str) -> Any:
    from stepcredit.llm.budget import Price

    try:
        read, written = (float(part) for part in text.split(","))
    except ValueError:
        raise StepCreditError(f"--price {text!r}: expected READ,WRITTEN", hint="--price 0.15,0.6") from None
    if not (0 <= read < float("inf") and 0 <= written < float("inf")):
        raise StepCreditError(f"--price {text!r}: a price is 0 or more")
    return Price(read, written)


def model_of(name: str, what: str) -> Any:
    """A function of a file, a local model, or None ("none").

    Raises:
        StepCreditError: a local model cannot be that.
    """
    if what == "none":
        return None
    if ".py:" in what:
        return load_function(what, "--with")
    part = name.removeprefix("reference_")
    if part not in LOCAL:
        raise StepCreditError(f"a local model is no {name}", hint=f"--with {name}=FILE.py:FUNCTION")
    from stepcredit.llm.local import load

    return getattr(load(what), part)


def plain_url(url: str) -> str:
    """Without what may be secret: user, password, query."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
