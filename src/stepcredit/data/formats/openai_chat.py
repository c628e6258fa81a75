"""Chats in OpenAI's messages format, and logs of calls of /chat/completions.

A row is one of
- a chat: {"messages": [...], "group": ..., "outcome": ...}: one rollout;
- a message: {"role": ..., "content": ...}: the rows of the file together are one rollout;
- a call: {"request": {"messages": [...]}, "response": {"choices": [...]}}, the halves also under `kwargs` and
  `response` (or `response_obj`), `request_body` and `response_body`, or `input` and `output`, as objects, as JSON text
  or as HTTP with a `body`; or one object with `messages` and `response` (LiteLLM), or `messages` and `choices` (stored
  completions). The answer may be a response, a message or its text; `input` or `prompt` may be the messages. A request
  that begins with all that an earlier call of the file sent and got back goes on from it: one rollout, not several. A
  call that failed and was sent again is a step with a field `failures`; one that was not ends the rollout with a step
  that holds nothing but the error, at `origin`;
- a line of a batch's output ({"custom_id": ..., "response": {"body": ...}}), or a completion, without what was sent:
  one rollout, of a group of its own;
- an item of a run of OpenAI's evals: its group is `datasource_item_id`, its outcome 1 or 0 as its `status` is pass or
  fail;
- messages, or a file of them, as frameworks hand them out: LangChain and LangGraph (`messages_to_dict`, `dumpd`,
  `model_dump`, a state), pydantic-ai (`all_messages_json`), AutoGen (a `TaskResult`; its sources are the agents),
  smolagents (steps of a memory, a `RunResult`), items of the OpenAI Agents SDK (`to_input_list`).

- step: one assistant message, with its tool calls; also those that a log shows only as sent. observation: the text of
  the tool and user messages that follow, up to the next assistant message, one below the other. The messages before
  the first one are context. action: the tool calls, as text with sorted arguments; none for a message without calls.
- group: field `group`, `prompt_id` or `task_id`; a row without them: a short hash of its context, and a note. outcome:
  `outcome`, `reward`, `score`, `correct`, `success`, `passed`, `resolved` or `is_correct`; in a log, of the last row of
  the rollout that has one. What stands inside `metadata` is not guessed: --map outcome=metadata.score. task: field
  `task`, else the first message of a user.
- rollout: field `rollout`; else an id that no other rollout of the group has (`rollout_id`, `run_id`,
  `conversation_id`, `session_id`, `trace_id`, `id`; of a log, one that all its rows and no others bear); else the
  name of a file that holds no other rollout; else the number of the attempt at the group.
- of a log: model, id, time, tokens and cost of each response at `origin`; `logprobs` and vLLM's `token_ids` in the
  step's tokens (`old_logp`, `id`). Several `choices` are several rollouts.
- not known: states (left empty: see `stepcredit state`), rewards of steps.
Other fields of the row are kept. Written against the API as of openai-python 3.57, LiteLLM's StandardLoggingPayload as
documented in 10/2026, vLLM's `return_token_ids`, langchain-core 1.8, pydantic-ai 2.68, autogen-agentchat 0.7.5,
smolagents 1.26 and openai-agents 0.24.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from stepcredit.data.formats import _chats, anthropic_messages, openai_responses
from stepcredit.data.formats._calls import CHAT, EVALUATED, clock, dialect, failure, is_item, logged, whole_answer
from stepcredit.data.formats._chats import Answer, Chat, Exchange, Said
from stepcredit.data.formats._frameworks import framework, held, shaped
from stepcredit.data.formats._traces import a_list, a_map, a_str, named, need_map, origin, whole
from stepcredit.data.records import Origin, Rollout, Tokens
from stepcredit.data.rows import Rows
from stepcredit.errors import DataError

FIELDS = _chats.FIELDS


def fits(first: Mapping[str, Any], path: str) -> bool:
    """A row with `messages` that is no record and carries no labels, a message, or a logged call."""
    return dialect(first) == CHAT


def rollouts(rows: Rows) -> Iterator[Rollout]:
    """One rollout a chat, a file of messages, or a conversation of a log."""
    return named(rows, _chats.made(rows, _read))


def _read(row: dict[str, Any]) -> Chat | Said | Exchange:
    whole_answer(row)
    given = held(row)
    if given is not None:
        return Chat(plain(given), ("messages", "steps"))
    if row.get("object") == EVALUATED:
        return _evaluated(row)
    halves = logged(row)
    if halves is not None:
        return _exchange(row, *halves)
    if "messages" not in row and (isinstance(row.get("role"), str) or framework(row) or is_item(row)):
        return Said([row], plain)
    if not isinstance(row.get("messages"), list):
        raise DataError(
            "the row is neither a chat, a message nor a logged call",
            got=row.get("messages", f"fields {', '.join(map(str, row))}"),
            expected='{"messages": [...]}',
        )
    return Chat(plain(row["messages"]))


def _evaluated(row: Mapping[str, Any]) -> Chat:
    """An item of a run of OpenAI's evals: what was sent and said, and whether it passed."""
    sample = need_map(row.get("sample"), "the sample of an item")
    said = [m for name in ("input", "output") for m in a_list(sample.get(name), name)]
    passed = {"pass": 1.0, "fail": 0.0}.get(str(row.get("status")))
    task = row.get("datasource_item_id")
    return Chat(
        plain(said), ("sample", "status", "object"), {"outcome": passed} | ({} if task is None else {"task_id": task})
    )


def plain(messages: list[Any]) -> list[Any]:
    """Messages in the shape of chat completions, of whatever kind these are."""
    if any(map(is_item, messages)):
        return openai_responses.plain(messages)
    return anthropic_messages.plain(shaped(messages))


def _exchange(row: dict[str, Any], request: Mapping[str, Any], response: Any, used: tuple[str, ...]) -> Exchange:
    sent = request.get("messages") if request else []
    if not isinstance(sent, list):
        raise DataError("the messages of a request must be a list", got=sent, expected='[{"role": ...}, ...]')
    answers: list[Answer] = []
    error = failure(row, response)
    if isinstance(response, str) and not error:
        answers = [Answer([{"role": "assistant", "content": response}], _origin(row, request, {}))]
    elif isinstance(response, Mapping) and isinstance(response.get("role"), str):
        answers = [Answer(plain([{**response, "role": "assistant"}]), _origin(row, request, response))]
    elif isinstance(response, Mapping) and "choices" not in response and isinstance(response.get("messages"), list):
        answers = [Answer(plain(response["messages"]), _origin(row, request, response))]
    elif isinstance(response, Mapping):
        choices = a_list(response.get("choices"), "choices")
        answers = [_answer(need_map(c, "a choice"), row, request, response) for c in choices]
    elif response is not None and not error:
        raise DataError("the response must be an object", got=response, expected='{"choices": [...]}')
    return Exchange(plain(sent), answers, None, error, used)


def _answer(
    choice: Mapping[str, Any], row: Mapping[str, Any], request: Mapping[str, Any], response: Mapping[str, Any]
) -> Answer:
    message = need_map(choice.get("message"), "the message of a choice")
    kept = {k: v for k, v in message.items() if v is not None or k == "content"}
    return Answer([{**kept, "role": "assistant"}], _origin(row, request, response), _tokens(choice))


def _tokens(choice: Mapping[str, Any]) -> Tokens | None:
    content = a_map(choice.get("logprobs")).get("content")
    logps = [a_map(t).get("logprob") for t in content] if isinstance(content, list) else []
    known = logps if logps and all(isinstance(x, float | int) for x in logps) else None
    ids = choice.get("token_ids")
    if not isinstance(ids, list) or not ids or any(whole(i) is None for i in ids):
        ids = None
    if ids is not None and known is not None and len(ids) != len(known):
        raise DataError("tokens and their logprobs differ in number", got=(len(ids), len(known)), expected="equal")
    return Tokens(id=ids, old_logp=known) if ids or known else None


def _origin(row: Mapping[str, Any], request: Mapping[str, Any], response: Mapping[str, Any]) -> Origin | None:
    usage = a_map(response.get("usage"))
    return origin(
        response=a_str(response.get("id")),
        model=a_str(response.get("model")) or a_str(request.get("model")) or a_str(row.get("model")),
        input_tokens=whole(usage.get("prompt_tokens", row.get("prompt_tokens"))),
        output_tokens=whole(usage.get("completion_tokens", row.get("completion_tokens"))),
        **clock(row, response.get("created")),
    )
