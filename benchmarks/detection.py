#!/usr/bin/env python3
"""Detection on one thread: the int8 net, its decoding and suppression apart; and COCO's evaluation beside pycocotools.

Run it: python benchmarks/detection.py

Nets have random weights and pictures are noise, so the scores are set: 1,000 of 8,400 x 80 lie above the threshold. The
limits of images a second are for processors with instructions for 8 bits (VNNI); without them these are only shown.
"""

import contextlib
import io
import statistics
import tempfile
import time
from pathlib import Path

import keras
import numpy as np
from _measure import Figures, interleaved, parser, run

from export import export
from keras_resnet import ModelCard, detector, save_model
from keras_resnet.machine import processor
from keras_resnet.nets.detection import HEADS
from keras_resnet.nets.graph import multiply_adds
from keras_resnet.runtime.opening import open_runner
from keras_resnet.signals.conventions import PREPROCESS
from keras_resnet.tasks import detection
from keras_resnet.tasks.detection.answers import Boxes
from keras_resnet.tasks.detection.matches import _truth, matched

IMAGES, OBJECTS, ANSWERS = 1_000, 6_761, 26_876  # of COCO's first thousand, as tasks.md's comparison of evaluators
NETS = {"resnet18": 28.0, "resnet10t": 38.0}  # images a second with VNNI
SIZE, CLASSES = 320, 80


def crowded(size: int, above: int) -> dict[str, np.ndarray]:
    """Raw outputs of the real-time head with so many scores above its threshold."""
    rng, found = np.random.default_rng(0), {}
    cells = {stride: size // stride for stride in (8, 16, 32)}
    total = sum(n * n for n in cells.values()) * CLASSES
    logits = np.full(total, -8.0, "f")
    logits[rng.permutation(total)[:above]] = rng.uniform(-2, 3, above)
    first = 0
    for stride, n in cells.items():
        count = n * n * CLASSES
        found[f"scores_{stride}"] = logits[first : first + count].reshape(1, n, n, CLASSES)
        first += count
    for stride, n in cells.items():
        found[f"boxes_{stride}"] = rng.uniform(0, 6, (1, n, n, 4)).astype("f")
    return found


def scene(images: int, objects: int, answers: int):
    """Objects and answers near some of them, as `matched` takes them."""
    rng, high = np.random.default_rng(0), np.array([640, 480])

    def boxes(count: int) -> np.ndarray:
        first = rng.uniform(0, high - 8, (count, 2))
        return np.concatenate([first, first + rng.uniform(4, np.maximum((high - first) / 2, 5))], axis=1)

    of_objects = np.sort(rng.integers(0, images, objects))
    there, kinds = boxes(objects), rng.integers(0, CLASSES, objects)
    near = rng.integers(0, objects, answers)
    given = there[near] + rng.normal(0, 8, (answers, 4))
    given[:, 2:] = np.maximum(given[:, 2:], given[:, :2] + 1)
    labels = np.where(rng.random(answers) < 0.7, kinds[near], rng.integers(0, CLASSES, answers))
    scores, of_answers = rng.random(answers).astype("f"), of_objects[near]
    true, found = [], []
    for image in range(images):
        own = of_objects == image
        area = (there[own, 2:] - there[own, :2]).prod(axis=1)
        true.append(np.column_stack([there[own], kinds[own], np.zeros(own.sum()), area]))
        mine = np.flatnonzero(of_answers == image)
        mine = mine[np.argsort(-scores[mine], kind="stable")][:100]
        found.append(Boxes(boxes=given[mine].astype("f"), scores=scores[mine], classes=labels[mine]))
    return found, true, [(480, 640)] * images, CLASSES


def pycocotools(found, true, sizes, classes) -> np.ndarray:
    """COCO's figures by the usual evaluator."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        data = COCO()
        data.dataset = _truth(true, sizes, classes)
        data.createIndex()
        rows = [
            [n + 1, x1, y1, x2 - x1, y2 - y1, score, label + 1]
            for n, each in enumerate(found)
            for (x1, y1, x2, y2), score, label in zip(
                each.boxes.astype(float), each.scores.astype(float), each.classes, strict=True
            )
        ]
        evaluation = COCOeval(data, data.loadRes(np.array(rows)), "bbox")
        for step in (evaluation.evaluate, evaluation.accumulate, evaluation.summarize):
            step()
    return evaluation.stats


def of_net(figures: Figures, name: str, folder: Path, repeats: int) -> None:
    """Times of a net's int8 file, and of what makes boxes of its outputs."""
    size = 64 if figures.smallest else SIZE
    keras.utils.set_random_seed(0)
    net = detector("realtime", backbone=name, classes=CLASSES, input_shape=(size, size, 3))
    names = tuple(map(str, range(CLASSES)))
    facts = {"names": list(names), "floor": 0.005}  # below what a net without training says of everything
    card = ModelCard(task="detection", facts=facts, labels=names, preprocess=PREPROCESS["torch"])
    path, target = folder / f"{name}.keras", folder / f"{name}.tflite"
    save_model(net, path, card)
    noise = np.random.default_rng(0).integers(0, 256, (16, size, size, 3), np.uint8)
    # Random weights say nothing of accuracy: only the time of the file is asked.
    export(path, target, precision="int8", samples=noise, gates={"agreement": 0.0, "drop": 100.0})
    runner, example = open_runner(target, threads=1, trusted=True), card.preprocess(noise[:1])
    raw = runner(example)
    answers = crowded(size, 100 if figures.smallest else 300)
    steps = {"net": lambda: runner(example), "decoding": lambda: decoded(answers, size)}
    medians = interleaved(steps, repeats)
    total = 1000 * (medians["net"] + medians["decoding"])
    figures[name] = {
        "net": 1000 * medians["net"],
        "decoding and suppression": 1000 * medians["decoding"],
        "images a second": 1000 / total,
        "multiply-adds": multiply_adds(net),
        "bytes": target.stat().st_size,
        "outputs": sorted(raw),
    }
    limit = 1000 / NETS[name]
    if any(unit in processor() for unit in ("VNNI", "AMX")):
        figures.limit(f"{name}: a picture to its boxes", total, limit, "ms")
    else:
        figures.ratio(f"{name}: a picture to its boxes", total, limit, "wanted with VNNI", unit="ms")


def decoded(outputs: dict[str, np.ndarray], size: int) -> list[Boxes]:
    """Boxes of raw outputs."""
    return detection.boxes_of(outputs, HEADS["realtime"], (size, size))


def main() -> int:
    """Measures."""
    args = parser(__doc__).parse_args()
    figures, repeats = Figures("detection", args), 3 if args.smallest else 30
    outputs = crowded(640, 1_000)
    times = []
    for _ in range(repeats + 3):
        start = time.process_time()
        found = decoded(outputs, 640)
        times.append(time.process_time() - start)
    if not len(found[0]):
        raise RuntimeError("no answer of 1,000 is left: the outputs are not those of the head")
    figures.limit("decoding and suppression, 8,400 x 80", 1000 * statistics.median(times[3:]), 5.0, "ms")
    few = args.smallest
    made = scene(*((50, 300, 1_000) if few else (IMAGES, OBJECTS, ANSWERS)))
    mine, theirs = matched(*made), pycocotools(*made)
    apart = abs((mine.figures["AP"] or 0.0) - theirs[0])
    if apart > 1e-12:
        raise RuntimeError(f"the two evaluators differ by {apart:g}")
    medians = interleaved({"ours": lambda: matched(*made), "pycocotools": lambda: pycocotools(*made)}, 1 if few else 3)
    figures.ratio("COCO's evaluation of 1,000 images", medians["ours"], medians["pycocotools"], "pycocotools", 0.5)
    with tempfile.TemporaryDirectory() as folder:
        for name in list(NETS)[: 1 if few else None]:
            of_net(figures, name, Path(folder), repeats)
    return figures.finish()


if __name__ == "__main__":
    run(main)
