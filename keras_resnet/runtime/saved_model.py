"""SavedModel folders on TensorFlow."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from keras_resnet import card as card_lib
from keras_resnet import untrusted
from keras_resnet.card import UNKNOWN, ModelCard
from keras_resnet.runtime.interface import Runner, Tensor, at_once, chunks, ordered, unusable

CARD_FOLDER = "assets.extra"  # of a SavedModel: TensorFlow leaves it alone


class SavedModelRunner(Runner):
    """A SavedModel folder with a signature `serving_default`."""

    _BATCH = 64

    def __init__(self, path: Path, threads: int | None = None, engine: str | None = None):
        """Opens a folder; raises InputError where TensorFlow refuses it."""
        del threads, engine  # TensorFlow's threads are a setting of the process
        import tensorflow as tf

        text = path / CARD_FOLDER / card_lib.MEMBER
        self.card = ModelCard.loads(untrusted.content(text), path) if text.exists() else UNKNOWN
        try:
            self._model = tf.saved_model.load(str(path))
            self._function = self._model.signatures["serving_default"]
            (tensor,) = self._function.structured_input_signature[1].values()
        except Exception as error:  # a foreign folder fails in any way at all inside TensorFlow
            raise unusable(path, "SavedModel", error) from error
        self.input = Tensor(tensor.name, tuple(tensor.shape), tensor.dtype.name)
        outputs = self._function.structured_outputs.items()
        self.outputs = ordered(Tensor(name, tuple(t.shape), t.dtype.name) for name, t in outputs)

    def run(self, examples: np.ndarray) -> dict[str, np.ndarray]:
        """Runs the network; see `Runner`."""
        import tensorflow as tf

        batches = chunks(examples, at_once(examples, self._BATCH))
        parts = [self._function(**{self.input.name: tf.constant(part)}) for part in batches]
        joined = {t.name: np.concatenate([part[t.name].numpy() for part in parts]) for t in self.outputs}
        return {name: values.astype(np.float32, copy=False) for name, values in joined.items()}
