"""What the commands that train have in common: options, the run, and what is printed behind it."""

from __future__ import annotations

import argparse
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from keras_resnet import console
from keras_resnet.parsing import Parser
from keras_resnet.training import run
from keras_resnet.training.recipes import Recipe

if TYPE_CHECKING:
    from keras_resnet.data.sources import Named
    from keras_resnet.training import strategy as strategies


def add_devices(parser: argparse._ActionsContainer) -> None:
    """The options that say what a training runs on; `devices_of` reads them."""
    parser.add_argument(
        "--strategy",
        default="none",
        help="none, mirrored (all devices of this machine), multiworker (several machines), tpu; default: %(default)s",
    )
    parser.add_argument(
        "--workers", default="", metavar="HOST:PORT,...", help="of multiworker; else TF_CONFIG or SLURM"
    )
    parser.add_argument("--worker-index", type=int, metavar="N", help="of this process among them, from 0")


def devices_of(args: argparse.Namespace):
    """The devices; to be made before anything is computed."""
    from keras_resnet.training import strategy

    return strategy.make(args.strategy, [worker for worker in args.workers.split(",") if worker], args.worker_index)


def add_run(parser: Parser) -> None:
    """The options of a run: where it is, and how it goes on; `run_it` reads them."""
    parser.add_argument(
        "-o", "--output", type=Path, metavar="RUN", help="a new run directory; default runs/RECIPE-DATE-TIME"
    )
    parser.former["--run-dir"] = "--output"
    parser.add_argument(
        "--resume",
        type=Path,
        metavar="RUN",
        help="go on with the run in that directory; with --recipe, begin it if there is none yet",
    )
    parser.add_argument(
        "--checkpoint-minutes",
        type=_minutes,
        default=10.0,
        metavar="N",
        help="between checkpoints within an epoch (default: %(default)s)",
    )
    add_devices(parser)
    parser.add_argument(
        "--deterministic",
        action="store_true",
        help="on a GPU by JAX: the same weights every time, by slower operations (TensorFlow: always)",
    )
    console.add_json(parser, "the result")


def import_keras(args: argparse.Namespace) -> None:
    """Imports Keras and its back end, which reads the environment when it is first used.

    A run that is resumed stays as deterministic as it was begun.

    Args:
        args: options of a parser that `add_run` was called with.
    """
    if args.deterministic or (args.resume and run.was_deterministic(args.resume)):
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {run.DETERMINISTIC}".strip()
    console.import_tensorflow("jax")


def _minutes(text: str) -> float:
    """Minutes from 0, for argparse."""
    minutes = float(text)
    if not 0 <= minutes < float("inf"):
        raise argparse.ArgumentTypeError(f"expected minutes from 0 (0: after every step), received {text}")
    return minutes


def run_it(
    args: argparse.Namespace, recipe: Recipe, data: Named | None, devices: strategies.Devices | None = None
) -> int:
    """Trains, prints the result and what to do next; returns the exit status.

    Args:
        args: options of a parser that `add_run` was called with.
        recipe: recipe of the run.
        data: where its data are; None for the usual place.
        devices: devices of the run; by default those of the options.

    Raises:
        KeyboardInterrupt: Ctrl-C ended the training.
    """
    from keras_resnet.data.sources import find_source
    from keras_resnet.signals.table import get_signal
    from keras_resnet.training.loop import train

    result = train(
        recipe,
        data_dir=data.folder if data else None,
        run_dir=args.resume or args.output,
        resume=args.resume is not None,
        checkpoint_minutes=args.checkpoint_minutes,
        strategy=devices or devices_of(args),
        loggers=getattr(args, "logger", ()),
    )
    console.write_json(args.json, {**result.to_json(), "recipe": recipe.name, "dataset": recipe.dataset})
    found = result.validation
    figure = None if found is None else run.read_watched(result.run_dir).text(found)
    plural = get_signal(find_source(recipe.dataset).signal).plural
    speed = result.images_per_second  # 0 where it was stopped in its first epoch
    rows = [
        ("run directory", result.run_dir),
        ("weights of epoch", f"{result.best_epoch} of {recipe.epochs}"),
        (f"validation {result.metric}", figure or "all trained on"),
        ("training time", f"{result.seconds:.0f} s"),
        ("training steps", f"{speed:,.0f} {plural}/s ({result.precision})" if speed else None),
        ("waiting for data", f"{result.waiting_share:.1%} of the steps' time" if speed else None),
    ]
    console.print_table(f"Training {recipe.name}", ("figure", "value"), rows)
    path, where = shlex.quote(str(result.run_dir)), shlex.quote(str(data or recipe.dataset))
    place = f" --data {where}" if data else ""
    if result.interrupted:
        print(f"next: keras-resnet train --resume {path}{place}")
        raise KeyboardInterrupt
    columns = f" --columns {shlex.quote(recipe.columns)}" if recipe.columns else ""
    print(f"next: keras-resnet evaluate --model {path} --data {where}{columns}")
    print(f"      keras-resnet export tflite --int8 --model {path}{place}{columns}")
    return console.OK
