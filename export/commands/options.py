"""Options that several commands have, and what all of them do with them."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from export.formats.artifacts import INPUTS, LABELS, SAMPLES
from export.formats.table import ENGINES, LAYOUTS, OUTSIDE
from keras_resnet import console
from keras_resnet.labels import LABELS_HELP
from keras_resnet.parsing import Parser
from keras_resnet.runtime import foreign

EPILOG = "Exit status: 0 when all gates hold, 1 when a gate fails, 2 for wrong usage or input."
FOLDER = Path("exports")


def positive(text: str) -> int:
    """A whole number from 1, for argparse."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, received {text}")
    return number


def size_in_bytes(text: str) -> int:
    """A size like 98496, 512K or 2M in bytes, for argparse."""
    units = {"K": 1024, "M": 1024**2}
    number = text.upper().removesuffix("B").removesuffix("I")
    factor = units.get(number[-1:], 1)
    try:
        size = float(number.rstrip("KM")) * factor
    except ValueError:
        size = 0
    if size < 1:
        raise argparse.ArgumentTypeError(f"expected a size like 98496, 512K or 2M, received {text}")
    return int(size)


def _strides(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(each) for each in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected strides like 8,16,32, received {text}") from None


def _gate(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected NAME=NUMBER, like drop=0.3, received {text}") from None


def add_source(parser: argparse.ArgumentParser) -> None:
    """The options that say which model, and which data; `open_source` reads them."""
    parser.add_argument(
        "--model",
        action="append",
        help="a .keras file, or a variant's name with --weights; repeated: an ensemble, whose mean is one file; by "
        "default the newest run under runs/, else the best model that ships with the package: a CIFAR-10 net where its "
        "images are at hand, else a digits net",
    )
    parser.add_argument("--weights", help="for a variant: a registered name, a weight file, or none")
    parser.add_argument(
        "--dataset",
        help="digits, cifar10, cifar100, or a folder of class folders; by default what the model was trained on",
    )
    parser.add_argument("--data-dir", type=Path, help="where CIFAR's official binary files are (else Keras' cache)")
    parser.add_argument("--labels", type=Path, metavar="FILE", help=LABELS_HELP)
    foreign.add_options(parser)


def add_gate(parser: argparse.ArgumentParser, text: str) -> None:
    """`--gate NAME=LIMIT`, repeatable."""
    parser.add_argument("--gate", type=_gate, action="append", default=[], metavar="NAME=LIMIT", help=text)


def export_parser(program: str, description: str) -> Parser:
    """A parser with what every command needs that verifies files.

    Args:
        program: name of the command, like `"python -m export.verify"`.
        description: one sentence for `--help`.
    """
    parser = Parser(prog=program, description=description, epilog=EPILOG)
    add_source(parser)
    parser.add_argument(
        "--limit", type=positive, metavar="N", help="verify on N test images (default: all that fit in 1 GB)"
    )
    add_gate(parser, "another limit: drop (points), agreement, cosine, max_abs or sqnr (dB); repeatable")
    parser.add_argument(
        "--engine",
        choices=(*ENGINES, *OUTSIDE),
        help="that runs TFLite files (default xnnpack; reference: microcontrollers' kernels; the others need an "
        "environment of their own, which 'make check-NAME' makes)",
    )
    console.add_json(parser, "the table")
    return parser


def add_writing(parser: argparse.ArgumentParser) -> None:
    """Adds the options of commands that write files; `choices` and `export_files` read them."""
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist")
    parser.add_argument(
        "--samples",
        type=positive,
        default=SAMPLES,
        metavar="N",
        help="training images to calibrate with (default %(default)s)",
    )
    parser.add_argument(
        "--calibration",
        type=Path,
        metavar="FOLDER",
        help="calibrate with the images in there; none may be a test image",
    )
    parser.add_argument(
        "--input",
        choices=INPUTS,
        help="raw: RGB 0..255 (default for int8), tf: RGB -1..1; the file has the preprocessing",
    )
    parser.add_argument(
        "--io", help="dtype of input and output: int8, uint8, int16 or float32, as the precision has it"
    )
    parser.add_argument(
        "--layout", choices=LAYOUTS, default="nhwc", help="of an ONNX file's input (default %(default)s)"
    )
    parser.add_argument(
        "--features", type=_strides, default=(), metavar="8,16,32", help="feature maps of these strides as outputs too"
    )
    parser.add_argument("--with-cam", action="store_true", help="the class activation map as an output too")
    parser.add_argument(
        "--metadata", action="store_true", help=f"TFLite metadata with {LABELS}, as MediaPipe and ML Kit read them"
    )


def choices(args: argparse.Namespace) -> dict[str, Any]:
    """What every artifact of a command has in common."""
    return {
        "input": args.input,
        "io": args.io,
        "layout": args.layout,
        "features": args.features,
        "cam": args.with_cam,
        "size": args.image_size or None,
        "labels_file": LABELS if args.metadata else "",
    }


def open_source(args: argparse.Namespace):
    """The model and its data that a command line names; imports TensorFlow."""
    console.import_tensorflow()
    from export.model.source import load_source

    names = {"weights": args.weights, "dataset": args.dataset, "data_dir": args.data_dir, "labels": args.labels}
    return load_source(args.model, **names, hints=foreign.hints_of(args))


def predict_command(file: Path) -> str:
    """The command that tries a file.

    Args:
        file: model file; a SavedModel is opened only where it is trusted.
    """
    return f"python -m keras_resnet predict --model {file}{' --trust' * (file.suffix == '.savedmodel')} IMAGE.png"


def finish(report, args: argparse.Namespace, next_command: str) -> int:
    """Prints a report and what to do next; returns the exit status.

    Args:
        report: `Report` of the files.
        args: options, of which `json` is read.
        next_command: command to print where all gates held.

    Raises:
        GateError: a file failed.
    """
    from export.making.pipeline import raise_if_failed

    report.print()
    console.write_json(args.json, report.to_json())
    raise_if_failed(report)
    print(f"next: {next_command}")
    return console.OK


def export_files(source, targets: list, args: argparse.Namespace):
    """Makes and verifies files as a command line asks for; gives the report."""
    from export.making.pipeline import export

    say: Callable[[str], None] = lambda text: print(text, flush=True)  # noqa: E731
    return export(
        source,
        targets,
        overwrite=args.overwrite,
        samples=args.samples,
        calibrate_with=args.calibration,
        limit=args.limit,
        gates=dict(args.gate),
        engine=args.engine,
        say=say,
    )
