"""`keras-resnet evaluate`: parses and calls."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from keras_resnet import console, extras, files, flags
from keras_resnet.errors import InputError, unknown_name
from keras_resnet.evaluation import tiling
from keras_resnet.parsing import Parser
from keras_resnet.runtime import foreign
from keras_resnet.signals.fits import FITS

if TYPE_CHECKING:
    from keras_resnet.data.sources import Named

_EXAMPLES = """examples:
  keras-resnet evaluate --model model.tflite --data digits
  keras-resnet evaluate --model resnet50 --weights imagenet --data imagenet:DIR --crops 10
  keras-resnet evaluate --ensemble resnet8:cifar10 resnet20_cifar:cifar10 --data cifar10:DIR
  keras-resnet evaluate --model model.keras --data FOLDER --corruptions all --report report.html
  keras-resnet evaluate --folds 5 --model RUN --data FOLDER --report folds.html
"""


_SUSPECTS = 10  # in the terminal


def add(parser: Parser) -> None:
    """Adds the options."""
    parser.epilog = _EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    flags.add_model(parser)
    parser.add_argument(
        "--ensemble", nargs="+", metavar="M", default=(), help="in place of --model: files, or NET:WEIGHTS"
    )
    flags.add_data(parser)
    foreign.add_options(parser)
    views = parser.add_argument_group("views of an image, whose answers are averaged")
    views.add_argument("--crops", type=int, default=1, metavar="1|10", help="10: corners, centre, all mirrored too")
    views.add_argument("--scales", default="", metavar="N,N,...", help="lengths of the shorter side, like 224,256,384")
    views.add_argument("--flip", action="store_true", help="the mirror image too")
    views.add_argument(
        "--average", default="probabilities", help="probabilities or logits, of views and members (%(default)s)"
    )
    views.add_argument("--ensemble-weights", default="", metavar="W,W,...", help="of the members (default: all alike)")
    parser.add_argument(
        "--fit",
        choices=FITS,
        metavar="HOW",
        help=f"how images fill the input, in place of the model's: {', '.join(FITS)}",
    )
    tiling.add(parser)
    _add_figures(parser)


def _add_figures(parser: Parser) -> None:
    more = parser.add_argument_group("more figures")
    more.add_argument(
        "--corruptions",
        default="",
        metavar="NAME,...|all",
        help="jpeg, contrast, ... in five strengths",
    )
    more.add_argument("--per-class", action="store_true", help="print a table of the classes (always in the files)")
    more.add_argument(
        "--no-temperature", action="store_true", help="fit none, which spares a pass over the validation images"
    )
    more.add_argument("--limit", type=int, default=0, metavar="N", help="a seeded sample of the test images")
    console.add_json(more, "all figures")
    more.add_argument("--report", type=Path, metavar="FILE.html", help="write a page with charts")
    more.add_argument("--overwrite", action="store_true", help="replace the report if it exists")
    folds = parser.add_argument_group("cross-validation: the recipe is trained again, on all parts of the data")
    folds.add_argument(
        "--folds", type=int, metavar="N", help="trainings, each tested on a part that it has not seen; --model RUN"
    )
    folds.add_argument("--recipe", metavar="NAME", help="in place of --model RUN: a recipe's name")
    flags.add_set(folds)
    folds.add_argument("-o", "--output", type=Path, metavar="DIR", help="of the runs; one that exists is gone on with")


def work(args: argparse.Namespace) -> int:
    """Does what was asked for."""
    if args.folds is not None:
        return _cross_validate(args)
    if args.recipe or args.set or args.output:
        raise InputError("--recipe, --set and --output go with --folds N")
    views_asked = flags.numbers("--scales", args.scales, int)
    shares = flags.numbers("--ensemble-weights", args.ensemble_weights, float)
    if bool(args.model) == bool(args.ensemble):
        raise InputError("expected --model M or --ensemble M1 M2 ..., one of them")
    if args.limit < 0:
        raise InputError(f"--limit {args.limit}: expected a number of images from 1")
    if args.report:
        files.check_place(args.report, args.overwrite)
    extras.require_for(args.model, args.weights, *args.ensemble, args.data)
    console.import_tensorflow("jax")
    from keras_resnet.evaluation import assessment, pages
    from keras_resnet.evaluation.tiles import check as check_tiles
    from keras_resnet.evaluation.views import Views

    tiles = tiling.asked(args)
    views = Views(crops=args.crops, scales=views_asked, flip=args.flip, average=args.average, tiles=tiles)
    kinds = _corruptions(args.corruptions)
    named = [(args.model, args.weights)] if args.model else [_member(each) for each in args.ensemble]
    members, labels, data = _open(named, args)
    for member in members:
        if tiles:
            check_tiles(member.runner, tiles, args.tile or None)
    found = assessment.assess(
        members,
        labels=labels,
        views=views,
        weights=shares or None,
        corrupted=kinds,
        reported=args.report is not None,
        progress=True,
    )
    names = " + ".join(member.name for member in members)
    title = f"{names} on {found.scores.count:,} test images of {data}"
    title += "" if str(views) == "one view" else f", {views}"
    title += f", fit {args.fit}" if args.fit else ""
    fits = sorted({member.runner.card.fit for member in members})
    json = {"models": [member.name for member in members], "fit": " ".join(fits), **found.to_json()}
    console.write_json(args.json, json)
    assessment.show(found, title, per_class=args.per_class)
    if args.report:
        command = " ".join(["keras-resnet", *sys.argv[1:]])
        pages.write_html(found, title, command, args.report, overwrite=args.overwrite, examples=members[0].test)
        print(f"charts and tables: {args.report}")
    return console.OK


def _corruptions(asked: str) -> list[str]:
    """Names of corruptions, or `all`."""
    from keras_resnet.evaluation.corruptions import CORRUPTIONS

    kinds = list(CORRUPTIONS) if asked == "all" else [kind for kind in asked.split(",") if kind]
    for kind in kinds:
        if kind not in CORRUPTIONS:
            raise unknown_name("corruption", kind, CORRUPTIONS)
    return kinds


def _cross_validate(args: argparse.Namespace) -> int:
    """Trains and tests once for every fold."""
    from keras_resnet.training import recipes, run

    if bool(args.model) == bool(args.recipe) or args.ensemble:
        raise InputError("--folds: expected --model RUN, a run directory with its recipe, or --recipe NAME")
    views = (
        args.crops != 1
        or args.scales
        or args.flip
        or tiling.asked(args)
        or args.corruptions
        or args.limit
        or args.fit
        or args.ensemble_weights
    )
    if views or args.weights or args.per_class or args.no_temperature or args.task:
        raise InputError("--folds goes with --data, --model or --recipe, --set, -o, --json and --report alone")
    if args.report:
        files.check_place(args.report, args.overwrite)
    recipe = recipes.get_recipe(args.recipe) if args.recipe else run.reopen(None, Path(args.model))
    is_open = recipe is recipes.PHOTOS
    settings = [*flags.mask_settings(args), *args.set]
    recipe = recipe if is_open else recipes.override(recipe, settings)
    place = flags.named_data(args, recipe.dataset)
    extras.require_for(place.name, recipe.weights)
    console.import_tensorflow("jax")
    from keras_resnet.data import load_dataset
    from keras_resnet.data.legends import parse_void
    from keras_resnet.data.tables import parse_columns
    from keras_resnet.evaluation import folds
    from keras_resnet.tasks import get_task
    from keras_resnet.training.photos import plan

    if is_open:
        recipe, _ = plan(place, settings, columns=flags.columns_of(args), offline=True)
    folder = args.output or run.default(recipe).with_name(f"{run.default(recipe).name}-folds")
    columns = flags.columns_of(args) or parse_columns(recipe.columns) or None
    said = {"void": parse_void(recipe.void), "reduce_zero_label": recipe.reduce_zero_label}
    said["truth"] = get_task(recipe.task).truth  # a folder may have masks and boxes
    found = folds.cross_validate(recipe, load_dataset(*place, columns=columns, **said), args.folds, folder)
    console.write_json(args.json, found.to_json())
    title = f"{recipe.name} in {args.folds} folds of {Path(place.name).name}"
    console.print_table(title, (found.task.score.name, "value"), found.rows())
    if found.suspects:
        console.print_table("Labels to look at", folds.SUSPECTS, found.suspect_rows()[:_SUSPECTS])
        print(f"{len(found.suspects):,} of {len(found.whole):,} labels are suspected; --report shows them as pictures")
    print(f"runs: {folder}")
    if args.report:
        command = " ".join(["keras-resnet", *sys.argv[1:]])
        folds.write_html(found, title, command, args.report, overwrite=args.overwrite)
        print(f"page: {args.report}")
    return console.OK


def _member(text: str) -> tuple[str, str | None]:
    """`VARIANT:WEIGHTS`, or a file."""
    name, colon, weights = text.partition(":")
    return (name, weights) if colon and not Path(text).exists() else (text, None)


def _open(named: list[tuple[str, str | None]], args: argparse.Namespace) -> tuple[list, tuple[str, ...], str]:
    """The models with their images, the names of the classes, and that of the data."""
    from keras_resnet.data import sampled
    from keras_resnet.evaluation import assessment
    from keras_resnet.evaluation.examples import dataset_for
    from keras_resnet.runtime.opening import open_named

    members: list[assessment.Member] = []
    labels: tuple[str, ...] = ()
    for model, weights in named:
        runner = open_named(model, weights, foreign.hints_of(args))
        note_missing_card(model, runner)
        if args.fit:
            runner.card = dataclasses.replace(runner.card, fit=args.fit)
        name, folder = _place(args, runner)
        dataset = dataset_for(runner, name, folder, columns=flags.columns_of(args), **flags.masks_of(args))
        if runner.card.labels and runner.card.labels != dataset.classes:
            names = " and ".join(f"{', '.join(some[:3])}, ..." for some in (runner.card.labels, dataset.classes))
            print(f"note: the labels of model and dataset differ: {console.visible(names)}", file=sys.stderr)
        name = model if weights is None else f"{model}:{weights}"
        test = sampled(dataset.test, args.limit)
        validation = None if args.no_temperature else dataset.validation
        held_out = runner.card.held_out_of(dataset.name)
        members.append(assessment.Member(name, runner, test, validation, held_out))
        labels = dataset.classes
    return members, labels, Path(dataset.name).name


def _place(args: argparse.Namespace, runner) -> Named:
    """The data of a command line; without any those that the model was trained on, where they can be found."""
    from keras_resnet.data.sources import SOURCES, Named

    own = runner.card.dataset
    if args.data is None and args.data_dir is None and own:
        row = SOURCES.get(own)
        if row.at_hand(None) if row else Path(own).exists():
            args.data = own
            return Named(own)
    return flags.named_data(args, own)


def note_missing_card(model: str, runner) -> None:
    """Says that a file does not tell how its pixels are prepared.

    Args:
        model: name of the model, as the command was given it.
        runner: the opened model.
    """
    if not runner.card.known or (runner.card.spec and not runner.card.dataset):
        kind = runner.input.dtype
        how = "as float32" if kind == "float32" else f"as {kind}, by the scale of its input"
        print(f"note: {model} names no input convention; it is fed RGB 0..255 {how}", file=sys.stderr)
