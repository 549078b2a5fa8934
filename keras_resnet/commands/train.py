"""`keras-resnet train`: your own data, or a recipe."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from keras_resnet import extras, files, flags
from keras_resnet.commands import training
from keras_resnet.errors import InputError
from keras_resnet.parsing import Parser
from keras_resnet.tasks.table import TASKS
from keras_resnet.training.recipes import PHOTOS, RECIPES, Recipe, get_recipe
from keras_resnet.training.run import RUNS

# What only a new run can be told.
_NEW = (
    *("model", "weights", "task", "columns", "void", "reduce_zero_label"),
    *("minutes", "balance", "stop_patience", "freeze"),
)


def add(parser: Parser) -> None:
    """Adds the options."""
    parser.add_argument("place", nargs="?", metavar="DATA", help="as --data")
    flags.add_data(parser)
    parser.add_argument("--task", metavar="NAME", help=f"one of {', '.join(TASKS)}, where the data leave it open")
    parser.add_argument(
        "--recipe", metavar="NAME", help=f"default {PHOTOS.name}, for data of your own; one of {', '.join(RECIPES)}"
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="a recipe.json, or settings in YAML or TOML")
    parser.add_argument("--model", metavar="NAME", help="net (keras-resnet models)")
    parser.add_argument(
        "--weights",
        metavar="W",
        help="to start from: registered or published ones, a file, a run; none: random values (default for your own "
        "data: weights at hand, else a download)",
    )
    flags.add_settings(parser)
    own = parser.add_argument_group("data of your own, where no recipe is named")
    own.add_argument("--minutes", type=_budget, metavar="N", help="budget, timed on the first steps")
    own.add_argument("--offline", action="store_true", help="download nothing")
    parser.add_argument("--balance", metavar="NAME", help="none, or sampling: every class is drawn equally often")
    parser.add_argument("--stop-patience", type=int, metavar="N", help="epochs without improvement; 0: never stop")
    parser.add_argument(
        "--freeze", metavar="STAGE", help="stem, stage2, ...: nothing learns up to there; all: but the head"
    )
    parser.add_argument("--logger", action="append", default=[], metavar="NAME", help="wandb or mlflow; repeatable")
    training.add_run(parser)


def work(args: argparse.Namespace) -> int:
    """Does what was asked for."""
    started = time.monotonic()
    if args.place is not None:
        if args.data is not None:
            raise InputError(f"data are given twice: {args.place}, and --data {args.data}")
        args.data = args.place
    if args.resume and not (args.recipe or args.config):
        return resume(args)
    if args.resume and args.output:
        raise InputError("--resume RUN names the directory: leave out --output")
    row, given = _asked(args)
    files.check_folder(args.resume or args.output or RUNS)
    if row is not None:
        named = dict(each.split("=", 1) for each in given if each.startswith(("dataset=", "weights=")))
        extras.require_for(named.get("dataset", row.dataset), named.get("weights", row.weights))
    extras.require_for(args.data, args.weights)
    extras.require(*(name for name in args.logger if name in extras.EXTRAS), for_what="--logger")
    training.import_keras(args)
    from keras_resnet.training.entry import by_recipe, decide

    data = flags.data_of(args, row.dataset if row is not None else None)
    if row is not None:
        how = {"task": args.task, "weights": args.weights, "columns": flags.columns_of(args)}
        return training.run_it(args, by_recipe(row, data, given, **how), data)
    devices = training.devices_of(args)
    how = {"minutes": args.minutes, "weights": args.weights, "offline": args.offline}
    how |= {"task": args.task, "columns": flags.columns_of(args)}
    recipe = decide(data, given, devices, started, say=lambda text: print(text, flush=True), **how)
    return training.run_it(args, recipe, data, devices)


def _budget(text: str) -> float:
    """Minutes above 0, for argparse."""
    minutes = float(text)
    if not 0 < minutes < float("inf"):
        raise argparse.ArgumentTypeError(f"expected minutes above 0, received {text}")
    return minutes


def resume(args: argparse.Namespace) -> int:
    """Goes on with the run of `--resume`, by its own recipe."""
    if args.output:
        raise InputError("--resume RUN names the directory: leave out --output")
    asked = [f"--{name.replace('_', '-')}" for name in _NEW if getattr(args, name, None) is not None]
    asked += ["--offline"] if getattr(args, "offline", False) else []
    if flags.settings_of(args) or asked:
        what = ", ".join(asked) or "--set, --epochs, ..."
        raise InputError(f"--resume RUN goes on with the recipe of the run: leave out {what}")
    files.check_folder(args.resume)
    from keras_resnet.training import run

    recipe = run.reopen(None, args.resume)
    extras.require_for(recipe.dataset, recipe.weights)
    training.import_keras(args)
    return training.run_it(args, recipe, flags.data_of(args, recipe.dataset))


def _asked(args: argparse.Namespace) -> tuple[Recipe | None, list[str]]:
    """The recipe that was named, None for `photos`; and the settings that were given."""
    given = [f"model={args.model}"] if args.model else []
    names = ("balance", "stop_patience", "freeze")
    given += [f"{name}={value}" for name in names if (value := getattr(args, name)) is not None]
    given += flags.mask_settings(args) + flags.settings_of(args)
    name: str | Recipe | None = args.recipe
    if args.config:
        if args.recipe:
            raise InputError("--recipe and --config both name the settings to start from: give one")
        from keras_resnet.training import config

        name, more = config.read(args.config)
        data = [each.partition("=")[2] for each in more if each.startswith("dataset=")]
        args.data = args.data or next(iter(data), None)
        given = [*(each for each in more if not each.startswith("dataset=")), *given]
    if name in (None, PHOTOS.name) and args.data is None and args.data_dir is None:
        raise InputError(f"expected --data DATA (your own) or --recipe NAME; recipes: {', '.join(RECIPES)}")
    row = name if isinstance(name, Recipe) else get_recipe(name or PHOTOS.name)
    if row.name == PHOTOS.name and not isinstance(name, Recipe):
        return None, given
    if args.minutes is not None:
        raise InputError("--minutes goes with your own data and the recipe photos: another recipe has its epochs")
    if args.offline:
        raise InputError("--offline goes with your own data and the recipe photos: another recipe has its weights")
    return row, given
