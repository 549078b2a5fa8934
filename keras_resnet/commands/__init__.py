"""The commands of `keras_resnet`: each parses, calls and prints."""
