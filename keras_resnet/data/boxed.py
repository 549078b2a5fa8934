"""Pictures with boxes: folders and tables that people and published sets have, as splits; bad boxes are told."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.data import box_tables, coco, voc, yolo
from keras_resnet.data.dataset import Contents, Dataset, EncodedSplit, Files, Split
from keras_resnet.data.folder import find_unreadable
from keras_resnet.data.legends import NAMES, read_legend
from keras_resnet.data.objects import FoundThings, Things, dense, lies, note_turned, report, truth_of
from keras_resnet.data.parts import complete, test_alone
from keras_resnet.data.truth import CLASS
from keras_resnet.data.turning import heads_of
from keras_resnet.errors import InputError, unknown_name
from keras_resnet.signals.fits import Keep
from keras_resnet.untrusted import visible

_log = logging.getLogger("keras_resnet")


@dataclass(frozen=True, kw_only=True)
class BoxLayout:
    """How a folder has pictures and boxes.

    Attributes:
        summary: words for people.
        sign: whether a folder looks like it; nothing is opened.
        find: from the folder to its pictures and objects; None where it has another layout.
    """

    summary: str
    sign: Callable[[Path], bool]
    find: Callable[[Path], FoundThings | None]


LAYOUTS: dict[str, BoxLayout] = {
    "voc": BoxLayout(
        summary="JPEGImages/, Annotations/ and ImageSets/Main/ (Pascal VOC)",
        sign=lambda root: (root / "JPEGImages").is_dir() and (root / "Annotations").is_dir(),
        find=voc.voc,
    ),
    "pets": BoxLayout(
        summary="images/ and annotations/xmls/ (Oxford-IIIT pets)",
        sign=lambda root: (root / "images").is_dir() and (root / "annotations" / "xmls").is_dir(),
        find=voc.pets,
    ),
    "coco": BoxLayout(
        summary="annotations/instances_NAME.json and NAME/, or pictures with _annotations.coco.json (COCO)",
        sign=lambda root: bool(coco.files(root)),
        find=coco.find_boxes,
    ),
    "yolo": BoxLayout(
        summary="data.yaml, images/ and labels/ (YOLO)",
        sign=yolo.is_one,
        find=yolo.find_boxes,
    ),
    "xml": BoxLayout(
        summary="pictures with .xml files beside them, or images/ and annotations/*.xml; or these below parts",
        sign=voc.is_plain,
        find=voc.plain,
    ),
}


def is_one(root: Path) -> bool:
    """Whether a folder has one of the layouts; nothing is opened.

    Args:
        root: folder.
    """
    return any(row.sign(root) for row in LAYOUTS.values())


def load(
    root: str | os.PathLike,
    image_shape: tuple[int, ...],
    keep: Keep = 1.0,
    classes: Sequence[str] | None = None,
    test_only: bool = False,
) -> Dataset:
    """Finds pictures with boxes and divides them.

    Args:
        root: folder of a row of `LAYOUTS`; `classes.txt` in it names the classes in their order.
        image_shape: `(height, width, channels)` that every picture gets.
        keep: share of the central part's height and width that is used.
        classes: names of the classes in a model's order; by default those of the folder.
        test_only: whether a folder without a part to learn from is taken.

    Returns:
        A `Dataset` whose truth is `boxes`, with `frame` beside it.

    Raises:
        InputError: no such layout, a damaged file, classes without a name, or `objects.report` refuses its boxes.
    """
    root = Path(root)
    for row in LAYOUTS.values():
        if (found := row.find(root)) is not None:
            if not found.parts.get("train") and not (test_only and any(found.parts.values())):
                raise InputError(f"{root} has no pictures with boxes for training: expected {row.summary}")
            return assembled(str(root), _listed(root, found), image_shape, keep, classes)
    expected = "; ".join(row.summary for row in LAYOUTS.values())
    raise InputError(f"{root} has no pictures with boxes: expected {expected}")


def load_table(
    source: Any,
    image_shape: tuple[int, ...],
    keep: Keep = 1.0,
    *,
    columns: Mapping[str, str] | None = None,
    classes: Sequence[str] | None = None,
    root: Path | None = None,
    test_only: bool = False,
) -> Dataset:
    """Reads a table of boxes; see `box_tables.find`.

    Args:
        source: `.csv`, `.tsv` or `.jsonl` file, a folder that holds one, or a DataFrame.
        image_shape: `(height, width, channels)` that every picture gets.
        keep: share of the central part's height and width that is used.
        columns: the table's own names of columns by their meaning.
        classes: names of the classes in a model's order; by default those of the table.
        root: folder that files are relative to; by default the table's own.
        test_only: whether a table without training rows is taken, whose other parts may then be empty.

    Raises:
        InputError: see `box_tables.find` and `objects.report`.
    """
    table, found = box_tables.find(source, columns, root)
    if not found.parts.get("train") and not (test_only and found.parts.get("test")):
        raise InputError(f"{table.origin} has no row of the split train: expected some to learn from")
    return assembled(table.origin, found, image_shape, keep, classes)


def _listed(root: Path, found: FoundThings) -> FoundThings:
    """The classes as `classes.txt` has them, which may only rename where a set has its own list."""
    path = root / NAMES
    if not path.is_file():
        return found
    names = read_legend(path).names
    if not found.named:
        return in_order(str(path), found, names)
    if len(names) != len(found.names):
        raise InputError(
            f"{path} names {len(names)} classes, and the folder's layout has {len(found.names)}: expected another name "
            "for each, or no such file"
        )
    return FoundThings(found.parts, names, found.ids, named=True)


def in_order(origin: str, found: FoundThings, names: Sequence[str]) -> FoundThings:
    """The same with its classes in another order, among others perhaps.

    Args:
        origin: who says the names, for messages.
        found: pictures with objects.
        names: names of the classes.

    Raises:
        InputError: there are objects of a class that is not among the names.
    """
    used = {thing.kind for pairs in found.parts.values() for _, each in pairs for thing in each.things}
    for kind in sorted(used):
        if found.names[kind] not in names:
            raise unknown_name(f"class in {origin}", visible(found.names[kind]), names)
    places = {number: names.index(name) for number, name in enumerate(found.names) if name in names}

    def moved(each: Things) -> Things:
        things = tuple(type(t)(t.corners, places[t.kind], t.where, t.flag, t.area) for t in each.things)
        return replace(each, things=things)

    parts = {part: [(path, moved(each)) for path, each in pairs] for part, pairs in found.parts.items()}
    ids = dict(zip(found.names, found.ids, strict=False))
    known = tuple(ids[name] for name in names if name in ids)
    return FoundThings(parts, tuple(names), known if len(known) == len(names) else (), named=found.named)


def assembled(
    origin: str, found: FoundThings, image_shape: tuple[int, ...], keep: Keep, classes: Sequence[str] | None = None
) -> Dataset:
    """Makes the splits of pictures with objects.

    Args:
        origin: folder or table, for messages: the set's name.
        found: pictures with objects.
        image_shape: `(height, width, channels)` that every picture gets.
        keep: share of the central part's height and width that is used.
        classes: names of the classes in a model's order; by default the set's own.

    Raises:
        InputError: none of the pictures can be decoded, there are no boxes, or `objects.report` refuses them.
    """
    if image_shape[-1] not in (1, 3):
        raise InputError(f"pictures with boxes have 1 or 3 channels, the model takes {image_shape[-1]}")
    found = found if classes is None else in_order(origin, found, classes)
    bad = set(find_unreadable([path for pairs in found.parts.values() for path, _ in pairs], image_shape))
    parts = {part: [pair for pair in pairs if pair[0] not in bad] for part, pairs in found.parts.items()}
    if not any(parts.values()) or (found.parts.get("train") and not parts["train"]):
        raise InputError(
            f"{origin}: none of the pictures to learn from can be decoded; are they damaged, or of formats that are "
            "not read?"
        )
    contents = {part: Files(tuple(path for path, _ in pairs)) for part, pairs in parts.items()}
    kept = replace(found, parts=parts)
    return whole(origin, kept, contents, image_shape, keep, tuple(sorted(bad)))


def whole(
    origin: str,
    found: FoundThings,
    contents: Mapping[str, Contents],
    image_shape: tuple[int, ...],
    keep: Keep,
    bad: tuple[Path, ...] = (),
) -> Dataset:
    """Checks the boxes of pictures that can be decoded, and makes their splits.

    Args:
        origin: folder or table, for messages: the set's name.
        found: pictures with objects.
        contents: the same pictures by part.
        image_shape: `(height, width, channels)` that every picture gets.
        keep: share of the central part's height and width that is used.
        bad: pictures that were left out.

    Raises:
        InputError: there are no boxes, or `objects.report` refuses them.
    """
    known, problems, turned = {}, [], []
    for part, pairs in found.parts.items():
        pictures, things = [picture for picture, _ in pairs], [each for _, each in pairs]
        heads = heads_of(pictures)
        boxes, frame, wrong = truth_of(things, pictures, heads)
        known[part] = boxes, frame
        problems += wrong
        every_one = zip(pictures, things, heads, strict=True)
        turned += [(picture, lies(each, head)) for picture, each, head in every_one if head and head.is_turned]
    every = [each for boxes, _ in known.values() for each in boxes]
    report(origin, problems, sum(map(len, every)) + sum(each.dropped for each in problems))
    note_turned(origin, turned)
    _check(origin, found.names, every)
    most = max(map(len, every))
    splits: dict[str, Split] = {
        part: EncodedSplit(contents[part], {"boxes": dense(boxes, most), "frame": frame}, image_shape, keep)
        for part, (boxes, frame) in known.items()
    }
    return _dataset(origin, found, image_shape, splits, bad)


def _dataset(
    name: str, found: FoundThings, shape: tuple[int, ...], splits: dict[str, Split], bad: tuple[Path, ...] = ()
) -> Dataset:
    """The set of splits whose truth is `boxes`; parts that are missing are taken from the training pictures.

    Args:
        name: name of the set.
        found: names of its classes.
        shape: `(height, width, channels)` of every picture.
        splits: parts that there are; without one to learn from, the set is only tested on.
        bad: pictures that were left out.
    """
    splits = {part: each for part, each in splits.items() if len(each)}
    splits = complete(splits) if "train" in splits else test_alone(splits)
    three = splits["train"], splits["validation"], splits["test"]
    return Dataset(name, found.names, shape, *three, unreadable=bad, truth="boxes", ids=found.ids)


def _check(origin: str, names: Sequence[str], boxes: Sequence[np.ndarray]) -> None:
    """Refuses a set without boxes, and says which classes have none."""
    kinds = np.concatenate(boxes)[:, CLASS].astype(np.int64)
    if not len(kinds):
        raise InputError(f"{origin}: its {len(boxes):,} pictures have no box: expected some objects to learn")
    counts = np.bincount(kinds, minlength=len(names))
    absent = [name for name, count in zip(names, counts, strict=True) if not count]
    if absent:
        shown = ", ".join(visible(name)[:40] for name in absent[:5]) + ", ..." * (len(absent) > 5)
        _log.warning("note: %s: no box has the class %s", origin, shown)
