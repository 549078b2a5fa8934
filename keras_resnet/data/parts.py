"""The three splits of data that people bring along: which part is which, and what becomes of missing ones."""

from __future__ import annotations

import numpy as np

from keras_resnet.data.dataset import Split
from keras_resnet.data.splits import divided, grouped
from keras_resnet.data.truth import strata
from keras_resnet.errors import InputError

_NAMES = {"train": "train", "validation": "validation", "val": "validation", "valid": "validation", "test": "test"}
_FRACTION, _MOST = 0.1, 10_000  # of the training images


def part_name(name: str) -> str | None:
    """`"train"`, `"validation"` or `"test"` for a folder or a file's part of that name, None for others."""
    return _NAMES.get(name.lower())


def complete(splits: dict[str, Split], groups: np.ndarray | None = None) -> dict[str, Split]:
    """Adds the parts that are missing.

    A second part without a third is the test, whatever it is called: ImageNet's `val` is what all published figures
    refer to, so nothing may be chosen on it. Parts that are still missing are taken from the training images, seeded
    and stratified where the truth allows it: a tenth each, at most 10,000.

    Args:
        splits: parts by name, at least `train`.
        groups: group of every training example, `(N,)`, none of which is divided; None for no groups.

    Returns:
        `train`, `validation` and `test`.

    Raises:
        InputError: a class, or the whole, has too few training images to take some away.
    """
    splits = dict(splits)
    if "test" not in splits and "validation" in splits:
        splits["test"] = splits.pop("validation")
    train = splits["train"]
    missing = [name for name in ("validation", "test") if name not in splits]
    if not missing:
        return splits
    classes = strata(train.truth)
    least = 1 if classes is None else _classes(classes, missing)  # stratification needs an image of every class
    if len(train) <= len(missing) * least:
        raise InputError(
            f"there are {len(train)} training examples: too few to take those for {' and '.join(missing)} from them"
        )
    size = max(least, min(_MOST, round(_FRACTION * len(train))))
    sizes = [size] * len(missing)
    if groups is not None and len(np.unique(groups)) <= len(missing):
        raise InputError(
            f"the training examples have {len(np.unique(groups))} groups: expected at least {len(missing) + 1}, as "
            f"whole groups are taken for {' and '.join(missing)}"
        )
    pieces = divided(len(train), classes, *sizes) if groups is None else grouped(groups, classes, *sizes)
    return {**splits, **{name: train.take(piece) for name, piece in zip(["train", *missing], pieces, strict=True)}}


def test_alone(splits: dict[str, Split]) -> dict[str, Split]:
    """The three parts of a set without training examples, which can only be evaluated.

    Args:
        splits: parts by name; the only one is the test, whatever it is called.

    Returns:
        `train` without examples, `validation` perhaps so too, and `test`.
    """
    splits = dict(splits)
    test = splits.pop("test") if "test" in splits else splits.pop("validation")
    none: Split = test.take(np.arange(0))
    return {"train": none, "validation": splits.get("validation", none), "test": test}


def _classes(labels: np.ndarray, missing: list[str]) -> int:
    """Number of classes, of which every one must have an image for every part."""
    labels, counts = np.unique(labels, return_counts=True)
    if counts.min() <= len(missing):
        raise InputError(
            f"class {labels[counts.argmin()]} has {counts.min()} training images: expected at least "
            f"{len(missing) + 1}, as those for {' and '.join(missing)} are taken from them"
        )
    return len(labels)
