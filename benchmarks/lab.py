#!/usr/bin/env python3
"""Runs all experiments of the laboratory at their small size.

Resumable: finished trainings are only read.

Run it: python benchmarks/lab.py --data CIFAR --out DIR        (about an hour on two cores)
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from _measure import Figures, cifar_option, parser, run

from keras_resnet.lab.experiments import EXPERIMENTS

_OPTIONS = {"gradients": ["--depths", "20,56"]}  # 110 layers take as long again
_SMALLEST = ("gradients", "--data", "digits", "--depths", "20", "--set", "epochs=1", "--set", "warmup_epochs=0")
_KEYS = ("size", "seconds", "seeds", "summary", "passed")


def ran(name: str, out: Path, options: list[str]) -> dict:
    """What an experiment found.

    Raises:
        RuntimeError: it ended with an error; status 1 is a result that is not as published.
    """
    child = subprocess.run([sys.executable, "-m", "keras_resnet", "lab", name, *options, "-o", str(out)])
    if child.returncode not in (0, 1):
        raise RuntimeError(f"keras-resnet lab {name} ended with status {child.returncode}")
    (results,) = out.glob(f"{name}-*/results.json")
    content = json.loads(results.read_text(encoding="utf-8"))
    return {key: content[key] for key in _KEYS}


def main() -> int:
    """Runs what is missing and collects all."""
    made = parser(__doc__)
    cifar_option(made)
    made.add_argument("--out", type=Path, required=True)
    args = made.parse_args()
    figures = Figures("lab", args)
    if args.smallest:
        figures["experiments"] = {_SMALLEST[0]: ran(_SMALLEST[0], args.out, list(_SMALLEST[1:]))}
        return figures.finish()
    data = ["--data", f"cifar10:{args.data}"]
    figures["experiments"] = {name: ran(name, args.out, [*data, *_OPTIONS.get(name, [])]) for name in EXPERIMENTS}
    return figures.finish()


if __name__ == "__main__":
    run(main)
