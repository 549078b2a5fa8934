"""What the C sources of TFLite Micro tell of a task's outputs, and how these are compared: a row for each task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from export.targets import boxes, masks
from export.targets.bundle import Bundle, Check
from keras_resnet.runtime.interface import Runner
from keras_resnet.tasks import localization
from keras_resnet.tasks.segmentation import answers as segmentation
from keras_resnet.tasks.table import DEFAULT

_LEAST = 0.97  # other kernels than XNNPACK's: single uncertain answers may differ (measured: 1 image in 100)


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What `model_answer` tells, whose C is `tflm_files/answer_TASK.c.part`.

    Attributes:
        words: what the numbers are, for people.
        number: C type of a number.
        tolerance: largest difference of a number that is rounding.
        known: function of a folder and of its outputs by name, which gives the numbers, `(n, answers)`.
        agreement: function of a folder, the file on TFLite Micro and a number of images, which compares the answers.
        classes: output that has a number for every class; "" for the only one.
        show: what check_io.c and main.cc print, `tflm_files/show_NAME.part`.
    """

    words: str
    number: str
    tolerance: float = 0.5
    known: Callable[[Bundle, Mapping[str, np.ndarray]], np.ndarray]
    agreement: Callable[[Bundle, Runner, int], Check]
    classes: str = ""
    show: str = "class"


def _classes(bundle: Bundle, outputs: Mapping[str, np.ndarray]) -> np.ndarray:
    return outputs[bundle.runner.output.name].argmax(axis=-1)[:, None]


def _same_classes(bundle: Bundle, runner: Runner, count: int) -> Check:
    few = bundle.evidence.first(count)
    found = few.run(runner, runner.card.preprocess)[runner.output.name]
    return bundle.agreement("TFLite Micro", found, _LEAST)


def _masks(bundle: Bundle, outputs: Mapping[str, np.ndarray]) -> np.ndarray:
    found = segmentation.decode(outputs, bundle.runner.card)
    return np.stack([each.classes.ravel() for each in found])


def _same_masks(bundle: Bundle, runner: Runner, count: int) -> Check:
    return masks.alike(bundle, "TFLite Micro", runner, min(count, masks.MOST), _LEAST)


def _objects(bundle: Bundle, outputs: Mapping[str, np.ndarray]) -> np.ndarray:
    found = localization.decode(outputs, bundle.runner.card, limit=1)
    return np.array([[each.number, next(iter(each.scores.values())), *each.box] for each in found])


def _same_objects(bundle: Bundle, runner: Runner, count: int) -> Check:
    """Judged as another precision would be: single steps of 8 bits move a box, and its sides are few pixels."""
    least = localization.LIMITS[bundle.request.made.precision].agreement
    few = bundle.evidence.first(min(count, boxes.MOST))
    values = bundle.runner.card.preprocess(few.fetch()[0])
    theirs, ours = runner.run(values), bundle.runner.run(values)
    share = float(localization.agreement(ours, theirs, bundle.runner.card).mean())
    return Check(
        name="TFLite Micro",
        wanted=f"boxes overlap our own runner's by {least:.1%} in the mean, 0 where the class is another",
        found=f"{share:.2%} of {len(values)} images",
        passed=share >= least,
    )


ANSWERS: dict[str, Answers] = {
    DEFAULT: Answers(words="the class", number="uint16_t", known=_classes, agreement=_same_classes),
    "segmentation": Answers(words="the class of every pixel", number="uint8_t", known=_masks, agreement=_same_masks),
    "localization": Answers(
        words="class, probability, and x1, y1, x2, y2 in pixels",
        number="float",
        tolerance=1e-3,
        known=_objects,
        agreement=_same_objects,
        classes="logits",
        show="box",
    ),
}
