"""`python -m keras_resnet` and `keras-resnet`: train, prepare, evaluate, predict, report, ... Parses and calls."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from keras_resnet import __version__, console, extras, files
from keras_resnet.errors import InputError
from keras_resnet.evaluation import command as evaluation
from keras_resnet.explain import command as explain
from keras_resnet.lab import command as lab
from keras_resnet.labels import LABELS_HELP, read_labels
from keras_resnet.parsing import Parser
from keras_resnet.runtime import foreign
from keras_resnet.training.recipes import RECIPES, Recipe, get_recipe, override
from keras_resnet.training.run import RUNS


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="keras-resnet", description="Residual networks in Keras: train, evaluate, predict.", epilog=_EPILOG
    )
    parser.add_argument("--version", action="version", version=f"keras-resnet-toolkit {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    _add_train(commands)
    _add_finetune(commands)
    _add_prepare(commands)
    evaluation.add(commands)
    _add_predict(commands)
    explain.add(commands)
    lab.add(commands)
    _add_report(commands)
    _add_models(commands)
    _add_weights(commands)
    return parser


def _add_train(commands) -> None:
    train = commands.add_parser("train", help="train a recipe into a run directory")
    train.add_argument("--recipe", metavar="NAME", help=f"one of {', '.join(RECIPES)}")
    _add_training(train)
    train.set_defaults(work=_train)


def _add_finetune(commands) -> None:
    finetune = commands.add_parser("finetune", help="move pretrained weights to another data set")
    finetune.add_argument("--weights", help="a .keras file, or with --model a registered name, a weight file, hf://...")
    finetune.add_argument("--model", help="name of the variant, where the weights do not tell")
    finetune.add_argument("--data", metavar="DATASET", help="a folder, or a dataset's name")
    finetune.add_argument(
        "--freeze",
        default="none",
        help="stem, stage2, ...: nothing learns up to there; all: but the head (%(default)s)",
    )
    finetune.add_argument("--epochs", type=int, help="like --set epochs=N")
    _add_training(finetune)
    finetune.set_defaults(work=_finetune)


def _add_prepare(commands) -> None:
    prepare = commands.add_parser("prepare", help="write a data source as TFRecord files, for large sets")
    prepare.add_argument(
        "dataset", metavar="DATASET", help="a folder of class folders, imagenet, tfds:NAME, cifar10, ..."
    )
    prepare.add_argument("output", type=Path, metavar="DIR", help="a new folder")
    prepare.add_argument("--data-dir", type=Path, help="where the files of a named source are")
    prepare.add_argument("--shards", type=int, default=0, metavar="N", help="training files (default: of 128 MB each)")
    prepare.add_argument(
        "--shorter-side",
        type=int,
        default=0,
        metavar="PIXELS",
        help="reduce larger images to that (default: keep them)",
    )
    console.add_json(prepare, "the figures")
    prepare.set_defaults(work=_prepare)


def _add_predict(commands) -> None:
    predict = commands.add_parser("predict", help="the five likeliest classes of images")
    _add_model(predict)
    predict.add_argument("images", nargs="+", metavar="IMAGE", help="pictures: PNG, JPEG, WebP, ...")
    predict.add_argument("--labels", type=Path, metavar="FILE", help=LABELS_HELP)
    console.add_json(predict, "the classes")
    predict.set_defaults(work=_predict)


def _add_report(commands) -> None:
    report = commands.add_parser("report", help="compare training runs in one HTML page")
    report.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="run directories")
    report.add_argument("-o", "--output", type=Path, default=Path("report.html"), metavar="FILE", help="%(default)s")
    report.add_argument("--overwrite", action="store_true", help="replace the file if it exists")
    console.add_json(report, "the table")
    report.set_defaults(work=_report)


def _add_models(commands) -> None:
    models = commands.add_parser("models", help="list the variants, or the exact size of some")
    models.add_argument("names", nargs="*", metavar="NAME", help="variants to measure")
    models.set_defaults(work=_models)


def _add_weights(commands) -> None:
    weights = commands.add_parser("weights", help="list the registered weight sets")
    weights.add_argument("model", nargs="?", metavar="NAME", help="only those of this variant")
    console.add_json(weights, "all their facts")
    weights.set_defaults(work=_weights)


def add_devices(parser: argparse.ArgumentParser) -> None:
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


def _add_training(train: argparse.ArgumentParser) -> None:
    """What `train` and `finetune` share."""
    train.add_argument(
        "--data-dir", type=Path, help="where the files of cifar10, cifar100 or imagenet are (CIFAR: else Keras' cache)"
    )
    train.add_argument("--run-dir", type=Path, help="a new directory; runs/RECIPE-DATE-TIME by default")
    train.add_argument(
        "--resume",
        type=Path,
        metavar="RUN",
        help="go on with the run in that directory; with --recipe, begin it if there is none yet",
    )
    add_devices(train)
    train.add_argument(
        "--checkpoint-minutes",
        type=_minutes,
        default=10.0,
        metavar="N",
        help="between checkpoints within an epoch (default: %(default)s)",
    )
    train.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a setting of the recipe (epochs=3, dataset=DIR, ...); repeatable",
    )


def _minutes(text: str) -> float:
    """Minutes from 0, for argparse."""
    minutes = float(text)
    if not 0 <= minutes < float("inf"):
        raise argparse.ArgumentTypeError(f"expected minutes from 0 (0: after every step), received {text}")
    return minutes


_EPILOG = "Exported files come from `python -m export`. Exit status: 0 done, 1 a check failed, 2 wrong usage or input."


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", required=True, help="a .keras, .tflite or .onnx file, or a variant's name with --weights"
    )
    parser.add_argument("--weights", help="for a variant: a registered name, a weight file, or none")
    foreign.add_options(parser)


def _train(args: argparse.Namespace) -> int:
    recipe = _recipe(args)
    files.check_folder(args.resume or args.run_dir or RUNS)
    extras.require_for(recipe.dataset, recipe.weights)
    console.import_tensorflow("jax")
    return _run(args, recipe)


def _finetune(args: argparse.Namespace) -> int:
    files.check_folder(args.resume or args.run_dir or RUNS)
    extras.require_for(args.weights, args.data)
    if args.resume and not args.weights:
        recipe = _resumed(args)
        console.import_tensorflow("jax")
        return _run(args, recipe)
    if not args.weights or not args.data:
        raise InputError("expected --weights W and --data DATASET, or --resume RUN")
    settings = [*([f"epochs={args.epochs}"] if args.epochs is not None else []), *args.set]
    console.import_tensorflow("jax")
    from keras_resnet.training import finetune_recipe

    return _run(args, finetune_recipe(args.weights, args.data, args.model, freeze=args.freeze, settings=settings))


def _run(args: argparse.Namespace, recipe: Recipe) -> int:
    from keras_resnet.data.sources import find_source
    from keras_resnet.signals.table import get_signal
    from keras_resnet.training import run, train

    result = train(
        recipe,
        data_dir=args.data_dir,
        run_dir=args.resume or args.run_dir,
        resume=args.resume is not None,
        checkpoint_minutes=args.checkpoint_minutes,
        strategy=devices_of(args),
    )
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
    data = f" --data-dir {args.data_dir}" if args.data_dir else ""
    if result.interrupted:
        print(f"next: python -m keras_resnet train --resume {result.run_dir}{data}")
        raise KeyboardInterrupt
    model = result.run_dir / "model.keras"
    print(f"next: python -m keras_resnet evaluate --model {model} --dataset {recipe.dataset}{data}")
    print(f"      python -m export.tflite --model {model} --int8{data}")
    return console.OK


def _recipe(args: argparse.Namespace) -> Recipe:
    """What `train` was asked for: a row with changes, or that of the run to resume."""
    if args.resume and args.run_dir:
        raise InputError("--resume RUN names the directory: leave out --run-dir")
    if args.recipe:
        return override(get_recipe(args.recipe), args.set)
    if not args.resume:
        raise InputError(f"expected --recipe NAME or --resume RUN; recipes: {', '.join(RECIPES)}")
    return _resumed(args)


def _resumed(args: argparse.Namespace) -> Recipe:
    """The recipe of the run to go on with."""
    if args.set:
        raise InputError("--resume RUN goes on with the recipe of the run: leave out --set")
    from keras_resnet.training import run

    return run.reopen(None, args.resume)


def _prepare(args: argparse.Namespace) -> int:
    files.check_folder(args.output)
    extras.require_for(args.dataset)
    console.import_tensorflow("jax")
    from keras_resnet.data import load_dataset, prepare

    dataset = load_dataset(args.dataset, args.data_dir)
    written = prepare(dataset, args.output, shards=args.shards, shorter_side=args.shorter_side)
    console.write_json(args.json, written.to_json())
    rows = [(name, written.images[name], written.shards[name]) for name in written.images]
    console.print_table(f"{written.folder}: {written.bytes / 1e6:,.1f} MB", ("part", "images", "files"), rows)
    print(f"next: python -m keras_resnet train --recipe fast --set dataset={written.folder}")
    return console.OK


def _predict(args: argparse.Namespace) -> int:
    extras.require_for(args.model, args.weights)
    console.import_tensorflow("jax")
    from keras_resnet.evaluation import predict
    from keras_resnet.runtime.opening import open_named

    runner = open_named(args.model, args.weights, foreign.hints_of(args))
    evaluation.note_missing_card(args.model, runner)
    names = read_labels(args.labels, runner.output.shape[-1]) if args.labels else None
    answers = predict(runner, args.images, labels=names)
    console.write_json(args.json, [answer.to_json() for answer in answers])
    for answer in answers:
        console.print_table(answer.image, *answer.rows())
    return console.OK


def _report(args: argparse.Namespace) -> int:
    from keras_resnet.training import comparison

    files.check_place(args.output, args.overwrite)
    runs = comparison.read(args.runs)
    rows = comparison.rows(runs)
    comparison.write_html(runs, args.output, overwrite=args.overwrite)
    console.write_json(args.json, [dict(zip(comparison.COLUMNS, row, strict=True)) for row in rows])
    console.print_table("Runs", comparison.COLUMNS, [["–" if cell is None else cell for cell in row] for row in rows])
    print(f"curves and settings: {args.output}")
    return console.OK


def _models(args: argparse.Namespace) -> int:
    from keras_resnet.nets.specs import SPECS, get_spec, list_models

    if not args.names:
        variants = [
            (name, SPECS[name].block, "-".join(map(str, SPECS[name].depths)), SPECS[name].default_size)
            for name in list_models()
        ]
        console.print_table("Variants", ("name", "block", "blocks per stage", "input"), variants)
        print("exact size: python -m keras_resnet models NAME ...")
        return console.OK
    names = [get_spec(name).name for name in args.names]
    console.import_tensorflow("jax")
    from keras_resnet.builder import model_info

    keys = ("name", "parameters", "trainable", "multiply_adds", "input_shape", "paper")
    infos = [model_info(name) for name in names]
    rows = [[f"{info[key]:,}" if isinstance(info[key], int) else info[key] for key in keys] for info in infos]
    console.print_table("Variants", [key.replace("_", " ") for key in keys], rows)
    return console.OK


def _weights(args: argparse.Namespace) -> int:
    from keras_resnet.weights import list_weights

    sets = list_weights(args.model)
    console.write_json(args.json, [row.to_json() for row in sets])
    rows = [
        (row.spec, row.name, row.dataset, f"{row.top1:.2%}", f"{row.resolution} px", row.license, row.source)
        for row in sets
    ]
    console.print_table("Weights", ("model", "weights", "data", "top-1", "at", "licence", "source"), rows)
    print("any timm ResNet: weights='hf://timm/resnet18.a1_in1k'; your own: a .safetensors, .npz, .h5 or .keras file")
    return console.OK


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command line; returns its exit status."""
    args = _parser().parse_args(argv)
    return console.run(lambda: args.work(args), args)
