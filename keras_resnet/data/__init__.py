"""Data sources and what becomes of them: splits, truth, batches.

The names are imported on first use: sources and splits need no TensorFlow, batches do.
"""

from keras_resnet.lazy import attach

_HOMES = {
    "Dataset": "dataset",
    "SOURCES": "sources",
    "Source": "sources",
    "Split": "dataset",
    "batches": "pipeline",
    "joined": "dataset",
    "load_dataset": "sources",
    "prepare": "preparation",
    "sampled": "dataset",
    "training_batches": "pipeline",
}
__all__ = sorted(_HOMES)
__getattr__, __dir__ = attach(__name__, _HOMES)
