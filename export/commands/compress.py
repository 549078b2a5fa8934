"""`keras-resnet compress`: a smaller model out of a trained one. Parse and call."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from export.commands.options import add_gate, add_source, open_source, usual_data
from export.formats.table import FORMATS
from export.smaller.trainers import get_trainer
from keras_resnet import console, extras, files, flags
from keras_resnet.commands.training import add_devices, devices_of
from keras_resnet.compression.settings import COMPRESSIONS, PRESERVED, Settings, settings
from keras_resnet.errors import InputError
from keras_resnet.flags import positive
from keras_resnet.parsing import Parser
from keras_resnet.tasks import get_task
from keras_resnet.training.recipes import COMPRESSING, get_recipe, override

PARTS = ("test", "validation")

_EPILOG = (
    "OUT gets model.keras, TFLite files, compression.json and the run directory of the training. Exit status: 0 when "
    "all gates hold, 1 when the compressed model is worse than allowed (it is kept as model.failed.keras), 2 for wrong "
    "usage or input."
)


def add(parser: Parser) -> None:
    """Adds the options."""
    parser.epilog = _EPILOG
    add_source(parser)
    parser.add_argument(
        "--method",
        required=True,
        help="qat: quantization-aware training for int8; prune: zeros or fewer channels; cluster: few different values",
    )
    parser.add_argument(
        "--engine", default="native", help="native (Keras 3, the default) or tfmot (a tf_keras twin; extra: export)"
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--weight-bits", type=int, metavar="N", help="qat: 8 for weights and activations (default), 4 for weights alone"
    )
    what.add_argument("--sparsity", metavar="S", help="prune: a share of zeros like 0.5 (default), or 2:4")
    what.add_argument(
        "--channels",
        type=float,
        metavar="SHARE",
        help="prune: whole channels, until this share of multiply-adds is left",
    )
    what.add_argument("--clusters", type=int, metavar="N", help="cluster: values in every kernel (default 16)")
    parser.add_argument(
        "--preserve", help=f"qat: keep the model's {' or '.join(PRESERVED)}; cluster: keep its sparsity"
    )
    parser.add_argument(
        "--recipe", help="of the training (default: compress or prune, for masks compress-scenes or prune-scenes)"
    )
    flags.add_settings(parser, image_size=False)
    _add_teacher(parser)
    add_devices(parser)
    parser.add_argument("-o", "--output", type=Path, metavar="OUT", help="a new folder; default exports/NAME-METHOD")
    parser.add_argument("--resume", action="store_true", help="go on with an interrupted compression in OUT")
    parser.add_argument("--limit", type=positive, metavar="N", help="measure on N images (default: all)")
    parser.add_argument(
        "--part",
        choices=PARTS,
        default=PARTS[0],
        help="images to measure on; validation keeps these out of the training, to choose settings by (default: test)",
    )
    add_gate(parser, "another limit: drop=POINTS that the accuracy may fall")
    console.add_json(parser, "the figures")


def _add_teacher(parser: Parser) -> None:
    parser.add_argument(
        "--teacher",
        metavar="MODEL",
        help="a better model of the same images and classes to learn from (a .keras file, or a variant's name with "
        "--teacher-weights); default: the model as it is",
    )
    parser.add_argument("--teacher-weights", metavar="W", help="for a variant: a registered name or a weight file")
    parser.add_argument(
        "--answers",
        type=Path,
        metavar="DIR",
        help="keep what the teacher says there: other compressions by the same recipe need not ask it again",
    )


def _settings(args: argparse.Namespace) -> Settings:
    if args.method not in COMPRESSIONS:
        raise InputError(f"--method {args.method}: expected {', '.join(COMPRESSIONS)}")
    return settings(
        args.method,
        weight_bits=args.weight_bits,
        sparsity=args.sparsity,
        channels=args.channels,
        clusters=args.clusters,
        preserve=args.preserve,
    )


def _teacher(args: argparse.Namespace):
    if not args.teacher:
        return None
    from export.model.source import load_source

    dataset, data_dir = usual_data(args)
    return load_source(args.teacher, weights=args.teacher_weights, dataset=dataset, data_dir=data_dir)


def work(args: argparse.Namespace) -> int:
    """Compresses; returns the exit status."""
    chosen = _settings(args)
    changes = flags.settings_of(args, image_size=False)
    recipe = override(get_recipe(args.recipe), changes) if args.recipe else None
    if bool(args.teacher_weights) != bool(args.teacher and not Path(args.teacher).suffix):
        raise InputError(
            f"--teacher {args.teacher}, --teacher-weights {args.teacher_weights}: a variant's name needs weights "
            "(a registered name or a file), a .keras file has them"
        )
    get_trainer(args.engine).ask()
    extras.require(*FORMATS["tflite"].packages, for_what="compress")
    files.check_folder(args.output or Path("exports"))
    console.import_tensorflow()
    devices = devices_of(args)
    source, teacher = open_source(args), _teacher(args)
    get_task(source.card.task).require("compress")
    recipe = recipe or override(get_recipe(COMPRESSING[source.card.task][args.method]), changes)
    if said := flags.masks_of(args):
        reading = {**source.card.reading, **{key: list(v) if key == "void" else v for key, v in said.items()}}
        source = dataclasses.replace(source, card=dataclasses.replace(source.card, reading=reading))
    if args.part == "validation":
        source, recipe = source.on_validation(), override(recipe, ["hold_out=true"])
    usual = Path("exports", f"{source.name}-{chosen.name}")
    output = args.output or (usual if args.resume else flags.unused(usual))
    dataset, data_dir = usual_data(args)
    from export.smaller.compression import compress

    outcome = compress(
        source,
        chosen,
        recipe,
        output,
        engine=args.engine,
        teacher=teacher,
        answers=args.answers,
        data_dir=data_dir,
        dataset=dataset,
        limit=args.limit,
        gates=dict(args.gate),
        resume=args.resume,
        strategy=devices,
        say=lambda text: print(text, flush=True),
    )
    if outcome is None:
        print(f"trained; worker 0 measures and exports in {output}")
        return console.OK
    outcome.print()
    console.write_json(args.json, outcome.to_json())
    outcome.raise_if_failed()
    precision = " --precision int8x4" if chosen.weight_bits == 4 else ""
    print(f"next: keras-resnet export bundle --place tflm{precision} --model {outcome.model} -o firmware")
    return console.OK
