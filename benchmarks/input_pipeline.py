#!/usr/bin/env python3
"""Images per second and core of the ImageNet input pipeline: ours, a plain tf.data one, PyTorch's loader with Pillow.

Run it: python benchmarks/input_pipeline.py [--folder DIR] [--without pytorch]   (two minutes)

Every candidate reads JPEG files, cuts out a random part (8 to 100 % of the area), resizes it to 224 x 224, mirrors half
of them and normalises: float32 batches of 64. Without --folder the files are made here: 500 x 375 pixels with edges and
texture, about 90 kB as in ImageNet. Candidates run in turn, PyTorch in a process of the environment that
`python tools/environment.py timm` makes; a figure is images divided by CPU seconds (of all threads and child
processes), the median of the rounds. Exit status 1 if ours is not the fastest.
"""

import contextlib
import statistics
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from _measure import Figures, parser, run
from _rates import rates
from _waiting import Candidate, pytorch

from keras_resnet import console

console.import_tensorflow()

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from keras_resnet.data import prepare, training_batches  # noqa: E402
from keras_resnet.data.augment import get_augmentation  # noqa: E402
from keras_resnet.data.folder import load as load_folder  # noqa: E402
from keras_resnet.data.records import load as load_records  # noqa: E402
from keras_resnet.signals.conventions import PREPROCESS  # noqa: E402

HERE = Path(__file__).resolve().parent
SIZE, BATCH, BATCHES, BUFFERED, ROUNDS = 224, 64, 12, 4, 5
MEAN, STD = (np.float32(value) for value in ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)))


def make_folder(root: Path, count: int = 256) -> Path:
    """Writes JPEG files of noise at several scales, cut by edges: about as hard to decode as photographs."""
    rng = np.random.default_rng(0)
    for number in range(count):
        scales = [rng.normal(size=(375 // s + 1, 500 // s + 1, 3)) * 14 for s in (1, 4, 16, 64)]
        pixels = sum(tf.image.resize(noise, (375, 500)).numpy() * (1 + i) for i, noise in enumerate(scales)) + 128
        pixels[:, rng.integers(100, 400) :] += rng.integers(-60, 60)
        path = root / f"class{number % 4}" / f"{number}.jpg"
        path.parent.mkdir(exist_ok=True, parents=True)
        image = tf.cast(tf.clip_by_value(pixels, 0, 255), tf.uint8)
        path.write_bytes(tf.io.encode_jpeg(image, quality=85).numpy())
    return root


def ours(split) -> Iterator[object]:
    """What `train` feeds, from files or from TFRecords."""
    pipeline = training_batches(split, BATCH, seed=0, augment=get_augmentation("resized-crop", "image"))
    return iter(
        pipeline.map(lambda batch: (PREPROCESS["torch"](batch["image"]), batch["label"]), tf.data.AUTOTUNE).prefetch(2)
    )


def plain(paths: list[Path]) -> Iterator[object]:
    """What TensorFlow's tutorials show: decode, sample a box, cut, resize."""

    def load(path):
        image = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)
        begin, size, _ = tf.image.sample_distorted_bounding_box(
            tf.shape(image),
            tf.zeros((1, 0, 4)),
            area_range=(0.08, 1.0),
            aspect_ratio_range=(3 / 4, 4 / 3),
            use_image_if_no_bounding_boxes=True,
        )
        image = tf.image.resize(tf.slice(image, begin, size), (SIZE, SIZE))
        return (tf.image.random_flip_left_right(image) - MEAN) / STD

    files = tf.data.Dataset.from_tensor_slices([str(path) for path in paths]).shuffle(len(paths)).repeat()
    return iter(files.map(load, tf.data.AUTOTUNE).batch(BATCH).prefetch(2))


def main() -> int:
    """Measures; 1 if ours is not the fastest."""
    made = parser(__doc__)
    made.add_argument("--folder", type=Path, help="class folders of JPEG files of your own")
    made.add_argument("--without", choices=("pytorch",), help="leave out a peer that is not here")
    args = made.parse_args()
    figures = Figures("input_pipeline", args)
    rounds = 1 if args.smallest else ROUNDS
    sizes = {"batch": BATCH, "buffered": BUFFERED, "batches": 2 if args.smallest else BATCHES}
    found: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        scratch = Path(name)
        folder = args.folder or make_folder(scratch / "photos")
        dataset = load_folder(folder, (SIZE, SIZE, 3))
        prepare(dataset, scratch / "records")
        records = load_records(scratch / "records", (SIZE, SIZE, 3))
        paths = list(dataset.train.contents.paths)
        candidates: dict[str, Callable[[], dict[str, float]]] = {
            "ours, files": lambda: rates(lambda: ours(dataset.train), **sizes),
            "ours, TFRecords": lambda: rates(lambda: ours(records.train), **sizes),
            "plain tf.data": lambda: rates(lambda: plain(paths), **sizes),
        }
        if args.without != "pytorch":
            (scratch / "paths").write_text("\n".join(map(str, paths)), encoding="utf-8")
            numbers = map(str, (SIZE, *sizes.values()))
            child = Candidate([pytorch(), str(HERE / "_pytorch_input.py"), str(scratch / "paths"), *numbers])
            stack.callback(child.close)
            figures.versions["torch"] = child.ready["version"]
            candidates["PyTorch's DataLoader with Pillow"] = child.ask
        for _ in range(rounds):
            for title, work in candidates.items():
                found.setdefault(title, []).append(work())
    median = {name: {key: statistics.median(each[key] for each in values) for key in values[0]}
              for name, values in found.items()}  # fmt: skip
    figures["pipelines"] = {
        name: {key: round(value, 1) for key, value in each.items()} for name, each in median.items()
    }
    best = max((name for name in median if not name.startswith("ours")), key=lambda name: median[name]["cpu"])
    for name in ("ours, files", "ours, TFRecords"):
        figures.ratio(name, 1 / median[name]["cpu"], 1 / median[best]["cpu"], best, 1.0, "CPU s an image")
    return figures.finish()


if __name__ == "__main__":
    run(main)
