"""Augmentations of whole batches: a few gathers, several times faster than image by image.

Those that move pixels say where these come from, so that masks and boxes can follow (`data.truth.moved`).
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import numpy as np

from keras_resnet.data.colours import erase as erase
from keras_resnet.data.colours import jitter as jitter
from keras_resnet.data.mosaic import Mosaic
from keras_resnet.data.randaugment import DRAWS, rand_augment
from keras_resnet.data.steps import Augmentation as Augmentation
from keras_resnet.data.steps import Step as Step
from keras_resnet.data.steps import in_turn as in_turn
from keras_resnet.data.steps import unmoved as unmoved
from keras_resnet.errors import InputError, unknown_name
from keras_resnet.signals import geometry
from keras_resnet.signals.crops import random_box, scale_box, scene_box
from keras_resnet.signals.fits import GREY
from keras_resnet.signals.operations import operations
from keras_resnet.signals.placement import Placement

_ASPECT = 25 / 16  # largest of `zoomed`, divided by the smallest


def pad_crop(images, draws, pixels: int, flip: bool = False):
    """Pads with zeros, cuts out a window of the old size at random, and mirrors half of the images if wanted.

    The paper's augmentation for CIFAR (4 pixels and flip).

    Args:
        images: uint8 `(n, H, W, C)`.
        draws: uniform in [0, 1), `(n, 3)` or more.
        pixels: width of the padding on each side.
        flip: mirror left and right with probability one half.

    Returns:
        uint8 `(n, H, W, C)`, and their `Placement`.
    """
    xp, height, width = operations(images), images.shape[1], images.shape[2]
    padded = xp.pad(images, ((0, 0), (pixels, pixels), (pixels, pixels), (0, 0)))
    offsets = xp.cast(draws[:, :2] * (2 * pixels + 1), "int32")
    rows = offsets[:, :1] + xp.arange(height)
    columns = xp.arange(width)[None]
    if flip:
        columns = xp.where(draws[:, 2:3] < 0.5, columns[:, ::-1], columns)
    columns = offsets[:, 1:2] + columns
    padded = xp.gathered(padded, rows, axis=1)
    moved = xp.gathered(padded, columns, axis=2)
    step = columns[:, 1] - columns[:, 0] if width > 1 else xp.ones_like(columns[:, 0])
    matrix = geometry.stretched(step, columns[:, 0] - pixels, xp.ones_like(step), rows[:, 0] - pixels)
    return moved, Placement(matrix, (height, width))


def turn_flip(images, draws):
    """Turns by a random number of quarters, or of halves where height and width differ, and mirrors half of the images.

    For pictures without an up: through a microscope, from above. Nothing of them is cut off or resampled.

    Args:
        images: uint8 `(n, H, W, C)`.
        draws: uniform in [0, 1), `(n, 3)` or more: mirror left and right, top and bottom, along the diagonal.

    Returns:
        uint8 `(n, H, W, C)`, and their `Placement`.
    """
    xp, height, width = operations(images), images.shape[1], images.shape[2]
    across, down, diagonal = (draws[:, place] < 0.5 for place in range(3))
    if height == width:
        images = xp.where(diagonal[:, None, None, None], xp.transpose(images, (0, 2, 1, 3)), images)
    else:
        diagonal = xp.zeros_like(diagonal)
    images = xp.where(down[:, None, None, None], images[:, ::-1], images)
    images = xp.where(across[:, None, None, None], images[:, :, ::-1], images)
    column = _mirrored(across, width)  # of the input, or where the diagonal changes them its row
    row = _mirrored(down, height)
    zero = xp.zeros_like(draws[:, 0])
    straight = xp.stack([column[0], zero, column[1], zero, row[0], row[1], zero, zero], axis=1)
    changed = xp.stack([zero, row[0], row[1], column[0], zero, column[1], zero, zero], axis=1)
    return images, Placement(geometry.projective(xp.where(diagonal[:, None], changed, straight)), (height, width))


def _mirrored(whether, length: int):
    """Scale and shift of places along an axis."""
    xp = operations(whether)
    return xp.where(whether, -1.0, 1.0), xp.where(whether, length - 1.0, 0.0)


def affine(images, draws, degrees: float, zoom: float, pixels: float, outside: int = 0):
    """Rotates, scales and shifts about the centre, with bilinear interpolation.

    Args:
        images: uint8 `(n, H, W, C)`.
        draws: uniform in [0, 1), `(n, 4)`; 0.5 leaves an image as it is.
        degrees: largest rotation to either side.
        zoom: largest enlargement and reduction, a fraction.
        pixels: largest shift to either side.
        outside: value of what comes from outside, black by default.

    Returns:
        uint8 `(n, H, W, C)`, and their `Placement`.
    """
    xp, height, width = operations(images), images.shape[1], images.shape[2]
    unit = 2 * draws - 1
    angle = unit[:, 0] * (degrees * math.pi / 180)
    scale = 1 / (1 + unit[:, 1] * zoom)
    shift = unit[:, 2:4] * pixels
    transforms = _about_the_centre(height, width, xp.cos(angle) * scale, xp.sin(angle) * scale, shift)
    moved = xp.projected(images, transforms, outside)
    return moved, Placement(geometry.projective(transforms), (height, width))


def zoomed(images, draws, scales: tuple[float, float]):
    """Resizes by a random factor, keeps a random window of the old size, or lays the image down anywhere on grey.

    What `signals.crops.scene_box` does while an image is decoded, for images that are decoded already.

    Args:
        images: uint8 `(n, H, W, C)`.
        draws: uniform in [0, 1), `(n, 5)`: scale, row, column, aspect, and whether it is mirrored left and right.
        scales: smallest and largest factor, evenly in its logarithm; the aspect lies between 4/5 and 5/4.

    Returns:
        uint8 `(n, H, W, C)`, and their `Placement`.
    """
    xp, height, width = operations(images), images.shape[1], images.shape[2]
    low, high = map(math.log, scales)
    shrink, aspect = xp.exp(-(low + draws[:, 0] * (high - low))), xp.exp((draws[:, 3] - 0.5) * math.log(_ASPECT))
    scale_y, scale_x = shrink * aspect, shrink / aspect
    first_y, first_x = draws[:, 1] * height * (1 - scale_y), draws[:, 2] * width * (1 - scale_x)
    mirrored, zero = draws[:, 4] < 0.5, xp.zeros_like(shrink)
    shift_y, shift_x = first_y + scale_y / 2 - 0.5, first_x + scale_x / 2 - 0.5  # centres of pixels
    last_x = shift_x + (width - 1) * scale_x
    step_x, shift_x = xp.where(mirrored, -scale_x, scale_x), xp.where(mirrored, last_x, shift_x)
    transforms = xp.stack([step_x, zero, shift_x, zero, scale_y, shift_y, zero, zero], axis=1)
    moved = xp.projected(images, transforms, GREY)
    return moved, Placement(geometry.projective(transforms), (height, width))


def elastic(images, draws, degrees: float, pixels: float):
    """Turns about the centre and bends: places are shifted by a smooth random field; grey outside.

    For what has no fixed form, like cells (Simard et al. 2003; the U-Net paper, arXiv:1505.04597, has a grid of 3 x 3).

    Args:
        images: uint8 `(n, H, W, C)`.
        draws: uniform in [0, 1), `(n, ELASTIC)`; 0.5 leaves an image as it is.
        degrees: largest rotation to either side.
        pixels: largest shift of a node of the grid along an axis.

    Returns:
        uint8 `(n, H, W, C)`, and their `Placement`.
    """
    xp, height, width = operations(images), images.shape[1], images.shape[2]
    unit = 2 * draws - 1
    angle = unit[:, 0] * (degrees * math.pi / 180)
    nodes = xp.reshape(unit[:, 1:ELASTIC] * pixels, (-1, 2, _NODES, _NODES))
    field = xp.matmul(xp.matmul(_smooth(height)[None, None], nodes), _smooth(width).T[None, None])
    turned = geometry.projective(_about_the_centre(height, width, xp.cos(angle), xp.sin(angle), 0 * unit[:, :2]))
    placement = Placement(turned, (height, width), xp.transpose(field, (0, 2, 3, 1)))
    return geometry.bilinear(images, placement, GREY), placement


def _about_the_centre(height: int, width: int, cosine, sine, shift):
    """Turns, scaled and shifted, as `geometry.projective` takes them: from output pixels to input pixels, `(n, 8)`."""
    xp, x, y = operations(cosine), (width - 1) / 2, (height - 1) / 2
    zero = xp.zeros_like(cosine)
    rows = (
        *(cosine, -sine, x - cosine * (x + shift[:, 0]) + sine * (y + shift[:, 1])),
        *(sine, cosine, y - sine * (x + shift[:, 0]) - cosine * (y + shift[:, 1])),
        *(zero, zero),
    )
    return xp.stack(rows, axis=1)


_NODES = 4
ELASTIC = 1 + 2 * _NODES**2  # draws of `elastic`


def _smooth(length: int) -> np.ndarray:
    """Weights of the nodes for every place of an axis, float32 `(length, nodes)`: a cubic B-spline."""
    apart = np.abs(np.linspace(0, _NODES - 1, length)[:, None] - np.arange(_NODES)[None])
    near, far = 2 / 3 - apart**2 + apart**3 / 2, np.maximum(2 - apart, 0) ** 3 / 6
    return np.where(apart < 1, near, far).astype(np.float32)


NOTHING = Augmentation(signal=None)


def _crop_flip(images, draws):
    return pad_crop(images, draws, 4, flip=True)


def _affine(images, draws):
    return affine(images, draws, degrees=10, zoom=0.1, pixels=3)


_INCEPTION = partial(random_box, area=(0.08, 1.0))
_PHOTO = partial(random_box, area=(0.25, 1.0))  # larger parts, which are learned sooner (training/photos)
_SCALE = partial(scale_box, scales=(256 / 224, 480 / 224))
_SCENE = partial(scene_box, scales=(0.5, 2.0))  # of segmentation: DeepLab's
_OWN_SCENE = partial(scene_box, scales=(0.5, 2.0), own=True)
_SAMPLE = partial(scene_box, scales=(0.6, 1.7), own=True)  # pixels of a microscope mean a length
_OBJECTS = partial(scene_box, scales=(0.6, 1.7))  # of detection: most objects stay in sight
_COLOUR = (unmoved(partial(jitter, strength=0.3)), 3)


_zoomed = partial(zoomed, scales=(0.5, 2.0))
_zoomed_a_little = partial(zoomed, scales=(0.6, 1.7))


def _turned(images, draws):
    return affine(images, draws, degrees=10, zoom=0.0, pixels=0.0, outside=GREY)


def _moved_upright(images, draws):
    return affine(images, draws, degrees=0, zoom=0.3, pixels=12, outside=GREY)


def _bent(images, draws):
    return elastic(images, draws, degrees=30, pixels=8)


def _rand(magnitude: float) -> Step:
    return partial(rand_augment, magnitude=magnitude)


_ELASTIC_SAMPLE = in_turn((turn_flip, 3), (_bent, ELASTIC), _COLOUR)
_TURNED_OBJECTS = in_turn((turn_flip, 3), _COLOUR)  # of what has no up

AUGMENTATIONS: dict[str, Augmentation] = {
    "none": NOTHING,
    "affine": Augmentation(_affine),  # for digits: no mirror
    "crop-flip": Augmentation(_crop_flip),
    "crop-flip-erase": Augmentation(in_turn((_crop_flip, 4), (unmoved(erase), 5)), draws=9),
    "turn-flip": Augmentation(turn_flip),
    "crop-flip-rand5": Augmentation(
        in_turn((_crop_flip, 4), (_rand(5), 2 * DRAWS)), draws=4 + 2 * DRAWS, anywhere=False
    ),
    "scale-crop": Augmentation(box=_SCALE),
    "resized-crop": Augmentation(box=_INCEPTION),
    "photo": Augmentation(box=_PHOTO),
    # Of images that are decoded once, for nets whose accelerator is faster than any decoder.
    "zoom-flip": Augmentation(in_turn((_zoomed, 5), _COLOUR), draws=8),
    "zoom-turn": Augmentation(in_turn((turn_flip, 3), (_zoomed_a_little, 5), _COLOUR), draws=11),
    "scene": Augmentation(_COLOUR[0], draws=3, box=_SCENE),
    "scene-own": Augmentation(_COLOUR[0], draws=3, box=_OWN_SCENE),
    "scene-turn": Augmentation(in_turn((_turned, 4), _COLOUR), draws=7, box=_SCENE),
    "sample": Augmentation(_ELASTIC_SAMPLE, draws=6 + ELASTIC, box=_SAMPLE, bends=True),
    "zoom": Augmentation(_moved_upright),  # for scenes in memory whose objects have an up: no mirror
    "objects": Augmentation(_COLOUR[0], draws=3, box=_OBJECTS),
    "objects-turn": Augmentation(_TURNED_OBJECTS, draws=6, box=_OBJECTS),
    "resized-crop-jitter": Augmentation(unmoved(partial(jitter, strength=0.4)), draws=3, box=_INCEPTION),
    # RandAugment of magnitude 6 and 7: "ResNet strikes back" A3 and A2; 10: ResNet-RS at 160 pixels.
    "resized-crop-rand6": Augmentation(_rand(6), draws=2 * DRAWS, box=_INCEPTION, anywhere=False),
    "resized-crop-rand7": Augmentation(_rand(7), draws=2 * DRAWS, box=_INCEPTION, anywhere=False),
    "resized-crop-rand10": Augmentation(_rand(10), draws=2 * DRAWS, box=_INCEPTION, anywhere=False),
}


for _name in ("zoom", "zoom-flip", "zoom-turn", "objects", "objects-turn"):
    AUGMENTATIONS[f"{_name}-mosaic"] = replace(AUGMENTATIONS[_name], mosaic=Mosaic(), anywhere=False)


def get_augmentation(name: str, signal: str) -> Augmentation:
    """Returns the augmentation of that name.

    Args:
        name: row of `AUGMENTATIONS`.
        signal: row of `signals.table.SIGNALS` that it is for, that of the dataset.

    Raises:
        InputError: there is none of that name, or it is for another signal.
    """
    if name not in AUGMENTATIONS:
        raise unknown_name("augmentation", name, AUGMENTATIONS)
    row = AUGMENTATIONS[name]
    if row.signal not in (None, signal):
        fitting = ", ".join(each for each, other in AUGMENTATIONS.items() if other.signal in (None, signal))
        raise InputError(f"augmentation {name} is for the signal {row.signal}; for {signal} there is: {fitting}")
    return row
