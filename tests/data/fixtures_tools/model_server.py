"""A model that asks for a tool, then answers: any OpenAI client's agent runs against it.

python model_server.py PORT
"""

import json
import sys

from stepcredit.llm.server import serve

CITIES = {"Lyon": "12 C, rain", "Oslo": "station unreachable"}


def said(body, message, reason):
    return {
        "id": f"chatcmpl-{len(body['messages'])}",
        "object": "chat.completion",
        "created": 1767225600,
        "model": "scripted-1",
        "choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": reason}],
        "usage": {"prompt_tokens": 20 + len(body["messages"]), "completion_tokens": 7, "total_tokens": 40},
    }


async def answer(asked):
    messages = asked.body["messages"]
    replies = [m for m in messages if m["role"] == "tool"]
    if asked.body.get("tools") and len(replies) < 2:
        city = list(CITIES)[len(replies)]
        call = {
            "id": f"call_{len(replies)}",
            "type": "function",
            "function": {"name": "weather", "arguments": json.dumps({"city": city})},
        }
        return said(asked.body, {"content": None, "tool_calls": [call]}, "tool_calls")
    text = "Lyon: 12 C and rain. Oslo: 5 C." if replies else "Take an umbrella."
    return said(asked.body, {"content": text}, "stop")


if __name__ == "__main__":
    serve(answer, ["scripted-1"], port=int(sys.argv[1]))
