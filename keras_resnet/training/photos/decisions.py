"""Decisions of the recipe `photos`, each with its reason and the option that changes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from keras_resnet.training.objects import OWN as OBJECTS
from keras_resnet.training.scenes import OWN

_OF_OBJECTS, _STRIDE = 320, 32  # pixels: largest input that is chosen, and what its sides are multiples of


@dataclass(frozen=True, kw_only=True)
class Decision:
    """One decision.

    Attributes:
        what: subject, like `"image size"`.
        value: outcome, for people.
        reason: why.
        option: what changes it, like `"--image-size N"`.
        settings: settings of the recipe that hold it, by name.
    """

    what: str
    value: str
    reason: str
    option: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        """One line for people."""
        return f"{self.what}: {self.value} ({self.reason}); change: {self.option}"


_OF_MASKS = ("optimizer", "learning_rate", "weight_decay", "schedule", "coupled_decay", "nesterov")


def of_masks() -> Decision:
    """Optimizer and schedule of masks, which sgd at a classifier's rate learns worse."""
    return Decision(
        what="optimizer",
        value=f"{OWN.optimizer} at {OWN.learning_rate:g}, {OWN.schedule}",
        reason="the recipes camvid, pets and nuclei learn masks with it",
        option="--set optimizer=NAME",
        settings={name: getattr(OWN, name) for name in _OF_MASKS},
    )


def of_boxes(before: Sequence[Decision], side: int, *, encoded: bool, transfer: bool) -> list[Decision]:
    """Decisions for data with boxes: a size that the pyramid divides, what moves boxes, and an optimizer for them.

    Args:
        before: decisions as for classes.
        side: shorter side of the pictures in pixels.
        encoded: whether they are files, of which parts can be cut.
        transfer: whether the training starts from weights, which have their own rate.
    """
    size = min(_OF_OBJECTS, max(_STRIDE, side // _STRIDE * _STRIDE))
    how = {"image_size": size, "test_size": 0, "fit": OBJECTS.fit, "crop": 1.0} if encoded else {"test_size": 0}
    reason = f"the pictures have {side} pixels; all of each, stretched, as MediaPipe does" if encoded else "as they are"
    name = "objects" if encoded else "zoom"
    moved = (
        "windows at 0.6 to 1.7 times the scale, mirrored, other light" if encoded else "larger and smaller; no mirror"
    )
    found = {
        "image size": Decision(
            what="image size",
            value=str(size if encoded else side),
            reason=reason,
            option="--image-size N",
            settings=how,
        ),
        "augmentation": Decision(
            what="augmentation",
            value=name,
            reason=moved,
            option="--set augmentation=NAME",
            settings={"augmentation": name, "label_smoothing": 0.0},
        ),
    }
    if not transfer:
        found["learning rate"] = Decision(
            what="optimizer",
            value=f"{OBJECTS.optimizer} at {OBJECTS.learning_rate:g}, {OBJECTS.schedule}",
            reason="the recipes of detection learn boxes with it",
            option="--set optimizer=NAME",
            settings={name: getattr(OBJECTS, name) for name in (*_OF_MASKS, "clip_norm")},
        )
    return [found.get(each.what, each) for each in before]


def implied(given: Mapping[str, str]) -> dict[str, Any]:
    """Settings in place of those of the usual recipe that do not go with what is given.

    Args:
        given: settings that a person gave.
    """
    found: dict[str, Any] = {}
    if given.get("optimizer", "sgd") != "sgd":
        found |= {"coupled_decay": False, "nesterov": False}
    if given.get("keep") == "last":
        found["stop_patience"] = 0
    return found
