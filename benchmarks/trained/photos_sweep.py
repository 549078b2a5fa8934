"""sweep.py JOBS.json OUTDIR LIMIT_S KEYINDEX: takes jobs from the list (claims by lock files), trains them on the device, JSON lines."""
import json, os, sys, time
os.environ["KERAS_BACKEND"] = "jax"
T0 = time.time(); jobs = json.load(open(sys.argv[1])); out = sys.argv[2]; limit = float(sys.argv[3]); home = int(sys.argv[4])
import jax, jax.numpy as jnp, numpy as np, keras, keras_resnet
TINY = bool(os.environ.get("TINY"))
if not TINY: keras.mixed_precision.set_global_policy("mixed_bfloat16")
DT = jnp.float32 if TINY else jnp.bfloat16
MEAN, STD = jnp.array([123.675, 116.28, 103.53]), jnp.array([58.395, 57.12, 57.375])
BASE = dict(data="clothing", net="resnet18", size=128, batch=64, epochs=100, peak=0.1, warm=0.1, sched="one-cycle", decay=5e-4, ls=0.0, area=0.35, jit=0.0, erase=0.0,
            mixup=0.0, cutmix=0.0, drop=0.0, sd=0.0, zero=False, seed=0, fold=0, tests=0, opt="sgd")
jobs = [{**BASE, **j} for j in jobs]
for j in jobs: j["tests"] = j["tests"] or ([j["size"], {96: 128, 112: 144, 128: 160, 160: 192, 144: 176, 64: 80}.get(j["size"], j["size"])])
keyof = lambda j: (j["data"], j["net"], j["size"], j["batch"], j["drop"], j["sd"], j["zero"], j["opt"], tuple(j["tests"]))
keys = list(dict.fromkeys(map(keyof, jobs)))
locks = "/tmp/locks"; os.makedirs(locks, exist_ok=True)
tag = os.path.basename(sys.argv[1])
def claim(i):
    try: os.close(os.open(f"{locks}/{tag}.{i}", os.O_CREAT | os.O_EXCL)); return True
    except FileExistsError: return False

def weights(first, length, limit, n, size):
    """(size, n) bilinear, antialiased when it shrinks, within the box."""
    scale = length / size
    s = jnp.maximum(scale, 1.0)
    centre = first + (jnp.arange(size) + 0.5) * scale
    pos = jnp.arange(n) + 0.5
    w = jnp.maximum(0, 1 - jnp.abs(pos[None] - centre[:, None]) / s) * ((pos > first) & (pos < first + length))[None]
    return w / jnp.maximum(w.sum(1, keepdims=True), 1e-6)

def cut(canvas, boxes, flip, size):
    n = canvas.shape[1]
    wy = jax.vmap(lambda b: weights(b[0], b[2], None, n, size))(boxes)
    wx = jax.vmap(lambda b: weights(b[1], b[3], None, n, size))(boxes)
    wx = jnp.where(flip[:, None, None], wx[:, ::-1], wx)
    t = jnp.einsum("byh,bhwc->bywc", wy.astype(DT), canvas.astype(DT), preferred_element_type=DT)
    t = jnp.einsum("bxw,bywc->byxc", wx.astype(DT), t, preferred_element_type=jnp.float32)
    return jnp.clip(jnp.round(t), 0, 255)

def random_boxes(hw, key, low):
    d = jax.random.uniform(key, (hw.shape[0], 4)); s = hw.astype(jnp.float32)
    wanted = (low + d[:, 0] * (1 - low)) * s[:, 0] * s[:, 1]
    aspect = jnp.exp((2 * d[:, 1] - 1) * jnp.log(4 / 3))
    sides = jnp.clip(jnp.round(jnp.sqrt(jnp.stack([wanted / aspect, wanted * aspect], 1))), 1.0, s)
    return jnp.concatenate([jnp.floor(d[:, 2:] * (s - sides + 1)), sides], 1)

def jitter(x, key, s):
    f = 1 + s * (2 * jax.random.uniform(key, (3, x.shape[0], 1, 1, 1)) - 1)
    g = lambda v: (v * jnp.array([0.2989, 0.587, 0.114])).sum(-1, keepdims=True)
    x = x * f[0]; x = f[1] * x + (1 - f[1]) * g(x).mean((1, 2), keepdims=True); x = f[2] * x + (1 - f[2]) * g(x)
    return jnp.clip(jnp.round(x), 0, 255)

def erase(x, key, prob):
    d = jax.random.uniform(key, (5, x.shape[0])); size = x.shape[1]
    share = 0.02 + d[1] * (1 / 3 - 0.02); aspect = jnp.exp((2 * d[2] - 1) * np.log(10 / 3)); cov = (d[0] < prob).astype(jnp.float32)
    def inside(fr, place):
        fr = (jnp.minimum(fr, 1) * cov)[:, None]; p = (jnp.arange(size)[None] + 0.5) / size; a = place[:, None] * (1 - fr)
        return (p >= a) & (p < a + fr)
    m = inside(jnp.sqrt(share / aspect), d[3])[:, :, None] & inside(jnp.sqrt(share * aspect), d[4])[:, None]
    return jnp.where(m[..., None], 127.0, x)

def mix(x, t, key, mu, cm):
    a, b, c = jax.random.split(key, 3)
    use_cut = (cm > 0) & ((mu <= 0) | (jax.random.uniform(c) < 0.5))
    alpha = jnp.where(use_cut, cm, mu); on = alpha > 0
    lam = jax.random.beta(a, jnp.maximum(alpha, 1e-3), jnp.maximum(alpha, 1e-3))
    side = jnp.sqrt(1 - lam); centre = jax.random.uniform(b, (2,)); p = (jnp.arange(x.shape[1]) + 0.5) / x.shape[1]
    m = (jnp.abs(p - centre[0]) < side / 2)[:, None] & (jnp.abs(p - centre[1]) < side / 2)[None]
    m = m[None, :, :, None]
    share = 1 - m.astype(jnp.float32).mean()
    w = jnp.where(use_cut, share, lam)
    mixed = jnp.where(use_cut, jnp.where(m, x[::-1], x), lam * x + (1 - lam) * x[::-1])
    return jnp.where(on, mixed, x), jnp.where(on, w * t + (1 - w) * t[::-1], t)

prepare = lambda v: ((v - MEAN) / STD).astype(DT)
DATA = {}
def load(name):
    if name not in DATA:
        z = np.load(f"/tmp/d_{name}.npz")
        DATA.clear(); DATA[name] = (jax.device_put(np.load(f"/tmp/d_{name}.npy")), jax.device_put(z["hw"]), jax.device_put(z["y"].astype(np.int32)), z["y"], z["fold"])
    return DATA[name]

class Compiled:
    def __init__(self, key):
        data, net, size, batch, drop, sd, zero, opt, tests = key
        self.key = key; t = time.time()
        self.x, self.hw, self.y, self.hy, self.fold = load(data)
        classes = self.classes = int(self.hy.max()) + 1
        keras.utils.set_random_seed(0)
        self.model = model = keras_resnet.build(net, input_shape=(None, None, 3), classes=classes, dropout=drop, stochastic_depth=sd, zero_init_residual=zero) if False else \
            keras_resnet.build(net, include_top=False, pooling="avg", input_shape=(None, None, 3), stochastic_depth=sd, zero_init_residual=zero)
        h = model.output
        if drop: h = keras.layers.Dropout(drop)(h)
        self.model = model = keras.Model(model.input, keras.layers.Dense(classes, kernel_initializer=keras.initializers.RandomNormal(stddev=0.01), dtype="float32", name="answers")(h))
        names = [v.name for v in model.trainable_variables]; dec = [n not in ("bias", "gamma", "beta") for n in names]
        self.n = int((self.fold != 0).sum()); self.steps = steps = self.n // batch if not TINY else 2
        def loss(tv, ntv, px, t):
            p, ntv = model.stateless_call(tv, ntv, prepare(px), training=True)
            return -(t * jax.nn.log_softmax(p.astype(jnp.float32))).sum(-1).mean(), ntv
        def epoch(state, x, hw, y, idx, key, hp):
            order = jax.random.permutation(jax.random.fold_in(key, 1), idx)[: steps * batch].reshape(steps, batch)
            keys = jax.random.split(jax.random.fold_in(key, 2), steps)
            def one(state, item):
                tv, ntv, mv, vv, step = state; ids, k = item
                k1, k2, k3, k4, k5 = jax.random.split(k, 5)
                px = cut(x[ids], random_boxes(hw[ids], k1, hp["area"]), jax.random.bernoulli(k2, 0.5, (batch,)), size)
                px = erase(jitter(px, k3, hp["jit"]), k4, hp["erase"])
                t = jax.nn.one_hot(y[ids], classes); t = t * (1 - hp["ls"]) + hp["ls"] / classes
                px, t = mix(px, t, k5, hp["mixup"], hp["cutmix"])
                (value, ntv), g = jax.value_and_grad(loss, has_aux=True)(tv, ntv, px, t)
                s = step.astype(jnp.float32); warm, total = hp["warm"], hp["total"]
                down = (total - s) / (total - warm)
                down = jnp.where(hp["cos"] > 0, 0.5 * (1 - jnp.cos(jnp.pi * down)), down)
                rate = hp["peak"] * jnp.maximum(jnp.where(s < warm, s / warm, down), 0)
                if opt == "sgd":
                    g = [a + hp["decay"] * w if d else a for a, w, d in zip(g, tv, dec)]
                    mv = [0.9 * m - rate * a for m, a in zip(mv, g)]
                    tv = [w + 0.9 * m - rate * a for w, m, a in zip(tv, mv, g)]
                else:
                    mv = [0.9 * m + 0.1 * a for m, a in zip(mv, g)]; vv = [0.999 * v + 0.001 * a * a for v, a in zip(vv, g)]
                    c1, c2 = 1 - 0.9 ** (s + 1), 1 - 0.999 ** (s + 1)
                    tv = [w - rate * (m / c1 / (jnp.sqrt(v / c2) + 1e-7) + (hp["decay"] * w if d else 0)) for w, m, v, d in zip(tv, mv, vv, dec)]
                return (tv, ntv, mv, vv, step + 1), value
            state, values = jax.lax.scan(one, state, (order, keys)); return state, values.mean()
        def predict(tv, ntv, x, hw, ids, crop, ts):
            s = hw[ids].astype(jnp.float32); side = jnp.round(s.min(1) * crop); first = jnp.floor((s - side[:, None]) / 2)
            px = cut(x[ids], jnp.concatenate([first, side[:, None], side[:, None]], 1), jnp.zeros(ids.shape, bool), ts)
            return jax.nn.softmax(model.stateless_call(tv, ntv, prepare(px), training=False)[0].astype(jnp.float32))
        self.run = jax.jit(epoch, donate_argnums=0); self.predict = jax.jit(predict, static_argnums=6); self.opt = opt
        self.tv0 = [np.asarray(v.value, np.float32) for v in model.trainable_variables]; self.ntv0 = [np.asarray(v.value) for v in model.non_trainable_variables]
        self.built = time.time() - t
    def train(self, j):
        rng = np.random.default_rng(j["seed"] * 100 + j["fold"]); t = time.time()
        tv = [jnp.asarray(np.clip(rng.standard_normal(v.shape), -2.5, 2.5) * v.std() if v.ndim > 1 else v, jnp.float32) for v in self.tv0]
        zeros = lambda on: [jnp.zeros_like(v) if on else jnp.zeros(()) for v in tv]
        state = (tv, [jnp.asarray(v) for v in self.ntv0], zeros(True), zeros(self.opt != "sgd"), jnp.int32(0))
        idx = np.flatnonzero(self.fold != j["fold"])
        if len(idx) < self.n: idx = np.concatenate([idx, idx[: self.n - len(idx)]])
        idx = jnp.asarray(idx[: self.n] if len(idx) - self.n < 8 else idx)
        total = j["epochs"] * self.steps
        hp = {k: jnp.float32(j[k]) for k in ("area", "jit", "erase", "ls", "mixup", "cutmix", "peak", "decay")}
        hp |= {"warm": jnp.float32(max(1, round(j["warm"] * total))), "total": jnp.float32(total), "cos": jnp.float32(j["sched"] == "cosine")}
        key = jax.random.key(j["seed"] + 1000 * j["fold"]); first = 0
        for e in range(j["epochs"]):
            state, value = self.run(state, self.x, self.hw, self.y, idx, jax.random.fold_in(key, e), hp)
            if e == 0: value.block_until_ready(); first = time.time() - t
        value = float(value); secs = time.time() - t
        ids = jnp.asarray(np.flatnonzero(self.fold == j["fold"])); truth = self.hy[np.asarray(ids)]; acc = {}
        for ts in j["tests"]:
            for crop in (1.0, 0.9):
                p = np.asarray(self.predict(state[0], state[1], self.x, self.hw, ids, jnp.float32(crop), ts)).argmax(1)
                acc[f"{ts}/{crop}"] = (round(float((p == truth).mean()), 4), round(float(np.mean([(p[truth == c] == c).mean() for c in range(self.classes)])), 4))
        return {**j, "acc": acc, "loss": round(value, 4), "secs": round(secs, 1), "first": round(first, 1), "at": round(time.time() - T0, 1), "images_s": round(self.steps * j["batch"] * max(1, j["epochs"] - 1) / max(secs - first, 1e-3)), "dev": jax.devices()[0].device_kind}

def expected(j):
    new = current is None or current.key != keyof(j)
    return j["epochs"] * (478 if j["data"] == "pets" else 3008) / (4800 if j["size"] < 128 else 4400) + (45 if new else 0) + 3
current = None; want = keys[home % len(keys)]
while True:
    todo = [i for i in range(len(jobs)) if not os.path.exists(f"{locks}/{tag}.{i}") and time.time() - T0 + expected(jobs[i]) < limit]
    if not todo: break
    i = next((i for i in todo if keyof(jobs[i]) == want), None)
    if i is None: i = todo[0]
    if not claim(i): continue
    want = keyof(jobs[i])
    try:
        if current is None or current.key != want: current = Compiled(want)
        r = current.train(jobs[i])
    except Exception as e: r = {**jobs[i], "error": repr(e)[:600], "at": round(time.time() - T0, 1)}
    line = json.dumps(r)
    with open(f"{out}/p{home}.jsonl", "a") as f: f.write(line + "\n")
    with open(f"{out}/all.jsonl", "a") as f: f.write(line + "\n")
    c = {k: r[k] for k in BASE if k not in ("tests",) and r[k] != BASE[k]}
    print(c, r.get("acc", r.get("error")), r.get("loss"), r.get("secs"), r.get("at"), r.get("images_s"), flush=True)
print("end", home, round(time.time() - T0, 1))
