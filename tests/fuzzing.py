"""Hostile files of seventeen kinds, and the program that opens them one after the other: `python fuzzing.py KIND ...`.

It runs in a process of its own, writes one JSON line per file to its answers, and may end at any of them: who started
it knows then which file it was. `tests/export/test_fuzzing.py` starts and judges it.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import sys
import time
import traceback
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

SECONDS = 60  # that a file may take
DATA = 4_000_000_000  # bytes that the process may write to, beside those of its start
_FILES = ("keras", "tflite", "onnx", "safetensors", "npz", "weights.h5", "h5", "run", "tfrecords", "csv", "jsonl")
_MASKS = ("coco", "yolo")
_BOXES = ("voc", "coco_boxes", "yolo_boxes", "csv_boxes")
KINDS = (*_FILES, *_MASKS, *_BOXES)
_LABELS = [f"class {number}" for number in range(10)]
# What a value of JSON is replaced with.
_VALUES = [None, True, -1, 1e400, "x", "\x1b[31m", [], {}, [[]], {"a": {}}, 10**30, "{:>999999999}"]


# ---- one sound file of every kind


def originals(folder: Path, kind: str, exported: Path) -> Path:
    """Writes a sound file, or folder, of a kind.

    Args:
        folder: where to.
        kind: one of `KINDS`.
        exported: folder with `resnet8-float32.tflite` and `.onnx`.
    """
    import keras_resnet
    from keras_resnet.card import ModelCard

    spec = keras_resnet.ResNetSpec(name="mini", block="basic", depths=(1, 1), stem="cifar", width=4, classes=10)
    path = folder / f"sound.{kind}"
    if kind in ("tflite", "onnx"):
        shutil.copyfile(exported / f"resnet8-float32.{kind}", path)
    elif kind == "keras":
        keras_resnet.save_model(keras_resnet.build(spec), path, ModelCard(labels=tuple(_LABELS)))
    elif kind == "run":
        _run(path)
    elif kind == "tfrecords":
        _records(path)
    elif kind in ("csv", "jsonl"):
        _table(path)
    elif kind in _BOXES:
        _boxes(path, kind)
    elif kind in _MASKS:
        _things(path, kind)
    else:
        model = keras_resnet.build("resnet8")
        if kind == "safetensors":
            keras_resnet.save_weights(model, path, card=ModelCard(spec="resnet8"))
        elif kind == "npz":
            from keras_resnet.weights.files import named_variables

            np.savez_compressed(path, **{k: np.asarray(v) for k, v in named_variables(model).items()})
        elif kind == "weights.h5":
            model.save_weights(path)
        else:
            _legacy_h5(model, path)
    return path


def _legacy_h5(model, path: Path) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        layers = [layer for layer in model.layers if layer.weights]
        file.attrs["layer_names"] = [layer.name.encode() for layer in layers]
        for layer in layers:
            group = file.create_group(layer.name)
            names = [f"{layer.name}/{each.name}:0" for each in layer.weights]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, value in zip(names, layer.get_weights(), strict=True):
                group.create_dataset(name, data=value)


def _run(folder: Path) -> None:
    from keras_resnet import RECIPES

    folder.mkdir()
    watched = {"watch": "accuracy", "larger_is_better": True, "form": "{:.2%}", "as_error": True}
    result = {"best_epoch": 1, "validation_accuracy": 0.5, "seconds": 3.5, "images_per_second": 10.0}
    result |= {"waiting_share": 0.1, "precision": "float32", "interrupted": False, "run_dir": "x"}
    packages = {"keras": "3", "tensorflow": "2"}
    (folder / "recipe.json").write_text(RECIPES["digits-resnet8"].dumps())
    (folder / "environment.json").write_text(json.dumps({"seed": 0, "packages": packages, "watched": watched}))
    (folder / "result.json").write_text(json.dumps(result))
    columns = "epoch,loss,accuracy,val_accuracy,val_loss"
    (folder / "metrics.csv").write_text(f"{columns}\n0,1.5,0.4,0.5,1.2\n1,1.1,0.5,0.6,1\n")
    (folder / "labels.json").write_text(json.dumps({str(i): ["n", name] for i, name in enumerate(_LABELS)}))


def _records(folder: Path) -> None:
    import tensorflow as tf

    folder.mkdir()
    image = tf.io.encode_png(np.zeros((8, 8, 3), np.uint8)).numpy()
    for part, count in (("train", 8), ("val", 4)):
        with tf.io.TFRecordWriter(str(folder / f"{part}-00000-of-00001")) as writer:
            for number in range(count):
                example = tf.train.Example()
                example.features.feature["image/encoded"].bytes_list.value.append(image)
                example.features.feature["image/class/label"].int64_list.value.append(number % 2)
                writer.write(example.SerializeToString())
    (folder / "labels.txt").write_text("cat\ndog\n")
    open_records(folder)  # which writes the index


def _table(path: Path) -> None:
    from PIL import Image

    rows = [(f"{number}.png", "cat" if number % 2 else 'dog, "old"', f"g{number // 2}") for number in range(24)]
    for name, _, _ in rows:
        Image.new("RGB", (8, 8)).save(path.parent / name)
    if path.suffix == ".jsonl":
        lines = [json.dumps(dict(zip(("file", "label", "group"), row, strict=True))) for row in rows]
    else:
        lines = [
            "file,label,group",
            *(",".join(f'"{cell.replace(chr(34), chr(34) * 2)}"' for cell in row) for row in rows),
        ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _things(folder: Path, kind: str) -> None:
    """Pictures with polygons and run lengths; little beside them, so that damage hits what is meant."""
    from PIL import Image

    names = [f"{number}.png" for number in range(8)]
    (folder / "images").mkdir(parents=True)
    for name in names:
        Image.new("RGB", (8, 8)).save(folder / "images" / name)
    if kind == "yolo":
        (folder / "labels").mkdir()
        for name in names:
            (folder / "labels" / name.replace("png", "txt")).write_text("0 0 0 1 0 1 1\n1 0.2 0.2 0.7 0.2 0.7 0.7\n")
        (folder / "data.yaml").write_text("path: .\ntrain: images\nnames:\n  0: cat\n  1: dog\n")
        return
    images = [{"id": n, "file_name": name, "height": 8, "width": 8} for n, name in enumerate(names)]
    outlines = [[[0, 0, 6, 0, 6, 6]], {"size": [8, 8], "counts": [9, 5, 50]}, {"size": [8, 8], "counts": "95b1"}]
    notes = [
        {"image_id": n, "category_id": 1 + n % 2, "segmentation": outlines[n % 3], "iscrowd": int(n == 1)}
        for n in range(8)
    ]
    categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    (folder / "annotations").mkdir()
    content = {"images": images, "annotations": notes, "categories": categories}
    (folder / "annotations" / "instances_train.json").write_text(json.dumps(content))


def _boxes(folder: Path, kind: str) -> None:
    """Pictures with boxes; little beside them, so that damage hits what is meant."""
    from PIL import Image

    names = [f"{number}.jpg" for number in range(8)]
    images = folder / ("JPEGImages" if kind == "voc" else "images")
    images.mkdir(parents=True)
    for name in names:
        Image.new("RGB", (8, 8)).save(images / name)
    if kind == "voc":
        box = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>6.5</xmax><ymax>8</ymax></bndbox>"
        thing = f"<object><name>cat</name><difficult>1</difficult>{box}</object>"
        size = "<size><width>8</width><height>8</height></size>"
        (folder / "Annotations").mkdir()
        (folder / "ImageSets" / "Main").mkdir(parents=True)
        (folder / "ImageSets" / "Main" / "train.txt").write_text("".join(f"{name[0]}\n" for name in names))
        for name in names:
            (folder / "Annotations" / f"{name[0]}.xml").write_text(f"<annotation>{size}{thing}</annotation>")
    elif kind == "yolo_boxes":
        (folder / "labels").mkdir()
        for name in names:
            (folder / "labels" / f"{name[0]}.txt").write_text("0 0.5 0.5 0.25 0.5\n1 0.25 0.25 0.5 0.5\n")
        (folder / "data.yaml").write_text("path: .\ntrain: images\nnames:\n  0: cat\n  1: dog\n")
    elif kind == "csv_boxes":
        rows = "".join(
            f"images/{name},1,2,5.5,8,{'cat' if number % 2 else 'dog'},train\n" for number, name in enumerate(names)
        )
        (folder / "boxes.csv").write_text(f"file,x1,y1,x2,y2,label,split\n{rows}")
    else:
        pictures = [{"id": n, "file_name": name, "height": 8, "width": 8} for n, name in enumerate(names)]
        notes = [
            {"image_id": n, "category_id": 1 + n % 2, "bbox": [0, 1, 5.5, 6], "iscrowd": int(n == 1), "area": 30.5}
            for n in range(8)
        ]
        content = {
            "images": pictures,
            "annotations": notes,
            "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        }
        (folder / "annotations").mkdir()
        (folder / "annotations" / "instances_train.json").write_text(json.dumps(content))


# ---- damage


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """Random bytes, a part, some flipped bits, or a piece written over."""
    kind, data = rng.integers(5), bytearray(content)
    if kind == 0:
        return rng.bytes(int(rng.integers(0, 4096)))
    if kind == 1 or len(data) < 2:
        return bytes(data[: rng.integers(0, max(1, len(data)))])
    if kind == 2:  # most faults of disks and cables, and what reaches deepest
        for place in rng.integers(0, len(data), int(rng.integers(1, 5))):
            data[place] ^= 1 << int(rng.integers(8))
    elif kind == 3:
        for place in rng.integers(0, min(len(data), 4096), 40):
            data[place] ^= 1 << int(rng.integers(8))
    else:
        start = int(rng.integers(0, max(1, len(data) - 64)))
        data[start : start + 64] = rng.bytes(64)
    return bytes(data)


def _other_values(content: bytes, rng: np.random.Generator) -> bytes:
    """JSON with another value in one place, perhaps very deep."""
    value = json.loads(content)
    if rng.integers(8) == 0:
        return b"[" * 100_000 + b"]" * 100_000
    places: list[tuple[object, object]] = []
    waiting = [value]
    while waiting:
        found = waiting.pop()
        for key, child in found.items() if isinstance(found, dict) else enumerate(found):
            places.append((found, key))
            if isinstance(child, dict | list):
                waiting.append(child)
    owner, key = places[rng.integers(len(places))]
    owner[key] = _VALUES[rng.integers(len(_VALUES))]
    return json.dumps(value).replace("Infinity", "1e400").encode()


def _damaged_inside(content: bytes, rng: np.random.Generator) -> bytes:
    """A zip archive whose checksums are right, and one of whose members is damaged."""
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        names = old.namelist()
        chosen = names[rng.integers(len(names))]
        for name in names:
            member = old.read(name)
            if name == chosen:
                change = _other_values if name.endswith(".json") and rng.integers(4) else damaged
                member = change(member, rng)
            new.writestr(name, member)
    return packed.getvalue()


def hostile(sound: Path, path: Path, rng: np.random.Generator) -> Path:
    """Writes a damaged copy of a file, or of a folder in which one file is damaged."""
    if sound.is_file():
        inside = zipfile.is_zipfile(sound) and sound.suffix in (".keras", ".npz") and rng.integers(2)
        path.write_bytes((_damaged_inside if inside else damaged)(sound.read_bytes(), rng))
        return path
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(sound, path)
    files = sorted(each for each in path.rglob("*") if each.is_file())
    chosen = files[rng.integers(len(files))]
    change = _other_values if chosen.suffix == ".json" and rng.integers(4) else damaged
    chosen.write_bytes(change(chosen.read_bytes(), rng))
    return path


# ---- opening


def open_records(folder: Path) -> int:
    """Reads all images of a folder of TFRecord files."""
    import keras_resnet
    from keras_resnet.data import batches

    dataset = keras_resnet.load_dataset(folder, image_shape=(8, 8, 3))
    for split in (dataset.train, dataset.validation):
        for _ in batches(split, 4):
            pass
    return 0


def open_table(path: Path) -> int:
    """Reads a table and the first image of its training part."""
    import keras_resnet

    keras_resnet.load_dataset(path, image_shape=(8, 8, 3)).train.fetch([0])
    return 0


def open_masks(folder: Path) -> int:
    """Draws all masks of a folder."""
    import keras_resnet

    dataset = keras_resnet.load_dataset(folder, image_shape=(8, 8, 3))
    for split in (dataset.train, dataset.validation, dataset.test):
        split.fetch(range(len(split)))
    return 0


def open_boxes(folder: Path) -> int:
    """Fetches all pictures of a folder with their boxes."""
    import keras_resnet

    dataset = keras_resnet.load_dataset(folder, image_shape=(8, 8, 3), truth="boxes")
    for split in (dataset.train, dataset.validation, dataset.test):
        split.fetch(range(len(split)))
    return 0


def _open_run(folder: Path) -> int:
    from keras_resnet import cli
    from keras_resnet.labels import read_labels
    from keras_resnet.training import run
    from keras_resnet.training.result import read_result

    read_labels(folder / "labels.json", 10)
    run.reopen(None, folder)
    read_result(folder)
    page = str(folder.parent / "report.html")
    return cli.main(["report", str(folder), "-o", page, "--overwrite"])


def opener(kind: str, image: Path) -> Callable[[Path], int]:
    """What opens a file of a kind and gives an exit status."""
    from keras_resnet import cli, console

    def predict(*arguments: str) -> int:
        return cli.main(["predict", *arguments, str(image)])

    if kind in ("csv", "jsonl"):
        return lambda path: console.run(lambda: open_table(path))
    if kind in _BOXES:
        return lambda path: console.run(lambda: open_boxes(path))
    if kind in _MASKS:
        return lambda path: console.run(lambda: open_masks(path))
    if kind == "tfrecords":
        return lambda path: console.run(lambda: open_records(path))
    if kind == "run":
        return lambda path: console.run(lambda: _open_run(path))
    if kind in ("keras", "tflite", "onnx"):
        return lambda path: predict("--model", str(path))
    return lambda path: predict("--model", "resnet8", "--weights", str(path))


def verdict(open_it: Callable[[Path], int], path: Path) -> dict[str, object]:
    """Opens a file: how it ended, what was said, seconds, and the largest memory of the process in bytes."""
    import resource

    said, start = io.StringIO(), time.monotonic()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            status: object = open_it(path)
        except BaseException:
            status = "traceback"
            traceback.print_exc()
    lines = [line for line in said.getvalue().splitlines() if line.strip() and not line.startswith("note:")]
    memory = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"status": status, "lines": lines, "seconds": time.monotonic() - start, "memory": memory}


def main(kind: str, seed: str, first: str, count: str, folder: str) -> None:
    """Opens the files `first` up to `count`; each has a seed of its own, so that it can be made again."""
    import subprocess

    import forked

    from keras_resnet import processes

    if forked._ADDRESS in os.environ:  # engines' trials are forked as well
        subprocess.Popen = forked.Forked  # type: ignore[misc]
    place = Path(folder)
    with contextlib.redirect_stderr(io.StringIO()):
        open_it = opener(kind, place / "image.png")
        control = verdict(open_it, place / f"sound.{kind}")
    processes.limit(seconds=SECONDS * (int(count) - int(first)), data=DATA)
    with (place / "answers.jsonl").open("a", encoding="utf-8") as answers:
        print(json.dumps({"file": -1, **control}), file=answers, flush=True)
        for number in range(int(first), int(count)):
            path = hostile(place / f"sound.{kind}", place / f"file.{kind}", np.random.default_rng([int(seed), number]))
            print(json.dumps({"file": number}), file=answers, flush=True)
            signal.alarm(SECONDS)  # ends the process
            found = verdict(open_it, path)
            signal.alarm(0)
            print(json.dumps({"file": number, **found}), file=answers, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
