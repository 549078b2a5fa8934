"""How detectors are taught, apart from their heads: rows, which need no Keras."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keras_resnet.tasks.detection.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Scheme:
    """How a detector is taught, apart from its head.

    Attributes:
        assigner: row of `ASSIGNERS`.
        quality: whether scores learn how well the box fits (quality focal loss, arXiv:2006.04388); otherwise 0 or 1 by
            the focal loss (arXiv:1708.02002).
        box: `"giou"` of decoded boxes, or `"l1"` of the numbers.
        box_weight: weight of the boxes' loss.
        per_image: whether sums are divided by the positive prior boxes of their image, as torchvision's RetinaNet does;
            otherwise by those of the batch, on all devices.
    """

    assigner: str
    quality: bool = False
    box: str = "giou"
    box_weight: float = 1.0
    per_image: bool = False


SCHEMES: dict[str, Scheme] = {
    "realtime": Scheme(assigner="aligned", quality=True, box_weight=2.0),
    "retinanet": Scheme(assigner="overlap", box="l1", per_image=True),
    "fcos": Scheme(assigner="center"),
}


def scheme_of(settings: Settings) -> Scheme:
    """The row of a detector with the changes of a recipe.

    Args:
        settings: head of the recipe.
    """
    row = SCHEMES[settings.detector]
    return replace(row, assigner=settings.assigner or row.assigner, box_weight=settings.box_weight or row.box_weight)
