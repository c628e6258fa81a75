"""CORRECT: all at once, with the schemata of known errors of the most alike runs as guidance."""

from pathlib import Path
from typing import Literal

from stepcredit.credit.card import Preset
from stepcredit.diagnose._judging import Judge, Question, Said, voted
from stepcredit.diagnose._log import CUT, Log
from stepcredit.diagnose._whole import Form, most_per_window, question, whole
from stepcredit.diagnose.case import Case, Verdict
from stepcredit.diagnose.methods.all_at_once import TASK
from stepcredit.diagnose.schemata import Near, SchemaCache
from stepcredit.errors import StepCreditError
from stepcredit.llm.requests import Plan
from stepcredit.shelf import PlanCard

CARD = PlanCard(
    title="CORRECT: COndensed eRror RECognition via knowledge Transfer in multi-agent systems",
    paper="arXiv:2509.24088",
    bibtex="""@inproceedings{yu2026correct,
  title={{CORRECT}: Condensed Error Recognition via Knowledge Transfer in Multi-agent Systems},
  author={Yu, Yifan and Li, Moyan and Xu, Shaoyuan and Fu, Jinmiao and Hou, Xinhai and Lai, Fan and Wang, Bryan},
  booktitle={ICML}, year={2026}}""",
    evidence="secondary text",
    asks=("judge",),
    needs="a cache of schemata, written from annotated failures by `stepcredit.diagnose.schemata.learn`",
    cost="one question per vote; beforehand one per annotated failure",
    departures="The wording is ours. Logs are compared by hashed words (TF-IDF) where no embedder is given; the paper "
    "takes BGE-M3. Its online cache (hot entries, clusters) is described too thinly to build; `learn(delta=...)` is "
    "its expansion rule.",
)

PRESETS = {
    "who-and-when-generated": Preset({"k": 1}, "secondary text: the k of Who&When's generated logs"),
    "who-and-when-crafted": Preset({"k": 10}, "secondary text: the k of Who&When's hand-crafted logs"),
    "cloud": Preset(
        {"source": True, "form": "lines", "cut": None},
        "secondary text: the variant for hosted models, whose schemata name agent and step of the run they come from",
    ),
}

_GUIDE = """ Before the run, schemata of errors in other runs are shown, of those most like this one first. They are \
guidance that you may ignore: this run may have failed otherwise."""


def correct(
    case: Case,
    *,
    cache: SchemaCache | str | Path | None = None,
    k: int = 5,
    apart: Literal["run", "task"] = "run",
    source: bool = False,
    tell: bool = False,
    form: Form = "block",
    cut: int | None = CUT,
    limit: int | None = None,
    votes: int = 1,
    retries: int = 1,
    seed: int = 0,
) -> Plan[Verdict]:
    """`all_at_once` with the schemata of the k runs in the cache whose logs are most alike; never the run's own.

    Args:
        cache: of schemata, or its file. k: how many are shown; fewer where there are fewer.
        apart: schemata that are left out: of the "run" itself, or of its whole "task". What else must not be known (a
            test split) must not be in the cache.
        source: a schema names the agent and the step of its own run.
        tell: the judge is told the right answer, where it is known; as published it is not.
        form, cut, limit, votes, retries, seed: as in `all_at_once`.

    Raises:
        StepCreditError: no cache; k < 1.
    """
    if k < 1:
        raise StepCreditError(f"k must be at least 1; got {k}")
    log = Log(case, tell, True, cut, limit)
    near = SchemaCache.of(cache).near(case, k, apart=apart)
    more = [(f"schema {i}", _told(one, source)) for i, one in enumerate(near, 1)]

    def one(judge: Judge) -> Plan[Verdict]:
        def ask(first: int, last: int) -> Question[Said]:
            return question(log, first, last, TASK + (_GUIDE if more else ""), form=form, more=more)

        verdict = yield from whole(log, judge, ask, as_named=form == "lines")
        rows = [[str(n.schema.group), str(n.schema.rollout), round(n.likeness, 4)] for n in near]
        verdict.evidence["schemata"] = rows
        return verdict

    return (yield from voted(case, one, votes=votes, retries=retries, seed=seed))


def _told(near: Near, source: bool) -> str:
    schema = near.schema
    where = f"\n(in that run: step {schema.step}, by {schema.agent or 'the agent'})" if source else ""
    return schema.text + where


cost_of = most_per_window
