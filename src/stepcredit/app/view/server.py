"""The server of `stepcredit view`: it answers this machine alone, and pages of its own."""

import asyncio
import hmac
import ipaddress
import socket
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import msgspec

from stepcredit.app.console import silent
from stepcredit.app.view import page
from stepcredit.app.view.answers import PAGE
from stepcredit.app.view.looking import Looking
from stepcredit.app.view.stopping import Stop, Stopped
from stepcredit.errors import StepCreditError
from stepcredit.plugins import extra

LOOPBACK = ("127.0.0.1", "localhost", "::1")
MOST_BYTES = 1 << 18
_NEED = "the viewer"
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
    "Server": "stepcredit",
}
_RUNS_INSIDE = 2000
_NUMBER = "[0-9]{1,15}"
_LOOK = 0.1
"""Seconds between two looks at whether a client is still there."""


def application(looking: Looking, *, hosts: Sequence[str] = ()) -> Any:
    """An aiohttp application.

    No part of a request names a file: runs, tasks and trees are asked for by number or by a name of the index.

    Args:
        hosts: names besides those of this machine under which it may be reached; "*": any address in figures, and the
            machine's own name (a foreign page can bend a name of its own to this machine, not an address).

    Raises:
        MissingExtra: aiohttp is not installed.
    """
    web = extra("aiohttp.web", _NEED, name="view")
    door = _Door(web, looking, frozenset((*LOOPBACK, *hosts)))

    @web.middleware  # type: ignore[untyped-decorator]
    async def guard(http: Any, handler: Any) -> Any:
        return await door.guard(http, handler)

    app = web.Application(client_max_size=MOST_BYTES, middlewares=[guard])
    for path, handler in (
        ("/", door.page),
        ("/api/state", door.plain(looking.state)),
        ("/api/news", door.plain(looking.news)),
        ("/api/runs", door.plain(looking.runs)),
        (f"/api/run/{{id:{_NUMBER}}}", door.run),
        (f"/api/run/{{id:{_NUMBER}}}/steps", door.steps),
        (f"/api/run/{{id:{_NUMBER}}}/text/{{step:-1|{_NUMBER}}}/{{field}}", door.text),
        (f"/api/group/{{gid:{_NUMBER}}}", door.group),
        ("/api/trees", door.plain(looking.trees)),
        ("/api/tree/{id}", door.tree),
        ("/api/dynamics", door.plain(looking.dynamics)),
        ("/api/bench", door.plain(looking.boards)),
        ("/api/search", door.search),
        ("/api/marks", door.marks),
        ("/api/agreement", door.agreement),
    ):
        app.router.add_get(path, handler)
    app.router.add_post("/api/marks", door.mark)
    app.router.add_post("/api/again", door.plain(looking.again))
    return app


class _Door:
    """The handlers."""

    def __init__(self, web: Any, looking: Looking, hosts: frozenset[str]) -> None:
        self._web, self._look, self._hosts = web, looking, hosts

    async def guard(self, http: Any, handler: Any) -> Any:
        """Who may come in, every error as JSON, and what a browser must not do with any answer."""
        try:
            self._admit(http)
            response = await handler(http)
        except self._web.HTTPException as error:
            response = self._error(error.status, error.reason)
        except StepCreditError as error:
            response = self._error(400 if self._look.answers is not None else 503, str(error))
        except Exception as error:
            response = self._error(500, f"{type(error).__name__}: {error}")
        response.headers.update(_HEADERS)
        response.headers.setdefault("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
        return response

    def _admit(self, http: Any) -> None:
        # A sandboxed page of anybody's, and one of a file, have the origin "null".
        told = http.headers.get("Origin", "")
        for name in filter(None, (http.host, told.partition("://")[2] or told)):
            if not self._known(_host(name)):
                raise self._web.HTTPForbidden(reason="this server is not for that name; see --host")
        if http.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin") and http.path != "/":
            raise self._web.HTTPForbidden(reason="other sites may not ask this server")
        if http.method == "POST":
            given = http.headers.get("X-Stepcredit-Token", "")
            if not hmac.compare_digest(given.encode("utf-8", "replace"), self._look.token.encode()):
                raise self._web.HTTPForbidden(reason="the page is of an earlier start: load it anew")
            if http.content_type != "application/json":
                raise self._web.HTTPUnsupportedMediaType(reason="send JSON")

    def _known(self, host: str) -> bool:
        if host in self._hosts:
            return True
        return "*" in self._hosts and (_address(host) or host == socket.gethostname().lower())

    def plain(self, make: Callable[[], Any]) -> Callable[[Any], Any]:
        """A handler of something that needs no more to be asked for."""

        async def handler(http: Any) -> Any:
            return await self._answer(make)

        return handler

    async def page(self, http: Any) -> Any:
        """The page, with the state in it."""

        def make() -> str:
            state = self._look.state()
            parts = {"/api/state": page.as_json(state)}
            if state["reading"]["done"] and 0 < state["counts"]["runs"] <= _RUNS_INSIDE:
                parts["/api/runs"] = page.as_json(self._look.runs())  # the first paint needs no round trip
            return page.page(str(state["title"]), parts, mode="server")

        text = await _aside(make)
        headers = {"Content-Security-Policy": page.policy()}
        return self._web.Response(
            body=text.encode("utf-8", "replace"), content_type="text/html", charset="utf-8", headers=headers
        )

    async def run(self, http: Any) -> Any:
        """One run."""
        return await self._answer(partial(self._look.run, int(http.match_info["id"])))

    async def steps(self, http: Any) -> Any:
        """A page of steps."""
        id, start = int(http.match_info["id"]), self._whole(http, "from", 0)
        stop = self._whole(http, "to", start + PAGE)
        return await self._answer(lambda: self._look.there().page(id, start, stop))

    async def text(self, http: Any) -> Any:
        """A whole text."""
        id, step, field = int(http.match_info["id"]), int(http.match_info["step"]), http.match_info["field"]

        def make() -> Any:
            text = self._look.there().text(id, step, field)
            return None if text is None else {"text": text}

        return await self._answer(make)

    async def group(self, http: Any) -> Any:
        """The graph of a task."""
        return await self._answer(partial(self._look.group, int(http.match_info["gid"])))

    async def tree(self, http: Any) -> Any:
        """One tree."""
        return await self._answer(partial(self._look.tree, http.match_info["id"]))

    async def search(self, http: Any) -> Any:
        """Where words occur."""
        words, limit = http.query.get("q", "")[:1000], min(self._whole(http, "limit", 200), 1000)
        stop = Stop()
        work = asyncio.ensure_future(self._answer(lambda: self._look.there().find(words, limit, stop)))
        while not (await asyncio.wait({work}, timeout=_LOOK))[0]:
            if http.transport is None or http.transport.is_closing():  # the page has gone, or asks for other words
                stop.set()
                break
        try:
            return await work
        except Stopped:
            return self._error(499, "nobody waits for this")

    async def marks(self, http: Any) -> Any:
        """All marks on runs that are here."""

        def make() -> Any:
            marked = self._look.placed()
            return {"marks": [] if marked is None else marked.all()}

        return await self._answer(make)

    async def agreement(self, http: Any) -> Any:
        """How far raters agree."""
        return await self._answer(self._look.agreement)

    async def mark(self, http: Any) -> Any:
        """Keep a mark."""
        try:
            given = msgspec.json.decode(await http.read(), type=dict[str, Any])
        except (ValueError, RecursionError):
            raise self._web.HTTPBadRequest(reason="the body is no JSON object") from None
        return await self._answer(partial(self._look.mark, given))

    def _whole(self, http: Any, name: str, otherwise: int) -> int:
        given = http.query.get(name)
        if given is None:
            return otherwise
        if not (given.isascii() and given.isdigit() and len(given) < 16):
            raise self._web.HTTPBadRequest(reason=f"{name} must be a whole number")
        return int(given)

    async def _answer(self, make: Callable[[], Any]) -> Any:
        """What `make` makes, in a thread of its own, as JSON; nothing is 404."""

        def body() -> bytes | None:
            value = make()
            return None if value is None else page.as_bytes(value)

        found = await _aside(body)
        if found is None:
            return self._error(404, "there is no such thing here")
        return self._web.Response(body=found, content_type="application/json", charset="utf-8")

    def _error(self, status: int, words: str) -> Any:
        return self._web.Response(body=page.as_bytes({"error": words}), status=status, content_type="application/json")


async def listen(app: Any, host: str, port: int) -> tuple[str, int, Any]:
    """(host and port it listens on, what ends it). A port that is taken is another's: then a free one.

    Raises:
        StepCreditError: it cannot listen there at all.
    """
    web = extra("aiohttp.web", _NEED, name="view")
    runner = web.AppRunner(app, access_log=None, logger=silent(), shutdown_timeout=1.0)
    await runner.setup()
    problem: OSError | None = None
    for one in dict.fromkeys((port, 0)):
        try:
            await web.TCPSite(runner, host, one).start()
        except OverflowError:  # no number of a port
            await runner.cleanup()
            raise StepCreditError(f"there is no port {one}", hint="--port 0 takes a free one") from None
        except OSError as error:
            problem = problem or error
            continue
        address = runner.addresses[0]
        return address[0], address[1], runner.cleanup
    await runner.cleanup()
    raise StepCreditError(f"cannot listen on {host}:{port}: {problem and (problem.strerror or problem)}")


def url(host: str, port: int) -> str:
    """The address of the page, as this machine knows it."""
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://{f'[{name}]' if ':' in name else name}:{port}/"


def _host(name: str) -> str:
    """A name without its port."""
    host, _, port = name.rpartition(":")
    return (host if port.isdigit() and host else name).strip("[]").lower()


def _address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


async def _aside(work: Callable[[], Any]) -> Any:
    return await asyncio.get_running_loop().run_in_executor(None, work)
