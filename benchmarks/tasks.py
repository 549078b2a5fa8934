#!/usr/bin/env python3
"""Tags and values of real images: kinds of blood cells and their number (BCCD), classes of street scenes (CamVid).

Run it: python benchmarks/tasks.py ../shared/data [--only bccd-cells] [--set epochs=60 ...] [--test]   (ten minutes)

Each set becomes a table and images of one size (stretched: nothing at the edges is lost) in a folder; a small net
learns the official training part within minutes on two cores. Figures are those of the validation part, which settings
are to be chosen on; with `--test` those of the test part, with the int8 file's beside them.
"""

import csv
import io
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

from _measure import Figures, parser, run

from keras_resnet import console

console.import_tensorflow()

import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402

from export import artifact, export, load_source  # noqa: E402
from keras_resnet import load_dataset, open_runner, train  # noqa: E402
from keras_resnet.evaluation.assessment import Member, assess  # noqa: E402
from keras_resnet.training.changes import override  # noqa: E402
from keras_resnet.training.recipe import Recipe  # noqa: E402

SIZE = 128
CELLS = ("Platelets", "RBC", "WBC")
SCENES = ("sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist")
Row = tuple[Image.Image, dict[str, object]]


def bccd(root: Path) -> Iterator[Row]:
    """Images of the three official parts with the cells that they show."""
    with zipfile.ZipFile(root / "bccd/bccd.zip") as archive:
        for part in ("train", "val", "test"):
            for name in archive.read(f"BCCD/ImageSets/Main/{part}.txt").decode().split():
                tree = ElementTree.fromstring(archive.read(f"BCCD/Annotations/{name}.xml"))
                cells = [each.findtext("name") for each in tree.iter("object")]
                image = Image.open(io.BytesIO(archive.read(f"BCCD/JPEGImages/{name}.jpg"))).convert("RGB")
                yield (
                    image,
                    {"split": part, "cells": [each for each in CELLS if each in cells], "red": cells.count("RBC")},
                )


def camvid(root: Path) -> Iterator[Row]:
    """Frames of the three official parts with the classes that they show, on 100 pixels or more."""
    with zipfile.ZipFile(root / "camvid/camvid.zip") as archive:
        for name in sorted(archive.namelist()):
            part, _, stem = name.partition("/")
            if part in ("train", "val", "test") and stem:
                mask = Image.open(io.BytesIO(archive.read(f"{part}annot/{stem}"))).convert("RGB").getchannel(0)
                pixels = np.bincount(np.asarray(mask).ravel(), minlength=12)
                shown = [each for each, count in zip(SCENES, pixels, strict=False) if count >= 100]
                yield Image.open(io.BytesIO(archive.read(name))).convert("RGB"), {"split": part, "shown": shown}


def squares(root: Path) -> Iterator[Row]:
    """Grey squares, some of them bright: for the smallest form."""
    rng = np.random.default_rng(0)
    for number in range(60):
        pixels = rng.integers(0, 128, (SIZE, SIZE, 3), np.uint8) + np.uint8(100 * (number % 2))
        part = ("train", "train", "train", "val", "test")[number // 2 % 5]
        yield Image.fromarray(pixels), {"split": part, "kinds": ["bright" if number % 2 else "dark"]}


SETS: dict[str, tuple[str, Callable[[Path], Iterator[Row]], str, str]] = {
    "bccd-cells": ("multilabel", bccd, "labels", "cells"),
    "bccd-count": ("regression", bccd, "value", "red"),
    "camvid-scenes": ("multilabel", camvid, "labels", "shown"),
    "squares": ("multilabel", squares, "labels", "kinds"),
}
CHOICES = ("bccd-cells", "bccd-count", "camvid-scenes")
# Settings of a set's own, chosen on its validation part.
CHOSEN = {"bccd-count": ["augmentation=turn-flip", "epochs=120", "ema=0.99"]}


def write(rows: Iterator[Row], folder: Path, column: str, key: str) -> Path:
    """Writes images of one size and their table."""
    folder.mkdir(parents=True)
    with (folder / "table.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("file", "split", column))
        for number, (image, known) in enumerate(rows):
            image.resize((SIZE, SIZE), Image.Resampling.BOX).save(folder / f"{number:04}.png")
            value = known[key]
            table.writerow((f"{number:04}.png", known["split"], "|".join(value) if isinstance(value, list) else value))
    return folder / "table.csv"


def recipe_of(name: str, table: Path, settings: list[str]) -> Recipe:
    """The recipe of a set."""
    row = Recipe(
        name=name,
        task=SETS[name][0],
        dataset=str(table),
        model="resnet8",
        preprocess="tf",
        augmentation="crop-flip",
        image_size=SIZE,
        epochs=60,
        batch_size=16,
        learning_rate=0.02,
        weight_decay=1e-4,
        warmup_epochs=2.0,
        clip_norm=5.0,
        keep="best",
    )
    return override(row, [*CHOSEN.get(name, []), *settings])


def figures(model: Path, table: Path, part: str) -> dict[str, object]:
    """Figures of a model file on a part of the data."""
    split = getattr(load_dataset(table, image_shape=(SIZE, SIZE, 3)), part)
    return assess([Member(model.name, open_runner(model), split)]).to_json()


def measured(name: str, root: Path, work: Path, settings: list[str], test: bool) -> dict[str, object]:
    """Trains a set and judges the net, and with `test` its int8 file."""
    _, rows, column, key = SETS[name]
    table = write(rows(root), work / name, column, key)
    start = time.perf_counter()
    result = train(recipe_of(name, table, settings), run_dir=work / f"{name}-run", verbose=True)
    model = result.run_dir / "model.keras"
    seconds = time.perf_counter() - start
    found: dict[str, object] = {
        "set": name,
        "settings": [*CHOSEN.get(name, []), *settings],
        "seconds": round(seconds),
        "epoch": result.best_epoch,
    }
    if not test:
        return {**found, "part": "validation", "keras": figures(model, table, "validation")}
    file = work / f"{name}.tflite"
    report = export(load_source(model, dataset=str(table)), [(artifact("tflite:int8"), file)])
    found |= {"part": "test", "keras": figures(model, table, "test"), "passed": report.passed}
    return {**found, "int8": figures(file, table, "test")} if report.passed else found


def main() -> int:
    """Trains and judges."""
    made = parser(__doc__)
    made.add_argument("data", type=Path, nargs="?", help="folder that holds bccd/ and camvid/")
    made.add_argument("--only", choices=CHOICES, action="append", help="one of the sets; repeatable")
    made.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the recipe")
    made.add_argument("--test", action="store_true", help="judge on the test part, once everything is chosen")
    args = made.parse_args()
    if args.data is None and not args.smallest:
        made.error("the folder that holds bccd/ and camvid/ is missing")
    figures = Figures("tasks", args)
    with tempfile.TemporaryDirectory() as work:
        if args.smallest:
            found = [measured("squares", Path(), Path(work), ["epochs=1", "warmup_epochs=0"], True)]
        else:
            found = [measured(name, args.data, Path(work), args.set, args.test) for name in args.only or CHOICES]
    figures["sets"] = found
    return figures.finish()


if __name__ == "__main__":
    run(main)
