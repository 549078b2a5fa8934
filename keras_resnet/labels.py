"""Class names: those of the named data sources, and of files. Light, so that the registry can be listed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_resnet import untrusted
from keras_resnet.errors import InputError

_MOST_BYTES = 4 << 20
DIGITS = tuple("0123456789")
CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_CIFAR100 = (
    "apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can "
    "castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin "
    "elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard "
    "lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear "
    "pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal "
    "shark shrew skunk skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank "
    "telephone television tiger tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm"
)
CIFAR100 = tuple(_CIFAR100.split())


def class_names(text: str | os.PathLike | Sequence[str], classes: int | None) -> tuple[str, ...]:
    """The names that `--classes` gives: a file (`read_labels`), or the names themselves with commas between.

    Args:
        text: path of a file, or like `"cat,dog"`; in Python also a list of names.
        classes: number of classes of the model; None for a model that leaves it open.

    Raises:
        InputError: no file, and no name for every class; a number, which tells no names.

    Example:
        >>> from keras_resnet.labels import class_names
        >>> class_names("cat, dog", 2)
        ('cat', 'dog')
    """
    if not isinstance(text, str | os.PathLike):
        names = tuple(map(str, text))
        if len(set(names)) < len(names) or len(names) != (classes or len(names)):
            raise InputError(f"classes: expected {classes or 'several'} different names, received {len(names)}")
        return names
    text = os.fspath(text)
    if Path(text).exists() or "," not in text:
        if text.isdecimal() and not Path(text).exists():
            raise InputError(f"--classes {text}: expected names, like cat,dog, or a file of them; not a number")
        return read_labels(text, classes)
    names = tuple(name.strip() for name in text.split(","))
    if not all(names) or len(set(names)) < len(names) or len(names) != (classes or len(names)):
        raise InputError(f"--classes {text}: expected {classes or 'several'} different names with commas between")
    return names


def read_labels(path: str | os.PathLike, classes: int | None) -> tuple[str, ...]:
    r"""The names of a model's classes, for models that carry none (those with public ImageNet weights).

    Args:
        path: a text file with a name per line, a JSON list of names, or Keras' `imagenet_class_index.json`.
        classes: number of classes of the model; None for a model that leaves it open.

    Returns:
        The names in the order of the model's outputs.

    Raises:
        InputError: no such file, or it has not a name for every class.

    Example:
        >>> from pathlib import Path
        >>> from keras_resnet.labels import read_labels
        >>> _ = Path("names.txt").write_text("cat\ndog\n")
        >>> read_labels("names.txt", 2)
        ('cat', 'dog')
    """
    path = Path(path)
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"it has {path.stat().st_size:,} bytes")
        text = path.read_text(encoding="utf-8-sig")
        lines = _names_in_json(untrusted.parse(text)) if path.suffix == ".json" else text.strip().splitlines()
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise InputError(
            f"{path}: expected a name per line, or JSON like Keras' imagenet_class_index.json ({error})"
        ) from error
    names = tuple(str(name).strip() for name in lines)
    if len(names) != (classes or len(names)) or not all(names):
        raise InputError(
            f"{path}: expected {classes} names, one for every class, received {len([n for n in names if n])}"
        )
    return names


def _names_in_json(value: Any) -> list[str]:
    """Names from a list, or from `{"0": ["n01440764", "tench"], ...}`."""
    if isinstance(value, list):
        return value
    return [value[str(index)][1] for index in range(len(value))]
