"""`keras-resnet finetune`, the former name of `train --weights`."""

from __future__ import annotations

import argparse

from keras_resnet import extras, files, flags
from keras_resnet.commands import training
from keras_resnet.errors import InputError
from keras_resnet.parsing import Parser, note_former
from keras_resnet.training.run import RUNS


def add(parser: Parser) -> None:
    """Adds the options."""
    parser.add_argument("--weights", help="a .keras file, or with --model a registered name, a weight file, hf://...")
    parser.add_argument("--model", help="name of the net, where the weights do not tell")
    flags.add_data(parser)
    parser.add_argument(
        "--freeze",
        default="none",
        help="stem, stage2, ...: nothing learns up to there; all: but the head (%(default)s)",
    )
    flags.add_settings(parser)
    training.add_run(parser)


def work(args: argparse.Namespace) -> int:
    """Does what was asked for."""
    note_former("finetune", "train --weights W --data DATA")
    files.check_folder(args.resume or args.output or RUNS)
    extras.require_for(args.weights, args.data)
    if args.resume and not args.weights:
        from keras_resnet.commands import train

        return train.resume(args)
    if not args.weights or not args.data:
        raise InputError("expected --weights W and --data DATASET, or --resume RUN")
    training.import_keras(args)
    from keras_resnet.training import finetune_recipe

    data = flags.named_data(args)
    columns = [f"columns={args.columns}"] if args.columns else []
    settings = [*columns, *flags.mask_settings(args), *flags.settings_of(args)]
    recipe = finetune_recipe(args.weights, data.name, args.model, freeze=args.freeze, settings=settings)
    return training.run_it(args, recipe, data)
