#!/usr/bin/env python3
"""Puts the weights of a run into the package: tools/ship_weights.py RUN_DIR NAME.

Writes keras_resnet/weights/files/SPEC-NAME.safetensors with the model's card, the recipe and the environment of the
run in its header. The row in `keras_resnet/weights/registry.py` is written by hand.
"""

import json
import sys
from pathlib import Path

from keras_resnet import console


def main(run_dir: Path, name: str) -> int:
    """Converts one run."""
    console.import_tensorflow()
    from keras_resnet import load_model, save_weights
    from keras_resnet.weights.registry import FILES

    model, card = load_model(run_dir / "model.keras")
    origin = {key: json.loads((run_dir / f"{key}.json").read_text()) for key in ("recipe", "environment")}
    path = FILES / f"{card.spec}-{name}.safetensors"
    save_weights(model, path, card=card, metadata={key: json.dumps(value) for key, value in origin.items()})
    print(f"{path}: {path.stat().st_size:,} bytes")
    return console.OK


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    raise SystemExit(console.run(lambda: main(Path(sys.argv[1]), sys.argv[2])))
