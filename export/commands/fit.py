"""`keras-resnet fit`: what a file takes of a microcontroller, or which nets fit one."""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

from export.commands.options import EPILOG, size_in_bytes
from keras_resnet import console, extras
from keras_resnet.errors import GateError, InputError
from keras_resnet.flags import positive
from keras_resnet.parsing import Parser

_FITTING = 10  # rows of a table of nets
_COLUMNS = ("net", "flash", "activations", "structures (64-bit)", "arena")


def add(parser: Parser) -> None:
    """Adds the options."""
    parser.epilog = EPILOG
    parser.add_argument("file", type=Path, nargs="?", metavar="FILE", help="a .tflite file")
    parser.add_argument("--flash", type=size_in_bytes, metavar="SIZE", help="flash of the board, like 512K or 2M")
    parser.add_argument("--ram", type=size_in_bytes, metavar="SIZE", help="RAM of the board, like 256K")
    parser.add_argument(
        "--image-size", type=positive, default=32, metavar="N", help="without a file: pixels (default %(default)s)"
    )
    parser.add_argument(
        "--class-count",
        type=positive,
        default=10,
        metavar="N",
        help="without a file: of the head (default %(default)s)",
    )
    parser.former["--classes"] = "--class-count"
    console.add_json(parser, "the table")


def work(args: argparse.Namespace) -> int:
    """Prints what a file takes, or the nets that fit; returns the exit status."""
    if args.file is None and args.flash is None and args.ram is None:
        raise InputError("expected a .tflite file, or --flash SIZE and --ram SIZE of a board")
    if args.file is not None:
        extras.require_for(args.file)
    console.import_tensorflow()
    found, title = _of_file(args) if args.file is not None else _of_table(args)
    rows = [[name, f.flash, f.activations, f.structures, f.arena] for name, f in found]
    console.print_table(title, _COLUMNS, [[name, *(f"{n:,}" for n in numbers)] for name, *numbers in rows])
    console.write_json(args.json, [dict(zip(_COLUMNS, row, strict=True)) for row in rows])
    if args.file is None:
        size = f" --image-size {args.image_size}"
        print(f"next: keras-resnet train --data PHOTOS --model {found[0][0]}{size}")
        return console.OK
    lacking = [
        f"{what} {used:,} of {have:,} bytes"
        for what, used, have in (("flash", rows[0][1], args.flash), ("RAM", rows[0][4], args.ram))
        if have and used > have
    ]
    if lacking:
        raise GateError(f"{args.file} does not fit: {', '.join(lacking)}")
    return console.OK


def _of_file(args: argparse.Namespace):
    from export import memory
    from keras_resnet.runtime.opening import open_runner

    if args.file.suffix != ".tflite":
        raise InputError(f"{args.file}: expected a .tflite file")
    open_runner(args.file)  # a damaged file is refused by its runtime
    return [(str(args.file), memory.of_file(args.file))], "int8 on TFLite Micro, bytes"


def _of_table(args: argparse.Namespace):
    from export import memory

    flash, ram = args.flash or memory.MOST_FLASH, args.ram or memory.MOST_RAM
    shape = (args.image_size, args.image_size, 3)
    found = list(itertools.islice(memory.fitting(flash, ram, shape, args.class_count), _FITTING))
    if not found:
        raise GateError(f"no net of the table fits {flash:,} bytes of flash and {ram:,} of RAM at {shape[0]} pixels")
    title = f"the largest nets that fit {flash:,} bytes of flash and {ram:,} of RAM, int8, {shape[0]} pixels, bytes"
    return found, title
