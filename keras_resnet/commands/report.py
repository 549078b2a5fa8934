"""`keras-resnet report`: training runs side by side."""

from __future__ import annotations

import argparse
from pathlib import Path

from keras_resnet import console, files, flags
from keras_resnet.parsing import Parser

_PAGE = Path("report.html")


def add(parser: Parser) -> None:
    """Adds the options."""
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="run directories")
    flags.add_output(parser, f"a new page; default {_PAGE}, with the time where that exists", "FILE.html")
    console.add_json(parser, "the table")


def work(args: argparse.Namespace) -> int:
    """Does what was asked for."""
    from keras_resnet.training import comparison

    page = args.output or (_PAGE if args.overwrite else flags.unused(_PAGE))
    files.check_place(page, args.overwrite)
    runs = comparison.read(args.runs)
    rows = comparison.rows(runs)
    comparison.write_html(runs, page, overwrite=args.overwrite)
    console.write_json(args.json, [dict(zip(comparison.COLUMNS, row, strict=True)) for row in rows])
    console.print_table("Runs", comparison.COLUMNS, [["–" if cell is None else cell for cell in row] for row in rows])
    print(f"curves and settings: {page}")
    return console.OK
