"""The commands of single formats: `keras-resnet export tflite`, `keras-resnet export tflite`, ..."""

from __future__ import annotations

import argparse
from pathlib import Path

from export.commands.options import (
    FOLDER,
    add_verifying,
    add_writing,
    choices,
    export_files,
    finish,
    open_source,
    predict_command,
)
from export.formats.artifacts import artifact
from export.formats.precisions import PRECISIONS, QUANTIZERS
from export.formats.table import FORMATS
from export.making.server import SERVER
from keras_resnet import extras, files, flags
from keras_resnet.parsing import Parser


def add(name: str, parser: Parser) -> None:
    """Adds the options.

    Args:
        name: row of `FORMATS`.
        parser: parser of the command.
    """
    form = FORMATS[name]
    add_verifying(parser)
    precisions = parser.add_mutually_exclusive_group()
    for precision in form.precisions:
        flag = PRECISIONS[precision].flag
        default = " (default)" if precision == "float32" else ""
        precisions.add_argument(
            flag, dest="precision", action="store_const", const=precision, help=f"{precision}{default}"
        )
    parser.set_defaults(precision="float32")
    parser.add_argument("--quantizer", choices=QUANTIZERS, help="default: the first that has the precision")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help=f"default {FOLDER}/NAME-PRECISION{form.suffix}, with the time where that exists",
    )
    add_writing(parser)


def work(name: str, args: argparse.Namespace) -> int:
    """Makes and verifies the file; returns the exit status.

    Args:
        name: row of `FORMATS`.
        args: options of the command line.
    """
    made = artifact(f"{name}:{args.precision}", quantizer=args.quantizer, **choices(args))
    extras.require(*made.packages, for_what=made.name)
    files.check_folder(args.output.parent if args.output else FOLDER, args.output)
    SERVER.start()
    source = open_source(args)
    usual = made.file(FOLDER, source.name)
    path = args.output or (usual if args.overwrite else flags.unused(usual))
    report = export_files(source, [(made, path)], args)
    return finish(report, args, predict_command(path))
