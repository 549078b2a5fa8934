#!/usr/bin/env python3
"""The recipes that take minutes, as a user types them: test accuracy and time beside what their rows say.

Of the longer ones, `fast` and `fast-resnet8` made the shipped weights, which evaluation.py measures.

Run it: python benchmarks/recipes.py --data CIFAR        (five minutes)
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _measure import Figures, cifar_option, parser, run

from keras_resnet import RECIPES

SEEDS = {"digits-resnet8": (0, 1, 2), "lab-digits": (0,), "lab-cifar10": (0,)}
POINTS = 0.02  # that a run may lie below its row on another processor: 360 digits have steps of 0.3


def trained(name: str, seed: int, data: Path, extra: list[str]) -> dict[str, float]:
    """Test accuracy, and seconds from typing the command to its end."""
    source = ["--data", f"cifar10:{data}"] if RECIPES[name].dataset == "cifar10" else []
    with tempfile.TemporaryDirectory() as folder:
        run, file = Path(folder, "run"), Path(folder, "found.json")
        command = [sys.executable, "-m", "keras_resnet"]
        start = time.perf_counter()
        options = ["--recipe", name, "--seed", str(seed), *source, *extra, "-o", str(run)]
        subprocess.run([*command, "train", *options], check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - start
        options = ["--model", str(run), *source, "--no-temperature", "--json", str(file)]
        subprocess.run([*command, "evaluate", *options], check=True, stdout=subprocess.DEVNULL)
        top1 = json.loads(file.read_text(encoding="utf-8"))["top1"]
    print(f"{name}, seed {seed}: {top1:.2%} in {seconds:.0f} s", flush=True)
    return {"top1": top1, "seconds": round(seconds, 1)}


def main() -> int:
    """Measures."""
    made = parser(__doc__)
    cifar_option(made)
    args = made.parse_args()
    figures = Figures("recipes", args)
    if args.smallest:
        few = ["--epochs", "1"]
        figures["digits-resnet8"] = [trained("digits-resnet8", 0, args.data, few)]
        return figures.finish()
    for name, seeds in SEEDS.items():
        figures[name] = [trained(name, seed, args.data, []) for seed in seeds]
        worst = min(each["top1"] for each in figures.found[name])
        figures.ratio(f"{name}, error", 1 - worst, 1 - min(RECIPES[name].expected) + POINTS, "the row's", 1.0, "")
    return figures.finish()


if __name__ == "__main__":
    run(main)
