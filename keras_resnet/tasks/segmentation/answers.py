"""Masks of examples, as classes with their shares and as pictures."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_resnet import pictures
from keras_resnet.card import ModelCard
from keras_resnet.data.truth import VOID, moved
from keras_resnet.signals.fits import Keep
from keras_resnet.signals.placement import Placement
from keras_resnet.tasks.results import Numbers
from keras_resnet.tasks.segmentation.forms import answer, classes_of
from keras_resnet.tasks.segmentation.scores import check_classes, names_of
from keras_resnet.tasks.segmentation.settings import TRUTH, output_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL import Image

_ALPHA = 0.55  # of a mask over its image
_BAND = 512  # rows of a picture that are worked on at a time


@dataclass(frozen=True, eq=False)
class Mask:
    """The mask of one example.

    Attributes:
        image: name of the example, its file for instance.
        shares: share of the pixels by class, the largest first; those that the mask has.
        classes: class of every pixel, uint8 `(H, W)`; 255 beside the picture, where `within` was told its size.
    """

    image: str
    shares: Mapping[str, float]
    classes: np.ndarray = field(repr=False)

    def to_json(self) -> dict[str, Any]:
        """The shares as JSON types."""
        return {"image": self.image, "shares": dict(self.shares)}

    def at(self, height: int, width: int, keep: Keep = 1.0) -> np.ndarray:
        """The mask in places of the whole picture, uint8 `(height, width)`; 255 where the net did not see it.

        Args:
            height: height of the picture that stands upright.
            width: its width.
            keep: what of the picture the net saw (`card.keep`).
        """
        plain = importlib.import_module("keras_resnet.signals.plain")  # array work of all libraries
        back = np.linalg.inv(plain.placed(height, width, self.classes.shape, keep)[1].astype(np.float64))
        found = np.empty((height, width), np.uint8)
        for row in range(0, height, _BAND):  # places take 20 bytes a pixel
            down = np.array([[1, 0, 0], [0, 1, row], [0, 0, 1]], np.float64)
            band = Placement((back @ down)[None].astype(np.float32), (min(_BAND, height - row), width))
            found[row : row + _BAND] = np.asarray(moved({TRUTH: self.classes[None]}, band)[TRUTH])[0]
        return found

    def rows(self) -> tuple[tuple[str, ...], list[tuple[str, str]]]:
        """A table for the terminal: names of its columns, and a row per class."""
        return ("class", "pixels"), [(name, f"{share:.2%}") for name, share in self.shares.items()]


def decode(
    outputs: Mapping[str, np.ndarray], card: ModelCard, *, limit: int = 5, names: Sequence[str] | None = None
) -> list[Mask]:
    """The mask of every example.

    Args:
        outputs: `logits` `(n, H, W, classes)`, what the form of the file has, or the only output of a foreign one.
        card: card with the names of the classes.
        limit: largest number of classes that are named.
        names: names of the examples; by default their numbers.
    """
    found = classes_of(answer(outputs, card))
    check_classes(found)
    found = found.astype(np.uint8)
    names = [str(number) for number in range(len(found))] if names is None else names
    known = names_of(card)
    return [Mask(name, _shares(classes, known, limit), classes) for name, classes in zip(names, found, strict=True)]


def within(mask: Mask, height: int, width: int, card: ModelCard, limit: int) -> Mask:
    """A mask whose shares are of the picture alone, without what fills the net's input beside it.

    Args:
        mask: answer to a picture that was resized.
        height: height of the picture that stands upright.
        width: its width.
        card: card of the model.
        limit: largest number of classes that are named.
    """
    plain = importlib.import_module("keras_resnet.signals.plain")  # array work of all libraries
    (top, left, high, wide), _ = plain.placed(height, width, mask.classes.shape, card.keep)
    down, across = mask.classes.shape
    rows = (top + np.arange(down + 1) * (high / down)).clip(0, height)  # edges of pixels, in the picture's
    columns = (left + np.arange(across + 1) * (wide / across)).clip(0, width)
    outside = ~np.logical_and.outer(np.diff(rows) > 0, np.diff(columns) > 0)
    if not outside.any():
        return mask
    classes = np.where(outside, np.uint8(VOID), mask.classes)
    return Mask(mask.image, _shares(classes, names_of(card), limit), classes)


def counted(classes: np.ndarray) -> np.ndarray:
    """Number of pixels by class, int64 `(classes,)`, up to the largest class that is there.

    Args:
        classes: class of every pixel, uint8; 255 for none.
    """
    return np.trim_zeros(np.bincount(classes.ravel(), minlength=256)[:VOID], "b")


def _shares(classes: np.ndarray, names: Sequence[str], limit: int) -> dict[str, float]:
    counts = counted(classes)
    order = [int(n) for n in np.argsort(-counts, kind="stable") if counts[n]][:limit]
    return {str(names[n]) if n < len(names) else str(n): float(counts[n] / counts.sum()) for n in order}


def numbers(card: ModelCard, count: int) -> Numbers:
    """What an app must know of the classes: their names and colours, and the form of the file.

    Args:
        card: card of the file.
        count: number of classes, where the card does not name them.
    """
    names = names_of(card) or tuple(map(str, range(count)))
    form = card.facts.get("form", "")
    return Numbers(output_of(form), "classes", names, {"form": form, "colours": colours(card, len(names)).tolist()})


def colours(card: ModelCard, count: int) -> np.ndarray:
    """A colour for every class, uint8 `(count, 3)`: those of the card, or hues that are far apart.

    Args:
        card: card of the model.
        count: number of classes.
    """
    known = card.facts.get("colours") or ()
    others = pictures.hues(count)
    return np.array([known[n] if n < len(known) else others[n] for n in range(count)], np.uint8).reshape(count, 3)


def palette(card: ModelCard, count: int) -> np.ndarray:
    """A colour for every value of a mask, uint8 `(256, 3)`: black where there is no class.

    Args:
        card: card of the model.
        count: number of classes.
    """
    return _filled_up(colours(card, count))


def _filled_up(colours: np.ndarray) -> np.ndarray:
    return np.pad(colours, ((0, 256 - len(colours)), (0, 0)))


def overlaid(pixels: np.ndarray, classes: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """An image with its mask over it, uint8 `(H, W, 3)`.

    Args:
        pixels: uint8 `(H, W, 1 or 3)`.
        classes: uint8 `(H, W)`; values beyond the colours leave the image as it is.
        colours: uint8 `(classes, 3)`.
    """
    image = np.broadcast_to(pixels, (*classes.shape, 3)).astype(np.float32)
    inside = classes < len(colours)
    painted = colours[np.where(inside, classes, 0)].astype(np.float32)
    mixed = np.where(inside[..., None], (1 - _ALPHA) * image + _ALPHA * painted, image)
    return mixed.round().astype(np.uint8)


def painted(pixels: np.ndarray, found: Mask, card: ModelCard) -> np.ndarray:
    """A picture with its mask over it, uint8 `(H, W, 3)`.

    Args:
        pixels: uint8 `(H, W, 1 or 3)`, all of the picture that was answered.
        found: mask.
        card: card with the colours of the classes.
    """
    mask = found.at(pixels.shape[0], pixels.shape[1], card.keep)
    return overlaid(pixels, mask, colours(card, max(len(names_of(card)), len(counted(mask)))))


def picture(mask: np.ndarray, colours: np.ndarray) -> Image.Image:
    """A mask as a picture with a palette: its values are the classes, 255 is black.

    Args:
        mask: uint8 `(H, W)`.
        colours: uint8 `(classes, 3)`.
    """
    from PIL import Image

    made = Image.fromarray(mask)
    made.putpalette(_filled_up(colours).ravel().tolist())
    return made


def draw(pixels: np.ndarray | Sequence[np.ndarray], predictions: Sequence[Mask], card: ModelCard) -> Figure:
    """Images with their masks over them, and a legend of the classes that are there.

    Args:
        pixels: uint8 `(n, H, W, 1 or 3)`, or a list of images of different sizes.
        predictions: mask of each image.
        card: card of the model.
    """
    from matplotlib.patches import Patch

    names = names_of(card)
    painted = colours(card, max(len(names), *(len(counted(each.classes)) for each in predictions)))
    columns = min(3, len(predictions))
    lines = -(-len(predictions) // columns)
    height, width = max(image.shape[0] for image in pixels), max(image.shape[1] for image in pixels)
    made = pictures.figure(4.2 * columns, (4.2 * height / width + 0.4) * lines + 0.6)
    for axes in (grid := made.subplots(lines, columns, squeeze=False)).flat:
        axes.axis("off")
    for axes, image, each in zip(grid.flat, pixels, predictions, strict=False):
        axes.imshow(overlaid(image, each.classes, painted), interpolation="nearest")
        axes.set_title(each.image, fontsize=9)
    there = sorted({int(n) for each in predictions for n in np.flatnonzero(counted(each.classes))})
    handles = [Patch(color=painted[n] / 255, label=str(names[n]) if n < len(names) else str(n)) for n in there]
    made.legend(handles=handles, loc="outside lower center", ncols=min(6, len(handles)), frameon=False, fontsize=9)
    return made
