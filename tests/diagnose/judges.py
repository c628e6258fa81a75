"""Runs to be judged, and judges that answer as told, within the tag that a prompt asks for."""

import re

from stepcredit.data.records import Message, Rollout, Step, ToolCall
from stepcredit.diagnose import METHODS, Case, Group
from stepcredit.llm.drive import drive

NAMES = ("Planner", "Web_Surfer", "Coder")


def run_of(n=9, *, outcome=0.0, truth="42", agents=NAMES, texts=None, **more):
    """A failed run of n steps by three agents in turn."""
    steps = [
        Step(text=(texts or {}).get(i, f"words of step {i}"), agent=agents[i % len(agents)] if agents else None)
        for i in range(n)
    ]
    return Rollout(
        group="g", rollout="r", task="What is it?", outcome=outcome, steps=steps, extra={"gold": truth}, **more
    )


def tool_run():
    """A run that calls tools, one of which fails, after a system prompt."""
    return Rollout(
        group="g",
        rollout="tools",
        task="Book a table.",
        outcome=0.0,
        context=[Message(role="system", content="Be polite."), Message(role="user", content="Book a table.")],
        steps=[
            Step(
                reasoning="I must look first.",
                tool_calls=[ToolCall(name="find", arguments={"place": "Rome"}), ToolCall(name="ask", arguments="who")],
                observation="none",
                replies=[
                    Message(role="tool", name="find", content="no such place", error=True),
                    Message(role="tool", name="ask", content="4 people", images=["data:x"]),
                ],
            ),
            Step(text="Booked.", observation="thanks"),
        ],
    )


def case_of(rollout=None, *siblings):
    return Case(Group([rollout if rollout is not None else run_of(), *siblings]), 0)


def tag_in(prompt):
    return re.findall(r"<(verdict\d+)>", prompt)[-1]


class Answers:
    """A judge. says: prompt -> what stands in the tag; None: no reply; (text,): the whole reply. asked: the prompts."""

    def __init__(self, says):
        self.says = says if callable(says) else lambda prompt: says
        self.asked = []

    def __call__(self, prompts):
        return [self._one(p) for p in prompts]

    def _one(self, prompt):
        self.asked.append(prompt)
        found = self.says(prompt)
        if found is None:
            return None
        if isinstance(found, tuple):
            return found[0]
        return f"I think so.\n<{tag_in(prompt)}>\n{found}\n</{tag_in(prompt)}>"


def judged(name, case, judge, **options):
    """The verdict of a method, checked as `diagnose` checks it."""
    from stepcredit.diagnose.run import _checked

    planner = METHODS.get(name)
    chosen = planner.check_options(options)
    ((_, verdict),) = drive([planner.function(case, **chosen)], {"judge": judge})
    return _checked(verdict, case, planner)
