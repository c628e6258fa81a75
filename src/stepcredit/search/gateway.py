"""A model server whose answers are searched: an application changes its base URL, and nothing else.

with running(over_search("beam", {"sampler": client.sampler, "scorer": prm}), models=["searched"]) as url:
    openai.OpenAI(base_url=url, api_key="none").chat.completions.create(model="searched", messages=[...])
"""

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from stepcredit.errors import StepCreditError
from stepcredit.llm.drive import Models
from stepcredit.llm.server import Answer, Reply, WireError, WireRequest
from stepcredit.protocols import Sample
from stepcredit.search.engine import Task, Writing
from stepcredit.search.run import Found, Policy, asolve


def over_search(
    policy: str | Policy,
    models: Models,
    *,
    writing: Writing = Writing(),  # noqa: B008
    limits: Mapping[str, float] | None = None,
    seed: int = 0,
    whole: bool = True,
    heard: Any = None,
    **options: Any,
) -> Answer:
    """What `llm.server` needs to answer by search: one search per choice asked for.

    The temperature and length of the request are those of the samples. The usage told is what the search spent, not the
    length of its answer. A request with a seed gets the same answer each time, one without a new one.

    Args:
        policy, models, limits, options: as of `search.solve`.
        whole: the reply is the whole solution; else its answer alone.
        heard: called with each Found, for a log or a trace.
    """
    fresh = itertools.count(seed)

    async def answer(asked: WireRequest) -> Reply:
        if asked.echo or asked.logprobs is not None:
            raise WireError(400, "a searched answer has neither log-probabilities nor an echo")
        prompts = [(p, ()) for p in asked.prompts] if asked.kind == "completions" else [_chat(asked)]
        tasks = [Task(p, f"{i}/{j}", history=h) for i, (p, h) in enumerate(prompts) for j in range(asked.n)]
        if asked.body.get("tools"):
            raise WireError(400, "a searched answer calls no tools", param="tools")
        told = any(asked.body.get(name) is not None for name in ("max_tokens", "max_completion_tokens"))
        longest = asked.max_tokens if told else writing.longest
        if longest < writing.max_tokens:
            why = f"max_tokens {longest} is less than one step may have, {writing.max_tokens} (--step-tokens)"
            raise WireError(400, why, param="max_tokens")
        manner = replace(writing, temperature=asked.temperature, longest=longest)
        drawn = next(fresh) if asked.seed is None else asked.seed % 2**63
        found: dict[int, Found] = {}
        try:
            async for place, one in asolve(tasks, policy, models, writing=manner, limits=limits, seed=drawn, **options):
                found[place] = one
                if heard is not None:
                    heard(one)
        except StepCreditError as error:  # of the models, not of the request
            raise WireError(502, f"the search ended: {error.message}") from None
        samples = [_sample(found[i], whole, asked.stop) for i in range(len(tasks))]
        return [samples[i : i + asked.n] for i in range(0, len(samples), asked.n)]

    return answer


def _chat(asked: WireRequest) -> tuple[str, tuple[tuple[str, str], ...]]:
    """The last message as the prompt, the others before it."""
    if asked.goes_on:
        raise WireError(400, "continue_final_message: a search begins its answer itself", param="messages")
    texts = [(str(m["role"]), _text(m)) for m in asked.messages]
    prompt = texts[-1][1]
    return prompt if prompt.endswith("\n") else prompt + "\n", tuple(texts[:-1])


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    if any(not isinstance(p, dict) or p.get("type") != "text" for p in parts):
        raise WireError(400, "a search reads texts alone", param="messages")
    return "".join(str(p.get("text", "")) for p in parts)


def _sample(found: Found, whole: bool, stop: tuple[str, ...]) -> Sample:
    if found.text is None:
        why = "; ".join(found.notes) or "no solution was complete"
        raise WireError(502, f"the search found nothing: {why}")
    text = found.text if whole else found.answer or ""
    at = min((i for s in stop if s and (i := text.find(s)) >= 0), default=len(text))
    return Sample(text[:at], finished=True, ended=True, read=found.ledger.prefill, written=found.ledger.tokens)
