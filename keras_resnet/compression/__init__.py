"""Smaller nets: quantization-aware training, pruning and clustering of Keras 3 models, while they learn."""
