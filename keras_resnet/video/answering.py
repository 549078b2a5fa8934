"""A model's answers for the frames of a video, and frames with their answers drawn over them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from keras_resnet.card import ModelCard
from keras_resnet.errors import InputError
from keras_resnet.evaluation.examples import loaded, within
from keras_resnet.evaluation.records import records
from keras_resnet.evaluation.running import answered, image_shape
from keras_resnet.runtime.interface import Runner
from keras_resnet.signals.operations import has_tensorflow
from keras_resnet.tasks import get_task
from keras_resnet.tasks.detection.painting import noted
from keras_resnet.tasks.results import Prediction
from keras_resnet.video.reading import Frame, Source, ahead

_BATCH = 8
_KEPT = 0.9  # of the frames per second that are shown, from one batch to the next


@dataclass(frozen=True, eq=False)
class Answered:
    """A frame and what a model says of it.

    Attributes:
        frame: frame.
        answer: in places of the whole frame, for tasks whose answers are places.
        rate: frames per second that the model and the reading of frames reach, lately.
    """

    frame: Frame
    answer: Prediction
    rate: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """The answer as JSON types, with the frame's number and time."""
        return {**self.answer.to_json(), "frame": self.frame.number, "seconds": round(self.frame.seconds, 3)}

    def records(self) -> list[dict[str, Any]]:
        """Rows of a table, with the frame's number and time behind the file's name."""
        own = {"frame": self.frame.number, "seconds": round(self.frame.seconds, 3)}
        return [{"file": each["file"], **own, **each} for each in records(self.answer)]


@dataclass
class Speed:
    """Frames per second, smoothed."""

    value: float = 0.0
    last: float = field(default_factory=time.perf_counter)

    def after(self, frames: int) -> float:
        """The figure after so many frames more."""
        now = time.perf_counter()
        new = frames / max(now - self.last, 1e-6)
        self.last, self.value = now, (_KEPT * self.value + (1 - _KEPT) * new if self.value else new)
        return self.value


def check(card: ModelCard) -> None:
    """Refuses a task whose answers cannot be drawn over a frame.

    Args:
        card: card of the model.

    Raises:
        InputError: such a task, or a signal that is no image.
    """
    if card.signal != "image" or not hasattr(get_task(card.task).code, "painted"):
        raise InputError(
            "a video goes with the tasks detection, localization and segmentation; this is "
            f"{card.task} of {card.signal}s"
        )


def answers(
    runner: Runner, source: Source, card: ModelCard, top: int, seconds: float | None = None
) -> Iterator[Answered]:
    """A model's answers for the frames of a video, in their order; the same as those of `predict` for pictures.

    Args:
        runner: model.
        source: opened video or camera.
        card: card with the names of the classes and the threshold.
        top: number of answers per frame at most.
        seconds: time after which it ends; None for none.

    Raises:
        GateError: the model answers NaN or infinity.
    """
    speed = Speed()
    for batch in ahead(source, _BATCH, seconds):
        pixels = np.stack([_prepared(frame.pixels, runner) for frame in batch])
        found = answered(runner, pixels, [source.name] * len(batch), card, top)
        rate = speed.after(len(batch))
        for frame, answer in zip(batch, found, strict=True):
            yield Answered(frame, within(answer, frame.pixels, runner, card, top), rate)


def _prepared(pixels: np.ndarray, runner: Runner) -> np.ndarray:
    """A frame as the model takes it, before its input convention: as a picture file of these pixels would be."""
    shape, keep = image_shape(runner), runner.card.keep
    if shape[-1] != 3:
        return loaded(pixels, runner)
    if has_tensorflow():
        from keras_resnet.signals import image

        return np.asarray(image.resize(pixels, (shape[0], shape[1]), keep))
    from keras_resnet.signals import plain

    return plain.resized(pixels, (shape[0], shape[1]), keep)[0]


def drawn(each: Answered, card: ModelCard) -> np.ndarray:
    """A frame with its answer, and the frames per second, uint8 `(height, width, 3)`.

    Args:
        each: frame and answer.
        card: card of the model.
    """
    painted = get_task(card.task).capable.painted(each.frame.pixels, each.answer, card)
    return noted(painted, f"{each.rate:.1f} frames/s")
