"""Runs made by hand, and by worlds whose truth is known."""

import numpy as np

from stepcredit.data.records import Message, Rollout, Step, ToolCall
from stepcredit.diagnose import Case, Group
from stepcredit.envs import worlds
from stepcredit.envs.tabular import mistakes, sample


def run(name, actions, outcome, states=None, group="g", **more):
    """A rollout that took these actions; states: of the steps, and a last one of the end."""
    steps = [Step(action=a, state=None if states is None else states[t]) for t, a in enumerate(actions)]
    final = None if states is None or len(states) == len(actions) else states[-1]
    return Rollout(group=group, rollout=name, outcome=outcome, steps=steps, final_state=final, **more)


def chat(name, turns, outcome=0.0, group="g", **more):
    """A rollout of an agent with tools; a turn: (text, tool or None, arguments, reply or None, error)."""
    steps = []
    for text, tool, arguments, reply, *error in turns:
        calls = [ToolCall(name=tool, arguments=arguments)] if tool else []
        replies = []
        if reply is not None:
            replies = [Message(role="tool" if tool else "user", name=tool, error=error[0] if error else None)]
        steps.append(Step(text=text, tool_calls=calls, observation=reply, replies=replies))
    return Rollout(group=group, rollout=name, outcome=outcome, steps=steps, **more)


def cases(*runs):
    group = Group(runs)
    return [Case(group, i) for i in range(len(runs))]


def case(*runs, index=0):
    return Case(Group(runs), index)


def spoiled(family, *, n=9, epsilon=0.1, seeds=40, **options):
    """(case, wrong step) of failed runs with exactly one action that lost more than 0.05 of the chance of success, in
    worlds whose values are exact. Records keep nothing of the truth."""
    made = sample([mistakes(worlds.get(family)(seed=s, **options), epsilon) for s in range(seeds)], n, seed=1)
    lost = -made["truth.advantage"]
    records = made.to_records()
    groups, truth, at = {}, {}, 0
    for record in records:
        mine = lost[at : at + len(record.steps)]
        at += len(record.steps)
        for step in record.steps:
            step.evidence = {}
        groups.setdefault(record.group, []).append(record)
        if record.outcome < 0.5 and np.sum(mine > 0.05) == 1:
            truth[(record.group, record.rollout)] = int(np.argmax(mine))
    for runs in groups.values():
        group = Group(runs)
        if any(r.outcome >= 0.5 for r in runs):
            for i, r in enumerate(runs):
                if (r.group, r.rollout) in truth:
                    yield Case(group, i), truth[(r.group, r.rollout)]


def covered(case, step):
    """Whether another run that succeeded did something else in the state of this step."""
    state, action = case.steps[step].state, case.steps[step].action
    return any(s.state == state and s.action != action for r in case.siblings if r.outcome >= 0.5 for s in r.steps)
