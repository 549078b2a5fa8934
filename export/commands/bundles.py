"""`python -m export --target NAME`: a folder for a place."""

from __future__ import annotations

import argparse

from export.commands.options import FOLDER, open_source
from export.targets.table import get_target
from keras_resnet import console, extras, files
from keras_resnet.errors import InputError

_NOT_FOR_TARGETS = {  # what the contract decides
    "layout": "nhwc",
    "features": (),
    "with_cam": False,
    "metadata": False,
    "engine": None,
}


def make(args: argparse.Namespace) -> int:
    """Makes the bundle that a command line asks for; returns the exit status.

    Args:
        args: options of `python -m export` with `--target`.
    """
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
    made = target.artifact(**choices)  # a contradiction is refused before TensorFlow is imported
    extras.require(*made.packages, for_what=f"--target {target.name}")
    options = {name: getattr(args, name) for name in ("flash", "ram", "tflm_tree")}
    files.check_folder(args.output.parent if args.output else FOLDER, args.output)
    source = open_source(args)
    if args.image_size and source.shape[0] != args.image_size:
        raise InputError("--image-size does not go with --target: the target decides it")
    from export.targets.making import README, make_bundle

    folder = args.output or FOLDER / f"{source.name}-{target.name}"
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
