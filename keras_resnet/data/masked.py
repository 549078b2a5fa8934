"""Pictures with masks: folders that people and published sets have, as splits; what cannot be right is refused."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from keras_resnet import machine
from keras_resnet.console import progress
from keras_resnet.data.dataset import Dataset, EncodedSplit, Files, Split
from keras_resnet.data.folder import find_unreadable
from keras_resnet.data.masks import NAMES, Legend, MaskFiles, decoded, palette, read_legend, settled
from keras_resnet.data.parts import complete, part_name
from keras_resnet.data.truth import VOID
from keras_resnet.errors import InputError
from keras_resnet.signals.fits import Keep
from keras_resnet.signals.table import get_signal
from keras_resnet.untrusted import visible

_log = logging.getLogger("keras_resnet")
_SUFFIXES = (".png", ".bmp", ".tif", ".tiff", ".gif", ".webp")  # of masks, which lose nothing

Pairs = list[tuple[Path, Path]]


def _pictures(folder: Path, suffixes: Sequence[str]) -> dict[str, Path]:
    """Pictures in a folder and below by their place without the suffix."""
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in suffixes and path.is_file() and not path.name.startswith("."):
            first = found.setdefault(str(path.relative_to(folder).with_suffix("")), path)
            if first != path:
                raise InputError(f"{path} and {first} have one name: expected one file for each")
    return found


def paired(images: Path, masks: Path) -> Pairs:
    """Pictures of a folder with the masks of the same names in another.

    Args:
        images: folder of pictures.
        masks: folder of masks.

    Raises:
        InputError: one has no partner: it is named.
    """
    here, there = _pictures(images, get_signal("image").suffixes), _pictures(masks, _SUFFIXES)
    for ours, theirs, kind, folder in ((here, there, "mask", masks), (there, here, "picture", images)):
        alone = [name for name in ours if name not in theirs]
        if alone:
            raise InputError(
                f"{ours[alone[0]]} has no {kind}: expected {folder / alone[0]}.* beside it "
                f"({len(alone)} of {len(ours)} have none)"
            )
    return [(path, there[name]) for name, path in here.items()]


def _subfolders(root: Path) -> dict[str, Path]:
    return {path.name: path for path in sorted(root.iterdir()) if path.is_dir()} if root.is_dir() else {}


def _plain(root: Path) -> dict[str, Pairs] | None:
    """`images/` and `masks/`, perhaps below `train`, `val` and `test`, or with these below them."""
    folders = _subfolders(root)
    if {"images", "masks"} <= set(folders):
        parts = _parts(_subfolders(folders["images"]), folders["images"])
        if "train" in parts:
            return {part: paired(path, folders["masks"] / path.name) for part, path in parts.items()}
        return {"train": paired(folders["images"], folders["masks"])}
    below = _parts(folders, root)
    inside = {part: path for part, path in below.items() if {"images", "masks"} <= set(_subfolders(path))}
    return (
        {part: paired(path / "images", path / "masks") for part, path in inside.items()} if "train" in inside else None
    )


def _parts(folders: Mapping[str, Path], root: Path) -> dict[str, Path]:
    """Folders by the part that their name means."""
    found: dict[str, Path] = {}
    for name, path in folders.items():
        if part := part_name(name):
            if part in found:
                raise InputError(f"{root} has {found[part].name} and {name}, which are both the {part} part")
            found[part] = path
    return found


def _camvid(root: Path) -> dict[str, Pairs] | None:
    """`train/` and `trainannot/`, as SegNet's copy of CamVid has them."""
    folders = _subfolders(root)
    parts = {name: part for name in folders if (part := part_name(name)) and f"{name}annot" in folders}
    if "train" not in parts.values():
        return None
    return {part: paired(folders[name], folders[f"{name}annot"]) for name, part in parts.items()}


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How a folder has pictures and masks.

    Attributes:
        summary: words for people.
        find: from the folder to pairs of files by part; None where it has another layout.
        legend: meaning of the values where no `classes.txt` says it.
    """

    summary: str
    find: Callable[[Path], dict[str, Pairs] | None]
    legend: Legend = field(default_factory=Legend)


_CAMVID = ("sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist")
LAYOUTS: dict[str, Layout] = {
    "folders": Layout(summary="images/ and masks/, or these below train, val and test", find=_plain),
    "camvid": Layout(
        summary="train/ and trainannot/, val/ and valannot/, test/ and testannot/",
        find=_camvid,
        legend=Legend(_CAMVID, void=(len(_CAMVID),)),
    ),
}


def is_one(root: Path) -> bool:
    """Whether a folder has one of the layouts; nothing is opened.

    Args:
        root: folder.
    """
    folders = set(_subfolders(root))
    if {"images", "masks"} <= folders or any(part_name(name) and f"{name}annot" in folders for name in folders):
        return True
    return any(part_name(name) and {"images", "masks"} <= set(_subfolders(root / name)) for name in folders)


def load(root: str | os.PathLike, image_shape: tuple[int, ...], keep: Keep = 1.0) -> Dataset:
    """Finds pictures with masks and divides them.

    Args:
        root: folder of a row of `LAYOUTS`; `classes.txt` in it names the classes.
        image_shape: `(height, width, channels)` that every picture gets, and its mask.
        keep: share of the central part's height and width that is used.

    Returns:
        A `Dataset` whose truth is `mask`.

    Raises:
        InputError: no such layout; a picture without a mask, a mask of another size, values or colours without a class.
    """
    root = Path(root)
    if image_shape[-1] not in (1, 3):
        raise InputError(f"pictures of a folder have 1 or 3 channels, the model takes {image_shape[-1]}")
    candidates = ((row, row.find(root)) for row in LAYOUTS.values())
    layout, found = next(((row, pairs) for row, pairs in candidates if pairs is not None), (None, {}))
    if layout is None or not found["train"]:
        expected = "; ".join(row.summary for row in LAYOUTS.values())
        raise InputError(f"{root} has no pictures with masks: expected {expected}")
    legend = read_legend(root / NAMES) if (root / NAMES).is_file() else layout.legend
    everything = [pair for pairs in found.values() for pair in pairs]
    bad = set(find_unreadable([image for image, _ in everything], image_shape))
    legend = checked(root, [pair for pair in everything if pair[0] not in bad], legend)
    splits: dict[str, Split] = {}
    for part, pairs in found.items():
        kept = [pair for pair in pairs if pair[0] not in bad]
        images, masks = tuple(image for image, _ in kept), tuple(mask for _, mask in kept)
        splits[part] = EncodedSplit(Files(images), {}, image_shape, keep, maps={"mask": MaskFiles(masks, legend)})
    whole = complete(splits)
    parts = whole["train"], whole["validation"], whole["test"]
    return Dataset(str(root), legend.names, image_shape, *parts, unreadable=tuple(sorted(bad)), truth="mask")


def checked(root: Path, pairs: Sequence[tuple[Path, Path]], legend: Legend) -> Legend:
    """Reads every mask, and names the first that cannot be right.

    Args:
        root: folder of the set, for messages.
        pairs: pictures and their masks.
        legend: meaning of the values; without names, the classes are the values up to the largest one.

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
        return replace(legend, names=tuple(map(str, range(largest + 1))), colours=palette(pairs[0][1], largest + 1))
    if largest >= len(legend.names):
        culprit = next(path for (values, path) in found if values[len(legend.names) : VOID].any())
        raise InputError(
            f"{culprit} has the value {largest}, and there are {len(legend.names)} classes, 0 to "
            f"{len(legend.names) - 1}: name it in {NAMES}, by a line 'void' where it means nothing"
        )
    absent = [name for name, there in zip(legend.names, seen, strict=False) if not there]
    if absent:
        names = ", ".join(map(visible, absent[:5])) + ", ..." * (len(absent) > 5)
        _log.warning("note: %s: no mask has %s", root, names)
    return legend if legend.colours else replace(legend, colours=palette(pairs[0][1], len(legend.names)))


def _values(image: Path, mask: Path, legend: Legend) -> tuple[np.ndarray, Path]:
    """Which classes a mask has, bool `(256,)`."""
    from PIL import Image

    classes = decoded(mask, legend)
    with Image.open(image) as picture:
        width, height = picture.size
    if classes.shape != (height, width):
        raise InputError(
            f"{mask} is {classes.shape[1]} x {classes.shape[0]} pixels and its picture {width} x {height}: expected "
            "the same size"
        )
    return np.bincount(classes.ravel(), minlength=256) > 0, mask
