"""COCO's JSON of things, as boxes or drawn as masks: as the set has it, as CVAT writes it, as Roboflow exports it."""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from keras_resnet import untrusted
from keras_resnet.data.legends import MOST, Legend
from keras_resnet.data.objects import MOST_NAMES, FoundThings, Thing, Things, numbers
from keras_resnet.data.outlines import Scene, Shape, area, corners, run_lengths
from keras_resnet.data.pairs import Found, inside, subfolders
from keras_resnet.data.parts import part_name
from keras_resnet.data.truth import CROWD, USUAL, VOID
from keras_resnet.errors import InputError
from keras_resnet.untrusted import visible

BACKGROUND = "background"  # the class of what no thing covers
_ONE = "_annotations.coco.json"  # Roboflow's, beside the pictures
_MOST_BYTES = 1 << 29  # of a file: instances_train2017.json has 470 MB
_MOST_SIDE = 1 << 16  # pixels
_OUTLINE = re.compile(rb'"segmentation"\s{0,99}:\s{0,99}(?:\[\s{0,99}\[|\{)')
_BOX = re.compile(rb'"bbox"\s{0,99}:')
_CHUNK, _OVERLAP = 1 << 24, 512  # bytes
_log = logging.getLogger("keras_resnet")


def files(root: Path) -> list[tuple[Path, Path]]:
    """Folders of pictures, each with its file of annotations.

    Args:
        root: folder of the set.
    """
    below = [folder for folder in (root, *subfolders(root).values()) if (folder / _ONE).is_file()]
    found = [(folder, folder / _ONE) for folder in below if folder == root or part_name(folder.name)]
    for file in sorted((root / "annotations").glob("instances_*.json")):
        name = file.stem.removeprefix("instances_")
        places = (root / name, root / "images" / name, root / "images")
        found.append((next((place for place in places if place.is_dir()), places[0]), file))
    return found


def has_boxes_alone(root: Path) -> bool:
    """Whether the files have boxes and no outlines, by their text; damaged ones have not.

    Args:
        root: folder of the set.
    """
    found = [_looked(file, file.stat().st_size, file.stat().st_mtime_ns) for _, file in files(root)]
    return any(boxes for _, boxes in found) and not any(outlines for outlines, _ in found)


@functools.lru_cache(maxsize=64)
def _looked(path: Path, size: int, changed: int) -> tuple[bool, bool]:
    """Whether a file as it is now has outlines, and boxes."""
    boxes, last = False, b""
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            if _OUTLINE.search(last + chunk):
                return True, True
            boxes = boxes or _BOX.search(last + chunk) is not None
            last = chunk[-_OVERLAP:]
    return False, boxes


Content = dict[str, list[dict[str, Any]]]


def _opened(root: Path) -> dict[str, tuple[Path, Path, Content]] | None:
    """The folder of pictures, the file and its content by part; None where there are no such files."""
    found = files(root)
    if not found:
        return None
    parts: dict[str, tuple[Path, Path]] = {}
    for folder, file in found:
        part = _part(root, folder, file)
        if part is None and len(found) > 1:
            raise InputError(f"{file}: expected train, val or test in its name, as there are {len(found)} such files")
        if (part or "train") in parts:
            raise InputError(f"{file} and {parts[part or 'train'][1]} are both the {part} part")
        parts[part or "train"] = folder, file
    return {part: (folder, file, _read(file)) for part, (folder, file) in parts.items()}


def find(root: Path) -> Found | None:
    """Pictures with their things; None where there are no such files.

    Args:
        root: folder of the set.

    Raises:
        InputError: a file is damaged, or names what is not there.
    """
    opened = _opened(root)
    if opened is None:
        return None
    names = _names({file: content["categories"] for _, file, content in opened.values()})
    count = len({*names.values(), BACKGROUND})
    if not 2 <= count <= MOST:
        raise InputError(f"{next(iter(opened.values()))[1]} has {count - 1} categories: expected 1 to {MOST - 1}")
    order = [
        BACKGROUND,
        *sorted({name for name in names.values() if name != BACKGROUND}, key=list(names.values()).index),
    ]
    values = {number: order.index(name) for number, name in names.items()}
    scenes = {part: list(_scenes(content, folder, file, values)) for part, (folder, file, content) in opened.items()}
    return Found(scenes, Legend(tuple(order), fixed=True), named=True)


def find_boxes(root: Path) -> FoundThings | None:
    """Pictures with the boxes of their things; None where there are no such files.

    Entries of pictures that are not there are left out, with a note, and their boxes.

    Args:
        root: folder of the set.

    Raises:
        InputError: a file is damaged, or has categories that are nowhere named.
    """
    opened = _opened(root)
    if opened is None:
        return None
    numbered = _names({file: content["categories"] for _, file, content in opened.values()})
    names = tuple(dict.fromkeys(numbered.values()))  # those of one name are one class
    if not 1 <= len(names) <= MOST_NAMES:
        raise InputError(f"{next(iter(opened.values()))[1]} has {len(names)} categories: expected 1 to {MOST_NAMES:,}")
    first = {name: number for number, name in reversed(numbered.items())}
    places = {number: names.index(name) for number, name in numbered.items()}
    parts = {part: _boxed(content, folder, file, places) for part, (folder, file, content) in opened.items()}
    return FoundThings(parts, names, tuple(first[name] for name in names), named=True)


def _part(root: Path, folder: Path, file: Path) -> str | None:
    if file.name == _ONE:
        return None if folder == root else part_name(folder.name)
    name = re.sub(r"[\d_.-]*$", "", file.stem.removeprefix("instances_"))
    return part_name(name)


def _read(path: Path) -> dict[str, list[dict[str, Any]]]:
    """The lists of a file."""
    if path.stat().st_size > _MOST_BYTES:
        raise InputError(f"{path} has {path.stat().st_size:,} bytes: expected at most {_MOST_BYTES:,}; divide it")
    try:
        content = untrusted.read_json(path, most=_MOST_BYTES)
    except (ValueError, OSError, RecursionError) as error:
        raise InputError(f"{path} cannot be read: {visible(error)[:200]}") from error
    lists = {name: content.get(name) if isinstance(content, dict) else None for name in _LISTS}
    for name, found in lists.items():
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
            raise InputError(f"{path}: expected a list of objects called {name}, as COCO has it")
    return lists  # type: ignore[return-value]  # all are lists now


_LISTS = ("images", "annotations", "categories")


def _number(entry: Mapping[str, Any], key: str, origin: str, most: int = 1 << 62) -> int:
    value = entry.get(key)
    if type(value) is not int or not 0 <= value <= most:
        raise InputError(f"{origin}: expected {key} to be a whole number from 0, received {visible(repr(value))[:80]}")
    return value


def _text(entry: Mapping[str, Any], key: str, origin: str) -> str:
    value = entry.get(key)
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{origin}: expected {key} to be a text, received {visible(repr(value))[:80]}")
    return value.strip()


def _names(categories: Mapping[Path, list[dict[str, Any]]]) -> dict[int, str]:
    """Names of the categories by their numbers, in the order of these; those of one name are one class."""
    names: dict[int, str] = {}
    for path, entries in categories.items():
        for place, entry in enumerate(entries):
            origin = f"{path}, categories[{place}]"
            number, name = _number(entry, "id", origin), _text(entry, "name", origin)
            if names.setdefault(number, name) != name:
                raise InputError(f"{origin}: {number} is {visible(name)[:80]}, and was {visible(names[number])[:80]}")
    return dict(sorted(names.items()))


def _pictures(content: Content, folder: Path, path: Path) -> dict[int, tuple[Path, tuple[int, int]]]:
    """Every picture of a file by its number, and its height and width."""
    found: dict[int, tuple[Path, tuple[int, int]]] = {}
    for place, entry in enumerate(content["images"]):
        origin = f"{path}, images[{place}]"
        number = _number(entry, "id", origin)
        size = _number(entry, "height", origin, _MOST_SIDE), _number(entry, "width", origin, _MOST_SIDE)
        if number in found:
            raise InputError(f"{origin}: the id {number} is there twice")
        found[number] = inside(folder, _text(entry, "file_name", origin), origin), size
    return found


def _annotations(
    content: Content, path: Path, images: Mapping[int, Any], known: Mapping[int, int]
) -> Iterator[tuple[str, int, int, dict[str, Any]]]:
    """Every annotation: where it is, the number of its picture, the place of its class, and itself."""
    for place, entry in enumerate(content["annotations"]):
        origin = f"{path}, annotations[{place}]"
        image, category = _number(entry, "image_id", origin), _number(entry, "category_id", origin)
        if image not in images:
            raise InputError(f"{origin} is of the picture {image}, which is not among the images")
        if category not in known:
            raise InputError(f"{origin} has the category {category}, which is not among the categories")
        if entry.get("iscrowd", 0) not in (0, 1):
            raise InputError(
                f"{origin}: expected iscrowd to be 0 or 1, received {visible(repr(entry['iscrowd']))[:80]}"
            )
        yield origin, image, known[category], entry


def _scenes(content: Content, folder: Path, path: Path, values: Mapping[int, int]) -> Iterator[tuple[Path, Scene]]:
    """Every picture of a file with its things."""
    pictures = _pictures(content, folder, path)
    for place, (picture, _) in enumerate(pictures.values()):
        if not picture.is_file():
            raise InputError(f"{path}, images[{place}] names {visible(picture)}, which is not there")
    shapes: dict[int, list[Shape]] = {number: [] for number in pictures}
    for origin, image, value, entry in _annotations(content, path, pictures, values):
        shapes[image].append(_shape(entry, value, pictures[image][1], origin))
    for number, (picture, size) in pictures.items():
        yield picture, Scene(f"{path}", tuple(shapes[number]), size)


def _boxed(content: Content, folder: Path, path: Path, places: Mapping[int, int]) -> list[tuple[Path, Things]]:
    """Every picture that is there, with the boxes of its things."""
    pictures = _pictures(content, folder, path)
    things: dict[int, list[Thing]] = {number: [] for number, (picture, _) in pictures.items() if picture.is_file()}
    gone = 0
    for number, (origin, image, kind, entry) in enumerate(_annotations(content, path, pictures, places)):
        if image not in things:
            gone += 1
            continue
        x, y, width, height = numbers(entry.get("bbox"), origin)
        area = entry.get("area")
        if area is not None and (type(area) not in (int, float) or not 0 <= area < _MOST_SIDE**2):
            raise InputError(f"{origin}: expected area to be a number from 0, received {visible(repr(area))[:80]}")
        flag = CROWD if entry.get("iscrowd") else USUAL
        things[image].append(Thing((x, y, x + width, y + height), kind, f"annotations[{number}]", flag, area))
    if len(things) < len(pictures):
        _log.warning(
            "note: %s: %d of %d pictures are not there (%s, ...): left out, and their %d annotations",
            *(path, len(pictures) - len(things), len(pictures)),
            *(visible(next(picture.name for number, (picture, _) in pictures.items() if number not in things)), gone),
        )
    return [(pictures[number][0], Things(f"{path}", tuple(own), pictures[number][1])) for number, own in things.items()]


def _shape(entry: Mapping[str, Any], value: int, size: tuple[int, int], origin: str) -> Shape:
    """A thing: polygons or run lengths. Those of a crowd mean nothing, as single things are not told apart there."""
    outline = entry.get("segmentation")
    value = VOID if entry.get("iscrowd") else value
    if isinstance(outline, dict):
        runs = run_lengths(outline, size, origin)
        return Shape(value, float(runs[1::2].sum()), runs=runs)
    if not isinstance(outline, list) or not outline:
        raise InputError(f"{origin} has no outline: expected polygons or run lengths as segmentation, not a box alone")
    polygons = tuple(corners(each, origin) for each in outline)
    return Shape(value, sum(map(area, polygons)), polygons)
