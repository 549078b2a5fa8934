"""`keras-resnet weights`: registered and published weights."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from keras_resnet import console
from keras_resnet.parsing import Parser

if TYPE_CHECKING:
    from keras_resnet.weights.registry import WeightSet


def add(parser: Parser) -> None:
    """Adds the options."""
    parser.add_argument("model", nargs="?", metavar="NAME", help="only those of this net")
    console.add_json(parser, "all their facts")


def work(args: argparse.Namespace) -> int:
    """Does what was asked for."""
    from keras_resnet.nets.segmentation import SEGMENTERS
    from keras_resnet.nets.specs import get_spec
    from keras_resnet.weights import PUBLISHED, list_weights

    if args.model in SEGMENTERS:
        sets, published = list_weights(args.model, task="segmentation"), []
    else:
        wanted = get_spec(args.model).name if args.model else None
        sets = list_weights(args.model) + ([] if wanted else list_weights(task="segmentation"))
        published = [row for row in PUBLISHED.values() if wanted in (None, row.spec)]
    console.write_json(args.json, [*(row.to_json() for row in sets), *(row.to_json() for row in published)])
    rows = [
        (row.spec, row.name, row.dataset, _figure(row), f"{row.resolution} px", row.license,
         row.source.partition(";")[0])  # --json has all of it
        for row in sets
    ]  # fmt: skip
    console.print_table("Weights", ("model", "weights", "data", "top-1", "at", "licence", "source"), rows)
    if published:
        table = [(row.spec, row.address, row.license, "here" if row.is_here else "download") for row in published]
        console.print_table("Published on the Hugging Face hub", ("model", "weights", "licence", "file"), table)
    print(
        "--weights takes each of them, other timm ResNets (hf://OWNER/NAME), and .safetensors, .npz, .h5, .keras files"
    )
    return console.OK


def _figure(row: WeightSet) -> str:
    return f"{row.top1:.2%}" + ("" if row.figure == "top-1" else f" {row.figure}")
