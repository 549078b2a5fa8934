#!/usr/bin/env python3
"""Time to the first answer: `--help`, `import keras_resnet` with all that it needs, TensorFlow as commands import it.

Run it: python benchmarks/startup.py
"""

import functools
import os
import subprocess
import sys

from _measure import interleaved, print_ratio

HELP_LIMIT = 0.3  # seconds
COMMANDS = [
    *(("-m", "keras_resnet", *sub, "--help") for sub in ((), ("train",), ("evaluate",), ("predict",), ("models",))),
    *(("-m", module, "--help") for module in ("export", "export.tflite", "export.onnx", "export.verify")),
]


def python(*arguments: str) -> None:
    """Runs a fresh interpreter."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True, env=environment)


def main() -> int:
    """Prints the times and ratios; returns 0 if all are within their limits."""
    held = []
    medians = interleaved({" ".join(c[1:]): functools.partial(python, *c) for c in COMMANDS}, 5)
    for name, seconds in medians.items():
        held.append(print_ratio(name, seconds, HELP_LIMIT, "allowed", 1.0))
    medians = interleaved(
        {
            "keras": functools.partial(python, "-c", "import keras"),
            "bare": functools.partial(python, "-c", "import keras_resnet"),
            "command": functools.partial(python, "-c", "from keras_resnet.console import import_tensorflow as f; f()"),
            "full": functools.partial(python, "-c", "import keras_resnet; keras_resnet.build"),
        },
        7,
    )
    held.append(print_ratio("import keras_resnet", medians["bare"], medians["keras"], "import keras", 1.05))
    held.append(print_ratio("... and its builder", medians["full"], medians["keras"], "import keras", 1.05))
    held.append(print_ratio("a command's TensorFlow", medians["command"], medians["keras"], "import keras", 0.9))
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
