"""Boxes in XML, as Pascal VOC has them: its own folders, pictures with .xml files of their own, and the Oxford pets."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_resnet import untrusted
from keras_resnet.data.objects import FoundThings, Thing, Things, numbers
from keras_resnet.data.pairs import by_part, listed, pictures, subfolders
from keras_resnet.data.truth import DIFFICULT, USUAL
from keras_resnet.errors import InputError
from keras_resnet.signals.table import get_signal
from keras_resnet.untrusted import visible

_MOST_BYTES = 16 << 20  # of a file of a picture: one of 2,000 objects has less than 1 MB
_SIDES = ("xmin", "ymin", "xmax", "ymax")
_log = logging.getLogger("keras_resnet")


def voc(root: Path) -> FoundThings | None:
    """A folder like `VOCdevkit/VOC2012`: `JPEGImages/`, `Annotations/`, `ImageSets/Main/`; without lists as a whole."""
    images, notes, lists = root / "JPEGImages", root / "Annotations", root / "ImageSets" / "Main"
    if not (images.is_dir() and notes.is_dir()):
        return None
    whole = "train" if (lists / "train.txt").is_file() else "trainval"
    names = {"train": whole, "validation": "val" if whole == "train" else "", "test": "test"}
    there = {part: lists / f"{name}.txt" for part, name in names.items() if name and (lists / f"{name}.txt").is_file()}
    if "train" not in there:
        if lists.is_dir() and any(lists.glob("*.txt")):
            raise InputError(f"{lists} has no train.txt and no trainval.txt: expected lists of names")
        return _named({"train": _beside(images, notes)})
    suffixes, others = get_signal("image").suffixes, dict[str, Path]()
    for path in sorted(images.rglob("*")):  # .JPG and .png too; VOC's own are .jpg
        if path.suffix.lower() in suffixes:
            others.setdefault(path.relative_to(images).with_suffix("").as_posix(), path)
    how: dict[str, Any] = {"ending": ".xml", "what": "box file", "others": others}
    parts = {part: listed(path, images, notes, may_lack=part == "test", **how) for part, path in there.items()}
    return _named({part: pairs for part, pairs in parts.items() if pairs})


def plain(root: Path) -> FoundThings | None:
    """Pictures with `.xml` files beside them, or `images/` and `annotations/*.xml`; these below parts, too."""
    below = by_part(subfolders(root), root)
    inside = {part: places for part, path in below.items() if (places := _places(path))}
    if "train" in inside:
        return _named({part: _beside(*places) for part, places in inside.items()})
    places = _places(root)
    return None if places is None else _named({"train": _beside(*places)})


def is_plain(root: Path) -> bool:
    """Whether a folder looks like that; nothing is opened."""
    return _places(root) is not None or any(
        _places(path) for name, path in subfolders(root).items() if name.lower() in ("train", "training")
    )


def _places(folder: Path) -> tuple[Path, Path] | None:
    """Where the pictures of a folder are, and their `.xml` files; None where there are none."""
    for name in ("annotations", "Annotations"):
        if (folder / "images").is_dir() and _has_xml(folder / name):
            return folder / "images", folder / name
    first = next(folder.glob("*.xml"), None) if folder.is_dir() else None
    suffixes = get_signal("image").suffixes
    if first is not None and any(each.suffix.lower() in suffixes for each in folder.iterdir()):
        return folder, folder
    return None


def _has_xml(folder: Path) -> bool:
    return folder.is_dir() and next(folder.glob("*.xml"), None) is not None


_NUMBER = re.compile(r"(\d+)$")
_TEST, _VALIDATION, _FIFTHS = 0, 1, 5


def pets(root: Path) -> FoundThings | None:
    """`images/` and `annotations/xmls/` of the Oxford-IIIT pets: pictures that have a box around a head.

    The number in a file's name says its part: a multiple of five is the test, the one behind it the validation.
    """
    images, notes = root / "images", root / "annotations" / "xmls"
    if not (images.is_dir() and notes.is_dir()):
        return None
    parts: dict[str, list[tuple[Path, Path | None]]] = {}
    for picture, file in _beside(images, notes, others=False):
        number = _NUMBER.search(picture.stem)
        if number is None:
            raise InputError(f"{picture}: expected a number at the end of its name, like Abyssinian_12.jpg")
        fifth = int(number[1][-1]) % _FIFTHS
        part = {_TEST: "test", _VALIDATION: "validation"}.get(fifth, "train")
        parts.setdefault(part, []).append((picture, file))
    return _named(parts)


def _beside(images: Path, notes: Path, *, others: bool = True) -> list[tuple[Path, Path | None]]:
    """Pictures of a folder with the `.xml` files of the same names; None for a picture that has none.

    Args:
        images: folder of pictures.
        notes: folder of `.xml` files.
        others: whether pictures without a file are pictures without objects; else they are left out.
    """
    here, there = pictures(images, get_signal("image").suffixes), pictures(notes, (".xml",))
    alone = [path for name, path in there.items() if name not in here]
    if alone:
        _log.warning(
            "note: %d files like %s have no picture, and are left out", len(alone), visible(alone[0].relative_to(notes))
        )
    lacking = [name for name in here if name not in there]
    if lacking:
        what = "count as pictures without objects" if others else "are left out"
        _log.warning("note: %d pictures of %s have no .xml file, and %s", len(lacking), images, what)
    return [(path, there.get(name)) for name, path in here.items() if others or name in there]


def _named(parts: Mapping[str, Sequence[tuple[Path, Path | None]]]) -> FoundThings:
    """The objects of pictures, and the names of their classes, sorted: VOC's own twenty are in that order."""
    read = {
        part: [(picture, None if file is None else _read(file)) for picture, file in pairs]
        for part, pairs in parts.items()
    }
    found = {thing[0] for pairs in read.values() for _, each in pairs if each for thing in each[1]}
    names = tuple(sorted(found))
    places = {name: place for place, name in enumerate(names)}

    def things(picture: Path, each: tuple[Things, list[tuple[str, Thing]]] | None) -> Things:
        if each is None:
            return Things(str(picture))
        head, objects = each
        own = tuple(Thing(thing.corners, places[name], thing.where, thing.flag) for name, thing in objects)
        return Things(head.origin, own, head.size)

    return FoundThings({part: [(p, things(p, each)) for p, each in pairs] for part, pairs in read.items()}, names)


def _read(path: Path) -> tuple[Things, list[tuple[str, Thing]]]:
    """What a file says of its picture, and its objects with the names of their classes."""
    root = _parsed(path)
    if root.tag != "annotation":
        raise InputError(f"{path} has the element {visible(root.tag)[:40]}: expected annotation, as Pascal VOC has it")
    size = [_whole(root, f"size/{side}") for side in ("height", "width")]
    known = (size[0], size[1]) if size[0] and size[1] else None
    return Things(str(path), size=known), list(_objects(root, path))  # sizes of 0 are those of tools that know none


def _parsed(path: Path) -> Any:
    """The root element, of a file without entities and of a usual size."""
    from xml.etree.ElementTree import ParseError

    from defusedxml import DefusedXmlException, ElementTree

    try:
        raw = untrusted.content(path, most=_MOST_BYTES)
        if len(raw) > _MOST_BYTES:
            raise InputError(f"{path} has more than {_MOST_BYTES:,} bytes: expected the boxes of a picture")
        return ElementTree.fromstring(raw, forbid_dtd=True)
    except DefusedXmlException as error:
        raise InputError(f"{path} declares entities or a document type, which are not read: remove them") from error
    except (ParseError, OSError, ValueError, LookupError, RecursionError) as error:
        raise InputError(f"{path} is no XML: {visible(error)[:200]}") from error


def _whole(root: Any, place: str) -> int:
    text = (root.findtext(place) or "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 7 else 0


def _objects(root: Any, path: Path) -> Iterator[tuple[str, Thing]]:
    """Objects; parts of an object, such as a person's hands, are none."""
    for number, item in enumerate(root.findall("object"), 1):
        name = (item.findtext("name") or "").strip()
        where = f"object {number}" + (f" ({visible(name)[:40]})" if name else "")
        if not name:
            raise InputError(f"{path}, {where}: expected a name of its class")
        texts = [(item.findtext(f"bndbox/{side}") or "").strip() for side in _SIDES]
        if not all(texts):
            raise InputError(f"{path}, {where}: expected bndbox with {', '.join(_SIDES)}")
        x1, y1, x2, y2 = numbers(texts, f"{path}, {where}")
        difficult = (item.findtext("difficult") or "0").strip() not in ("0", "")
        # Pixels from 1 on, the last one included; one whose ends are the same is a click, and not a pixel.
        corners = (x1 - 1 if x2 > x1 else x1, y1 - 1 if y2 > y1 else y1, x2, y2)
        yield name, Thing(corners, 0, where, DIFFICULT if difficult else USUAL)
