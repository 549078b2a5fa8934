#!/usr/bin/env python3
"""What pretrained weights are worth: CIFAR-10's frogs against horses with 50 images each.

Run it: python benchmarks/transfer.py --data-dir DIR [--epochs 12] [--seeds 5]   (ten minutes on two cores)

ResNet-8 learns the eight other classes; then the two, once from these weights (`finetune_recipe`) and once from random
ones, on the same 100 images for as many epochs, with several seeds (of the choice of images and of the training). The
figures are accuracies on the 2,000 test images of the two classes.
"""

import argparse
import dataclasses
import statistics
import sys
import tempfile
from pathlib import Path

from keras_resnet import console

console.import_tensorflow()

import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402

from keras_resnet import evaluate, load_dataset, train  # noqa: E402
from keras_resnet.data import joined  # noqa: E402
from keras_resnet.runtime.opening import open_runner  # noqa: E402
from keras_resnet.training import RECIPES, finetune_recipe, override  # noqa: E402

NEW = ("frog", "horse")
IMAGES, EPOCHS = 50, 40


def write(root: Path, split, classes, wanted, limit: int | None = None, seed: int = 0) -> None:
    """Writes images of some classes as PNG files."""
    for name in wanted:
        places = np.flatnonzero(split.labels == classes.index(name))
        if limit:
            places = np.sort(np.random.default_rng(seed).permutation(places)[:limit])
        (root / name).mkdir(parents=True)
        for place in places:
            Image.fromarray(split.images[place]).save(root / name / f"{place:05}.png")


def accuracy(recipe, folder: Path, run_dir: Path) -> float:
    """Of a training's last weights on the folder's test images."""
    train(recipe, run_dir=run_dir, verbose=False)
    test = load_dataset(folder, image_shape=(32, 32, 3)).test
    return evaluate(open_runner(run_dir / "model.keras"), test).top1


def main() -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, help="where CIFAR-10's binary files are")
    parser.add_argument("--epochs", type=int, default=12, help="on the eight classes")
    parser.add_argument("--seeds", type=int, default=5)
    args = parser.parse_args()
    cifar = load_dataset("cifar10", args.data_dir)
    everything = joined(cifar.train, cifar.validation)
    others = tuple(name for name in cifar.classes if name not in NEW)
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        for part, split in (("train", everything), ("test", cifar.test)):
            write(scratch / "eight" / part, split, cifar.classes, others)
        settings = [f"epochs={args.epochs}", "warmup_epochs=2", f"dataset={scratch / 'eight'}", "image_size=32"]
        recipe = override(RECIPES["fast-resnet8"], settings)
        pretrained = accuracy(recipe, scratch / "eight", scratch / "run")
        print(f"eight classes, {args.epochs} epochs: {pretrained:.2%}", flush=True)
        for seed in range(args.seeds):
            folder = scratch / f"two{seed}"
            write(folder / "train", cifar.train, cifar.classes, NEW, IMAGES, seed)
            write(folder / "validation", cifar.validation, cifar.classes, NEW, 10, seed)
            write(folder / "test", cifar.test, cifar.classes, NEW)
            settings = [f"epochs={EPOCHS}", "head_epochs=5", "batch_size=20", "keep=last", f"seed={seed}"]
            settings += ["augmentation=crop-flip", "image_size=32", "warmup_epochs=1"]
            moved = finetune_recipe(scratch / "run" / "model.keras", folder, settings=settings)
            alone = dataclasses.replace(moved, weights="", freeze_bn=False, head_epochs=0.0, layer_decay=1.0)
            pair = [accuracy(r, folder, scratch / f"{n}{seed}") for n, r in (("moved", moved), ("alone", alone))]
            rows.append((seed, *(f"{value:.2%}" for value in pair)))
            print(*rows[-1], flush=True)
            rows[-1] = (seed, *pair)
    columns = list(zip(*rows, strict=True))
    shown = [(seed, f"{a:.2%}", f"{b:.2%}") for seed, a, b in rows]
    ends = [f"{statistics.mean(c):.2%} ± {statistics.pstdev(c):.2%}" for c in columns[1:]]
    console.print_table(
        f"{NEW[0]} against {NEW[1]}, {IMAGES} images each, {EPOCHS} epochs",
        ("seed", "from the eight classes", "from scratch"),
        [*shown, ("mean", *ends)],
    )
    return int(statistics.mean(columns[1]) <= statistics.mean(columns[2]))


if __name__ == "__main__":
    sys.exit(main())
