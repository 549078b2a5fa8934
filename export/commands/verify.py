"""`python -m export.verify`: check an existing file again."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from export.commands.options import export_parser, finish, open_source, predict_command
from export.formats.table import format_of
from keras_resnet import console, extras, files


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns its exit status."""
    parser = export_parser("python -m export.verify", "Verify an existing file against its Keras model.")
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="a .tflite, .onnx or .keras file, or a .savedmodel folder"
    )
    args = parser.parse_args(argv)
    return console.run(lambda: _work(args), args)


def _work(args: argparse.Namespace) -> int:
    if not (format_of(args.file).suffix == ".savedmodel" and args.file.is_dir()):
        files.existing_file(args.file)
    extras.require(*format_of(args.file).packages, for_what=str(args.file))
    source = open_source(args)
    from export.making.pipeline import verify

    print(f"model: {source.origin}")
    report = verify(args.file, source, limit=args.limit, gates=dict(args.gate), engine=args.engine, trust=args.trust)
    return finish(report, args, predict_command(args.file))
