"""`keras-resnet debug`: error per layer, and the fewest layers in float."""

from __future__ import annotations

import argparse
from pathlib import Path

from export.commands.options import add_verifying, finish, open_source
from export.formats.table import ENGINES, OUTSIDE
from keras_resnet import console, extras, files, flags
from keras_resnet.errors import InputError
from keras_resnet.parsing import Parser

_LAYERS_ON = 100  # images that layers are compared on


def add(parser: Parser) -> None:
    """Adds the options."""
    add_verifying(parser)
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="a .tflite file of this package; with --auto-float: to write"
    )
    flags.add_output(parser, "default FILE.layers.html", "FILE.html")
    parser.add_argument(
        "--auto-float",
        action="store_true",
        help="write FILE in int8 with the fewest layers in float that --gate allows",
    )
    parser.add_argument("--io", help="with --auto-float: int8 or float32")


def work(args: argparse.Namespace) -> int:
    """Compares layers, or finds which must stay in float; returns the exit status."""
    if args.engine in OUTSIDE:
        raise InputError(f"engine {args.engine} shows no layers: use --engine {' or '.join(ENGINES)}")
    page = args.output or args.file.with_name(f"{args.file.name}.layers.html")
    extras.require("ai_edge_litert", *(["litert_quantizer"] if args.auto_float else []), for_what="debug")
    files.check_place(page, args.overwrite)
    if args.auto_float:
        files.check_place(args.file, args.overwrite)
    source = open_source(args)
    from export.proof import layer_errors

    report = _auto_float(source, args) if args.auto_float else None
    evidence = source.evidence(args.limit or _LAYERS_ON)
    file = Path(report.rows[0].file) if report is not None else args.file
    entries = layer_errors.layer_errors(file, source, evidence, engine=args.engine)
    title = f"{file} beside {source.origin} on {evidence.origin}"
    layer_errors.write_html(entries, title, page, overwrite=args.overwrite)
    layer_errors.print_errors(title, entries)
    console.write_json(args.json, layer_errors.to_json(entries))
    if report is not None:
        return finish(report, argparse.Namespace(json=None), f"open {page}")
    print(f"all layers and a picture: {page}")
    print(f"next: keras-resnet debug OUT.tflite --auto-float --gate drop=0.1 {_again(args)}".rstrip())
    return console.OK


def _auto_float(source, args: argparse.Namespace):
    from export.making.autofloat import auto_float

    report, _ = auto_float(
        source,
        args.file,
        gates=dict(args.gate),
        limit=args.limit,
        overwrite=args.overwrite,
        io=args.io,
        say=lambda text: print(text, flush=True),
    )
    return report


def _again(args: argparse.Namespace) -> str:
    """The options that name model and data."""
    known = [("--model", each) for each in args.model or ()]
    data = f"{args.data}:{args.data_dir}" if args.data and args.data_dir else args.data or args.data_dir
    known += [("--weights", args.weights), ("--data", data), ("--classes", args.classes)]
    return " ".join(f"{flag} {value}" for flag, value in known if value)
