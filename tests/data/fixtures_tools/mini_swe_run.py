"""Runs of mini-swe-agent in a shell of its own: python mini_swe_run.py FOLDER    (mini-swe-agent 2.4.6, or 1.17.5)

Its test models say what is scripted here; `api` asks through its LiteLLM model, whose HTTP a stand-in answers.
"""

import json
import os
import re
import sys
import tempfile
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

os.environ |= {"MSWEA_SILENT_STARTUP": "1", "MSWEA_CONFIGURED": "true", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
os.environ |= {"MSWEA_MODEL_RETRY_STOP_AFTER_ATTEMPT": "1"}

from minisweagent import __version__
from minisweagent.agents.default import DefaultAgent
from minisweagent.environments.local import LocalEnvironment
from minisweagent.models import test_models as scripted

OUT = Path(sys.argv[1])
TASK = "sum.py subtracts where it should add. Repair it."
TEXTS = {"system_template": "You fix programs in a shell.", "instance_template": "Task: {{task}}"}
DONE = "echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT && cat sum.py"
WORDS = [
    ("Look first.", "cat sum.py"),
    ("A test.", "ls summ.py"),
    ("The name was wrong. Repair.", "sed -i 's/a - b/a + b/' sum.py"),
    ("Done.", DONE),
]


def work():
    folder = Path(tempfile.mkdtemp())
    folder.joinpath("sum.py").write_text("def add(a, b):\n    return a - b\n")
    return LocalEnvironment(cwd=str(folder))


def keep(name, told, **more):
    """The trajectory without what its configuration holds besides names, the paths of a machine, and its times."""
    config = told["info"]["config"]
    config["model"] = {"model_name": config["model"]["model_name"]}
    config["environment"] = {}
    config["agent"] = {k: v for k, v in config["agent"].items() if k in TEXTS or "limit" in k}
    told["messages"][-1].get("extra", {}).pop("traceback", None)
    text = json.dumps({**told, **more}, indent=1)
    for number, time in enumerate(dict.fromkeys(re.findall(r'"timestamp": (\d+\.\d+)', text))):
        text = text.replace(time, f"{1795886400 + number}.0")
    text = re.sub(r"chatcmpl-[0-9a-f-]{36}", "chatcmpl-0", text)
    OUT.joinpath(name).write_text(text + "\n", encoding="utf-8")


def run(name, model, **settings):
    agent = DefaultAgent(model, work(), **TEXTS, **settings)
    with suppress(Exception):  # what ended the run is in its trajectory
        agent.run(TASK)
    return agent.serialize()


def called(number, text, *commands):
    calls = [
        {
            "id": f"call_{number}{i}",
            "type": "function",
            "function": {"name": "bash", "arguments": json.dumps({"command": c})},
        }
        for i, c in enumerate(commands)
    ]
    return {"role": "assistant", "content": text, "tool_calls": calls}


ANSWERS = [
    called(0, "Look first.", "cat sum.py", "ls summ.py"),
    {"role": "assistant", "content": "It subtracts, I see."},
    called(2, None, "sed -i 's/a - b/a + b/' sum.py"),
    None,
]


class StandIn(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        message = ANSWERS.pop(0)
        told = {"error": {"message": "The key is not valid", "type": "invalid_request_error"}}
        if message:
            reason = "tool_calls" if message.get("tool_calls") else "stop"
            told = {"id": "chatcmpl-0", "object": "chat.completion", "created": 1795886400, "model": "scripted-1"}
            told["choices"] = [{"index": 0, "message": message, "finish_reason": reason}]
            told["usage"] = {"prompt_tokens": 30, "completion_tokens": 9, "total_tokens": 39}
        text = json.dumps(told).encode()
        self.send_response(200 if message else 401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *args):
        pass


def version_2():
    said = [
        scripted.make_output(f"{text}\n\n```mswea_bash_command\n{command}\n```", [{"command": command}], 0.1)
        for text, command in WORDS
    ]
    keep("swe_agent_mini_text.traj.json", run("text", scripted.DeterministicModel(outputs=said)))
    said = [
        scripted.make_response_api_output(text, [{"command": command, "tool_call_id": f"call_{i}"}])
        for i, (text, command) in enumerate(WORDS)
    ]
    model = scripted.DeterministicResponseAPIToolcallModel(outputs=said)
    told = run("responses", model, step_limit=2)
    keep("swe_agent_mini_responses.traj.json", told, instance_id="sum__sum-1")

    from minisweagent.models.litellm_model import LitellmModel

    server = HTTPServer(("127.0.0.1", 0), StandIn)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_port}/v1"
    model = LitellmModel(
        model_name="openai/scripted-1",
        model_kwargs={"api_base": base, "api_key": "none"},
        cost_tracking="ignore_errors",
        format_error_template="{{error}}",
    )
    keep("swe_agent_mini_api.traj.json", run("api", model))


def version_1():
    from minisweagent.run.utils.save import save_traj

    said = [f"{text}\n\n```bash\n{command}\n```" for text, command in WORDS]
    agent = DefaultAgent(scripted.DeterministicModel(outputs=said, cost_per_call=0.1), work(), **TEXTS)
    status, result = agent.run(TASK)
    path = Path(tempfile.mkdtemp()) / "one.traj.json"
    save_traj(agent, path, exit_status=status, result=result, print_path=False)
    keep("swe_agent_mini_v1.traj.json", json.loads(path.read_text()))


if __name__ == "__main__":
    version_1() if __version__.startswith("1.") else version_2()
