"""`keras-resnet export all` and `python -m export`: several files and a report, or a bundle."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from export.commands import bundles
from export.commands.options import (
    FOLDER,
    add_verifying,
    add_writing,
    choices,
    export_files,
    finish,
    open_source,
)
from export.formats.artifacts import Artifact, all_artifacts, artifact
from export.formats.precisions import PRECISIONS, QUANTIZERS
from export.formats.table import FORMATS
from export.making.server import SERVER
from export.targets.table import TARGETS
from keras_resnet import console, extras, files, flags
from keras_resnet.errors import InputError
from keras_resnet.parsing import Parser


def _quantizers(name: str, wanted: Sequence[str] | None) -> list[str | None]:
    """Those of the wanted ones that can make an artifact; None lets it choose, or say what is wrong with its name."""
    form, _, precision = name.partition(":")
    offer = FORMATS[form].offers.get(precision) if form in FORMATS else None
    if offer is None or not offer.quantizers:
        return [None]
    return [each for each in dict.fromkeys(wanted or ()) if each in offer.quantizers] or [None]


def _artifacts(args: argparse.Namespace) -> list[Artifact]:
    """What was asked for; `--all` leaves out what cannot have an option."""
    if args.artifact:
        wanted = [(name, each) for name in dict.fromkeys(args.artifact) for each in _quantizers(name, args.quantizer)]
        return [artifact(name, quantizer=quantizer, **choices(args)) for name, quantizer in wanted]
    quantizers = tuple(dict.fromkeys(args.quantizer or QUANTIZERS[:1]))
    made = []
    for name in all_artifacts(quantizers):
        try:
            made.append(artifact(name, **choices(args)))
        except InputError:
            continue
    if not made:
        raise InputError("no format has these options together: see python -m export --help")
    return made


def _possible(chosen: list[Artifact], source) -> list[Artifact]:
    """Without the files that cannot hold the ranges of a model trained for integers, or not its activations."""
    from export.formats import activations
    from export.making.placement import holds_ranges
    from keras_resnet.compression.rewriting import is_quantized

    possible = []
    for made in chosen:
        try:
            activations.refuse(source.model, made)
        except InputError as error:
            print(f"note: left out: {error}", file=sys.stderr)
        else:
            possible.append(made)
    return [made for made in possible if holds_ranges(made)] if is_quantized(source.model) else possible


def add(parser: Parser) -> None:
    """Adds the options of `python -m export`."""
    _add_files(parser)
    flags_of = {PRECISIONS[name].flag: f"keras-resnet export tflite {PRECISIONS[name].flag}" for name in PRECISIONS}
    parser.elsewhere = {flag: f"one file is made by {command}" for flag, command in flags_of.items()}
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--all", action="store_true", help="every format in every precision, by --quantizer")
    what.add_argument("--place", metavar="NAME", help=f"a folder that works there unchanged: {', '.join(TARGETS)}")
    parser.former["--target"] = "--place"
    _add_artifact(what)
    bundles.add_place_options(parser, "with --place")


def add_all(parser: Parser) -> None:
    """Adds the options of `keras-resnet export all`."""
    _add_files(parser)
    _add_artifact(parser)


def _add_artifact(place: argparse._ActionsContainer) -> None:
    place.add_argument(
        "--artifact",
        action="append",
        metavar="FORMAT:PRECISION",
        help=f"one file; repeatable: {', '.join(all_artifacts(QUANTIZERS))}",
    )


def _add_files(parser: Parser) -> None:
    add_verifying(parser)
    parser.add_argument(
        "--quantizer", choices=QUANTIZERS, action="append", help="repeat it for both (default tensorflow's)"
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help=f"default {FOLDER}/NAME, with the time where that exists"
    )
    add_writing(parser)


def work(args: argparse.Namespace) -> int:
    """Does what `python -m export` was asked for; returns the exit status."""
    if args.place:
        return bundles.work(args)
    for name in bundles.OPTIONS:
        if getattr(args, name) is not None:
            raise InputError(f"--{name.replace('_', '-')} goes with --place NAME")
    return work_all(args)


def work_all(args: argparse.Namespace) -> int:
    """Makes and verifies several files, and a report; returns the exit status."""
    chosen = _artifacts(args)
    for made in chosen:
        extras.require(*made.packages, for_what=made.name)
    files.check_folder(args.output or FOLDER)
    SERVER.start()
    source = open_source(args)
    if not args.artifact:
        chosen = _possible(chosen, source)
    usual = FOLDER / source.name
    folder = args.output or (usual if args.overwrite else flags.unused(usual))
    html, json = folder / "report.html", folder / "report.json"
    for path in (html, json):
        files.check_place(path, args.overwrite)
    report = export_files(source, [(each, each.file(folder, source.name)) for each in chosen], args)
    report.write_html(html, overwrite=args.overwrite)
    console.write_json(json, report.to_json())
    first = report.rows[0].file
    trust = " --trust" * first.endswith(".savedmodel")
    return finish(report, args, f"open {html}; keras-resnet verify {first}{trust}")
