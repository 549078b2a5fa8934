"""LiteRT on another processor: runs in the environment `arm64`, see `keras_resnet/runtime/outside/__init__.py`."""

import platform
import sys

import numpy as np
from ai_edge_litert.interpreter import Interpreter


def main(model, images, answer):
    """Runs every image; writes the raw outputs."""
    interpreter = Interpreter(model_path=model, num_threads=1)
    interpreter.allocate_tensors()
    (entry,), outputs = interpreter.get_input_details(), interpreter.get_output_details()
    rows: list[list] = [[] for _ in outputs]
    for image in np.load(images, allow_pickle=False):
        interpreter.set_tensor(entry["index"], image[None])
        interpreter.invoke()
        for found, output in zip(rows, outputs, strict=True):
            found.append(interpreter.get_tensor(output["index"])[0])
    arrays = {f"output_{i}": np.stack(found) for i, found in enumerate(rows)}
    np.savez(answer, machine=np.array(platform.machine()), **arrays)


main(*sys.argv[1:])
