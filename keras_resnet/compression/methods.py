"""The table of compressions: what is done to a net before and while it is trained."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_resnet.compression import channels, clustering, pruning
from keras_resnet.compression.rewriting import check, compressed
from keras_resnet.compression.settings import Settings
from keras_resnet.errors import InputError
from keras_resnet.nets.compressed import Clusters, Mask, RoundedKernel, WithKernel, kernels
from keras_resnet.training.nets import Nets, copy_weights

PRUNING = 0.3  # of the steps; the others heal the net
_MOVING = 0.6  # of the epochs, before batch normalisation is frozen


def copy_exact(source: keras.Model, target: keras.Model) -> None:
    """Gives a plain net the weights that a compressed one computes with.

    Args:
        source: result of `rewriting.compressed`.
        target: plain model with the same names.
    """
    values = {weight.path: keras.ops.convert_to_numpy(weight) for weight in source.weights}
    for layer in source.layers:
        if isinstance(layer, WithKernel):
            values[layer.kernel.path] = keras.ops.convert_to_numpy(layer.exact_kernel())
    for weight in target.weights:
        weight.assign(values[weight.path])


def refuse(model: keras.Model, settings: Settings) -> None:
    """Refuses what cannot be compressed, before anything is trained.

    Args:
        model: plain model, with its weights.
        settings: settings of the compression.

    Raises:
        InputError: layers that have no such form, named; or nothing to preserve.
    """
    check(model, quantized=settings.method == "qat" and settings.weight_bits == 8)
    if settings.channels:
        if not channels.spans(model):
            raise InputError(
                f"{model.name} has no channels that can go alone: every convolution is added to a shortcut"
            )
        sizes = {span: np.ones(model.get_layer(span.first).filters) for span in channels.spans(model)}
        channels.choose(model, settings.channels, sizes)
    if settings.preserve == "sparsity" and pruning.sparsity_of(model) < 0.05:
        raise InputError(f"{model.name} has no zeros to preserve: prune it first")
    if settings.preserve == "clusters" and not any(map(_few, kernels(model).values())):
        raise InputError(f"{model.name} has no clusters to preserve: cluster it first")


def _few(kernel: np.ndarray) -> int:
    """Number of values of a clustered kernel; 0 for one that is not."""
    count = len(np.unique(kernel))
    return count if count <= 256 and count < kernel.size // 2 else 0


def forms(model: keras.Model, twin: keras.Model, settings: Settings) -> Nets:
    """Rewrites a net and its twin.

    Args:
        model: plain model, with its weights and the training's regularisation.
        twin: the same net in float32, without regularisation.
        settings: settings of the compression.
    """
    return _FORMS[settings.method](model, twin, settings)


def _preserving(layer: keras.layers.Layer, settings: Settings) -> list[keras.layers.Layer]:
    if settings.preserve == "clusters":
        count = _few(keras.ops.convert_to_numpy(layer.kernel))
        return [Clusters(count, name="clusters")] if count else []
    return [Mask(name="mask")] if settings.preserve == "sparsity" else []


def _quantized(model: keras.Model, twin: keras.Model, settings: Settings) -> Nets:
    bits = settings.weight_bits
    # Of fewer bits only the weights: such a file computes in float, and takes a scale per channel everywhere.
    activations = 8 if bits == 8 else 0

    def transforms(layer):
        per_channel = len(layer.kernel.shape) > 2 or not activations
        return [*_preserving(layer, settings), RoundedKernel(bits, per_channel, name="rounded")]

    made = compressed(model, transforms, bits=activations)
    _hold_zeros(made)
    clustering.begin(made)
    if not activations:
        return Nets(made, twin, copy_exact)
    return Nets(made, compressed(twin, transforms, bits=activations))


def _hold_zeros(model: keras.Model) -> None:
    for layer, transform in pruning.masked(model):
        transform.mask.assign(keras.ops.cast(layer.kernel != 0, "float32"))


def _pruned(model: keras.Model, twin: keras.Model, settings: Settings) -> Nets:
    return Nets(compressed(model, lambda layer: [Mask(name="mask")]), twin, copy_exact)


def _clustered(model: keras.Model, twin: keras.Model, settings: Settings) -> Nets:
    """Clusters the kernels that the net has, not those with a norm folded in.

    A converter then makes as many values for every output channel as there were in all, and packed files are larger
    (ResNet-8 in 16 clusters: 0.28 of the plain one in place of 0.20). But kernels whose strength is one of 16 numbers
    cannot be normalised: folded, ResNet-8 lost 1.7 points with norms that moved (commit e5d2a22) and 0.9 with norms
    frozen in the end (5bca2df), so 0.1.
    """

    def transforms(layer):
        held = [Mask(name="mask")] if settings.preserve == "sparsity" else []
        return [Clusters(settings.clusters, name="clusters"), *held]

    made = compressed(model, transforms)
    clustering.begin(made)
    _hold_zeros(made)
    return Nets(made, twin, copy_exact)


def narrower(
    model: keras.Model,
    twin: keras.Model,
    settings: Settings,
    images: np.ndarray,
    targets: np.ndarray,
    loss: Callable[[Any, Any], Any],
    judged: Callable[[keras.Model], keras.Model] = lambda model: model,
) -> Nets:
    """Removes the channels that matter least from a net and its twin.

    Args:
        model: plain model, with its weights and the training's regularisation.
        twin: the same net in float32, without regularisation.
        settings: settings with `channels`.
        images: preprocessed training images `(n, H, W, C)`, some thousand, to choose by.
        targets: targets of the images, one row per image.
        loss: the task's, as `channels.importance` takes it.
        judged: from a net to the one whose output the loss takes, with the same layers.
    """
    sizes = channels.importance(judged(twin), images, targets, loss)
    kept = channels.choose(twin, settings.channels, sizes)
    nets = Nets(channels.narrowed(model, kept), channels.narrowed(twin, kept))
    channels.reconstruct(nets.twin, twin, images, kept)
    copy_weights(nets.twin, nets.model)
    return nets


_FORMS = {"qat": _quantized, "prune": _pruned, "cluster": _clustered}


def callbacks(
    model: keras.Model, settings: Settings, *, epochs: int, epoch_steps: int, done: int
) -> list[keras.callbacks.Callback]:
    """Callbacks of a compression.

    Args:
        model: model of `forms` that is trained.
        settings: settings of the compression.
        epochs: number of epochs of the run.
        epoch_steps: number of steps in an epoch.
        done: number of steps that a resumed run has behind it.
    """
    if settings.sparsity is not None:
        steps = round(PRUNING * epochs * epoch_steps)
        return [pruning.Schedule(model, settings.sparsity, steps, epoch_steps=epoch_steps, done=done)]
    return [] if settings.norms_move else [FreezeNorms(round(_MOVING * epochs), done // epoch_steps)]


class FreezeNorms(keras.callbacks.Callback):
    """Batch normalisation normalises by its moving statistics, and leaves them alone, from some epoch on.

    There it computes what the engine will compute (arXiv:1806.08342, section 3.2). Scale and offset still learn: the
    optimizer's lists of variables stay as they are.
    """

    def __init__(self, epoch: int, first_epoch: int = 0):
        """Takes the epoch, from 0, and that of the run's beginning."""
        super().__init__()
        self.epoch, self.first_epoch, self.frozen = epoch, first_epoch, False

    def on_train_begin(self, logs: dict | None = None) -> None:
        """A run that goes on later starts so."""
        if self.first_epoch >= self.epoch:
            self._freeze()

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Freezes, and has the step traced again."""
        if epoch >= self.epoch and not self.frozen:
            self._freeze()
            self.model.make_train_function(force=True)

    def _freeze(self) -> None:
        self.frozen = True
        for layer in self.model.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.call = functools.partial(_as_outside_of_training, layer.call)


def _as_outside_of_training(call, inputs, training=None, mask=None):
    return call(inputs, training=False, mask=mask)
