"""What a look at data says of boxes: objects by class, part and size, boxes that are wrong, and pictures with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_resnet.data.objects import Problem
from keras_resnet.data.truth import AREA, CLASS, CROWD, DIFFICULT, FLAG
from keras_resnet.gallery import Shown, image_tag
from keras_resnet.looking.gathering import Gathered
from keras_resnet.page import Html
from keras_resnet.pictures import hues
from keras_resnet.signals.orientation import upright
from keras_resnet.tasks.results import Table
from keras_resnet.untrusted import visible

SIZES = {"small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, float("inf"))}  # pixels; COCO's limits
_NAMED = 20  # boxes of a list in a terminal or on a page; the JSON file has all
_SIDE = 256  # pixels of the longer side of a picture with boxes


def _parts(data: Gathered) -> dict[str, np.ndarray]:
    """Places of the pictures of every part that there is."""
    names = np.array([item.part for item in data.items])
    return {part: np.flatnonzero(names == part) for part in dict.fromkeys(names.tolist())}


def counts(data: Gathered) -> dict[str, dict[str, int]]:
    """Number of objects by class and part.

    Args:
        data: examples with boxes.
    """
    found: dict[str, dict[str, int]] = {name: {} for name in data.classes}
    for part, places in _parts(data).items():
        kinds = np.concatenate([np.empty(0), *(data.boxes[place][:, CLASS] for place in places)]).astype(np.int64)
        numbers = np.bincount(kinds, minlength=len(data.classes)).tolist()
        for name, number in zip(data.classes, numbers, strict=True):
            found[name][part] = number
    return found


def _by_size(data: Gathered) -> dict[str, int]:
    areas = np.concatenate([each[:, AREA] for each in data.boxes])
    return {name: int(((areas >= low) & (areas < high)).sum()) for name, (low, high) in SIZES.items()}


def tables(data: Gathered) -> Iterator[Table]:
    """Tables of a set with boxes.

    Args:
        data: examples with boxes.
    """
    sizes, total = _by_size(data), sum(map(len, data.boxes))
    limits = dict(zip(sizes, ("below 32 x 32 pixels", "up to 96 x 96 pixels", "larger"), strict=True))
    rows = [(name, limits[name], n, f"{100 * n / max(1, total):.1f} %") for name, n in sizes.items()]
    yield Table("Sizes of objects", ("size", "area", "objects", "share"), tuple(rows))
    parts = [
        (part, len(places), int((numbers == 0).sum()), f"{np.median(numbers):g}", int(numbers.max()))
        for part, places in _parts(data).items()
        for numbers in [np.array([len(data.boxes[place]) for place in places])]
    ]
    columns = ("part", "pictures", "without objects", "objects of a picture, median", "largest number")
    yield Table("Objects of a picture", columns, tuple(parts))
    flags = np.concatenate([each[:, FLAG] for each in data.boxes])
    if flags.any():
        marked = (("crowds", int((flags == CROWD).sum())), ("difficult", int((flags == DIFFICULT).sum())))
        yield Table("Objects that count neither for nor against", ("what", "objects"), marked)
    if data.problems:
        count = len(data.problems)
        title = f"Boxes that are wrong: {count:,}" + (f", the first {_NAMED} of them" if count > _NAMED else "")
        rows_of = [(each.where, each.why, _fate(each)) for each in data.problems[:_NAMED]]
        yield Table(title, ("where", "what", "in a training"), tuple(rows_of))


def _fate(problem: Problem) -> str:
    return "dropped" if problem.dropped else "clipped"


def to_json(data: Gathered) -> dict[str, Any]:
    """The same as JSON types, with all boxes that are wrong.

    Args:
        data: examples with boxes.
    """
    wrong = [{"where": each.where, "what": each.why, "dropped": each.dropped} for each in data.problems]
    parts = {
        part or "all": {
            "pictures": len(places),
            "without_objects": sum(not len(data.boxes[place]) for place in places),
            "objects": sum(len(data.boxes[place]) for place in places),
        }
        for part, places in _parts(data).items()
    }
    return {"by_part": parts, "by_size": _by_size(data), "wrong_boxes": wrong}


def hints(data: Gathered) -> Iterator[str]:
    """Sentences about what was found.

    Args:
        data: examples with boxes.
    """
    dropped = sum(each.dropped for each in data.problems)
    total = sum(map(len, data.boxes)) + dropped
    if dropped:
        yield (
            f"{dropped:,} of {total:,} boxes are without area, turned round or outside: train drops them, and refuses "
            "more than 1 % of them; with --strict any"
        )
    if clipped := len(data.problems) - dropped:
        yield f"{clipped:,} of {total:,} boxes are outside by up to two pixels: train clips them; --strict refuses them"
    absent = [name for name, by_part in counts(data).items() if not any(by_part.values())]
    if absent:
        names = ", ".join(map(visible, absent[:5])) + (f", ... ({len(absent):,} in all)" if len(absent) > 5 else "")
        yield f"no box has {names}: a net cannot learn it"


def shown(data: Gathered, number: int, words: str = "") -> Shown:
    """A small picture with its boxes.

    Args:
        data: examples with boxes.
        number: place of the example.
        words: what is said of it.
    """
    item = data.items[number]
    try:
        picture = image_tag(drawn(item.source, data.boxes[number], data.classes), item.name, side=_SIDE)
    except Exception:  # Pillow raises anything on damaged files
        picture = Html("<span>(it cannot be shown)</span>")
    return Shown(picture, item.name, words)


def drawn(source: Path | bytes | np.ndarray, boxes: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """A picture with boxes in the colours of their classes, upright, uint8 `(H, W, 3)`.

    Args:
        source: file, bytes of one, or pixels, uint8 `(H, W, C)`.
        boxes: float `(k, 7)` in pixels of the picture, rows of the truth `boxes`.
        classes: names of the classes.
    """
    import io

    from PIL import Image, ImageDraw

    if isinstance(source, np.ndarray):
        image = Image.fromarray(source[..., 0] if source.shape[-1] == 1 else source[..., :3]).convert("RGB")
    else:
        opened = Image.open(io.BytesIO(source.read_bytes() if isinstance(source, Path) else source))
        image = upright(opened).convert("RGB")
    factor = _SIDE / max(image.size)
    image = image.resize((max(1, round(image.width * factor)), max(1, round(image.height * factor))))
    pen, colours = ImageDraw.Draw(image), hues(max(1, len(classes)))
    for x1, y1, x2, y2, kind, *_ in boxes.tolist():
        red, green, blue = colours[int(kind)].tolist()
        corners = (x1 * factor, y1 * factor, max(x1, x2) * factor - 1, max(y1, y2) * factor - 1)
        pen.rectangle(
            (*corners[:2], max(corners[0], corners[2]), max(corners[1], corners[3])), outline=(red, green, blue)
        )
    return np.asarray(image)
