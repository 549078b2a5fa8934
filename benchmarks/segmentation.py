#!/usr/bin/env python3
"""Segmentation: an evaluation of frames beside the time of the net alone, and the int8 file beside the float32 one.

Run it: python benchmarks/segmentation.py

The net is that of the recipe camvid with random weights, and frames are noise: times do not ask what a net says. The
limit of the int8 file is for processors with instructions for 8 bits (VNNI); without them it is only shown.
"""

import tempfile
from pathlib import Path

import keras
import numpy as np
from _measure import Figures, interleaved, parser, run
from PIL import Image

from export import export
from keras_resnet import ModelCard, evaluate, load_dataset, save_model, segmenter
from keras_resnet.data.splits import at_once
from keras_resnet.evaluation.views import ONE, batches_of_views
from keras_resnet.machine import processor
from keras_resnet.nets.graph import multiply_adds
from keras_resnet.runtime.opening import open_runner
from keras_resnet.signals.conventions import PREPROCESS

FRAMES, HEIGHT, WIDTH, CLASSES = 60, 360, 480, 11  # CamVid's, whose test has 233
OVERHEAD, EIGHT_BITS = 1.10, 0.45


def made_frames(folder: Path, count: int, height: int, width: int) -> None:
    """Writes frames and their masks, as a person has them."""
    rng = np.random.default_rng(0)
    for place in ("images", "masks"):
        (folder / "test" / place).mkdir(parents=True)
    for number in range(count):
        coarse = rng.integers(0, 256, (height // 8, width // 8, 3), np.uint8)
        Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).save(
            folder / "test" / "images" / f"{number}.png"
        )
        classes = rng.integers(0, CLASSES, (height // 24, width // 24), np.uint8)
        Image.fromarray(classes).resize((width, height), Image.Resampling.NEAREST).save(
            folder / "test" / "masks" / f"{number}.png"
        )
    (folder / "classes.txt").write_text("".join(f"class{n}\n" for n in range(CLASSES)), encoding="ascii")


def of_evaluation(figures: Figures, path: Path, folder: Path, repeats: int) -> None:
    """The time of an evaluation, from files to figures, beside that of the net."""
    runner = open_runner(path, trusted=True)
    split = load_dataset(folder, image_shape=runner.example_shape, keep=runner.card.keep, test_only=True).test
    batches = [runner.card.preprocess(seen[0]) for seen, _ in batches_of_views(split, ONE, None)[0]]

    def net() -> None:
        for batch in batches:
            runner(batch)

    if evaluate(runner, folder).count != len(split):
        raise RuntimeError("the evaluation left frames out")
    medians = interleaved({"evaluation": lambda: evaluate(runner, folder), "net": net}, repeats)
    figures["evaluation"] = {"frames": len(split), "at once": at_once(split, 256)}
    figures.ratio("an evaluation of frames", medians["evaluation"], medians["net"], "the net alone", OVERHEAD)


def of_files(figures: Figures, path: Path, folder: Path, size: tuple[int, int], repeats: int) -> None:
    """The time of a frame on one thread, of the float32 and of the int8 file."""
    noise = np.random.default_rng(0).integers(0, 256, (16, *size, 3), np.uint8)
    runners = {}
    for precision in ("float32", "int8"):
        target = folder / f"{precision}.tflite"
        # Random weights say nothing of accuracy: only the time of the file is asked.
        export(path, target, precision=precision, samples=noise, gates={"agreement": 0.0, "drop": 100.0})
        runners[precision] = open_runner(target, threads=1, trusted=True)
    example = runners["int8"].card.preprocess(noise[:1])
    medians = interleaved({name: lambda each=each: each(example) for name, each in runners.items()}, repeats)
    has_units = any(unit in processor() for unit in ("VNNI", "AMX"))
    limit = EIGHT_BITS if has_units else None
    figures.ratio("a frame in int8, one thread", medians["int8"], medians["float32"], "in float32", limit)


def main() -> int:
    """Measures."""
    args = parser(__doc__).parse_args()
    figures = Figures("segmentation", args)
    few = args.smallest
    count, height, width, repeats = (4, 48, 64, 1) if few else (FRAMES, HEIGHT, WIDTH, 3)
    size = (-(-height // 16) * 16, width)
    keras.utils.set_random_seed(0)
    net = segmenter(
        "deeplabv3plus",
        backbone="resnet18",
        stages=3,
        width=128,
        output_stride=16,
        classes=CLASSES,
        input_shape=(*size, 3),
    )
    names = tuple(f"class{n}" for n in range(CLASSES))
    card = ModelCard(
        task="segmentation", facts={"names": list(names)}, labels=names, preprocess=PREPROCESS["torch"], fit="pad"
    )
    figures["multiply-adds"] = multiply_adds(net)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "net.keras"
        save_model(net, path, card)
        made_frames(folder / "frames", count, height, width)
        of_evaluation(figures, path, folder / "frames", repeats)
        of_files(figures, path, folder, size, repeats * 5)
    return figures.finish()


if __name__ == "__main__":
    run(main)
