"""`python -m export.tflite`: one TFLite file."""

import sys

from export.program import alone

if __name__ == "__main__":
    sys.exit(alone("export tflite"))
