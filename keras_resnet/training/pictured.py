"""TensorBoard's pictures: the same few validation examples after every epoch, with their truth and the answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np

from keras_resnet.card import ModelCard
from keras_resnet.data import Dataset
from keras_resnet.data.dataset import EncodedSplit
from keras_resnet.lazily import tf
from keras_resnet.tasks import get_task
from keras_resnet.training.nets import Nets

_SHOWN = 4


def places(count: int) -> list[int]:
    """Positions of the examples that are shown, evenly apart.

    Args:
        count: number of validation examples.

    Example:
        >>> places(101), places(2)
        ([12, 37, 63, 88], [0, 1])
    """
    few = min(_SHOWN, count)
    return [(2 * number + 1) * count // (2 * few) for number in range(few)]


class Pictures(keras.callbacks.Callback):
    """Writes the pictures beside TensorBoard's curves of the validation."""

    def __init__(self, nets: Nets, dataset: Dataset, card: ModelCard, folder: Path):
        """Takes what is shown.

        Args:
            nets: nets of the run.
            dataset: data of the run; its first validation examples are seen when the training begins.
            card: card of the model.
            folder: TensorBoard's folder.
        """
        super().__init__()
        self._nets, self._card, self._folder = nets, card, folder
        self._split = dataset.validation
        if isinstance(self._split, EncodedSplit):  # at the size of the net that is saved, where that is another one
            self._split = replace(self._split, shape=dataset.shape, keep=card.keep)

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Reads the examples and opens the file."""
        found = dict(self._split.fetch(np.array(places(len(self._split)))))
        self._pixels = np.asarray(found.pop(self._split.key))
        self._truth = {kind: np.asarray(values) for kind, values in found.items()}
        self._writer = tf.summary.create_file_writer(str(self._folder / "validation"))

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Answers with the weights of this moment; the twin has those of the epoch that is kept, and gets them back."""
        twin = self._nets.twin
        kept = twin.get_weights()
        self._nets.copy(self._nets.model, twin)
        outputs = twin(keras.ops.convert_to_tensor(np.asarray(self._card.preprocess(self._pixels))), training=False)
        twin.set_weights(kept)
        found = outputs if isinstance(outputs, dict) else {"logits": outputs}
        arrays = {name: keras.ops.convert_to_numpy(values) for name, values in found.items()}
        pictures = get_task(self._card.task).capable.compared(self._pixels, arrays, self._truth, self._card)
        with self._writer.as_default(step=epoch):
            for number, picture in enumerate(pictures):
                tf.summary.image(f"image, truth, answer/{number + 1}", picture[None])
        self._writer.flush()

    def on_train_end(self, logs: dict | None = None) -> None:
        """Closes the file."""
        self._writer.close()


def callbacks(nets: Nets, dataset: Dataset, card: ModelCard, folder: Path) -> list[keras.callbacks.Callback]:
    """The callback where the task can draw its answers, and examples stay out of the training; else none.

    Args:
        nets: nets of the run.
        dataset: data of the run.
        card: card of the model.
        folder: TensorBoard's folder.
    """
    if not hasattr(get_task(card.task).code, "compared") or not len(dataset.validation):
        return []
    return [Pictures(nets, dataset, card, folder)]
