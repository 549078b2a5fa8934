#!/usr/bin/env python3
"""Puts the weights of a run into the package: tools/ship_weights.py RUN_DIR NAME [--float16] [--net=NET].

Writes keras_resnet/weights/files/SPEC-NAME.safetensors with the model's card, the recipe and the environment of the
run in its header; NET is the row of a segmentation net. With --float16 the numbers take half the space; check that the
accuracy stays. The row in `keras_resnet/weights/registry.py` is written by hand.
"""

import json
import sys
from pathlib import Path

from keras_resnet import console


def main(run_dir: Path, name: str, dtype: str, net: str | None) -> int:
    """Converts one run."""
    console.import_tensorflow()
    from keras_resnet import load_model, save_weights
    from keras_resnet.weights.registry import FILES

    model, card = load_model(run_dir / "model.keras")
    origin = {key: json.loads((run_dir / f"{key}.json").read_text()) for key in ("recipe", "environment")}
    path = FILES / f"{net or card.spec}-{name}.safetensors"
    save_weights(
        model, path, card=card, metadata={key: json.dumps(value) for key, value in origin.items()}, dtype=dtype
    )
    print(f"{path}: {path.stat().st_size:,} bytes")
    return console.OK


if __name__ == "__main__":
    arguments = [argument for argument in sys.argv[1:] if not argument.startswith("--")]
    net = next((each.partition("=")[2] for each in sys.argv[1:] if each.startswith("--net=")), None)
    if len(arguments) != 2:
        raise SystemExit(__doc__)
    number_type = "float16" if "--float16" in sys.argv else "float32"
    raise SystemExit(console.run(lambda: main(Path(arguments[0]), arguments[1], number_type, net)))
