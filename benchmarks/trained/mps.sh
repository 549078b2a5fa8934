#!/bin/bash
# Starts NVIDIA's multi-process service and prints mps if a program can use the GPU through it, else none.
export CUDA_MPS_PIPE_DIRECTORY=/tmp/mps CUDA_MPS_LOG_DIRECTORY=/tmp/mps
mkdir -p /tmp/mps
PATH=$PATH:/usr/local/nvidia/bin
command -v nvidia-cuda-mps-control >&2 && setsid nvidia-cuda-mps-control -d >&2 </dev/null
timeout 20 python3 >&2 - <<'PY' && echo get_server_list | timeout 5 nvidia-cuda-mps-control | grep -q '[0-9]' && echo mps || echo none
import ctypes
cuda, context, free, total = ctypes.CDLL("libcuda.so.1"), ctypes.c_void_p(), ctypes.c_size_t(), ctypes.c_size_t()
steps = (cuda.cuInit(0), cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0), cuda.cuCtxSetCurrent(context))
print("CUDA through MPS:", steps, cuda.cuMemGetInfo_v2(ctypes.byref(free), ctypes.byref(total)), free.value, total.value)
raise SystemExit(any(steps))
PY
