"""The steps from a Keras model to verified files."""
