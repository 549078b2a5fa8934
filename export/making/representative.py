"""Representative samples: never of the test split, class-balanced, seeded, and named by a hash."""

from __future__ import annotations

import hashlib
from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from export.formats.artifacts import SAMPLES
from export.model.evidence import digest
from keras_resnet.data import Split
from keras_resnet.data.truth import strata
from keras_resnet.errors import InputError
from keras_resnet.signals.fits import Keep
from keras_resnet.signals.table import SIGNALS, Signal

_SEED = 2015


@dataclass(frozen=True)
class Samples:
    """Examples whose activations set the quantization ranges.

    Attributes:
        pixels: examples, dtype of the signal, `(n, ..., channels)`.
        origin: where they are from, in words.
        indices: positions in the training split; empty for a folder of files.
        skipped: number of training examples that are test examples too, and so were left out.
    """

    pixels: np.ndarray
    origin: str
    indices: tuple[int, ...] = ()
    skipped: int = 0

    @property
    def sha256(self) -> str:
        """Hash of the examples, in order."""
        return hashlib.sha256(self.pixels.tobytes()).hexdigest()

    def to_json(self) -> dict[str, object]:
        """Facts for the manifest."""
        return {
            "origin": self.origin,
            "images": len(self.pixels),
            "sha256": self.sha256,
            "indices": list(self.indices),
            "left_out_as_test_images": self.skipped,
        }


def _digests(examples: np.ndarray) -> list[bytes]:
    return [digest(example) for example in examples]


def draw(split: Split, known: Set[bytes], count: int = SAMPLES, noun: str = "images") -> Samples:
    """Draws samples: the same ones every time, as many of every class as there are, as far as there are enough.

    Args:
        split: training split.
        known: digests of the test examples (`Evidence.digests`); a training example that is among them is not drawn.
        count: number of samples; all there are if fewer.
        noun: what examples are called.

    Returns:
        The samples.

    Raises:
        InputError: there are no training examples, or all of them are test examples.
    """
    if not len(split):
        raise InputError(f"the data have no training {noun}: expected some to calibrate with, or --calibration FOLDER")
    order = np.random.default_rng(_SEED).permutation(len(split))
    # Round robin over the classes: first the first image of every class in the shuffled order, then the second, ...
    groups = strata(split.truth)
    groups = np.zeros(len(split), np.int64) if groups is None else groups
    turn = np.zeros(len(order), np.int64)
    for group in np.unique(groups):
        members = groups[order] == group
        turn[members] = np.arange(members.sum())
    order = order[np.argsort(turn, kind="stable")]
    chosen: list[int] = []
    kept: list[np.ndarray] = []
    skipped = 0
    for start in range(0, len(order), max(count, 1)):  # a second round only to replace what was left out
        batch = order[start : start + count]
        examples = split.fetch(batch)[split.key]
        good = [each not in known for each in _digests(examples)]
        room = count - len(chosen)
        skipped += good.count(False)
        kept += list(examples[good][:room])
        chosen += batch[good][:room].tolist()
        if len(chosen) == count:
            break
    if not kept:
        raise InputError(
            f"all {skipped} training {noun} are among the test {noun} too, with which nothing may be calibrated: "
            "expected others, or --calibration FOLDER"
        )
    return Samples(np.stack(kept), f"training {noun}", tuple(chosen), skipped)


def read_folder(
    folder: Path,
    shape: tuple[int, ...],
    known: Set[bytes],
    crop: Keep = 1.0,
    signal: Signal = SIGNALS["image"],
    noun: str = "images",
) -> Samples:
    """Reads the examples of a folder, all of them, in the order of their names.

    Args:
        folder: folder of files with the suffixes of the signal; subfolders are looked into.
        shape: shape that every example gets.
        known: digests of the test examples (`Evidence.digests`).
        crop: what of an image is used (`ModelCard.keep`).
        signal: row of `SIGNALS`.
        noun: what examples are called.

    Raises:
        InputError: no examples, or test examples among them: a net calibrated on these looks better than it is.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in signal.suffixes)
    if not paths:
        raise InputError(f"{folder} holds no {noun} to calibrate with (files that end in {', '.join(signal.suffixes)})")
    examples = np.stack([signal.code.load(path, shape, crop) for path in paths])
    found = [path.name for path, each in zip(paths, _digests(examples), strict=True) if each in known]
    if found:
        raise InputError(
            f"{len(found)} of the {len(paths)} {noun} in {folder} are test {noun} ({', '.join(found[:3])}, ...): "
            "calibrate with others, or the test figures mean nothing"
        )
    return Samples(examples, f"the {noun} in {folder}")
