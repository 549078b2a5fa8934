#!/bin/bash
# start.sh JOBS AT_A_TIME [mps]: trains the nets of JOBS (NET PEAK_RATE WEIGHT_DECAY [HELD_OUT]) side by side in the
# background; each leaves out/NET.npz and out/NET.log beside this script. With mps their kernels share the GPU.
cd "$(dirname "$0")" && mkdir -p out || exit
export PYTHONPATH=/tmp/site:$PWD XLA_PYTHON_CLIENT_MEM_FRACTION=.1 TF_CPP_MIN_LOG_LEVEL=2 PYTHONUNBUFFERED=1
if [ "$3" = mps ]; then export CUDA_MPS_PIPE_DIRECTORY=/tmp/mps CUDA_MPS_LOG_DIRECTORY=/tmp/mps; fi
train() { python3 train_gpu.py "$1" "$2" "$3" cifar10.npz "out/$1.npz" $4 >"out/$1.log" 2>&1; }
export -f train
setsid xargs -a "$1" -P "$2" -L 1 bash -c 'train "$@"' train </dev/null >/dev/null 2>&1 &
