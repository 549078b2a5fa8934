#!/usr/bin/env python3
"""What pretrained weights are worth: CIFAR-10's frogs against horses with 50 images each.

Run it: python benchmarks/transfer.py --data CIFAR [--epochs 8] [--seeds 5]   (ten minutes on two cores)

ResNet-8 learns the eight other classes; then the two, once from these weights (`finetune_recipe`) and once from random
ones, on the same 100 images for as many epochs, with several seeds (of the choice of images and of the training). The
figures are accuracies on the 2,000 test images of the two classes.
"""

import dataclasses
import statistics
import tempfile
from pathlib import Path

from _measure import Figures, cifar_option, parser, run

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
    """Measures."""
    made = parser(__doc__)
    cifar_option(made)
    made.add_argument("--epochs", type=int, default=8, help="on the eight classes (%(default)s)")
    made.add_argument("--seeds", type=int, default=5)
    args = made.parse_args()
    figures = Figures("transfer", args)
    cifar = load_dataset("cifar10", args.data)
    everything = joined(cifar.train, cifar.validation)
    others = tuple(name for name in cifar.classes if name not in NEW)
    few, seeds, epochs = (40, 1, 1) if args.smallest else (None, args.seeds, args.epochs)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        for part, split in (("train", everything), ("test", cifar.test)):
            write(scratch / "eight" / part, split, cifar.classes, others, few)
        settings = [f"epochs={epochs}", f"warmup_epochs={min(2, epochs / 2)}", f"dataset={scratch / 'eight'}"]
        recipe = override(RECIPES["fast-resnet8"], [*settings, "image_size=32"])
        figures["eight classes"] = accuracy(recipe, scratch / "eight", scratch / "run")
        for seed in range(seeds):
            folder = scratch / f"two{seed}"
            write(folder / "train", cifar.train, cifar.classes, NEW, IMAGES, seed)
            write(folder / "validation", cifar.validation, cifar.classes, NEW, 10, seed)
            write(folder / "test", cifar.test, cifar.classes, NEW, few)
            length = [f"epochs={2 if args.smallest else EPOCHS}", f"head_epochs={1 if args.smallest else 5}"]
            settings = [*length, "batch_size=20", "keep=last", f"seed={seed}"]
            settings += ["augmentation=crop-flip", "image_size=32", "warmup_epochs=1"]
            moved = finetune_recipe(scratch / "run" / "model.keras", folder, settings=settings)
            alone = dataclasses.replace(moved, weights="", freeze_bn=False, head_epochs=0.0, layer_decay=1.0)
            rows.append([accuracy(r, folder, scratch / f"{n}{seed}") for n, r in (("moved", moved), ("alone", alone))])
            print(f"seed {seed}: from the eight classes {rows[-1][0]:.2%}, from scratch {rows[-1][1]:.2%}", flush=True)
    for name, column in zip(("from the eight classes", "from scratch"), zip(*rows, strict=True), strict=True):
        figures[name] = {"mean": statistics.mean(column), "deviation": statistics.pstdev(column), "seeds": list(column)}
    moved, alone = (1 - figures.found[name]["mean"] for name in ("from the eight classes", "from scratch"))
    figures.ratio("error from the eight classes", moved, alone, "from scratch", 0.999, "")
    return figures.finish()


if __name__ == "__main__":
    run(main)
