"""Evaluates the nets of train_gpu.py in float32 with the package and writes their .safetensors.

python convert.py CIFAR_DIR NPZ_DIR OUT_DIR LOG [NET...]: nets trained on 45,000 images (held_out in LOG's RESULT lines)
are evaluated on the 5,000 validation images and kept in float32; the others on the 10,000 test images, in float32 and,
as they are written, in float16. Prints a RESULT line a net.
"""

import json
import sys
from pathlib import Path

import keras
import keras_resnet
from keras_resnet.engines import KerasRunner
from keras_resnet.evaluation import outputs, score
from keras_resnet.labels import CIFAR10

SETTINGS = "80 epochs, batch 128, one-cycle, 10 warm-up epochs, Nesterov 0.9, coupled decay, crop-flip, seed 0, bf16"
PREPROCESS = keras_resnet.Preprocess(mean=(125.307, 122.961, 113.8575), std=(51.5865, 50.847, 51.255))

cifar, folder, destination, log = map(Path, sys.argv[1:5])
dataset = keras_resnet.load_dataset("cifar10", cifar)
trainings = [json.loads(line[7:]) for line in log.read_text().splitlines() if line.startswith("RESULT ")]


def answers(net, file, card, split):
    model = keras_resnet.build(net, input_shape=(32, 32, 3), classes=10)
    keras_resnet.load_weights(model, file)
    return model, outputs(KerasRunner(model, card), split)


def figures(probabilities, split):
    return int((probabilities.argmax(1) == split.labels).sum()), score(probabilities, split.labels).loss


for training in trainings:
    net, held_out = training["net"], training["held_out"]
    if sys.argv[5:] and net not in sys.argv[5:]:
        continue
    split, dtype = (dataset.validation, "float32") if held_out else (dataset.test, "float16")
    recipe = "fast-resnet8" if net == "resnet8" else "fast"
    card = keras_resnet.ModelCard(labels=CIFAR10, preprocess=PREPROCESS, spec=net, dataset="cifar10", recipe=recipe)
    model, full = answers(net, folder / f"{net}.npz", card, split)
    path = destination / f"{net}-{'cifar10-45k' if held_out else 'cifar10'}.safetensors"
    environment = {"script": "train_gpu.py", "jax": "0.11.2", "keras": keras.__version__, "date": "2026-11-26"}
    metadata = {"training": json.dumps(training | {"settings": SETTINGS}), "environment": json.dumps(environment)}
    keras_resnet.save_weights(model, path, card=card, metadata=metadata, dtype=dtype, overwrite=True)
    assert keras_resnet.weights_card(path, net) == card
    result = {"net": net, "of": len(split.labels), "device": training["right"], "float32": figures(full, split)}
    if dtype == "float16":
        half = answers(net, path, card, split)[1]
        result |= {"float16": figures(half, split), "other answers": int((half.argmax(1) != full.argmax(1)).sum())}
    print("RESULT " + json.dumps(result | {"bytes": path.stat().st_size}), flush=True)
