"""Pictures with masks: folders that people and published sets have, as splits; what cannot be right is refused."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from keras_resnet import machine
from keras_resnet.console import progress
from keras_resnet.data import coco, published, yolo
from keras_resnet.data.dataset import Dataset, EncodedSplit, Files, Maps, Split
from keras_resnet.data.folder import find_unreadable, fingerprint
from keras_resnet.data.legends import NAMES, NOTHING, Legend, Reading, read_legend
from keras_resnet.data.masks import Encoded, MaskFiles, decoded, palette, settled, size_of
from keras_resnet.data.outlines import Drawn, Scene, sized
from keras_resnet.data.pairs import PARTS, Found, by_part, divided, paired, subfolders
from keras_resnet.data.parts import complete, part_name, test_alone
from keras_resnet.data.truth import VOID
from keras_resnet.errors import InputError
from keras_resnet.signals.fits import Keep
from keras_resnet.untrusted import visible

_log = logging.getLogger("keras_resnet")
_CHECKED: dict[bytes, Legend] = {}  # of this process, in which a plan and a training open the same folder


def _plain(root: Path) -> Found | None:
    """`images/` and `masks/`, perhaps below `train`, `val` and `test`, with these below them, or with a list."""
    folders = subfolders(root)
    if {"images", "masks"} <= set(folders):
        parts = by_part(subfolders(folders["images"]), folders["images"])
        is_flat = any(each.is_file() for each in folders["images"].iterdir())
        if "train" in parts or (parts and not is_flat):
            return Found({part: paired(path, folders["masks"] / path.name) for part, path in parts.items()})
        return Found(divided(root / PARTS, paired(folders["images"], folders["masks"])))
    below = by_part(folders, root)
    inside = {part: path for part, path in below.items() if {"images", "masks"} <= set(subfolders(path))}
    if not inside:
        return None
    return Found({part: paired(path / "images", path / "masks") for part, path in inside.items()})


def _is_plain(root: Path) -> bool:
    folders = subfolders(root)
    each = (set(folders), *(set(subfolders(path)) for name, path in folders.items() if part_name(name)))
    return any({"images", "masks"} <= names for names in each)


def _has(*places: str) -> Callable[[Path], bool]:
    return lambda root: all((root / place).exists() for place in places)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How a folder has pictures and masks.

    Attributes:
        summary: words for people.
        sign: whether a folder looks like it; of the files at most the form of the first entries is looked at.
        find: from the folder to its pictures and masks; None where it has another layout.
        dummies: parts whose masks may all be void, as the publisher keeps the true ones: they are left out then.
    """

    summary: str
    sign: Callable[[Path], bool]
    find: Callable[[Path], Found | None]
    dummies: tuple[str, ...] = ()


LAYOUTS: dict[str, Layout] = {
    "folders": Layout(
        summary="images/ and masks/, or these below train, val and test",
        sign=_is_plain,
        find=_plain,
    ),
    "camvid": Layout(
        summary="train/ and trainannot/, val/ and valannot/, test/ and testannot/",
        sign=lambda root: any(part_name(name) and (root / f"{name}annot").is_dir() for name in subfolders(root)),
        find=published.camvid,
    ),
    "voc": Layout(
        summary="JPEGImages/, SegmentationClass/ and ImageSets/Segmentation/ (Pascal VOC)",
        sign=_has("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"),
        find=published.voc,
    ),
    "cityscapes": Layout(
        summary="leftImg8bit/ and gtFine/ (Cityscapes)",
        sign=_has("leftImg8bit", "gtFine"),
        find=published.cityscapes,
        dummies=("test",),
    ),
    "ade20k": Layout(
        summary="images/training/ and annotations/training/ (ADE20K)",
        sign=_has("images/training", "annotations/training"),
        find=published.ade20k,
    ),
    "pets": Layout(
        summary="images/, annotations/trimaps/ and annotations/trainval.txt (Oxford-IIIT pets)",
        sign=_has("images", "annotations/trimaps", "annotations/trainval.txt"),
        find=published.pets,
    ),
    "coco": Layout(
        summary="annotations/instances_NAME.json and NAME/, or pictures with _annotations.coco.json (COCO)",
        sign=lambda root: bool(coco.files(root)) and not coco.has_boxes_alone(root),
        find=coco.find,
    ),
    "yolo": Layout(
        summary="data.yaml, images/ and labels/ of polygons (YOLO)",
        sign=lambda root: yolo.is_one(root) and not yolo.has_boxes_alone(root),
        find=yolo.find,
    ),
}


def is_one(root: Path) -> bool:
    """Whether a folder has one of the layouts, by its files' names, and of COCO and YOLO by the form of their entries.

    Args:
        root: folder.
    """
    return any(row.sign(root) for row in LAYOUTS.values())


def load(
    root: str | os.PathLike,
    image_shape: tuple[int, ...],
    keep: Keep = 1.0,
    reading: Reading = NOTHING,
    test_only: bool = False,
) -> Dataset:
    """Finds pictures with masks and divides them.

    Args:
        root: folder of a row of `LAYOUTS`; `classes.txt` in it names the classes.
        image_shape: `(height, width, channels)` that every picture gets, and its mask.
        keep: share of the central part's height and width that is used.
        reading: what is said of the masks' values besides.
        test_only: whether a folder without a part to learn from is taken.

    Returns:
        A `Dataset` whose truth is `mask`.

    Raises:
        InputError: no such layout; a picture without a mask, a mask of another size, values or colours without a class.
    """
    root = Path(root)
    if image_shape[-1] not in (1, 3):
        raise InputError(f"pictures of a folder have 1 or 3 channels, the model takes {image_shape[-1]}")
    row, found = _found(root, test_only)
    legend = _legend(root, found, reading)
    everything = [pair for pairs in found.parts.values() for pair in pairs]
    bad = set(find_unreadable([image for image, _ in everything], image_shape))
    parts = {part: [pair for pair in pairs if pair[0] not in bad] for part, pairs in found.parts.items()}
    maps: dict[str, Maps]
    if isinstance(everything[0][1], Scene):
        parts = {part: sized(pairs) for part, pairs in parts.items()}
        drawn = {part: Drawn(tuple(scene for _, scene in pairs), legend) for part, pairs in parts.items()}
        check_drawn(root, drawn.values(), legend)
        maps = {**drawn}
    else:
        parts = {part: pairs for part, pairs in parts.items() if part not in row.dummies or _means(part, pairs, legend)}
        legend = _checked_once(root, [pair for pairs in parts.values() for pair in pairs], legend, reading)
        maps = {part: MaskFiles(tuple(mask for _, mask in pairs), legend) for part, pairs in parts.items()}
    splits: dict[str, Split] = {}
    for part, pairs in parts.items():
        images = Files(tuple(image for image, _ in pairs))
        splits[part] = EncodedSplit(images, {}, image_shape, keep, maps={"mask": maps[part]})
    whole = complete(splits) if splits.get("train") else test_alone(splits)
    ready = whole["train"], whole["validation"], whole["test"]
    return Dataset(str(root), legend.names, image_shape, *ready, unreadable=tuple(sorted(bad)), truth="mask")


def _found(root: Path, test_only: bool) -> tuple[Layout, Found]:
    for row in LAYOUTS.values():
        if (found := row.find(root)) is not None:
            if not found.parts.get("train") and not (test_only and any(found.parts.values())):
                raise InputError(f"{root} has no pictures with masks for training: expected {row.summary}")
            return row, found
    expected = "; ".join(row.summary for row in LAYOUTS.values())
    raise InputError(f"{root} has no pictures with masks: expected {expected}")


def _legend(root: Path, found: Found, reading: Reading) -> Legend:
    """The meaning of the values: that of `classes.txt`, which may only rename where a set has its own."""
    path = root / NAMES
    if not path.is_file():
        return reading.of(found.legend)
    legend = read_legend(path)
    if not found.named:
        return reading.of(legend, listed=True)
    if len(legend.names) != len(found.legend.names):
        raise InputError(
            f"{path} names {len(legend.names)} classes, and the folder's layout has {len(found.legend.names)}: "
            "expected another name for each, or no such file"
        )
    colours = legend.colours or found.legend.colours
    return reading.of(replace(found.legend, names=legend.names, colours=colours))


def _means(part: str, pairs: Sequence[tuple[Path, Path]], legend: Legend) -> bool:
    """Whether a part has a mask that is not void."""
    if any((decoded(mask, legend) != VOID).any() for _, mask in pairs):
        return True
    _log.warning("note: the %s part is left out: its %d masks are void, as its publisher keeps them", part, len(pairs))
    return False


def _checked_once(root: Path, pairs: Sequence[tuple[Path, Path]], legend: Legend, reading: Reading) -> Legend:
    """The same as `checked`; files that were checked and are as they were are not read again."""
    key = fingerprint([path for pair in pairs for path in pair], root, legend, reading)
    if key not in _CHECKED:
        _CHECKED[key] = checked(root, pairs, legend, reading)
    return _CHECKED[key]


def checked(root: Path, pairs: Sequence[tuple[Encoded, Encoded]], legend: Legend, reading: Reading = NOTHING) -> Legend:
    """Reads every mask, and names the first that cannot be right.

    Args:
        root: folder of the set, for messages.
        pairs: pictures and their masks.
        legend: meaning of the values; without names, the classes are the values up to the largest one.
        reading: what a person said besides, which is in the legend already.

    Returns:
        The legend, with names.

    Raises:
        InputError: a mask has another size than its picture, a value or a colour without a class, or all are void.
    """
    if not pairs:
        raise InputError(
            f"{root}: none of the pictures can be decoded; are they damaged, or of formats that are not read?"
        )
    legend = settled([mask for _, mask in pairs], legend)
    if legend.by_colour and reading.shift:
        raise InputError(
            f"{root}: reduce_zero_label moves values, and these masks have colours: leave it out, and write void "
            f"before a colour of {NAMES} that means nothing"
        )
    with ThreadPoolExecutor(machine.cores()) as pool:
        looked = pool.map(lambda pair: _values(pair[0], pair[1], legend), pairs)
        found = list(progress(looked, "checking masks", len(pairs)) if len(pairs) > 500 else looked)
    seen = np.logical_or.reduce([values for values, _ in found])
    largest = int(np.flatnonzero(seen[:VOID]).max(initial=-1))
    if largest < 0:
        raise InputError(f"{root}: all of the {len(pairs)} masks are void: is {NAMES} that of other masks?")
    if seen[:VOID].sum() < 2:
        only = legend.names[largest] if largest < len(legend.names) else largest
        raise InputError(f"{root}: all masks have the class {only} alone, and void: expected two classes or more")
    if not legend.names:
        values = tuple(value for value in range(largest + 1) if value not in legend.void)
        shown = palette(pairs[0][1], largest + 1)
        colours = tuple(shown[value] for value in values if shown)
        return replace(legend, names=tuple(map(str, values)), colours=colours, values=values if legend.void else ())
    if largest >= len(legend.names):
        culprit = next(path for (values, path) in found if values[len(legend.names) : VOID].any())
        raise InputError(
            f"{culprit} has the value {largest}, and there are {len(legend.names)} classes, 0 to "
            f"{len(legend.names) - 1}: name it in {NAMES}, by a line 'void' where it means nothing"
        )
    _note_absent(root, legend, seen)
    if legend.colours:
        return legend
    shown = palette(pairs[0][1], 1 + max(legend.values or range(len(legend.names))))
    return replace(legend, colours=tuple(shown[value] for value in legend.values or range(len(legend.names)) if shown))


def _note_absent(root: Path, legend: Legend, seen: np.ndarray) -> None:
    absent = [name for name, there in zip(legend.names, seen, strict=False) if not there]
    if absent:
        names = ", ".join(map(visible, absent[:5])) + ", ..." * (len(absent) > 5)
        _log.warning("note: %s: no mask has %s", root, names)


def check_drawn(root: Path, maps: Iterable[Drawn], legend: Legend) -> None:
    """Refuses things that teach nothing.

    Args:
        root: folder of the set, for messages.
        maps: things of all pictures.
        legend: meaning of their values.

    Raises:
        InputError: there are none that mean something, or of one class alone.
    """
    values = {shape.value for each in maps for scene in each.scenes for shape in scene.shapes}
    seen = np.bincount(legend.lookup()[[0, *values]], minlength=256) > 0
    if seen[:VOID].sum() < 2:
        raise InputError(
            f"{root}: all pictures have {', '.join(map(visible, np.array(legend.names)[seen[: len(legend.names)]]))} "
            "alone, and void: expected things of a class or more"
        )
    _note_absent(root, legend, seen)


def _values(image: Encoded, mask: Encoded, legend: Legend) -> tuple[np.ndarray, Encoded]:
    """Which classes a mask has, bool `(256,)`."""
    classes = decoded(mask, legend)
    size = size_of(image)
    if size is not None and classes.shape != size:
        raise InputError(
            f"{mask} is {classes.shape[1]} x {classes.shape[0]} pixels and its picture {size[1]} x {size[0]}: expected "
            "the same size"
        )
    return np.bincount(classes.ravel(), minlength=256) > 0, mask
