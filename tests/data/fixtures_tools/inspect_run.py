"""A small evaluation by inspect_ai with its mock model and a tool: python inspect_run.py FOLDER eval|json"""

import sys

from inspect_ai import Task, eval, task
from inspect_ai.dataset import Sample
from inspect_ai.model import ModelOutput, ModelUsage, get_model
from inspect_ai.scorer import match, score
from inspect_ai.solver import solver, system_message, use_tools
from inspect_ai.tool import ToolError, tool


@tool
def weather():
    async def execute(city: str) -> str:
        """Weather of a city.

        Args:
            city: its name
        """
        if city != "Lyon":
            raise ToolError(f"no station in {city}")
        return "12 C, rain. " + "The day was long and grey. " * 40

    return execute


def counted(output):
    output.usage = ModelUsage(input_tokens=30, output_tokens=8, total_tokens=38)
    return output


def said(text):
    return counted(ModelOutput.from_content("mockllm/model", text))


def called(city):
    return counted(ModelOutput.for_tool_call("mockllm/model", "weather", {"city": city}, content=f"Let me see: {city}"))


@solver
def stepwise():
    """Generate, scored after every step."""

    async def solve(state, generate):
        for _ in range(3):
            state = await generate(state, tool_calls="single")
            await score(state)
            state.store.set("steps", state.store.get("steps", 0) + 1)
        return state

    return solve


@task
def reporter():
    samples = [Sample(id="two cities", input="How warm is it in Lyon and in Oslo?", target="unknown")]
    return Task(
        dataset=samples,
        solver=[system_message("Use the tool."), use_tools(weather()), stepwise()],
        scorer=match(location="any"),
        epochs=2,
    )


outputs = [called("Lyon"), called("Oslo"), said("12 and 5"), called("Lyon"), called("Oslo"), said("Oslo is unknown")]
log = eval(
    reporter(),
    model=get_model("mockllm/model", custom_outputs=outputs),
    log_dir=sys.argv[1],
    log_format=sys.argv[2],
    display="none",
    max_samples=1,
)[0]
print(log.status, log.location)
