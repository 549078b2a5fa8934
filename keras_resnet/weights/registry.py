"""The table of registered weight sets: which file, for which net, with which input convention."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from keras_resnet.card import ModelCard
from keras_resnet.errors import InputError, unknown_name
from keras_resnet.labels import CIFAR10, DIGITS
from keras_resnet.nets.interface import ResNetSpec
from keras_resnet.nets.segmentation import get_segmenter
from keras_resnet.nets.specs import get_spec
from keras_resnet.signals.conventions import PREPROCESS, Preprocess

FILES = Path(__file__).with_name("files")
_KERAS_URL = "https://storage.googleapis.com/tensorflow/keras-applications/resnet/"


@dataclass(frozen=True, kw_only=True)
class WeightSet:
    """One published set of weights.

    Attributes:
        spec: name of the variant that the weights fit.
        name: name that `weights=` is given.
        labels: class names, where the package holds them.
        preprocess: convention from RGB pixels 0..255 to the net's input.
        top1: accuracy, or another `figure` of the task, a fraction, on `dataset`'s test or validation images.
        crop: share of an image's central part that evaluation uses.
        resolution: height and width of those images in pixels, after the centre crop.
        dataset: name of the data that the net was trained on.
        held_out: whether its validation examples stayed out of the training (`ModelCard.held_out`).
        source: author, or the command that makes the weights again.
        license: licence of the weights.
        md5: hashes of the public `.h5` files, with and without head; empty for files in this package.
        recipe: name of the recipe that makes them.
        task: row of `tasks.TASKS`; of a segmentation `spec` is a row of `nets.segmentation.SEGMENTERS`.
        figure: what `top1` is.
        fit: how an image fills the input (`ModelCard.fit`).
        facts: facts of the task (`ModelCard.facts`).
    """

    spec: str
    name: str
    preprocess: Preprocess
    dataset: str
    source: str
    license: str
    top1: float
    resolution: int
    crop: float = 1.0
    labels: tuple[str, ...] = ()
    held_out: bool | None = None
    md5: Mapping[bool, str] = field(default_factory=dict)
    recipe: str | None = None
    task: str = "classification"
    figure: str = "top-1"
    fit: str = "crop"
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def url(self) -> str | None:
        """Address of the file with its head; None for files in this package."""
        return _KERAS_URL + self._file(include_top=True) if self.md5 else None

    def _file(self, include_top: bool) -> str:
        return f"{self.spec}_weights_tf_dim_ordering_tf_kernels{'' if include_top else '_notop'}.h5"

    @property
    def card(self) -> ModelCard:
        """Card of a model with these weights."""
        return ModelCard(
            task=self.task,
            facts=dict(self.facts),
            labels=self.labels,
            preprocess=self.preprocess,
            spec=get_segmenter(self.spec).backbone if self.task == "segmentation" else self.spec,
            dataset=self.dataset,
            recipe=self.recipe,
            crop=self.crop,
            fit=self.fit,
            held_out=self.held_out,
        )

    def to_json(self) -> dict[str, object]:
        """All facts as JSON types."""
        fields = {
            key: getattr(self, key)
            for key in (
                "spec",
                "name",
                "task",
                "dataset",
                "held_out",
                "figure",
                "top1",
                "resolution",
                "license",
                "source",
            )
        }
        md5 = {("top" if top else "notop"): digest for top, digest in self.md5.items()}
        return fields | {"url": self.url, "md5": md5, "preprocess": self.preprocess.to_json(), "labels": self.labels}

    def path(self, include_top: bool) -> Path:
        """Where the file is, or would be after a download: in the package or in Keras' cache."""
        if not self.md5:
            return FILES / f"{self.spec}-{self.name}.safetensors"
        cache = Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()
        return cache / "models" / self._file(include_top)

    def fetch(self, include_top: bool) -> Path:
        """Returns the file, downloaded into Keras' cache and checked against its hash if it is not in the package.

        Raises:
            InputError: the file cannot be had.
        """
        if not self.md5:
            return self.path(include_top)
        import keras

        file = self._file(include_top)
        try:
            return Path(
                keras.utils.get_file(file, _KERAS_URL + file, cache_subdir="models", file_hash=self.md5[include_top])
            )
        except Exception as error:  # get_file raises bare Exception for an unreachable host
            raise InputError(
                f"weights '{self.name}' of {self.spec} cannot be downloaded ({error}). Pass weights=None, or the path "
                f"of {file}; Keras' cache for it is ~/.keras/models"
            ) from error


def _keras_applications(
    spec: str, top1: float, top: str, notop: str, preprocess: str = "caffe", resolution: int = 224
) -> WeightSet:
    return WeightSet(
        spec=spec,
        name="imagenet",
        preprocess=PREPROCESS[preprocess],
        dataset="imagenet",
        top1=top1,
        resolution=resolution,
        crop=0.875,  # the usual 224 of 256 pixels
        held_out=False,  # trained on all of `train`, of which the validation images are a part
        md5={True: top, False: notop},
        source="keras.applications",
        license="MIT",
    )


def _own_cifar(spec: str, top1: float, recipe: str, settings: str = "") -> WeightSet:
    """Trained by this project on all 50,000 training images; the header of the file has settings, seed and commit."""
    return WeightSet(
        spec=spec,
        name="cifar10",
        labels=CIFAR10,
        preprocess=PREPROCESS["cifar10"],
        dataset="cifar10",
        recipe=recipe,
        top1=top1,
        held_out=False,
        resolution=32,
        source=f"keras-resnet train --recipe {recipe}{settings} --set hold_out=false; tools/ship_weights.py",
        license="Apache-2.0",
    )


def _gpu_cifar(spec: str, top1: float, gpu: str = "H100", script: str = "benchmarks/trained/train_gpu.py") -> WeightSet:
    """Trained by a script with the settings of `fast` on all 50,000 images, until the package's own training does it.

    Args:
        spec: name of the variant.
        top1: accuracy of the float16 file by `keras-resnet evaluate`.
        gpu: model of NVIDIA's device.
        script: program that trained it.
    """
    return replace(
        _own_cifar(spec, top1, "fast"),
        preprocess=PREPROCESS["pytorch-cifar"],
        source=f"{script}, Keras on JAX, bf16, one {gpu}, one run with seed 0, settings of --recipe fast --set "
        "hold_out=false; 80 epochs of all 50,000 images, batch 128, one-cycle to 0.2 with ten epochs of warm-up, "
        "Nesterov 0.9, coupled decay 5e-4, crop and flip; the package's own training replaces it later",
    )


_ROWS = [
    _keras_applications("resnet50", 0.74928, "2cb95161c43110f7111970584f804107", "4d473c1dd8becc155b73f8504c6f6626"),
    _keras_applications("resnet101", 0.76420, "f1aeb4b969a6efcfb50fad2f0c20cfc5", "88cf7a10940856eca736dc7b7e228a21"),
    _keras_applications("resnet152", 0.76604, "100835be76be38e30d865e96f2aaae62", "ee4c566cf9a93f14d82f913c2dc6dd0c"),
    # keras.applications states these at 299 pixels.
    _keras_applications(
        "resnet50v2", 0.75960, "3ef43a0b657b3be2300d5770ece849e0", "fac2f116257151a9d068a22e544a4917", "tf", 299
    ),
    _keras_applications(
        "resnet101v2", 0.77234, "6343647c601c52e1368623803854d971", "c0ed64b8031c3730f411d2eb4eea35b5", "tf", 299
    ),
    _keras_applications(
        "resnet152v2", 0.78032, "a49b44d1979771252814e80f8ec446f9", "ed17cf2e0169df9d443503ef94b23b33", "tf", 299
    ),
    WeightSet(
        spec="resnet8",
        name="digits",
        labels=DIGITS,
        preprocess=PREPROCESS["tf"],
        dataset="digits",
        recipe="digits-resnet8",
        top1=0.9861,
        held_out=True,
        resolution=32,
        source="keras-resnet train --recipe digits-resnet8; tools/ship_weights.py RUN digits",
        license="Apache-2.0",
    ),
    _own_cifar("resnet8", 0.8837, "fast-resnet8"),
    _own_cifar("resnet20_cifar", 0.9210, "fast"),
    _own_cifar("resnetv2_20_cifar", 0.9077, "fast", " --model resnetv2_20_cifar --epochs 30 --set warmup_epochs=5"),
    _gpu_cifar("resnet32_cifar", 0.9307),
    _gpu_cifar("resnet44_cifar", 0.9307),
    _gpu_cifar("resnet56_cifar", 0.9362, "H200", "shared/reference/gpu/train.py"),
    _gpu_cifar("resnet110_cifar", 0.9383),
    _gpu_cifar("resnetv2_164_cifar", 0.9441),
]
_OF_MASKS = [
    WeightSet(
        spec="unet_nuclei",
        name="nuclei",
        task="segmentation",
        labels=("background", "object"),
        facts={"names": ["background", "object"], "colours": [[0, 0, 0], [255, 255, 255]]},
        preprocess=PREPROCESS["tf"],
        dataset="nuclei",
        recipe="nuclei",
        figure="mean IoU",
        top1=0.9246,  # of the foreground 0.870, in tiles, over the 65 test images at their own size
        fit="own",
        held_out=True,
        resolution=256,
        source="keras-resnet train --recipe nuclei --data nuclei, interrupted at 59 of 80 epochs, and three more; "
        "the 59 on one H200 (Keras on JAX, bf16), then on two cores (TensorFlow, float32): keras-resnet train --recipe "
        "nuclei --data nuclei --weights RUN --epochs 3 --learning-rate 2.5e-4 --set warmup_epochs=0.2 "
        "--set clip_norm=5 --set dropout=0; tools/ship_weights.py RUN nuclei --float16 --net=unet_nuclei",
        license="Apache-2.0 (data CC0 1.0)",
    ),
]
WEIGHT_SETS: dict[tuple[str, str], WeightSet] = {(row.spec, row.name): row for row in _ROWS}
SEGMENTER_WEIGHTS: dict[tuple[str, str], WeightSet] = {(row.spec, row.name): row for row in _OF_MASKS}


def registered(net: str, weights: str | os.PathLike) -> Path | None:
    """The file of a segmentation net's registered weights; None where there are none of that name.

    Args:
        net: row of `nets.segmentation.SEGMENTERS`.
        weights: name, or anything else.
    """
    row = SEGMENTER_WEIGHTS.get((net, str(weights)))
    return row.path(True) if row else None


def list_weights(model: str | None = None, task: str = "classification") -> list[WeightSet]:
    """The registered weight sets.

    Args:
        model: only those of this variant.
        task: row of `tasks.TASKS` that they are for: `"classification"` or `"segmentation"`.

    Returns:
        Rows with name, url, hashes, input convention, resolution, accuracy, licence and source.

    Raises:
        InputError: no variant has that name, or no weights are registered for that task.

    Example:
        >>> import keras_resnet
        >>> [row.name for row in keras_resnet.list_weights("resnet50")]
        ['imagenet']
    """
    rows = [row for row in (*WEIGHT_SETS.values(), *SEGMENTER_WEIGHTS.values()) if row.task == task]
    if not rows:
        known = dict.fromkeys(row.task for row in (*WEIGHT_SETS.values(), *SEGMENTER_WEIGHTS.values()))
        raise unknown_name("task with registered weights", task, known)
    if model is None:
        return rows
    name = get_segmenter(model).name if task == "segmentation" else get_spec(model).name
    return [row for row in rows if row.spec == name]


def card_by_hash(path: Path, spec: ResNetSpec) -> ModelCard | None:
    """The card of a registered public file, recognised by its hash wherever it lies."""
    rows = [row for row in WEIGHT_SETS.values() if row.spec == spec.name and row.md5]
    if path.suffix != ".h5" or not rows:
        return None
    with path.open("rb") as file:
        md5 = hashlib.file_digest(file, "md5").hexdigest()
    return next((row.card for row in rows if md5 in row.md5.values()), None)


def find(spec: str, name: str) -> WeightSet:
    """Returns the row of that name for that variant.

    Raises:
        InputError: the variant has no such weights.
    """
    if (spec, name) in WEIGHT_SETS:
        return WEIGHT_SETS[spec, name]
    known = [weights for variant, weights in WEIGHT_SETS if variant == spec]
    if not known:
        raise InputError(
            f"weights '{name}': no weight set is registered for {spec} and no such file exists; pass weights=None "
            "or the path of a weight file"
        )
    raise unknown_name(f"weights for {spec}", name, known, "(or pass the path of a weight file)")
