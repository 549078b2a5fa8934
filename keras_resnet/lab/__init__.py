"""The papers' experiments, each by one command, at a size that the machine can bear or at full size."""

from keras_resnet.lazy import attach

_HOMES = {"EXPERIMENTS": "experiments", "Experiment": "experiments", "Setup": "setup", "run": "experiments"}
__all__ = sorted(_HOMES)
__getattr__, __dir__ = attach(__name__, _HOMES)
