"""Where a model looked in a video or an image, against where the evidence is."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from stepcredit.data.batch import Batch
from stepcredit.data.records import Step
from stepcredit.errors import DataError
from stepcredit.evidence import _texts
from stepcredit.evidence.card import EvidenceCard

CARD = EvidenceCard(
    title="Video-CoM: reasoning reward of visual actions; labels of ViRL",
    paper="arXiv:2511.23477",
    bibtex="""@misc{rasheed2025videocom,
  title={Video-CoM: Interactive Video Reasoning via Chain of Manipulations},
  author={Rasheed, Hanoona and Zumri, Mohammed and Maaz, Muhammad and Yang, Ming-Hsuan and Khan, Fahad Shahbaz and
    Khan, Salman},
  eprint={2511.23477}, archivePrefix={arXiv}, year={2025}}""",
    code="https://github.com/mbzuai-oryx/Video-CoM",
    evidence="official code executed",
    adds=("reward.visual", "label", "score"),
    needs="texts with FIND_SEGMENT, FIND_FRAME and SPATIAL_ZOOM (or a function that reads a step), and per rollout the "
    "right segments, ranges of frames, and boxes of frames",
    departures="reward.visual is the reasoning part alone: the official reward adds 1 for the right answer. The "
    "official code drops all segments where one is written without brackets, and of several boxes of a frame keeps the "
    "last; neither is reproduced. Labels are derived from the abstract of ViRL (correct, redundant, erroneous); its "
    "constants are not published.",
)

Kind = Literal["segment", "frame", "box"]
_LIST = r"\[([0-9.,\s]+)\]"
_NUMBERED = re.compile(rf"\)\s*+=\s*+(?:{_LIST}|(\d+))")
_BOXED = re.compile(rf"\)\s*+=\s*+(?:{_LIST}|\(?([0-9.]+(?:\s*,\s*[0-9.]+){{3}})\)?)")


class Look(NamedTuple):
    """One thing looked at. what: "segment", "frame" or "box". at: its number; of a box the frame it was found in, None
    = unknown. box: left, top, right, bottom."""

    what: Kind
    at: float | None
    box: tuple[float, ...] = ()


class Gold(NamedTuple):
    """Where the evidence is: numbers of segments, (first, last) frames, (frame, box)."""

    segments: Sequence[float]
    frames: Sequence[tuple[float, float]]
    boxes: Sequence[tuple[float, tuple[float, ...]]]


def looks(text: str) -> list[Look]:
    """Visual actions in a text, in order: FIND_SEGMENT(...) = [2, 5], FIND_FRAME(...) = 40, and SPATIAL_ZOOM(...) =
    [left, top, right, bottom]. At most one of each kind a line; a box belongs to the last frame found before it.

    >>> looks("FIND_FRAME(cup) = [40]\\nSPATIAL_ZOOM(cup) = [1, 2, 30, 40]")[1]
    Look(what='box', at=40.0, box=(1.0, 2.0, 30.0, 40.0))
    """
    out: list[Look] = []
    frame: float | None = None
    for line in text.split("\n"):
        segments = _result(line, "FIND_SEGMENT(", _NUMBERED)
        frames = _result(line, "FIND_FRAME(", _NUMBERED)
        boxes = _result(line, "SPATIAL_ZOOM(", _BOXED)
        out += [Look("segment", n) for n in segments]
        out += [Look("frame", n) for n in frames]
        frame = frames[-1] if frames else frame
        out += [Look("box", frame, tuple(boxes[i : i + 4])) for i in range(0, len(boxes) - 3, 4)]
    return out


def iou(a: Sequence[float], b: Sequence[float]) -> float:
    """Shared area of two boxes (left, top, right, bottom) over the area of both; 1e-6 keeps empty ones from dividing by
    zero.

    >>> round(iou([0, 0, 2, 2], [1, 0, 3, 2]), 6)
    0.333333
    """
    shared = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    area = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / (area + 1e-6)


def found(look: Look, gold: Gold, least: float) -> str | None:
    """Name of the evidence that a look finds, "" if it finds none, None where it does not count: no evidence of its
    kind is known, or of a box none in its frame."""
    if look.what == "segment":
        return None if not gold.segments else f"segment {look.at}" if look.at in gold.segments else ""
    if look.what == "frame":
        ranges = [i for i, (start, end) in enumerate(gold.frames) if look.at is not None and start <= look.at <= end]
        return None if not gold.frames else f"frames {ranges[0]}" if ranges else ""
    here = [(iou(look.box, box), i) for i, (frame, box) in enumerate(gold.boxes) if frame == look.at]
    if not here:
        return None
    overlap, which = max(here)
    return f"box {which}" if overlap >= least else ""


def visual_match(
    batch: Batch,
    *,
    segments: str = "valid_segments",
    frames: str = "valid_frames",
    boxes: str = "valid_bounding_box",
    least: float = 0.35,
    parse: Callable[[Step], Sequence[Look]] | None = None,
) -> Batch:
    """The batch with `reward.visual` [R], the share of looks that find evidence, the same as `score` [S] on every step,
    and a `label` [S] per visual step.

        reward = (right segments + right frames + right boxes) / (all that count); 0 if none counts
        a segment is right if it is listed, a frame inside a range, a box if its overlap (IoU) is `least` or more

    Equal segments and equal frames of a rollout count once; boxes count each. What has no evidence of its kind does not
    count, nor does a box in a frame without one. label: +1 where a step finds evidence that the rollout had not found,
    -1 where one of its looks finds none, 0 where it finds only what was known; NaN where nothing counts.

    Args:
        segments, frames, boxes: fields of the rollouts: [2, 5], [[30, 50]], [[40, [l, t, r, b]]].
        least: overlap of a right box.
        parse: what a step looked at; None: read from its text (`looks`; frames are remembered over steps).

    Raises:
        StepCreditError: the batch has no records. DataError: no rollout has any of the fields; evidence of another
        form.
    """
    records = _texts.records(batch, "visual_match")
    if records and not any(f in r.extra for r in records for f in (segments, frames, boxes)):
        raise DataError("no rollout says where the evidence is", expected=f"a field {segments}, {frames} or {boxes}")
    gold = [_gold(r.extra, segments, frames, boxes, r.rollout) for r in records]
    steps, paths = _texts.steps(batch, "visual_match"), batch.layout.paths
    reward, walked = np.zeros(batch.layout.R), np.full(paths.rows.size, np.nan)
    for r in range(batch.layout.R):
        start, end = int(paths.start[r]), int(paths.start[r + 1])
        seen = _looks_of([steps[row] for row in paths.rows[start:end].tolist()], parse)
        reward[r] = _share([look for one in seen for look in one], gold[r], least)
        walked[start:end] = list(_labels(seen, gold[r], least))
    note = f"reward.visual: share of right looks, mean {reward.mean():.3g}" if reward.size else None
    score = batch.layout.merge(reward[paths.rollout])
    made: dict[str, Any] = {"reward.visual": reward, "score": score, "label": batch.layout.merge(walked)}
    return batch.with_columns(note=note, **made)


def _looks_of(steps: Sequence[Step], parse: Callable[[Step], Sequence[Look]] | None) -> list[list[Look]]:
    """Looks of each step; a box without a frame in its own step has the last one found before."""
    out: list[list[Look]] = []
    frame: float | None = None
    for step in steps:
        mine = looks(step.text or "") if parse is None else list(parse(step))
        out.append([look._replace(at=frame) if look.what == "box" and look.at is None else look for look in mine])
        frame = next((look.at for look in reversed(mine) if look.what == "frame"), frame)
    return out


def _share(seen: Sequence[Look], gold: Gold, least: float) -> float:
    once = [look for i, look in enumerate(seen) if look.what == "box" or look not in seen[:i]]
    verdicts = [v for look in once if (v := found(look, gold, least)) is not None]
    return sum(map(bool, verdicts)) / len(verdicts) if verdicts else 0.0


def _labels(seen: Sequence[Sequence[Look]], gold: Gold, least: float) -> Iterator[float]:
    known: set[str] = set()
    for one in seen:
        verdicts = {v for look in one if (v := found(look, gold, least)) is not None}
        yield np.nan if not verdicts else -1.0 if "" in verdicts else float(bool(verdicts - known))
        known |= verdicts - {""}


def _gold(fields: Mapping[str, Any], segments: str, frames: str, boxes: str, rollout: object) -> Gold:
    try:
        return Gold(
            [float(s) for s in fields.get(segments) or ()],
            [(float(a), float(b)) for a, b in fields.get(frames) or ()],
            [(float(at), _box(box)) for at, box in fields.get(boxes) or ()],
        )
    except (TypeError, ValueError):
        raise DataError(
            "evidence has another form",
            rollout=rollout,
            got={f: fields.get(f) for f in (segments, frames, boxes)},
            expected="segments [2], frames [[30, 50]], boxes [[40, [l, t, r, b]]]",
        ) from None


def _box(box: Sequence[Any]) -> tuple[float, ...]:
    left, top, right, bottom = map(float, box)
    return left, top, right, bottom


def _result(line: str, call: str, result: re.Pattern[str]) -> list[float]:
    """Numbers after the first call of this name that has a result."""
    at = line.find(call)
    match = result.search(line, at + len(call)) if at >= 0 else None
    if match is None:
        return []
    parts = (p.strip() for p in (match.group(1) or match.group(2)).split(","))
    return [float(p) for p in parts if re.fullmatch(r"\d+(?:\.\d*)?|\.\d+", p)]
