"""`keras-resnet prepare`: a data source as TFRecord files."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from keras_resnet import console, extras, files, flags
from keras_resnet.cluster import session
from keras_resnet.errors import InputError
from keras_resnet.parsing import Parser, note_former

if TYPE_CHECKING:
    from keras_resnet.data import Dataset
    from keras_resnet.data.preparation import Prepared


def add(parser: Parser) -> None:
    """Adds the options."""
    flags.add_data(parser)
    parser.add_argument("former", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="a new folder")
    parser.add_argument("--shards", type=int, default=0, metavar="N", help="training files (default: of 128 MB each)")
    parser.add_argument(
        "--shorter-side",
        type=int,
        default=0,
        metavar="PIXELS",
        help="reduce larger images to that (default: keep them)",
    )
    session.add_option(parser, "check and write the pictures of a folder, a table or an address")
    console.add_json(parser, "the figures")


def work(args: argparse.Namespace) -> int:
    """Does what was asked for."""
    if len(args.former) == 2 and args.data is None and args.output is None:
        note_former("prepare DATASET DIR", "prepare --data DATA -o DIR")
        args.data, args.output = args.former[0], Path(args.former[1])
    elif args.former:
        raise InputError(f"{args.former[0]}: expected options alone, --data DATA -o DIR")
    if args.data is None or args.output is None:
        raise InputError("expected --data DATA and -o DIR")
    files.check_folder(args.output)
    if args.ray is not None:
        session.check(args.ray)
    extras.require_for(args.data)
    console.import_tensorflow("jax")
    written = (_on_ray if args.ray else _here)(args)
    console.write_json(args.json, written.to_json())
    rows = [(name, written.images[name], written.shards[name]) for name in written.images]
    console.print_table(f"{written.folder}: {written.bytes / 1e6:,.1f} MB", ("part", "images", "files"), rows)
    print(f"next: keras-resnet train --data {written.folder}")
    return console.OK


def _here(args: argparse.Namespace) -> Prepared:
    """By this process."""
    from keras_resnet.cluster import places
    from keras_resnet.data import load_dataset, prepare

    if places.is_address(args.data):
        raise InputError(f"{args.data}: expected a path, received an address: read it through Ray, --ray local")
    dataset = load_dataset(*flags.named_data(args), columns=flags.columns_of(args), **flags.masks_of(args))
    return prepare(dataset, args.output, shards=args.shards, shorter_side=args.shorter_side)


def _on_ray(args: argparse.Namespace) -> Prepared:
    """By a cluster."""
    from keras_resnet.cluster import places, preparing
    from keras_resnet.data import load_dataset

    named = None if places.is_address(args.data) else flags.named_data(args)
    given = {"columns": flags.columns_of(args), **flags.masks_of(args)}
    how = {"shards": args.shards, "shorter_side": args.shorter_side}
    with preparing.source(args.data if named is None else named.name) as source:

        def load(path: Path) -> Dataset:
            return load_dataset(*(named or (path, None)), **given)

        return preparing.prepare(args.ray, source, load, args.output, **how)
