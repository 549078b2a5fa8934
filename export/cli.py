"""The commands of the package: `python -m export`, `export.tflite`, `export.onnx`, `export.verify`. Parse and call."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from export.formats import FORMATS, SAMPLES, all_artifacts, artifact
from keras_resnet import console

_EPILOG = "Exit status: 0 when all gates hold, 1 when a gate fails, 2 for wrong usage or input."
_FLAGS = {"dynamic_int8": "--dynamic"}  # the others are called like their precision
_FOLDER = Path("exports")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, received {text}")
    return number


def _parser(program: str, description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=program, description=description, epilog=_EPILOG)
    parser.add_argument(
        "--model",
        help="a .keras file, or a variant's name with --weights; by default the newest run under runs/, else the "
        "best model that ships with the package: a CIFAR-10 net where its images are at hand, else a digits net",
    )
    parser.add_argument("--weights", help="for a variant: a registered name, a weight file, or none")
    parser.add_argument(
        "--dataset",
        help="digits, cifar10, cifar100, or a folder of class folders; by default what the model was trained on",
    )
    parser.add_argument("--data-dir", type=Path, help="where CIFAR's official binary files are (else Keras' cache)")
    parser.add_argument(
        "--limit", type=_positive, metavar="N", help="verify on N test images (default: all that fit in 2 GB)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table there too")
    return parser


def _add_writing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist")
    parser.add_argument(
        "--samples",
        type=_positive,
        default=SAMPLES,
        metavar="N",
        help="training images to calibrate with (default %(default)s)",
    )


def _source(args: argparse.Namespace):
    console.import_tensorflow()
    from export.source import load_source

    return load_source(args.model, weights=args.weights, dataset=args.dataset, data_dir=args.data_dir)


def _finish(report, args: argparse.Namespace, next_command: str) -> int:
    from export.pipeline import raise_if_failed

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
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help=f"default {_FOLDER}/NAME-PRECISION{form.suffix}"
    )
    _add_writing(parser)
    args = parser.parse_args(argv)

    def work() -> int:
        source = _source(args)
        made = artifact(f"{name}:{args.precision}")
        path = args.output or made.file(_FOLDER, source.name)
        report = _export(source, [(made, path)], args)
        return _finish(report, args, f"python -m keras_resnet predict --model {path} IMAGE.png")

    return console.run(work)


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m export`: several files and a report."""
    parser = _parser("python -m export", "Export several files, verify each against Keras, and write a report.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--all", action="store_true", help="every format in every precision")
    what.add_argument(
        "--artifact",
        action="append",
        metavar="FORMAT:PRECISION",
        help=f"one file; repeatable: {', '.join(each.name for each in all_artifacts())}",
    )
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help=f"default {_FOLDER}/NAME")
    _add_writing(parser)
    args = parser.parse_args(argv)

    def work() -> int:
        chosen = all_artifacts() if args.all else [artifact(name) for name in dict.fromkeys(args.artifact)]
        source = _source(args)
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
    parser.add_argument("file", type=Path, metavar="FILE", help="a .tflite or .onnx file")
    args = parser.parse_args(argv)

    def work() -> int:
        from export.formats import format_of
        from keras_resnet.files import existing_file

        format_of(existing_file(args.file))
        source = _source(args)
        from export.pipeline import verify

        print(f"model: {source.origin}")
        report = verify(args.file, source, limit=args.limit)
        return _finish(report, args, f"python -m keras_resnet predict --model {args.file} IMAGE.png")

    return console.run(work)


def _export(source, targets: list, args: argparse.Namespace):
    from export.pipeline import export

    say: Callable[[str], None] = lambda text: print(text, flush=True)  # noqa: E731
    return export(source, targets, overwrite=args.overwrite, samples=args.samples, limit=args.limit, say=say)
