#!/usr/bin/env python3
"""Runs all experiments of the laboratory at their small size, and the ensemble of the shipped nets, for the README.

Resumable: finished trainings are only read. With --write the figures go to benchmarks/lab.json, from which
tools/tables.py makes tables of docs/benchmarks.md.

Run it: python benchmarks/lab.py --data-dir CIFAR --out DIR [--write] [--finished]
(about 45 minutes on two Zen 4 cores)
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

sys.path.pop(0)  # this folder, in which export.py would be found as `export`

from keras_resnet.lab.experiments import EXPERIMENTS  # noqa: E402

HERE = Path(__file__).resolve().parent
_OPTIONS = {"gradients": ["--depths", "20,56"]}  # 110 layers take as long again
_NETS = ("resnet8:cifar10", "resnet20_cifar:cifar10", "resnetv2_20_cifar:cifar10")


def main() -> int:
    """Runs what is missing and collects all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--finished", action="store_true", help="only read what is there")
    parser.add_argument("--write", action="store_true", help="benchmarks/lab.json, for the README")
    args = parser.parse_args()
    command, data = [sys.executable, "-m", "keras_resnet"], ["--data-dir", str(args.data_dir)]
    found: dict[str, object] = {"date": time.strftime("%Y-%m-%d"), "experiments": {}}
    for name in EXPERIMENTS:
        results = args.out / f"{name}-small-cifar10" / "results.json"
        if not args.finished:
            options = [*data, "--out", str(args.out), *_OPTIONS.get(name, [])]
            subprocess.run([*command, "lab", name, *options])  # status 1: not as published
        if results.is_file():
            content = json.loads(results.read_text(encoding="utf-8"))
            keys = ("size", "seconds", "seeds", "summary", "passed")
            found["experiments"][name] = {key: content[key] for key in keys}
    ensemble = args.out / "ensemble.json"
    if not args.finished:
        options = ["--ensemble", *_NETS, "--dataset", "cifar10", *data, "--json", str(ensemble)]
        subprocess.run([*command, "evaluate", *options], check=True)
    if ensemble.is_file():
        content = json.loads(ensemble.read_text(encoding="utf-8"))
        found["ensemble"] = {key: content[key] for key in ("members", "top1", "top1_interval", "loss", "count", "ece")}
    print(json.dumps(found, indent=2))
    if args.write:
        (HERE / "lab.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
