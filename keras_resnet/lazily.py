"""TensorFlow on first use: whoever trains on JAX needs none, and imports every module all the same."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from keras_resnet.errors import InputError

__all__ = ["leave_gpus", "tf"]


class _Module:
    """A module that is imported when it is first asked for something."""

    def __init__(self, name: str, missing: str, prepare: Callable[[Any], None]):
        """Takes its name, what to say where it is not installed, and what is done with it first."""
        self.__dict__ |= {"_name": name, "_missing": missing, "_prepare": prepare, "_prepared": False}

    def __getattr__(self, name: str) -> Any:
        """An attribute of the module.

        Raises:
            AttributeError: it is one that Python asks everything for, as `inspect` does.
            InputError: the module is not installed.
        """
        if name.startswith("__") and name != "__version__":
            raise AttributeError(name)
        try:
            module = importlib.import_module(self._name)
        except ModuleNotFoundError as error:
            if error.name != self._name:
                raise
            raise InputError(self._missing) from error
        if not self._prepared:
            self.__dict__["_prepared"] = True
            self._prepare(module)
        return getattr(module, name)


def leave_gpus(tensorflow: Any) -> None:
    """Leaves the GPUs to JAX where Keras computes on it: TensorFlow would take nearly all of their memory.

    Args:
        tensorflow: the module.
    """
    keras = sys.modules.get("keras")
    if keras is not None and keras.backend.backend() == "jax":
        with contextlib.suppress(RuntimeError):  # it has begun already
            tensorflow.config.set_visible_devices([], "GPU")


_MISSING = "this needs TensorFlow, which is not installed: pip install 'tensorflow>=2.21,<2.22'"
if TYPE_CHECKING:
    import tensorflow as tf
else:
    tf = _Module("tensorflow", _MISSING, leave_gpus)
