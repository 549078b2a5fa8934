"""YOLO's text files, boxes or polygons drawn as masks: `data.yaml`, and lines `class x y x y ...` for every picture."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from keras_resnet import untrusted
from keras_resnet.data.coco import BACKGROUND
from keras_resnet.data.legends import MOST, Legend
from keras_resnet.data.objects import MOST_NAMES, FoundThings, Thing, Things, numbers
from keras_resnet.data.outlines import MOST_POINTS, Scene, Shape, area, corners
from keras_resnet.data.pairs import Found, inside, lines, pictures, subfolders
from keras_resnet.data.parts import part_name
from keras_resnet.errors import InputError
from keras_resnet.signals.table import get_signal
from keras_resnet.untrusted import visible

FILES = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
_MOST_BYTES = 1 << 18  # of such a file: names of thousands of classes have less
_LOOKED = 200  # files that are looked into for a first line
_BOX_WORDS = 5  # class, centre, width and height
_KNOWN = ("train", "val", "valid", "validation", "test")


def is_one(root: Path) -> bool:
    """Whether a folder has such a file, and labels; nothing is opened.

    Args:
        root: folder.
    """
    places = (root, *subfolders(root).values())
    return any((root / name).is_file() for name in FILES) and any((place / "labels").is_dir() for place in places)


def has_boxes_alone(root: Path) -> bool:
    """Whether the first line of the labels is a box; where there is none, or it cannot be read, it is not.

    Args:
        root: folder of the set.
    """
    places = [place / "labels" for place in (root, *subfolders(root).values()) if (place / "labels").is_dir()]
    found = (_begins_with_box(place, place.stat().st_mtime_ns) for place in places)
    return next((each for each in found if each is not None), False)


@functools.lru_cache(maxsize=64)
def _begins_with_box(folder: Path, changed: int) -> bool | None:
    """Whether the first line below a folder as it is now is a box; None where there is none."""
    try:
        for path in sorted(folder.rglob("*.txt"))[:_LOOKED]:
            if line := next(filter(None, lines(path)), ""):
                return len(line.split(maxsplit=_BOX_WORDS)) == _BOX_WORDS
    except InputError:
        return False
    return None


def _opened(root: Path) -> tuple[Path, tuple[str, ...], dict[str, list[Path]]] | None:
    """The file, names of the classes, and pictures by part; None where there is no such file."""
    path = next((root / name for name in FILES if (root / name).is_file()), None)
    if path is None:
        return None
    content = _read(path)
    names = _names(content.get("names"), path)
    base = _base(root, content.get("path"))
    parts: dict[str, list[Path]] = {}
    for key in _KNOWN:
        part = part_name(key)
        if part and content.get(key):
            if part in parts:
                raise InputError(f"{path} has {key} twice, by another name: expected train, val and test")
            parts[part] = [each for place in _places(content[key], path) for each in _images(base, place, path)]
    if "train" not in parts:
        raise InputError(f"{path}: expected train to name a folder of pictures")
    return path, names, parts


def find(root: Path) -> Found | None:
    """Pictures with their things; None where there is no such file.

    Args:
        root: folder of the set.

    Raises:
        InputError: a file is damaged, or names what is not there.
    """
    opened = _opened(root)
    if opened is None:
        return None
    path, known, images = opened
    names = (BACKGROUND, *known)
    if not 2 <= len(names) <= MOST:
        raise InputError(f"{path} has {len(known)} names: expected 1 to {MOST - 1}")
    if BACKGROUND in known:
        raise InputError(f"{path} has the class {BACKGROUND} twice; what nothing covers is {BACKGROUND}")
    parts = {part: [(image, _scene(image, root, names)) for image in each] for part, each in images.items()}
    _check_alone([image for each in images.values() for image in each], root)
    return Found(parts, Legend(names, fixed=True), named=True)


def find_boxes(root: Path) -> FoundThings | None:
    """Pictures with the boxes of their things, or around their polygons; None where there is no such file.

    Args:
        root: folder of the set.

    Raises:
        InputError: a file is damaged, or names what is not there.
    """
    opened = _opened(root)
    if opened is None:
        return None
    _, names, images = opened
    parts = {part: [(image, _boxed(image, root, names)) for image in each] for part, each in images.items()}
    _check_alone([image for each in images.values() for image in each], root)
    return FoundThings(parts, names, named=True)


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
    """Names of the classes: of a list, or of an object by their numbers."""
    if isinstance(value, dict) and all(type(key) is int for key in value):
        value = [value.get(number) for number in range(len(value))]
    if not isinstance(value, list) or not all(type(each) in (str, int, float) for each in value):
        raise InputError(f"{path}: expected names to be a list of texts, or texts by number from 0")
    names = tuple(str(each).strip() for each in value)
    if not 1 <= len(names) <= MOST_NAMES:
        raise InputError(f"{path} has {len(names)} names: expected 1 to {MOST_NAMES:,}")
    if len(set(names)) < len(names):
        twice = next(name for place, name in enumerate(names) if name in names[:place])
        raise InputError(f"{path} has the class {visible(twice)[:80]} twice")
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


def _labels_of(image: Path, root: Path) -> Path:
    return _labels(image.parent, root) / f"{image.stem}.txt"


def _scene(image: Path, root: Path, names: Sequence[str]) -> Scene:
    """The things of a picture."""
    path = _labels_of(image, root)
    if not path.is_file():
        return Scene(str(path), relative=True)
    return Scene(str(path), tuple(_shapes(path, names)), relative=True)


def _boxed(image: Path, root: Path, names: Sequence[str]) -> Things:
    """The boxes of a picture; one without a file shows nothing."""
    path = _labels_of(image, root)
    things = tuple(_boxes(path, names)) if path.is_file() else ()
    return Things(str(path), things, relative=True)


def _entries(path: Path, count: int) -> Iterator[tuple[str, int, list[str]]]:
    """Lines of a file: place, class, and the words behind it."""
    for number, line in enumerate(lines(path), 1):
        words, where = line.split(maxsplit=2 * MOST_POINTS + 2), f"line {number}"
        if not words:
            continue
        if not (words[0].isascii() and words[0].isdigit() and len(words[0]) < 6 and int(words[0]) < count):
            raise InputError(
                f"{path}, {where} has the class {visible(words[0])[:40]}: expected a number from 0 to {count - 1}"
            )
        yield where, int(words[0]), words[1:]


def _boxes(path: Path, names: Sequence[str]) -> Iterator[Thing]:
    for where, kind, words in _entries(path, len(names)):
        origin = f"{path}, {where}"
        if len(words) == _BOX_WORDS - 1:
            x, y, width, height = numbers(words, origin)
            yield Thing((x - width / 2, y - height / 2, x + width / 2, y + height / 2), kind, where)
            continue
        polygon = corners(_shares(words, origin), origin)
        (x1, y1), (x2, y2) = polygon.min(axis=0).tolist(), polygon.max(axis=0).tolist()
        yield Thing((x1, y1, x2, y2), kind, where)


def _shares(words: Sequence[str], origin: str) -> list[float]:
    try:
        return [float(word) for word in words[: 2 * MOST_POINTS + 1]]
    except ValueError:
        raise InputError(f"{origin}: expected numbers behind the class, shares of width and height") from None


def _shapes(path: Path, names: Sequence[str]) -> Iterator[Shape]:
    for where, kind, words in _entries(path, len(names) - 1):
        origin = f"{path}, {where}"
        if len(words) == _BOX_WORDS - 1:
            raise InputError(f"{origin} has a box: expected a polygon, x and y of three corners or more")
        polygon = corners(_shares(words, origin), origin)
        yield Shape(kind + 1, area(polygon), (polygon,))
