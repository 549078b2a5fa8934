#!/usr/bin/env python3
"""Images per second and core of the ImageNet input pipeline: ours, a plain tf.data one, PyTorch's loader with Pillow.

Run it: python benchmarks/input_pipeline.py [--folder DIR]   (two minutes)

Every candidate reads JPEG files, cuts out a random part (8 to 100 % of the area), resizes it to 224 x 224, mirrors half
of them and normalises: float32 batches of 64. Without --folder the files are made here: 500 x 375 pixels with edges and
texture, about 90 kB as in ImageNet. Candidates run in turn in this process; a figure is images divided by CPU seconds
(of all threads and child processes), the median of the rounds. Exit status 1 if ours is not the fastest.
"""

import argparse
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from keras_resnet import console

console.import_tensorflow()

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from keras_resnet.data import prepare, training_batches  # noqa: E402
from keras_resnet.data.augment import get_augmentation  # noqa: E402
from keras_resnet.data.folder import load as load_folder  # noqa: E402
from keras_resnet.data.records import load as load_records  # noqa: E402
from keras_resnet.signals.conventions import PREPROCESS  # noqa: E402

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
        path.parent.mkdir(exist_ok=True)
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


def pytorch(paths: list[Path]) -> Iterator[object]:
    """A DataLoader with two workers and Pillow, which decodes no more than the reduced scale needs (`draft`)."""
    import torch
    from PIL import Image

    class Crops(torch.utils.data.Dataset):
        def __len__(self):
            return len(paths) * 1000

        def __getitem__(self, index):
            rng = np.random.default_rng(index)
            with Image.open(paths[index % len(paths)]) as image:
                area = rng.uniform(0.08, 1.0) * image.width * image.height
                aspect = np.exp(rng.uniform(*np.log((3 / 4, 4 / 3))))
                width = min(image.width, round((area * aspect) ** 0.5))
                height = min(image.height, round((area / aspect) ** 0.5))
                left, top = rng.integers(image.width - width + 1), rng.integers(image.height - height + 1)
                box = (left, top, left + width, top + height)
                pixels = np.asarray(image.convert("RGB").resize((SIZE, SIZE), Image.BILINEAR, box), np.float32)
            if rng.random() < 0.5:
                pixels = pixels[:, ::-1]
            return torch.from_numpy(np.ascontiguousarray((pixels - MEAN) / STD).transpose(2, 0, 1))

    return iter(torch.utils.data.DataLoader(Crops(), BATCH, shuffle=True, num_workers=2))


def cpu_seconds() -> float:
    """Of this process and of its children that live: Linux counts children only when they have ended."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    total = own.ru_utime + own.ru_stime
    for child in Path("/proc/self/task").glob("*/children"):
        for pid in child.read_text().split():
            user, system = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]
            total += (int(user) + int(system)) / 100
    return total


def main() -> int:
    """Prints a table; 0 if ours is the fastest."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="class folders of JPEG files of your own")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.folder or make_folder(Path(scratch))
        dataset = load_folder(folder, (SIZE, SIZE, 3))
        prepare(dataset, Path(scratch) / "records")
        records = load_records(Path(scratch) / "records", (SIZE, SIZE, 3))
        paths = list(dataset.train.contents.paths)
        candidates = {
            "ours, files": lambda: ours(dataset.train),
            "ours, TFRecords": lambda: ours(records.train),
            "plain tf.data": lambda: plain(paths),
        }
        try:
            import torch  # noqa: F401
        except ImportError:
            print("PyTorch is not installed: left out")
        else:
            candidates["PyTorch DataLoader, Pillow"] = lambda: pytorch(paths)
        rates: dict[str, list[float]] = {name: [] for name in candidates}
        walls: dict[str, list[float]] = {name: [] for name in candidates}
        for _ in range(ROUNDS):
            for name, make in candidates.items():
                source = make()
                for _ in range(BUFFERED):  # work done ahead
                    next(source)
                start, cpu = time.perf_counter(), cpu_seconds()
                for _ in range(BATCHES):
                    next(source)
                rates[name].append(BATCH * BATCHES / (cpu_seconds() - cpu))
                walls[name].append(BATCH * BATCHES / (time.perf_counter() - start))
                del source  # or its threads would work on during the others' turns
    median = {name: statistics.median(values) for name, values in rates.items()}
    best = max(value for name, value in median.items() if not name.startswith("ours"))
    rows = [
        (name, f"{value:,.0f}", f"{statistics.median(walls[name]):,.0f}", f"{value / best:.2f}")
        for name, value in median.items()
    ]
    columns = ("pipeline", "images a CPU second", "images a second", "of the best other")
    console.print_table(f"JPEG to {SIZE} x {SIZE}, batches of {BATCH}", columns, rows)
    return int(min(median["ours, files"], median["ours, TFRecords"]) < best)


if __name__ == "__main__":
    sys.exit(main())
