"""Polygons of YOLO's text files, drawn as masks: `data.yaml`, and a file of lines `class x y x y ...` a picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from keras_resnet import untrusted
from keras_resnet.data.coco import BACKGROUND
from keras_resnet.data.legends import MOST, Legend
from keras_resnet.data.outlines import MOST_POINTS, Scene, Shape, area, corners
from keras_resnet.data.pairs import Found, inside, lines, pictures, subfolders
from keras_resnet.data.parts import part_name
from keras_resnet.errors import InputError
from keras_resnet.signals.table import get_signal
from keras_resnet.untrusted import visible

FILES = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
_MOST_BYTES = 1 << 18  # of such a file: names of thousands of classes have less
_KNOWN = ("train", "val", "valid", "validation", "test")


def is_one(root: Path) -> bool:
    """Whether a folder has such a file, and labels; nothing is opened.

    Args:
        root: folder.
    """
    places = (root, *subfolders(root).values())
    return any((root / name).is_file() for name in FILES) and any((place / "labels").is_dir() for place in places)


def find(root: Path) -> Found | None:
    """Pictures with their things; None where there is no such file.

    Args:
        root: folder of the set.

    Raises:
        InputError: a file is damaged, or names what is not there.
    """
    path = next((root / name for name in FILES if (root / name).is_file()), None)
    if path is None:
        return None
    content = _read(path)
    names = _names(content.get("names"), path)
    base = _base(root, content.get("path"))
    parts: dict[str, list[tuple[Path, Scene]]] = {}
    for key in _KNOWN:
        part = part_name(key)
        if part and content.get(key):
            if part in parts:
                raise InputError(f"{path} has {key} twice, by another name: expected train, val and test")
            images = [each for place in _places(content[key], path) for each in _images(base, place, path)]
            parts[part] = [(image, _scene(image, root, names)) for image in images]
    _check_alone([image for pairs in parts.values() for image, _ in pairs], root)
    if "train" not in parts:
        raise InputError(f"{path}: expected train to name a folder of pictures")
    return Found(parts, Legend(names, fixed=True), named=True)


def _read(path: Path) -> dict[str, Any]:
    """The content of a YAML file, without the aliases that blow it up."""
    import yaml

    class Plain(yaml.SafeLoader):
        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise yaml.YAMLError("aliases are not read")
            return super().compose_node(parent, index)

    try:
        raw = untrusted.content(path, most=_MOST_BYTES)
        if len(raw) > _MOST_BYTES:
            raise InputError(f"{path} has more than {_MOST_BYTES:,} bytes: expected train, val, test and names")
        content = yaml.load(raw.decode("utf-8-sig"), Plain)  # noqa: S506  # a safe loader
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise InputError(f"{path} is no YAML: {visible(' '.join(str(error).split()))[:200]}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected train, val, test and names, received {type(content).__name__}")
    return content


def _names(value: Any, path: Path) -> tuple[str, ...]:
    """Names of the classes behind the background: of a list, or of an object by their numbers."""
    if isinstance(value, dict) and all(type(key) is int for key in value):
        value = [value.get(number) for number in range(len(value))]
    if not isinstance(value, list) or not all(type(each) in (str, int, float) for each in value):
        raise InputError(f"{path}: expected names to be a list of texts, or texts by number from 0")
    names = (BACKGROUND, *(str(each).strip() for each in value))
    if not 2 <= len(names) <= MOST:
        raise InputError(f"{path} has {len(names) - 1} names: expected 1 to {MOST - 1}")
    if len(set(names)) < len(names):
        twice = next(name for place, name in enumerate(names) if name in names[:place])
        raise InputError(f"{path} has the class {visible(twice)[:80]} twice; what nothing covers is {BACKGROUND}")
    return names


def _base(root: Path, value: Any) -> Path:
    """The folder that places are relative to: `path` of the file where that is below, else the file's own.

    It is often the place on another machine, or one beside, where `train` is within the file's folder all the same.
    """
    try:
        below = inside(root, value, "path") if isinstance(value, str) else root
    except InputError:
        below = root
    return below if below.is_dir() else root


def _places(value: Any, path: Path) -> Sequence[str]:
    found = [value] if isinstance(value, str) else value
    if not isinstance(found, list) or not found or not all(isinstance(each, str) for each in found):
        raise InputError(f"{path}: expected train, val and test to be folders or lists of pictures")
    return found


def _images(base: Path, name: str, path: Path) -> list[Path]:
    """Pictures of a folder, or those that a list has."""
    if name.startswith("../") and (base / name[3:]).exists():
        name = name[3:]  # Roboflow writes that for a folder beside the file, and YOLO's own programs read it so
    place, suffixes = inside(base, name, str(path)), get_signal("image").suffixes
    if place.is_dir():
        return list(pictures(place, suffixes).values())
    if not place.is_file() or place.suffix != ".txt":
        raise InputError(
            f"{path} names {visible(name)[:80]}: there is no such folder in {base}, and no list of pictures"
        )
    found = [inside(base, line, str(place)) for line in lines(place) if line]
    missing = [image for image in found if not image.is_file()]
    if missing:
        raise InputError(f"{place} names {visible(missing[0])}, which is not there")
    return found


def _labels(folder: Path, root: Path) -> Path:
    """The folder of labels of a folder of pictures: the last part of its path that is called images, as labels."""
    within = list(folder.relative_to(root).parts) if folder.is_relative_to(root) else list(folder.parts)
    for place in range(len(within) - 1, -1, -1):
        if within[place] == "images":
            return root.joinpath(*within[:place], "labels", *within[place + 1 :])
    return folder  # beside the pictures


def _check_alone(images: Sequence[Path], root: Path) -> None:
    """Refuses labels without a picture; a picture without labels shows nothing but background."""
    known = {_labels(image.parent, root) / f"{image.stem}.txt" for image in images}
    for folder in sorted({path.parent for path in known} - {image.parent for image in images}):
        alone = [path for path in sorted(folder.glob("*.txt")) if path not in known and path.name != "classes.txt"]
        if alone:
            raise InputError(f"{alone[0]} has no picture ({len(alone)} in {folder} have none)")


def _scene(image: Path, root: Path, names: Sequence[str]) -> Scene:
    """The things of a picture."""
    path = _labels(image.parent, root) / f"{image.stem}.txt"
    if not path.is_file():
        return Scene(str(path), relative=True)
    return Scene(str(path), tuple(_shapes(path, names)), relative=True)


def _shapes(path: Path, names: Sequence[str]) -> Iterator[Shape]:
    for number, line in enumerate(lines(path), 1):
        words, origin = line.split(maxsplit=2 * MOST_POINTS + 2), f"{path}, line {number}"
        if not words:
            continue
        if not (words[0].isascii() and words[0].isdigit() and len(words[0]) < 6 and int(words[0]) < len(names) - 1):
            raise InputError(
                f"{origin} has the class {visible(words[0])[:40]}: expected a number from 0 to {len(names) - 2}"
            )
        if len(words) == 5:
            raise InputError(f"{origin} has a box: expected a polygon, x and y of three corners or more")
        try:
            numbers = [float(word) for word in words[1 : 2 * MOST_POINTS + 2]]
        except ValueError:
            raise InputError(f"{origin}: expected numbers behind the class, shares of width and height") from None
        polygon = corners(numbers, origin)
        yield Shape(int(words[0]) + 1, area(polygon), (polygon,))
