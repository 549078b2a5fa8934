"""`keras-resnet data`: a look at data before a training."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from keras_resnet import console, extras, files, flags
from keras_resnet.errors import InputError
from keras_resnet.parsing import Parser

_EXAMPLES = """examples:
  keras-resnet data PHOTOS
  keras-resnet data PHOTOS --report look.html --json look.json
"""


def add(parser: Parser) -> None:
    """Adds the options."""
    parser.epilog = _EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("place", nargs="?", metavar="DATA", help="the same as --data DATA")
    flags.add_data(parser)
    parser.add_argument("--task", metavar="NAME", help="what is learned, where a folder has masks and boxes: detection")
    console.add_json(parser, "everything that was found, with all names")
    parser.add_argument("--report", type=Path, metavar="FILE.html", help="write a page with a sheet of examples")
    parser.add_argument("--overwrite", action="store_true", help="replace the report if it exists")


def work(args: argparse.Namespace) -> int:
    """Does what was asked for."""
    if args.place is not None:
        if args.data is not None:
            raise InputError("expected the data once: keras-resnet data DATA, or --data DATA")
        args.data = args.place
    if args.report:
        files.check_place(args.report, args.overwrite)
    extras.require_for(args.data)
    from keras_resnet.looking.findings import look
    from keras_resnet.looking.gathering import of_folders
    from keras_resnet.tasks.table import get_task

    place = flags.named_data(args)
    if not of_folders(place):
        console.import_tensorflow("jax")
    how = flags.masks_of(args)
    if args.task is not None:
        how["truth"] = get_task(args.task).truth
    if columns_given := flags.columns_of(args):
        how["columns"] = columns_given
    found = look(place, **how)
    console.write_json(args.json, found.to_json())
    print(f"{len(found.facts):,} pictures in {console.visible(found.data.name)}")
    for each in found.tables():
        console.print_table(each.title, each.columns, each.rows)
    for hint in found.hints():
        print(f"* {console.visible(hint)}")
    if args.report:
        from keras_resnet.looking import pages

        command = " ".join(["keras-resnet", *sys.argv[1:]])
        pages.write_html(found, command, args.report, overwrite=args.overwrite)
        print(f"page: {args.report}")
    columns = f" --columns {shlex.quote(args.columns)}" if args.columns else ""
    columns += flags.mask_options(args) + (f" --task {args.task}" if args.task else "")
    print(f"next: keras-resnet train {console.visible(shlex.quote(str(place)))}{console.visible(columns)}")
    if found.data.problems:
        print(f"{len(found.data.problems):,} boxes are wrong: status {console.WRONG}")
        return console.WRONG
    return console.OK
