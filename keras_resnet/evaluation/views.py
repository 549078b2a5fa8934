"""Several views of one image, whose answers are averaged: ten crops, scales, the mirror image."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import keras
import numpy as np

from keras_resnet.card import ModelCard
from keras_resnet.data import Split
from keras_resnet.data.dataset import EncodedSplit
from keras_resnet.data.pipeline import ahead, arrays_of
from keras_resnet.data.reading import read
from keras_resnet.data.splits import at_once
from keras_resnet.errors import InputError, unknown_name
from keras_resnet.evaluation.tiling import Tiles
from keras_resnet.lazily import tf
from keras_resnet.nets.graph import deep_graphs
from keras_resnet.runtime.interface import Runner
from keras_resnet.runtime.keras import KerasRunner
from keras_resnet.signals import image as image_lib
from keras_resnet.signals.table import get_signal
from keras_resnet.tasks import get_task
from keras_resnet.tasks.classification.ensembles import AVERAGES

_BATCH = 256
_KEEP = 0.875  # of the image that ten crops come from: 224 of 256, as in Krizhevsky et al. 2012
_SMALLEST = 8


@dataclass(frozen=True)
class Views:
    """Crops, sizes and mirror images of an image that a model sees.

    Attributes:
        crops: 1: the image as the model's card has it; 10: its four corners and its centre, each also mirrored
            (He et al. 2015, table 3). Of files, the model's size is cut out of a square that is 1 / 0.875 as large;
            images that come at the model's own size are padded with an eighth of zeros, as in training.
        scales: lengths of the shorter side in pixels; the whole image goes through the net, whose pooling averages
            over all positions (He et al. 2015, table 4). A net of masks sees the image in that size in tiles, and its
            scores are brought back.
        flip: the mirror image as well.
        average: what is averaged, one of `ensembles.AVERAGES`.
        tiles: how pictures of any size are divided for a net of masks, in place of being resized, and their mirror
            images too; None for no tiles.

    Raises:
        InputError: values out of range, or views that contain each other.
    """

    crops: int = 1
    scales: tuple[int, ...] = ()
    flip: bool = False
    average: str = "probabilities"
    tiles: Tiles | None = None

    def __post_init__(self) -> None:
        """Refuses what cannot be."""
        if self.crops not in (1, 10):
            raise InputError(f"crops={self.crops}: expected 1 or 10")
        if self.crops == 10 and self.flip:
            raise InputError("ten crops hold the mirror images already: leave out the flip")
        if self.crops == 10 and self.scales:
            raise InputError("scales show the whole image, crops parts of it: give one of them")
        if any(not isinstance(s, int) or s < _SMALLEST for s in self.scales):
            raise InputError(f"scales={self.scales}: expected whole numbers of pixels from {_SMALLEST}")
        if self.tiles and (self.crops != 1 or self.scales):
            raise InputError("tiles are not cut or scaled: leave out crops and scales")
        if self.average not in AVERAGES:
            raise unknown_name("average", self.average, AVERAGES)

    def __str__(self) -> str:
        """Words for tables."""
        parts = ["10 crops"] if self.crops == 10 else []
        parts += [f"scales {', '.join(map(str, self.scales))}"] if self.scales else []
        parts += ["with mirror image"] if self.flip else []
        parts += [f"tiles that overlap by {self.tiles.overlap}"] if self.tiles else []
        return ", ".join(parts) or "one view"


ONE = Views()


def check(card: ModelCard, views: Views) -> None:
    """Refuses views that the task or the signal of a model does not take.

    Args:
        card: card of the model.
        views: views that were asked for; tiles are checked by `tiles.check`.

    Raises:
        InputError: no such views, or crops and scales of what is answered pixel by pixel.
    """
    if replace(views, tiles=None) == ONE:
        return
    task = get_task(card.task)
    task.require("views")
    get_signal(card.signal).require("views")
    if hasattr(task.code, "mirrored") and views.crops != 1:
        raise InputError(
            f"task {task.name} answers for every pixel of the image that it sees: expected scales and the mirror image "
            f"(flip) as its other views, received {views}"
        )


def merged(card: ModelCard, answers: Sequence[Mapping[str, np.ndarray]], views: Views) -> dict[str, np.ndarray]:
    """One answer of those for all views.

    Args:
        card: card of the model.
        answers: outputs by name for each view; those for mirror images are the second half.
        views: the views.
    """
    code, half = get_task(card.task).capable, len(answers) // 2
    if views.flip and hasattr(code, "mirrored"):
        answers = [*answers[:half], *map(code.mirrored, answers[half:])]
    return code.merge(answers, average=views.average)


def ten_crops(images: np.ndarray, size: tuple[int, ...]) -> list[np.ndarray]:
    """Corners and centre, then the mirror images of these five.

    Args:
        images: examples, uint8 or float32 `(N, H, W, C)`.
        size: height and width of a crop, at most those of the images.

    Returns:
        Ten arrays `(N, *size, C)`.
    """
    (height, width), (h, w) = images.shape[1:3], size
    corners = [(0, 0), (0, width - w), (height - h, 0), (height - h, width - w), ((height - h) // 2, (width - w) // 2)]
    parts = [images[:, top : top + h, left : left + w] for top, left in corners]
    return parts + [part[:, :, ::-1] for part in parts]


# Views of a batch of images, each uint8 (n, h, w, C), and the truth of these images by kind.
Seen = tuple[list[np.ndarray], dict[str, np.ndarray]]


def batches_of_views(split: Split, views: Views, size: tuple[int, ...] | None) -> tuple[Iterable[Seen], int]:
    """All examples once, in order.

    Args:
        split: examples.
        views: crops, scales and mirror images of each example.
        size: spatial size of the model's input; None: it takes any.

    Returns:
        An iterator over batches, each of them a list of arrays `(n, ..., C)`, one per view, and the truth; and the
        number of batches.
    """
    count = len(split)
    if views.scales and isinstance(split, EncodedSplit):  # every image has its own shape
        return _mirrored(_whole_images(split, views.scales), views.flip), count
    steps = math.ceil(count / at_once(split, _BATCH))
    if views.scales:
        return _mirrored(_scaled(split, views.scales), views.flip), steps
    if views.crops == 10:
        if size is None:
            raise InputError("ten crops are cut to a model's size, and this one takes any: give scales")
        return _ten(split, size), steps
    return _mirrored((([pixels], truth) for pixels, truth in _batches(split)), views.flip), steps


def _batches(split: Split) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
    """Examples and their truth."""
    for arrays in arrays_of(split, at_once(split, _BATCH)):
        yield arrays.pop(split.key), arrays


def _mirrored(steps: Iterable[Seen], flip: bool) -> Iterator[Seen]:
    for pixels, truth in steps:
        yield pixels + [each[:, :, ::-1] for each in pixels] if flip else pixels, truth


def _ten(split: Split, size: tuple[int, ...]) -> Iterator[Seen]:
    if isinstance(split, EncodedSplit):
        shape = (*(round(length / _KEEP) for length in size), split.shape[-1])
        split = replace(split, shape=shape, keep=1.0)
    for images, truth in _batches(split):
        if images.shape[1:3] == tuple(size):
            margin = [(length // 8, length // 8) for length in size]
            images = np.pad(images, ((0, 0), *margin, (0, 0)))
        if images.shape[1] < size[0] or images.shape[2] < size[1]:
            raise InputError(f"the model takes images of {size}, the dataset has {images.shape[1:3]}")
        yield ten_crops(images, size), truth


def _scaled(split: Split, scales: tuple[int, ...]) -> Iterator[Seen]:
    for pixels, truth in _batches(split):
        yield [np.asarray(image_lib.scaled(pixels, shorter_side(pixels.shape[1:3], s))) for s in scales], truth


def _whole_images(split: EncodedSplit, scales: tuple[int, ...]) -> Iterator[Seen]:
    def decoded(index: tf.Tensor) -> tf.Tensor:
        return image_lib.decode(read(split.contents, index[None])[0], split.shape[-1])

    for number, image in enumerate(ahead(tf.data.Dataset.range(len(split)), decoded)):
        truth = {kind: values[number : number + 1] for kind, values in split.truth.items()}
        yield [image_lib.scaled(image[None], shorter_side(image.shape[:2], s)).numpy() for s in scales], truth


def shorter_side(shape: tuple[int, ...], length: int) -> tuple[int, int]:
    """Height and width of an image whose shorter side has another length.

    Args:
        shape: height and width as they are.
        length: pixels of the shorter side.
    """
    height, width = (max(length, round(side * length / min(shape))) for side in shape)
    return height, width


def of_any_size(runner: Runner) -> Runner:
    """Opens a network for images of any height and width.

    Args:
        runner: runner of a Keras model that ends in global pooling, or of a file whose input is open.

    Raises:
        InputError: the file has a fixed input, or a layer of the model needs one.
    """
    if None in runner.image_shape[:2]:
        return runner
    if not isinstance(runner, KerasRunner):
        raise InputError(
            f"scales need a network that takes any size; this file takes {runner.image_shape}: give the .keras model"
        )
    model = runner.model
    image = keras.Input((None, None, runner.image_shape[2]))
    try:
        with deep_graphs():
            clone = keras.models.clone_model(model, input_tensors=image)
        clone.set_weights(model.get_weights())
    except (ValueError, TypeError) as error:
        reason = str(error).strip().splitlines()[0][:200]
        raise InputError(f"scales need a network that takes any size, {model.name} does not: {reason}") from error
    return KerasRunner(clone, runner.card)
