"""What runs model files: an interface, a file per kind of runtime, and how files are opened."""

from keras_resnet.lazy import attach

_HOMES = {
    "CARD_FOLDER": "saved_model",
    "KerasRunner": "keras",
    "OnnxRunner": "onnx",
    "Runner": "interface",
    "SavedModelRunner": "saved_model",
    "TFLiteRunner": "tflite",
    "Tensor": "interface",
    "dequantize": "tflite",
    "open_named": "opening",
    "open_runner": "opening",
    "quantize": "tflite",
    "unusable": "interface",
}
__all__ = sorted(_HOMES)
__getattr__, __dir__ = attach(__name__, _HOMES)
