"""`python -m export.onnx`: one ONNX file."""

import sys

from export.program import alone

if __name__ == "__main__":
    sys.exit(alone("export onnx"))
