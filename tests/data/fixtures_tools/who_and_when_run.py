"""Two logs in the shapes of Who&When: the shortest published one of the algorithm-generated part (MIT license), its
texts cut, and one made up in the shape of the hand-crafted part.

python who_and_when_run.py FOLDER algorithm-generated.jsonl.gz
"""

import gzip
import json
import sys
from pathlib import Path

OUT, LOGS = Path(sys.argv[1]), sys.argv[2]
with gzip.open(LOGS, "rt", encoding="utf-8") as lines:
    log = min(map(json.loads, lines), key=lambda log: len(log["history"]))
history = [m | {"content": m["content"][:300]} for m in log["history"]]
log |= {"history": repr(history), "system_prompt": "{}", "question": log["question"][:300]}
OUT.joinpath("who_and_when_generated.jsonl").write_text(json.dumps(log) + "\n", encoding="utf-8")
made = {
    "is_corrected": False,
    "question": "How many seats are left on HAT045?",
    "question_ID": "seats-3",
    "level": 2,
    "groundtruth": "4",
    "history": [
        {"role": "human", "content": "How many seats are left on HAT045?"},
        {"role": "Orchestrator (thought)", "content": "WebSurfer must look."},
        {"role": "Orchestrator (-> WebSurfer)", "content": "Open the page of HAT045."},
        {"role": "WebSurfer", "content": "I opened HAT054: 9 seats."},
        {"role": "Orchestrator (termination condition)", "content": "9 seats."},
    ],
    "mistake_agent": "Websurfer",
    "mistake_step": "3",
    "mistake_reason": "It opened another flight.",
}
OUT.joinpath("who_and_when_hand.json").write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
