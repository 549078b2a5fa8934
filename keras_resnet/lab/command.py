"""`python -m keras_resnet lab`: parses and calls."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from keras_resnet import console, files
from keras_resnet.errors import InputError, unknown_name
from keras_resnet.lab.experiments import EXPERIMENTS


def add(commands) -> None:
    """Adds the command to the parser's others."""
    parser = commands.add_parser(
        "lab",
        help="the papers' experiments: degradation, gradients, responses, ...",
        description="Reruns an experiment of the ResNet papers and writes DIR/NAME-SIZE/index.html and results.json.",
        epilog="Without NAME: a list of the experiments. Interrupted experiments go on with the same command.",
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help=", ".join(EXPERIMENTS))
    parser.add_argument("--full", action="store_true", help="the papers' size and recipe: days on a CPU")
    parser.add_argument("--out", type=Path, default=Path("lab"), metavar="DIR", help="default: %(default)s")
    parser.add_argument("--dataset", help="cifar10 or digits (default: cifar10 where it can be found, else digits)")
    parser.add_argument("--data-dir", type=Path, help="where CIFAR-10's files are (else Keras' cache)")
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="trainings of every net (%(default)s)")
    parser.add_argument("--depths", default="", metavar="N,N,...", help="layers, in place of the experiment's own")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change a setting of the recipe; repeatable"
    )
    console.add_json(parser, "the results")
    parser.set_defaults(work=run)


def run(args: argparse.Namespace) -> int:
    """Does what was asked for."""
    if args.name is None:
        rows = [(name, row.title, row.minutes) for name, row in EXPERIMENTS.items()]
        console.print_table("Experiments", ("name", "what", "minutes at the small size"), rows)
        print("run one: python -m keras_resnet lab degradation --data-dir DIR")
        return console.OK
    if args.name not in EXPERIMENTS:
        raise unknown_name("experiment", args.name, EXPERIMENTS)
    if args.seeds < 1:
        raise InputError(f"--seeds {args.seeds}: expected a number from 1")
    try:
        depths = tuple(int(part) for part in args.depths.split(",") if part)
    except ValueError:
        raise InputError(f"--depths {args.depths}: expected whole numbers with commas between") from None
    files.check_folder(args.out)
    console.import_tensorflow()
    import json

    from keras_resnet.lab import Setup, results
    from keras_resnet.lab import run as run_experiment

    setup = Setup(
        out=args.out,
        full=args.full,
        dataset=_dataset(args),
        data_dir=args.data_dir,
        seeds=tuple(range(args.seeds)),
        depths=depths,
        settings=tuple(args.set),
        command=" ".join(["python -m keras_resnet", *sys.argv[1:]]),
        verbose=True,
    )
    try:
        findings, page, seconds = run_experiment(args.name, setup)
    except KeyboardInterrupt:
        print(f"go on: {setup.command}", file=sys.stderr)
        raise
    results.print_findings(findings, page, seconds)
    if args.json:
        console.write_json(args.json, json.loads((page.parent / results.RESULTS).read_text(encoding="utf-8")))
    return console.FAILED if findings.passed is False else console.OK


def _dataset(args: argparse.Namespace) -> str:
    """CIFAR-10 where its files are, the embedded digits otherwise."""
    from keras_resnet.data import SOURCES

    if args.dataset not in (None, "cifar10", "digits"):
        raise unknown_name("dataset", args.dataset, ("cifar10", "digits"))
    if args.dataset:
        return args.dataset
    if args.full or args.data_dir or SOURCES["cifar10"].at_hand(None):
        return "cifar10"
    print("note: no CIFAR-10 was found; running on digits. With its files: --data-dir DIR", file=sys.stderr)
    return "digits"
