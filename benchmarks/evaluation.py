#!/usr/bin/env python3
"""Accuracy and calibration of the shipped CIFAR-10 nets on the test images: alone, in views, together.

Run it: python benchmarks/evaluation.py --data CIFAR        (about five minutes)

The commands are those that a user types. The nets were trained on all training images, so their temperature is
cross-fitted on the test images; nothing else is chosen by these figures.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from _measure import Figures, cifar_option, parser, run

NETS = ("resnet8", "resnet20_cifar", "resnetv2_20_cifar")
VIEWS = {"mirror images": ["--flip"], "ten crops": ["--crops", "10"]}


def evaluated(*options: str, data: Path) -> dict:
    """What `keras-resnet evaluate` says."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "found.json")
        command = [sys.executable, "-m", "keras_resnet", "evaluate", "--data", f"cifar10:{data}", *options]
        print("$ keras-resnet", *command[3:], flush=True)
        subprocess.run([*command, "--json", str(file)], check=True, stdout=subprocess.DEVNULL)
        return json.loads(file.read_text(encoding="utf-8"))


def main() -> int:
    """Measures."""
    made = parser(__doc__)
    cifar_option(made)
    args = made.parse_args()
    figures = Figures("evaluation", args)
    fewer = ["--limit", "64"] if args.smallest else []
    nets = NETS[:1] if args.smallest else NETS
    keys = ("top1", "top1_interval", "loss", "count", "ece", "ece_with_temperature", "temperature")
    alone = {net: evaluated("--model", net, "--weights", "cifar10", *fewer, data=args.data) for net in nets}
    figures["alone"] = {net: {key: found[key] for key in keys} for net, found in alone.items()}
    if args.smallest:
        return figures.finish()
    views = {name: ["--model", NETS[1], "--weights", "cifar10", *options] for name, options in VIEWS.items()}
    figures["views"] = {name: evaluated(*options, data=args.data)["top1"] for name, options in views.items()}
    together = evaluated("--ensemble", *(f"{net}:cifar10" for net in NETS), data=args.data)
    figures["together"] = {key: together[key] for key in keys[:5]}
    best = max(found["top1"] for found in alone.values())
    figures.ratio("the nets together, error", 1 - together["top1"], 1 - best, "the best one", 1.0, "")
    return figures.finish()


if __name__ == "__main__":
    run(main)
