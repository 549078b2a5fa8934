"""Packages that come with an extra: asked for before the work that needs them, with the line that installs them."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from keras_resnet.errors import InputError

DISTRIBUTION = "keras-resnet-toolkit"
EXTRAS = {  # by the name that is imported
    "ai_edge_litert": "export",
    "flatbuffers": "export",
    "litert_quantizer": "export",
    "onnx": "export",
    "onnxruntime": "export",
    "tf2onnx": "export",
    "tensorflow_model_optimization": "export",
    "huggingface_hub": "hub",
    "cv2": "video",
    "tensorboard": "tensorboard",
    "tensorflow_datasets": "datasets",
    "pyarrow": "parquet",
    "wandb": "wandb",
    "mlflow": "mlflow",
    "ray": "ray",
}
# Beginnings of weights and data sets.
_NAMED = {
    "hf://": "huggingface_hub",
    **dict.fromkeys(("tfds:", "tfds-masks:", "tfds-boxes:"), "tensorflow_datasets"),
}
_ENGINES = {".tflite": "ai_edge_litert", ".onnx": "onnxruntime"}  # endings of model files


def is_there(module: str) -> bool:
    """Whether a package can be imported; it is not.

    Args:
        module: its first name.
    """
    try:
        return importlib.util.find_spec(module) is not None
    except ValueError:  # it is imported, and names no origin
        return sys.modules.get(module) is not None


def line(module: str) -> str:
    """The command that installs a package of an extra."""
    return f"pip install '{DISTRIBUTION}[{EXTRAS[module]}]'"


def require(*modules: str, for_what: str = "this") -> None:
    """Asks for packages before any work is done.

    Args:
        *modules: keys of `EXTRAS`.
        for_what: what needs them, for the message.

    Raises:
        InputError: the first that is not installed, and the line that installs it.
    """
    missing = [module for module in dict.fromkeys(modules) if not is_there(module)]
    if missing:
        raise InputError(
            f"{for_what} needs {' and '.join(missing)}, which {'are' if missing[1:] else 'is'} not installed: "
            f"{line(missing[0])}"
        )


def require_for(*names: object) -> None:
    """Asks for what model files, weights and data sets need, by their names.

    Args:
        *names: paths and names such as `"m.tflite"`, `"hf://timm/resnet18.a1_in1k"`, `"tfds:imagenette"`; None and
            names that need nothing are fine.

    Raises:
        InputError: see `require`.
    """
    for name in map(str, filter(None, names)):
        found = [module for start, module in _NAMED.items() if name.startswith(start)]
        require(*found, *filter(None, [_ENGINES.get(Path(name).suffix)]), for_what=name)


def imported(module: str) -> ModuleType:
    """Imports a package, or says which extra brings it.

    Args:
        module: full name of the module, its first part a key of `EXTRAS`.

    Raises:
        InputError: the package is not installed, or not whole.
    """
    silence()
    try:
        return importlib.import_module(module)
    except ImportError as error:
        first = module.partition(".")[0]
        raise InputError(f"{first} is not installed: {line(first)}") from error


def silence() -> None:
    """Switches off what ONNX Runtime (1.32) reports to its makers: from its import on, in this process and children."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # `disable_telemetry_events` comes too late: the import writes already


def versions(names: Iterable[str]) -> dict[str, str | None]:
    """Versions of distributions by name; None where one is not here.

    Args:
        names: names of distributions. Ours is known from its sources: a clone that is not installed has no metadata.
    """
    from keras_resnet import __version__

    return {name: __version__ if name == DISTRIBUTION else _version(name) for name in names}


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:  # tensorflow-cpu and others have the module under another name
        module = sys.modules.get(name.replace("-", "_"))
        return getattr(module, "__version__", None)
