"""`keras-resnet predict`: answers for photos."""

from __future__ import annotations

import argparse

from keras_resnet import console, extras, flags
from keras_resnet.evaluation.command import note_missing_card
from keras_resnet.labels import class_names
from keras_resnet.parsing import Parser
from keras_resnet.runtime import foreign


def add(parser: Parser) -> None:
    """Adds the options."""
    flags.add_model(parser, required=True)
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="pictures: PNG, JPEG, WebP, ...")
    flags.add_classes(parser)
    foreign.add_options(parser)
    console.add_json(parser, "the classes")


def work(args: argparse.Namespace) -> int:
    """Does what was asked for."""
    extras.require_for(args.model, args.weights)
    console.import_tensorflow("jax")
    from keras_resnet.evaluation import predict
    from keras_resnet.runtime.opening import open_named

    runner = open_named(args.model, args.weights, foreign.hints_of(args))
    note_missing_card(args.model, runner)
    names = class_names(args.classes, runner.output.shape[-1]) if args.classes else None
    answers = predict(runner, args.images, labels=names)
    console.write_json(args.json, [answer.to_json() for answer in answers])
    for answer in answers:
        console.print_table(answer.image, *answer.rows())
    return console.OK
