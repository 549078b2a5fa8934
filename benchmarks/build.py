#!/usr/bin/env python3
"""Time to build a net: beside keras.applications, and per block from CIFAR-20 to CIFAR-1202.

Run it: python benchmarks/build.py        (about three minutes)
"""

import functools
import gc
import sys

from _measure import interleaved, print_ratio

from keras_resnet import console

console.import_tensorflow()

import keras  # noqa: E402

import keras_resnet  # noqa: E402


def fresh(build):
    """Calls `build` from a clean Keras session, so that earlier models cost nothing."""
    keras.backend.clear_session()
    gc.collect()
    build()


def main() -> int:
    """Prints the ratios; returns 0 if all are within their limits."""
    held = []
    for name in ("ResNet50", "ResNet101", "ResNet152"):
        ours, theirs = getattr(keras_resnet, name), getattr(keras.applications, name)
        medians = interleaved(
            {
                "ours": functools.partial(fresh, functools.partial(ours, weights=None)),
                "theirs": functools.partial(fresh, functools.partial(theirs, weights=None)),
            },
            7,
        )
        held.append(print_ratio(f"build {name}", medians["ours"], medians["theirs"], "keras.applications", 1.05))
    blocks = {f"resnet{6 * n + 2}_cifar": 3 * n for n in (3, 9, 18, 200)}
    medians = interleaved(
        {name: functools.partial(fresh, functools.partial(keras_resnet.build, name)) for name in blocks}, 3
    )
    per_block = {name: seconds / blocks[name] for name, seconds in medians.items()}
    for name, seconds in per_block.items():
        held.append(print_ratio(f"{name}, per block", seconds, per_block["resnet20_cifar"], "resnet20_cifar", 1.2))
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
