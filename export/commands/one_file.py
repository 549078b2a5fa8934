"""The commands of single formats: `python -m export.tflite`, `export.onnx`, ..."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from export.commands.options import (
    FOLDER,
    add_writing,
    choices,
    export_files,
    export_parser,
    finish,
    open_source,
    predict_command,
)
from export.formats.artifacts import artifact
from export.formats.precisions import PRECISIONS, QUANTIZERS
from export.formats.table import FORMATS
from keras_resnet import console, extras, files


def main(name: str, argv: Sequence[str] | None = None) -> int:
    """Runs the command line of one format; returns its exit status.

    Args:
        name: row of `FORMATS`.
        argv: arguments, by default those of the process.
    """
    form = FORMATS[name]
    parser = export_parser(f"python -m export.{name}", f"Export one {name} file and verify it against Keras.")
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
        "-o", "--output", type=Path, metavar="FILE", help=f"default {FOLDER}/NAME-PRECISION{form.suffix}"
    )
    add_writing(parser)
    args = parser.parse_args(argv)

    def work() -> int:
        made = artifact(f"{name}:{args.precision}", quantizer=args.quantizer, **choices(args))
        extras.require(*made.packages, for_what=made.name)
        files.check_folder(args.output.parent if args.output else FOLDER, args.output)
        source = open_source(args)
        path = args.output or made.file(FOLDER, source.name)
        report = export_files(source, [(made, path)], args)
        return finish(report, args, predict_command(path))

    return console.run(work, args)
