"""Runs of agents of several frameworks, as these hand their messages out: python frameworks_run.py WHICH FOLDER

langchain (LangChain 1.5, LangGraph 1.2), smolagents (1.26), autogen (autogen-agentchat 0.7.5): with scripted models of
their own. pydantic_ai (2.68), openai_agents (0.24): MODEL_URL is that of model_server.py.
"""

import asyncio
import json
import os
import re
import sys
from pathlib import Path

OUT = Path(sys.argv[2])
QUESTION = "What is the weather in Lyon and in Oslo?"
ANSWER = "Lyon: 12 C and rain. Oslo: 5 C."
CITIES = {"Lyon": "12 C, rain"}


def weather(city: str) -> str:
    """Weather of a city.

    Args:
        city: The city.
    """
    if city not in CITIES:
        raise LookupError(f"no station in {city}")
    return CITIES[city]


def save(name, told, rows=False):
    """Without ports, as these differ from run to run."""
    text = (
        "".join(json.dumps(row, default=str) + "\n" for row in told) if rows else json.dumps(told, default=str) + "\n"
    )
    OUT.joinpath(name).write_text(re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1", text), encoding="utf-8")


def langchain():
    from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
    from langchain_core.load import dumpd
    from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, messages_to_dict
    from langchain_core.tools import tool
    from langgraph.graph import START, MessagesState, StateGraph
    from langgraph.prebuilt import ToolNode, tools_condition

    def asks(number, city, text, **more):
        return AIMessage(text, tool_calls=[{"name": "weather", "args": {"city": city}, "id": f"call_{number}"}], **more)

    usage = {"input_tokens": 22, "output_tokens": 7, "total_tokens": 29}
    told = {"model_name": "scripted-1", "finish_reason": "tool_calls"}
    words = [
        asks(0, "Lyon", "Let me see.", usage_metadata=usage, response_metadata=told),
        asks(1, "Oslo", [{"type": "reasoning", "reasoning": "Oslo too."}]),
        AIMessage([{"type": "text", "text": ANSWER}]),
    ]
    model = GenericFakeChatModel(messages=iter(words))
    graph = StateGraph(MessagesState)
    graph.add_node("reporter", lambda state: {"messages": [model.invoke(state["messages"])]})
    graph.add_node("tools", ToolNode([tool(weather)], handle_tool_errors=True))
    graph.add_edge(START, "reporter")
    graph.add_conditional_edges("reporter", tools_condition)
    graph.add_edge("tools", "reporter")
    state = graph.compile().invoke({"messages": [SystemMessage("Use the tool."), HumanMessage(QUESTION)]})
    messages = state["messages"]
    save("openai_chat_langchain.json", messages_to_dict(messages))
    save("openai_chat_langgraph_state.json", dumpd(state))
    save("openai_chat_langchain_dump.jsonl", [{"messages": [m.model_dump() for m in messages]}], rows=True)


def smolagents():
    from smolagents import ChatMessage, CodeAgent, Model, ToolCallingAgent, tool
    from smolagents.models import ChatMessageToolCall, ChatMessageToolCallFunction, MessageRole, TokenUsage
    from smolagents.utils import make_json_serializable

    class Scripted(Model):
        def __init__(self, words):
            super().__init__(model_id="scripted-1")
            self.words = list(words)

        def generate(self, messages, **settings):
            text, *asked = self.words.pop(0)
            calls = [
                ChatMessageToolCall(id=i, type="function", function=ChatMessageToolCallFunction(name=n, arguments=a))
                for i, n, a in asked
            ]
            usage = TokenUsage(22, 7)
            return ChatMessage(MessageRole.ASSISTANT, text, tool_calls=calls or None, token_usage=usage)

    words = [
        ("Look.", ("call_0", "weather", {"city": "Lyon"})),
        (None, ("call_1", "weather", {"city": "Oslo"})),
        (None, ("call_2", "final_answer", {"answer": ANSWER})),
    ]
    agent = ToolCallingAgent(tools=[tool(weather)], model=Scripted(words), verbosity_level=0)
    agent.run(QUESTION)
    save("openai_chat_smolagents.json", make_json_serializable(agent.memory.get_succinct_steps()))
    said = make_json_serializable([m.dict() for m in agent.write_memory_to_messages()[1:]])
    save("openai_chat_smolagents_messages.json", said)
    words = [(f"<code>\nprint(weather(city={c!r}))\n</code>",) for c in ("Lyon", "Oslo")]
    words.append((f"<code>\nfinal_answer({ANSWER!r})\n</code>",))
    coder = CodeAgent(tools=[tool(weather)], model=Scripted(words), verbosity_level=0)
    coder.run(QUESTION)
    save("openai_chat_smolagents_code.json", make_json_serializable(coder.memory.get_succinct_steps()))


def autogen():
    from autogen_agentchat.agents import AssistantAgent
    from autogen_agentchat.teams import RoundRobinGroupChat
    from autogen_core import FunctionCall
    from autogen_core.models import CreateResult, ModelInfo, RequestUsage
    from autogen_ext.models.replay import ReplayChatCompletionClient

    info = ModelInfo(vision=False, function_calling=True, json_output=False, family="unknown", structured_output=False)

    def asks(number, city):
        call = FunctionCall(id=f"call_{number}", name="weather", arguments=json.dumps({"city": city}))
        usage = RequestUsage(22, 7)
        return CreateResult(
            finish_reason="function_calls", content=[call], usage=usage, cached=False, thought="I must look."
        )

    words = [asks(0, "Lyon"), asks(1, "Oslo"), ANSWER]
    agents = [
        AssistantAgent(
            "reporter", ReplayChatCompletionClient(words, model_info=info), tools=[weather], max_tool_iterations=5
        ),
        AssistantAgent("adviser", ReplayChatCompletionClient(["Take an umbrella."], model_info=info)),
    ]
    result = asyncio.run(RoundRobinGroupChat(agents, max_turns=2).run(task=QUESTION))
    save("openai_chat_autogen.json", result.model_dump(mode="json"))


def pydantic_ai():
    from pydantic_ai import Agent, ModelRetry
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    provider = OpenAIProvider(base_url=os.environ["MODEL_URL"], api_key="none")
    agent = Agent(OpenAIChatModel("scripted-1", provider=provider), system_prompt="Use the tool.", retries=3)

    @agent.tool_plain(name="weather")
    def look(city: str) -> str:
        try:
            return weather(city)
        except LookupError as error:
            raise ModelRetry(str(error)) from error

    save("openai_chat_pydantic_ai.json", json.loads(agent.run_sync(QUESTION).all_messages_json()))


def openai_agents():
    import httpx2
    from agents import (
        Agent,
        OpenAIChatCompletionsModel,
        OpenAIResponsesModel,
        Runner,
        function_tool,
        set_trace_processors,
        trace,
    )
    from agents.tracing import TracingProcessor
    from openai import AsyncOpenAI

    rows = []

    class Keep(TracingProcessor):
        def on_trace_end(self, trace):
            rows.append(trace.export())

        def on_span_end(self, span):
            rows.append(span.export())

        def on_trace_start(self, trace):
            pass

        on_span_start = on_trace_start
        shutdown = force_flush = lambda self: None

    set_trace_processors([Keep()])
    client = AsyncOpenAI(base_url=os.environ["MODEL_URL"], api_key="none")
    model = OpenAIChatCompletionsModel(model="scripted-1", openai_client=client)
    reporter = Agent(name="reporter", instructions="Use the tool.", tools=[function_tool(weather)], model=model)
    adviser = Agent(name="adviser", model=model)

    async def run():
        with trace("weather report", group_id="chat-17", metadata={"task_id": "weather-2"}):
            told = await Runner.run(reporter, QUESTION)
            await Runner.run(adviser, f"What to take along? {told.final_output}")
        return told

    told = asyncio.run(run())
    save("openai_agents.jsonl", rows, rows=True)
    save("openai_chat_openai_agents_items.json", told.to_input_list())
    rows.clear()
    text = {"type": "output_text", "text": ANSWER, "annotations": []}
    message = {"type": "message", "id": "msg_0", "role": "assistant", "status": "completed", "content": [text]}
    usage = {"input_tokens": 40, "output_tokens": 8, "total_tokens": 48}
    usage |= {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    body = {"id": "resp_0", "object": "response", "created_at": 1793613600, "model": "scripted-1", "output": [message]}
    body |= {"parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "status": "completed", "usage": usage}
    wire = httpx2.AsyncClient(transport=httpx2.MockTransport(lambda request: httpx2.Response(200, json=body)))
    client = AsyncOpenAI(base_url="http://x/v1", api_key="none", http_client=wire)
    asyncio.run(Runner.run(Agent(name="reporter", model=OpenAIResponsesModel("scripted-1", client)), QUESTION))
    save("openai_agents_responses.jsonl", rows, rows=True)


if __name__ == "__main__":
    globals()[sys.argv[1]]()
