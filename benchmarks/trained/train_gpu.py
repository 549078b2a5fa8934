"""Trains a CIFAR-10 net of keras_resnet on Keras' JAX back end, everything on the device, an epoch a call.

python train_gpu.py NET PEAK_RATE WEIGHT_DECAY DATA OUT.npz [HELD_OUT.npy]

The recipe `fast`, seed 0, in bf16: 80 epochs, batch 128, one-cycle, ten epochs of warm-up, Nesterov 0.9, coupled decay
(not on biases, gammas, betas), crop and flip. DATA is pack.py's file: x (60000, 32, 32, 3) uint8 and y, the last 10,000
for the test; it may still be on its way while the net compiles (the script waits for it). HELD_OUT: positions among the
50,000 training images which are left out of training and evaluated in place of the test images. Prints the loss every
fifth epoch, evaluates once, at the end, and writes float32 arrays named `layer/variable`. TINY=1: a try on a CPU.
"""

import json
import os
import sys
import time

os.environ["KERAS_BACKEND"] = "jax"
import jax
import jax.numpy as jnp
import keras
import keras_resnet
import numpy as np

START = time.time()
TINY = bool(os.environ.get("TINY"))
SEED, BATCH, MOMENTUM, CHUNK = 0, 128, 0.9, 500
EPOCHS, WARMUP = (2, 1) if TINY else (80, 10)
MEAN, STD = jnp.array([125.307, 122.961, 113.8575]), jnp.array([51.5865, 50.847, 51.255])

net, peak, decay, data, out = sys.argv[1:6]
peak, decay = float(peak), float(decay)
held_out = np.load(sys.argv[6]) if len(sys.argv) > 6 else None
train_count, test_count = (50_000, 10_000) if held_out is None else (50_000 - len(held_out), len(held_out))
if TINY:
    train_count, test_count = 512, CHUNK
steps = train_count // BATCH
total, warm = EPOCHS * steps, WARMUP * steps

keras.utils.set_random_seed(SEED)
keras.mixed_precision.set_global_policy("mixed_bfloat16")
model = keras_resnet.build(net, input_shape=(32, 32, 3), classes=10)
decayed = [variable.name not in ("bias", "gamma", "beta") for variable in model.trainable_variables]


def prepare(pixels):
    return ((pixels.astype(jnp.float32) - MEAN) / STD).astype(jnp.bfloat16)


def crop_flip(images, key):
    n = images.shape[0]
    a, b, c = jax.random.split(key, 3)
    padded = jnp.pad(images, ((0, 0), (4, 4), (4, 4), (0, 0)))
    rows = jnp.arange(32)[None] + jax.random.randint(a, (n,), 0, 9)[:, None]
    columns = jnp.arange(32)[None]
    columns = jnp.where(jax.random.bernoulli(c, 0.5, (n,))[:, None], columns[:, ::-1], columns)
    columns = columns + jax.random.randint(b, (n,), 0, 9)[:, None]
    return padded[jnp.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]]


def loss(weights, statistics, pixels, labels):
    p, statistics = model.stateless_call(weights, statistics, prepare(pixels), training=True)
    return keras.losses.sparse_categorical_crossentropy(labels, p.astype(jnp.float32)).mean(), statistics


def epoch(state, x, y, key):
    order = jax.random.permutation(jax.random.fold_in(key, 1), train_count)[: steps * BATCH].reshape(steps, BATCH)
    keys = jax.random.split(jax.random.fold_in(key, 2), steps)

    def one(state, item):
        weights, statistics, moments, step = state
        places, key = item
        (value, statistics), gradients = jax.value_and_grad(loss, has_aux=True)(
            weights, statistics, crop_flip(x[places], key), y[places]
        )
        s = step.astype(jnp.float32)
        rate = peak * jnp.maximum(jnp.minimum(s / warm, (total - s) / (total - warm)), 0)
        gradients = [g + decay * w if d else g for g, w, d in zip(gradients, weights, decayed)]
        moments = [MOMENTUM * m - rate * g for m, g in zip(moments, gradients)]
        weights = [w + MOMENTUM * m - rate * g for w, m, g in zip(weights, moments, gradients)]
        return (weights, statistics, moments, step + 1), value

    state, values = jax.lax.scan(one, state, (order, keys))
    return state, values.mean()


def right(weights, statistics, x, y):
    def part(carry, item):
        p, _ = model.stateless_call(weights, statistics, prepare(item[0]), training=False)
        return carry + (p.argmax(-1) == item[1]).sum(), None

    return jax.lax.scan(part, 0, (x.reshape(-1, CHUNK, 32, 32, 3), y.reshape(-1, CHUNK)))[0]


weights, statistics = ([v.value for v in vs] for vs in (model.trainable_variables, model.non_trainable_variables))
state = (weights, statistics, [jnp.zeros_like(w) for w in weights], jnp.int32(0))
key = jax.random.key(SEED)
train_set, test_set = (
    (jax.ShapeDtypeStruct((count, 32, 32, 3), jnp.uint8), jax.ShapeDtypeStruct((count,), jnp.int32))
    for count in (train_count, test_count)
)
begin = time.time()
score = jax.jit(right).lower(weights, statistics, *test_set).compile()
run = jax.jit(epoch, donate_argnums=0).lower(state, *train_set, key).compile()
compile_s = time.time() - begin
print(net, "compiled", round(compile_s, 1), flush=True)

while not os.path.exists(data):
    time.sleep(0.2)
archive = np.load(data)
x, y = archive["x"], archive["y"].astype(np.int32)
test = np.arange(50_000, 60_000) if held_out is None else held_out
train = np.setdiff1d(np.arange(50_000), test)[:train_count]
train_set, test_set = (jax.device_put((x[places], y[places])) for places in (train, test[:test_count]))

begin = time.time()
for number in range(EPOCHS):
    state, value = run(state, *train_set, jax.random.fold_in(key, number))
    if (number + 1) % 5 == 0:
        print(net, number + 1, round(float(value), 4), round(time.time() - begin, 1), flush=True)
correct = int(score(state[0], state[1], *test_set))
train_s = time.time() - begin

for variables, values in ((model.trainable_variables, state[0]), (model.non_trainable_variables, state[1])):
    for variable, value in zip(variables, values):
        variable.assign(value)
arrays = {f"{layer.name}/{v.name}": np.asarray(v.value, np.float32) for layer in model.layers for v in layer.weights}
with open(f"{out}.part", "wb") as file:
    np.savez(file, **arrays)
os.replace(f"{out}.part", out)
result = {"net": net, "peak": peak, "decay": decay, "images": train_count, "right": correct, "of": test_count}
result |= {"held_out": held_out is not None, "train_s": round(train_s, 1), "compile_s": round(compile_s, 1)}
result |= {"all_s": round(time.time() - START, 1), "device": jax.devices()[0].device_kind}
print("RESULT " + json.dumps(result), flush=True)
