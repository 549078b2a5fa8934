"""Pictures of any size seen by a net of one size: in overlapping tiles, whose answers are blended where they overlap.

No picture is resized: a tile has as many of its pixels as the net takes, and is grey beyond a small picture. That is
how a microscope's or a satellite's pictures are read, whose pixels mean a length.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from keras_resnet.data.dataset import EncodedSplit, Split
from keras_resnet.errors import InputError
from keras_resnet.evaluation.tiling import Tiles
from keras_resnet.evaluation.views import Views, merged, shorter_side
from keras_resnet.runtime.interface import Runner
from keras_resnet.signals import plain
from keras_resnet.signals.decoding import pixels
from keras_resnet.tasks import get_task
from keras_resnet.tasks.interface import sole
from keras_resnet.tasks.segmentation.forms import resized

_AT_ONCE = 8  # tiles that the net gets together
_MOST = 2_000_000_000  # bytes of the scores of a picture
_FARTHEST = 4  # times the size that a net has learned


def scores(runner: Runner, picture: np.ndarray, tiles: Tiles) -> np.ndarray:
    """A net's scores for every pixel of a picture, float32 `(H, W, classes)`.

    Args:
        runner: net of a fixed input whose output is a map of scores as large as that.
        picture: uint8 `(H, W, channels)`.
        tiles: how it is divided.

    Raises:
        InputError: the net gives no such map, or the picture is too large for the memory.
    """
    high, wide, _ = _shape(runner, tiles)
    height, width = picture.shape[:2]
    whole = plain.padded(picture, 0, 0, max(height, high), max(width, wide))
    places = [(y, x) for y in tiles.starts(height, high) for x in tiles.starts(width, wide)]
    weight = np.multiply.outer(_ramp(high, tiles.overlap), _ramp(wide, tiles.overlap))
    total = np.zeros((*whole.shape[:2], 1), np.float32)
    found: np.ndarray | None = None
    for first in range(0, len(places), _AT_ONCE):
        some = places[first : first + _AT_ONCE]
        batch = np.stack([whole[y : y + high, x : x + wide] for y, x in some])
        maps = np.asarray(sole(runner.run_unprepared(batch, runner.card.preprocess), "logits"))
        if maps.ndim != 4 or maps.shape[1:3] != (high, wide):
            raise InputError(
                f"tiles need a map of scores as large as the input, {high} x {wide}; the model gives {maps.shape[1:]}"
            )
        if found is None:
            if whole.shape[0] * whole.shape[1] * maps.shape[3] * 4 > _MOST:
                raise InputError(
                    f"a picture of {width} x {height} pixels with {maps.shape[3]} classes takes more than "
                    f"{_MOST / 1e9:.0f} GB of scores: cut it"
                )
            found = np.zeros((*whole.shape[:2], maps.shape[3]), np.float32)
        for (y, x), each in zip(some, maps, strict=True):
            found[y : y + high, x : x + wide] += weight[..., None] * each
            total[y : y + high, x : x + wide, 0] += weight
    assert found is not None  # there is always a tile
    return (found / total)[:height, :width]


def _ramp(length: int, overlap: int) -> np.ndarray:
    """Weight of the pixels along a tile: falls towards its ends over the overlap, float32."""
    apart = np.minimum(np.arange(length), np.arange(length)[::-1]) + 1
    return np.minimum(apart / (overlap + 1), 1).astype(np.float32)


def _shape(runner: Runner, tiles: Tiles) -> tuple[int, int, int]:
    """Height, width and channels of a tile."""
    shape = runner.example_shape
    if get_task(runner.card.task).truth != "mask":
        raise InputError(f"tiles go with the task segmentation; this is {runner.card.task}")
    if len(shape) != 3 or any(side is None for side in shape):
        raise InputError(f"tiles need a net of one size; this one takes {shape}")
    high, wide, channels = (int(side or 0) for side in shape)
    if not 0 <= tiles.overlap < min(high, wide):
        raise InputError(f"an overlap of {tiles.overlap} pixels: expected 0 to {min(high, wide) - 1}, below the tile's")
    return high, wide, channels


def check(runner: Runner, tiles: Tiles, side: int | None = None) -> None:
    """Refuses tiles that a net cannot take.

    Args:
        runner: net.
        tiles: how pictures are divided.
        side: side of a tile that was asked for; None for the net's.

    Raises:
        InputError: another task, a net of any size, another side than the net's, or too large an overlap.
    """
    high, wide, _ = _shape(runner, tiles)
    if side is not None and side not in (high, wide):
        raise InputError(f"--tile {side}: the net takes {high} x {wide} pixels; expected --tile {high}")


def check_scales(runner: Runner, scales: Sequence[int]) -> None:
    """Refuses scales that a net of masks cannot take.

    Args:
        runner: net.
        scales: lengths of the shorter side in pixels.

    Raises:
        InputError: a net of any size, or a scale beyond a quarter of the net's shorter side and its fourfold.
    """
    shorter = min(_shape(runner, Tiles(0))[:2])
    for scale in scales:
        if not shorter / _FARTHEST <= scale <= shorter * _FARTHEST:
            raise InputError(
                f"--scales {scale}: expected lengths of the shorter side, which is {shorter} pixels of the net's "
                f"input: {-(-shorter // _FARTHEST)} to {shorter * _FARTHEST}"
            )


def of_scale(runner: Runner, images: np.ndarray, scale: int) -> dict[str, np.ndarray]:
    """The scores of images that a net of one size sees larger or smaller, at the images' own size.

    Args:
        runner: net.
        images: uint8 `(n, H, W, channels)`, of the net's size.
        scale: pixels of the shorter side that they are seen at.
    """
    size = images.shape[1:3]
    seen = shorter_side(size, scale)
    if seen == size:
        return {"logits": np.asarray(sole(runner.run_unprepared(images, runner.card.preprocess), "logits"))}
    divided, other = Tiles(min(size) // 4), plain.scaled(images, seen)
    return {"logits": np.concatenate([resized(scores(runner, each, divided)[None], size) for each in other])}


def chunks(runner: Runner, split: Split, views: Views) -> Iterator[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
    """Scores and masks of whole pictures at their own size, one at a time, in the order of a split.

    Args:
        runner: net.
        split: pictures in files, with masks.
        views: how they are divided, and whether their mirror images are seen too.

    Raises:
        InputError: pictures that are no files.
    """
    if not isinstance(split, EncodedSplit) or "mask" not in split.maps:
        raise InputError("tiles go with pictures in files, a folder for instance")
    assert views.tiles is not None
    for index in range(len(split)):
        contents = split.contents.read(np.array([index]))[0]
        picture = pixels(contents, split.shape[-1], split.upright)
        seen = [picture, picture[:, ::-1]] if views.flip else [picture]
        answers = [{"logits": scores(runner, each, views.tiles)[None]} for each in seen]
        found = merged(runner.card, answers, views) if views.flip else answers[0]
        yield found, {"mask": split.maps["mask"].read(index)[None]}


def of_file(runner: Runner, path: Path, tiles: Tiles) -> dict[str, np.ndarray]:
    """The scores of a picture in a file, as the outputs of a batch of one.

    Args:
        runner: net.
        path: file.
        tiles: how the picture is divided.

    Raises:
        InputError: no picture.
    """
    channels = _shape(runner, tiles)[2]
    return {"logits": scores(runner, pixels(path.read_bytes(), channels), tiles)[None]}
