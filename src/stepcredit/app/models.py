"""Who a command asks: servers, functions of yours, with one budget and one file that keeps every answer."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit, urlunsplit

import typer

from stepcredit.app.console import note
from stepcredit.app.options import pairs
from stepcredit.errors import StepCreditError
from stepcredit.plugins import load_function
from stepcredit.shelf import Planner

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
        "--with", metavar="NAME=FILE.py:FUNCTION", help="A function of yours in the place of a server: judge=my.py:ask."
    ),
]
BudgetText = Annotated[
    str | None, typer.Option("--budget", metavar="AMOUNTS", help="What it may spend: 20000calls,2Mtokens,30min.")
]
StoreFile = Annotated[
    Path | None,
    typer.Option("--store", metavar="FILE", help="Keeps what was answered: begun again, nothing is asked twice."),
]
Where = tuple[str | None, str | None]
"""URL and model."""

_OPTION = {"judge": "--judge-server", "draft": "--draft-server"}


class Asked:
    """Who answers for each name that a system asks. models: functions and doors; told: what files say of them, without
    secrets; budget: what is spent, None where no server is asked."""

    def __init__(self, planner: Planner, given: list[str]) -> None:
        functions = pairs(given, "--with")
        self.planner = planner
        self.models: dict[str, Any] = {name: load_function(what, "--with") for name, what in functions.items()}
        self.told: dict[str, Any] = dict(functions)
        self.budget: Any = None

    def connect(
        self,
        servers: Mapping[str, Where],
        stack: ExitStack,
        *,
        budget: str | None,
        store: Path,
        besides: tuple[str, ...],
    ) -> None:
        """Open doors to the servers for whoever is asked and is no function.

        Args:
            servers: name -> where; "" = for every name that is not there. stack: closes them.
            store: file of answers. besides: names that others see to.

        Raises:
            StepCreditError: a name that the system asks is neither a function nor has a server.
        """
        card = self.planner.card
        missing = [n for n in (*card.asks, *card.may_ask) if n not in self.models and n not in besides]
        where = {name: _where(servers, name) for name in missing}
        for name in missing:
            if where[name][0] is None and name in card.asks:
                hint = f"{_OPTION.get(name, '--server')} URL, or --with {name}=FILE.py:FUNCTION"
                raise StepCreditError(f"{self.planner.name} asks a {name}", hint=hint)
        there = {name: at for name, at in where.items() if at[0] is not None}
        if not there:
            return
        from stepcredit.llm.budget import Budget, parse
        from stepcredit.llm.client import Client
        from stepcredit.llm.store import Store

        self.budget = Budget() if budget is None else parse(budget)
        size = f" (there are {store.stat().st_size >> 10:,} KB)" if store.exists() else ""
        note(f"answers are kept in {store}: begun again, nothing is asked twice{size}")
        kept = Store(store)
        stack.callback(kept.close)
        clients: dict[Where, Any] = {}
        for name, at in there.items():
            if at not in clients:
                clients[at] = stack.enter_context(Client(str(at[0]), at[1], budget=self.budget, store=kept))
            self.models[name] = clients[at]
            self.told[name] = {"model": at[1], "url": plain_url(str(at[0]))}


def _where(servers: Mapping[str, Where], name: str) -> Where:
    """Its own server, else that for all; a server of its own has a model of its own."""
    url, model = servers.get(name, (None, None))
    everybody = servers.get("", (None, None))
    return (url, model) if url else (everybody[0], model or everybody[1])


def plain_url(url: str) -> str:
    """Without what may be secret: user, password, query."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
