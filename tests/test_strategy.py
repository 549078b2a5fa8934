"""Several devices and several machines: one device's training."""

import importlib.util
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import distributed_steps
import numpy as np
import pytest
import tensorflow as tf
from tiers import in_proof

from keras_resnet import InputError, cli, train
from keras_resnet.data import training_batches
from keras_resnet.data.augment import get_augmentation
from keras_resnet.data.mixing import make_mix
from keras_resnet.training import override, strategy
from keras_resnet.training.checkpoints import all_of

HERE = Path(__file__).parent
JAX = {
    "KERAS_BACKEND": "jax",
    "JAX_PLATFORMS": "cpu",
    "JAX_ENABLE_X64": "1",
    "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
}


def _ports(count):
    """Free at this moment."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ",".join(f"127.0.0.1:{port}" for port in ports)


@pytest.fixture(scope="module")
def one_device():
    return distributed_steps.run(strategy.make("none"))


def _apart(ours, theirs):
    assert set(ours) == set(theirs)
    return max(np.abs(ours[key] - theirs[key]).max() for key in theirs)


def _children(folder, *arguments, environment=None):
    """What processes of their own computed, at the same time."""
    program = [sys.executable, str(HERE / "distributed_steps.py")]
    children = [
        subprocess.Popen(
            [*program, str(folder / f"{n}.npz"), *own],
            stderr=subprocess.PIPE,
            env={**os.environ, **(environment or {})},
        )
        for n, own in enumerate(arguments)
    ]
    errors = [child.communicate(timeout=300)[1] for child in children]
    assert [child.returncode for child in children] == [0] * len(children), errors
    results = []
    for n in range(len(children)):
        with np.load(folder / f"{n}.npz") as file:
            results.append(dict(file))
    return results


@pytest.mark.proof  # two workers are two devices as well, and stay
def test_two_devices_train_as_one(one_device, tmp_path):
    """Interrupted and restored by Keras' callback. The control: statistics of half a batch give another net."""
    synchronized, apart = _children(tmp_path, ["mirrored", str(tmp_path / "backup")], ["mirrored-unsynchronized"])
    assert _apart(synchronized, one_device) < 1e-6
    assert _apart(apart, one_device) > 1e-3


@pytest.mark.proof
def test_two_workers_train_as_one(one_device, tmp_path):
    """Interrupted and restored by Keras' callback, each with its own folder."""
    workers = _ports(2)
    for result in _children(
        tmp_path, *(["multiworker", str(tmp_path / f"backup-{n}"), workers, str(n)] for n in range(2))
    ):
        assert _apart(result, one_device) < 1e-6


@pytest.mark.proof
def test_two_devices_of_jax_train_as_one(tmp_path):
    """The control: the scale factors moved by more than that."""
    if importlib.util.find_spec("jax") is None:
        pytest.skip("jax is not installed: training on Keras' JAX backend was not tried")
    one, two = _children(tmp_path, ["none"], ["mirrored"], environment=JAX)
    assert _apart(two, one) < 1e-5
    assert np.abs(one["w001"] - 1).max() > 1e-4


@pytest.mark.slow
def test_the_loop_under_a_strategy_trains_validates_and_resumes(short_recipe, tmp_path):
    """Ragged validation batches included: 180 images in batches of 256."""
    recipe = override(short_recipe, ["learning_rate=0.0001", "epochs=1", "mixup=0.2"])
    one = train(recipe, run_dir=tmp_path / "one", verbose=False)
    two = train(recipe, run_dir=tmp_path / "two", strategy="mirrored", verbose=False)
    assert two.validation_accuracy == pytest.approx(one.validation_accuracy, abs=0.02)
    again = train(recipe, run_dir=tmp_path / "two", strategy="mirrored", resume=True, verbose=False)
    assert again == two


@pytest.mark.proof
def test_a_worker_that_dies_is_named_and_all_go_on(tmp_path):
    workers = _ports(2)
    base = [sys.executable, "-u", "-m", "keras_resnet", "train", "--recipe", "digits-resnet8", "--resume", "run"]
    base += ["--set", "epochs=3", "--set", "batch_size=300", "--strategy", "multiworker", "--workers", workers]

    def start():
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": tmp_path}
        return [subprocess.Popen([*base, "--worker-index", str(n)], **pipes) for n in range(2)]

    chief, other = start()
    for line in chief.stdout:
        if line.startswith("Epoch 2/"):  # the checkpoint of the first one is there
            other.kill()
            break
    _, error = chief.communicate(timeout=180)
    other.communicate()
    assert chief.returncode == 1, error
    assert f"error: worker 1 ({workers.split(',')[1]}) is gone" in error
    assert len(all_of(tmp_path / "run" / "checkpoints")) >= 1
    results = [child.communicate(timeout=240) for child in start()]
    assert "Epoch 3/3" in results[0][0], results
    assert "Epoch 1/3" not in results[0][0]
    assert json.loads((tmp_path / "run" / "result.json").read_text())["interrupted"] is False


@pytest.mark.slow
def test_workers_with_different_recipes_name_each_other(tmp_path):
    workers = _ports(2)
    children = []
    for n in range(2):
        command = [sys.executable, "-m", "keras_resnet", "train", "--recipe", "digits-resnet8", "--output", "run"]
        command += ["--set", f"seed={n}", "--strategy", "multiworker", "--workers", workers, "--worker-index", str(n)]
        children.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=tmp_path))
    errors = [child.communicate(timeout=120)[1] for child in children]
    assert [child.returncode for child in children] == [2, 2], errors
    assert "differs from worker 0: seed is 1 there, 0 here" in errors[0]
    assert "differs from worker 1: seed is 0 there, 1 here" in errors[1]
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize("mix", [in_proof(None), make_mix(0.2, 1.0)])
def test_the_workers_shares_are_the_batch_of_one_machine(digits, mix):
    def encode(truth):
        return tf.one_hot(truth["label"], 10)

    arguments = {"seed": 0, "augment": get_augmentation("affine", "image"), "encode": encode, "mix": mix}

    def batches(piece):
        return [x.numpy() for x, _ in training_batches(digits.train, 60, **arguments, piece=piece).take(2)]

    for whole, *shares in zip(batches((0, 1)), *[batches((n, 3)) for n in range(3)], strict=True):
        assert [len(share) for share in shares] == [20, 20, 20]
        together = np.concatenate(shares).reshape(60, -1)
        whole = whole.reshape(60, -1)
        order = [np.lexsort(np.round(x[:, ::97]).T.astype(int)) for x in (whole, together)]
        np.testing.assert_allclose(whole[order[0]], together[order[1]], atol=1e-3)


def test_shares_of_every_size_cover_a_batch_once():
    from keras_resnet.data.pipeline import _share

    for batch, count in ((12, 2), (12, 4), (10, 2), (15, 3), (6, 6)):
        together = np.concatenate([_share(batch, n, count) for n in range(count)])
        assert sorted(together) == list(range(batch))


CONFIG = {"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 1}}


def test_clusters_from_every_source():
    assert strategy.cluster({}, ["a:1", "b:2"], 1) == (["a:1", "b:2"], 1)
    assert strategy.cluster({"TF_CONFIG": json.dumps(CONFIG)}, [], None) == (["a:1", "b:2"], 1)
    chief = {"cluster": {"chief": ["c:9"], "worker": ["a:1"]}, "task": {"type": "worker", "index": 0}}
    assert strategy.cluster({"TF_CONFIG": json.dumps(chief)}, [], None) == (["c:9", "a:1"], 1)


def test_a_slurm_job_is_read_by_tensorflow_s_resolver(monkeypatch):
    variables = {
        "SLURM_STEP_NODELIST": "n[1-2]",
        "SLURM_STEP_TASKS_PER_NODE": "1(x2)",
        "SLURM_STEP_NUM_TASKS": "2",
        "SLURM_PROCID": "1",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert strategy.cluster(os.environ, [], None) == (["n1:8888", "n2:8888"], 1)


@pytest.mark.parametrize(
    ("environment", "workers", "index", "said"),
    [
        ({}, [], None, "expected --workers"),
        ({}, ["a:1"], None, "go together"),
        ({}, ["a"], 0, "'a' is no host:port"),
        ({}, ["a:99999"], 0, "is no host:port"),
        ({}, ["a:1", "a:1"], 0, "a worker twice"),
        ({}, ["a:1", "b:1"], 2, "worker 2 is not among the 2 workers, 0 to 1"),
        ({"TF_CONFIG": "{"}, [], None, "TF_CONFIG is no JSON"),
        ({"TF_CONFIG": "[]"}, [], None, r"TF_CONFIG is no object, received \[\]: expected \{.cluster"),
        ({"TF_CONFIG": '{"cluster": {"worker": ["a:1"]}}'}, [], None, "lacks 'task'"),
        ({"TF_CONFIG": json.dumps({**CONFIG, "task": {"type": "worker", "index": 5}})}, [], None, "not among"),
        ({"TF_CONFIG": json.dumps({**CONFIG, "task": {"type": "ps", "index": 0}})}, [], None, "the task ps"),
        ({"SLURM_STEP_NODELIST": "n1"}, [], None, "SLURM's environment does not describe"),
    ],
)
def test_clusters_that_are_described_badly(environment, workers, index, said):
    with pytest.raises(InputError, match=said):
        strategy.cluster(environment, workers, index)


def test_what_cannot_be_done_is_refused_in_one_line(short_recipe, tmp_path, capsys):
    with pytest.raises(InputError, match="Keras 3 cannot train under ParameterServerStrategy"):
        strategy.make("parameter-server")
    with pytest.raises(InputError, match="did you mean mirrored"):
        strategy.make("mirored")
    with pytest.raises(InputError, match="no TPU was found"):
        strategy.make("tpu")
    with pytest.raises(InputError, match="go with --strategy multiworker"):
        strategy.make("mirrored", ["a:1"])
    with pytest.raises(InputError, match="batch_size=33 does not divide over 2 replicas.*batch_size=32"):
        train(override(short_recipe, ["batch_size=33"]), run_dir=tmp_path / "run", strategy="mirrored")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        arguments = ["train", "--recipe", "digits-resnet8", "--strategy", "multiworker", "--output", "run"]
        status = cli.main([*arguments, "--workers", f"127.0.0.1:{port},127.0.0.1:1", "--worker-index", "0"])
    assert status == 2
    assert f"worker 0 cannot listen at 127.0.0.1:{port}: Address already in use" in capsys.readouterr().err


def test_the_summary_says_what_a_replica_gets():
    from keras_resnet import build
    from keras_resnet.training import RECIPES
    from keras_resnet.training.summary import describe

    model = build("resnet8")
    text = describe(model, model, RECIPES["fast-resnet8"], 390, "float32", replicas=4)
    assert "batches of 128, 32 on each of 4 replicas, about" in text


def test_padded_batches_count_every_image_once():
    devices = strategy.make("mirrored")
    batches = tf.data.Dataset.from_tensor_slices((np.arange(1.0, 8), np.arange(7))).batch(4)
    padded = list(devices.padded(batches, 4, 7))
    assert [len(x) for x, _, _ in padded] == [4, 4]
    weights = np.concatenate([w for _, _, w in padded])
    np.testing.assert_allclose(weights, [8 / 7] * 7 + [0])
    assert strategy.make("none").padded(batches, 4, 7) is batches


def test_dicts_are_padded_and_divided_like_tensors():
    """Of any rank; the same numbers come out as for a pair of tensors."""
    devices = strategy.make("mirrored")
    series, grid = np.arange(7 * 3.0).reshape(7, 3), np.arange(7 * 4).reshape(7, 2, 2)
    batches = tf.data.Dataset.from_tensor_slices(({"series": series}, {"a": np.arange(7), "grid": grid})).batch(4)
    *_, (inputs, targets, weights) = devices.padded(batches, 4, 7)
    np.testing.assert_array_equal(inputs["series"], [*series[4:], np.zeros(3)])
    np.testing.assert_array_equal(targets["grid"], [*grid[4:], np.zeros((2, 2))])
    np.testing.assert_allclose(weights, [8 / 7] * 3 + [0])

    def whole(piece):
        return batches.take(1).map(
            lambda *pair: tf.nest.map_structure(lambda x: tf.ensure_shape(x, [4, *x.shape[1:]]), pair)
        )

    (inputs, targets), *others = devices.distribute(whole)
    assert others == []
    np.testing.assert_array_equal(
        np.concatenate(devices.strategy.experimental_local_results(inputs["series"])), series[:4]
    )
    np.testing.assert_array_equal(
        np.concatenate(devices.strategy.experimental_local_results(targets["a"])), np.arange(4)
    )
