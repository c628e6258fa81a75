"""One run through the LangSmith client.

MODEL_URL=... LANGSMITH_ENDPOINT=http://127.0.0.1:PORT python langsmith_run.py    (langsmith 0.15.1)
"""

import os
from contextlib import contextmanager

os.environ |= {"LANGSMITH_TRACING": "true", "LANGSMITH_API_KEY": "none"}

import agent
from langsmith import Client, trace
from langsmith.wrappers import wrap_openai

client = Client(auto_batch_tracing=False)
plain = agent.client
agent.client = lambda: wrap_openai(plain())


@contextmanager
def around(kind, name, **what):
    inputs = what.get("arguments") or {}
    with trace(
        name,
        run_type="tool" if kind == "tool" else "chain",
        inputs=inputs,
        client=client,
        metadata={"agent_name": name} if name == "adviser" else None,
    ) as run:
        yield lambda result: run.end(outputs={"output": result})
        if name == "adviser":
            client.create_feedback(run.id, "helpful", score=0.0, comment="nobody asked", trace_id=run.trace_id)


agent.run(around)
client.flush()
