"""`keras-resnet export bundle --place NAME`: a folder that works in a place unchanged."""

from __future__ import annotations

import argparse
from pathlib import Path

from export.commands.options import FOLDER, add_verifying, add_writing, open_source, size_in_bytes
from export.formats.precisions import QUANTIZERS
from export.targets.table import TARGETS, get_target
from keras_resnet import console, extras, files, flags
from keras_resnet.errors import InputError
from keras_resnet.parsing import Parser

_NOT_FOR_TARGETS = {  # what the contract decides
    "layout": "nhwc",
    "features": (),
    "form": None,
    "with_cam": False,
    "metadata": False,
    "engine": None,
}


OPTIONS = ("precision", "flash", "ram", "tflm_tree")


def add(parser: Parser) -> None:
    """Adds the options."""
    add_verifying(parser)
    parser.add_argument("--place", metavar="NAME", required=True, help=f"one of {', '.join(TARGETS)}")
    parser.former["--target"] = "--place"
    parser.add_argument("--quantizer", choices=QUANTIZERS, action="append", help="default: the place's")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help=f"default {FOLDER}/NAME-PLACE, with the time where that exists"
    )
    add_writing(parser)
    add_place_options(parser, "of the place")


def add_place_options(parser: Parser, title: str) -> None:
    """Adds what only bundles have.

    Args:
        parser: parser of the command.
        title: heading of the group.
    """
    group = parser.add_argument_group(title)
    group.add_argument("--precision", help="default: the place's")
    group.add_argument("--flash", type=size_in_bytes, metavar="SIZE", help="tflm: flash of the board, like 512K")
    group.add_argument("--ram", type=size_in_bytes, metavar="SIZE", help="tflm: RAM of the board, like 256K")
    group.add_argument("--tflm-tree", type=Path, metavar="DIR", help="tflm: a checkout to compile the example with")


def work(args: argparse.Namespace) -> int:
    """Makes the bundle that a command line asks for; returns the exit status.

    Args:
        args: options of a parser that `add` was called with.
    """
    target = get_target(args.place)
    for name, default in _NOT_FOR_TARGETS.items():
        if getattr(args, name) != default:
            raise InputError(f"--{name.replace('_', '-')} does not go with --place: the place decides it")
    if args.quantizer and len(args.quantizer) > 1:
        raise InputError("--place makes one file: give one --quantizer")
    choices = {
        "precision": args.precision,
        "io": args.io,
        "input": args.input,
        "quantizer": args.quantizer[0] if args.quantizer else None,
    }
    made = target.artifact(**choices)  # a contradiction is refused before TensorFlow is imported
    extras.require(*made.packages, for_what=f"--place {target.name}")
    options = {name: getattr(args, name) for name in ("flash", "ram", "tflm_tree")}
    files.check_folder(args.output.parent if args.output else FOLDER, args.output)
    source = open_source(args)
    if args.input_size or (args.image_size and source.shape[0] != args.image_size):
        raise InputError("--input-size does not go with --place: the place decides it")
    from export.targets.making import README, make_bundle

    usual = FOLDER / f"{source.name}-{target.name}"
    folder = args.output or (usual if args.overwrite else flags.unused(usual))
    result = make_bundle(
        source,
        target.name,
        folder,
        options={name: value for name, value in options.items() if value is not None},
        overwrite=args.overwrite,
        samples=args.samples,
        calibrate_with=args.calibration,
        limit=args.limit,
        gates=dict(args.gate),
        say=lambda text: print(text, flush=True),
        **choices,
    )
    result.print()
    console.write_json(args.json, result.to_json())
    result.raise_if_failed()
    print(f"next: the steps are in {folder / README}")
    return console.OK
