"""Public names, each with its home; `__init__.py` imports them on first use."""

from .interface import Runner as Runner
from .interface import Tensor as Tensor
from .interface import unusable as unusable
from .keras import KerasRunner as KerasRunner
from .onnx import OnnxRunner as OnnxRunner
from .opening import open_named as open_named
from .opening import open_runner as open_runner
from .saved_model import CARD_FOLDER as CARD_FOLDER
from .saved_model import SavedModelRunner as SavedModelRunner
from .tflite import TFLiteRunner as TFLiteRunner
from .tflite import dequantize as dequantize
from .tflite import quantize as quantize
