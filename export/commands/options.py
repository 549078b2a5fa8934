"""Options that several commands have, and what all of them do with them."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from export.formats.artifacts import INPUTS, LABELS, SAMPLES
from export.formats.table import ENGINES, LAYOUTS, OUTSIDE
from keras_resnet import console, flags
from keras_resnet.flags import positive
from keras_resnet.parsing import Parser, note_former
from keras_resnet.runtime import foreign
from keras_resnet.tasks.table import TASKS

EPILOG = "Exit status: 0 when all gates hold, 1 when a gate fails, 2 for wrong usage or input."
FOLDER = Path("exports")


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


_MODEL = (
    f"{flags.MODEL}; repeated: an ensemble, whose mean is one file; by default the newest run under runs/, else the "
    "best model that ships with the package: a CIFAR-10 net where its images are at hand, else a digits net"
)


def add_source(parser: Parser) -> None:
    """The options that say which model, and which data; `open_source` reads them."""
    parser.add_argument("--model", metavar="MODEL", action="append", help=_MODEL)
    flags.add_weights(parser)
    flags.add_data(parser, text=f"{flags.DATA}; by default what the model was trained on")
    flags.add_classes(parser)
    foreign.add_options(parser)


def add_gate(parser: argparse.ArgumentParser, text: str) -> None:
    """`--gate NAME=LIMIT`, repeatable."""
    parser.add_argument("--gate", type=_gate, action="append", default=[], metavar="NAME=LIMIT", help=text)


def add_verifying(parser: Parser) -> None:
    """Adds what every command needs that verifies files."""
    parser.epilog = EPILOG
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
        "--input-size",
        type=positive,
        metavar="N",
        help="the file takes N x N pixels and resizes them itself to the net's input",
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
    parser.add_argument(
        "--form",
        choices=sorted({form for task in TASKS.values() for form in task.forms}),
        help="of masks: logits at the decoder's own size, probabilities or classes (uint8) in place of logits at the "
        "size of the image; of boxes: decoded ones with their scores, the answers that stay (nms), or raw outputs",
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
        "size": args.input_size or args.image_size or None,  # of a net with a size of its own, --image-size was this
        "labels_file": LABELS if args.metadata else "",
        "form": args.form or "",
    }


def open_source(args: argparse.Namespace):
    """The model and its data that a command line names; imports TensorFlow."""
    console.import_tensorflow()
    from export.model.source import load_source

    data = usual_data(args)
    names = {
        "weights": args.weights,
        "dataset": data[0],
        "data_dir": data[1],
        "classes": args.classes,
        "columns": flags.columns_of(args),
        "reading": flags.masks_of(args),
    }
    source = load_source(args.model, **names, hints=foreign.hints_of(args))
    if args.image_size and not getattr(args, "input_size", None) and source.shape[0] != args.image_size:
        note_former("--image-size N of an export", "--input-size N")
    return source


def usual_data(args: argparse.Namespace) -> tuple[str | None, Path | None]:
    """Name and folder of the data; a folder alone is that of CIFAR's files, where the model names them, or the data."""
    if args.data is None:
        if args.data_dir is not None:
            note_former("--data-dir DIR", "--data DIR")
        return None, args.data_dir
    return flags.named_data(args)


def predict_command(file: Path) -> str:
    """The command that tries a file.

    Args:
        file: model file; a SavedModel is opened only where it is trusted.
    """
    return f"keras-resnet predict --model {file}{' --trust' * (file.suffix == '.savedmodel')} IMAGE.png"


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
