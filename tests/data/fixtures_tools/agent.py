"""The agent whose runs the fixtures are: two calls of a tool, one of which fails, an answer, and the word of a second
agent. `around(kind, name, **what)` opens a span of whoever records it and yields a function to tell its result."""

import json
import os
from contextlib import contextmanager

CITIES = {"Lyon": "12 C, rain"}
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "Weather of a city",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    }
]


@contextmanager
def silent(kind, name, **what):
    yield lambda result: None


def client():
    import openai

    return openai.OpenAI(base_url=os.environ["MODEL_URL"], api_key="none")


def weather(city):
    if city not in CITIES:
        raise LookupError(f"no station in {city}")
    return CITIES[city]


def run(around=silent, question="What is the weather in Lyon and in Oslo?"):
    model = client()
    messages = [{"role": "system", "content": "Use the tool."}, {"role": "user", "content": question}]
    with around("agent", "reporter") as tell:
        while True:
            said = model.chat.completions.create(model="scripted-1", messages=messages, tools=TOOLS).choices[0].message
            messages.append({"role": "assistant", "content": said.content})
            if not said.tool_calls:
                break
            messages[-1]["tool_calls"] = [c.model_dump() for c in said.tool_calls]
            for call in said.tool_calls:
                arguments = json.loads(call.function.arguments)
                try:
                    with around("tool", call.function.name, id=call.id, arguments=arguments) as result:
                        found = weather(**arguments)
                        result(found)
                except LookupError as error:
                    found = f"error: {error}"
                messages.append({"role": "tool", "tool_call_id": call.id, "content": found})
        tell(said.content)
        with around("agent", "adviser") as advise:
            ask = [{"role": "user", "content": f"What to take along? {said.content}"}]
            word = model.chat.completions.create(model="scripted-1", messages=ask).choices[0].message.content
            advise(word)
    return said.content
