#!/usr/bin/env python3
"""Compresses the CIFAR-10 nets by every method: settings are chosen on held-out images, figures are those of the test.

1. Nets that were trained on 45,000 images (benchmarks/trained) are compressed and measured on the 5,000 others: every
   case with each setting that is tried, on one net by one engine. The best one is carried to all nets and engines.
2. The shipped nets, trained on all 50,000, are compressed with it and measured on the 10,000 test images, once; the
   cases that decide a recommendation with three seeds. Nothing is chosen by these figures.

Every run is one call of `keras-resnet compress`, resumable: run the same command again after an interruption, and
finished runs are only read. With --jobs 2 two runs are made at a time, each with half of the cores: small nets use
threads badly.

Run it: python benchmarks/compression.py --data CIFAR --runs RUNS [--jobs 2] [--case KEY] [--net NET] [--finished]
(estimated: 12 hours on two cores)
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import os
import queue
import re
import signal
import statistics
import subprocess
import sys
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from _measure import Figures, cifar_option, parser
from _measure import run as ended
from table import BENCHMARKS, ROOT

from keras_resnet import console

TRAINED = ROOT / "benchmarks" / "trained"
# What the nets on 45,000 images take: (pixels - mean) / std with these, where the package's row has others.
STD = np.array([51.5865, 50.847, 51.255])
NETS = {"resnet8": "ResNet-8", "resnet20_cifar": "ResNet-20", "resnetv2_20_cifar": "ResNet-20 v2"}
CHOSEN_BY, TEACHER = "native", "resnet20_cifar"
ROUNDS = 7  # of latencies


@dataclass(frozen=True)
class Case:
    """A method.

    Attributes:
        key: short name.
        what: name for people.
        arguments: arguments of the command.
        drop: points that it may lose.
        gzip: largest ratio to the original's size in float32, both packed; None where nothing was promised.
        latency: likewise of the latency.
        seeds: number of runs on the test images.
        engines: engines that have the method.
        nets: nets that it is measured on; settings are chosen on the first.
        tried: epochs, and who teaches besides the net itself.
    """

    key: str
    what: str
    arguments: tuple[str, ...]
    drop: float
    gzip: float | None = None
    latency: float | None = None
    seeds: int = 1
    engines: tuple[str, ...] = ("native", "tfmot")
    nets: tuple[str, ...] = ("resnet8", "resnet20_cifar")
    tried: tuple[tuple[int, str], ...] = ((10, ""), (10, TEACHER))


CASES = {
    case.key: case
    for case in (
        Case("qat", "QAT int8", ("--method", "qat"), 0.1, seeds=3, nets=tuple(NETS)),
        Case("2of4", "pruned 2:4", ("--method", "prune", "--sparsity", "2:4"), 0.5, 0.62, seeds=3),
        Case("qat4", "QAT int4 weights", ("--method", "qat", "--weight-bits", "4"), 1.5, engines=("native",)),
        Case("50", "pruned 50 %", ("--method", "prune", "--sparsity", "0.5"), 0.3, 0.62),
        Case("75", "pruned 75 %", ("--method", "prune", "--sparsity", "0.75"), 1.0, 0.40),
        Case("16", "16 clusters", ("--method", "cluster", "--clusters", "16"), 0.5, 0.30),
        Case(
            "half",
            "half the multiply-adds",
            ("--method", "prune", "--channels", "0.5"),
            1.5,
            None,
            0.65,
            engines=("native",),
            nets=("resnet20_cifar",),
            tried=((40, ""),),  # channels are gone at once
        ),
    )
}


@dataclass(frozen=True)
class Run:
    """A call of the command.

    Attributes:
        part: "validation" or "test".
        net: row of `NETS`.
        engine: row of the command.
        case: method.
        epochs: passes over the images.
        teacher: another net that teaches; empty for the net itself.
        seed: of order and augmentation.
    """

    part: str
    net: str
    engine: str
    case: Case
    epochs: int
    teacher: str
    seed: int = 0

    @property
    def name(self) -> str:
        """Name of its folder."""
        teacher = self.teacher.removesuffix("_cifar") or "self"
        return "-".join(map(str, (self.part, self.net, self.engine, self.case.key, self.epochs, teacher, self.seed)))

    def command(self, args: argparse.Namespace) -> list[str]:
        """The command line."""
        made = [sys.executable, "-m", "export.compress", "--data", f"cifar10:{args.data}", *self.case.arguments]
        made += ["--part", self.part, "--engine", self.engine, "--epochs", str(self.epochs), "--seed", str(self.seed)]
        for option, net in (("model", self.net), ("teacher", self.teacher)):
            if not net:
                continue
            if self.part == "validation":
                made += [f"--{option}", str(start(net, args.runs))]
            else:
                weights = "--weights" if option == "model" else "--teacher-weights"
                made += [f"--{option}", net, weights, "cifar10"]
        made += ["--answers", str(args.runs / "answers"), "-o", str(args.runs / self.name), "--resume"]
        return [*made, *(["--set", "subset=256", "--limit", "64"] if args.smallest else [])]


def start(net: str, runs: Path) -> Path:
    """The file of a net that was trained on 45,000 images, in the package's input convention."""
    path = runs / "start" / f"{net}.keras"
    if path.is_file():
        return path
    from export import load_source
    from keras_resnet import PREPROCESS, build, save_model

    model = build(net, weights=str(TRAINED / f"{net}-cifar10-45k.safetensors"))
    (kernel,) = (weight for weight in model.weights if weight.path == "conv1_conv/kernel")
    row = PREPROCESS["cifar10"]  # its means differ by a hundredth of a grey level, which is left out
    kernel.assign(np.asarray(kernel) * (np.array(row.std) / STD).astype(np.float32)[:, None])
    card = dataclasses.replace(load_source(net, weights="cifar10").card, held_out=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_model(model, path, card)
    return path


def finished(run: Run, args: argparse.Namespace) -> dict | None:
    """What a run has found; None where it was not made."""
    path = args.runs / run.name / "compression.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


_children: list[subprocess.Popen] = []


def made(run: Run, args: argparse.Namespace) -> dict:
    """What a run finds, made if need be.

    Raises:
        RuntimeError: the command failed for other than a gate.
    """
    if (found := finished(run, args)) is not None:
        return found
    command = run.command(args)
    print("$", *command[1:], flush=True)
    (args.runs / f"{run.name}.code").write_text(BENCHMARKS["compression"].code(), encoding="utf-8")
    log = args.runs / f"{run.name}.log"
    with log.open("a", encoding="utf-8") as file, subprocess.Popen(command, stdout=file, stderr=file) as child:
        _children.append(child)
        status = child.wait()
    found = finished(run, args)
    if status not in (0, 1) or found is None:
        raise RuntimeError(f"{run.name}: exit status {status}, see {log}")
    return found


def make_all(runs: Iterable[Run], args: argparse.Namespace) -> dict[Run, dict]:
    """The runs, `--jobs` at a time with their own cores; with --finished those that are there."""
    if args.finished:
        return {run: found for run in runs if (found := finished(run, args)) is not None}
    cores = sorted(os.sched_getaffinity(0))
    free: queue.SimpleQueue[list[int]] = queue.SimpleQueue()
    for job in range(args.jobs):
        free.put(cores[job :: args.jobs] or cores)

    def one(run: Run) -> dict:
        own = free.get()
        os.sched_setaffinity(0, own)  # this thread's; a child begins with it, and TensorFlow counts its cores by it
        try:
            return made(run, args)
        finally:
            free.put(own)

    runs = list(runs)
    with ThreadPoolExecutor(args.jobs) as pool:
        return dict(zip(runs, pool.map(one, runs), strict=True))


def stop(number: int, _: object) -> None:
    """SIGTERM reaches this process only: the trainings write their checkpoints when they are told as well."""
    for child in _children:
        child.send_signal(number)  # does nothing to one that has ended
    raise SystemExit(128 + number)  # runs that wait are not begun: `map` cancels them


def choice(case: Case, found: Mapping[Run, dict]) -> tuple[int, str] | None:
    """The setting with the best compressed net on the held-out images; None where not all were tried."""
    tried = {run: entry_of(value)["top1"] for run, value in found.items() if run.case == case}
    if len(tried) < len(case.tried):
        return None
    best = max(tried, key=lambda run: tried[run])
    return best.epochs, best.teacher


def entry_of(found: dict) -> dict:
    """The first compressed file: what `original` and `after training` come before."""
    return found["entries"][2]


def row_of(run: Run, validation: dict | None, test: list[dict], args: argparse.Namespace) -> dict:
    """A row of the table, with all files of the method."""
    files = []
    for place in range(2, len(test[0]["entries"])):
        several = [each["entries"][place] for each in test]
        drops, original = [each["drop"] for each in several], test[0]["entries"][0]
        on_validation = validation["entries"][place] if validation else {}
        files.append(
            {
                "precision": several[0]["what"].rpartition(", ")[2],
                "validation": on_validation.get("top1"),
                "validation_drop": on_validation.get("drop"),
                "top1": statistics.mean(each["top1"] for each in several),
                "drop": statistics.mean(drops),
                "deviation": statistics.stdev(drops) if len(drops) > 1 else None,
                "bytes": several[0]["size_bytes"],
                "gzip_ratio": round(several[0]["gzip_bytes"] / original["gzip_bytes"], 3),
                "latency_ratio": latency_ratio(run.net, Path(several[0]["file"]), args),
            }
        )
    return {
        "net": NETS[run.net],
        "what": run.case.what,
        "engine": run.engine,
        "epochs": run.epochs,
        "teacher": NETS.get(run.teacher, ""),
        "seeds": len(test),
        "files": files,
        "seconds": round(statistics.median(undisturbed(args.runs / f"{run.name}.log", run.epochs, test))),
    }


def latency_ratio(net: str, file: Path, args: argparse.Namespace) -> float:
    """Latency in terms of the original's in float32, of one thread, the two in turn.

    Those of the runs were taken beside other trainings.
    """
    from export import artifact, export, load_source
    from export.proof.timing import latency_ms

    original = args.runs / "start" / f"{net}-float32.tflite"
    if not original.is_file():
        source = load_source(net, weights="cifar10", data_dir=args.data)
        export(source, [(artifact("tflite:float32"), original)], limit=500)
    image = np.zeros((1, 32, 32, 3), np.float32)
    pairs = [(latency_ms(file, image), latency_ms(original, image)) for _ in range(1 if args.smallest else ROUNDS)]
    return round(statistics.median(own / whole for own, whole in pairs), 3)


def judge(row: dict, run: Run, test: list[dict], figures: Figures) -> None:
    """The promises that a row's first file has to keep."""
    first, case = row["files"][0], run.case
    float32, int8 = (test[0]["entries"][place]["top1"] for place in (0, 1))
    figures.limit(f"{run.name}, points lost", first["drop"], case.drop)
    if case.key == "qat":  # where int8 after training loses more, half of that shall be won back
        least = (float32 + int8) / 2 if "v2" in run.net else int8
        figures.ratio(f"{run.name}, error", 1 - first["top1"], 1 - least, "int8 after training", 1.0, "")
    for key, most in (("gzip_ratio", case.gzip), ("latency_ratio", case.latency)):
        if most is not None:
            figures.limit(f"{run.name}, {key.replace('_', ' ')}", first[key], most)


def undisturbed(log: Path, epochs: int, test: list[dict]) -> list[float]:
    """Seconds that the training takes where nothing else runs: its fastest epoch's, for all epochs."""
    said = re.findall(r"^Epoch \d+/\d+  (\d+) s ", log.read_text("utf-8", "replace") if log.is_file() else "", re.M)
    return [epochs * min(map(int, said))] if said else [each["seconds"] for each in test]


def originals(found: Mapping[Run, dict]) -> list[dict]:
    """The nets as they are and in int8 after training, on both parts."""
    rows = {}
    for run, value in found.items():
        row = rows.setdefault(run.net, {"net": NETS[run.net]})
        row |= {
            f"{run.part} {what}": entry["top1"]
            for what, entry in zip(("float32", "int8"), value["entries"], strict=False)
        }
    return list(rows.values())


def main() -> int:
    """Runs what is missing and collects all."""
    options = parser(__doc__)
    cifar_option(options)
    options.add_argument("--runs", type=Path, required=True, help="folder of the trainings")
    options.add_argument("--case", action="append", choices=CASES, help="only this one; repeatable")
    options.add_argument("--net", action="append", choices=NETS, help="compress this one only; repeatable")
    options.add_argument("--jobs", type=int, default=1, help="runs at a time")
    options.add_argument("--finished", action="store_true", help="only read what is there")
    args = options.parse_args()
    args.runs.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, stop)
    figures = Figures("compression", args)
    console.import_tensorflow()
    cases = [CASES[key] for key in args.case or CASES]
    if args.smallest:
        few = {"seeds": 1, "engines": ("native",), "nets": ("resnet8",), "tried": ((1, ""),)}
        cases = [dataclasses.replace(CASES["qat"], **few)]
    tries = (Run("validation", case.nets[0], CHOSEN_BY, case, *how) for case in cases for how in case.tried)
    search = make_all(tries, args)
    chosen = {case: choice(case, search) for case in cases}
    figures["tried"] = [
        {"what": run.case.what, "epochs": run.epochs, "teacher": NETS.get(run.teacher, ""),
         "net": NETS[run.net], "engine": run.engine, "top1": entry_of(value)["top1"], "drop": entry_of(value)["drop"]}
        for run, value in search.items()
    ]  # fmt: skip
    wanted = []
    for case in cases:
        nets = [net for net in case.nets if not args.net or net in args.net]
        for net, engine in itertools.product(nets, case.engines):
            if chosen[case] and not (engine == "tfmot" and "v2" in net):  # tfmot has no pre-activation nets
                epochs, teacher = chosen[case]
                run = Run("validation", net, engine, case, epochs, "" if teacher == net else teacher)
                wanted += [run, *(dataclasses.replace(run, part="test", seed=seed) for seed in range(case.seeds))]
    found = make_all(wanted, args)
    rows: list[dict] = []
    for run in wanted:
        test = [value for each, value in found.items() if dataclasses.replace(each, part="validation", seed=0) == run
                and each.part == "test"]  # fmt: skip
        if run.part == "validation" and test:
            measured = dataclasses.replace(run, part="test")
            rows.append(row_of(measured, found.get(run), test, args))
            judge(rows[-1], measured, test, figures)
    notes = [args.runs / f"{run.name}.code" for run in {**search, **found}]
    if {note.read_text(encoding="utf-8") if note.is_file() else "" for note in notes} != {figures.code}:
        figures.code = "of several versions"  # runs of before were only read
    figures["rows"], figures["originals"] = rows, originals({**search, **found})
    return figures.finish()


if __name__ == "__main__":
    ended(main)
