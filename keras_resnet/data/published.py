"""Sets with masks as their publishers lay them out: where their files are, and what their values mean."""

from __future__ import annotations

from pathlib import Path

from keras_resnet.data.legends import Colour, Legend
from keras_resnet.data.pairs import Found, Pairs, by_part, lines, listed, paired, subfolders
from keras_resnet.data.parts import part_name
from keras_resnet.errors import InputError
from keras_resnet.untrusted import visible

_CAMVID = ("sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist")


def camvid(root: Path) -> Found | None:
    """`train/` and `trainannot/`, as SegNet's copy of CamVid has them."""
    folders = subfolders(root)
    parts = {name: part for name in folders if (part := part_name(name)) and f"{name}annot" in folders}
    if "train" not in parts.values():
        return None
    found = {part: paired(folders[name], folders[f"{name}annot"]) for name, part in parts.items()}
    return Found(found, Legend(_CAMVID, void=(len(_CAMVID),)))


_VOC = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable",
    "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip


def voc_colour(number: int) -> Colour:
    """The colour of a class in VOC's palette: of its number, every third bit, from the top down.

    Args:
        number: class from 0 to 255.
    """
    red, green, blue = (
        sum((number >> (3 * step + channel) & 1) << (7 - step) for step in range(3)) for channel in range(3)
    )
    return red, green, blue


def voc(root: Path) -> Found | None:
    """A folder like `VOCdevkit/VOC2012`.

    Its `test.txt` counts where the masks are there, as in VOC2007; those of later years are not published.
    """
    images, masks, lists = root / "JPEGImages", root / "SegmentationClass", root / "ImageSets" / "Segmentation"
    if not (images.is_dir() and masks.is_dir() and lists.is_dir()):
        return None
    whole = "train" if (lists / "train.txt").is_file() else "trainval"
    names = {"train": whole, "validation": "val" if whole == "train" else "", "test": "test"}
    there = {part: lists / f"{name}.txt" for part, name in names.items() if (lists / f"{name}.txt").is_file()}
    if "train" not in there:
        raise InputError(f"{lists} has no train.txt and no trainval.txt: expected lists of names")
    parts = {part: listed(path, images, masks, may_lack=part == "test") for part, path in there.items()}
    legend = Legend(_VOC, tuple(map(voc_colour, range(len(_VOC)))), fixed=True)
    return Found({part: pairs for part, pairs in parts.items() if pairs}, legend, named=True)


# The value in labelIds, the name and the colour of every class that is learned, in the order of the train ids.
_CITYSCAPES: tuple[tuple[int, str, Colour], ...] = (
    (7, "road", (128, 64, 128)),
    (8, "sidewalk", (244, 35, 232)),
    (11, "building", (70, 70, 70)),
    (12, "wall", (102, 102, 156)),
    (13, "fence", (190, 153, 153)),
    (17, "pole", (153, 153, 153)),
    (19, "traffic light", (250, 170, 30)),
    (20, "traffic sign", (220, 220, 0)),
    (21, "vegetation", (107, 142, 35)),
    (22, "terrain", (152, 251, 152)),
    (23, "sky", (70, 130, 180)),
    (24, "person", (220, 20, 60)),
    (25, "rider", (255, 0, 0)),
    (26, "car", (0, 0, 142)),
    (27, "truck", (0, 0, 70)),
    (28, "bus", (0, 60, 100)),
    (31, "train", (0, 80, 100)),
    (32, "motorcycle", (0, 0, 230)),
    (33, "bicycle", (119, 11, 32)),
)
_LABEL_IDS = 34  # from 0 on


def cityscapes(root: Path) -> Found | None:
    """`leftImg8bit/` and `gtFine/`, by train ids where they are there, else by label ids."""
    images, masks = by_part(subfolders(root / "leftImg8bit"), root), by_part(subfolders(root / "gtFine"), root)
    if "train" not in images or "train" not in masks:
        return None
    trained = any(masks["train"].rglob("*_gtFine_labelTrainIds.png"))
    ending = "_gtFine_labelTrainIds" if trained else "_gtFine_labelIds"
    there = {part: masks.get(part, root / "gtFine" / path.name) for part, path in images.items()}
    if not any(there.get("test", root / "-").rglob(f"*{ending}.png")):
        there.pop("test", None)
    parts = {part: paired(images[part], path, ("_leftImg8bit", ending)) for part, path in there.items()}
    ids, names, colours = zip(*_CITYSCAPES, strict=True)
    legend = Legend(names, colours, fixed=True)
    if not trained:
        void = tuple(number for number in range(_LABEL_IDS) if number not in ids)
        legend = Legend(names, colours, values=ids, void=void, fixed=True)
    return Found(parts, legend, named=True)


_ADE = 150  # classes
_ADE_NAMES = "objectInfo150.txt"


def ade20k(root: Path) -> Found | None:
    """`images/training` and `annotations/training`, the same in `validation`: 0 is void, and the first class 1."""
    images = {"train": root / "images" / "training", "validation": root / "images" / "validation"}
    masks = {part: root / "annotations" / path.name for part, path in images.items()}
    if not (images["train"].is_dir() and masks["train"].is_dir()):
        return None
    there = [part for part in images if images[part].is_dir()]
    parts: dict[str, Pairs] = {part: paired(images[part], masks[part]) for part in there}
    values = tuple(range(1, _ADE + 1))
    path = root / _ADE_NAMES
    names = _ade_names(path) if path.is_file() else tuple(map(str, values))
    return Found(parts, Legend(names, values=values, void=(0,), fixed=True), named=True)


def _ade_names(path: Path) -> tuple[str, ...]:
    """Names of a table: number, shares and counts, and words for the same thing in the last column."""
    rows = [line.split("\t") for line in lines(path) if line]
    words = {row[0].strip(): row[-1].strip() for row in rows if len(row) > 1 and row[0].strip().isdigit()}
    if list(words) != [str(number) for number in range(1, _ADE + 1)] or not all(words.values()):
        raise InputError(f"{path}: expected the numbers 1 to {_ADE} with names in the last column, divided by tabs")
    short = tuple(name.split(",")[0] for name in words.values())
    names = short if len(set(short)) == _ADE else tuple(words.values())
    if len(set(names)) < _ADE:
        twice = next(name for place, name in enumerate(names) if name in names[:place])
        raise InputError(f"{path} has the class {visible(twice)[:80]} twice")
    return names


PETS = Legend(("pet", "background", "border"), values=(1, 2, 3), fixed=True)
_FIFTH = 5


def pets(root: Path) -> Found | None:
    """`images/` and `annotations/trimaps/` of the Oxford-IIIT pets: every fifth name of trainval is the validation."""
    images, notes = root / "images", root / "annotations"
    if not (images.is_dir() and (notes / "trimaps").is_dir() and (notes / "trainval.txt").is_file()):
        return None
    known = sorted(listed(notes / "trainval.txt", images, notes / "trimaps"))
    parts = {
        "train": [pair for place, pair in enumerate(known, 1) if place % _FIFTH],
        "validation": known[_FIFTH - 1 :: _FIFTH],
    }
    if (notes / "test.txt").is_file():
        parts["test"] = listed(notes / "test.txt", images, notes / "trimaps")
    return Found({part: pairs for part, pairs in parts.items() if pairs}, PETS, named=True)
