"""Whether a file computes what its Keras model computes."""
