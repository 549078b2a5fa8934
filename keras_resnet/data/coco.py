"""COCO's JSON of things, drawn as masks: as the set has it, as CVAT writes it, and as Roboflow exports it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from keras_resnet import untrusted
from keras_resnet.data.legends import MOST, Legend
from keras_resnet.data.outlines import Scene, Shape, area, corners, run_lengths
from keras_resnet.data.pairs import Found, inside, subfolders
from keras_resnet.data.parts import part_name
from keras_resnet.data.truth import VOID
from keras_resnet.errors import InputError
from keras_resnet.untrusted import visible

BACKGROUND = "background"  # the class of what no thing covers
_ONE = "_annotations.coco.json"  # Roboflow's, beside the pictures
_MOST_BYTES = 1 << 29  # of a file: instances_train2017.json has 470 MB
_MOST_SIDE = 1 << 16  # pixels


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


def find(root: Path) -> Found | None:
    """Pictures with their things; None where there are no such files.

    Args:
        root: folder of the set.

    Raises:
        InputError: a file is damaged, or names what is not there.
    """
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
    contents = {part: _read(file) for part, (_, file) in parts.items()}
    names = _names({parts[part][1]: content["categories"] for part, content in contents.items()})
    order = [
        BACKGROUND,
        *sorted({name for name in names.values() if name != BACKGROUND}, key=list(names.values()).index),
    ]
    values = {number: order.index(name) for number, name in names.items()}
    scenes = {part: list(_scenes(content, *parts[part], values)) for part, content in contents.items()}
    return Found(scenes, Legend(tuple(order), fixed=True), named=True)


def _part(root: Path, folder: Path, file: Path) -> str | None:
    if file.name == _ONE:
        return None if folder == root else part_name(folder.name)
    name = re.sub(r"[\d_.-]*$", "", file.stem.removeprefix("instances_"))
    return part_name(name)


def _read(path: Path) -> dict[str, list[dict[str, Any]]]:
    """The lists of a file."""
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
    count = len({*names.values(), BACKGROUND})
    if not 2 <= count <= MOST:
        raise InputError(f"{next(iter(categories))} has {count - 1} categories: expected 1 to {MOST - 1}")
    return dict(sorted(names.items()))


def _scenes(
    content: Mapping[str, list[dict[str, Any]]], folder: Path, path: Path, values: Mapping[int, int]
) -> Iterator[tuple[Path, Scene]]:
    """Every picture of a file with its things."""
    found: dict[int, tuple[Path, tuple[int, int], list[Shape]]] = {}
    for place, entry in enumerate(content["images"]):
        origin = f"{path}, images[{place}]"
        number = _number(entry, "id", origin)
        size = _number(entry, "height", origin, _MOST_SIDE), _number(entry, "width", origin, _MOST_SIDE)
        picture = inside(folder, _text(entry, "file_name", origin), origin)
        if number in found:
            raise InputError(f"{origin}: the id {number} is there twice")
        if not picture.is_file():
            raise InputError(f"{origin} names {visible(picture)}, which is not there")
        found[number] = picture, size, []
    for place, entry in enumerate(content["annotations"]):
        origin = f"{path}, annotations[{place}]"
        image, category = _number(entry, "image_id", origin), _number(entry, "category_id", origin)
        if image not in found:
            raise InputError(f"{origin} is of the picture {image}, which is not among the images")
        if category not in values:
            raise InputError(f"{origin} has the category {category}, which is not among the categories")
        found[image][2].append(_shape(entry, values[category], found[image][1], origin))
    for picture, size, shapes in found.values():
        yield picture, Scene(f"{path}", tuple(shapes), size)


def _shape(entry: Mapping[str, Any], value: int, size: tuple[int, int], origin: str) -> Shape:
    """A thing: polygons or run lengths. Those of a crowd mean nothing, as single things are not told apart there."""
    outline = entry.get("segmentation")
    if entry.get("iscrowd", 0) not in (0, 1):
        raise InputError(f"{origin}: expected iscrowd to be 0 or 1, received {visible(repr(entry['iscrowd']))[:80]}")
    value = VOID if entry.get("iscrowd") else value
    if isinstance(outline, dict):
        runs = run_lengths(outline, size, origin)
        return Shape(value, float(runs[1::2].sum()), runs=runs)
    if not isinstance(outline, list) or not outline:
        raise InputError(f"{origin} has no outline: expected polygons or run lengths as segmentation, not a box alone")
    polygons = tuple(corners(each, origin) for each in outline)
    return Shape(value, sum(map(area, polygons)), polygons)
