"""Representative samples: never of the test split, class-balanced, seeded, and named by a hash."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from export.formats.table import SAMPLES
from keras_resnet.data import Split
from keras_resnet.errors import InputError
from keras_resnet.signals import image as images

_SEED = 2015
_SUFFIXES = {".png", ".jpg", ".jpeg"}


@dataclass(frozen=True)
class Samples:
    """Images whose activations set the quantization ranges.

    Attributes:
        pixels: uint8 `(n, H, W, C)`.
        origin: in words.
        indices: their positions in the training split; empty for a folder of images.
        skipped: training images that are test images too, and so were left out.
    """

    pixels: np.ndarray
    origin: str
    indices: tuple[int, ...] = ()
    skipped: int = 0

    @property
    def sha256(self) -> str:
        """Of the pixels, in order."""
        return hashlib.sha256(self.pixels.tobytes()).hexdigest()

    def to_json(self) -> dict[str, object]:
        """For the manifest."""
        return {
            "origin": self.origin,
            "images": len(self.pixels),
            "sha256": self.sha256,
            "indices": list(self.indices),
            "left_out_as_test_images": self.skipped,
        }


def _digests(pixels: np.ndarray) -> list[bytes]:
    return [hashlib.sha256(image.tobytes()).digest() for image in pixels]


def draw(split: Split, test: np.ndarray, count: int = SAMPLES) -> Samples:
    """Draws the samples: the same ones every time, the same number of every class as far as there are enough.

    Args:
        split: the training split.
        test: uint8 images of the test split; a training image that is among them is not drawn.
        count: how many; all there are if fewer.

    Returns:
        The samples.
    """
    rng = np.random.default_rng(_SEED)
    order = rng.permutation(len(split.labels))
    # Round robin over the classes: first the first image of every class in the shuffled order, then the second, ...
    turn = np.zeros(len(order), np.int64)
    for label in np.unique(split.labels):
        members = split.labels[order] == label
        turn[members] = np.arange(members.sum())
    order = order[np.argsort(turn, kind="stable")]
    known, chosen, kept, skipped = set(_digests(test)), [], [], 0
    for start in range(0, len(order), max(count, 1)):  # a second round only to replace what was left out
        batch = order[start : start + count]
        pixels = split.fetch(batch)[split.key]
        good = [digest not in known for digest in _digests(pixels)]
        room = count - len(chosen)
        skipped += good.count(False)
        kept += list(pixels[good][:room])
        chosen += batch[good][:room].tolist()
        if len(chosen) == count:
            break
    return Samples(np.stack(kept), "training images", tuple(chosen), skipped)


def read_folder(folder: Path, shape: tuple[int, int, int], test: np.ndarray, crop: float = 1.0) -> Samples:
    """The images of a folder, all of them, in the order of their names.

    Args:
        folder: of PNG and JPEG files; subfolders are looked into.
        shape: `(H, W, C)` that every image gets.
        test: uint8 images of the test split.
        crop: share of an image's central part that is used (`ModelCard.crop`).

    Raises:
        InputError: no images, or test images among them: a net calibrated on these looks better than it is.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES)
    if not paths:
        raise InputError(f"{folder} holds no PNG or JPEG files to calibrate with")
    pixels = np.stack([images.load(path, shape, crop) for path in paths])
    known = set(_digests(test))
    found = [path.name for path, digest in zip(paths, _digests(pixels), strict=True) if digest in known]
    if found:
        raise InputError(
            f"{len(found)} of the {len(paths)} images in {folder} are test images ({', '.join(found[:3])}, ...): "
            "calibrate with others, or the test figures mean nothing"
        )
    return Samples(pixels, f"the images in {folder}")
