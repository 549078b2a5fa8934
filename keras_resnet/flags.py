"""Options that several commands have: one name, one meaning, one help text each (docs/commands.md)."""

from __future__ import annotations

import argparse
import contextlib
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_resnet.errors import InputError
from keras_resnet.parsing import Parser, note_former

if TYPE_CHECKING:
    from keras_resnet.data.sources import Named

DATA = (
    "a folder of class folders or of pictures with masks, a table of labels (.csv, .tsv, .jsonl), TFRecord files, or a "
    "name: digits, cifar10, cifar100, imagenet, tfds:NAME, tfds-masks:NAME; NAME:DIR for files that are elsewhere"
)
MODEL = "a .keras, .h5, .tflite or .onnx file, a run directory, or a net's name (keras-resnet models)"


def positive(text: str) -> int:
    """A whole number from 1, for argparse."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, received {text}")
    return number


def add_model(parser: argparse._ActionsContainer, *, required: bool = False, text: str = MODEL) -> None:
    """`--model` and `--weights`.

    Args:
        parser: parser or group.
        required: whether there is no default.
        text: help.
    """
    parser.add_argument("--model", metavar="MODEL", required=required, help=text)
    add_weights(parser)


def add_weights(parser: argparse._ActionsContainer) -> None:
    """`--weights` of a net that `--model` names."""
    text = "for a net's name: registered weights (keras-resnet weights), a weight file, hf://..., or none"
    parser.add_argument("--weights", metavar="W", help=text)


def add_data(
    parser: Parser,
    *,
    text: str = DATA,
    group: argparse._ActionsContainer | None = None,
    tables: bool = True,
    masks: bool = True,
) -> None:
    """`--data`, and what tells how to read a table or masks; `data_of`, `columns_of` and `masks_of` read them.

    Args:
        parser: parser of the command.
        text: help.
        group: where the options are listed, if not among the parser's own.
        tables: whether the command takes tables.
        masks: whether the command takes data with masks or boxes.
    """
    place = group or parser
    place.add_argument("--data", metavar="DATA", help=text)
    place.add_argument("--data-dir", type=Path, help=argparse.SUPPRESS)
    if tables:
        text = "of a table: its own names of columns, where they are others"
        place.add_argument("--columns", metavar="file=NAME,label=NAME", help=text)
    if masks:
        place.add_argument("--void", metavar="N,N,...", help="of masks: values that mean nothing; none: no others")
        place.add_argument(
            "--reduce-zero-label",
            action=argparse.BooleanOptionalAction,
            help="of masks: 0 means nothing, and the first class is 1",
        )
        text = "of boxes: refuse any that is without area, turned round or outside, in place of dropping it"
        place.add_argument("--strict", action="store_true", help=text)
        parser.set_defaults(around=_strictly)
    parser.former["--dataset"] = "--data"


def data_of(args: argparse.Namespace, usual: str | None = None) -> Named | None:
    """The data source of a command line; None where none was named.

    Args:
        args: options of a parser that `add_data` was called with.
        usual: name of the source that is meant where `--data` gives a folder alone, or nothing but the former
            `--data-dir`: that of the recipe or the model.

    Raises:
        InputError: no such source or folder.
    """
    from keras_resnet.data.sources import Named, locate

    if args.data_dir is not None:
        name = args.data or usual
        note_former("--data-dir DIR", f"--data {name or 'NAME'}:DIR")
        if name is None:
            return locate(args.data_dir)
        return Named(name, args.data_dir)
    return None if args.data is None else locate(args.data, usual)


def _strictly(args: argparse.Namespace) -> contextlib.AbstractContextManager[None]:
    """What `--strict` puts around a command's work: sources that it opens refuse boxes that are wrong."""
    if not args.strict:
        return contextlib.nullcontext()
    from keras_resnet.data.objects import strictly

    return strictly()


def columns_of(args: argparse.Namespace) -> dict[str, str] | None:
    """The names of a table's columns that `--columns` gives; None for none.

    Args:
        args: options of a parser that `add_data` was called with.

    Raises:
        InputError: something else than `MEANING=NAME` with commas between.
    """
    from keras_resnet.data.tables import parse_columns

    return parse_columns(args.columns) if args.columns else None


def masks_of(args: argparse.Namespace) -> dict[str, Any]:
    """What `--void` and `--reduce-zero-label` say, as arguments of `load_dataset`; empty where neither was given.

    Args:
        args: options of a parser that `add_data` was called with.

    Raises:
        InputError: something else than values with commas between.
    """
    found: dict[str, Any] = {}
    if args.void is not None:
        from keras_resnet.data.legends import parse_void

        found["void"] = parse_void(args.void)
    if args.reduce_zero_label is not None:
        found["reduce_zero_label"] = args.reduce_zero_label
    return found


def mask_settings(args: argparse.Namespace) -> list[str]:
    """The same as settings of a recipe.

    Args:
        args: options of a parser that `add_data` was called with.
    """
    text = {"void": lambda values: ",".join(map(str, values)), "reduce_zero_label": lambda value: str(value).lower()}
    return [f"{key}={text[key](value)}" for key, value in masks_of(args).items()]


def mask_options(args: argparse.Namespace) -> str:
    """The same as a command line has it, with a space before; empty where neither was given.

    Args:
        args: options of a parser that `add_data` was called with.
    """
    void = "" if args.void is None else f" --void {shlex.quote(args.void)}"
    shift = {None: "", True: " --reduce-zero-label", False: " --no-reduce-zero-label"}[args.reduce_zero_label]
    return void + shift


def named_data(args: argparse.Namespace, usual: str | None = None) -> Named:
    """The data source of a command line that needs one.

    Args:
        args: options of a parser that `add_data` was called with.
        usual: see `data_of`.

    Raises:
        InputError: none was named, or there is none of that name.
    """
    found = data_of(args, usual)
    if found is None:
        raise InputError(f"expected --data DATA: {DATA}")
    return found


def add_output(parser: argparse._ActionsContainer, text: str, metavar: str = "FILE", *, required: bool = False) -> None:
    """`-o`, `--output` and `--overwrite`.

    Args:
        parser: parser or group.
        text: help, with the default.
        metavar: FILE or DIR.
        required: whether there is no default.
    """
    parser.add_argument("-o", "--output", type=Path, metavar=metavar, required=required, help=text)
    parser.add_argument("--overwrite", action="store_true", help="replace what exists there")


def add_classes(parser: Parser, group: argparse._ActionsContainer | None = None) -> None:
    """`--classes`; `labels.class_names` reads it.

    Args:
        parser: parser of the command.
        group: where the option is listed, if not among the parser's own.
    """
    text = (
        "class names in order, where the model carries none: a,b,c, a file with a name per line, or Keras' "
        "imagenet_class_index.json"
    )
    (group or parser).add_argument("--classes", metavar="FILE|a,b,c", help=text)
    parser.former["--labels"] = "--classes"


# Settings of a recipe that have an option of their own, in every command that trains.
_SETTINGS = (
    ("--epochs", positive, "N", "passes over the training data"),
    ("--batch-size", positive, "N", "examples per step, over all devices"),
    ("--learning-rate", float, "R", "highest learning rate of the run"),
    ("--image-size", positive, "N", "height and width of the net's input, in pixels"),
    ("--seed", int, "N", "of initialisation, order and augmentation"),
)


def add_settings(parser: argparse._ActionsContainer, *, image_size: bool = True) -> None:
    """The options that change a recipe; `settings_of` reads them.

    Args:
        parser: parser or group.
        image_size: whether `--image-size` is one of them; a compression has its model's.
    """
    for option, kind, metavar, text in _SETTINGS:
        if image_size or option != "--image-size":
            parser.add_argument(option, type=kind, metavar=metavar, help=text)
    add_set(parser)


def add_set(parser: argparse._ActionsContainer) -> None:
    """`--set NAME=VALUE`, repeatable."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="any other setting of the recipe (keras-resnet recipes NAME lists them); repeatable",
    )


def settings_of(args: argparse.Namespace, *, image_size: bool = True) -> list[str]:
    """The settings that a command line changes, as `recipes.override` takes them; `--set` wins.

    Args:
        args: options of a parser that `add_settings` was called with.
        image_size: as there.
    """
    names = [option.removeprefix("--").replace("-", "_") for option, *_ in _SETTINGS]
    given = {name: getattr(args, name) for name in names if image_size or name != "image_size"}
    return [*(f"{name}={value}" for name, value in given.items() if value is not None), *args.set]


def unused(path: Path) -> Path:
    """A path that nothing has yet: the given one, else with the date and time in its name.

    Args:
        path: default name of a file or a folder.
    """
    if not path.exists():
        return path
    stem, dot, suffix = path.name.partition(".")
    made = path.with_name(f"{stem}-{time.strftime('%Y%m%d-%H%M%S')}{dot}{suffix}")
    number = 2
    while made.exists():
        made = path.with_name(f"{stem}-{time.strftime('%Y%m%d-%H%M%S')}-{number}{dot}{suffix}")
        number += 1
    return made


def numbers(option: str, text: str, kind: type) -> tuple:
    """Numbers with commas between.

    Args:
        option: where they were given, for the message.
        text: like `"224,256"`.
        kind: int or float.

    Raises:
        InputError: something else.
    """
    try:
        return tuple(kind(part) for part in text.split(",") if part)
    except ValueError:
        raise InputError(f"{option} {text}: expected numbers with commas between") from None
