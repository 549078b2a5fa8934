#!/usr/bin/env python3
"""CPU time to build a net: beside keras.applications, as a whole and per layer; one more block from CIFAR-20 to 1202.

Run it: python benchmarks/build.py        (about four minutes)
"""

import functools
import gc
import sys
import time

from _measure import interleaved, print_ratio

from keras_resnet import console

console.import_tensorflow()

import keras  # noqa: E402

import keras_resnet  # noqa: E402
from keras_resnet.nets.graph import without_values  # noqa: E402


def fresh() -> None:
    """A clean Keras session, so that earlier models cost nothing."""
    keras.backend.clear_session()
    gc.collect()


def sketch(name: str) -> keras.Model:
    """A net with shapes and no values."""
    with without_values():
        return keras_resnet.build(name)


def main() -> int:
    """Prints the ratios; returns 0 if all are within their limits."""
    held = []
    for name in ("ResNet50", "ResNet101", "ResNet152"):
        candidates = {
            "ours": functools.partial(getattr(keras_resnet, name), weights=None),
            "theirs": functools.partial(getattr(keras.applications, name), weights=None),
        }
        medians = interleaved(candidates, 9, fresh, time.process_time)
        held.append(print_ratio(f"build {name}", medians["ours"], medians["theirs"], "keras.applications", 1.05))
    candidates = {
        "sketch": functools.partial(sketch, "resnet50"),
        "net": functools.partial(keras_resnet.build, "resnet50"),
    }
    medians = interleaved(candidates, 9, fresh, time.process_time)
    held.append(print_ratio("resnet50 without values", medians["sketch"], medians["net"], "with random ones", 0.3))
    # Other rows have other layers: the price of one of them.
    rows = (
        "resnet18",
        "resnet34",
        "resnet50_v1_5",
        "resnetv2_50",
        "resnet50d",
        "seresnet50",
        "resnetrs50",
        "resnext50_32x4d",
    )
    candidates = {name: functools.partial(keras_resnet.build, name) for name in rows}
    candidates["theirs"] = functools.partial(keras.applications.ResNet50, weights=None)
    layers = {name: len(candidate().layers) for name, candidate in candidates.items()}
    medians = interleaved(candidates, 5, fresh, time.process_time)
    for name in rows:
        theirs = medians["theirs"] / layers["theirs"]
        held.append(
            print_ratio(f"a layer of {name}", medians[name] / layers[name], theirs, "a layer of ResNet50", 1.05)
        )
    blocks = {f"resnet{6 * n + 2}_cifar": 3 * n for n in (3, 9, 18, 200)}
    medians = interleaved(
        {name: functools.partial(keras_resnet.build, name) for name in blocks}, 3, fresh, time.process_time
    )
    # The price of one more block: stem, head and the model itself cost the same at every depth.
    names = list(blocks)
    marginal = {
        f"{shorter} to {deeper}": (medians[deeper] - medians[shorter]) / (blocks[deeper] - blocks[shorter])
        for shorter, deeper in zip(names, names[1:], strict=False)
    }
    first, *others = marginal
    for name in others:
        held.append(print_ratio(f"a block, {name}", marginal[name], marginal[first], first, 1.2))
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
