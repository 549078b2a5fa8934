"""`keras-resnet models`: nets, and how large they are."""

from __future__ import annotations

import argparse

from keras_resnet import console
from keras_resnet.parsing import Parser

_EXACT = ("name", "parameters", "trainable", "multiply_adds", "input_shape", "paper")


def add(parser: Parser) -> None:
    """Adds the options."""
    parser.add_argument("names", nargs="*", metavar="NAME", help="nets to measure; a pattern like 'resnet*' lists")
    parser.add_argument("--pretrained", action="store_true", help="only nets with registered or published weights")
    console.add_json(parser, "the table")


def work(args: argparse.Namespace) -> int:
    """Does what was asked for."""
    from keras_resnet.nets.specs import get_spec

    if args.pretrained or not args.names or any("*" in name or "?" in name for name in args.names):
        return _list(args)
    names = [get_spec(name).name for name in args.names]
    console.import_tensorflow("jax")
    from keras_resnet.builder import model_info

    infos = [model_info(name) for name in names]
    rows = [[f"{info[key]:,}" if isinstance(info[key], int) else info[key] for key in _EXACT] for info in infos]
    console.write_json(args.json, [{key: info[key] for key in _EXACT} for info in infos])
    console.print_table("Nets", [key.replace("_", " ") for key in _EXACT], rows)
    return console.OK


def _list(args: argparse.Namespace) -> int:
    from keras_resnet.nets.specs import SPECS
    from keras_resnet.weights import list_models

    patterns = args.names or ["*"]
    found = list(dict.fromkeys(name for each in patterns for name in list_models(each, pretrained=args.pretrained)))
    columns = ("name", "block", "blocks per stage", "input")
    rows = [
        (name, SPECS[name].block, "-".join(map(str, SPECS[name].depths)), SPECS[name].default_size) for name in found
    ]
    console.write_json(args.json, [dict(zip(columns, row, strict=True)) for row in rows])
    console.print_table("Nets", columns, rows)
    print("exact size: keras-resnet models NAME ...; weights: keras-resnet weights")
    return console.OK
