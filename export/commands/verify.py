"""`keras-resnet verify`: check an existing file again."""

from __future__ import annotations

import argparse
from pathlib import Path

from export.commands.options import add_verifying, finish, open_source, predict_command
from export.formats.table import format_of
from export.making.server import SERVER
from keras_resnet import extras, files
from keras_resnet.parsing import Parser


def add(parser: Parser) -> None:
    """Adds the options."""
    add_verifying(parser)
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="a .tflite, .onnx or .keras file, or a .savedmodel folder"
    )


def work(args: argparse.Namespace) -> int:
    """Verifies; returns the exit status."""
    if not (format_of(args.file).suffix == ".savedmodel" and args.file.is_dir()):
        files.existing_file(args.file)
    extras.require(*format_of(args.file).packages, for_what=str(args.file))
    SERVER.start()
    source = open_source(args)
    from export.making.pipeline import verify

    print(f"model: {source.origin}")
    report = verify(args.file, source, limit=args.limit, gates=dict(args.gate), engine=args.engine, trust=args.trust)
    return finish(report, args, predict_command(args.file))
