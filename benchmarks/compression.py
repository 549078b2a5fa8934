#!/usr/bin/env python3
"""Compresses the shipped CIFAR-10 nets by every method and both engines, and checks the figures.

All rows of a table have the same epochs: there is one table for every net, and one for narrower nets, whose channels
are gone at once and need more.

Every row is one call of `keras-resnet compress`, resumable: run the same command again after an interruption, and
finished rows are only read. The table goes to RUNS/results.json and, with --write, to benchmarks/compression.json,
from which tools/tables.py makes tables of docs/benchmarks.md; rows there that were not made here, on other machines
say, stay.

Run it: python benchmarks/compression.py --data-dir CIFAR --runs RUNS [--net NAME ...] [--engine NAME ...]
    [--case WHAT ...] [--epochs N] [--jobs N] [--finished] [--latency] [--write]
(about 5 hours on two Zen 4 cores with --jobs 2, twice that without bfloat16; estimated)

With --jobs 2 two rows are made at a time, each with half of the cores: on two Zen 4 cores that takes 0.8 of the time,
as small nets use threads badly. The times of the table are then those of fewer cores. They are the fastest epoch's for
all epochs, without a teacher's answers, files and evaluation.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import queue
import re
import signal
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

sys.path.pop(0)  # this folder, in which export.py would be found as `export`

import numpy as np  # noqa: E402

from keras_resnet import console  # noqa: E402

_ROUNDS = 7
_children: list[subprocess.Popen] = []
HERE = Path(__file__).resolve().parent
EPOCHS = {"resnet8": 20, "resnet20_cifar": 10, "resnetv2_20_cifar": 10}  # the smallest net has the least to spare
NETS = tuple(EPOCHS)
TEACHERS = {"resnet8": "resnet20_cifar"}
ORIGINAL, AFTER_TRAINING = "original", "quantized after training"
_NAMES = {"resnet8": "ResNet-8", "resnet20_cifar": "ResNet-20", "resnetv2_20_cifar": "ResNet-20 v2"}


@dataclass(frozen=True)
class Case:
    """A row.

    Attributes:
        what: for people.
        arguments: of the command.
        drop: points that it may lose.
        gzip: largest ratio to the original's size in float32, both packed; None where nothing was promised.
        latency: likewise of the latency.
        engines: that have the method.
        nets: that the figures are promised for.
        epochs: where they are not the net's.
    """

    what: str
    arguments: tuple[str, ...]
    drop: float
    gzip: float | None = None
    latency: float | None = None
    engines: tuple[str, ...] = ("native", "tfmot")
    nets: tuple[str, ...] = ("resnet8", "resnet20_cifar")
    epochs: int | None = None


CASES = (
    Case("QAT int8", ("--method", "qat"), 0.1, nets=NETS),
    Case("QAT int4 weights", ("--method", "qat", "--weight-bits", "4"), 1.5, engines=("native",)),
    Case("pruned 50 %", ("--method", "prune", "--sparsity", "0.5"), 0.3, 0.62),
    Case("pruned 2:4", ("--method", "prune", "--sparsity", "2:4"), 0.5, 0.62),
    Case("pruned 75 %", ("--method", "prune", "--sparsity", "0.75"), 1.0, 0.40),
    Case("16 clusters", ("--method", "cluster", "--clusters", "16"), 0.5, 0.30),
    Case(
        "half the multiply-adds", ("--method", "prune", "--channels", "0.5"), 1.5, None, 0.65,
        engines=("native",), nets=("resnet20_cifar",), epochs=40,
    ),
)  # fmt: skip


def rows(nets: list[str], engines: list[str], cases: list[Case]) -> list[tuple[str, str, Case]]:
    """Net, engine and case of every row; tfmot has no pre-activation nets."""
    return [
        (net, engine, case)
        for net, engine, case in itertools.product(nets, engines, cases)
        if net in case.nets and engine in case.engines and not (engine == "tfmot" and "v2" in net)
    ]


def run(net: str, engine: str, case: Case, args: argparse.Namespace) -> list[dict]:
    """The figures of the two originals and of the row's files; none where the command failed for other than a gate."""
    epochs = args.epochs or case.epochs or EPOCHS[net]
    folder = args.runs / f"{net}-{engine}-{case.what.replace(' ', '-').replace('%', 'percent').replace(':', 'of')}"
    result = folder / "compression.json"
    if not result.is_file() and args.finished:
        return []
    if not result.is_file():
        command = [sys.executable, "-m", "export.compress", "--model", net, "--weights", "cifar10", *case.arguments]
        command += ["--engine", engine, "--data-dir", str(args.data_dir), "--set", f"epochs={epochs}"]
        command += ["--teacher", TEACHERS[net], "--teacher-weights", "cifar10"] if net in TEACHERS else []
        command += ["--answers", str(args.runs / "answers"), "-o", str(folder), "--resume"]
        print("$", " ".join(command[1:]), flush=True)
        with (
            (args.runs / f"{folder.name}.log").open("a", encoding="utf-8") as log,
            subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT) as child,
        ):
            _children.append(child)
            status = child.wait()
        if status not in (0, 1) or not result.is_file():
            print(f"{net} {engine} {case.what}: exit status {status}, see {folder}.log", file=sys.stderr)
            return []
    found = json.loads(result.read_text(encoding="utf-8"))
    original, after_training, *made = found["entries"]
    table = {"net": _NAMES[net], "epochs": found["recipe"]["epochs"], "teacher": _NAMES.get(found.get("teacher"), "")}
    table |= {"processor": processor(), "date": time.strftime("%Y-%m-%d", time.localtime(result.stat().st_mtime))}
    seconds = undisturbed(args.runs / f"{folder.name}.log", table["epochs"]) or round(found["seconds"])
    facts = {"what": case.what, "engine": engine, "seconds": seconds}
    none = {"engine": "", "seconds": 0}
    own = [
        (original, {"what": ORIGINAL, **none, "precision": "float32"}),
        (after_training, {"what": AFTER_TRAINING, **none, "precision": "int8"}),
        *((entry, {**facts, "precision": entry["what"].rpartition(", ")[2]}) for entry in made),
    ]
    return [
        {
            **table,
            **fields,
            "file": entry["file"],
            "top1": entry["top1"],
            "drop": round(entry["drop"], 3),
            "bytes": entry["size_bytes"],
            "gzip_bytes": entry["gzip_bytes"],
            "gzip_ratio": round(entry["gzip_bytes"] / original["gzip_bytes"], 3),
            "latency_ratio": round(entry["latency_ms"] / original["latency_ms"], 3),
        }
        for entry, fields in own
    ]


def undisturbed(log: Path, epochs: int) -> int:
    """Seconds that the training takes where nothing else runs: its fastest epoch's, for all epochs; 0 without a log.

    Trainings take hours, beside other work at times, which made some of them thrice as long.
    """
    said = re.findall(r"^Epoch \d+/\d+  (\d+) s ", log.read_text("utf-8", "replace") if log.is_file() else "", re.M)
    return epochs * min(map(int, said), default=0)


def run_all(wanted: list[tuple[str, str, Case]], args: argparse.Namespace) -> list[list[dict]]:
    """Every row's figures, in order, made by `--jobs` at a time with their own cores."""
    cores = sorted(os.sched_getaffinity(0))
    free: queue.SimpleQueue[list[int]] = queue.SimpleQueue()
    for job in range(args.jobs):
        free.put(cores[job :: args.jobs] or cores)

    def one(row: tuple[str, str, Case]) -> list[dict]:
        own = free.get()
        os.sched_setaffinity(0, own)  # this thread's; a child begins with it, and TensorFlow counts its cores by it
        try:
            return run(*row, args)
        finally:
            free.put(own)

    with ThreadPoolExecutor(args.jobs) as pool:
        return list(pool.map(one, wanted))


def stop(number: int, _: object) -> None:
    """SIGTERM reaches this process only: the trainings write their checkpoints when they are told as well."""
    for child in _children:
        child.send_signal(number)  # does nothing to one that has ended
    raise SystemExit(128 + number)  # rows that wait are not begun: `map` cancels them


def processor() -> str:
    """What of this machine's processor speed and rounding depend on."""
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    return "VNNI" if {"avx512_vnni", "avx_vnni"} & set(flags) else "AVX2"


def in_order(found: list[dict]) -> list[dict]:
    """Every row once, the last one where there are several: table by table, case by case, processor by processor."""
    cases = [ORIGINAL, AFTER_TRAINING, *(case.what for case in CASES)]
    names = list(_NAMES.values())

    def place(row: dict) -> tuple:
        return names.index(row["net"]), row["epochs"], cases.index(row["what"]), row["engine"], row["processor"]

    once = {(*place(row), row["precision"]): row for row in found}
    return sorted(once.values(), key=place)


def measure_again(found: list[dict], args: argparse.Namespace) -> None:
    """Latencies of all files, interleaved with those of the originals, while nothing else runs; changes the rows."""
    from export import artifact, export, load_source
    from export.proof.gates import latency_ms

    nets = {_NAMES[net]: net for net in NETS}
    for row in found:
        if row["what"] in (ORIGINAL, AFTER_TRAINING):
            net, precision = nets[row["net"]], row["precision"]
            row["file"] = str(args.runs / f"{net}-{precision}.tflite")
            if not Path(row["file"]).is_file():
                source = load_source(net, weights="cifar10", data_dir=args.data_dir)
                export(source, [(artifact(f"tflite:{precision}"), Path(row["file"]))], limit=500)
    image = np.zeros((1, 32, 32, 3), np.float32)
    times: dict[str, list[float]] = {row["file"]: [] for row in found}
    for _ in range(_ROUNDS):
        for file, measured in times.items():
            measured.append(latency_ms(Path(file), image))
    originals = {row["net"]: times[row["file"]] for row in found if row["what"] == ORIGINAL}
    for row in found:
        pairs = zip(times[row["file"]], originals[row["net"]], strict=True)
        row["latency_ratio"] = round(statistics.median(own / original for own, original in pairs), 3)


def failures(row: dict, case: Case, original: float, after_training: float) -> list[str]:
    """The promises that a row's first file does not keep, given the accuracies of the originals."""
    found = []
    limit = case.drop
    if "v2" in row["net"]:  # half of what int8 after training lost shall be won back
        least = (after_training + original) / 2
        if row["top1"] < least:
            found.append(f"top-1 {row['top1']:.4f}, expected {least:.4f}")
    elif case.what == "QAT int8" and row["top1"] < after_training:
        found.append(f"top-1 {row['top1']:.4f}, after training {after_training:.4f}")
    if row["drop"] > limit + 1e-9:
        found.append(f"drop {row['drop']:.2f}, limit {limit}")
    for name, most in (("gzip_ratio", case.gzip), ("latency_ratio", case.latency)):
        if most is not None and row[name] > most:
            found.append(f"{name} {row[name]:.2f}, limit {most}")
    return found


def main() -> int:
    """Runs what is missing and prints all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--net", action="append", choices=NETS)
    parser.add_argument("--engine", action="append", choices=("native", "tfmot"))
    parser.add_argument("--case", action="append", choices=[case.what for case in CASES])
    parser.add_argument("--epochs", type=int, help="of all rows (default: each table's own)")
    parser.add_argument("--jobs", type=int, default=1, help="rows at a time")
    parser.add_argument("--finished", action="store_true", help="only read what is there")
    parser.add_argument("--latency", action="store_true", help="measure it again, on an idle machine")
    parser.add_argument("--write", action="store_true", help="benchmarks/compression.json, for the README")
    args = parser.parse_args()
    args.runs.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, stop)
    chosen = [case for case in CASES if not args.case or case.what in args.case]
    wanted = rows(args.net or list(NETS), args.engine or ["native", "tfmot"], chosen)
    files = run_all(wanted, args)
    limits = {}
    for rows_of_case, (_, _, case) in zip(files, wanted, strict=True):
        if rows_of_case:
            original, after_training, first, *_ = rows_of_case
            limits[first["file"]] = (case, original["top1"], after_training["top1"])
    found = in_order([row for rows_of_case in files for row in rows_of_case])
    if args.latency:
        measure_again(found, args)
    for row in found:
        file = row.pop("file")
        row["failed"] = failures(row, *limits[file]) if file in limits else []
    columns = (
        "net",
        "what",
        "engine",
        "epochs",
        "processor",
        "precision",
        "top1",
        "drop",
        "bytes",
        "gzip_bytes",
        "gzip_ratio",
        "latency_ratio",
        "seconds",
    )
    console.print_table(
        "Compression", (*columns, "failed"), [[*(r[c] for c in columns), "; ".join(r["failed"])] for r in found]
    )
    value = {"command": "python benchmarks/compression.py --data-dir CIFAR --runs RUNS", "cores": os.cpu_count()}
    console.write_json(args.runs / "results.json", {**value, "rows": found})
    if args.write:
        target = HERE / "compression.json"
        known = json.loads(target.read_text(encoding="utf-8"))["rows"]
        console.write_json(target, {**value, "rows": in_order([*known, *found])})
    complete = all(files)
    return 0 if complete and not any(row["failed"] for row in found) else 1


if __name__ == "__main__":
    raise SystemExit(main())
