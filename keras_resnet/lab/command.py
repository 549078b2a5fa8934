"""`keras-resnet lab`: parses and calls."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from keras_resnet import console, files, flags
from keras_resnet.errors import InputError, unknown_name
from keras_resnet.lab.experiments import EXPERIMENTS
from keras_resnet.parsing import Parser

if TYPE_CHECKING:
    from keras_resnet.data.sources import Named


def add(parser: Parser) -> None:
    """Adds the options."""
    parser.epilog = "Without NAME: a list of the experiments. Interrupted experiments go on with the same command."
    parser.add_argument("name", nargs="?", metavar="NAME", help=", ".join(EXPERIMENTS))
    parser.add_argument("--full", action="store_true", help="the papers' size and recipe: days on a CPU")
    parser.add_argument("-o", "--output", type=Path, default=Path("lab"), metavar="DIR", help="default: %(default)s")
    parser.former["--out"] = "--output"
    text = "cifar10[:DIR] or digits (default: cifar10 where it can be found, else digits)"
    flags.add_data(parser, text=text, tables=False, masks=False)
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="trainings of every net (%(default)s)")
    parser.add_argument("--depths", default="", metavar="N,N,...", help="layers, in place of the experiment's own")
    flags.add_set(parser)
    console.add_json(parser, "the results")


def work(args: argparse.Namespace) -> int:
    """Does what was asked for."""
    if args.name is None:
        rows = [(name, row.title, row.minutes) for name, row in EXPERIMENTS.items()]
        console.print_table("Experiments", ("name", "what", "minutes at the small size"), rows)
        print("run one: keras-resnet lab degradation --data cifar10:DIR")
        return console.OK
    if args.name not in EXPERIMENTS:
        raise unknown_name("experiment", args.name, EXPERIMENTS)
    if args.seeds < 1:
        raise InputError(f"--seeds {args.seeds}: expected a number from 1")
    try:
        depths = tuple(int(part) for part in args.depths.split(",") if part)
    except ValueError:
        raise InputError(f"--depths {args.depths}: expected whole numbers with commas between") from None
    files.check_folder(args.output)
    console.import_tensorflow()
    import json

    from keras_resnet.lab import Setup, results
    from keras_resnet.lab import run as run_experiment

    data = _data(args)
    setup = Setup(
        out=args.output,
        full=args.full,
        dataset=data.name,
        data_dir=data.folder,
        seeds=tuple(range(args.seeds)),
        depths=depths,
        settings=tuple(args.set),
        command=" ".join(["keras-resnet", *sys.argv[1:]]),
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


def _data(args: argparse.Namespace) -> Named:
    """CIFAR-10 where its files are, the embedded digits otherwise."""
    from keras_resnet.data.sources import SOURCES, Named

    found = flags.data_of(args, "cifar10")
    if found is not None:
        if found.name not in ("cifar10", "digits"):
            raise unknown_name("dataset", found.name, ("cifar10", "digits"))
        return found
    if args.full or SOURCES["cifar10"].at_hand(None):
        return Named("cifar10")
    print("note: no CIFAR-10 was found; running on digits. With its files: --data cifar10:DIR", file=sys.stderr)
    return Named("digits")
