"""What is exported: the Keras model with its data, and the network that a file holds."""
