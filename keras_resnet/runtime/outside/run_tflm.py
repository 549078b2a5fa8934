"""TFLite Micro: runs in the environment `tflm`, see `keras_resnet/runtime/outside/__init__.py`."""

import os
import re
import sys
import tempfile
from pathlib import Path

import numpy as np
from tflite_micro.python.tflite_micro import runtime


def arena(interpreter):
    """Bytes by part: what TFLite Micro prints about its allocations."""
    sys.stdout.flush()
    with tempfile.TemporaryFile() as log:
        saved = {number: os.dup(number) for number in (1, 2)}
        for number in saved:
            os.dup2(log.fileno(), number)
        interpreter.print_allocations()
        for number, copy in saved.items():
            os.dup2(copy, number)
        log.seek(0)
        text = log.read().decode(errors="replace")
    return {
        f"arena_{part}": np.int64(size) for part, size in re.findall(r"allocation (total|head|tail) (\d+) bytes", text)
    }


def main(model, images, answer):
    """Runs every image; writes the raw outputs and the arena's size."""
    content = Path(model).read_bytes()
    interpreter = runtime.Interpreter.from_bytes(content)
    names = [f"output_{i}" for i in range(len(runtime.convert_bytearray_to_object(content).subgraphs[0].outputs))]
    rows: dict[str, list] = {name: [] for name in names}
    for image in np.load(images, allow_pickle=False):
        interpreter.set_input(image[None], 0)
        interpreter.invoke()
        for number, name in enumerate(names):
            rows[name].append(interpreter.get_output(number)[0].copy())
    parts = {name: np.stack(each) for name, each in rows.items()} | arena(interpreter)
    np.savez(answer, **parts)  # type: ignore[arg-type]


main(*sys.argv[1:])
