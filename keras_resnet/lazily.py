"""TensorFlow on first use: whoever trains on JAX needs none, and imports every module all the same."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from keras_resnet.errors import InputError

__all__ = ["tf"]


class _Module:
    """A module that is imported when it is first asked for something."""

    def __init__(self, name: str, missing: str):
        """Takes its name, and what to say where it is not installed."""
        self.__dict__ |= {"_name": name, "_missing": missing}

    def __getattr__(self, name: str) -> Any:
        """An attribute of the module.

        Raises:
            InputError: the module is not installed.
        """
        try:
            module = importlib.import_module(self._name)
        except ModuleNotFoundError as error:
            if error.name != self._name:
                raise
            raise InputError(self._missing) from error
        return getattr(module, name)


if TYPE_CHECKING:
    import tensorflow as tf
else:
    tf = _Module("tensorflow", "this needs TensorFlow, which is not installed: pip install 'tensorflow>=2.21,<2.22'")
