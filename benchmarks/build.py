#!/usr/bin/env python3
"""CPU time to build a net: beside keras.applications, as a whole and per layer; one more block from CIFAR-20 to 1202.

A net without values (`without_values`) is what a command builds that needs shapes alone. Layers and blocks are compared
so as well: random values of a wide layer take longer than the layer.

Run it: python benchmarks/build.py        (about four minutes)
"""

import functools
import gc
import itertools
import time
from collections.abc import Mapping, Sequence

from _measure import Figures, interleaved, parser, run

from keras_resnet import console

console.import_tensorflow()

import keras  # noqa: E402

import keras_resnet  # noqa: E402
from keras_resnet.nets.graph import without_values  # noqa: E402

# A row and a deeper or wider one of its kind: what one more layer costs, whatever stem, head and the model itself cost.
KINDS = (
    ("resnet18", "resnet34"),
    ("resnet50_v1_5", "resnet101_v1_5"),
    ("resnetv2_50", "resnetv2_101"),
    ("resnet50d", "resnet101d"),
    ("seresnet50", "seresnet101"),
    ("resnetrs50", "resnetrs101"),
    ("resnext50_32x4d", "resnext101_32x4d"),
)
DEPTHS = (20, 56, 110, 1202)


def fresh() -> None:
    """A clean Keras session, so that earlier models cost nothing."""
    keras.backend.clear_session()
    gc.collect()


def net(name: str) -> keras.Model:
    """A net of ours, or of keras.applications where the name begins with a capital."""
    return keras_resnet.build(name) if name.islower() else getattr(keras.applications, name)(weights=None)


def sketch(name: str) -> keras.Model:
    """A net with shapes and no values."""
    with without_values():
        return net(name)


def seconds(names: Sequence[str], rounds: int) -> dict[str, float]:
    """Median CPU seconds of nets without values, by name."""
    return interleaved({name: functools.partial(sketch, name) for name in names}, rounds, fresh, time.process_time)


def per_layer(found: Mapping[str, float], less: str, more: str) -> float:
    """CPU seconds of one more layer between two nets of a kind."""
    layers = {name: len(sketch(name).layers) for name in (less, more)}
    return (found[more] - found[less]) / (layers[more] - layers[less])


def one_more_block(depths: Sequence[int], rounds: int) -> dict[str, float]:
    """CPU seconds of one more block from each depth of CIFAR's nets to the next, by the two names."""
    blocks = {f"resnet{depth}_cifar": (depth - 2) // 2 for depth in depths}
    medians = seconds(list(blocks), rounds)
    return {
        f"{less} to {more}": (medians[more] - medians[less]) / (blocks[more] - blocks[less])
        for less, more in itertools.pairwise(blocks)
    }


def main() -> int:
    """Measures."""
    args = parser(__doc__).parse_args()
    figures = Figures("build", args)
    for name in ("ResNet50",) if args.smallest else ("ResNet50", "ResNet101", "ResNet152"):
        both = {
            "ours": functools.partial(getattr(keras_resnet, name), weights=None),
            "theirs": functools.partial(getattr(keras.applications, name), weights=None),
        }
        medians = interleaved(both, 1 if args.smallest else 9, fresh, time.process_time)
        figures.ratio(f"build {name}", medians["ours"], medians["theirs"], "keras.applications", 1.05)
    both = {
        "sketch": functools.partial(sketch, "resnet50"),
        "net": functools.partial(keras_resnet.build, "resnet50"),
    }
    medians = interleaved(both, 1 if args.smallest else 9, fresh, time.process_time)
    figures.ratio("resnet50 without values", medians["sketch"], medians["net"], "with random ones", 0.3)
    kinds = KINDS[:1] if args.smallest else KINDS
    nets = [*(name for pair in kinds for name in pair), "ResNet50", "ResNet101"]
    medians = seconds(nets, 1 if args.smallest else 9)
    theirs = per_layer(medians, "ResNet50", "ResNet101")
    for less, more in kinds:
        what = f"one more layer, {less} to {more}"
        figures.ratio(what, per_layer(medians, less, more), theirs, "ResNet50 to ResNet101", 1.05)
    depths = DEPTHS[:3] if args.smallest else DEPTHS
    first, *others = (found := one_more_block(depths, 1 if args.smallest else 3))
    for name in others:
        figures.ratio(f"one more block, {name}", found[name], found[first], first, 1.2)
    return figures.finish()


if __name__ == "__main__":
    run(main)
