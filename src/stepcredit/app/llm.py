"""`stepcredit llm`: models behind an address, and what an address can do."""

import asyncio
import os
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from stepcredit.app.console import note, print_json, say
from stepcredit.app.options import Json
from stepcredit.errors import StepCreditError

app = typer.Typer(
    help="Serve a model to any OpenAI client, or ask a server what it can do.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Host = Annotated[
    str, typer.Option(metavar="ADDRESS", help="Where to listen; 127.0.0.1 keeps other machines out, 0.0.0.0 does not.")
]
Port = Annotated[int, typer.Option(help="0 takes a free one.", min=0, max=65535)]
AlsoNamed = Annotated[
    list[str],
    typer.Option("--also-named", metavar="NAME", help="A host name under which it may be reached too; * for any."),
]
Key = Annotated[
    str | None, typer.Option("--key-env", metavar="VARIABLE", help="Ask clients for the key that this variable holds.")
]
Name = Annotated[str, typer.Option("--name", metavar="NAME", help="What the model is called.")]


@app.command("serve-tabular", short_help="The Game of 24 model whose exact truth is known.")
def serve_tabular(
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Fit it to rollouts of Game of 24, such as game24/gpt4_cot_rollouts.jsonl.gz."
        ),
    ] = None,
    skill: Annotated[float, typer.Option(help="Without --data: how much it prefers what keeps 24 in reach.")] = 2.5,
    seed: Annotated[int, typer.Option(help="Other seeds, other draws.", min=0)] = 0,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    name: Name = "tabular",
    also_named: AlsoNamed = [],  # noqa: B006
    key_env: Key = None,
) -> None:
    """Serve a tabular policy of Game of 24 as a language model: thousands of lines a second, log-probabilities exact.

    It goes on from prompts that hold "Make 24 from 4 5 6 10, each number once." and the lines written so far.

    Example: stepcredit llm serve-tabular --port 8024

    Then, say: curl -s localhost:8024/v1/completions -d '{"prompt": "Make 24 from 4 5 6 10, each number once.",
    "max_tokens": 99, "seed": 1}'
    """
    from stepcredit.envs.game24 import Policy
    from stepcredit.llm.server import over_sampler
    from stepcredit.llm.tabular import Tabular, fitted

    key = _key(key_env)
    model = Tabular(Policy(seed=seed, skill=skill), seed) if data is None else fitted(data, seed=seed)
    note(f"policy: {model.policy}")
    _serve(over_sampler(model.sampler, read=model.read), name, host, port, also_named, key)


@app.command("serve-scripted", short_help="Replies written beforehand.")
def serve_scripted(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON Lines of prompt_contains and reply.")],
    host: Host = "127.0.0.1",
    port: Port = 8000,
    name: Name = "scripted",
    also_named: AlsoNamed = [],  # noqa: B006
    key_env: Key = None,
) -> None:
    """Serve replies from a file: the first line whose text the prompt contains; "" is contained in every prompt.

    A list of replies is given in turn. A prompt that no line fits gets an error.

    Example: stepcredit llm serve-scripted replies.jsonl --port 8025

    where replies.jsonl holds lines like {"prompt_contains": "2 + 2", "reply": "4"}
    """
    from stepcredit.llm.scripted import load
    from stepcredit.llm.server import over_sampler

    key = _key(key_env)
    _serve(over_sampler(load(file).sampler), name, host, port, also_named, key)


@app.command("serve-local", short_help="A transformers model on this machine.")
def serve_local(
    model: Annotated[str, typer.Argument(metavar="DIR", help="A folder that transformers wrote, or an id of its hub.")],
    device: Annotated[str, typer.Option(help="Where the weights go: cpu, cuda.")] = "cpu",
    batch_size: Annotated[int, typer.Option(help="Most texts in one forward pass.", min=1)] = 16,
    top: Annotated[int, typer.Option(help="How many of the likeliest tokens are told at most.", min=0, max=20)] = 5,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="What it is called; else DIR.")] = None,
    also_named: AlsoNamed = [],  # noqa: B006
    key_env: Key = None,
) -> None:
    """Serve a small model without a serving engine: requests that wait go into one batch. For tests and small work.

    Example: stepcredit llm serve-local models/my-checkpoint --port 8026
    """
    from stepcredit.llm.local import load
    from stepcredit.llm.server import over_local

    key = _key(key_env)
    engine = load(model, device=device, batch_size=batch_size, top=top)
    _serve(over_local(engine), name or model, host, port, also_named, key)


@app.command("probe", short_help="What a server can do, tried out.")
def probe(
    url: Annotated[str, typer.Argument(metavar="URL", help="Of the API, like http://127.0.0.1:8000/v1.")],
    model: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which of its models, where it lists several.")
    ] = None,
    prompt: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Ask this: a model that says nothing to it can show nothing.")
    ] = None,
    key_env: Annotated[
        str, typer.Option("--key-env", metavar="VARIABLE", help="The variable that holds its key, if it asks for one.")
    ] = "OPENAI_API_KEY",
    json: Json = False,
) -> None:
    """Ask a server a few small questions, and say what it can do: continue a text, log-probabilities, seeds, n.

    Example: stepcredit llm probe http://127.0.0.1:8000/v1
    """
    from stepcredit.llm.probing import ASKED
    from stepcredit.llm.probing import probe as ask

    found = asyncio.run(ask(url, model, asked=(prompt or ASKED).replace("\\n", "\n"), key_env=key_env))
    if json:
        print_json(msgspec.structs.asdict(found))
    else:
        say(str(found))


def _key(variable: str | None) -> str | None:
    if variable is None:
        return None
    key = os.environ.get(variable)
    if not key:
        raise StepCreditError(f"--key-env {variable}: there is no such variable, or it is empty")
    return key


def _serve(answer: Any, name: str, host: str, port: int, also_named: list[str], key: str | None) -> None:
    from stepcredit.llm.server import serve

    def started(url: str) -> None:
        say(url)
        note(f"model: {name}; Ctrl-C ends it")

    hosts = [*also_named, *([] if host in ("0.0.0.0", "::") else [host])]
    serve(answer, [name], host=host, port=port, started=started, hosts=hosts, key=key)
