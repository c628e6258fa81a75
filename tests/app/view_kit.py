"""What the tests of the inspector share: rollouts that hold everything, an index of them, a server asked over HTTP."""

import asyncio
import json
import threading
import urllib.error
import urllib.request
from contextlib import contextmanager
from typing import Any, NamedTuple

import msgspec

from conftest import skip_or_fail
from stepcredit.data.records import Blame, Message, Origin, Rollout, Step, ToolCall, rollout_to_dict

HOSTILE = "{{script}}</script><script>document.title='owned'</script><img src=x onerror=alert(1)>\u2028&amp;\x1b[31m"


def needed():
    """The packages of the extra `view`."""
    for name in ("aiohttp", "duckdb"):
        try:
            __import__(name)
        except ImportError:
            skip_or_fail("view", f"{name} is not installed")


def full(group, name, outcome, *actions, text="thinks"):
    """A rollout with every field, that takes these actions in states of the same names."""
    steps = [
        Step(
            agent="coder" if i % 2 else "planner",
            text=f"{text} about {action} {i}",
            reasoning=f"because of {i}",
            state=f"after {actions[i - 1] if i else 'nothing'}",
            action=action,
            tool_calls=[ToolCall(name="act", arguments={"what": action, "i": i}, id=f"c{i}")],
            observation=f"saw {action}",
            replies=[Message(role="tool", name="act", call=f"c{i}")],
            reward=float(i == len(actions) - 1) * (outcome or 0.0),
            evidence={"value": 0.5, "votes": [1.0, None]},
            origin=Origin(model="m", start=100.0 + i, seconds=2.0, input_tokens=10, output_tokens=5, cost=0.25),
            extra={"note": {"deep": [1, None]}},
        )
        for i, action in enumerate(actions)
    ]
    return Rollout(
        group=group,
        rollout=name,
        outcome=outcome,
        task=f"Do {group}.",
        rewards={"format": 1.0},
        evidence={"prior": 0.5},
        context=[Message(role="system", content="You act.")],
        blame=[] if outcome or not actions else [Blame(by="people", step=0, reason="a slip", error="wrong_turn")],
        steps=steps,
        extra={"run": "x"},
    )


def some():
    """Two tasks: where rollouts part, and one that nobody solved."""
    return [
        full("p", "good", 1.0, "look", "take", "win"),
        full("p", "bad", 0.0, "look", "drop", "lose"),
        full("p", 7, 0.0, "look", "take", "lose"),
        full("q", "x", 0.0, "wait"),
        full("q", "empty", None),
    ]


def save(path, rollouts):
    """Our records as JSON lines."""
    path.write_bytes(b"".join(msgspec.json.encode(rollout_to_dict(r)) + b"\n" for r in rollouts))
    return path


class Answer(NamedTuple):
    status: int
    body: bytes
    headers: Any

    def json(self):
        return json.loads(self.body)


class Asking:
    """Asks a server."""

    def __init__(self, host, port):
        self.url, self.port = f"http://{host}:{port}", port

    def __call__(self, path, data=None, **headers):
        body = None if data is None else data if isinstance(data, bytes) else json.dumps(data).encode()
        named = {k.replace("_", "-"): v for k, v in headers.items()}
        request = urllib.request.Request(self.url + path, body, named)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return Answer(answer.status, answer.read(), answer.headers)
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.read(), error.headers)

    def get(self, path):
        """The JSON of an answer that has to be there."""
        answer = self(path)
        assert answer.status == 200, answer.body
        return answer.json()


@contextmanager
def serving(looking, **options):
    """A server of these answers as long as the block lasts."""
    from stepcredit.app.view import server

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def wait(what):
        return asyncio.run_coroutine_threadsafe(what, loop).result()

    host, port, stop = wait(server.listen(server.application(looking, **options), "127.0.0.1", 0))
    try:
        yield Asking(host, port)
    finally:
        wait(stop())
        wait(loop.shutdown_default_executor())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
