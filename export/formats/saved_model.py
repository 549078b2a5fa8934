"""TensorFlow's SavedModel, a folder: `convert`, `describe`, and `keras-resnet export saved_model`."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path

import numpy as np

from export.formats.artifacts import Artifact
from export.formats.table import Contents
from keras_resnet.card import MEMBER, ModelCard
from keras_resnet.runtime.saved_model import CARD_FOLDER


def convert(model, artifact: Artifact, samples: np.ndarray | None, path: Path) -> None:
    """Writes a SavedModel with an open batch and one signature, `serving_default`.

    Args:
        model: result of `graph.prepare`.
        artifact: float32.
        samples: not used.
        path: folder to write.
    """
    import tensorflow as tf

    entry = tf.TensorSpec((None, *model.input_shape[1:]), tf.float32, name=model.inputs[0].name)
    # Not Keras' ExportArchive, which numbers the variables in the order of a set.
    module = tf.Module()
    module.network = [variable.value for variable in model.variables]
    module.serving_default = tf.function(lambda x: dict(model(x, training=False)), input_signature=[entry])
    signature = module.serving_default.get_concrete_function()
    tf.saved_model.save(module, str(path), signatures={"serving_default": signature})
    _drop_random_name(path / "fingerprint.pb")


def _drop_random_name(path: Path) -> None:
    """Takes the one random field out of TensorFlow's hashes of a SavedModel."""
    from tensorflow.core.protobuf.fingerprint_pb2 import FingerprintDef

    fingerprint = FingerprintDef.FromString(path.read_bytes())
    fingerprint.ClearField("uuid")
    path.write_bytes(fingerprint.SerializeToString(deterministic=True))


def add_card(path: Path, card: ModelCard) -> None:
    """Puts the card among the assets that TensorFlow leaves alone."""
    target = path / CARD_FOLDER / MEMBER
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(json.loads(card.dumps())), encoding="utf-8")


def fingerprint(path: Path) -> str:
    """SHA-256 of the network: of all files but the card."""
    sha = hashlib.sha256()
    for file in sorted(path.rglob("*")):
        if file.is_file() and file.name not in (MEMBER, "fingerprint.pb"):
            sha.update(str(file.relative_to(path)).encode())
            sha.update(file.read_bytes())
    return sha.hexdigest()


def describe(path: Path) -> Contents:
    """Counts the operators of the signature as it is served."""
    import tensorflow as tf

    function = tf.saved_model.load(str(path)).signatures["serving_default"]
    graph = function.graph.as_graph_def()
    nodes = [*graph.node, *(node for called in graph.library.function for node in called.node_def)]
    ignored = {"Placeholder", "Const", "NoOp", "Identity", "ReadVariableOp", "StatefulPartitionedCall"}
    return Contents(Counter(node.op for node in nodes if node.op not in ignored), "float32")
