"""What a network says of one photo, with the names that the page speaks of."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from generator.figures import raster
from generator.records.images import Floats, Photo, Pixels
from generator.records.network import Explanation, Network
from generator.report.feature_maps.facts import Stage, stage_of
from generator.report.grad_cam.contributors import Contributor, contributors
from generator.report.grad_cam.methods import Way, ways
from generator.report.plates.sheets import kind_of
from generator.report.plates.wording import SHOWN

COLUMNS = 6
# Cells of a map for a script: along a side at most and at least, and of all classes' maps together.
SIDE, LEAST, CELLS = 64, 7, 2**14


@dataclass(frozen=True)
class Answer:
    """One class's share in what a network says about one photo; `strength` is its raw Grad-CAM map's maximum.

    Or the reply to a question of several classes, whose index is None: then `logit` is the sum that was asked for.
    """

    index: int | None
    name: str
    probability: float
    logit: float
    strength: float | None
    measure: str = "logit"  # what `logit` is


@dataclass(frozen=True)
class Look:
    """One photo through one network. `rank` is the place of the true class among the answers, from 1."""

    photo: Photo
    explanation: Explanation
    top: tuple[Answer, ...]
    truth: Answer | None
    rank: int | None
    stages: tuple[Stage, ...]
    heads: tuple[str, ...]  # the blocks whose heads of attention are shown
    replies: Mapping[str, Answer] = field(default_factory=dict)  # to what is asked beside, by role
    contributors: tuple[Contributor, ...] = ()  # the channels that spoke most for the answer
    ways: tuple[Way, ...] = ()  # the answer explained in other ways

    @property
    def kind(self) -> str:
        """The proportions of its pictures' cells on sheets."""
        return kind_of(self.explanation.seen)

    @property
    def across(self) -> int:
        """Columns of the picture with the maps of all classes."""
        return strip_columns(self.explanation.seen, len(self.explanation.logits))

    @property
    def predicted(self) -> Answer:
        """The most probable class."""
        return self.top[0]

    @property
    def runner_up(self) -> Answer | None:
        """The second most probable class; None where the network knows one."""
        return self.top[1] if len(self.top) > 1 else None

    @property
    def right(self) -> bool | None:
        """Whether the prediction is the true class; None where the photo shows no class of the network."""
        return None if self.rank is None else self.rank == 1

    def range(self, role: str) -> str:
        """The map of a role on its own range, see `stretched`."""
        explanation, answer = self.explanation, self.answers[role]
        cam = explanation.cam(answer.index) if answer.index is not None else explanation.replies[role].cam
        return stretched(cam[None])

    @property
    def ranges(self) -> str:
        """The maps of all classes in their order, each on its own range; for networks with a map of each."""
        explanation = self.explanation
        order = [explanation.targets.index(index) for index in range(len(explanation.logits))]
        return stretched(explanation.cams[order])

    @property
    def answers(self) -> Mapping[str, Answer]:
        """By the role's name, as in the figures' ids."""
        roles = {"predicted": self.predicted, "true": self.truth, "runner-up": self.runner_up, **self.replies}
        return {role: answer for role, answer in roles.items() if answer is not None}


def stretched(cams: Floats) -> str:
    """Maps on their own range, for a script: rows, columns, and each cell's share of its map's largest as a byte.

    Args:
        cams: (N, h, w), at least 0.
    Returns:
        "8 8 AAECAw==", base64 in the order of the cells; a map of zeros stays one. Very large maps come smaller.
    """
    most = max(LEAST, min(SIDE, math.isqrt(CELLS // len(cams))))
    rows, columns = (min(side, most) for side in cams.shape[1:])
    if (rows, columns) != cams.shape[1:]:
        cams = raster.resize(cams, rows, columns).astype(np.float32)
    peaks = cams.max(axis=(1, 2), keepdims=True)
    shares = np.divide(cams, peaks, out=np.zeros_like(cams), where=peaks > 0)
    told = base64.b64encode(np.rint(shares * 255).astype(np.uint8).tobytes()).decode()
    return f"{rows} {columns} {told}"


def strip_columns(seen: Pixels, count: int) -> int:
    """So many of `count` tiles with a photo's proportions beside one another that they are seen well: six squares."""
    return max(1, min(count, round(COLUMNS * math.sqrt(seen.shape[0] / seen.shape[1]))))


def look_at(network: Network, photo: Photo) -> Look:
    """The facts of one photo's explanation."""
    explanation = network.explanations[photo.id]
    ranking = [int(index) for index in explanation.ranking]
    label = explanation.label
    return Look(
        photo=photo,
        explanation=explanation,
        top=tuple(answer_of(network, explanation, index) for index in ranking[:SHOWN]),
        truth=None if label is None else answer_of(network, explanation, label),
        rank=None if label is None else ranking.index(label) + 1,
        stages=tuple(stage_of(stage) for stage in explanation.stages),
        heads=tuple(block.layer for block in explanation.heads),
        replies={
            role: Answer(
                index=None,
                name=reply.question.named(network.class_names),
                probability=reply.probability,
                logit=reply.logit,
                strength=float(reply.cam.max()),
                measure=reply.question.measure,
            )
            for role, reply in explanation.replies.items()
        },
        contributors=contributors(network, photo, explanation),
        ways=ways(network, explanation),
    )


def answer_of(network: Network, explanation: Explanation, index: int) -> Answer:
    """One class as an answer of the network."""
    mapped = index in explanation.targets
    return Answer(
        index=index,
        name=network.class_names[index],
        probability=float(explanation.probabilities[index]),
        logit=float(explanation.logits[index]),
        strength=float(explanation.cam(index).max()) if mapped else None,
    )
