"""A session of Claude Code in folders of its own, its model a stand-in: python claude_code_run.py CLAUDE OUT

CLAUDE is the program (2.1.332, that of claude-agent-sdk 0.2.189). Rows that are no messages hold its prompts and what
it sent: of these few are kept, and of them nothing but their place.
"""

import json
import re
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

TASK = "sum.py subtracts where it should add. Repair it."
KEPT = ("type", "parentUuid", "isSidechain", "agentId", "uuid", "timestamp", "sessionId", "version", "message")
KEPT += ("operation", "toolUseResult", "isApiErrorMessage")


def shell(number, command):
    return {"type": "tool_use", "id": f"toolu_{number}", "name": "Bash", "input": {"command": command}}


ASK = {"description": "Look", "prompt": "SUB: which line is wrong?", "subagent_type": "general-purpose"}
SAYS = [
    [{"type": "thinking", "thinking": "Look first.", "signature": "c2ln"}, {"type": "text", "text": "I look."}],
    [shell(1, "ls summ.py")],
    [shell(2, "sed -i 's/a - b/a + b/' sum.py"), shell(3, "cat sum.py")],
    [{"type": "tool_use", "id": "toolu_4", "name": "Agent", "input": {**ASK, "run_in_background": False}}],
    [{"type": "text", "text": "It adds now."}],
]
SAYS[0].append(shell(0, "cat sum.py"))
SUB = [[shell(10, "grep -n return sum.py")], [{"type": "text", "text": "Line 2."}]]


def events(message):
    yield {"type": "message_start", "message": {**message, "content": [], "stop_reason": None}}
    for i, block in enumerate(message["content"]):
        if block["type"] == "tool_use":
            start = {**block, "input": {}}
            deltas = [{"type": "input_json_delta", "partial_json": json.dumps(block["input"])}]
        elif block["type"] == "text":
            start, deltas = {"type": "text", "text": ""}, [{"type": "text_delta", "text": block["text"]}]
        else:
            start = {"type": "thinking", "thinking": "", "signature": ""}
            deltas = [{"type": "thinking_delta", "thinking": block["thinking"]}]
            deltas.append({"type": "signature_delta", "signature": block["signature"]})
        yield {"type": "content_block_start", "index": i, "content_block": start}
        yield from ({"type": "content_block_delta", "index": i, "delta": d} for d in deltas)
        yield {"type": "content_block_stop", "index": i}
    done = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    yield {"type": "message_delta", "delta": done, "usage": {"output_tokens": 9}}
    yield {"type": "message_stop"}


class StandIn(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        asked = json.dumps([m["content"] for m in body.get("messages", ()) if m["role"] == "user"])
        says = SUB if "SUB:" in json.dumps(body.get("messages", [{}])[0]) else SAYS
        number = sum(1 for m in body.get("messages", ()) if m["role"] == "assistant")
        if "Go on." in asked or "/v1/messages" not in self.path:
            wrong = {"type": "error", "error": {"type": "invalid_request_error", "message": "no more"}}
            return self.give(400, json.dumps(wrong), "application/json")
        content = says[min(number, len(says) - 1)]
        reason = "tool_use" if any(b["type"] == "tool_use" for b in content) else "end_turn"
        usage = {"input_tokens": 30 + number, "output_tokens": 9, "cache_read_input_tokens": 5}
        message = {"id": f"msg_{'s' if says is SUB else ''}{number}", "type": "message", "role": "assistant"}
        message |= {"model": body["model"], "content": content, "stop_reason": reason, "usage": usage}
        text = "".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in events(message))
        return self.give(200, text, "text/event-stream")

    def give(self, status, text, kind):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *args):
        pass


# The words of the program around the report of a subagent.
FRAME = re.compile(r'"\[Subagent hand-back\][^"]*?follows:((?:\\n  [^"\\]*)+)[^"]*"')


def kept(rows):
    """The messages, and the first two of the rows between them; a parent that is left out is replaced by its own."""
    above, others, out = {}, 0, []
    for row in rows:
        parent = above.get(row.get("parentUuid"), row.get("parentUuid"))
        others += row["type"] in ("attachment", "queue-operation")
        if row["type"] in ("user", "assistant") or (row["type"] in ("attachment", "queue-operation") and others <= 3):
            left = () if row["type"] in ("user", "assistant") else ("message", "content")
            out.append({k: row[k] for k in KEPT if k in row and k not in left})
            if "parentUuid" in row:
                out[-1]["parentUuid"] = parent
        elif "uuid" in row:
            above[row["uuid"]] = parent
    return out


def main(program, out):
    server = ThreadingHTTPServer(("127.0.0.1", 0), StandIn)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    home, work = Path(tempfile.mkdtemp()), Path(tempfile.mkdtemp())
    work.joinpath("sum.py").write_text("def add(a, b):\n    return a - b\n")
    env = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(home),
        "CLAUDE_CONFIG_DIR": str(home / "c"),
        "ANTHROPIC_API_KEY": "none",
    }
    env |= {"ANTHROPIC_BASE_URL": f"http://127.0.0.1:{server.server_port}", "DISABLE_TELEMETRY": "1"}
    env |= {"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1", "DISABLE_ERROR_REPORTING": "1"}
    for prompt, more in ((TASK, []), ("Go on.", ["--continue"])):
        command = [program, "-p", prompt, "--allowedTools", "Bash,Agent", "--model", "claude-sonnet-4-5", *more]
        subprocess.run(command, cwd=work, env=env, stdin=subprocess.DEVNULL, check=False, timeout=120)
    for path in sorted(home.rglob("*.jsonl")):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        text = "".join(json.dumps(r) + "\n" for r in kept(rows)).replace(str(work), "work").replace(str(home), "home")
        text = FRAME.sub(r'"[...]\1"', text)
        name = "claude_code_agent" if "agent-" in path.name else "claude_code"
        Path(out, f"anthropic_messages_{name}.jsonl").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
