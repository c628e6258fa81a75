"""One call of a server, brought to its end: a slot, a place in the budget, a line in the journal, tries, waits."""

import asyncio
import random
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import count
from math import isfinite
from typing import Any

import msgspec

from stepcredit.errors import StepCreditError
from stepcredit.llm.budget import Budget, Use
from stepcredit.llm.store import Entry, Event, Store
from stepcredit.llm.wire import PATHS, BadReply, Call, Reply, models, pack, read, unpack
from stepcredit.plugins import extra

NEED = "a model server"
GONE = 3  # requests in a row that hear nothing in all their tries: then the server is no more
LONGEST_WAIT = 60.0
_TRANSIENT = (408, 409, 425, 429)


@dataclass(frozen=True)
class Line:
    """How a server is spoken to.

    Args:
        url: all up to "/v1". timeout: seconds for a whole try. idle: seconds without a byte once a reply has begun.
            retries: tries after the first. backoff: the first wait is up to so long, each further one up to twice as
            long. most: bytes of a reply.
    """

    url: str
    concurrency: int = 64
    timeout: float = 60.0
    idle: float = 15.0
    retries: int = 4
    backoff: float = 0.5
    most: int = 64 << 20


@dataclass
class Outcome:
    """What became of a try. again: another may do better, after `wait` seconds if the server said so. silent: nothing
    came back. status: of HTTP, 0 = none. event, use: for journal and budget."""

    use: Use
    event: Event = "failed"
    reply: Reply | None = None
    why: str = ""
    again: bool = False
    wait: float | None = None
    silent: bool = False
    status: int = 0


@dataclass
class Flight:
    """A call under way, and how many wait for it. sent: it is paid for, so it is brought home even if nobody waits."""

    task: "asyncio.Task[Outcome] | None" = None
    waiters: int = 0
    sent: bool = False


@dataclass
class Sender:
    """Sends the calls of one client; lives in one event loop.

    Args:
        secret: the key, or None. It goes into one header, and is taken out of whatever the server says.
    """

    line: Line
    budget: Budget
    store: Store
    secret: Callable[[], str | None] = field(repr=False)

    def __post_init__(self) -> None:
        self._http = extra("aiohttp", NEED, name="http")
        key = self.secret()
        self._session = self._http.ClientSession(
            headers={"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {}),
            timeout=self._http.ClientTimeout(total=self.line.timeout, sock_connect=min(10.0, self.line.timeout)),
            # Shorter than servers keep theirs: a request on a connection that is being closed has an unknown fate.
            connector=self._http.TCPConnector(limit=0, keepalive_timeout=4.0),
        )
        self._slots = asyncio.Semaphore(self.line.concurrency)
        self._flights: dict[bytes, Flight] = {}
        self._attempts = count(1)
        self._silent, self._heard = 0, False
        self._not_before = 0.0
        self._lines: list[Entry] = []
        self._written: asyncio.Future[None] | None = None

    async def send(self, call: Call) -> Outcome:
        """The last outcome of a call; calls alike that are under way at once are sent once.

        Raises:
            BudgetSpent: it does not fit. StepCreditError: the server is no more, or the store cannot be written.
        """
        flight = self._flights.get(call.key)
        if flight is None:
            flight = self._flights[call.key] = Flight()
            flight.task = asyncio.create_task(self._tries(call, flight))
            flight.task.add_done_callback(lambda task: self._landed(call.key, task))
        task = flight.task
        if task is None:
            raise RuntimeError("a flight without a task")
        flight.waiters += 1
        try:
            return await asyncio.shield(task)
        finally:
            flight.waiters -= 1
            if not flight.waiters and not flight.sent:
                task.cancel()

    async def names(self) -> list[str]:
        """The models that the server lists; none if it does not answer."""
        found = await self.listed()
        return [] if isinstance(found, Outcome) else found

    async def listed(self) -> list[str] | Outcome:
        """The models that the server lists, or why it does not."""
        try:
            async with self._session.get(self.line.url + "/models", allow_redirects=False) as response:
                data = await self._body(response)
                return models(data) if response.status == 200 else self._refused(response.status, data, None)
        except (self._http.ClientError, TimeoutError) as error:
            return Outcome(Use(), why=self._clean(str(error) or f"no reply within {self.line.timeout:g} s"))
        except BadReply as error:
            return Outcome(Use(), why=self._clean(error.reason))

    async def close(self) -> None:
        """Give up what is under way, at its worst case."""
        tasks = [flight.task for flight in self._flights.values() if flight.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._session.close()

    def _landed(self, key: bytes, task: "asyncio.Task[Outcome]") -> None:
        self._flights.pop(key, None)
        if not task.cancelled():
            task.exception()  # looked at, though nobody may wait for it

    async def _tries(self, call: Call, flight: Flight) -> Outcome:
        kept = self.store.get([call.key]).get(call.key)
        if kept is not None:
            return Outcome(Use(), "answered", unpack(kept), status=200)
        for turn in range(self.line.retries + 1):
            outcome = await self._try(call, flight)
            if not outcome.silent:
                self._silent, self._heard = 0, True
            if not outcome.again or not flight.waiters or turn == self.line.retries:
                break
            self._check_there(outcome)
            await asyncio.sleep(self._pause(turn, outcome.wait))
        if outcome.silent:
            self._silent += 1
            self._check_there(outcome)
        if outcome.again:
            outcome.why += f" (given up after {turn + 1} tries)"
        return outcome

    def _check_there(self, outcome: Outcome) -> None:
        """Go on, or stop the run rather than call everything failed?"""
        never = not self._heard and outcome.event == "released"
        if self._silent >= (1 if never else GONE):
            raise StepCreditError(
                outcome.why if never else f"{outcome.why}; {self._silent} requests in a row heard nothing",
                hint="is the server running, and the URL right? What was answered before is in the store",
            )

    def _pause(self, turn: int, wait: float | None) -> float:
        """Full jitter, and never earlier than the server asks for."""
        own = random.uniform(0, min(LONGEST_WAIT, self.line.backoff * 2**turn))
        return own if wait is None else min(LONGEST_WAIT, wait) + own * 0.1

    async def _try(self, call: Call, flight: Flight) -> Outcome:
        async with self._slots:
            await self._turn()
            held = await self.budget.areserve(call.worst)
            attempt, sent = next(self._attempts), False
            entry = Entry(call.key, attempt, "released", why="never sent")
            try:
                self.store.check_room()
                # Shielded, as others wait for the same commit.
                await asyncio.shield(self._note(Entry(call.key, attempt, "sent", call.worst)))
                sent = flight.sent = True
                entry = Entry(call.key, attempt, "failed", call.worst, None, "given up while it was under way")
                outcome = await self._post(call)
                reply = None if outcome.reply is None else pack(outcome.reply)
                entry = Entry(call.key, attempt, outcome.event, outcome.use, reply, outcome.why)
            except BaseException as error:
                if sent or isinstance(error, asyncio.CancelledError):
                    self.store.write([entry])
                raise
            finally:
                flight.sent = False
                held.settle(entry.use)
            await asyncio.shield(self._note(entry))
            return outcome

    async def _turn(self) -> None:
        """Where a server asked one to wait, no other request is sent meanwhile."""
        if (wait := self._not_before - asyncio.get_running_loop().time()) > 0:
            await asyncio.sleep(wait)

    def _note(self, entry: Entry) -> "asyncio.Future[None]":
        """Into the journal, in one commit with all else of this turn of the loop."""
        if self._written is None:
            loop = asyncio.get_running_loop()
            self._written = loop.create_future()
            loop.call_soon(self._commit, self._written)
        self._lines.append(entry)
        return self._written

    def _commit(self, written: "asyncio.Future[None]") -> None:
        lines, self._lines, self._written = self._lines, [], None
        try:
            self.store.write(lines)
        except Exception as error:
            written.set_exception(error)
            written.exception()  # looked at, though whoever waited may be gone
        else:
            written.set_result(None)

    async def _post(self, call: Call) -> Outcome:
        http, url = self._http, self.line.url
        url = url.removesuffix("/v1") if call.kind == "pooling" else url
        unknown = Outcome(call.worst, again=True, silent=True)
        try:
            async with self._session.post(url + PATHS[call.kind], data=call.body, allow_redirects=False) as response:
                unknown.silent = False
                data = await self._body(response)
                if response.status == 200:
                    return self._read(call, data)
                return self._refused(response.status, data, response.headers.get("Retry-After"))
        except (http.ClientConnectorError, http.ConnectionTimeoutError) as error:
            again = not isinstance(error, http.ClientConnectorCertificateError | ssl.SSLError)
            why = f"no server at {url}: {self._clean(str(error))}"
            return Outcome(Use(), "released", why=why, again=again, silent=True)
        except TimeoutError:
            unknown.why = f"no whole reply from {url} within {self.line.timeout:g} s"
        except BadReply as error:
            unknown.why = error.reason
        except (http.ClientError, OSError) as error:
            unknown.why = f"the connection to {url} broke: {self._clean(str(error) or type(error).__name__)}"
        return unknown

    async def _body(self, response: Any) -> bytes:
        """All of a reply, as long as it keeps coming and is not too long."""
        parts: list[bytes] = []
        size = 0
        while True:
            try:
                async with asyncio.timeout(self.line.idle) as idle:
                    part = await response.content.readany()
            except TimeoutError:
                if not idle.expired():
                    raise
                raise BadReply(f"a reply stopped coming for {self.line.idle:g} s") from None
            if not part:
                return b"".join(parts)
            parts.append(part)
            size += len(part)
            if size > self.line.most:
                response.close()
                raise BadReply(f"a reply of more than {self.line.most:,} bytes")

    def _read(self, call: Call, data: bytes) -> Outcome:
        try:
            reply = read(call, data)
        except BadReply as error:
            return Outcome(call.worst, why=self._clean(error.reason), again=error.again, status=200)
        return Outcome(reply.use(call.worst), "answered", reply, status=200)

    def _refused(self, status: int, data: bytes, wait: str | None) -> Outcome:
        again = status in _TRANSIENT or (status >= 500 and status != 501)
        why = f"the server answered {status}: {said(data, self.secret())}"
        seconds = retry_after(wait) if again else None
        if seconds is not None:
            until = asyncio.get_running_loop().time() + min(LONGEST_WAIT, seconds)
            self._not_before = max(self._not_before, until)
        return Outcome(Use(1), why=why, again=again, wait=seconds, status=status)

    def _clean(self, text: str) -> str:
        """Servers repeat a wrong key in their answer."""
        key = self.secret()
        return text.replace(key, "***") if key else text


def said(data: bytes, secret: str | None = None) -> str:
    """What a server says is wrong, in one line of at most 300 characters; without the secret, of which a cut would
    leave the beginning, and without what drives a terminal."""
    try:
        body = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        body = data.decode("utf-8", "replace")
    for name in ("error", "message", "detail"):
        if isinstance(body, dict) and name in body:
            body = body[name]
    text = str(body).replace(secret, "***") if secret else str(body)
    return "".join(c if c.isprintable() else "\ufffd" for c in " ".join(text.split())[:300])


def retry_after(header: str | None, now: datetime | None = None) -> float | None:
    """Seconds that a server asks to wait, as a number or as a date; None if it does not say."""
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            when = parsedate_to_datetime(header)
        except ValueError:
            return None
        when = when if when.tzinfo else when.replace(tzinfo=UTC)
        seconds = (when - (now or datetime.now(UTC))).total_seconds()
    return max(seconds, 0.0) if isfinite(seconds) else None
