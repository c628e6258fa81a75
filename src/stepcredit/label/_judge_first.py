"""Which step of a solution is the first wrong one? The question to a judge, and how its reply is read."""

from stepcredit.data.records import observed
from stepcredit.evidence._prompts import Unreadable, last
from stepcredit.evidence._prompts.steps import Story
from stepcredit.label.labels import NONE
from stepcredit.label.work import Work
from stepcredit.llm.requests import Failed, Plan


def first_error_prompt(story: Story) -> str:
    """Asks for the first wrong step."""
    return f"""Find the first wrong step of a solution.

Go through the steps in order. A step is wrong if it holds a mistake: in a fact, in the arithmetic, in the logic, in \
what it takes from the task. Stop at the first one; what comes behind it does not matter. A step that is only clumsy, \
short or superfluous is not wrong, and a right final answer does not make a wrong step right.

{story.told}

Think it through. Then end with one line of this form, where ANSWER is the number of the first wrong step, or the word \
none:
<first_wrong>ANSWER</first_wrong>"""


def read_first_error(reply: str, size: int) -> int:
    """Its index, -1 = none.

    Raises:
        Unreadable: no verdict of the form, or a step that is not there.

    >>> read_first_error("Fine, fine. <first_wrong>2</first_wrong>", 3)
    1
    """
    said = last(reply, "first_wrong", r"(none|\d{1,6})")[1].lower()
    if said == "none":
        return NONE
    if not 1 <= int(said) <= size:
        raise Unreadable("names one that is not there")
    return int(said) - 1


def story(work: Work, *, tell: bool = False) -> Story:
    """A solution as a judge sees it. tell: the right answer too, where there is one."""
    parts = []
    for i, step in enumerate(work.record.steps, start=1):
        parts.append((f"step {i}", step.text or ""))
        result = observed(step)
        if result is not None:
            parts.append((f"result of step {i}", result))
    return Story(work.record.task or "", parts, work.reference if tell else None)


def judge_first(work: Work, *, tell: bool = False, retries: int = 0) -> Plan[int | Failed]:
    """The first error that the judge names, -1 = none; `Failed` where it does not answer or cannot be read, `retries`
    tries later."""
    found: int | Failed = Failed("nobody was asked")
    for draw in range(retries + 1):
        (reply,) = yield from work.ask([first_error_prompt(story(work, tell=tell))], draw=draw)
        try:
            found = reply if isinstance(reply, Failed) else read_first_error(reply, len(work.steps))
        except Unreadable as error:
            found = Failed(str(error))
        if not isinstance(found, Failed):
            break
    return found
