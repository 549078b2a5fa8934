"""The commands of the package: `python -m export`, `export.tflite`, `export.onnx`, `export.verify`. Parse and call."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

from export.formats.table import (
    ENGINES,
    FORMATS,
    INPUTS,
    LABELS,
    LAYOUTS,
    OUTSIDE,
    QUANTIZERS,
    SAMPLES,
    Artifact,
    all_artifacts,
    artifact,
)
from export.targets.table import TARGETS, get_target
from keras_resnet import console
from keras_resnet.errors import GateError, InputError
from keras_resnet.labels import LABELS_HELP

_EPILOG = "Exit status: 0 when all gates hold, 1 when a gate fails, 2 for wrong usage or input."
_FLAGS = {  # the others are called like their precision
    "dynamic_int8": "--dynamic",
    "weight_only_int8": "--weight-only-int8",
    "weight_only_int4": "--weight-only-int4",
}
_FOLDER = Path("exports")


def positive(text: str) -> int:
    """A whole number from 1, for argparse."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, received {text}")
    return number


def _bytes(text: str) -> int:
    units = {"K": 1024, "M": 1024**2}
    number = text.upper().removesuffix("B").removesuffix("I")
    factor = units.get(number[-1:], 1)
    try:
        size = float(number.rstrip("KM")) * factor
    except ValueError:
        size = 0
    if size < 1:
        raise argparse.ArgumentTypeError(f"expected a size like 98496, 512K or 2M, received {text}")
    return int(size)


def _strides(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(each) for each in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected strides like 8,16,32, received {text}") from None


def _gate(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected NAME=NUMBER, like drop=0.3, received {text}") from None


def add_source(parser: argparse.ArgumentParser) -> None:
    """The options that say which model, and which data; `open_source` reads them."""
    parser.add_argument(
        "--model",
        action="append",
        help="a .keras file, or a variant's name with --weights; repeated: an ensemble, whose mean is one file; by "
        "default the newest run under runs/, else the best model that ships with the package: a CIFAR-10 net where its "
        "images are at hand, else a digits net",
    )
    parser.add_argument("--weights", help="for a variant: a registered name, a weight file, or none")
    parser.add_argument(
        "--dataset",
        help="digits, cifar10, cifar100, or a folder of class folders; by default what the model was trained on",
    )
    parser.add_argument("--data-dir", type=Path, help="where CIFAR's official binary files are (else Keras' cache)")
    parser.add_argument("--labels", type=Path, metavar="FILE", help=LABELS_HELP)


def add_gate(parser: argparse.ArgumentParser, text: str) -> None:
    """`--gate NAME=LIMIT`, repeatable."""
    parser.add_argument("--gate", type=_gate, action="append", default=[], metavar="NAME=LIMIT", help=text)


def _parser(program: str, description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=program, description=description, epilog=_EPILOG)
    add_source(parser)
    parser.add_argument(
        "--limit", type=positive, metavar="N", help="verify on N test images (default: all that fit in 1 GB)"
    )
    add_gate(parser, "another limit: drop (points), agreement, cosine, max_abs or sqnr (dB); repeatable")
    parser.add_argument(
        "--engine",
        choices=(*ENGINES, *OUTSIDE),
        help="that runs TFLite files (default xnnpack; reference: microcontrollers' kernels; the others need an "
        "environment of their own, which 'make check-NAME' makes)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table there too")
    return parser


def _add_writing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist")
    parser.add_argument(
        "--samples",
        type=positive,
        default=SAMPLES,
        metavar="N",
        help="training images to calibrate with (default %(default)s)",
    )
    parser.add_argument(
        "--calibration",
        type=Path,
        metavar="FOLDER",
        help="calibrate with the images in there; none may be a test image",
    )
    parser.add_argument(
        "--input",
        choices=INPUTS,
        help="raw: RGB 0..255, preprocessing is in the file (default for int8); tf: RGB -1..1, likewise",
    )
    parser.add_argument(
        "--io", help="dtype of input and output: int8, uint8, int16 or float32, as the precision has it"
    )
    parser.add_argument(
        "--layout", choices=LAYOUTS, default="nhwc", help="of an ONNX file's input (default %(default)s)"
    )
    parser.add_argument(
        "--features", type=_strides, default=(), metavar="8,16,32", help="feature maps of these strides as outputs too"
    )
    parser.add_argument("--with-cam", action="store_true", help="the class activation map as an output too")
    parser.add_argument(
        "--image-size",
        type=positive,
        metavar="N",
        help="the file takes N x N pixels and resizes them itself",
    )
    parser.add_argument(
        "--metadata", action="store_true", help=f"TFLite metadata with {LABELS}, as MediaPipe and ML Kit read them"
    )


def _choices(args: argparse.Namespace) -> dict[str, object]:
    """What every artifact of a command has in common."""
    return {
        "input": args.input,
        "io": args.io,
        "layout": args.layout,
        "features": args.features,
        "cam": args.with_cam,
        "size": args.image_size,
        "labels_file": LABELS if args.metadata else "",
    }


def open_source(args: argparse.Namespace):
    """The model and its data that a command line names; imports TensorFlow."""
    console.import_tensorflow()
    from export.model.source import load_source

    names = {"weights": args.weights, "dataset": args.dataset, "data_dir": args.data_dir, "labels": args.labels}
    return load_source(args.model, **names)


def _finish(report, args: argparse.Namespace, next_command: str) -> int:
    from export.making.pipeline import raise_if_failed

    report.print()
    console.write_json(args.json, report.to_json())
    raise_if_failed(report)
    print(f"next: {next_command}")
    return console.OK


def main_of_format(name: str, argv: Sequence[str] | None = None) -> int:
    """`python -m export.FORMAT`: one file."""
    form = FORMATS[name]
    parser = _parser(f"python -m export.{name}", f"Export one {name} file and verify it against Keras.")
    precisions = parser.add_mutually_exclusive_group()
    for precision in form.precisions:
        flag = _FLAGS.get(precision, f"--{precision}")
        default = " (default)" if precision == "float32" else ""
        precisions.add_argument(
            flag, dest="precision", action="store_const", const=precision, help=f"{precision}{default}"
        )
    parser.set_defaults(precision="float32")
    parser.add_argument("--quantizer", choices=QUANTIZERS, help="default: the first that has the precision")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help=f"default {_FOLDER}/NAME-PRECISION{form.suffix}"
    )
    _add_writing(parser)
    args = parser.parse_args(argv)

    def work() -> int:
        made = artifact(f"{name}:{args.precision}", quantizer=args.quantizer, **_choices(args))
        source = open_source(args)
        path = args.output or made.file(_FOLDER, source.name)
        report = _export(source, [(made, path)], args)
        return _finish(report, args, f"python -m keras_resnet predict --model {path} IMAGE.png")

    return console.run(work)


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
        return [artifact(name, quantizer=quantizer, **_choices(args)) for name, quantizer in wanted]
    quantizers = tuple(dict.fromkeys(args.quantizer or QUANTIZERS[:1]))
    made = []
    for name in all_artifacts(quantizers):
        try:
            made.append(artifact(name, **_choices(args)))
        except InputError:
            continue
    if not made:
        raise InputError("no format has these options together: see python -m export --help")
    return made


def _possible(chosen: list[Artifact], source) -> list[Artifact]:
    """Without the files that cannot hold the ranges of a model trained for integers."""
    from export.making.placement import holds_ranges
    from keras_resnet.compression.rewriting import is_quantized

    return [made for made in chosen if holds_ranges(made)] if is_quantized(source.model) else chosen


_NOT_FOR_TARGETS = {  # what the contract decides
    "layout": "nhwc",
    "features": (),
    "with_cam": False,
    "image_size": None,
    "metadata": False,
    "engine": None,
}


def _bundle(args: argparse.Namespace) -> int:
    """`--target NAME`."""
    target = get_target(args.target)
    for name, default in _NOT_FOR_TARGETS.items():
        if getattr(args, name) != default:
            raise InputError(f"--{name.replace('_', '-')} does not go with --target: the target decides it")
    if args.quantizer and len(args.quantizer) > 1:
        raise InputError("--target makes one file: give one --quantizer")
    choices = {
        "precision": args.precision,
        "io": args.io,
        "input": args.input,
        "quantizer": args.quantizer[0] if args.quantizer else None,
    }
    target.artifact(**choices)  # a contradiction is refused before TensorFlow is imported
    options = {name: getattr(args, name) for name in ("flash", "ram", "tflm_tree")}
    source = open_source(args)
    from export.targets.making import README, make_bundle

    folder = args.output or _FOLDER / f"{source.name}-{target.name}"
    result = make_bundle(
        source,
        target.name,
        folder,
        options={name: value for name, value in options.items() if value is not None},
        overwrite=args.overwrite,
        samples=args.samples,
        calibrate_with=args.calibration,
        limit=args.limit,
        gates=dict(args.gate),
        say=lambda text: print(text, flush=True),
        **choices,
    )
    result.print()
    console.write_json(args.json, result.to_json())
    result.raise_if_failed()
    print(f"next: the steps are in {folder / README}")
    return console.OK


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m export`: several files and a report."""
    parser = _parser("python -m export", "Export several files, verify each against Keras, and write a report.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--all", action="store_true", help="every format in every precision")
    what.add_argument("--target", metavar="NAME", help=f"a folder that works there unchanged: {', '.join(TARGETS)}")
    what.add_argument(
        "--artifact",
        action="append",
        metavar="FORMAT:PRECISION",
        help=f"one file; repeatable: {', '.join(all_artifacts(QUANTIZERS))}",
    )
    parser.add_argument(
        "--quantizer", choices=QUANTIZERS, action="append", help="repeat it for both (default tensorflow's)"
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help=f"default {_FOLDER}/NAME, with --target {_FOLDER}/NAME-TARGET"
    )
    _add_writing(parser)
    group = parser.add_argument_group("with --target")
    group.add_argument("--precision", help="default: the target's")
    group.add_argument("--flash", type=_bytes, metavar="SIZE", help="tflm: what the board has, like 512K or 2M")
    group.add_argument("--ram", type=_bytes, metavar="SIZE", help="tflm: likewise")
    group.add_argument("--tflm-tree", type=Path, metavar="DIR", help="tflm: a checkout to compile the example with")
    args = parser.parse_args(argv)
    if args.target:
        return console.run(lambda: _bundle(args))

    def work() -> int:
        for name in ("precision", "flash", "ram", "tflm_tree"):
            if getattr(args, name) is not None:
                raise InputError(f"--{name.replace('_', '-')} goes with --target NAME")
        chosen = _artifacts(args)
        source = open_source(args)
        if args.all:
            chosen = _possible(chosen, source)
        folder = args.output or _FOLDER / source.name
        html, json = folder / "report.html", folder / "report.json"
        from keras_resnet.files import refuse_existing

        for path in (html, json):
            refuse_existing(path, args.overwrite)
        report = _export(source, [(each, each.file(folder, source.name)) for each in chosen], args)
        report.write_html(html, overwrite=args.overwrite)
        console.write_json(json, report.to_json())
        return _finish(report, args, f"open {html}; python -m export.verify {report.rows[0].file}")

    return console.run(work)


def main_of_verify(argv: Sequence[str] | None = None) -> int:
    """`python -m export.verify`: check an existing file again."""
    parser = _parser("python -m export.verify", "Verify an existing file against its Keras model.")
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="a .tflite, .onnx or .keras file, or a .savedmodel folder"
    )
    args = parser.parse_args(argv)

    def work() -> int:
        from export.formats.table import format_of
        from keras_resnet.files import existing_file

        if not (format_of(args.file).suffix == ".savedmodel" and args.file.is_dir()):
            existing_file(args.file)
        source = open_source(args)
        from export.making.pipeline import verify

        print(f"model: {source.origin}")
        report = verify(args.file, source, limit=args.limit, gates=dict(args.gate), engine=args.engine)
        return _finish(report, args, f"python -m keras_resnet predict --model {args.file} IMAGE.png")

    return console.run(work)


def main_of_debug(argv: Sequence[str] | None = None) -> int:
    """`python -m export.debug`: error per layer, and layers in float."""
    parser = _parser(
        "python -m export.debug", "Compare every layer of a TFLite file with Keras, or keep the fewest layers in float."
    )
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="a .tflite file of this package; with --auto-float: to write"
    )
    parser.add_argument("-o", "--output", type=Path, metavar="HTML", help="default FILE.layers.html")
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist")
    parser.add_argument(
        "--auto-float",
        action="store_true",
        help="write FILE in int8 with the fewest layers in float that --gate allows",
    )
    parser.add_argument("--io", help="with --auto-float: int8 or float32")
    args = parser.parse_args(argv)

    def work() -> int:
        from keras_resnet.files import refuse_existing

        if args.engine in OUTSIDE:
            raise InputError(f"engine {args.engine} shows no layers: use --engine {' or '.join(ENGINES)}")
        page = args.output or args.file.with_name(f"{args.file.name}.layers.html")
        refuse_existing(page, args.overwrite)
        source = open_source(args)
        from export.making.autofloat import auto_float
        from export.proof import layer_errors as debug

        report = None
        if args.auto_float:
            report, _ = auto_float(
                source,
                args.file,
                gates=dict(args.gate),
                limit=args.limit,
                overwrite=args.overwrite,
                io=args.io,
                say=lambda text: print(text, flush=True),
            )
        evidence = source.evidence(args.limit or _LAYERS_ON)
        file = Path(report.rows[0].file) if report is not None else args.file
        entries = debug.layer_errors(file, source, evidence, engine=args.engine)
        title = f"{file} beside {source.origin} on {evidence.origin}"
        debug.write_html(entries, title, page, overwrite=args.overwrite)
        debug.print_errors(title, entries)
        console.write_json(args.json, debug.to_json(entries))
        if report is not None:
            return _finish(report, argparse.Namespace(json=None), f"open {page}")
        print(f"all layers and a picture: {page}")
        print(f"next: python -m export.debug OUT.tflite --auto-float --gate drop=0.1 {_again(args)}".rstrip())
        return console.OK

    return console.run(work)


def main_of_fit(argv: Sequence[str] | None = None) -> int:
    """`python -m export.fit`: what a file takes of a microcontroller, or which nets fit one."""
    parser = argparse.ArgumentParser(
        prog="python -m export.fit",
        description="What an int8 TFLite file takes of a microcontroller; without a file, the nets that fit one.",
        epilog=_EPILOG,
    )
    parser.add_argument("file", type=Path, nargs="?", metavar="FILE", help="a .tflite file")
    parser.add_argument("--flash", type=_bytes, metavar="SIZE", help="what the board has, like 512K or 2M")
    parser.add_argument("--ram", type=_bytes, metavar="SIZE", help="likewise")
    parser.add_argument(
        "--image-size", type=positive, default=32, metavar="N", help="without a file: pixels (default %(default)s)"
    )
    parser.add_argument(
        "--classes", type=positive, default=10, metavar="N", help="without a file: of the head (default %(default)s)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table there too")
    args = parser.parse_args(argv)
    return console.run(lambda: _fit(args))


_FITTING = 10  # rows of a table of nets


def _fit(args: argparse.Namespace) -> int:
    if args.file is None and args.flash is None and args.ram is None:
        raise InputError("expected a .tflite file, or --flash SIZE and --ram SIZE of a board")
    console.import_tensorflow()
    from export import memory as fit

    if args.file is not None:
        from keras_resnet.runtime.opening import open_runner

        open_runner(args.file)  # a damaged file is refused by its engine
        found, title = [(str(args.file), fit.of_file(args.file))], "int8 on TFLite Micro, bytes"
    else:
        flash, ram = args.flash or fit.MOST_FLASH, args.ram or fit.MOST_RAM
        shape = (args.image_size, args.image_size, 3)
        title = f"the largest nets that fit {flash:,} bytes of flash and {ram:,} of RAM, int8, {shape[0]} pixels, bytes"
        found = list(itertools.islice(fit.fitting(flash, ram, shape, args.classes), _FITTING))
        if not found:
            raise GateError(
                f"no net of the table fits {flash:,} bytes of flash and {ram:,} of RAM at {shape[0]} pixels"
            )
    columns = ("net", "flash", "activations", "structures (64-bit)", "arena")
    rows = [[name, f.flash, f.activations, f.structures, f.arena] for name, f in found]
    console.print_table(title, columns, [[name, *(f"{n:,}" for n in numbers)] for name, *numbers in rows])
    console.write_json(args.json, [dict(zip(columns, row, strict=True)) for row in rows])
    if args.file is None:
        print(f"next: python -m keras_resnet train --recipe fast --set model={found[0][0]}")
        return console.OK
    lacking = [
        f"{what} {used:,} of {have:,} bytes"
        for what, used, have in (("flash", rows[0][1], args.flash), ("RAM", rows[0][4], args.ram))
        if have and used > have
    ]
    if lacking:
        raise GateError(f"{args.file} does not fit: {', '.join(lacking)}")
    return console.OK


_LAYERS_ON = 100  # images that layers are compared on


def _again(args: argparse.Namespace) -> str:
    """The options that name model and data."""
    known = [("--model", each) for each in args.model or ()]
    known += [("--weights", args.weights), ("--dataset", args.dataset), ("--data-dir", args.data_dir)]
    known += [("--labels", args.labels)]
    return " ".join(f"{flag} {value}" for flag, value in known if value)


def _export(source, targets: list, args: argparse.Namespace):
    from export.making.pipeline import export

    say: Callable[[str], None] = lambda text: print(text, flush=True)  # noqa: E731
    return export(
        source,
        targets,
        overwrite=args.overwrite,
        samples=args.samples,
        calibrate_with=args.calibration,
        limit=args.limit,
        gates=dict(args.gate),
        engine=args.engine,
        say=say,
    )
