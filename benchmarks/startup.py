#!/usr/bin/env python3
"""Time to the first answer: `--help`, `import keras_resnet` with all that it needs, TensorFlow as commands import it.

Run it: python benchmarks/startup.py
"""

import functools
import os
import subprocess
import sys

from _measure import Figures, interleaved, parser, run

HELP_LIMIT = 0.3  # seconds
COMMANDS = [
    *(("-m", "keras_resnet", *sub, "--help") for sub in ((), ("train",), ("evaluate",), ("predict",), ("models",))),
    *(("-m", module, "--help") for module in ("export", "export.tflite", "export.onnx", "export.verify")),
]
IMPORTS = {
    "keras": "import keras",
    "bare": "import keras_resnet",
    "command": "from keras_resnet.console import import_tensorflow as f; f()",
    "full": "import keras_resnet; keras_resnet.build",
}


def python(*arguments: str) -> None:
    """Runs a fresh interpreter."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True, env=environment)


def main() -> int:
    """Measures."""
    args = parser(__doc__).parse_args()
    figures = Figures("startup", args)
    commands = COMMANDS[:1] if args.smallest else COMMANDS
    medians = interleaved({" ".join(c[1:]): functools.partial(python, *c) for c in commands}, 1 if args.smallest else 5)
    for name, seconds in medians.items():
        figures.limit(name, seconds, HELP_LIMIT, "s")
    candidates = {name: functools.partial(python, "-c", code) for name, code in IMPORTS.items()}
    medians = interleaved(candidates, 1 if args.smallest else 7)
    figures.ratio("import keras_resnet", medians["bare"], medians["keras"], "import keras", 1.05)
    figures.ratio("... and its builder", medians["full"], medians["keras"], "import keras", 1.05)
    figures.ratio("a command's TensorFlow", medians["command"], medians["keras"], "import keras", 0.9)
    return figures.finish()


if __name__ == "__main__":
    run(main)
