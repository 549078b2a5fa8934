"""What a model takes on a microcontroller: flash, and the arena of TFLite Micro.

`of_file` reads a `.tflite` file, `of_model` foretells it from a Keras model before anything is converted. The part of
the arena that holds activations is planned as TFLite Micro's greedy planner does it (large tensors first, each at the
lowest place that is free while it lives) and is exact; what lies behind it (structures of the interpreter, tables of
the kernels) is estimated for 64-bit pointers, and takes less on a 32-bit processor.
"""

from export.memory.boards import fitting, largest
from export.memory.files import of_file, write_plan
from export.memory.nets import of_model
from export.memory.plan import Buffer, best_plan, plan
from export.memory.size import MOST_FLASH, MOST_RAM, Fit

__all__ = [
    "MOST_FLASH",
    "MOST_RAM",
    "Buffer",
    "Fit",
    "best_plan",
    "fitting",
    "largest",
    "of_file",
    "of_model",
    "plan",
    "write_plan",
]
