"""Latent rewards: a language model writes a function that describes steps in numbers; outcomes are parted by them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import numpy as np

from stepcredit.credit.card import Preset
from stepcredit.data.batch import Batch
from stepcredit.data.layout import Floats
from stepcredit.errors import StepCreditError
from stepcredit.evidence import _queries, _texts
from stepcredit.evidence._answers import between
from stepcredit.evidence._regress import Fit, Loss
from stepcredit.evidence.attribution import contribute
from stepcredit.evidence.card import Cost, EvidenceCard
from stepcredit.protocols import Judge
from stepcredit.sandbox.calculation import run
from stepcredit.sandbox.process import SandboxError

_PAPER: dict[str, Any] = {
    "title": "LaRe: Latent Reward, LLM-Empowered Credit Assignment in Episodic Reinforcement Learning",
    "paper": "arXiv:2412.11120",
    "bibtex": """@inproceedings{qu2025lare,
  title={Latent Reward: LLM-Empowered Credit Assignment in Episodic Reinforcement Learning},
  author={Qu, Yun and Jiang, Yuhang and Wang, Boyuan and Mao, Yixiu and Wang, Cheems and Liu, Chang and Ji, Xiangyang},
  booktitle={AAAI}, year={2025}}""",
}

CARD = EvidenceCard(
    **_PAPER,
    code="https://github.com/thu-rllab/LaRe",
    evidence="official code executed",
    adds=("contribution",),
    needs="several prompts with rollouts of known outcome, steps with texts or actions, a description of the task",
    cost="`candidates` questions, one that merges them, and at most `retries` more",
    departures="The code that the model writes runs in a sandbox; the official code executes it as it is. Factors are "
    "put in units of their spread. The losses were executed. A step at which the function fails is not judged. "
    "Rollouts are read by a regressor that saw no outcome of their prompt (folds).",
)

_LARE = {"model": "mlp", "loss": "rrd", "sampled": 64, "width": 256, "layers": 3, "lr": 3e-4, "folds": 1}
PRESETS = {
    "lare": Preset(
        _LARE, "LaRe mujoco/reward_model: RRD of 64 steps, 3 layers of 256, Adam 3e-4", system="lare", **_PAPER
    ),
    "lare-rd": Preset({**_LARE, "loss": "rd"}, "the same with plain return decomposition"),
    "lare-unbiased": Preset({**_LARE, "loss": "rrd-unbiased"}, "the same with the variance of drawing taken off"),
}

FUNCTION = "factors"
_FENCE, _FENCE_END = re.compile(r"```[^\n`]*\n"), re.compile("```")


@dataclass(frozen=True)
class Written:
    """code: the function, "" if none was found that runs. error: why not. calls: questions that it took."""

    code: str
    error: str
    calls: int


def latent_reward(
    batch: Batch,
    judge: Judge,
    *,
    description: str = "",
    candidates: int = 5,
    retries: int = 5,
    examples: int = 2,
    code: str | None = None,
    direct: bool = False,
    model: Literal["ridge", "mlp"] = "ridge",
    loss: Loss = "rd",
    folds: int = 5,
    residual: Literal["left", "spread"] = "left",
    penalty: float = 1.0,
    sampled: int = 64,
    width: int = 256,
    layers: int = 3,
    epochs: int = 200,
    batch_size: int = 32,
    lr: float = 3e-4,
    seed: int = 0,
    seconds: float = 10.0,
) -> Batch:
    """The batch with what each step contributes to the outcome, told from numbers that a model's code finds in it.

        z_t = factors(step_t)                       the code, written once for the task
        contribution_t = g(z_t)                     g as in `attribution`
        contribution_t = z_t                        direct: one factor, taken as it is

    Args:
        judge: who writes the code.
        description: the task in words, for the judge.
        candidates: functions that are written first; several are merged into one.
        retries: how often an error is shown to the judge for another try.
        examples: steps that the judge is shown and the code must run on.
        code: a function that was kept: no question is asked.
        direct: whether the function gives the contribution itself.
        model, loss, folds, residual, penalty, sampled, width, layers, epochs, batch_size, lr, seed: as in
            `attribution`.
        seconds: of processor time for the code.

    Returns:
        contribution [S]; all NaN, with the reason in the notes, if no code was found that runs. The code is in the
        notes.

    Raises:
        StepCreditError: candidates below 1. MissingColumn: no outcome. As in `attribution`.
    """
    how = Fit(model, loss, penalty, sampled, width, layers, epochs, batch_size, lr, seed, folds)
    inputs = step_inputs(batch)
    written = Written(code or "", "" if inputs else "there are no steps", 0)
    if code is None and inputs:
        shown = inputs[: max(examples, 1)]
        written = write_factors(
            judge, description, shown, candidates=candidates, retries=retries, direct=direct, seconds=seconds
        )
    factors, why = np.full((len(inputs), 1), np.nan), written.error
    if not why:
        try:
            factors = _table(run(written.code, FUNCTION, inputs, seconds=seconds, each=True))
        except SandboxError as error:
            why = error.message
    said = f"latent_reward: {written.calls} questions; {why or 'the code:'}" + (f"\n{written.code}" if not why else "")
    if why:
        return batch.with_columns(contribution=np.full(len(inputs), np.nan), note=said)
    if direct:
        return batch.with_columns(contribution=factors[:, 0], note=said)
    return contribute(batch.with_note(said), factors, how, residual)


def cost(batch: Batch, *, candidates: int = 5, retries: int = 5, code: str | None = None) -> Cost:
    """Questions to the judge."""
    return Cost({"judge": 0 if code else candidates + (candidates > 1) + retries}, at_most=True)


def write_factors(
    judge: Judge,
    description: str,
    examples: Sequence[Mapping[str, Any]],
    *,
    candidates: int = 5,
    retries: int = 5,
    direct: bool = False,
    seconds: float = 10.0,
) -> Written:
    """A function `factors(step)` that runs on the examples: some are written, merged, and mended by their errors.

    Raises:
        StepCreditError: candidates below 1.
    """
    if candidates < 1 or retries < 0:
        raise StepCreditError(f"candidates must be at least 1 and retries 0; got {candidates}, {retries}")
    if judge is None:
        raise StepCreditError("latent_reward cannot do without a judge", hint="a function: prompts -> replies")
    ask = _question(description, examples, direct)
    replies = list(_queries.answered(judge([ask] * candidates), candidates, "the judge of latent_reward"))
    calls, said = candidates, replies[0]
    if candidates > 1:
        proposed = "\n\n".join(f"```python\n{_code(r)}\n```" for r in replies if r)
        merge = f"{ask}\n\nThese were proposed:\n\n{proposed}\n\nMerge them into one function with all their factors."
        said, calls = _queries.answered(judge([merge]), 1, "the judge of latent_reward")[0], calls + 1
    error = ""
    for left in range(retries, -1, -1):
        code = _code(said)
        error = _fault(code, examples, direct, seconds)
        if not error:
            return Written(code, "", calls)
        if left:
            again = f"{ask}\n\nYou wrote:\n\n```python\n{code}\n```\n\nThis fails: {error}\nWrite it again, mended."
            said, calls = _queries.answered(judge([again]), 1, "the judge of latent_reward")[0], calls + 1
    return Written("", f"no function that runs after {calls} questions: {error}", calls)


def step_inputs(batch: Batch) -> list[dict[str, Any]]:
    """[S] each step as the function sees it: task, turn, observation before it, text, action, tool_calls."""
    lay, steps = batch.layout, _texts.steps(batch, "latent_reward")
    records = _texts.records(batch, "latent_reward")
    made = []
    for s, (r, before) in enumerate(zip(lay.rollout.tolist(), lay.previous.tolist(), strict=True)):
        seen = steps[before].observation if before >= 0 else None
        made.append(
            {
                "task": records[r].task or "",
                "turn": int(lay.turn[s]),
                "observation": "" if seen is None else seen,
                "text": steps[s].text or "",
                "action": steps[s].action,
                "tool_calls": msgspec.to_builtins(steps[s].tool_calls),
            }
        )
    return made


def _question(description: str, examples: Sequence[Mapping[str, Any]], direct: bool) -> str:
    shown = "\n".join(msgspec.json.encode(dict(one)).decode() for one in examples)
    wanted = (
        "a list of one number: how much the step helps to reach the goal"
        if direct
        else "a list of numbers, always as many: each judges one aspect of how the step helps or harms"
    )
    return (
        f"The task: {description or 'see the steps'}\n\n"
        "An agent works on it step by step, and is told only at the end how well it did. First say what the steps "
        "show and what good and bad behavior looks like in them. Then write a Python function\n\n"
        f"    def {FUNCTION}(step): ...\n\n"
        f"that returns {wanted}. `step` is a dict with the keys task, turn, observation (what the agent saw before "
        "the step), text, action, tool_calls. Use nothing else. Only the modules math and re are there, no classes, "
        "no files. Never divide by zero. Put the code into one ```python block.\n\n"
        f"Some steps:\n{shown}"
    )


def _code(reply: str | None) -> str:
    """The last block of code of a reply, or all of it."""
    text = reply or ""
    blocks = [text[start:end] for start, end in between(text, _FENCE, _FENCE_END)]
    return (blocks[-1] if blocks else text).strip()


def _fault(code: str, examples: Sequence[Mapping[str, Any]], direct: bool, seconds: float) -> str:
    """What is wrong with the code, "" if it runs on the examples."""
    if not code:
        return "there was no code"
    try:
        table = _table(run(code, FUNCTION, list(examples), seconds=seconds))
    except SandboxError as error:
        return error.message
    if direct and table.shape[1] != 1:
        return f"{FUNCTION} must return a list of one number; got {table.shape[1]}"
    return ""


def _table(results: Sequence[Any]) -> Floats:
    """[n, d] the factors of each step; NaN for a step at which the function failed.

    Raises:
        SandboxError: no lists of finite numbers of one length.
    """
    lists = [r for r in results if r is not None]
    if not all(isinstance(r, list) and r and all(_finite(x) for x in r) for r in lists):
        raise SandboxError(f"{FUNCTION} must return a list of finite numbers")
    lengths = sorted({len(r) for r in lists})
    if len(lengths) > 1:
        raise SandboxError(f"{FUNCTION} must return equally many numbers for every step; got {lengths}")
    if not lists and results:
        raise SandboxError(f"{FUNCTION} fails at every step")
    width = lengths[0] if lengths else 1
    return np.array([[np.nan] * width if r is None else r for r in results], float).reshape(len(results), width)


def _finite(x: Any) -> bool:
    return isinstance(x, int | float) and abs(x) < 1e100
