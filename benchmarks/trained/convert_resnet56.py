"""Writes the .safetensors of a ResNet-56 that was trained by shared/reference/gpu/train.py; evaluates nothing.

python convert_resnet56.py NPZ OUT_DIR: layout and header are those of convert.py. What is stated of the training is what
shared/data/cifar-nets/README.md and shared/reference/gpu/README.md say; they name no compilation time.
"""

import json
import sys
from pathlib import Path

import keras_resnet
from keras_resnet.labels import CIFAR10

NET = "resnet56_cifar"
SETTINGS = "80 epochs, batch 128, one-cycle, 10 warm-up epochs, Nesterov 0.9, coupled decay, crop-flip, seed 0, bf16"
PREPROCESS = keras_resnet.Preprocess(mean=(125.307, 122.961, 113.8575), std=(51.5865, 50.847, 51.255))
TRAINING = {
    "net": NET, "peak": 0.2, "decay": 0.0005, "images": 50_000, "right": 9367, "of": 10_000, "held_out": False,
    "train_s": 156, "all_s": 192, "device": "NVIDIA H200", "settings": SETTINGS,
}  # fmt: skip
ENVIRONMENT = {"script": "shared/reference/gpu/train.py", "jax": "0.11.2", "keras": "3.15.1", "date": "2026-11-26"}

source, folder = map(Path, sys.argv[1:3])
card = keras_resnet.ModelCard(
    labels=CIFAR10, preprocess=PREPROCESS, spec=NET, dataset="cifar10", recipe="fast", held_out=False
)
model = keras_resnet.build(NET, input_shape=(32, 32, 3), classes=10)
report = keras_resnet.load_weights(model, source)
path = folder / f"{NET}-cifar10.safetensors"
metadata = {"training": json.dumps(TRAINING), "environment": json.dumps(ENVIRONMENT)}
keras_resnet.save_weights(model, path, card=card, metadata=metadata, dtype="float16", overwrite=True)
print(f"{path}: {path.stat().st_size:,} bytes; {report}")
